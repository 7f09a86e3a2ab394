"""Numba kernels of the metrics: errors of vertices, and of joints after similarity alignment, in one pass each.

float64 inside, whatever comes in; called by ``formulas`` and ``surface`` through ``maps.slices.over_slices``. Every
value is summed by one thread, so the number of threads does not change any result.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SWEEPS = 50
"""Upper limit of Jacobi sweeps, and of Newton steps; either converges in about six."""

CONVERGED = 1e-16
"""Off-diagonal entries below this share of the largest entry are zero."""

LAST_STEP = 1e-15
"""A Newton step of this size, of roots between 1 and √3, is rounding."""

PROVED = 1e-12
"""Sum of |K·q − λ·q| that proves an eigenvector of a matrix of norm 1 to 2: turns by less than 1e-9 rad where the
points have any extent to turn, a millionth of a millimetre on a body."""


@njit(cache=True, nogil=True)
def mean_distance(a, b, offset, out, first, past):  # type: ignore[no-untyped-def]
    """out[n] = mean over p of ‖a[n, p] − b[n, p] − offset[n]‖, n of a range; a, b (N, P, 3), offset (N, 3)."""
    for n in range(first, past):
        ox, oy, oz = offset[n, 0], offset[n, 1], offset[n, 2]
        total = 0.0
        for p in range(a.shape[1]):
            x = np.float64(a[n, p, 0]) - np.float64(b[n, p, 0]) - ox
            y = np.float64(a[n, p, 1]) - np.float64(b[n, p, 1]) - oy
            z = np.float64(a[n, p, 2]) - np.float64(b[n, p, 2]) - oz
            total += np.sqrt(x * x + y * y + z * z)
        out[n] = total / a.shape[1]


@njit(cache=True, nogil=True)
def add_distance(a, b, offset, total, first, past):  # type: ignore[no-untyped-def]
    """total[p] += Σ over n of ‖a[n, p] − b[n, p] − offset[n]‖, p of a range: errors of each place of the surface."""
    for n in range(a.shape[0]):
        ox, oy, oz = offset[n, 0], offset[n, 1], offset[n, 2]
        for p in range(first, past):
            x = np.float64(a[n, p, 0]) - np.float64(b[n, p, 0]) - ox
            y = np.float64(a[n, p, 1]) - np.float64(b[n, p, 1]) - oy
            z = np.float64(a[n, p, 2]) - np.float64(b[n, p, 2]) - oz
            total[p] += np.sqrt(x * x + y * y + z * z)


@njit(cache=True, nogil=True, error_model="numpy")
def aligned_distance(source, target, out, first, past):  # type: ignore[no-untyped-def]
    """out[n, p] = ‖s·R·source + t − target‖ under the best similarity of row n (Horn 1987: never a reflection)."""
    moments, quaternion = np.empty(15), np.empty(4)  # scratch, once per range
    k, v = np.empty((4, 4)), np.empty((4, 4))
    for n in range(first, past):
        energy = _moments(source, target, n, moments)
        fit = _best_rotation(moments[6:], quaternion, k, v)
        scale = fit / energy if energy > 0 else 1.0
        w, x, y, z = quaternion[0], quaternion[1], quaternion[2], quaternion[3]
        r00, r01, r02 = scale * (1 - 2 * (y * y + z * z)), scale * 2 * (x * y - w * z), scale * 2 * (x * z + w * y)
        r10, r11, r12 = scale * 2 * (x * y + w * z), scale * (1 - 2 * (x * x + z * z)), scale * 2 * (y * z - w * x)
        r20, r21, r22 = scale * 2 * (x * z - w * y), scale * 2 * (y * z + w * x), scale * (1 - 2 * (x * x + y * y))
        ax, ay, az, bx, by, bz = moments[0], moments[1], moments[2], moments[3], moments[4], moments[5]
        for p in range(source.shape[1]):
            sx, sy, sz = source[n, p, 0] - ax, source[n, p, 1] - ay, source[n, p, 2] - az
            dx = r00 * sx + r01 * sy + r02 * sz - (target[n, p, 0] - bx)
            dy = r10 * sx + r11 * sy + r12 * sz - (target[n, p, 1] - by)
            dz = r20 * sx + r21 * sy + r22 * sz - (target[n, p, 2] - bz)
            out[n, p] = np.sqrt(dx * dx + dy * dy + dz * dz)


@njit(cache=True, nogil=True, error_model="numpy")
def _moments(source, target, n, m):  # type: ignore[no-untyped-def]
    """m = both centres of row n (3 + 3) and Σ source·targetᵀ about them (9); → the source's energy about its centre."""
    points = source.shape[1]
    ax = ay = az = bx = by = bz = 0.0
    for p in range(points):
        ax += source[n, p, 0]
        ay += source[n, p, 1]
        az += source[n, p, 2]
        bx += target[n, p, 0]
        by += target[n, p, 1]
        bz += target[n, p, 2]
    ax, ay, az, bx, by, bz = ax / points, ay / points, az / points, bx / points, by / points, bz / points
    xx = xy = xz = yx = yy = yz = zx = zy = zz = energy = 0.0
    for p in range(points):
        sx, sy, sz = source[n, p, 0] - ax, source[n, p, 1] - ay, source[n, p, 2] - az
        tx, ty, tz = target[n, p, 0] - bx, target[n, p, 1] - by, target[n, p, 2] - bz
        energy += sx * sx + sy * sy + sz * sz
        xx, xy, xz = xx + sx * tx, xy + sx * ty, xz + sx * tz
        yx, yy, yz = yx + sy * tx, yy + sy * ty, yz + sy * tz
        zx, zy, zz = zx + sz * tx, zy + sz * ty, zz + sz * tz
    m[0], m[1], m[2], m[3], m[4], m[5] = ax, ay, az, bx, by, bz
    m[6], m[7], m[8], m[9], m[10], m[11], m[12], m[13], m[14] = xx, xy, xz, yx, yy, yz, zx, zy, zz
    return energy


@njit(cache=True, nogil=True, error_model="numpy")
def _best_rotation(s, quaternion, k, v):  # type: ignore[no-untyped-def]
    """The unit quaternion of the rotation with the largest trace(R·S), S (9) the covariance; → that trace.

    They are the largest eigenvalue of Horn's 4 × 4 matrix and its vector: by Newton's method on the characteristic
    polynomial and a column of the adjugate (Theobald 2005), a third of the time of Jacobi's method, which steps in
    where the residual does not prove the result: points on a line, two roots in one place. k, v: scratch.
    """
    size = 0.0
    for i in range(9):
        size += s[i] * s[i]
    size = np.sqrt(size)
    if size == 0.0:
        quaternion[0], quaternion[1], quaternion[2], quaternion[3] = 1.0, 0.0, 0.0, 0.0
        return 0.0
    for i in range(9):
        s[i] /= size
    _horn_matrix(s, k)
    value = _largest_root(s)
    if not _vector_of(k, value, quaternion):
        best = _diagonalise(k, v)
        value = k[best, best]
        for i in range(4):
            quaternion[i] = v[i, best]
    return value * size


@njit(cache=True, nogil=True)
def _horn_matrix(s, k):  # type: ignore[no-untyped-def]
    k[0, 0], k[1, 1] = s[0] + s[4] + s[8], s[0] - s[4] - s[8]
    k[2, 2], k[3, 3] = -s[0] + s[4] - s[8], -s[0] - s[4] + s[8]
    k[0, 1] = k[1, 0] = s[5] - s[7]
    k[0, 2] = k[2, 0] = s[6] - s[2]
    k[0, 3] = k[3, 0] = s[1] - s[3]
    k[1, 2] = k[2, 1] = s[1] + s[3]
    k[1, 3] = k[3, 1] = s[6] + s[2]
    k[2, 3] = k[3, 2] = s[5] + s[7]


@njit(cache=True, nogil=True, error_model="numpy")
def _largest_root(s):  # type: ignore[no-untyped-def]
    """Of the polynomial x⁴ − 2x² − 8·det(S)·x + 1 − 4·‖cof(S)‖² of Horn's matrix, S of Frobenius norm 1.

    Its roots are real and the largest is at most √3: from there Newton's steps go down to it and never past it.
    """
    a, b, c = s[4] * s[8] - s[5] * s[7], s[5] * s[6] - s[3] * s[8], s[3] * s[7] - s[4] * s[6]
    d, e, f = s[2] * s[7] - s[1] * s[8], s[0] * s[8] - s[2] * s[6], s[1] * s[6] - s[0] * s[7]
    g, h, i = s[1] * s[5] - s[2] * s[4], s[2] * s[3] - s[0] * s[5], s[0] * s[4] - s[1] * s[3]
    linear = -8.0 * (s[0] * a + s[1] * b + s[2] * c)
    constant = 1.0 - 4.0 * (a * a + b * b + c * c + d * d + e * e + f * f + g * g + h * h + i * i)
    x = np.sqrt(3.0)
    for _ in range(SWEEPS):
        step = (((x * x - 2.0) * x + linear) * x + constant) / ((4.0 * x * x - 4.0) * x + linear)
        x -= step
        if step <= LAST_STEP:
            break
    return x


@njit(cache=True, nogil=True, error_model="numpy")
def _vector_of(k, value, q):  # type: ignore[no-untyped-def]
    """The eigenvector q of a value: the longest column of adj(k − value); true where its residual proves it."""
    m00, m11, m22, m33 = k[0, 0] - value, k[1, 1] - value, k[2, 2] - value, k[3, 3] - value
    m01, m02, m03, m12, m13, m23 = k[0, 1], k[0, 2], k[0, 3], k[1, 2], k[1, 3], k[2, 3]
    s0, s1, s2 = m00 * m11 - m01 * m01, m00 * m12 - m01 * m02, m00 * m13 - m01 * m03  # minors of the upper rows
    s3, s4, s5 = m01 * m12 - m11 * m02, m01 * m13 - m11 * m03, m02 * m13 - m12 * m03
    c5, c4, c3 = m22 * m33 - m23 * m23, m12 * m33 - m13 * m23, m12 * m23 - m13 * m22  # and of the lower
    c2, c1 = m02 * m33 - m03 * m23, m02 * m23 - m03 * m22
    a00, a11 = m11 * c5 - m12 * c4 + m13 * c3, m00 * c5 - m02 * c2 + m03 * c1
    a22, a33 = m03 * s4 - m13 * s2 + m33 * s0, m02 * s3 - m12 * s1 + m22 * s0
    a01, a02, a03 = -m01 * c5 + m02 * c4 - m03 * c3, m13 * s5 - m23 * s4 + m33 * s3, -m12 * s5 + m22 * s4 - m23 * s3
    a12, a13, a23 = -m03 * s5 + m23 * s2 - m33 * s1, m02 * s5 - m22 * s2 + m23 * s1, -m02 * s4 + m12 * s2 - m23 * s0
    w, x, y, z, longest = a00, a01, a02, a03, abs(a00)
    if abs(a11) > longest:
        w, x, y, z, longest = a01, a11, a12, a13, abs(a11)
    if abs(a22) > longest:
        w, x, y, z, longest = a02, a12, a22, a23, abs(a22)
    if abs(a33) > longest:
        w, x, y, z = a03, a13, a23, a33
    length = np.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w / length, x / length, y / length, z / length
    q[0], q[1], q[2], q[3] = w, x, y, z
    rest = abs(m00 * w + m01 * x + m02 * y + m03 * z) + abs(m01 * w + m11 * x + m12 * y + m13 * z)
    rest += abs(m02 * w + m12 * x + m22 * y + m23 * z) + abs(m03 * w + m13 * x + m23 * y + m33 * z)
    return rest <= PROVED


@njit(cache=True, nogil=True)
def _diagonalise(k, v):  # type: ignore[no-untyped-def]
    """Cyclic Jacobi of a symmetric 4 × 4: k becomes diagonal, v its eigenvectors; → the largest's column."""
    size = 0.0
    for i in range(4):
        for j in range(4):
            v[i, j] = 1.0 if i == j else 0.0
            size = max(size, abs(k[i, j]))
    for _ in range(SWEEPS):
        rest = 0.0
        for i in range(3):
            for j in range(i + 1, 4):
                rest = max(rest, abs(k[i, j]))
        if rest <= CONVERGED * size:
            break
        for i in range(3):
            for j in range(i + 1, 4):
                if k[i, j] != 0.0:
                    _rotate(k, v, i, j)
    best = 0
    for i in range(1, 4):
        if k[i, i] > k[best, best]:
            best = i
    return best


@njit(cache=True, nogil=True)
def _rotate(k, v, i, j):  # type: ignore[no-untyped-def]
    theta = (k[j, j] - k[i, i]) / (2.0 * k[i, j])
    t = 1.0 / (abs(theta) + np.sqrt(theta * theta + 1.0))
    if theta < 0:
        t = -t
    c = 1.0 / np.sqrt(t * t + 1.0)
    s = t * c
    k[i, i] -= t * k[i, j]
    k[j, j] += t * k[i, j]
    k[i, j] = k[j, i] = 0.0
    for m in range(4):
        if m != i and m != j:
            a, b = k[m, i], k[m, j]
            k[m, i] = k[i, m] = c * a - s * b
            k[m, j] = k[j, m] = s * a + c * b
        a, b = v[m, i], v[m, j]
        v[m, i], v[m, j] = c * a - s * b, s * a + c * b

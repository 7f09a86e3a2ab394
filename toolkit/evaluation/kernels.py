"""Numba kernels of the metrics: errors of vertices, and of joints after similarity alignment, in one pass each.

float64 inside, whatever comes in; called by ``metrics`` only. Rows are independent, so the number of threads does not
change any result.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

SWEEPS = 50
"""Upper limit of Jacobi sweeps; a 4 × 4 matrix converges in about six."""


@njit(cache=True, nogil=True, parallel=True)
def mean_distance(a, b, offset, out):  # type: ignore[no-untyped-def]
    """out[n] = mean over p of ‖a[n, p] − b[n, p] − offset[n]‖; a, b (N, P, 3), offset (N, 3)."""
    for n in prange(a.shape[0]):
        ox, oy, oz = offset[n, 0], offset[n, 1], offset[n, 2]
        total = 0.0
        for p in range(a.shape[1]):
            x = np.float64(a[n, p, 0]) - np.float64(b[n, p, 0]) - ox
            y = np.float64(a[n, p, 1]) - np.float64(b[n, p, 1]) - oy
            z = np.float64(a[n, p, 2]) - np.float64(b[n, p, 2]) - oz
            total += np.sqrt(x * x + y * y + z * z)
        out[n] = total / a.shape[1]


@njit(cache=True, nogil=True, parallel=True)
def aligned_distance(source, target, out):  # type: ignore[no-untyped-def]
    """out[n, p] = ‖s·R·source + t − target‖ under the best similarity of row n (Horn 1987: never a reflection)."""
    points = source.shape[1]
    for n in prange(source.shape[0]):
        cs, ct, s = np.zeros(3), np.zeros(3), np.zeros((3, 3))
        for p in range(points):
            for c in range(3):
                cs[c] += source[n, p, c] / points
                ct[c] += target[n, p, c] / points
        energy = 0.0
        for p in range(points):
            for c in range(3):
                left = np.float64(source[n, p, c]) - cs[c]
                energy += left * left
                for d in range(3):
                    s[c, d] += left * (np.float64(target[n, p, d]) - ct[d])
        value, q = _largest_eigenpair(_horn_matrix(s))
        scale = value / energy if energy > 0 else 1.0
        r = _rotation(q)
        for p in range(points):
            total = 0.0
            for d in range(3):
                moved = ct[d]
                for c in range(3):
                    moved += scale * r[d, c] * (np.float64(source[n, p, c]) - cs[c])
                total += (moved - np.float64(target[n, p, d])) ** 2
            out[n, p] = np.sqrt(total)


@njit(cache=True, nogil=True)
def _horn_matrix(s):  # type: ignore[no-untyped-def]
    k = np.empty((4, 4))
    k[0, 0] = s[0, 0] + s[1, 1] + s[2, 2]
    k[1, 1] = s[0, 0] - s[1, 1] - s[2, 2]
    k[2, 2] = -s[0, 0] + s[1, 1] - s[2, 2]
    k[3, 3] = -s[0, 0] - s[1, 1] + s[2, 2]
    k[0, 1] = k[1, 0] = s[1, 2] - s[2, 1]
    k[0, 2] = k[2, 0] = s[2, 0] - s[0, 2]
    k[0, 3] = k[3, 0] = s[0, 1] - s[1, 0]
    k[1, 2] = k[2, 1] = s[0, 1] + s[1, 0]
    k[1, 3] = k[3, 1] = s[2, 0] + s[0, 2]
    k[2, 3] = k[3, 2] = s[1, 2] + s[2, 1]
    return k


@njit(cache=True, nogil=True)
def _largest_eigenpair(k):  # type: ignore[no-untyped-def]
    """Cyclic Jacobi of a symmetric 4 × 4 matrix (overwritten) → largest eigenvalue and its unit eigenvector."""
    v = np.eye(4)
    size = np.abs(k).max()
    for _ in range(SWEEPS):
        rest = 0.0
        for i in range(3):
            for j in range(i + 1, 4):
                rest = max(rest, abs(k[i, j]))
        if rest <= 1e-17 * size:
            break
        for i in range(3):
            for j in range(i + 1, 4):
                if k[i, j] != 0.0:
                    _rotate(k, v, i, j)
    best = 0
    for i in range(1, 4):
        if k[i, i] > k[best, best]:
            best = i
    return k[best, best], v[:, best].copy()


@njit(cache=True, nogil=True)
def _rotate(k, v, i, j):  # type: ignore[no-untyped-def]
    theta = (k[j, j] - k[i, i]) / (2.0 * k[i, j])
    t = 1.0 / (abs(theta) + np.sqrt(theta * theta + 1.0))
    if theta < 0:
        t = -t
    c = 1.0 / np.sqrt(t * t + 1.0)
    s = t * c
    for m in range(4):
        a, b = k[m, i], k[m, j]
        k[m, i], k[m, j] = c * a - s * b, s * a + c * b
    for m in range(4):
        a, b = k[i, m], k[j, m]
        k[i, m], k[j, m] = c * a - s * b, s * a + c * b
    for m in range(4):
        a, b = v[m, i], v[m, j]
        v[m, i], v[m, j] = c * a - s * b, s * a + c * b


@njit(cache=True, nogil=True)
def _rotation(q):  # type: ignore[no-untyped-def]
    w, x, y, z = q[0], q[1], q[2], q[3]
    r = np.empty((3, 3))
    r[0, 0], r[0, 1], r[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    r[1, 0], r[1, 1], r[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    r[2, 0], r[2, 1], r[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    return r

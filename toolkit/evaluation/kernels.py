"""Numba kernels of the metrics: errors of vertices, and of joints after similarity alignment, in one pass each.

float64 inside, whatever comes in; called by ``formulas`` and ``surface`` through ``maps.slices.over_slices``. Every
value is summed by one thread, so the number of threads does not change any result.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SWEEPS = 50
"""Upper limit of Jacobi sweeps; a 4 × 4 matrix converges in about five."""

CONVERGED = 1e-16
"""Off-diagonal entries below this share of the largest entry are zero."""


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


@njit(cache=True, nogil=True)
def aligned_distance(source, target, out, first, past):  # type: ignore[no-untyped-def]
    """out[n, p] = ‖s·R·source + t − target‖ under the best similarity of row n (Horn 1987: never a reflection)."""
    centres = np.empty((2, 3))
    covariance, r = np.empty((3, 3)), np.empty((3, 3))
    k, v = np.empty((4, 4)), np.empty((4, 4))  # scratch, once per range
    for n in range(first, past):
        energy = _moments(source[n], target[n], centres, covariance)
        _horn_matrix(covariance, k)
        best = _diagonalise(k, v)
        scale = k[best, best] / energy if energy > 0 else 1.0
        _rotation(v[0, best], v[1, best], v[2, best], v[3, best], r)
        for p in range(source.shape[1]):
            x = np.float64(source[n, p, 0]) - centres[0, 0]
            y = np.float64(source[n, p, 1]) - centres[0, 1]
            z = np.float64(source[n, p, 2]) - centres[0, 2]
            total = 0.0
            for d in range(3):
                moved = scale * (r[d, 0] * x + r[d, 1] * y + r[d, 2] * z) + centres[1, d]
                total += (moved - np.float64(target[n, p, d])) ** 2
            out[n, p] = np.sqrt(total)


@njit(cache=True, nogil=True)
def _moments(source, target, centres, covariance):  # type: ignore[no-untyped-def]
    """Fills the centres of both sets and Σ source·targetᵀ about them; returns the source's energy about its centre."""
    points = source.shape[0]
    centres[:] = 0.0
    covariance[:] = 0.0
    for p in range(points):
        for c in range(3):
            centres[0, c] += source[p, c]
            centres[1, c] += target[p, c]
    for c in range(3):
        centres[0, c] /= points
        centres[1, c] /= points
    energy = 0.0
    for p in range(points):
        for c in range(3):
            left = np.float64(source[p, c]) - centres[0, c]
            energy += left * left
            for d in range(3):
                covariance[c, d] += left * (np.float64(target[p, d]) - centres[1, d])
    return energy


@njit(cache=True, nogil=True)
def _horn_matrix(s, k):  # type: ignore[no-untyped-def]
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


@njit(cache=True, nogil=True)
def _rotation(w, x, y, z, r):  # type: ignore[no-untyped-def]
    r[0, 0], r[0, 1], r[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    r[1, 0], r[1, 1], r[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    r[2, 0], r[2, 1], r[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)

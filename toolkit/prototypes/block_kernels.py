"""The numba kernels of one K-Means iteration: two nearest centres with bounds, and the sums of every cluster.

Serial, without the GIL, sums in a fixed order: ``certificate`` and ``statistics`` run them on blocks of rows in
threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def nearest_two(products, square, length, length32, out_index, out_first, out_second):  # type: ignore[no-untyped-def]
    """The two smallest of ‖a‖² + ‖b_k‖² − 2·a·b_k per row, ties to the lowest index.

    products (n, K) float32 a·b; square (n,) float64 ‖a‖²; length32 (K,) float32 ‖b‖², length its float64 original;
    writes index (n,) int32 and both distances (n,) float64; with K = 1 the second is infinite.
    """
    infinite = np.float32(np.inf)
    two = np.float32(2)
    for n in range(products.shape[0]):
        row = products[n]
        first, second, index = infinite, infinite, 0
        for k in range(row.shape[0]):
            value = length32[k] - two * row[k]
            if value < second:
                if value < first:
                    second, first, index = first, value, k
                else:
                    second = value
        out_index[n] = index
        out_first[n] = max(square[n] + length[index] - 2.0 * np.float64(row[index]), 0.0)
        out_second[n] = square[n] + np.float64(second)


@njit(cache=True, nogil=True)
def settle_rows(rows, points, centres, square, length, slack, label, lower, upper, candidates):  # type: ignore[no-untyped-def]
    """Bounds of all centres in float64 for the ``rows`` that float32 left open.

    points (n, d + 1), centres (K, d + 1) float64 [z, r]; square (n,), length (K,) float64; slack: rounding as a share
    of ‖a‖² + ‖b‖². Where one centre alone is left its label and bounds are written; candidates (len(rows), K) bool
    says which centres cannot be ruled out.
    """
    width = centres.shape[1]
    own = np.empty(centres.shape[0])
    for i in range(len(rows)):
        n = rows[i]
        least = np.inf
        margin = slack * (square[n] + length.max())
        for k in range(centres.shape[0]):
            total = 0.0
            for d in range(width):
                difference = np.float64(points[n, d]) - centres[k, d]
                total += difference * difference
            own[k] = total
            least = min(least, total + 4.0 * np.float64(points[n, width - 1]) * centres[k, width - 1])
        left, last = 0, 0
        for k in range(centres.shape[0]):
            candidates[i, k] = own[k] - margin <= least + margin
            if candidates[i, k]:
                left += 1
                last = k
        if left == 1:
            label[n] = last
            lower[n] = own[last]
            upper[n] = own[last] + 4.0 * np.float64(points[n, width - 1]) * centres[last, width - 1]


@njit(cache=True, nogil=True)
def cluster_sums(planes, betas, label, products, shapes, counts):  # type: ignore[no-untyped-def]
    """Add the rows' quaternion products, betas and ones to their clusters.

    planes (n, 4, J) float32 quaternion parts w, x, y, z; betas (n, B) float32; label (n,) in [0, K); products
    (K, 10, J), shapes (K, B) float64, counts (K,) int64: ww wx wy wz xx xy xz yy yz zz.
    """
    joints = planes.shape[2]
    for n in range(planes.shape[0]):
        k = label[n]
        counts[k] += 1
        for b in range(betas.shape[1]):
            shapes[k, b] += np.float64(betas[n, b])
        cell = 0
        for first in range(4):
            for second in range(first, 4):
                left, right, target = planes[n, first], planes[n, second], products[k, cell]
                for j in range(joints):
                    target[j] += np.float64(left[j]) * np.float64(right[j])
                cell += 1

"""The numba kernel behind ``rotation.markley_scatter``: sums of the ten distinct products of quaternion parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

JOINT_BLOCK = 4
"""Joints per work item: four float32 quaternions are one cache line."""


def scatter_products(
    quats: NDArray[Any], labels: NDArray[np.int64], weights: NDArray[np.float64], k: int
) -> NDArray[np.float64]:
    """(N, J, 4), (N,) in [0, k), (N,) → (k, J, 4, 4) float64; checked by the caller."""
    joints = quats.shape[1]
    blocks = -(-joints // JOINT_BLOCK)
    sums = np.zeros((blocks, k, JOINT_BLOCK, 10))
    _sum_products(quats, labels, weights, sums)
    flat = np.moveaxis(sums, 0, 1).reshape(k, blocks * JOINT_BLOCK, 10)[:, :joints]
    scatter = np.empty((k, joints, 4, 4))
    rows, columns = np.triu_indices(4)
    scatter[..., rows, columns] = flat
    scatter[..., columns, rows] = flat
    return scatter


@njit(cache=True, nogil=True, parallel=True)
def _sum_products(quats, labels, weights, sums):  # type: ignore[no-untyped-def]
    # Work is split by joints, never by rows: each sum runs over the rows in order, whatever the number of threads.
    joints = quats.shape[1]
    for block in prange(sums.shape[0]):
        start = block * JOINT_BLOCK
        stop = min(start + JOINT_BLOCK, joints)
        for n in range(quats.shape[0]):
            weight = weights[n]
            target = sums[block, labels[n]]
            for j in range(start, stop):
                w = np.float64(quats[n, j, 0])
                x = np.float64(quats[n, j, 1])
                y = np.float64(quats[n, j, 2])
                z = np.float64(quats[n, j, 3])
                cell = target[j - start]
                cell[0] += weight * w * w
                cell[1] += weight * w * x
                cell[2] += weight * w * y
                cell[3] += weight * w * z
                cell[4] += weight * x * x
                cell[5] += weight * x * y
                cell[6] += weight * x * z
                cell[7] += weight * y * y
                cell[8] += weight * y * z
                cell[9] += weight * z * z

"""What an iteration of K-Means must know about its bodies, as sums over fixed blocks of rows.

A block's ``Statistics`` say all that is needed of it: merged in the order of the blocks they give the next centres, to
the bit, wherever the blocks were computed. ``population`` makes them in threads, a remote engine in processes; only
they and the centres travel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import BETA_COUNT, JOINT_COUNT, BodyParameters
from hmrtk.toolkit.geometry.rotation import axis_angle_to_quat_wxyz, quat_wxyz_to_axis_angle, scatter_to_mean
from hmrtk.toolkit.prototypes.block_kernels import cluster_sums
from hmrtk.toolkit.prototypes.certificate import Assignment

_DIGEST = np.random.default_rng(0x9E3779B9).integers(1, 2**63, 3 + 69 + BETA_COUNT, dtype=np.uint64) | np.uint64(1)
"""Odd multipliers that turn a body's bits into one number; equal bodies get equal numbers."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over some bodies with respect to K centres.

    Attributes:
        products: (K, 10, 24) float64 Σ of the distinct products of quaternion parts (ww wx wy wz xx xy xz yy yz zz).
        betas: (K, 10) float64 Σβ.
        counts: (K,) int64 bodies per centre.
        lower, upper: Σ of the bounds of γ (m²).
        changed, certified, rechecked: bodies with another label than before, proved by bounds, compared in full.
        far_row, far_gamma, far_bodies: (F,) int64 rows, (F,) float64 γ and F bodies: the farthest distinct bodies of
            each block that has empty clusters, as many as it has; empty clusters are re-seeded from them.
    """

    products: NDArray[np.float64]
    betas: NDArray[np.float64]
    counts: NDArray[np.int64]
    lower: float
    upper: float
    changed: int
    certified: int
    rechecked: int
    far_row: NDArray[np.int64]
    far_gamma: NDArray[np.float64]
    far_bodies: BodyParameters

    @property
    def total(self) -> int:
        """Number of bodies."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """γ̄ (m²): mean of the middle of the bounds, where it is when left-out parts are uncorrelated."""
        return 0.5 * (self.lower + self.upper) / self.total


def quaternion_planes(parameters: BodyParameters) -> NDArray[np.float32]:
    """(N, 4, 24) float32: parts w, x, y, z of the unit quaternions of all joints; what ``block_statistics`` sums."""
    return np.ascontiguousarray(np.swapaxes(axis_angle_to_quat_wxyz(parameters.pose), 1, 2))


def block_statistics(
    parameters: BodyParameters,
    planes: NDArray[np.float32],
    assignment: Assignment,
    rows: slice,
    before: NDArray[np.int32] | None = None,
    first_row: int = 0,
) -> Statistics:
    """Statistics of the bodies ``rows``, which are one block (``features.blocks``).

    How many of a single block were proved or compared in full is not known: the block that starts at row 0 of
    ``assignment`` carries these two numbers for all.

    Args:
        parameters: N bodies; planes: (N, 4, 24) float32, their ``quaternion_planes``.
        assignment: their nearest centres.
        before: (N,) labels of the iteration before; None counts every label as changed.
        first_row: what is added to a row of ``parameters`` to give its row among all bodies.
    """
    k = len(assignment.counts)
    label = assignment.label[rows]
    products, betas, counts = cluster_room(k)
    cluster_sums(planes[rows], parameters.betas[rows], label, products, betas, counts)
    changed = len(label) if before is None else int(np.count_nonzero(label != before[rows]))
    far = _farthest(parameters, assignment, rows, int(np.count_nonzero(counts == 0)))
    proved, compared = (assignment.certified, assignment.rechecked) if rows.start == 0 else (0, 0)
    return Statistics(
        products,
        betas,
        counts,
        float(assignment.lower[rows].sum()),
        float(assignment.upper[rows].sum()),
        changed,
        proved,
        compared,
        far + first_row,
        assignment.lower[far],
        parameters[far],
    )


def merge(parts: Iterable[Statistics]) -> Statistics:
    """Statistics of all bodies of ``parts``, which come in the order of their blocks: float64 sums depend on it."""
    parts = iter(parts)
    first = next(parts)
    products, betas, counts = first.products.copy(), first.betas.copy(), first.counts.copy()
    numbers = np.array([first.lower, first.upper])
    whole = np.array([first.changed, first.certified, first.rechecked])
    rows, gamma, bodies = [first.far_row], [first.far_gamma], [first.far_bodies]
    for part in parts:
        products += part.products
        betas += part.betas
        counts += part.counts
        numbers += (part.lower, part.upper)
        whole += (part.changed, part.certified, part.rechecked)
        rows.append(part.far_row)
        gamma.append(part.far_gamma)
        bodies.append(part.far_bodies)
    far = (np.concatenate(rows), np.concatenate(gamma), BodyParameters.concatenate(bodies))
    lower, upper = (float(value) for value in numbers)
    changed, certified, rechecked = (int(value) for value in whole)
    return Statistics(products, betas, counts, lower, upper, changed, certified, rechecked, *far)


def centres_from(statistics: Statistics, fallback: BodyParameters) -> BodyParameters:
    """The mean body of each of K clusters; see ``mean_bodies``."""
    return mean_bodies(scatter_of(statistics.products), statistics.betas, statistics.counts, fallback)


def mean_bodies(
    scatter: NDArray[np.float64], betas: NDArray[np.float64], counts: NDArray[np.int64], fallback: BodyParameters
) -> BodyParameters:
    """Mean bodies of K clusters: arithmetic mean of betas, Markley mean of each joint (PM-Net Eq. 1).

    Args:
        scatter: (K, 24, 4, 4) Σqqᵀ; betas: (K, 10) Σβ; counts: (K,).
        fallback: K bodies; an empty cluster keeps its body from here (the mean of nothing is not a rotation).
    """
    pose = quat_wxyz_to_axis_angle(scatter_to_mean(scatter)[0]).astype(np.float32)  # (K, 24, 3)
    shape = (betas / np.maximum(counts, 1)[:, None]).astype(np.float32)
    filled = counts > 0
    return fallback.replaced(
        global_orient=np.where(filled[:, None], pose[:, 0], fallback.global_orient),
        body_pose=np.where(filled[:, None, None], pose[:, 1:], fallback.body_pose),
        betas=np.where(filled[:, None], shape, fallback.betas),
    )


def cluster_room(k: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Zeros for ``block_kernels.cluster_sums``: products (K, 10, 24), betas (K, 10), counts (K,)."""
    return np.zeros((k, 10, JOINT_COUNT)), np.zeros((k, BETA_COUNT)), np.zeros(k, np.int64)


def scatter_of(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, 10, 24) distinct products → (K, 24, 4, 4) Σqqᵀ."""
    scatter = np.empty((len(products), JOINT_COUNT, 4, 4))
    rows, columns = np.triu_indices(4)
    scatter[..., rows, columns] = scatter[..., columns, rows] = np.swapaxes(products, 1, 2)
    return scatter


def body_digest(parameters: BodyParameters) -> NDArray[np.uint64]:
    """(N,) one number for each body's bits, its translation left out: equal bodies have equal numbers."""
    parts = (parameters.global_orient, parameters.body_pose.reshape(-1, 69), parameters.betas)
    bits = np.concatenate(parts, axis=1).view(np.uint32).astype(np.uint64)
    return (bits * _DIGEST).sum(axis=1, dtype=np.uint64)


def _farthest(parameters: BodyParameters, assignment: Assignment, rows: slice, wanted: int) -> NDArray[np.int64]:
    """The ``wanted`` distinct bodies of a block farthest from their centres, beyond rounding; farthest first."""
    if not wanted:
        return np.empty(0, np.int64)
    far = assignment.lower[rows]
    beyond = np.flatnonzero(far > assignment.rounding[rows])
    order = beyond[np.argsort(-far[beyond], kind="stable")] + rows.start
    taken = 2 * wanted
    while True:
        first = np.unique(body_digest(parameters[order[:taken]]), return_index=True)[1]
        if len(first) >= wanted or taken >= len(order):
            return order[np.sort(first)[:wanted]]
        taken *= 2

"""Cluster centres: where they start, what becomes of empty ones, and the mean of all (PM-Net §III-C, 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.geometry.rotation import scatter_to_mean
from hmrtk.toolkit.prototypes.block_kernels import cluster_sums
from hmrtk.toolkit.prototypes.features import BLOCK, Threads, blocks
from hmrtk.toolkit.prototypes.statistics import (
    Statistics,
    body_digest,
    cluster_room,
    mean_bodies,
    quaternion_planes,
    scatter_of,
)

INITS = ("random", "k-means++")
ROOT_GAP = 0.1
"""Below this spectral gap of the root's scatter, (λ1 − λ2)/trace, no mean heading exists: people face all ways."""
FACING_CAMERA = (np.pi, 0.0, 0.0)
"""Root of SPIN's mean parameters: upright, facing a camera whose y points down."""


Points = NDArray[np.float32] | int
"""(N, D) vectors whose distances approximate the bodies', or N alone where no such vectors are at hand."""


def initial_rows(coordinates: Points, k: int, init: str, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of the K bodies that are the first centres, all different.

    Args:
        coordinates: (N, D) float32 vectors whose distances approximate the bodies' (``k-means++`` needs them; for
            ``random`` the number N is enough).
        init: ``random`` (PM-Net) or ``k-means++`` (Arthur and Vassilvitskii 2007: each next centre is drawn with
            probability proportional to its squared distance to the nearest one so far).

    Raises:
        UnknownNameError: another ``init``.
    """
    if init not in INITS:
        raise UnknownNameError("initialisation", init, INITS)
    n = coordinates if isinstance(coordinates, int) else len(coordinates)
    if init == "random" or isinstance(coordinates, int):
        return rng.choice(n, k, replace=False)
    rows = [int(rng.integers(n))]
    nearest = np.full(n, np.inf)
    while len(rows) < k:
        _approach(coordinates, rows[-1], nearest)
        nearest[rows] = 0
        total = nearest.sum()
        left = np.setdiff1d(np.arange(n), rows) if total == 0 else None
        rows.append(int(rng.choice(n, p=nearest / total) if left is None else rng.choice(left)))
    return np.array(rows)


def _approach(coordinates: NDArray[np.float32], row: int, nearest: NDArray[np.float64]) -> None:
    """Lower ``nearest`` (N,) to the squared distances to ``row``."""

    def work(part: slice) -> None:
        difference = coordinates[part] - coordinates[row]
        square = np.einsum("nd,nd->n", difference, difference, dtype=np.float64)
        np.minimum(nearest[part], square, out=nearest[part])

    with Threads() as threads:
        threads.each_fixed(work, len(coordinates), BLOCK)


def singular_parameters(parameters: BodyParameters) -> tuple[BodyParameters, str]:
    """The mean of all bodies, and where its root comes from.

    With headings all round, the two largest eigenvalues of the root's scatter are nearly equal and its Markley mean is
    an accident. When their gap is below ``ROOT_GAP`` the root is ``FACING_CAMERA`` and the second result
    ``facing-camera``; otherwise it is ``markley``.
    """
    rows, (products, betas, counts) = blocks(len(parameters)), cluster_room(1)

    def planes(part: slice) -> NDArray[np.float32]:
        return quaternion_planes(parameters[part])

    with Threads() as threads:
        for part, turned in zip(rows, threads.ordered(planes, rows), strict=True):
            label = np.zeros(len(turned), np.int32)
            cluster_sums(turned, parameters.betas[part], label, products, betas, counts)
    scatter = scatter_of(products)  # (1, 24, 4, 4)
    mean = mean_bodies(scatter, betas, counts, BodyParameters.zeros(1))
    if scatter_to_mean(scatter)[1][0, 0] < ROOT_GAP:
        return mean.replaced(global_orient=np.array([FACING_CAMERA])), "facing-camera"
    return mean, "markley"


def reseed_empty(centres: BodyParameters, statistics: Statistics) -> tuple[BodyParameters, int]:
    """Put empty clusters onto the bodies farthest from their centres, all different; returns how many were moved.

    An empty cluster stays where it is when no body is left that is farther than rounding from its own centre: there are
    then fewer distinct bodies than clusters.
    """
    empty = np.flatnonzero(statistics.counts == 0)
    if not len(empty):
        return centres, 0
    order = np.lexsort((statistics.far_row, -statistics.far_gamma))
    first = np.unique(body_digest(statistics.far_bodies[order]), return_index=True)[1]
    chosen = order[np.sort(first)[: len(empty)]]
    moved = BodyParameters.concatenate([centres, without_translation(statistics.far_bodies[chosen])])
    where = np.arange(len(centres))
    where[empty[: len(chosen)]] = len(centres) + np.arange(len(chosen))
    return moved[where], len(chosen)


def without_translation(parameters: BodyParameters) -> BodyParameters:
    """The same bodies at the origin: a centre is a pose and a shape, not a place."""
    return parameters.replaced(transl=np.zeros_like(parameters.transl))

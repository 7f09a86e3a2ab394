"""The assignment step, exact and cheap: which centre is nearest to each body in all 20 670 weighted coordinates.

``projection`` gives each body d + 1 numbers whose squared distance is a lower bound of the true one; adding 4·r·r'
makes it an upper bound. FAISS finds the two smallest lower bounds of each body. If the upper bound of the first is
below the second lower bound, with a margin for rounding, the first is proved to be the nearest. The few bodies without
a proof are posed again and compared in full, in float64, with every centre the bounds cannot rule out. Ties go to the
lowest index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.prototypes.features import CHUNK, Threads, pose_prototypes, stream_vertices
from hmrtk.toolkit.prototypes.projection import VertexSpace
from hmrtk.toolkit.prototypes.search import CentreSearch
from hmrtk.toolkit.prototypes.vertex_kernels import nearest_among

MARGIN = 2e-5
"""Rounding of a float32 distance as a share of ‖a‖² + ‖b‖²: covers the worst case of sums of up to 150 terms."""
FLOAT32_ROUNDING = 2.0**-24
BLOCK_ENTRIES = 2_000_000
"""Body-centre pairs whose bounds are held at a time when proofs are completed: 16 MB."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """Nearest centres of N bodies.

    Attributes:
        label: (N,) int32, exact.
        lower, upper: (N,) float64, bounds of γ to that centre (m²); equal where it was computed in full.
        rounding: (N,) float64, how far the bounds themselves may be off.
        certified: number of bodies proved by the bounds.
        rechecked: number of bodies posed again and compared in full.
        counts: (K,) bodies per centre.
    """

    label: NDArray[np.int32]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    rounding: NDArray[np.float64]
    certified: int
    rechecked: int
    counts: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """γ̄: mean of the middle of the bounds, where the true mean is when left-out parts are uncorrelated."""
        return float((0.5 * (self.lower + self.upper)).mean())


class ExactAssigner:
    """Assigns the same bodies again and again to moving centres.

    Args:
        space: where bodies are compared.
        parameters: the N bodies; posed again only where the bounds decide nothing.
        coordinates: (N, d + 1) float32, ``space.project(parameters)``.
        device: for FAISS, see ``search.resolve_device``.
        chunk: bodies posed at a time.
    """

    def __init__(
        self,
        space: VertexSpace,
        parameters: BodyParameters,
        coordinates: NDArray[np.float32],
        device: str = "auto",
        chunk: int = CHUNK,
    ) -> None:
        self.space, self.parameters, self.coordinates, self.chunk = space, parameters, coordinates, chunk
        self.square = np.einsum("nd,nd->n", coordinates, coordinates, dtype=np.float64)
        self.search = CentreSearch(coordinates.shape[1], device)
        self.margin = max(MARGIN, 2.5 * (coordinates.shape[1] + 4) * FLOAT32_ROUNDING)

    def assign(self, centres: BodyParameters) -> Assignment:
        """The nearest of K centres for every body."""
        with Threads():
            return self._assign(centres)

    def _assign(self, centres: BodyParameters) -> Assignment:
        posed = pose_prototypes(self.space.body, centres)  # (K, 6890, 3)
        reduced = self.space.project_vertices(posed)  # (K, d + 1)
        found, index = self.search.nearest(reduced, self.coordinates, min(2, len(centres)))
        label = index[:, 0].astype(np.int32)
        lower = np.maximum(found[:, 0].astype(np.float64), 0)
        spread = 4.0 * self.coordinates[:, -1].astype(np.float64) * reduced[label, -1]
        upper = lower + spread
        largest = np.einsum("kd,kd->k", reduced, reduced, dtype=np.float64).max()
        rounding = self.margin * (self.square + largest)
        second = found[:, 1].astype(np.float64) if len(centres) > 1 else np.inf
        open_rows = np.flatnonzero(~(upper + rounding < second - rounding))
        rechecked = 0
        for start in range(0, len(open_rows), max(1, BLOCK_ENTRIES // len(centres))):
            rows = open_rows[start : start + max(1, BLOCK_ENTRIES // len(centres))]
            rechecked += self._complete(rows, posed, reduced, label, lower, upper)
        counts = np.bincount(label, minlength=len(centres))
        return Assignment(label, lower, upper, rounding, len(label) - rechecked, rechecked, counts)

    def _complete(
        self,
        rows: NDArray[np.intp],
        posed: NDArray[np.float32],
        reduced: NDArray[np.float32],
        label: NDArray[np.int32],
        lower: NDArray[np.float64],
        upper: NDArray[np.float64],
    ) -> int:
        """Decide the open ``rows``: bounds of all centres in float64, then in full; returns how many were posed."""
        bound, top = self._bounds(rows, reduced)
        slack = 16 * FLOAT32_ROUNDING * (self.square[rows] + (reduced.astype(np.float64) ** 2).sum(axis=1).max())
        candidates = bound - slack[:, None] <= (top.min(axis=1) + slack)[:, None]  # (n, K)
        alone = candidates.sum(axis=1) == 1
        proved, winner = rows[alone], candidates[alone].argmax(axis=1)
        label[proved] = winner
        lower[proved], upper[proved] = bound[alone, winner], top[alone, winner]
        rest = np.flatnonzero(~alone)
        if len(rest):
            label[rows[rest]], gamma = self._compare(rows[rest], posed, candidates[rest])
            lower[rows[rest]] = upper[rows[rest]] = gamma
        return len(rest)

    def _bounds(
        self, rows: NDArray[np.intp], reduced: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper bounds (n, K) of γ in float64."""
        a, b = self.coordinates[rows].astype(np.float64), reduced.astype(np.float64)
        square = np.einsum("nd,nd->n", a, a)[:, None] + np.einsum("kd,kd->k", b, b)
        lower = np.maximum(square - 2 * (a @ b.T), 0)
        return lower, lower + 4 * a[:, -1:] * b[:, -1]

    def _compare(
        self, rows: NDArray[np.intp], posed: NDArray[np.float32], candidates: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Nearest candidate of the bodies ``rows`` in full; label (n,) and γ (n,)."""
        return nearest_in_full(self.space, self.parameters[rows], posed, candidates, self.chunk)


def nearest_in_full(
    space: VertexSpace,
    parameters: BodyParameters,
    posed: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    chunk: int = CHUNK,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Pose n bodies and compare each with its candidate centres (n, K) of ``posed`` (K, 6890, 3), in float64.

    Returns:
        label (n,) int32, the lowest index among equals, and γ (n,) float64, m².
    """
    label, gamma = np.zeros(len(parameters), np.int32), np.empty(len(parameters))
    squares = space.squares
    with Threads() as threads:
        for rows, vertices in stream_vertices(space.body, parameters, chunk):
            part = (candidates[rows], label[rows], gamma[rows])

            def work(s: slice, vertices: NDArray[np.float32] = vertices, part: tuple = part) -> None:
                nearest_among(vertices[s], posed, squares, *(array[s] for array in part))

            threads.each_slice(work, len(vertices))
    return label, gamma

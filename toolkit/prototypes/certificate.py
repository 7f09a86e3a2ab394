"""The assignment step, exact and cheap: which centre is nearest to each body in all 20 670 weighted coordinates.

``projection`` gives each body d + 1 numbers whose squared distance is a lower bound of the true one; adding 4·r·r'
makes it an upper bound. A search finds the two smallest lower bounds of each body. If the upper bound of the first is
below the second lower bound, with a margin for rounding, the first is proved to be the nearest. The few bodies without
a proof are posed again and compared in full, in float64, with every centre the bounds cannot rule out. Ties go to the
lowest index.

Rows are searched in fixed blocks, so every number is the same to the bit whatever the number of threads, and whether
all bodies are held here or only a run of whole blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.prototypes.block_kernels import nearest_two, settle_rows
from hmrtk.toolkit.prototypes.features import BLOCK, CHUNK, Threads, blocks, pose_prototypes, stream_vertices
from hmrtk.toolkit.prototypes.projection import VertexSpace
from hmrtk.toolkit.prototypes.search import CentreSearch
from hmrtk.toolkit.prototypes.vertex_kernels import nearest_among

MARGIN = 2e-5
"""Rounding of a float32 distance as a share of ‖a‖² + ‖b‖²: covers the worst case of sums of up to 150 terms."""
FLOAT32_ROUNDING = 2.0**-24
SETTLE_SLACK = 16 * FLOAT32_ROUNDING
"""The same where sums run in float64: what is left is the rounding of the coordinates."""
PENDING_ENTRIES = 4_000_000
"""Body-centre pairs kept at a time while bodies wait for their full comparison: 4 MB."""
PRODUCT_ENTRIES = 65_536
"""Body-centre pairs whose products one thread holds at a time: 256 kB, within its own cache."""


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

    @classmethod
    def empty(cls, n: int) -> Assignment:
        """Room for the answers of ``n`` bodies."""
        numbers = (np.empty(n), np.empty(n), np.empty(n))
        return cls(np.zeros(n, np.int32), *numbers, 0, 0, np.zeros(0, np.int64))

    @property
    def mean(self) -> float:
        """γ̄: mean of the middle of the bounds, where the true mean is when left-out parts are uncorrelated."""
        return float((0.5 * (self.lower + self.upper)).mean())


class ExactAssigner:
    """Assigns the same bodies again and again to moving centres.

    On a GPU the search is FAISS. On the CPU it is a matrix product per block and one pass over it, which is two to five
    times as fast as FAISS's flat index for so few centres and vectors so short, unless FAISS is asked for.

    Args:
        space: where bodies are compared.
        parameters: the N bodies; posed again only where the bounds decide nothing.
        coordinates: (N, d + 1) float32, ``space.project(parameters)``.
        device: where to search, see ``search.resolve_device``.
        chunk: bodies posed at a time.
        by_faiss: let FAISS search on the CPU, too.
    """

    def __init__(
        self,
        space: VertexSpace,
        parameters: BodyParameters,
        coordinates: NDArray[np.float32],
        device: str = "auto",
        chunk: int = CHUNK,
        by_faiss: bool = False,
    ) -> None:
        self.space, self.parameters, self.coordinates, self.chunk = space, parameters, coordinates, chunk
        self.square = np.einsum("nd,nd->n", coordinates, coordinates, dtype=np.float64)
        self.search = CentreSearch(coordinates.shape[1], device)
        self.by_faiss = by_faiss or self.search.device == "cuda"
        self.margin = max(MARGIN, 2.5 * (coordinates.shape[1] + 4) * FLOAT32_ROUNDING)

    @property
    def device(self) -> str:
        """What searches: ``cpu`` or ``cuda``."""
        return self.search.device

    def assign(self, centres: BodyParameters) -> Assignment:
        """The nearest of K centres for every body."""
        n = len(self.coordinates)
        posed = pose_prototypes(self.space.body, centres)  # (K, 6890, 3)
        reduced = self.space.project_vertices(posed)  # (K, d + 1)
        sweep = _Sweep(self, reduced, Assignment.empty(n))
        if self.by_faiss:
            sweep.found = self.search.nearest(reduced, self.coordinates, min(2, len(centres)))
        pending: list[tuple[NDArray[np.intp], NDArray[np.bool_]]] = []
        rechecked = 0
        with Threads() as threads:
            for block in threads.ordered(sweep.bound, blocks(n)):
                pending.append(block)
                if sum(candidates.size for _, candidates in pending) > PENDING_ENTRIES:
                    rechecked += self._compare(pending, posed, sweep.out)
                    pending = []
        rechecked += self._compare(pending, posed, sweep.out)
        counts = np.bincount(sweep.out.label, minlength=len(centres))
        return replace(sweep.out, certified=n - rechecked, rechecked=rechecked, counts=counts)

    def _compare(
        self, pending: list[tuple[NDArray[np.intp], NDArray[np.bool_]]], posed: NDArray[np.float32], out: Assignment
    ) -> int:
        """Decide in full what the bounds left open; returns how many bodies were posed."""
        rows = np.concatenate([rows for rows, _ in pending]) if pending else np.empty(0, np.intp)
        if len(rows):
            candidates = np.concatenate([candidates for _, candidates in pending])
            bodies = self.parameters[rows]
            out.label[rows], gamma = nearest_in_full(self.space, bodies, posed, candidates, self.chunk)
            out.lower[rows] = out.upper[rows] = gamma
        return len(rows)


class _Sweep:
    """One assignment of all rows to the same centres: what the blocks share."""

    def __init__(self, assigner: ExactAssigner, reduced: NDArray[np.float32], out: Assignment) -> None:
        self.points, self.square, self.margin = assigner.coordinates, assigner.square, assigner.margin
        self.reduced, self.out = reduced, out
        self.exact = reduced.astype(np.float64)
        self.length = np.einsum("kd,kd->k", self.exact, self.exact)
        self.length32 = self.length.astype(np.float32)
        self.step = max(64, min(BLOCK, PRODUCT_ENTRIES // len(reduced)))
        self.found: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None

    def bound(self, rows: slice) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Labels and bounds of a block; returns the rows still open (m,) and their candidate centres (m, K)."""
        label, lower = self.out.label[rows], self.out.lower[rows]
        second = np.empty(len(label))
        if self.found is None:
            self._search(rows, label, lower, second)
        else:
            distance, index = (array[rows] for array in self.found)
            label[...], lower[...] = index[:, 0], np.maximum(distance[:, 0], 0)
            second[...] = distance[:, 1] if distance.shape[1] > 1 else np.inf
        upper, rounding = self.out.upper[rows], self.out.rounding[rows]
        upper[...] = lower + 4.0 * self.points[rows, -1].astype(np.float64) * self.exact[label, -1]
        rounding[...] = self.margin * (self.square[rows] + self.length.max())
        wanting = np.flatnonzero(~(upper + rounding < second - rounding))
        candidates = np.empty((len(wanting), len(self.length)), np.bool_)
        block = (self.points[rows], self.exact, self.square[rows], self.length, SETTLE_SLACK, label, lower, upper)
        settle_rows(wanting, *block, candidates)
        left = candidates.sum(axis=1) > 1
        return wanting[left] + rows.start, candidates[left]

    def _search(
        self, rows: slice, label: NDArray[np.int32], first: NDArray[np.float64], second: NDArray[np.float64]
    ) -> None:
        points, square = self.points[rows], self.square[rows]
        products = np.empty((self.step, len(self.length)), np.float32)
        for start in range(0, len(points), self.step):
            part = slice(start, min(start + self.step, len(points)))
            found = np.matmul(points[part], self.reduced.T, out=products[: part.stop - start])
            results = (label[part], first[part], second[part])
            nearest_two(found, square[part], self.length, self.length32, *results)


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

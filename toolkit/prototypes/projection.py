"""Weighted vertices in a few numbers per body: principal coordinates z and the length r of what they leave out.

For a body x (20 670 weighted coordinates) and an orthonormal basis P with mean μ, z = Pᵀ(x − μ) and r = ‖x − μ − Pz‖.
Two bodies then satisfy ‖z − z'‖² + (r − r')² ≤ ‖x − x'‖² ≤ ‖z − z'‖² + (r + r')², because the left-out parts can at
best be parallel and at worst be opposite. ``certificate`` builds exact assignments on this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.features import CHUNK, Threads, stream_vertices
from hmrtk.toolkit.prototypes.vertex_kernels import weighted_offsets

SAMPLE = 2048
"""Bodies the basis is fitted on."""
HELD_OUT = 256
"""Of these, bodies kept back to see how much the basis leaves out of bodies it has not seen."""
MAX_DIMS = (128, 256)
"""How many directions are computed; the second only where the first leave out too much."""
TARGET_RESIDUAL = 2e-4
"""Share of the energy that may be left out. On real motion .02 % leaves about one body in a thousand unproved."""
PROJECTED_ROWS = 64
"""Bodies per matrix product of the projection; its rounding depends on this number alone."""
PANEL = 1378
"""Vertices per matrix product: a fifth of a body; 2 MB of bodies in float64, which stay in a thread's own cache."""
OVERSAMPLING = 16
POWER_ITERATIONS = 1


@dataclass(frozen=True, eq=False)
class VertexSpace:
    """Where bodies are compared: a body model, a weight per vertex, and the basis bodies are projected on.

    Attributes:
        body: poses the bodies.
        weights: (6890,) float64, multiply the vertex differences before squaring (PM-Net Algorithm 1, line 11).
        mean: (20670,) float64, of the weighted vertices.
        basis: (20670, d) float64, orthonormal columns.
        residual: share of the energy of held-out bodies that the basis leaves out.
    """

    body: BodyModel
    weights: NDArray[np.float64]
    mean: NDArray[np.float64]
    basis: NDArray[np.float64]
    residual: float

    @property
    def dims(self) -> int:
        return self.basis.shape[1]

    @property
    def squares(self) -> NDArray[np.float64]:
        """(6890,) squared weights, as γ uses them."""
        return self.weights**2

    def project(
        self, parameters: BodyParameters, chunk: int = CHUNK, progress: Progress = silent
    ) -> NDArray[np.float32]:
        """N bodies → (N, d + 1) float32 [z, r], each coordinate right to float32 rounding; sums run in float64.

        Args:
            chunk: bodies posed at a time, rounded up to a multiple of ``PROJECTED_ROWS``; does not change a bit. Nor
                does projecting runs of whole blocks (``features.blocks``) one by one.
        """
        coordinates = np.empty((len(parameters), self.dims + 1), np.float32)
        chunk = -(-chunk // PROJECTED_ROWS) * PROJECTED_ROWS
        with Threads() as threads:
            for rows, vertices in stream_vertices(self.body, parameters, chunk):
                self._project_vertices(threads, vertices, coordinates[rows])
                progress("posing and projecting bodies", rows.stop, len(parameters))
        return coordinates

    def project_vertices(self, vertices: NDArray[np.float32]) -> NDArray[np.float32]:
        """(K, 6890, 3) float32 posed vertices → (K, d + 1) float32 [z, r]."""
        coordinates = np.empty((len(vertices), self.dims + 1), np.float32)
        with Threads() as threads:
            for start in range(0, len(vertices), CHUNK):
                rows = slice(start, start + CHUNK)
                self._project_vertices(threads, vertices[rows], coordinates[rows])
        return coordinates

    def _project_vertices(
        self, threads: Threads, vertices: NDArray[np.float32], coordinates: NDArray[np.float32]
    ) -> None:
        width = len(self.weights)

        def work(rows: slice) -> None:
            offsets = np.empty((rows.stop - rows.start, 3 * PANEL))
            z, square = np.zeros((len(offsets), self.dims)), np.zeros(len(offsets))
            for start in range(0, width, PANEL):
                part, cells = slice(start, start + PANEL), slice(3 * start, 3 * min(start + PANEL, width))
                panel = offsets[:, : cells.stop - cells.start]
                weighted_offsets(vertices[rows, part], self.weights[part], self.mean[cells], panel)
                z += panel @ self.basis[cells]
                square += np.einsum("nd,nd->n", panel, panel)
            coordinates[rows, :-1] = z
            left = square - np.einsum("nd,nd->n", z, z)
            coordinates[rows, -1] = np.sqrt(np.maximum(left, 0))

        threads.each_fixed(work, len(vertices), PROJECTED_ROWS)


def fit_space(
    body: BodyModel,
    parameters: BodyParameters,
    weights: NDArray[np.floating],
    rng: np.random.Generator,
    dims: int | None = None,
) -> VertexSpace:
    """Fit mean and basis on a sample of the bodies.

    Args:
        weights: (6890,) vertex weights.
        rng: chooses the sample and starts the subspace iteration. Labels do not depend on it, only their cost does.
        dims: number of directions; None takes the fewest (in steps of 16, at most 256) that leave at most .02 % of the
            energy of held-out bodies.
    """
    exact: NDArray[np.float64] = np.ascontiguousarray(weights, np.float64)
    chosen = np.sort(rng.choice(len(parameters), min(SAMPLE, len(parameters)), replace=False))
    sample = np.empty((len(chosen), 3 * len(exact)), np.float32)
    for rows, vertices in stream_vertices(body, parameters[chosen]):
        np.multiply(vertices, exact[:, None], out=sample[rows].reshape(vertices.shape), casting="same_kind")
    mean: NDArray[np.float64] = sample.mean(axis=0, dtype=np.float64)
    sample -= mean.astype(np.float32)
    held_out = HELD_OUT if len(sample) >= 4 * HELD_OUT else 0
    order = rng.permutation(len(sample))
    fitted, tested = sample[order[held_out:]], sample[order[:held_out] if held_out else order]
    del sample  # 169 MB that the fit does not need twice
    with Threads() as threads:
        for most in (dims,) if dims else MAX_DIMS:
            basis = principal_directions(threads, fitted, min(most, len(fitted)), rng)
            left = _left_out(threads, tested, basis)
            if left[-1] <= TARGET_RESIDUAL:
                break
    count = basis.shape[1] if dims else _fewest(left)
    return VertexSpace(body, exact, mean, np.ascontiguousarray(basis[:, :count]), float(left[count - 1]))


def principal_directions(
    threads: Threads, centred: NDArray[np.float32], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The first ``count`` principal directions of centred rows (m, D), as orthonormal columns (D, count) float64.

    Randomised subspace iteration (Halko, Martinsson, Tropp 2011, algorithm 4.4). The columns are orthonormal to float64
    rounding whatever the data, which is all that exactness needs; how principal they are decides only how much they
    explain.
    """
    width = len(centred)
    rank = min(width, count + OVERSAMPLING)
    inner = rng.standard_normal((width, rank)).astype(np.float32) if rank < width else np.eye(width, dtype=np.float32)
    for _ in range(1 + POWER_ITERATIONS if rank < width else 1):
        basis = np.linalg.qr(threads.product(centred.T, inner).astype(np.float64))[0]
        inner = threads.product(centred, basis.astype(np.float32))
    _, vectors = np.linalg.eigh(inner.T.astype(np.float64) @ inner)
    return threads.product(basis, vectors[:, ::-1][:, :count])


def _left_out(threads: Threads, rows: NDArray[np.float32], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d,) share of the rows' energy outside the first 1, 2, … d directions; 0 when the rows are all zero."""
    total = float(np.einsum("nd,nd->", rows, rows, dtype=np.float64))
    z = threads.product(rows, basis.astype(np.float32)).astype(np.float64)
    kept = np.cumsum(np.einsum("nd,nd->d", z, z))
    return np.maximum(1 - kept / total, 0) if total > 0 else np.zeros(basis.shape[1])


def _fewest(left: NDArray[np.float64]) -> int:
    steps = [*range(16, len(left), 16), len(left)]
    return next((d for d in steps if left[d - 1] <= TARGET_RESIDUAL), len(left))

"""UV space: a square picture of the whole surface, and the location map, which holds a 3D point in every texel.

In: posed vertices. Out: location maps (N, 3, S, S), and vertices read back from such maps. Called by ``assignment``,
``warp``, ``shards`` and the networks of Best of Both (§3.1) and DecoMR, whose UV_l this is.

Texel (row i, column j) of an S x S map stands for u = (j + 0.5) / S, v = (i + 0.5) / S: texels are pixels, their
centres at + 0.5 (for torch: ``grid_sample(…, align_corners=False)``). DecoMR puts the corners of the square on texel
centres instead; on the packaged atlas that reads back a tenth worse, and at 56 px a quarter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.kernels import BACKGROUND
from hmrtk.toolkit.maps.raster import barycentric, rasterize, wound_for_view
from hmrtk.toolkit.maps.slices import over_slices

PRIOR = 0.01
"""Weight of the bilinear reading beside the texels in ``fitted_vertices``; a texel's own weights sum to 1."""


class UVSpace:
    """Where every texel of an S x S map lies on the body's surface; made once, used for all bodies.

    A texel belongs to the face that its centre lies in (rules of ``raster``: on an edge, the lowest). Faces smaller
    than a texel may own none; their vertices are still read back, from the texels around them.

    Args:
        atlas: a one-piece or island layout: every chart number is 1.
        size: S, texels.
        dilate: texels by which the filled area grows past the seams; a texel that far outside takes the value of the
            nearest texel inside. ``vertices`` does not need it: it ignores empty texels.

    Raises:
        InputError: an atlas of several charts (they would lie on top of each other), or a size below 2.
    """

    def __init__(self, atlas: Atlas, size: int, dilate: int = 0) -> None:
        if (atlas.chart != 1).any():
            raise InputError(f"atlas {atlas.name!r}", "has several charts, a UV space needs a one-piece atlas")
        if size < 2 or dilate < 0:
            raise InputError("UV space", f"expected size >= 2 and dilate >= 0, got {size} and {dilate}")
        self.atlas, self.size, self.dilate = atlas, size, dilate
        corner_texel = np.column_stack([atlas.corner_uv.astype(np.float64) * size, np.ones(len(atlas.corner_uv))])
        faces = wound_for_view(corner_texel, atlas.corner_faces)
        self.face = rasterize(corner_texel, faces, size)
        """(S, S) int32 the face in each texel, -1 outside; faces count as in the atlas."""
        self.mask: NDArray[np.bool_] = self.face != BACKGROUND
        """(S, S) bool, texels on the surface."""
        self.weights = barycentric(corner_texel, faces, self.face).astype(np.float32)
        """(S, S, 3) float32, what each of the three vertices adds to the texel; zeros outside."""
        self.vertices_of_texel: NDArray[np.int32] = atlas.corner_vertices[faces][self.face]
        """(S, S, 3) int32 the vertices that ``weights`` belong to; not meaningful outside."""
        self.filled = self.mask
        """(S, S) bool, texels that hold a value: ``mask`` and its dilation."""
        if dilate:
            self._grow(dilate)

    def _grow(self, reach: int) -> None:
        from scipy.ndimage import distance_transform_edt

        distance, (rows, cols) = distance_transform_edt(~self.mask, return_indices=True)
        self.filled = distance < reach + 0.5
        self.weights, self.vertices_of_texel = self.weights[rows, cols], self.vertices_of_texel[rows, cols]

    @cached_property
    def _tables(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.float32], NDArray[np.uint32]]:
        """Filled texels (T,), their vertices (T, 3) and weights (T, 3), and the empty texels.

        Indices are unsigned: numba then leaves out its test for negative ones, which costs a fifth of the time.
        """
        flat = self.filled.ravel()
        inside = np.flatnonzero(flat).astype(np.uint32)
        vertices = self.vertices_of_texel.reshape(-1, 3)[inside].astype(np.uint32)
        weights = np.ascontiguousarray(self.weights.reshape(-1, 3)[inside])
        return inside, vertices, weights, np.flatnonzero(~flat).astype(np.uint32)

    def location(
        self,
        vertices: NDArray[np.floating[Any]],
        root: ArrayLike,
        out: NDArray[np.float32] | None = None,
        threads: int | None = None,
    ) -> NDArray[np.float32]:
        """Location maps.

        Args:
            vertices: (N, V, 3) metres, any frame.
            root: (N, 3) metres in the same frame, subtracted: the pelvis, ``body.joints[:, 0]``.
            out: (N, 3, S, S) float32, contiguous, to write into; at 256 px fresh memory costs as much as the maps.
            threads: default: all cores this process may use.

        Returns:
            (N, 3, S, S) float32 metres relative to the root; zeros outside the filled texels.

        Raises:
            InputError: wrong shapes, or a body of another topology.
        """
        roots = np.ascontiguousarray(root, np.float32)
        if vertices.ndim != 3 or vertices.shape[2] != 3 or roots.shape != (len(vertices), 3):
            raise InputError(
                "location map", f"expected vertices (N, V, 3) and root (N, 3), got {vertices.shape} and {roots.shape}"
            )
        self.atlas.check_body(vertices.shape[1])
        bodies = np.ascontiguousarray(vertices, np.float32)
        shape = (len(bodies), 3, self.size, self.size)
        maps = np.empty(shape, np.float32) if out is None else out
        if maps.shape != shape or maps.dtype != np.float32 or not maps.flags.c_contiguous:
            raise InputError("out", f"expected contiguous float32 {shape}, got {maps.dtype} {maps.shape}")
        tables, rows = self._tables, maps.reshape(len(bodies), 3, self.size * self.size)
        over_slices(lambda a, b: _gather(bodies, roots, *tables, rows, a, b), len(bodies), threads)
        return maps

    @cached_property
    def read_matrix(self) -> Any:
        """(V, S·S) float32 scipy CSR that reads vertices from a flattened map; rows sum to 1.

        A row averages the vertex's corners; each corner is read bilinearly from the filled ones of its four texels.
        """
        from scipy.sparse import csr_array

        texels, weights = bilinear_taps(self.atlas.corner_uv.astype(np.float64), self.filled)
        corners = np.bincount(self.atlas.corner_vertices)
        rows = np.repeat(self.atlas.corner_vertices, 4)
        values = weights.ravel() / corners[rows]
        matrix = csr_array((values, (rows, texels.ravel())), shape=(len(corners), self.size * self.size))
        matrix.sum_duplicates()
        return matrix.astype(np.float32)

    def vertices(self, maps: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Read vertices back from location maps.

        Args:
            maps: (N, 3, S, S) metres.

        Returns:
            (N, V, 3) float32 metres, relative to the maps' root.

        Raises:
            InputError: another shape.
        """
        read = self.read_matrix @ self._columns(maps)  # (V, N·3)
        return np.ascontiguousarray(read.T.reshape(len(maps), 3, -1).transpose(0, 2, 1))

    def fitted_vertices(self, maps: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The vertices whose location maps come nearest to ``maps``, by least squares.

        On exact maps the error of ``vertices`` falls to a quarter (at 128 px, 1.7 to 0.5 mm on average) for a
        few milliseconds per body. Vertices that no texel depends on stay where ``vertices`` puts them; the fit leans
        towards that everywhere, with weight ``PRIOR``. On noisy maps it passes on more of the noise.

        Args, Returns, Raises: as ``vertices``.
        """
        solve, texels = self._fit
        columns = self._columns(maps)
        prior = self.read_matrix @ columns  # (V, N·3)
        inside = columns[self.mask.ravel()].astype(np.float64)
        fitted = solve(texels.T @ inside + PRIOR * prior)
        return np.ascontiguousarray(fitted.T.reshape(len(maps), 3, -1).transpose(0, 2, 1), np.float32)

    @cached_property
    def _fit(self) -> tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], Any]:
        """The solver of the normal equations, and the (T, V) CSR matrix from vertices to texels."""
        from scipy.sparse import csr_array, eye_array
        from scipy.sparse.linalg import splu

        weights, vertices = self.weights[self.mask].astype(np.float64), self.vertices_of_texel[self.mask]
        rows, count = np.repeat(np.arange(len(weights)), 3), self.read_matrix.shape[0]
        texels = csr_array((weights.ravel(), (rows, vertices.ravel())), shape=(len(weights), count))
        return splu((texels.T @ texels + PRIOR * eye_array(count)).tocsc()).solve, texels

    def _columns(self, maps: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """(S·S, N·3), one column per body and axis."""
        if maps.ndim != 4 or maps.shape[1:] != (3, self.size, self.size):
            raise InputError("location map", f"expected (N, 3, {self.size}, {self.size}), got {maps.shape}")
        return np.ascontiguousarray(maps, np.float32).reshape(-1, self.size * self.size).T


def bilinear_taps(uv: NDArray[np.float64], filled: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How to read a map at points of UV space without touching empty texels.

    Args:
        uv: (P, 2) in [0, 1].
        filled: (S, S) texels that hold a value.

    Returns:
        texels (P, 4) flat indices, and weights (P, 4) that sum to 1: bilinear over the filled ones of the four texels
        around the point; where none of the four is filled, all on the nearest filled texel.
    """
    size = len(filled)
    place = np.clip(uv * size - 0.5, 0, size - 1)  # (P, 2) column, row
    low = np.minimum(np.floor(place).astype(np.int64), size - 2)
    right, down = (place - low).T
    col, row = low.T
    texels = np.stack(
        [row * size + col, row * size + col + 1, (row + 1) * size + col, (row + 1) * size + col + 1], axis=1
    )
    weights = np.stack([(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down], axis=1)
    weights = weights * filled.ravel()[texels]
    total = weights.sum(axis=1)
    lost = total < 1e-6
    if lost.any():
        texels[lost, 0] = _nearest_filled(filled)[tuple(np.round(place[lost, ::-1]).astype(int).T)]
        weights[lost] = [1, 0, 0, 0]
        total[lost] = 1
    return texels, weights / total[:, None]


def _nearest_filled(filled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(S, S) flat index of the filled texel nearest to each texel."""
    from scipy.ndimage import distance_transform_edt

    rows, cols = distance_transform_edt(~filled, return_distances=False, return_indices=True)
    return np.asarray(rows * filled.shape[1] + cols, np.int64)


@njit(cache=True, nogil=True)
def _gather(vertices, roots, inside, corners, weights, outside, maps, first, last):  # type: ignore[no-untyped-def]
    for n in range(first, last):
        body = vertices[n]
        rx, ry, rz = roots[n, 0], roots[n, 1], roots[n, 2]
        xs, ys, zs = maps[n, 0], maps[n, 1], maps[n, 2]
        for k in range(inside.shape[0]):
            a, b, c = corners[k, 0], corners[k, 1], corners[k, 2]
            wa, wb, wc = weights[k, 0], weights[k, 1], weights[k, 2]
            t = inside[k]
            xs[t] = wa * body[a, 0] + wb * body[b, 0] + wc * body[c, 0] - rx
            ys[t] = wa * body[a, 1] + wb * body[b, 1] + wc * body[c, 1] - ry
            zs[t] = wa * body[a, 2] + wb * body[b, 2] + wc * body[c, 2] - rz
        for k in range(outside.shape[0]):
            t = outside[k]
            xs[t] = ys[t] = zs[t] = 0.0

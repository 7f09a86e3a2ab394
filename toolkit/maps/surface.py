"""From an IUV map back to the body: which point of the surface each pixel shows. Called by ``mirror``, and by
those who have an IUV map, rendered or predicted (DensePose's output too), and want vertices or points in space.

In: coded IUV maps, and vertices (posed, or the template's). Out: the vertices and weights of every pixel's surface
point, and its position. A coded map can only say 256 x 256 places per chart, so one table answers every question.

How far the point is from what the pixel truly sees, for the packaged atlases on real poses: with 24 charts 0.7 mm on
average and 4 mm at most; with the one-piece atlas, whose 255 levels span the whole body, 2.9 and 22 mm. Maps with one
U and V per face (``texture="face"``) are 6.5 mm off on average, the distance to the middle of a face.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.chart_space import ChartSpace
from hmrtk.toolkit.maps.charts import CHART_COUNT
from hmrtk.toolkit.maps.kernels import BACKGROUND, UV_LEVELS
from hmrtk.toolkit.maps.slices import over_slices

LEVELS = UV_LEVELS + 1


class SurfacePoints(NamedTuple):
    """Points of the surface, for P places.

    Attributes:
        vertices: (..., 3) int32, the body vertices of the face; zeros where there is no surface.
        weights: (..., 3) float64, barycentric, sums to 1; zeros where there is no surface.
    """

    vertices: NDArray[np.int32]
    weights: NDArray[np.float64]

    def of(self, vertices: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., 3) metres: the points on one body's ``vertices`` (V, 3)."""
        return np.asarray((self.weights[..., None] * vertices[self.vertices]).sum(axis=-2), np.float32)


class SurfaceTable:
    """The surface point of every (chart, U, V) that a coded map can hold; made once per atlas (about a second).

    A level inside a chart is the point of the face that covers it (rules of ``raster``); one outside, which rounding
    makes at borders, the nearest point of the chart in UV. So the table gives a surface point for every place of every
    chart that has faces.

    Args:
        atlas: of any number of charts.

    Attributes:
        face: (25, 256, 256) int32 [chart, V level, U level]: a face of the atlas; -1 for charts without faces.
        weights: (25, 256, 256, 3) float64 of its three corners.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        self.face = np.full((CHART_COUNT + 1, LEVELS, LEVELS), BACKGROUND, np.int32)
        self.weights = np.zeros((CHART_COUNT + 1, LEVELS, LEVELS, 3))
        for chart in np.unique(atlas.chart).tolist():
            space = ChartSpace(atlas, chart)
            row, opposite = _border(atlas.corner_faces[space.faces])
            self.face[chart], self.weights[chart] = space.face, space.weights
            edges = (space.faces[row], opposite)
            _nearest_on_edges(space.texel, atlas.corner_faces, *edges, self.face[chart], self.weights[chart])

    def locate(self, iuv: NDArray[np.uint8]) -> SurfacePoints:
        """The surface point of every pixel.

        Args:
            iuv: (..., 3, H, W) coded map, rendered with the table's atlas.

        Returns:
            of shape (..., H, W).

        Raises:
            InputError: another shape or dtype, or a chart that the atlas does not have.
        """
        if iuv.ndim < 3 or iuv.shape[-3] != 3 or iuv.dtype != np.uint8:
            raise InputError("IUV map", f"expected uint8 (..., 3, H, W), got {iuv.dtype} {iuv.shape}")
        chart, u, v = (iuv[..., k, :, :] for k in range(3))
        if iuv.size and chart.max() > CHART_COUNT:
            raise InputError("IUV map", f"has chart {chart.max()}, expected 0 to {CHART_COUNT}")
        face = self.face[chart, v, u]
        seen = chart > 0
        if (seen & (face < 0)).any():
            unknown = sorted(set(chart[seen & (face < 0)].tolist()))
            raise InputError("IUV map", f"has chart {unknown[0]}, which atlas {self.atlas.name!r} does not have")
        vertices = np.where(seen[..., None], self.atlas.vertices_faces[face], 0).astype(np.int32)
        return SurfacePoints(vertices, self.weights[chart, v, u])

    def positions(self, iuv: NDArray[np.uint8], vertices: NDArray[np.floating]) -> NDArray[np.float32]:
        """Where the pixels' surface points are on posed bodies.

        Args:
            iuv: (N, 3, H, W) coded maps.
            vertices: (N, V, 3) metres, any frame.

        Returns:
            (N, 3, H, W) float32 metres in that frame; NaN on the background.

        Raises:
            InputError: as ``locate``; another number of bodies, or a body that the atlas does not fit.
        """
        if vertices.ndim != 3 or vertices.shape[2] != 3 or len(vertices) != len(iuv):
            raise InputError("vertices", f"expected shape ({len(iuv)}, V, 3), got {vertices.shape}")
        self.atlas.check_body(vertices.shape[1])
        points = np.empty(iuv.shape, np.float32)

        def rows(first: int, last: int) -> None:
            for n in range(first, last):
                place = self.locate(iuv[n]).of(vertices[n])
                points[n] = np.where(iuv[n, 0] > 0, place.transpose(2, 0, 1), np.nan)

        over_slices(rows, len(points))
        return points


def _border(faces: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges that only one of ``faces`` (F, 3) has: the face's row (E,), and the corner 0..2 opposite the edge (E,)."""
    ends = np.stack([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]], axis=1)  # (F, 3, 2), opposite corner k
    ordered = np.sort(ends.reshape(-1, 2).astype(np.int64), axis=1)
    _, first, counts = np.unique(ordered[:, 0] << 32 | ordered[:, 1], return_index=True, return_counts=True)
    single = np.sort(first[counts == 1])
    return single // 3, single % 3


@njit(cache=True, nogil=True)
def _nearest_on_edges(texel, faces, face_of_edge, opposite, found, weights):  # type: ignore[no-untyped-def]
    """Where ``found`` (S, S) is empty: the face, and weights (S, S, 3), of the nearest point on the chart's border."""
    for i in range(found.shape[0]):
        for j in range(found.shape[1]):
            if found[i, j] >= 0:
                continue
            best = np.inf
            for e in range(face_of_edge.shape[0]):
                f, k = face_of_edge[e], opposite[e]
                b, c = (k + 1) % 3, (k + 2) % 3
                bx, by = texel[faces[f, b], 0], texel[faces[f, b], 1]
                dx, dy = texel[faces[f, c], 0] - bx, texel[faces[f, c], 1] - by
                length = dx * dx + dy * dy
                along = 0.0
                if length > 0.0:
                    along = min(1.0, max(0.0, ((j + 0.5 - bx) * dx + (i + 0.5 - by) * dy) / length))
                ex, ey = bx + along * dx - (j + 0.5), by + along * dy - (i + 0.5)
                distance = ex * ex + ey * ey
                if distance < best:
                    best = distance
                    found[i, j] = f
                    weights[i, j, k], weights[i, j, b], weights[i, j, c] = 0.0, 1.0 - along, along

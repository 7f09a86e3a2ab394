"""One chart of an atlas as a square picture: which face each texel lies in, and where in it.

In: an ``Atlas`` and a chart. Out: ``ChartSpace``. Called by ``surface`` (texel = stored level), ``atlas_check`` and the
pictures of atlases. ``location.UVSpace`` is the same for one-piece atlases, made for speed.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.kernels import BACKGROUND, UV_LEVELS
from hmrtk.toolkit.maps.raster import barycentric, rasterize, wound_for_view


class ChartSpace:
    """Faces and weights of the texels of one chart.

    Args:
        atlas: any atlas.
        chart: its number.
        size: S, texels. Texel (row i, column j) stands for u = (j + 0.5) / S, v = (i + 0.5) / S; None: the 256 x 256
            levels u = j / 255, v = i / 255 that IUV maps store.
    """

    def __init__(self, atlas: Atlas, chart: int, size: int | None = None) -> None:
        self.faces: NDArray[np.int64] = np.flatnonzero(atlas.chart == chart)
        """(n,) the atlas's faces in this chart."""
        self.size = UV_LEVELS + 1 if size is None else size
        uv = atlas.corner_uv.astype(np.float64)
        place = uv * UV_LEVELS + 0.5 if size is None else uv * size
        self.texel = np.column_stack([place, np.ones(len(place))])
        """(C, 3) float64 column, row and depth 1 of every corner of the atlas, texel centres at + 0.5."""
        own = wound_for_view(self.texel, atlas.corner_faces[self.faces])
        found = rasterize(self.texel, own, self.size)
        self.mask: NDArray[np.bool_] = found != BACKGROUND
        """(S, S) bool, texels on the surface."""
        self.face = np.where(self.mask, self.faces[found], BACKGROUND) if len(self.faces) else found.astype(np.int64)
        """(S, S) int64 face of the atlas in each texel, the lowest of several; −1 outside."""
        weights = barycentric(self.texel, own, found)
        turned = (own != atlas.corner_faces[self.faces]).any(axis=1)
        swap = self.mask & (turned[found] if len(turned) else False)
        self.weights = np.where(swap[..., None], weights[..., [0, 2, 1]], weights)
        """(S, S, 3) float64 weights of the face's three corners; zeros outside."""


def nearest_on_triangles(
    points: NDArray[np.float64],
    triangles: NDArray[np.float64],
    starts: NDArray[np.int64] | None = None,
    candidates: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The nearest point on some triangles to each of P points.

    Args:
        points: (P, 3). triangles: (T, 3, 3) corners.
        starts, candidates: (P + 1,) and (K,); point p is compared with the triangles
            ``candidates[starts[p]:starts[p + 1]]``; default: with all.

    Returns:
        triangle (P,), −1 without candidates; weights (P, 3) of its corners; distance (P,).
    """
    count = len(points)
    triangle, weights, distance = np.full(count, -1, np.int64), np.zeros((count, 3)), np.full(count, np.inf)
    every = starts is None or candidates is None
    first = np.array([0, len(triangles)]) if starts is None else starts
    listed = np.arange(len(triangles)) if candidates is None else candidates
    _nearest(points, triangles, first, listed, every, triangle, weights, distance)
    return triangle, weights, np.sqrt(distance)


@njit(cache=True, nogil=True)
def _nearest(points, triangles, starts, candidates, every, triangle, weights, distance):  # type: ignore[no-untyped-def]
    for p in range(points.shape[0]):
        row = 0 if every else p
        for k in range(starts[row], starts[row + 1]):
            t = candidates[k]
            wb, wc = _weights_of_nearest(points[p], triangles[t, 0], triangles[t, 1], triangles[t, 2])
            squared = 0.0
            for axis in range(3):
                a = triangles[t, 0, axis]
                there = a + wb * (triangles[t, 1, axis] - a) + wc * (triangles[t, 2, axis] - a)
                squared += (there - points[p, axis]) ** 2
            if squared < distance[p]:
                distance[p], triangle[p] = squared, t
                weights[p, 0], weights[p, 1], weights[p, 2] = 1.0 - wb - wc, wb, wc


@njit(cache=True, nogil=True)
def _dot(x, y):  # type: ignore[no-untyped-def]
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2]


@njit(cache=True, nogil=True)
def _weights_of_nearest(p, a, b, c):  # type: ignore[no-untyped-def]
    """Weights of b and c of the point of the triangle that is nearest to p: inside, or the best of the three edges."""
    ab, ac, ap = b - a, c - a, p - a
    bb, bc, cc, bp, cp = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac), _dot(ab, ap), _dot(ac, ap)
    det = bb * cc - bc * bc
    if det > 0.0:
        wb, wc = (cc * bp - bc * cp) / det, (bb * cp - bc * bp) / det
        if wb >= 0.0 and wc >= 0.0 and wb + wc <= 1.0:
            return wb, wc
    best, best_b, best_c = np.inf, 0.0, 0.0
    for edge in range(3):
        if edge == 0:
            s = min(1.0, max(0.0, bp / bb)) if bb > 0.0 else 0.0
            wb, wc = s, 0.0
        elif edge == 1:
            s = min(1.0, max(0.0, cp / cc)) if cc > 0.0 else 0.0
            wb, wc = 0.0, s
        else:
            length = bb - 2.0 * bc + cc
            s = min(1.0, max(0.0, (cp - bp - bc + bb) / length)) if length > 0.0 else 0.0
            wb, wc = 1.0 - s, s
        # |a + wb·ab + wc·ac − p|² without the constant |ap|².
        squared = wb * wb * bb + 2.0 * wb * wc * bc + wc * wc * cc - 2.0 * (wb * bp + wc * cp)
        if squared < best:
            best, best_b, best_c = squared, wb, wc
    return best_b, best_c

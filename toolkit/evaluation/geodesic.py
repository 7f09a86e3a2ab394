"""Distances along the body's surface between near points, for dense correspondence (DensePose's pointwise evaluation).

In: a mesh at rest; out: metres between surface points. Made once per body (some seconds). ``dense`` asks for it.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from hmrtk.toolkit.maps.surface import SurfacePoints

SOURCES = 256
"""Vertices from which paths are searched at a time."""


class SurfaceDistance:
    """Shortest ways along the surface, up to a limit.

    Between points of faces that share a corner the straight line; elsewhere the shortest way over the corners of faces
    and the middles of their edges, entered and left through any corner of the two faces. Such ways are a little long,
    by 2 % in the middle on a body. DensePose's own table goes between the vertices of a finer mesh.

    Args:
        vertices: (V, 3) metres, the body at rest.
        faces: (F, 3).
        limit: metres beyond which points are infinitely far.
    """

    def __init__(self, vertices: NDArray[np.floating], faces: NDArray[np.integer], limit: float) -> None:
        self.vertices, self.limit = np.asarray(vertices, np.float64), limit
        graph, count = _ways_inside_faces(self.vertices, faces), len(self.vertices)
        starts = range(0, count, SOURCES)
        rows = [_reached(graph, first, min(first + SOURCES, count), count, limit) for first in starts]
        self._ways = sp.vstack(rows, format="csr")  # metres + 1: what is not stored, 0, is out of reach

    def between(self, a: SurfacePoints, b: SurfacePoints) -> NDArray[np.float64]:
        """(P,) metres between P pairs of points; infinite beyond the limit, and where either is no point."""
        start, end = (_places(points, self.vertices) for points in (a, b))
        corners = self.vertices[a.vertices], self.vertices[b.vertices]  # (P, 3, 3) each
        leave = np.linalg.norm(corners[0] - start[:, None], axis=-1)
        enter = np.linalg.norm(corners[1] - end[:, None], axis=-1)
        pairs = np.repeat(a.vertices, 3, axis=1), np.tile(b.vertices, (1, 3))  # (P, 9) each
        way = np.asarray(self._ways[pairs[0].ravel(), pairs[1].ravel()], np.float64).reshape(-1, 3, 3)
        way = np.where(way > 0, way - 1, np.inf)
        far = (leave[:, :, None] + way + enter[:, None]).min(axis=(1, 2))
        touching = (a.vertices[:, :, None] == b.vertices[:, None]).any(axis=(1, 2))
        distance = np.where(touching, np.linalg.norm(start - end, axis=-1), far)
        there = (a.weights.sum(-1) > 0) & (b.weights.sum(-1) > 0)
        return np.where(there & (distance <= self.limit), distance, np.inf)


def _ways_inside_faces(vertices: NDArray[np.float64], faces: NDArray[np.integer]) -> sp.csr_matrix:
    """Straight lines between all corners and middles of edges of each face: (V + E, V + E) lengths in metres."""
    sides = np.sort(np.stack([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]], axis=1), axis=-1)  # (F, 3, 2)
    edges, of_side = np.unique(sides.reshape(-1, 2), axis=0, return_inverse=True)
    places = np.concatenate([vertices, vertices[edges].mean(axis=1)])
    stops = np.concatenate([faces, len(vertices) + of_side.reshape(-1, 3)], axis=1)  # (F, 6)
    a, b = np.triu_indices(6, 1)
    lines = np.unique(np.sort(np.stack([stops[:, a], stops[:, b]], axis=-1).reshape(-1, 2), axis=1), axis=0)
    length = np.linalg.norm(places[lines[:, 0]] - places[lines[:, 1]], axis=1)
    return sp.csr_matrix((length, (lines[:, 0], lines[:, 1])), shape=(len(places), len(places)))


def _reached(graph: sp.csr_matrix, first: int, past: int, count: int, limit: float) -> sp.csr_matrix:
    """(past − first, count) lengths plus 1 of the ways from some vertices to all, where they are short enough."""
    length = dijkstra(graph, directed=False, indices=np.arange(first, past), limit=limit)[:, :count]
    row, column = np.nonzero(np.isfinite(length))
    return sp.csr_matrix(((1 + length[row, column]).astype(np.float32), (row, column)), shape=length.shape)


def _places(points: SurfacePoints, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((points.weights[..., None] * vertices[points.vertices]).sum(axis=-2))

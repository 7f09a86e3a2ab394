"""Closing the head: eye sockets and the inside of the mouth become smooth lids, as a linear map of the vertices.

MakeHuman models a mouth with tongue and teeth and sockets with separate eyeballs; SMPL's surface is closed and has
neither. Each vertex inside the mouth becomes a weighted mean of the lips' ring, each vertex inside a socket a point on
the front of the eyeball. Being linear, the same weights serve every body shape, and the skinning weights.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from .mesh import Floats, Ints, cross2, undirected_edges

NEGLIGIBLE = 1e-6  # a mouth weight below this is dropped


def tutte_weights(quads: Ints, boundary: Ints, inner: Ints) -> Floats:
    """(I, B) weights of each inner vertex on the boundary of a disc of quads.

    Tutte's embedding with equal edge weights: every inner vertex is the mean of its neighbours. Rows sum to 1.
    """
    vertices = np.unique(quads)
    local = np.full(vertices.max() + 1, -1)
    local[vertices] = np.arange(len(vertices))
    edges, _ = undirected_edges(quads)
    both = local[np.r_[edges, edges[:, ::-1]]]
    size = len(vertices)
    adjacency = sp.coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), (size, size)).tocsr()
    laplacian = sp.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
    rim, free = local[boundary], local[inner]
    return spsolve(laplacian[free][:, free].tocsc(), -laplacian[free][:, rim].tocsc()).toarray()


def frontmost_point(point: Floats, triangles: Floats) -> tuple[int, Floats]:
    """The triangle (T, 3, 3) that a viewer on the z axis sees at (x, y), and the barycentric weights there.

    Raises:
        ValueError: no triangle covers the point.
    """
    a, b, c = (triangles[:, k, :2] for k in range(3))
    area = cross2(b - a, c - a)
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    w1, w2 = cross2(point - a, c - a) / area, cross2(b - a, point - a) / area
    weights = np.stack([1 - w1 - w2, w1, w2], 1)  # (T, 3)
    inside = (weights > -1e-6).all(1)
    if not inside.any():
        raise ValueError(f"no eyeball surface in front of the socket point {point}")
    depth = np.where(inside, (weights * triangles[:, :, 2]).sum(1), -np.inf)
    best = int(depth.argmax())
    return best, weights[best]


class CapMap:
    """The linear map (n, n) under construction; identity until islands are closed."""

    def __init__(self, quads: Ints, island: Ints, skin: Ints, vertex_count: int) -> None:
        """``island`` (m,) texture island of each quad; ``skin``: the islands that belong to the outer surface."""
        self.quads, self.island = quads, island
        self.is_skin = np.isin(island, skin)
        self.matrix = sp.identity(vertex_count, format="lil")
        self.rim: list[int] = []  # vertices around the caps: decimation must keep them

    def _ring(self, island: int) -> tuple[Ints, Ints, Ints]:
        """Quads, boundary and inner vertices of one island; the boundary is what it shares with other skin."""
        quads = self.quads[self.island == island]
        others = np.unique(self.quads[(self.island != island) & self.is_skin])
        vertices = np.unique(quads)
        boundary = np.intersect1d(vertices, others)
        self.rim += boundary.tolist()
        return quads, boundary, np.setdiff1d(vertices, boundary)

    def _set_row(self, row: int, columns: Ints, weights: Floats) -> None:
        self.matrix[row, row] = 0
        for column, weight in zip(columns, weights, strict=True):
            self.matrix[row, column] += weight

    def close_mouth(self, island: int) -> Ints:
        """Span the lips; returns the vertices of the cap."""
        quads, boundary, inner = self._ring(island)
        weights = tutte_weights(quads, boundary, inner)
        weights[weights < NEGLIGIBLE] = 0
        for row, values in zip(inner, weights, strict=True):
            used = np.flatnonzero(values)
            self._set_row(row, boundary[used], values[used])
        return inner

    def close_eye(self, island: int, eyeball_quads: Ints, points: Floats) -> Ints:
        """Lay the socket on the front of the eyeball on the same side of the body ``points`` (n, 3)."""
        quads, boundary, inner = self._ring(island)
        flat = tutte_weights(quads, boundary, inner) @ points[boundary]
        side = np.sign(points[np.unique(quads), 0].mean())
        ball = eyeball_quads[np.sign(points[eyeball_quads].mean(1)[:, 0]) == side]
        triangles = np.concatenate([ball[:, [0, 1, 2]], ball[:, [0, 2, 3]]])
        for row, point in zip(inner, flat, strict=True):
            triangle, weights = frontmost_point(point[:2], points[triangles])
            self._set_row(row, triangles[triangle], weights)
        return inner

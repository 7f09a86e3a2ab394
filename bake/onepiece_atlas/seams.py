"""Sew the islands of a texture layout into one disc.

A *corner* is a vertex as seen from one side of a seam. In: faces (F, 3) and their corners (F, 3). Out: ``Disc``.
Between two islands the longest stretch of their common seam is closed and the rest stays open: closing all of a wrist's
loop would turn the disc into a sphere with holes. The small islands (eyes, mouth) are closed all round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from bake.reference_body.mesh import (
    Bools,
    Floats,
    Ints,
    boundary_vertices,
    euler_characteristic,
    face_islands,
    faces_by_edge,
    mirrored_faces,
    undirected_edges,
)

SMALL_ISLAND = 120  # faces; MakeHuman's eyes and mouth
OPEN_AT_JUNCTION = 2  # edges left open on either side where a closed loop has a single junction (the neck)

Edge = tuple[int, int]


@dataclass(frozen=True)
class Disc:
    """A disc: n corners, F triangles."""

    triangles: Ints  # (F, 3) into the corners
    vertices: Ints  # (n,) body vertex of each corner
    mirror: Ints  # (n,) the corner on the other side of the body
    rim: Ints  # (m,) boundary corners in order, from the top of the midline towards the person's left

    @property
    def inner(self) -> Ints:
        return np.setdiff1d(np.arange(len(self.vertices)), self.rim)

    @property
    def on_rim(self) -> Bools:
        return np.isin(np.arange(len(self.vertices)), self.rim)

    def symmetrise(self, uv: Floats) -> Floats:
        """Mean of a layout (n, 2) and its mirror image, u → 1 - u."""
        return (uv + uv[self.mirror] * [-1, 1] + [1, 0]) / 2


def seam_edges(faces: Ints, corners: Ints) -> dict[Edge, tuple[int, int]]:
    """Edges whose two faces see different corners, with those faces."""
    seams = {}
    for edge, (first, second) in faces_by_edge(faces).items():
        sides = [dict(zip(faces[f].tolist(), corners[f].tolist(), strict=True)) for f in (first, second)]
        if any(sides[0][vertex] != sides[1][vertex] for vertex in edge):
            seams[edge] = (first, second)
    return seams


def split_at_junctions(edges: list[Edge], degree: Counter[int]) -> list[list[Edge]]:
    """Cut a seam into pieces at vertices where other seams branch off."""
    left = set(edges)
    pieces = []
    while left:
        piece = [left.pop()]
        ends = list(piece[0])
        while ends:
            vertex = ends.pop()
            if degree[vertex] != 2:
                continue
            following = next((edge for edge in left if vertex in edge), None)
            if following:
                left.discard(following)
                piece.append(following)
                ends.append(following[0] if following[1] == vertex else following[1])
        pieces.append(piece)
    return pieces


def open_junction(loop: list[Edge], degree: Counter[int]) -> list[Edge]:
    """A closed loop with one junction, less the edges next to it."""
    near = {vertex for edge in loop for vertex in edge if degree[vertex] != 2}
    for _ in range(OPEN_AT_JUNCTION):
        near |= {vertex for edge in loop if set(edge) & near for vertex in edge}
    return [edge for edge in loop if not set(edge) <= near]


def edges_to_close(faces: Ints, corners: Ints, points: Floats) -> set[Edge]:
    """The seam edges that are sewn, chosen so that the result is a disc. ``points``: (V, 3) the body."""
    seams = seam_edges(faces, corners)
    degree = Counter(vertex for edge in seams for vertex in edge)
    island = face_islands(corners, int(corners.max()) + 1)
    size = np.bincount(island)
    between: dict[Edge, list[Edge]] = {}
    for edge, (first, second) in seams.items():
        a, b = sorted((int(island[first]), int(island[second])))
        between.setdefault((a, b), []).append(edge)

    def length(piece: Iterable[Edge]) -> float:
        return float(sum(np.linalg.norm(points[a] - points[b]) for a, b in piece))

    closed: set[Edge] = set()
    for (a, b), edges in between.items():
        if min(size[a], size[b]) < SMALL_ISLAND:
            closed |= set(edges)
        elif a != b:  # a big island's own cuts stay: hands and limbs need them
            pieces = split_at_junctions(edges, degree)
            closed |= set(open_junction(edges, degree) if len(pieces) == 1 else max(pieces, key=length))
    return closed


def merge_corners(faces: Ints, corners: Ints, points: Floats) -> Ints:
    """(F, 3) new corner numbers, equal across every edge that is no seam or was closed."""
    still_open = set(seam_edges(faces, corners)) - edges_to_close(faces, corners, points)
    pairs = []
    for edge, (first, second) in faces_by_edge(faces).items():
        if edge not in still_open:
            for vertex in edge:
                a, b = (3 * f + faces[f].tolist().index(vertex) for f in (first, second))
                pairs.append((a, b))
    a, b = np.array(pairs).T
    graph = sp.coo_matrix((np.ones(len(a)), (a, b)), (faces.size, faces.size))
    _, merged = connected_components(graph, directed=False)
    return merged.reshape(-1, 3).astype(np.int64)


def mirror_corners(faces: Ints, triangles: Ints, mirror: Ints) -> Ints:
    """(n,) the corner at the mirror image; the cuts are symmetric, so there is exactly one."""
    partner = np.full(triangles.max() + 1, -1)
    for face, other in enumerate(mirrored_faces(faces, mirror)):
        at = dict(zip(faces[other].tolist(), triangles[other].tolist(), strict=True))
        for vertex, corner in zip(faces[face].tolist(), triangles[face].tolist(), strict=True):
            image = at[int(mirror[vertex])]
            assert partner[corner] in (-1, image), "the seams are not left-right symmetric"
            partner[corner] = image
    return partner


def rim_in_order(triangles: Ints, points: Floats, partner: Ints) -> Ints:
    """The boundary loop, first towards +x, from the higher of the two corners that are their own mirror images.

    Args:
        points: (n, 3) of the corners. partner: (n,) mirror images.
    """
    edges, counts = undirected_edges(triangles)
    around: dict[int, list[int]] = {}
    for a, b in edges[counts == 1].tolist():
        around.setdefault(a, []).append(b)
        around.setdefault(b, []).append(a)
    assert all(len(neighbours) == 2 for neighbours in around.values()), "the boundary touches itself"
    start = max((corner for corner in around if partner[corner] == corner), key=lambda corner: points[corner, 1])
    loop, step = [start], around[start][0]
    while step != start:
        loop.append(step)
        step = next(corner for corner in around[loop[-1]] if corner != loop[-2])
    # A seam may run along the midline, so a single step does not tell the sides apart; half the loop does.
    towards_left = points[loop[: len(loop) // 2], 0].sum() > 0
    return np.array(loop if towards_left else loop[:1] + loop[:0:-1])


def sew(faces: Ints, corners: Ints, points: Floats, mirror: Ints) -> Disc:
    """One disc out of the islands.

    Args:
        faces: (F, 3). corners: (F, 3) of the island layout. points: (V, 3) metres. mirror: (V,).
    """
    triangles = merge_corners(faces, corners, points)
    vertices = np.zeros(triangles.max() + 1, np.int64)
    vertices[triangles.ravel()] = faces.ravel()
    partner = mirror_corners(faces, triangles, mirror)
    rim = rim_in_order(triangles, points[vertices], partner)
    assert euler_characteristic(triangles) == 1
    assert len(rim) == len(boundary_vertices(triangles)), "more than one boundary"
    return Disc(triangles, vertices, partner, rim)

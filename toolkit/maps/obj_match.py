"""Which vertex of the body each vertex of an OBJ file is, and its polygons as triangles of the body.

In: an ``ObjMesh`` and a body's faces and template. Out: ``MatchedMesh``. Called by ``obj_atlas``. Exporters number
vertices anew, write a vertex once per seam side, change the unit, keep quads. Four ways are tried, and the one that
explains the most faces wins (the earlier, if equal):

1. *numbers*: the file numbers its vertices as the body does (its positions may be anything);
2. *positions*: each vertex is the body's nearest, within a tolerance; unit and offset of the file are found first;
3. *first appearance*: vertices at equal positions are one, numbered in the order in which they first appear;
4. *face order*: the file's triangles are the body's, in the body's order and corner by corner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.obj_file import ObjMesh

TOLERANCE = 1e-4
"""Metres between a file's vertex and the body's: four decimals in the file, and a quarter of the reference body's
shortest distance between two vertices (0.37 mm)."""

MISSING_SHARE = 0.01
"""Share of the body's faces that may lack UV (DensePose's own atlas lacks 2 of 13 776)."""

_LARGEST_UNIT = 4  # powers of ten between the file's unit and the metre


@dataclass(frozen=True)
class MatchedMesh:
    """T triangles of an OBJ file that are faces of the body.

    Attributes:
        how: ``numbers``, ``positions``, ``first appearance`` or ``face order``.
        corners: (T, 3) int64 index into ``ObjMesh.corners``; the k-th is the k-th vertex of the body's face.
        faces: (T,) int64 the body's face; increasing.
        polygons: (T,) int64 the file's polygon that the triangle is part of.
        strange: (S,) int64 polygons with a triangle that is no face of the body.
        repeated: (R,) int64 polygons with a triangle that another polygon has too (left out).
        unit: metres per unit of the file (1 unless positions were compared).
        stray: (X,) int64 used vertices of the file that are none of the body's.
    """

    how: str
    corners: NDArray[np.int64]
    faces: NDArray[np.int64]
    polygons: NDArray[np.int64]
    strange: NDArray[np.int64]
    repeated: NDArray[np.int64]
    unit: float
    stray: NDArray[np.int64]


def match_mesh(
    mesh: ObjMesh,
    faces: NDArray[np.integer],
    template: NDArray[np.floating] | None = None,
    tolerance: float = TOLERANCE,
) -> MatchedMesh:
    """Find the body in a file.

    Args:
        mesh: the file.
        faces: (F, 3) the body's faces.
        template: (V, 3) the body's vertices at rest, metres; None leaves *positions* out.
        tolerance: metres.
    """
    best: MatchedMesh | None = None
    for how, vertex, unit in _candidates(mesh, faces, template, tolerance):
        found = _triangles(mesh, faces, how, vertex, unit)
        if best is None or len(found.faces) > len(best.faces):
            best = found
        if not len(best.strange) and len(best.faces) >= (1 - MISSING_SHARE) * len(faces):
            break
    if best is None:
        raise InputError(mesh.place, "cannot be compared with the body")
    return best


Candidate = tuple[str, NDArray[np.int64], float]
"""How, (N,) the body's vertex or −1, metres per unit."""


def _candidates(
    mesh: ObjMesh, faces: NDArray[np.integer], template: NDArray[np.floating] | None, tolerance: float
) -> Iterator[Candidate]:
    count = int(np.max(faces)) + 1 if template is None else len(template)
    numbers = np.arange(len(mesh.vertices))
    yield "numbers", np.where(numbers < count, numbers, -1), 1.0
    if template is not None:
        yield from _by_position(mesh, np.asarray(template, np.float64), tolerance)
    _, first, place = np.unique(mesh.vertices, axis=0, return_index=True, return_inverse=True)
    if len(first) == count < len(mesh.vertices):
        rank = np.empty(count, np.int64)
        rank[np.argsort(first)] = np.arange(count)
        yield "first appearance", rank[place.ravel()], 1.0
    triangles = mesh.corners[np.concatenate([*_fans(mesh)]), 0]
    if len(triangles) == len(faces):
        vertex = np.full(len(mesh.vertices), -1, np.int64)
        vertex[triangles] = faces
        yield "face order", vertex, 1.0


def _by_position(mesh: ObjMesh, template: NDArray[np.float64], tolerance: float) -> Iterator[Candidate]:
    """As the file stands, and with the middles of both boxes laid on each other."""
    from scipy.spatial import cKDTree

    points, used = mesh.vertices, mesh.used_vertices
    low, high = points[used].min(axis=0), points[used].max(axis=0)
    size, body_size = np.linalg.norm(high - low), np.linalg.norm(np.ptp(template, axis=0))
    if not size > 0:
        return
    power = int(np.clip(np.round(np.log10(body_size / size)), -_LARGEST_UNIT, _LARGEST_UNIT))
    unit = float(10.0**power)
    tree = cKDTree(template)
    shift = (template.min(axis=0) + template.max(axis=0)) / 2 - unit * (low + high) / 2
    for offset in (np.zeros(3), shift):
        distance, nearest = tree.query(unit * points + offset)
        yield "positions", np.where(distance <= tolerance, nearest, -1), unit


def _fans(mesh: ObjMesh) -> Iterator[NDArray[np.int64]]:
    """(n − 2, 3) corners of every polygon's triangles, all from its first corner."""
    for start, end in zip(mesh.starts[:-1].tolist(), mesh.starts[1:].tolist(), strict=True):
        later = np.arange(start + 1, end - 1)
        yield np.stack([np.full(len(later), start), later, later + 1], axis=1)


def _triangles(
    mesh: ObjMesh, faces: NDArray[np.integer], how: str, vertex: NDArray[np.int64], unit: float
) -> MatchedMesh:
    """Cut the polygons along the body's edges and look their triangles up."""
    body = vertex[mesh.corners[:, 0]].tolist()
    known = {_key(*face): number for number, face in enumerate(np.asarray(faces).tolist())}
    found: dict[int, tuple[list[int], int]] = {}
    strange, repeated = [], []
    for polygon, (start, end) in enumerate(zip(mesh.starts[:-1].tolist(), mesh.starts[1:].tolist(), strict=True)):
        for triangle in _cut(list(range(start, end)), body, known):
            own = [body[corner] for corner in triangle]
            if len(set(own)) < 3 and -1 not in own:
                continue  # no area: two corners are one vertex of the body
            face = known.get(_key(*own))
            if face is None:
                strange.append(polygon)
            elif face in found:
                repeated.append(polygon)
            else:
                at = dict(zip(own, triangle, strict=True))
                found[face] = [at[v] for v in faces[face].tolist()], polygon
    order = np.array(sorted(found), np.int64)
    used = mesh.used_vertices
    return MatchedMesh(
        how=how,
        corners=np.array([found[face][0] for face in order.tolist()], np.int64).reshape(-1, 3),
        faces=order,
        polygons=np.array([found[face][1] for face in order.tolist()], np.int64),
        strange=np.unique(np.array(strange, np.int64)),
        repeated=np.unique(np.array(repeated, np.int64)),
        unit=unit,
        stray=used[vertex[used] < 0],
    )


def _cut(corners: list[int], body: list[int], known: dict[tuple[int, ...], int]) -> list[list[int]]:
    """A polygon as triangles: along the body's edges where all of them are faces of the body, else a fan."""
    along = _ears(corners, body, known)
    return [[corners[0], b, c] for b, c in pairwise(corners[1:])] if along is None else along


def _ears(corners: list[int], body: list[int], known: dict[tuple[int, ...], int]) -> list[list[int]] | None:
    """Cut off ears that are faces of the body, the one at the second corner first; None where that cannot be done."""
    count = len(corners)
    for i in (*range(1, count), 0):
        ear = [corners[i - 1], corners[i], corners[(i + 1) % count]]
        if _key(*(body[corner] for corner in ear)) not in known:
            continue
        rest = [] if count == 3 else _ears(corners[:i] + corners[i + 1 :], body, known)
        if rest is not None:
            return [ear, *rest]
    return None


def _key(a: int, b: int, c: int) -> tuple[int, ...]:
    """The three vertices of a face in increasing order."""
    return tuple(sorted((a, b, c)))

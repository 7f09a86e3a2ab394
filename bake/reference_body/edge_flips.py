"""Delaunay flips on nearly flat edges after decimation: fewer slivers, same vertices. Called by ``topology``."""

from __future__ import annotations

import numpy as np

from .mesh import Floats, Ints, cross2, faces_by_edge

PASSES = 3
MIN_FLATNESS = 0.97  # cosine between the two faces, before and after: never flip across a crease
DELAUNAY_SLACK = 0.02  # rad by which the opposite angles must exceed π, so that near-ties stay as they are

Triangle = tuple[int, int, int]


def _angle(points: Floats, at: int, left: int, right: int) -> float:
    a, b = points[left] - points[at], points[right] - points[at]
    return float(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


def _improves(points: Floats, c: int, p: int, q: int, d: int) -> bool:
    """Whether replacing edge p-q by c-d is Delaunay and keeps the quad flat and unfolded."""
    if _angle(points, c, p, q) + _angle(points, d, p, q) <= np.pi + DELAUNAY_SLACK:
        return False

    def normal(i: int, j: int, k: int) -> Floats:
        return np.cross(points[j] - points[i], points[k] - points[i])

    def cosine(a: Floats, b: Floats) -> float:
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-20))

    old, other = normal(c, p, q), np.cross(points[q] - points[d], points[p] - points[d])
    first, second = normal(c, p, d), np.cross(points[d] - points[c], points[q] - points[c])
    if first @ old <= 0 or second @ old <= 0:
        return False
    return cosine(old, other) >= MIN_FLATNESS and cosine(first, second) >= MIN_FLATNESS


def _rotated_to(values: list[int], start: int) -> Triangle:
    return values[start], values[(start + 1) % 3], values[(start + 2) % 3]


def _flip(
    points: Floats, uv: Floats, faces: Ints, corners: Ints, pair: tuple[int, int], edge: tuple[int, int]
) -> tuple[int, int] | None:
    """Flip the edge between two faces in place; the new edge, or None if it was left alone."""
    f, g = pair
    first, second = faces[f].tolist(), faces[g].tolist()
    k = next(i for i in range(3) if first[i] not in edge)
    c, p, q = _rotated_to(first, k)
    d = next(v for v in second if v not in edge)
    if c == d or not _improves(points, c, p, q, d):
        return None
    tc, tp, tq = _rotated_to(corners[f].tolist(), k)
    at = dict(zip(second, corners[g].tolist(), strict=True))
    if at[p] != tp or at[q] != tq:  # a texture seam
        return None
    td = at[d]

    def area(i: int, j: int, m: int) -> float:
        return float(cross2(uv[j] - uv[i], uv[m] - uv[i]))

    if area(tc, tp, td) * area(tc, tp, tq) <= 0 or area(tc, td, tq) * area(tc, tp, tq) <= 0:
        return None
    faces[f], corners[f] = (c, p, d), (tc, tp, td)
    faces[g], corners[g] = (c, d, q), (tc, td, tq)
    return min(c, d), max(c, d)


def flip_edges(points: Floats, faces: Ints, corners: Ints, uv: Floats) -> tuple[Ints, Ints]:
    """Flip until nothing changes, at most ``PASSES`` times over all edges.

    Args:
        points: (V, 3) positions; faces: (F, 3); corners: (F, 3) into uv (t, 2).

    Returns:
        New faces and corners, same shapes.
    """
    faces, corners = faces.copy(), corners.copy()
    for _ in range(PASSES):
        at_edge = faces_by_edge(faces)
        existing = set(at_edge)
        changed: set[int] = set()
        for edge, around in at_edge.items():
            if len(around) != 2 or changed & set(around):
                continue
            opposite = [v for face in around for v in faces[face].tolist() if v not in edge]
            if (min(opposite), max(opposite)) in existing:
                continue
            new_edge = _flip(points, uv, faces, corners, (around[0], around[1]), edge)
            if new_edge is not None:
                changed |= set(around)
                existing.discard(edge)
                existing.add(new_edge)
        if not changed:
            break
    return faces, corners

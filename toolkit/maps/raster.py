"""The rasteriser: projected vertices in, the face that each pixel sees out. Called by ``iuv``; kernels by ``render``.

Rules (a brute-force float64 test of every pixel against every face gives the same picture, pixel for pixel):

* Pixel (row i, column j) is tested at its centre (j + 0.5, i + 0.5), in float64.
* A face is seen when it is wound counter-clockwise as its outside is looked at. With x right and y **down** that is a
  negative signed area ``(b − a) × (c − a)``; a positive one is a back face. Zero area (degenerate) is never hit.
* A centre exactly on an edge or a corner belongs to every seen face that touches it. The edge functions are exactly
  antisymmetric in the two ends of an edge, so neighbours never leave a crack between them.
* Of the faces at a centre the nearest in depth wins; depth is perspective (1/z is linear in the picture). Depths that
  agree to ``DEPTH_TIE`` (relative) are a tie, and the lowest face number wins.
* A face with a vertex at or behind the camera (z ≤ 0), or with a NaN, is dropped whole.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.slices import over_slices

BACKGROUND = -1
DEPTH_TIE = 1e-9
"""Relative difference of 1/z below which two depths are the same: 50 nm at 50 m, far above float64's rounding."""


@njit(cache=True, nogil=True, inline="always")
def _edge(ax, ay, bx, by):  # type: ignore[no-untyped-def]
    """Twice the signed area of (pixel centre, a, b), both given relative to the centre."""
    return ax * by - ay * bx


@njit(cache=True, nogil=True, error_model="numpy")
def faces_of_body(points, faces, face_id, nearest):  # type: ignore[no-untyped-def]
    """Fill ``face_id`` (H, W) int32 for one body. points: (V, 3) float64 x px, y px, z m; nearest: (H, W) scratch."""
    height, width = face_id.shape
    face_id[:] = BACKGROUND
    nearest[:] = 0.0
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        za, zb, zc = points[a, 2], points[b, 2], points[c, 2]
        if not (za > 0.0 and zb > 0.0 and zc > 0.0):
            continue
        ax, ay = points[a, 0], points[a, 1]
        bx, by = points[b, 0], points[b, 1]
        cx, cy = points[c, 0], points[c, 1]
        if not (bx - ax) * (cy - ay) - (by - ay) * (cx - ax) < 0.0:
            continue
        left = max(0.0, np.ceil(min(ax, bx, cx) - 0.5))
        right = min(width - 1.0, np.floor(max(ax, bx, cx) - 0.5))
        top = max(0.0, np.ceil(min(ay, by, cy) - 0.5))
        bottom = min(height - 1.0, np.floor(max(ay, by, cy) - 0.5))
        if not (left <= right and top <= bottom):
            continue
        ra, rb, rc = 1.0 / za, 1.0 / zb, 1.0 / zc
        for i in range(int(top), int(bottom) + 1):
            say, sby, scy = ay - (i + 0.5), by - (i + 0.5), cy - (i + 0.5)
            for j in range(int(left), int(right) + 1):
                sax, sbx, scx = ax - (j + 0.5), bx - (j + 0.5), cx - (j + 0.5)
                ea = _edge(sbx, sby, scx, scy)
                eb = _edge(scx, scy, sax, say)
                ec = _edge(sax, say, sbx, sby)
                if ea > 0.0 or eb > 0.0 or ec > 0.0:
                    continue
                inverse = (ea * ra + eb * rb + ec * rc) / (ea + eb + ec)
                if inverse > nearest[i, j] * (1.0 + DEPTH_TIE):
                    nearest[i, j] = inverse
                    face_id[i, j] = f


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def weights_at(points, a, b, c, x, y):  # type: ignore[no-untyped-def]
    """Perspective-correct barycentric weights of corners b and c (a has the rest) of the face seen at (x, y) px."""
    sax, say = points[a, 0] - x, points[a, 1] - y
    sbx, sby = points[b, 0] - x, points[b, 1] - y
    scx, scy = points[c, 0] - x, points[c, 1] - y
    wa = _edge(sbx, sby, scx, scy) / points[a, 2]
    wb = _edge(scx, scy, sax, say) / points[b, 2]
    wc = _edge(sax, say, sbx, sby) / points[c, 2]
    total = wa + wb + wc
    return wb / total, wc / total


@njit(cache=True, nogil=True)
def _faces_of_bodies(points, faces, face_id, first, last):  # type: ignore[no-untyped-def]
    nearest = np.empty(face_id.shape[1:], np.float64)
    for n in range(first, last):
        faces_of_body(points[n], faces, face_id[n], nearest)


@njit(cache=True, nogil=True)
def _weights_of_bodies(points, faces, face_id, weights, first, last):  # type: ignore[no-untyped-def]
    for n in range(first, last):
        for i in range(face_id.shape[1]):
            for j in range(face_id.shape[2]):
                f = face_id[n, i, j]
                if f < 0:
                    weights[n, i, j, :] = 0.0
                    continue
                wb, wc = weights_at(points[n], faces[f, 0], faces[f, 1], faces[f, 2], j + 0.5, i + 0.5)
                weights[n, i, j, 0] = 1.0 - wb - wc
                weights[n, i, j, 1] = wb
                weights[n, i, j, 2] = wc


def rasterize(
    vertices_px: NDArray[np.floating],
    faces: NDArray[np.integer],
    size: int | tuple[int, int],
    threads: int | None = None,
) -> NDArray[np.int32]:
    """The face that every pixel sees.

    Args:
        vertices_px: (..., V, 3) float; x px, y px (pixel centres at + 0.5), z depth in metres, positive in front.
        faces: (F, 3) vertex indices, wound outwards.
        size: (H, W) px, or one number for a square.
        threads: default: all cores this process may use; one thread per body.

    Returns:
        (..., H, W) int32 face number, -1 where nothing is hit.

    Raises:
        InputError: wrong shapes, an empty picture, or a face that names a vertex that is not there.
    """
    height, width = checked_size(size)
    points = _checked_points(vertices_px)
    checked_faces = _checked_faces(faces, points.shape[1])
    face_id = np.empty((len(points), height, width), np.int32)
    over_slices(lambda a, b: _faces_of_bodies(points, checked_faces, face_id, a, b), len(points), threads)
    return face_id.reshape(*vertices_px.shape[:-2], height, width)


def barycentric(
    vertices_px: NDArray[np.floating],
    faces: NDArray[np.integer],
    face_id: NDArray[np.int32],
    threads: int | None = None,
) -> NDArray[np.float64]:
    """Perspective-correct weights of the three corners of the face that each pixel sees.

    Args:
        vertices_px: (..., V, 3) as given to ``rasterize``.
        faces: (F, 3) as given to ``rasterize``.
        face_id: (..., H, W) its result.

    Returns:
        (..., H, W, 3) float64, sums to 1; zeros on the background.

    Raises:
        InputError: shapes that do not belong together.
    """
    points = _checked_points(vertices_px)
    if face_id.shape[:-2] != vertices_px.shape[:-2]:
        raise InputError("face_id", f"expected leading shape {vertices_px.shape[:-2]}, got {face_id.shape[:-2]}")
    checked_faces = _checked_faces(faces, points.shape[1])
    ids = np.ascontiguousarray(face_id, np.int32).reshape(-1, *face_id.shape[-2:])
    weights = np.empty((*ids.shape, 3))
    over_slices(lambda a, b: _weights_of_bodies(points, checked_faces, ids, weights, a, b), len(points), threads)
    return weights.reshape(*face_id.shape, 3)


def checked_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) px of a picture, refused unless both are positive."""
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    if height < 1 or width < 1:
        raise InputError("size", f"expected a picture of at least 1 px, got {height} x {width}")
    return int(height), int(width)


def _checked_points(vertices_px: NDArray[np.floating]) -> NDArray[np.float64]:
    if vertices_px.ndim < 2 or vertices_px.shape[-1] != 3:
        raise InputError("vertices_px", f"expected shape (..., V, 3), got {vertices_px.shape}")
    return np.ascontiguousarray(vertices_px, np.float64).reshape(-1, *vertices_px.shape[-2:])


def _checked_faces(faces: NDArray[np.integer], vertex_count: int) -> NDArray[np.int32]:
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise InputError("faces", f"expected shape (F, 3), got {faces.shape}")
    if faces.size and (faces.min() < 0 or faces.max() >= vertex_count):
        raise InputError("faces", f"name vertices {faces.min()} to {faces.max()}, the body has {vertex_count}")
    return np.ascontiguousarray(faces, np.int32)

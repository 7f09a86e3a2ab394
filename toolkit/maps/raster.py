"""The rasteriser: projected vertices in, the face that each pixel sees out. Called by ``iuv`` and ``location``.

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
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.kernels import (
    BACKGROUND,
    DEPTH_TIE,
    LARGEST_SIDE,
    faces_of_bodies,
    faces_of_body,
    weights_at,
    weights_of_bodies,
)
from hmrtk.toolkit.maps.slices import over_slices

__all__ = [
    "BACKGROUND",
    "DEPTH_TIE",
    "barycentric",
    "checked_size",
    "faces_of_body",
    "rasterize",
    "weights_at",
    "wound_for_view",
]


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
    over_slices(lambda a, b: faces_of_bodies(points, checked_faces, face_id, a, b), len(points), threads)
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
    over_slices(lambda a, b: weights_of_bodies(points, checked_faces, ids, weights, a, b), len(points), threads)
    return weights.reshape(*face_id.shape, 3)


def wound_for_view(points: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """The faces (F, 3), each wound so that ``rasterize`` sees it: a UV layout may be drawn from either side.

    points: (V, 2 or more) x, y.
    """
    a, b, c = (points[faces[:, k], :2] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    return np.where((area > 0)[:, None], faces[:, [0, 2, 1]], faces)


def checked_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) px of a picture, refused unless both are from 1 to ``LARGEST_SIDE``."""
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise InputError("size", f"expected sides of 1 to {LARGEST_SIDE} px, got {height} x {width}")
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

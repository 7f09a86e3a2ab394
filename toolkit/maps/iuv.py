"""IUV maps: which chart of the body, and where on it, each pixel sees. Called by ``shards`` and ``render-iuv``.

In: projected vertices, or body parameters with their crop cameras. Out: uint8 (3, S, S) = chart, round(255·U),
round(255·V), zeros on the background (other forms: ``iuv_form``). DaNet §3 (arXiv 1912.13344) paints every face with
one U and V, the mean of its corners (``texture="face"``); PyMAF interpolates them (``texture="vertex"``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.kernels import open_points, render_bodies, render_points
from hmrtk.toolkit.maps.projection import Projection, checked_vertices
from hmrtk.toolkit.maps.raster import checked_size
from hmrtk.toolkit.maps.slices import over_slices
from hmrtk.toolkit.progress import Progress, silent

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel

TEXTURES = ("vertex", "face")

CHUNK, CHUNK_BYTES = 256, 50_000_000
"""Bodies posed and drawn at a time when nothing else is said, and the bytes that their maps may take."""


def texture_uv(atlas: Atlas, texture: str) -> NDArray[np.float64]:
    """(F, 3, 2) U and V of the corners of every face, in one of ``TEXTURES``."""
    if texture not in TEXTURES:
        raise UnknownNameError("texture", texture, TEXTURES)
    return atlas.face_uv if texture == "vertex" else atlas.flat_face_uv


def checked_points(vertices_px: NDArray[np.floating], atlas: Atlas) -> NDArray[np.float64]:
    """Projected vertices as the kernels want them, refused unless (N, V, 3) of a body that the atlas fits."""
    if vertices_px.ndim != 3 or vertices_px.shape[2] != 3:
        raise InputError("vertices_px", f"expected shape (N, V, 3), got {vertices_px.shape}")
    atlas.check_body(vertices_px.shape[1])
    return np.ascontiguousarray(vertices_px, np.float64)


def render_iuv(
    vertices_px: NDArray[np.floating],
    atlas: Atlas,
    size: int | tuple[int, int],
    texture: str = "vertex",
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """IUV maps of projected bodies.

    Args:
        vertices_px: (N, V, 3) x px, y px, z metres (``project_vertices``); rules of visibility in ``raster``.
        atlas: fits the body.
        size: (H, W) px, or one number for a square.
        texture: ``vertex`` (perspective-correct U, V; PyMAF) or ``face`` (one U, V per face; DaNet).
        threads: default: all cores this process may use.

    Returns:
        (N, 3, H, W) uint8.

    Raises:
        InputError: wrong shapes, or an atlas of another body. UnknownNameError: another texture.
    """
    height, width = checked_size(size)
    points = checked_points(vertices_px, atlas)
    faces, face_uv, chart = atlas.vertices_faces, texture_uv(atlas, texture), atlas.chart
    iuv = np.empty((len(points), 3, height, width), np.uint8)
    over_slices(lambda a, b: render_points(points, faces, face_uv, chart, iuv, a, b), len(points), threads)
    return iuv


def render_iuv_open(
    vertices_px: NDArray[np.floating],
    atlas: Atlas,
    size: int | tuple[int, int],
    texture: str = "vertex",
    threads: int | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """``render_iuv`` before U and V are rounded to 255 levels.

    Args, Raises: as for ``render_iuv``.

    Returns:
        chart (N, H, W) uint8, 0 on the background; uv (N, 2, H, W) float32 in [0, 1].
    """
    height, width = checked_size(size)
    points = checked_points(vertices_px, atlas)
    faces, face_uv, chart = atlas.vertices_faces, texture_uv(atlas, texture), atlas.chart
    index = np.empty((len(points), height, width), np.uint8)
    uv = np.empty((len(points), 2, height, width), np.float32)
    over_slices(lambda a, b: open_points(points, faces, face_uv, chart, index, uv, a, b), len(points), threads)
    return index, uv


def render_iuv_projected(
    vertices: NDArray[np.floating],
    projection: Projection,
    atlas: Atlas,
    size: int | tuple[int, int],
    texture: str = "vertex",
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """``render_iuv`` of ``project``, bit for bit, without keeping the projected vertices.

    Args:
        vertices: (N, V, 3) metres, in the frame of ``projection``.
        projection: N cameras whose pixels are those of the map.
        atlas, size, texture, threads: as for ``render_iuv``.

    Returns:
        (N, 3, H, W) uint8.

    Raises:
        InputError: wrong shapes, or an atlas of another body. UnknownNameError: another texture.
    """
    height, width = checked_size(size)
    bodies = checked_vertices(vertices, projection)
    atlas.check_body(bodies.shape[1])
    faces, face_uv, chart = atlas.vertices_faces, texture_uv(atlas, texture), atlas.chart
    matrix, translation = projection.matrix, projection.translation
    iuv = np.empty((len(bodies), 3, height, width), np.uint8)

    def work(first: int, last: int) -> None:
        render_bodies(bodies, matrix, translation, faces, face_uv, chart, iuv, first, last)

    over_slices(work, len(bodies), threads)
    return iuv


def chunk_bodies(size: int | tuple[int, int]) -> int:
    """How many bodies to pose and draw at a time, so that memory stays bounded for maps of any size."""
    height, width = checked_size(size)
    return max(1, min(CHUNK, CHUNK_BYTES // (3 * height * width)))


def stream_iuv(
    parameters: BodyParameters,
    projection: Projection,
    body: BodyModel,
    atlas: Atlas,
    size: int | tuple[int, int],
    texture: str = "vertex",
    chunk: int | None = None,
    progress: Progress = silent,
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """IUV maps of many bodies, chunk by chunk: parameters in, maps out, memory does not grow with N.

    Args:
        parameters: N bodies, in the frame of ``projection``.
        projection: N cameras whose pixels are those of the map.
        body: the body model.
        atlas: its 24 charts (``atlas_for_body``), or the one-piece atlas.
        size: (H, W) px, or one number for a square.
        texture: ``vertex`` or ``face``, as for ``render_iuv``.
        chunk: bodies posed at a time; by default ``chunk_bodies``.
        progress: told after every chunk.

    Returns:
        an iterator over the rows and their (n, 3, H, W) uint8 maps.

    Raises:
        InputError: another number of cameras than of bodies, an atlas of another body.
        UnknownNameError: another texture.
    """
    count, chunk = len(parameters), chunk or chunk_bodies(size)
    if len(projection) != count:
        raise InputError("camera", f"has {len(projection)} rows, expected one per body ({count})")
    texture_uv(atlas, texture)

    def chunks() -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        for rows, posed in body.stream(parameters, chunk=chunk):
            yield rows, render_iuv_projected(posed.vertices, projection[rows], atlas, size, texture)
            progress("iuv maps", min(rows.stop, count), count)

    return chunks()


def render_iuv_bodies(
    parameters: BodyParameters,
    crop_camera: ArrayLike,
    body: BodyModel,
    atlas: Atlas,
    size: int = 56,
    texture: str = "vertex",
    chunk: int | None = None,
    progress: Progress = silent,
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """``stream_iuv`` of crops.

    Args:
        parameters: N bodies; ``transl`` is left out, the crop camera says where the body is.
        crop_camera: (N, 3) = (s, tx, ty).
        size: px of the map, which shows the whole 224-px-frame crop (DaNet, PyMAF: 56).
        body, atlas, texture, chunk, progress: as for ``stream_iuv``.

    Raises:
        InputError: also a scale that is not positive.
    """
    centred = parameters.replaced(transl=np.zeros((len(parameters), 3)))
    return stream_iuv(centred, Projection.crop(crop_camera, size), body, atlas, size, texture, chunk, progress)

"""Clean shaded figures of a body for reports and galleries.

In: vertices in the body's own frame or the camera's. Out: uint8 RGB. Called by ``reports`` and the previews of ``cli``.
``contact_sheet`` (from ``sheet``) is offered here too, since figures are mostly shown many at a time.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.normals import vertex_normals
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.kernels import weights_at
from hmrtk.toolkit.maps.raster import rasterize
from hmrtk.toolkit.synthesis.sheet import contact_sheet
from hmrtk.toolkit.synthesis.surface import vertex_openness

__all__ = ["CLAY", "VIEWS", "contact_sheet", "picture_size", "render_figure"]

CLAY = (0.80, 0.74, 0.68)
"""Default colour: neutral warm clay, sRGB 0..1."""

VIEWS = {"front": 0.0, "camera": 0.0, "three-quarter": 35.0, "side": 90.0, "back": 180.0}
"""Degrees the body turns about the picture's vertical axis. ``side`` shows the left of a body seen in front view."""

_SUPERSAMPLE = 3
_DISTANCE_M = 1000.0
"""Depth added so that perspective-correct interpolation becomes the orthographic one (error 1e-3 of a face)."""
_LIGHTS = np.array([[-0.45, -0.65, -0.62, 0.86], [0.85, -0.15, -0.5, 0.20], [0.15, 0.9, -0.4, 0.08]], np.float32)
"""Key, fill and bounce: direction towards the light in the camera frame, then its strength."""
_SKY, _EARTH = 0.36, 0.20
_GROUND = (0.86, 0.86, 0.88)


def render_figure(
    vertices: ArrayLike,
    body: BodyModel,
    size: int | tuple[int, int] = 256,
    view: str = "front",
    frame: Literal["body", "camera"] = "body",
    colour: ArrayLike = CLAY,
    background: str | tuple[float, float, float] = "white",
    margin: float = 0.06,
    extent: float | None = None,
    ground: bool = False,
) -> NDArray[np.uint8]:
    """Draw one body, orthographic, centred and fitted to the picture, softly lit.

    Args:
        vertices: (6890, 3) metres.
        body: the model the vertices belong to (its faces are used).
        size: side of a square picture or (height, width), px.
        view: a name of ``VIEWS``.
        frame: ``body`` (y up, z to the front, x to the person's left) or ``camera`` (x right, y down, z forward).
            In the front view of both, the left hand of a person who faces us is on the picture's right.
        colour: one sRGB triple, or (6890, 3) per vertex, values 0..1.
        background: ``white``, ``transparent`` (the result then has a fourth channel), or an sRGB triple 0..1.
        margin: share of the picture left free on every side.
        extent: metres shown along the picture's shorter side; None fits the body. Give all figures of a gallery the
            same extent to keep their sizes comparable.
        ground: draw a soft line under the lowest point.

    Returns:
        (H, W, 3) uint8, or (H, W, 4) with straight alpha when transparent.

    Raises:
        InputError: wrong shape, values that are not finite, or a size below 8 px.
        UnknownNameError: unknown view, frame or background name.
    """
    points = _checked_vertices(vertices, body)
    height, width = picture_size(size)
    colours = _vertex_colours(colour, len(points))
    backdrop = _backdrop(background)
    turned = _turned(points, view, frame)
    scaled, scale = _fitted(turned, height, width, margin, extent)
    normals = vertex_normals(turned, body.faces)
    openness = vertex_openness(turned, normals, body.faces)
    fine = (height * _SUPERSAMPLE, width * _SUPERSAMPLE)
    face_id = rasterize(scaled, body.faces, fine)
    canvas = np.zeros((*fine, 4), np.float32)
    if ground:
        _draw_ground(canvas, scaled, scale)
    _shade(canvas, face_id, scaled, body.faces, normals, openness, colours, _unit(_LIGHTS))
    return _finished(canvas, height, width, backdrop)


def picture_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) px from a side or a pair.

    Raises:
        InputError: not one or two whole numbers of at least 8.
    """
    pair = (size, size) if isinstance(size, int | np.integer) else tuple(size)
    if len(pair) != 2 or any(int(side) != side or side < 8 for side in pair):
        raise InputError("picture size", f"expected a side or (height, width) of at least 8 px, got {size!r}")
    return int(pair[0]), int(pair[1])


def _checked_vertices(vertices: ArrayLike, body: BodyModel) -> NDArray[np.float32]:
    points = np.ascontiguousarray(vertices, np.float32)
    expected = (len(body.v_template), 3)
    if points.shape != expected:
        raise InputError("figure vertices", f"expected shape {expected}, got {points.shape}")
    if not np.isfinite(points).all():
        raise InputError("figure vertices", "NaN or infinite values")
    return points


def _vertex_colours(colour: ArrayLike, count: int) -> NDArray[np.float32]:
    """(V, 3) linear-light colours."""
    colours = np.asarray(colour, np.float32)
    if colours.shape not in ((3,), (count, 3)):
        raise InputError("figure colour", f"expected shape (3,) or ({count}, 3), got {colours.shape}")
    if not (np.isfinite(colours).all() and colours.min() >= 0 and colours.max() <= 1):
        raise InputError("figure colour", "expected values in 0..1", "divide uint8 colours by 255")
    return np.ascontiguousarray(np.broadcast_to(colours, (count, 3)) ** 2.2, np.float32)


def _backdrop(background: str | tuple[float, float, float]) -> NDArray[np.float32] | None:
    """sRGB triple to lay the figure on; None for transparent."""
    if isinstance(background, str):
        if background not in ("white", "transparent"):
            raise UnknownNameError("background", background, ("white", "transparent"))
        return None if background == "transparent" else np.ones(3, np.float32)
    triple = np.asarray(background, np.float32)
    if triple.shape != (3,) or not np.isfinite(triple).all() or triple.min() < 0 or triple.max() > 1:
        raise InputError("figure background", f"expected a name or three values in 0..1, got {background!r}")
    return triple


def _turned(points: NDArray[np.float32], view: str, frame: str) -> NDArray[np.float32]:
    """The body in the camera frame, turned about the vertical through its middle so that ``view`` faces us."""
    if view not in VIEWS:
        raise UnknownNameError("view", view, VIEWS)
    if frame not in ("body", "camera"):
        raise UnknownNameError("frame", frame, ("body", "camera"))
    camera = points * np.array([1, -1, -1], np.float32) if frame == "body" else points
    centred = camera - (camera.min(axis=0) + camera.max(axis=0)) / 2
    angle = np.radians(VIEWS[view])
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]], np.float32)
    return np.ascontiguousarray(centred @ turn.T, np.float32)


def _fitted(
    points: NDArray[np.float32], height: int, width: int, margin: float, extent: float | None
) -> tuple[NDArray[np.float64], float]:
    """Fine-picture px and depth of each vertex, and the px per metre."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1e-6)
    free = 1.0 - 2.0 * margin
    scale = min(height * free / span[1], width * free / span[0]) if extent is None else min(height, width) / extent
    scale *= _SUPERSAMPLE
    middle = (low + high) / 2
    placed = np.empty(points.shape, np.float64)
    placed[:, 0] = (points[:, 0] - middle[0]) * scale + width * _SUPERSAMPLE / 2
    placed[:, 1] = (points[:, 1] - middle[1]) * scale + height * _SUPERSAMPLE / 2
    placed[:, 2] = points[:, 2] - middle[2] + _DISTANCE_M
    return placed, float(scale)


def _draw_ground(canvas: NDArray[np.float32], placed: NDArray[np.float64], scale: float) -> None:
    """A line under the feet that fades to both sides, into ``canvas`` (premultiplied linear RGBA)."""
    height, width = canvas.shape[:2]
    lowest = placed[:, 1].max()
    middle, reach = (placed[:, 0].min() + placed[:, 0].max()) / 2, 0.75 * np.ptp(placed[:, 0]) + 0.1 * scale
    across = np.clip(1.0 - (np.abs(np.arange(width) + 0.5 - middle) / reach) ** 2, 0, 1)
    down = np.clip(1.5 * _SUPERSAMPLE - np.abs(np.arange(height) + 0.5 - lowest - _SUPERSAMPLE), 0, 1)
    alpha = (down[:, None] * across).astype(np.float32)
    canvas[..., :3] = alpha[..., None] * np.float32(0.12)
    canvas[..., 3] = alpha


@njit(cache=True, nogil=True)
def _shade(canvas, face_id, placed, faces, normals, openness, colours, lights):  # type: ignore[no-untyped-def]
    """Write the lit surface (linear RGB, alpha 1) wherever a face was hit."""
    for y in range(face_id.shape[0]):
        for x in range(face_id.shape[1]):
            f = face_id[y, x]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wb, wc = weights_at(placed, a, b, c, x + 0.5, y + 0.5)
            wa = 1.0 - wb - wc
            nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
            ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
            nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
            length = max(1e-9, np.sqrt(nx * nx + ny * ny + nz * nz))
            nx, ny, nz = nx / length, ny / length, nz / length
            openness_here = wa * openness[a] + wb * openness[b] + wc * openness[c]
            light = openness_here * (_EARTH + (_SKY - _EARTH) * (0.5 - 0.5 * ny))
            for k in range(lights.shape[0]):
                facing = nx * lights[k, 0] + ny * lights[k, 1] + nz * lights[k, 2]
                light += lights[k, 3] * max(0.0, facing) * (0.35 + 0.65 * openness_here)
            for k in range(3):
                canvas[y, x, k] = light * (wa * colours[a, k] + wb * colours[b, k] + wc * colours[c, k])
            canvas[y, x, 3] = 1.0


def _unit(lights: NDArray[np.float32]) -> NDArray[np.float32]:
    directions = lights[:, :3] / np.linalg.norm(lights[:, :3], axis=1, keepdims=True)
    return np.concatenate([directions, lights[:, 3:]], axis=1).astype(np.float32)


def _finished(
    canvas: NDArray[np.float32], height: int, width: int, backdrop: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    """Average the fine pixels, encode for display and lay on the backdrop."""
    mean = canvas.reshape(height, _SUPERSAMPLE, width, _SUPERSAMPLE, 4).mean(axis=(1, 3))
    alpha = mean[..., 3:]
    display = (np.clip(mean[..., :3] / np.maximum(alpha, 1e-6), 0, 1)) ** (1 / 2.2)
    if backdrop is None:
        picture = np.concatenate([display, alpha], axis=-1)
    else:
        picture = display * alpha + backdrop * (1 - alpha)
    return (picture * 255 + 0.5).astype(np.uint8)

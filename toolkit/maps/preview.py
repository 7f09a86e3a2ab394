"""Colours for maps, so that a person can read them. Called by contact sheets and by whoever looks at shards."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.charts import CHART_COUNT, CHART_NAMES

_LIMB_HUES = {
    "torso back": 0.62,
    "torso front": 0.56,
    "hand": 0.98,
    "foot": 0.78,
    "upper leg back": 0.30,
    "upper leg front": 0.36,
    "lower leg back": 0.46,
    "lower leg front": 0.42,
    "upper arm front": 0.10,
    "upper arm back": 0.06,
    "lower arm front": 0.15,
    "lower arm back": 0.19,
    "head": 0.88,
}


GRID_FROM = 112
"""px; on smaller maps the lines would hide the surface."""


def chart_colours() -> NDArray[np.uint8]:
    """(25, 3) RGB of charts 0..24: a hue per limb, the person's right side pale and the left side strong."""
    colours = np.zeros((CHART_COUNT + 1, 3))
    for chart, name in enumerate(CHART_NAMES[1:], start=1):
        side, _, rest = name.partition(" ")
        hue = _LIMB_HUES[rest if side in ("left", "right") else name]
        colours[chart] = colorsys.hsv_to_rgb(hue, 0.45 if side == "right" else 0.85, 1.0)
    return np.round(colours * 255).astype(np.uint8)


def iuv_to_rgb(iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour an IUV map: hue = chart, brightness rises with V; from ``GRID_FROM`` px on, dark lines mark quarters of U
    and V.

    Args:
        iuv: (..., 3, H, W) uint8.

    Returns:
        (..., H, W, 3) uint8 RGB; the background is black.

    Raises:
        InputError: another shape or dtype.
    """
    chart, u, v = _planes(iuv)
    colour = chart_colours()[np.minimum(chart, CHART_COUNT)].astype(np.float32)
    line = np.minimum(np.abs(u * 4 - np.round(u * 4)), np.abs(v * 4 - np.round(v * 4))) < 0.08
    shade = (0.55 + 0.45 * v) * np.where(line & (iuv.shape[-1] >= GRID_FROM), 0.6, 1.0)
    return np.round(colour * shade[..., None]).astype(np.uint8)


def uv_to_rgb(iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour the IUV map of a one-piece atlas, where the chart tells nothing: red rises with U, green with V, and from
    ``GRID_FROM`` px on dark lines mark eighths of both.

    Args, Returns, Raises: as ``iuv_to_rgb``.
    """
    chart, u, v = _planes(iuv)
    line = np.minimum(np.abs(u * 8 - np.round(u * 8)), np.abs(v * 8 - np.round(v * 8))) < 0.08
    shade = (chart > 0) * np.where(line & (iuv.shape[-1] >= GRID_FROM), 0.6, 1.0)
    colour = np.stack([0.15 + 0.85 * u, 0.15 + 0.85 * v, np.full_like(u, 0.55)], axis=-1)
    return np.round(255 * colour * shade[..., None]).astype(np.uint8)


def _planes(iuv: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Chart, and U and V in [0, 1]."""
    if iuv.ndim < 3 or iuv.shape[-3] != 3 or iuv.dtype != np.uint8:
        raise InputError("iuv", f"expected uint8 (..., 3, H, W), got {iuv.dtype} {iuv.shape}")
    u, v = (iuv[..., k, :, :].astype(np.float32) / np.float32(255) for k in (1, 2))
    return iuv[..., 0, :, :], u, v


def location_to_rgb(maps: NDArray[np.floating], mask: NDArray[np.bool_], reach: float = 1.0) -> NDArray[np.uint8]:
    """Colour a map of positions or offsets: red, green, blue = x, y, z from −reach to reach metres.

    Args:
        maps: (..., 3, S, S) metres.
        mask: (S, S) texels that hold a value; the others become black.
        reach: metres that reach full brightness.

    Returns:
        (..., S, S, 3) uint8 RGB.

    Raises:
        InputError: another shape.
    """
    if maps.ndim < 3 or maps.shape[-3] != 3 or maps.shape[-2:] != mask.shape:
        raise InputError("maps", f"expected shape (..., 3, {mask.shape[0]}, {mask.shape[1]}), got {maps.shape}")
    unit = np.clip(np.moveaxis(maps, -3, -1).astype(np.float32) / (2 * reach) + 0.5, 0, 1)
    return np.round(unit * 255 * mask[..., None]).astype(np.uint8)


def assignment_to_rgb(assignment: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour a part assignment (..., S, S) uint8: one colour per joint, black outside (255) → (..., S, S, 3) RGB."""
    # Hues a golden angle apart: neighbours in the joint list never look alike.
    wheel = [colorsys.hsv_to_rgb(i * 0.618 % 1.0, 0.75 if i % 2 else 0.5, 1.0) for i in range(255)]
    colours = np.zeros((256, 3), np.uint8)
    colours[:255] = np.round(np.array(wheel) * 255)
    return colours[assignment]

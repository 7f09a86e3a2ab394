"""Crops: boxes to squares, squares to affine maps, affine maps applied to points and images.

Pixel centres are at integer + 0.5 (``hmrtk.toolkit.geometry``); OpenCV, which puts them at integers, is converted for
here and nowhere else. Shards, predictors and importers call these.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.arrays import Array, floating


def bbox_to_square(bbox: Array, expansion: float) -> tuple[Array, Array]:
    """Boxes (..., 4) = (x0, y0, x1, y1) px → centre (..., 2) and side (...) = longer side × ``expansion``.

    Raises:
        InputError: a box is empty or not finite.
    """
    bbox = floating(bbox, (4,), "bbox")
    extent = bbox[..., 2:] - bbox[..., :2]
    if not ((extent > 0) & np.isfinite(extent)).all():
        raise InputError("bbox", "is empty or not finite, expected x0 < x1 and y0 < y1")
    return (bbox[..., :2] + bbox[..., 2:]) / 2, extent.max(-1) * bbox.dtype.type(expansion)


def square_affine(center: Array, side: Array, size: int, rotation: Array | float = 0.0) -> Array:
    """The affine map (..., 2, 3) from full-image px to the px of a ``size`` × ``size`` crop.

    Args:
        center: (..., 2) px, goes to the crop's centre.
        side: (...) px, the square's side, becomes ``size``.
        size: px.
        rotation: (...) radians; the crop's content turns by this angle from x towards y (clockwise as seen).

    Raises:
        InputError: a side is not positive.
    """
    center = floating(center, (2,), "center")
    side, angle = np.asarray(side, center.dtype), np.asarray(rotation, center.dtype)
    if not (side > 0).all():
        raise InputError("side", f"expected positive, got {float(np.min(side))}")
    cosine, sine = np.cos(angle) * (size / side), np.sin(angle) * (size / side)
    linear = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    offset = size / 2 - (linear @ center[..., None])
    return np.concatenate([np.broadcast_to(linear, (*offset.shape[:-1], 2)), offset], -1).astype(center.dtype)


def invert_affine(affine: Array) -> Array:
    """(..., 2, 3) → its inverse (..., 2, 3).

    Raises:
        InputError: the map is singular.
    """
    affine = floating(affine, (2, 3), "affine")
    a, b, c, d = affine[..., 0, 0], affine[..., 0, 1], affine[..., 1, 0], affine[..., 1, 1]
    determinant = a * d - b * c
    if not (np.isfinite(determinant) & (determinant != 0)).all():
        raise InputError("affine", "is singular, expected an invertible map")
    linear = np.stack([np.stack([d, -b], -1), np.stack([-c, a], -1)], -2) / determinant[..., None, None]
    return np.concatenate([linear, -linear @ affine[..., 2:]], -1)


def compose_affine(outer: Array, inner: Array) -> Array:
    """(..., 2, 3) of x ↦ outer(inner(x))."""
    outer, inner = floating(outer, (2, 3), "outer"), floating(inner, (2, 3), "inner")
    product = outer[..., :2] @ inner
    return np.concatenate([product[..., :2], product[..., 2:] + outer[..., 2:]], -1)


def apply_affine(points: Array, affine: Array) -> Array:
    """Points (..., P, 2) through maps (..., 2, 3) → (..., P, 2)."""
    points, affine = floating(points, (2,), "points"), floating(affine, (2, 3), "affine")
    moved = points @ np.swapaxes(affine[..., :2], -1, -2) + affine[..., None, :, 2]
    return moved.astype(points.dtype, copy=False)


def warp_image(image: NDArray[np.uint8], affine: Array, size: int, border: int = 0) -> NDArray[np.uint8]:
    """Resample an image (H, W, C) uint8 through ``affine`` (2, 3), full px → crop px, to (size, size, C).

    Bilinear (OpenCV's: exact to rounding since its version 5, in steps of 1/32 px before); when the crop is
    smaller than half the original, what it shows is first averaged over whole blocks, so that fine texture does not
    alias. Outside the image: ``border``.
    """
    if image.ndim != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError("image", f"expected (H, W, C) uint8, got {image.shape} {image.dtype}")
    affine = np.asarray(affine, np.float64)
    inverse = invert_affine(affine)
    shrink = int(np.sqrt(abs(np.linalg.det(inverse[:, :2]))) + 1e-6)
    if shrink >= 2:
        rows, columns = _seen(inverse, size, shrink, image.shape)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return np.full((size, size, image.shape[2]), border, np.uint8)
        image = _block_average(image[rows, columns], shrink, border)
        to_window = np.array([[shrink, 0, columns.start], [0, shrink, rows.start]])
        affine = compose_affine(affine, to_window)
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2].sum(1) / 2 - 0.5  # centres at integers, both in the image and in the crop
    value = (float(border),) * 4
    warped = cv2.warpAffine(image, shifted, (size, size), flags=cv2.INTER_LINEAR, borderValue=value)
    return np.asarray(warped, np.uint8).reshape(size, size, image.shape[2])


def _seen(inverse: Array, size: int, block: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of an image, in whole blocks, that a crop shows or that border on them."""
    corners = apply_affine(np.array([[0.0, 0], [0, size], [size, 0], [size, size]]), inverse)
    first = np.floor(corners.min(axis=0) / block).astype(int) - 2
    last = np.ceil(corners.max(axis=0) / block).astype(int) + 2
    (left, top), (right, bottom) = np.maximum(first, 0) * block, np.minimum(last * block, shape[1::-1])
    return slice(top, bottom), slice(left, right)


def _block_average(image: NDArray[np.uint8], block: int, border: int) -> NDArray[np.uint8]:
    height, width, channels = image.shape
    bottom, right = -height % block, -width % block
    padded = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(float(border),) * 4)
    smaller = ((width + right) // block, (height + bottom) // block)
    return np.asarray(cv2.resize(padded, smaller, interpolation=cv2.INTER_AREA)).reshape(*smaller[::-1], channels)

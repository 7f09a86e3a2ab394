"""Between the image and UV space, through an IUV map of a one-piece atlas (chart 1 everywhere).

``sample_uv`` reads UV-space maps at the pixels of an image (the ground truth M_l, M_j, M_d of Best of Both §3.1);
``image_to_uv`` carries image-space maps or features into UV space (§3.2; DecoMR §3.3) and says which texels were seen.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.kernels import UV_LEVELS
from hmrtk.toolkit.maps.location import UVSpace, bilinear_taps
from hmrtk.toolkit.maps.slices import over_slices


class DenseMaps(NamedTuple):
    """Image-space maps (N, 3, H, W) float32, metres relative to the root, zeros on the background."""

    location: NDArray[np.float32]
    joint: NDArray[np.float32]
    displacement: NDArray[np.float32]


def sample_uv(
    maps: NDArray[np.floating[Any]], iuv: NDArray[np.uint8], space: UVSpace, nearest: bool = False
) -> NDArray[np.float32]:
    """Read UV-space maps at every foreground pixel.

    Args:
        maps: (N, C, S, S).
        iuv: (N, 3, H, W) uint8, rendered with the atlas of ``space``.
        space: of size S; only its filled texels are read.
        nearest: the nearest filled texel instead of the bilinear mean; for maps that are constant in parts (UV_j).

    Returns:
        (N, C, H, W) float32; zeros on the background.

    Raises:
        InputError: wrong shapes, or an IUV map of several charts.
    """
    size = space.size
    if maps.ndim != 4 or maps.shape[2:] != (size, size) or len(maps) != len(iuv):
        raise InputError("maps", f"expected ({len(iuv)}, C, {size}, {size}), got {maps.shape}")
    _check_one_piece(iuv)
    texels, weights = _level_taps(space, nearest)
    flat = np.ascontiguousarray(maps, np.float32).reshape(*maps.shape[:2], -1)
    coded = np.ascontiguousarray(iuv)
    out = np.zeros((*maps.shape[:2], *iuv.shape[2:]), np.float32)
    over_slices(lambda a, b: _read(flat, coded, texels, weights, out, a, b), len(out))
    return out


def dense_maps(
    location: NDArray[np.float32], joint: NDArray[np.float32], iuv: NDArray[np.uint8], space: UVSpace
) -> DenseMaps:
    """M_l, M_j and M_d = M_l − M_j of an image (Best of Both §3.1).

    Args:
        location, joint: (N, 3, S, S) UV_l and UV_j, metres.
        iuv: (N, 3, H, W) uint8, rendered with the atlas of ``space``.
        space: of size S.

    Raises:
        InputError: as ``sample_uv``.
    """
    surface = sample_uv(location, iuv, space)
    centre = sample_uv(joint, iuv, space, nearest=True)
    return DenseMaps(surface, centre, surface - centre)


def image_to_uv(
    values: NDArray[np.floating[Any]], iuv: NDArray[np.uint8], size: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Carry image-space values into UV space: every foreground pixel adds to its nearest texel, texels take the mean.

    Args:
        values: (N, C, H, W), maps or features.
        iuv: (N, 3, H, W) uint8 of a one-piece atlas.
        size: S, texels.

    Returns:
        maps (N, C, S, S) float32, zeros where nothing was seen; visible (N, S, S) bool.

    Raises:
        InputError: wrong shapes, or an IUV map of several charts.
    """
    _check_one_piece(iuv)
    if values.ndim != 4 or (len(values), *values.shape[2:]) != (len(iuv), *iuv.shape[2:]):
        raise InputError("values", f"expected ({len(iuv)}, C, {iuv.shape[2]}, {iuv.shape[3]}), got {values.shape}")
    if size < 1:
        raise InputError("size", f"expected at least 1 texel, got {size}")
    pixels, coded = np.ascontiguousarray(values, np.float32), np.ascontiguousarray(iuv)
    maps = np.zeros((*values.shape[:2], size, size), np.float32)
    seen = np.zeros((len(values), size, size), np.int32)
    over_slices(lambda a, b: _scatter(pixels, coded, maps, seen, a, b), len(maps))
    return maps, seen > 0


def _check_one_piece(iuv: NDArray[np.uint8]) -> None:
    if iuv.ndim != 4 or iuv.shape[1] != 3 or iuv.dtype != np.uint8:
        raise InputError("IUV map", f"expected uint8 (N, 3, H, W), got {iuv.dtype} {iuv.shape}")
    if iuv.size and iuv[:, 0].max() > 1:
        raise InputError("IUV map", f"has chart {iuv[:, 0].max()}", "render it with the one-piece atlas")


@lru_cache(maxsize=8)
def _level_taps(space: UVSpace, nearest: bool) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """``bilinear_taps`` of all 256 x 256 coded (U, V): (65536, 4) texels and weights, row = 256·V + U."""
    level = np.arange(UV_LEVELS + 1) / UV_LEVELS
    grid = np.stack(np.meshgrid(level, level), axis=-1).reshape(-1, 2)
    texels, weights = bilinear_taps(grid, space.filled)
    if nearest:
        weights = (np.arange(4) == weights.argmax(axis=1)[:, None]).astype(np.float64)
    return texels.astype(np.int32), weights.astype(np.float32)


@njit(cache=True, nogil=True)
def _read(maps, iuv, texels, weights, out, first, last):  # type: ignore[no-untyped-def]
    for n in range(first, last):
        for i in range(iuv.shape[2]):
            for j in range(iuv.shape[3]):
                if iuv[n, 0, i, j] == 0:
                    continue
                row = np.int64(iuv[n, 2, i, j]) * (UV_LEVELS + 1) + iuv[n, 1, i, j]
                for channel in range(maps.shape[1]):
                    total = np.float32(0.0)
                    for k in range(4):
                        if weights[row, k] > 0.0:
                            total += weights[row, k] * maps[n, channel, texels[row, k]]
                    out[n, channel, i, j] = total


@njit(cache=True, nogil=True)
def _scatter(values, iuv, maps, seen, first, last):  # type: ignore[no-untyped-def]
    size = maps.shape[2]
    for n in range(first, last):
        for i in range(iuv.shape[2]):
            for j in range(iuv.shape[3]):
                if iuv[n, 0, i, j] == 0:
                    continue
                col = min(size - 1, int(iuv[n, 1, i, j] / UV_LEVELS * size))
                row = min(size - 1, int(iuv[n, 2, i, j] / UV_LEVELS * size))
                seen[n, row, col] += 1
                for channel in range(values.shape[1]):
                    maps[n, channel, row, col] += values[n, channel, i, j]
        for row in range(size):
            for col in range(size):
                if seen[n, row, col] > 1:
                    for channel in range(values.shape[1]):
                        maps[n, channel, row, col] /= seen[n, row, col]

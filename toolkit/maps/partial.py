"""Partial IUV maps: 24 views of one IUV map, each centred on a joint and scaled to its limbs (DaNet §4.1, Fig. 4).

In: coded global maps or projected bodies, and ``Rois`` (``partial_rois``). Out: coded partial maps (N, 24, 3, s, s)
uint8, in two ways: ``partial_iuv`` samples the global map, as the paper makes its ground truth; ``render_partial``
renders each region anew, which is sharper. Then, as the networks want them: ``simplified`` to the charts around the
joint (without it: the ablation D-Net-AP of Table 8, in the 25-channel form of ``iuv_form.one_hot``),
``one_hot_partial`` with 7 channels, ``drop_charts`` for PartDrop, ``mirror_partial``. Called by data loading and
previews.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import SMPL_FLIP
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import compose_affine
from hmrtk.toolkit.maps.charts import CHART_COUNT
from hmrtk.toolkit.maps.iuv import render_iuv_projected
from hmrtk.toolkit.maps.iuv_form import decode, encode
from hmrtk.toolkit.maps.mirror import mirror_iuv
from hmrtk.toolkit.maps.partial_charts import JOINT_COUNT, KEPT_CHARTS, KEPT_COUNT, KEPT_MASK, VISIBILITY_MASK
from hmrtk.toolkit.maps.partial_rois import Rois, check_square_maps
from hmrtk.toolkit.maps.projection import Projection
from hmrtk.toolkit.maps.slices import over_slices

if TYPE_CHECKING:
    from hmrtk.toolkit.maps.atlas import Atlas

PARTIAL_SIZE = 56
"""px of a partial map: that of the global one (DaNet §5.1)."""

PARTIAL_CHANNELS = KEPT_COUNT + 1

DROP_RATE = 0.3
"""γ of PartDrop (DaNet §5.1)."""


def partial_iuv(
    iuv: NDArray[np.uint8], rois: Rois, size: int = PARTIAL_SIZE, threads: int | None = None
) -> NDArray[np.uint8]:
    """Cut the partial maps out of global ones, each pixel taking the nearest of the map, so that charts stay exact.

    The same pixels as torch's ``grid_sample(map, affine_grid(theta, …), mode="nearest", padding_mode="zeros")``, both
    with ``align_corners=False``, but for positions half way between two pixels to within its rounding.

    Args:
        iuv: (N, 3, S, S) coded global maps.
        rois: N times 24 regions.
        size: s, px of the partial maps.
        threads: default: all cores this process may use.

    Returns:
        (N, 24, 3, s, s) uint8; background outside the map, and everywhere where a region is not valid.

    Raises:
        InputError: wrong shapes, another number of regions than of maps, or no pixels.
    """
    check_square_maps(iuv)
    _check_rois(rois, len(iuv), size)
    maps = np.ascontiguousarray(iuv)
    center, scale, valid = (np.ascontiguousarray(array) for array in (rois.center, rois.scale, rois.valid))
    partial = np.empty((len(iuv), JOINT_COUNT, 3, size, size), np.uint8)
    over_slices(lambda a, b: _sample(maps, center, scale, valid, partial, a, b), len(iuv), threads)
    return partial


def render_partial(
    vertices: NDArray[np.floating[Any]],
    projection: Projection,
    rois: Rois,
    atlas: Atlas,
    map_size: int,
    size: int = PARTIAL_SIZE,
    texture: str = "vertex",
    threads: int | None = None,
) -> NDArray[np.uint8]:
    """Render the partial maps from the bodies, at their own resolution instead of the global map's.

    With both at 56 px, charts are the same as ``partial_iuv``'s for 98 % of the pixels inside a chart and 82 % of all
    foreground pixels: outlines differ by a pixel of the global map. From a 448 px map it is 99.98 % and 97 %.

    Args:
        vertices: (N, V, 3) metres, in the frame of ``projection``.
        projection: N cameras whose pixels are those of the global map.
        rois: N times 24 regions of that map.
        atlas: fits the body.
        map_size: S, px of the global map.
        size: s, px of the partial maps.
        texture, threads: as for ``render_iuv``.

    Returns:
        (N, 24, 3, s, s) uint8; background where ``partial_iuv`` has it for want of a map, though the body goes on.

    Raises:
        InputError: as ``render_iuv_projected``, or another number of regions than of bodies. UnknownNameError: another
        texture.
    """
    _check_rois(rois, len(vertices), size)
    after = rois.affine(map_size, size)
    partial = np.empty((len(vertices), JOINT_COUNT, 3, size, size), np.uint8)
    for k in range(JOINT_COUNT):
        camera = Projection(compose_affine(after[:, k], projection.matrix), projection.translation)
        partial[:, k] = render_iuv_projected(vertices, camera, atlas, size, texture, threads)
    return partial * _inside(rois, size)[:, :, None]


def simplified(partial: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Only the six charts around each joint (``KEPT_CHARTS``); the rest becomes background (DaNet §4.1, Fig. 4c).

    Args:
        partial: (..., 24, 3, s, s) coded.

    Raises:
        InputError: another shape or dtype, or a chart above 24.
    """
    return partial * _per_pixel(KEPT_MASK, _checked(partial))[..., None, :, :]


def one_hot_partial(
    partial: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Coded partial maps → the 7-channel form: the targets of DaNet's partial IUV head.

    Channel 0 is the background, channels 1 to 6 are the joint's ``KEPT_CHARTS`` in their order. A chart that is in the
    row twice fills both its channels, as in DaNet, whose index then sums to 2 there (its class is the first of the
    two). The background is 1 where the kept channels of the index sum to less than 0.5; other charts count as
    background, so ``simplified`` need not come first.

    DaNet stacks U, V and index in this order to 21 channels per joint: ``np.concatenate([u, v, index], axis=-3)``.

    Args:
        partial: (..., 24, 3, s, s) coded.

    Returns:
        index, U and V, each (..., 24, 7, s, s) float32; U and V are zero off their charts' channels.

    Raises:
        InputError: as ``simplified``.
    """
    chart, u, v = decode(simplified(partial))
    index = np.empty((*chart.shape[:-2], PARTIAL_CHANNELS, *chart.shape[-2:]), np.float32)
    index[..., 1:, :, :] = chart[..., None, :, :] == KEPT_CHARTS[:, :, None, None]
    index[..., 0, :, :] = index[..., 1:, :, :].sum(axis=-3) < 0.5
    return index, index * u[..., None, :, :], index * v[..., None, :, :]


def from_one_hot_partial(
    index: NDArray[np.floating[Any]], u: NDArray[np.floating[Any]], v: NDArray[np.floating[Any]]
) -> NDArray[np.uint8]:
    """The 7-channel form or a network's scores → coded: chart, U and V of the best channel, ties to the lowest.

    Args:
        index, u, v: (..., 24, 7, s, s); U and V are clipped to [0, 1].

    Returns:
        (..., 24, 3, s, s) uint8, simplified.

    Raises:
        InputError: wrong shapes, or NaN.
    """
    if index.shape[-4:-2] != (JOINT_COUNT, PARTIAL_CHANNELS) or not index.shape == u.shape == v.shape:
        raise InputError(
            "one-hot partial IUV map",
            f"expected three (..., {JOINT_COUNT}, {PARTIAL_CHANNELS}, s, s), got {index.shape}, {u.shape}, {v.shape}",
        )
    best = index.argmax(axis=-3, keepdims=True)
    charts = np.concatenate([np.zeros((JOINT_COUNT, 1), np.uint8), KEPT_CHARTS], axis=1)
    chosen = [np.clip(np.take_along_axis(plane, best, axis=-3)[..., 0, :, :], 0, 1) for plane in (u, v)]
    return encode(_per_pixel(charts, best), *chosen)


def joint_visibility(partial: NDArray[np.uint8], pixels: int = 1) -> NDArray[np.bool_]:
    """Which joints are seen: those with so many pixels of their visibility charts inside their RoI.

    Args:
        partial: (..., 24, 3, s, s) coded, simplified or not.
        pixels: the threshold, pixels of the partial map; by default any pixel will do.

    Returns:
        (..., 24) bool; False where a region was not valid.

    Raises:
        InputError: as ``simplified``, or a threshold below 1.
    """
    if pixels < 1:
        raise InputError("pixels", f"expected at least 1, got {pixels}")
    return _per_pixel(VISIBILITY_MASK, _checked(partial)).sum(axis=(-1, -2)) >= pixels


def drawn_charts(count: int, rng: np.random.Generator, rate: float = DROP_RATE) -> NDArray[np.bool_]:
    """PartDrop's draw (DaNet §4.2): each of the 24 charts of each map is dropped with probability ``rate``.

    Args:
        count: N maps.
        rng: the source of chance.
        rate: γ.

    Returns:
        (N, 25) bool by chart number; the background is never dropped.

    Raises:
        InputError: a rate outside 0 to 1.
    """
    if not 0 <= rate <= 1:
        raise InputError("rate", f"expected a probability from 0 to 1, got {rate}")
    dropped = rng.uniform(size=(count, CHART_COUNT + 1)) < rate
    dropped[:, 0] = False
    return dropped


def drop_charts(iuv: NDArray[np.uint8], dropped: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Zero the charts that PartDrop drops (DaNet Eq. 5), in global and partial ground truth alike.

    Dropped pixels become background; a network's own maps have them zero in the background's channel too.

    Args:
        iuv: (N, 3, S, S) or (N, 24, 3, s, s) coded maps.
        dropped: (N, 25) bool by chart number (``drawn_charts``); the same rows for a sample's global and partial maps.

    Raises:
        InputError: wrong shapes, or a chart above 24.
    """
    chart, _, _ = decode(iuv)
    if dropped.shape != (len(iuv), CHART_COUNT + 1) or dropped.dtype != np.bool_:
        raise InputError(
            "dropped", f"expected bool ({len(iuv)}, {CHART_COUNT + 1}), got {dropped.dtype} {dropped.shape}"
        )
    rows = np.arange(len(iuv)).reshape(-1, *[1] * (chart.ndim - 1))
    return np.where(dropped[rows, chart][..., None, :, :], 0, iuv).astype(np.uint8)


def mirror_partial(partial: NDArray[np.uint8], atlas: Atlas) -> NDArray[np.uint8]:
    """The partial maps of the mirrored picture of the mirrored body (regions: ``Rois.mirrored``).

    Args:
        partial: (..., 24, 3, s, s) coded, simplified or not.
        atlas: symmetric, as for ``mirror_iuv``.

    Raises:
        InputError: as ``mirror_iuv``, or another shape.
    """
    return mirror_iuv(np.take(_checked(partial), SMPL_FLIP, axis=-4), atlas)


@njit(cache=True, nogil=True, inline="always")
def _source(position, center, scale, size, map_size):  # type: ignore[no-untyped-def]
    """The map's pixel nearest to a pixel of a partial map, along one axis; -1 outside the map."""
    at = ((2 * position + 1) / size - 1) * scale + center
    nearest = np.rint(((at + 1) * map_size - 1) / 2)
    return int(nearest) if 0 <= nearest <= map_size - 1 else -1


@njit(cache=True, nogil=True)
def _sample(maps, center, scale, valid, partial, first, last):  # type: ignore[no-untyped-def]
    size, map_size = partial.shape[4], maps.shape[3]
    cols = np.empty(size, np.int32)
    for n in range(first, last):
        for k in range(partial.shape[1]):
            partial[n, k] = 0
            if not valid[n, k]:
                continue
            left, right = size, 0  # the columns in between are inside the map
            for j in range(size):
                cols[j] = _source(j, center[n, k, 0], scale[n, k], size, map_size)
                if cols[j] >= 0:
                    left, right = min(left, j), j + 1
            for i in range(size):
                row = _source(i, center[n, k, 1], scale[n, k], size, map_size)
                if row < 0:
                    continue
                for channel in range(3):
                    line = maps[n, channel, row]
                    for j in range(left, right):
                        partial[n, k, channel, i, j] = line[np.uint32(cols[j])]


def _inside(rois: Rois, size: int) -> NDArray[np.bool_]:
    """(N, 24, s, s) whether a pixel of a partial map is of a valid region and within the global map."""
    at = (np.arange(size) + 0.5) * (2 / size) - 1
    within = np.abs(at * rois.scale[..., None, None] + rois.center[..., None]) <= 1  # (N, 24, 2, s)
    return within[:, :, 1, :, None] & within[:, :, 0, None, :] & rois.valid[..., None, None]


def _per_pixel(table: NDArray[Any], charts: NDArray[Any]) -> NDArray[Any]:
    """``table`` (24, C) looked up at the first channel of (..., 24, c, s, s) → (..., 24, s, s)."""
    return table[np.arange(JOINT_COUNT)[:, None, None], charts[..., 0, :, :]]


def _checked(partial: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if partial.ndim < 4 or partial.shape[-4:-2] != (JOINT_COUNT, 3) or partial.dtype != np.uint8:
        raise InputError(
            "partial IUV map", f"expected uint8 (..., {JOINT_COUNT}, 3, s, s), got {partial.dtype} {partial.shape}"
        )
    if partial.size and partial[..., 0, :, :].max() > CHART_COUNT:
        raise InputError("partial IUV map", f"has chart {partial[..., 0, :, :].max()}, expected 0 to {CHART_COUNT}")
    return partial


def _check_rois(rois: Rois, count: int, size: int) -> None:
    if rois.center.shape != (count, JOINT_COUNT, 2):
        raise InputError("rois", f"expected centres ({count}, {JOINT_COUNT}, 2), got {rois.center.shape}")
    if size < 1:
        raise InputError("size", f"expected a partial map of at least 1 px, got {size}")

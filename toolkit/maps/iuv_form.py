"""The forms an IUV map is held in, and the ways between them. Called by ``shards``, data loading and ``mirror``.

* **coded**: uint8 (..., 3, S, S) = chart, round(255·U), round(255·V); what ``iuv`` renders and shards store;
* **open**: chart uint8, and U, V float32 in [0, 1];
* **one-hot**: index, U, V, each (..., 25, S, S): one channel per chart and one for the background (DaNet §4.1, the
  classification and regression targets of its networks);
* **grouped**: the 15 classes that DensePose's annotators used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.charts import CHART_COUNT, GROUP_OF_CHART
from hmrtk.toolkit.maps.kernels import UV_LEVELS

CHANNELS = CHART_COUNT + 1


def encode(
    chart: NDArray[np.integer[Any]], u: NDArray[np.floating[Any]], v: NDArray[np.floating[Any]]
) -> NDArray[np.uint8]:
    """Open → coded form. U and V lose at most 1/510.

    Args:
        chart: (..., S, S) 0..24.
        u, v: (..., S, S) in [0, 1]; not read on the background.

    Returns:
        (..., 3, S, S) uint8.

    Raises:
        InputError: a chart or a foreground coordinate out of range, or shapes that differ.
    """
    if not chart.shape == u.shape == v.shape:
        raise InputError("IUV map", f"expected one shape, got chart {chart.shape}, U {u.shape}, V {v.shape}")
    if chart.size and (chart.min() < 0 or chart.max() > CHART_COUNT):
        raise InputError("IUV map", f"has charts {chart.min()} to {chart.max()}, expected 0 to {CHART_COUNT}")
    seen = chart > 0
    planes = [chart.astype(np.uint8)]
    for name, value in (("U", u), ("V", v)):
        shown = np.where(seen, value, 0)
        if not ((shown >= 0) & (shown <= 1)).all():
            raise InputError("IUV map", f"has {name} outside [0, 1] or NaN on the foreground")
        planes.append(np.floor(shown * UV_LEVELS + 0.5).astype(np.uint8))
    return np.stack(planes, axis=-3)


def decode(iuv: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Coded → open form: chart (..., S, S) uint8, and U, V (..., S, S) float32, each a multiple of 1/255.

    Raises:
        InputError: not uint8 (..., 3, S, S), or a chart above 24.
    """
    chart = checked_iuv(iuv)[..., 0, :, :]
    level = iuv[..., 1:, :, :].astype(np.float32) / np.float32(UV_LEVELS)
    return chart, level[..., 0, :, :], level[..., 1, :, :]


def one_hot(iuv: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Coded → one-hot form: index, U and V, each (..., 25, S, S) float32; U and V are zero off their chart's channel.

    Raises:
        InputError: as ``decode``.
    """
    chart, u, v = decode(iuv)
    index = (chart[..., None, :, :] == np.arange(CHANNELS, dtype=np.uint8)[:, None, None]).astype(np.float32)
    return index, index * u[..., None, :, :], index * v[..., None, :, :]


def clean(
    index: NDArray[np.floating[Any]], u: NDArray[np.floating[Any]], v: NDArray[np.floating[Any]]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """A network's scores → one-hot form: the best channel becomes 1, U and V are kept in that channel alone.

    Args:
        index: (..., 25, S, S) scores of any scale; ties go to the lowest channel.
        u, v: (..., 25, S, S).

    Returns:
        index, u, v in the dtype they came in.

    Raises:
        InputError: another number of channels.
    """
    best = _best_channel(index, u, v)
    hard = best == np.arange(CHANNELS)[:, None, None]
    return hard.astype(index.dtype), u * hard, v * hard


def from_one_hot(
    index: NDArray[np.floating[Any]], u: NDArray[np.floating[Any]], v: NDArray[np.floating[Any]]
) -> NDArray[np.uint8]:
    """One-hot form or a network's scores → coded form; U and V of the best channel, clipped to [0, 1].

    Raises:
        InputError: another number of channels, or NaN.
    """
    best = _best_channel(index, u, v)
    chosen = [np.clip(np.take_along_axis(plane, best, axis=-3)[..., 0, :, :], 0, 1) for plane in (u, v)]
    return encode(best[..., 0, :, :], *chosen)


def grouped(chart: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Charts 0..24 → the 15 annotated classes 0..14 (``atlas.CHART_GROUPS``).

    Raises:
        InputError: a chart above 24.
    """
    if chart.size and chart.max() > CHART_COUNT:
        raise InputError("IUV map", f"has chart {chart.max()}, expected 0 to {CHART_COUNT}")
    return GROUP_OF_CHART[chart]


def checked_iuv(iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``iuv``, refused unless it is uint8 (..., 3, S, S) with charts up to 24."""
    if iuv.ndim < 3 or iuv.shape[-3] != 3 or iuv.dtype != np.uint8:
        raise InputError("IUV map", f"expected uint8 (..., 3, S, S), got {iuv.dtype} {iuv.shape}")
    if iuv.size and iuv[..., 0, :, :].max() > CHART_COUNT:
        raise InputError("IUV map", f"has chart {iuv[..., 0, :, :].max()}, expected 0 to {CHART_COUNT}")
    return iuv


def _best_channel(
    index: NDArray[np.floating[Any]], u: NDArray[np.floating[Any]], v: NDArray[np.floating[Any]]
) -> NDArray[np.intp]:
    if index.ndim < 3 or index.shape[-3] != CHANNELS or not index.shape == u.shape == v.shape:
        raise InputError(
            "one-hot IUV map", f"expected three (..., {CHANNELS}, S, S), got {index.shape}, {u.shape}, {v.shape}"
        )
    return index.argmax(axis=-3, keepdims=True)

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps import charts
from hmrtk.toolkit.maps.iuv_form import clean, decode, encode, from_one_hot, grouped, one_hot


@pytest.fixture
def iuv() -> NDArray[np.uint8]:
    """(4, 3, 9, 9) coded maps with every chart and level in them."""
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 256, (4, 3, 9, 9)).astype(np.uint8)
    maps[:, 0] = rng.integers(0, 25, (4, 9, 9))
    return np.where(maps[:, :1] > 0, maps, 0).astype(np.uint8)


def test_codec_error_is_at_most_half_a_level(iuv: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(1)
    chart = rng.integers(0, 25, (50, 8, 8))
    u, v = rng.uniform(size=(2, 50, 8, 8))
    got_chart, got_u, got_v = decode(encode(chart, u, v))
    np.testing.assert_array_equal(got_chart, chart)
    seen = chart > 0
    assert max(np.abs(got_u - u)[seen].max(), np.abs(got_v - v)[seen].max()) <= 1 / 510 + 1e-7
    assert (got_u[~seen] == 0).all()
    np.testing.assert_array_equal(encode(*decode(iuv)), iuv)


def test_one_hot_by_hand_and_back(iuv: NDArray[np.uint8]) -> None:
    index, u, v = one_hot(np.array([[[3, 0]], [[51, 0]], [[255, 0]]], np.uint8))
    assert index.shape == (25, 1, 2)
    assert index[3, 0, 0] == 1
    assert index[0, 0, 1] == 1
    assert index.sum() == 2
    np.testing.assert_allclose([u[3, 0, 0], v[3, 0, 0], u.sum(), v.sum()], [0.2, 1, 0.2, 1], rtol=1e-6)
    np.testing.assert_array_equal(from_one_hot(*one_hot(iuv)), iuv)


def test_clean_keeps_the_best_channel(iuv: NDArray[np.uint8]) -> None:
    index, u, v = one_hot(iuv)
    rng = np.random.default_rng(2)
    scores = 4 * index + rng.uniform(0, 3, index.shape).astype(np.float32)
    noisy = [plane + rng.uniform(0, 1, plane.shape).astype(np.float32) * (1 - index) for plane in (u, v)]
    for got, expected in zip(clean(scores, *noisy), (index, u, v), strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(from_one_hot(scores, *noisy), iuv)


def test_groups_cover_the_charts_once_and_commute_with_mirroring() -> None:
    assert sorted(c for group in charts.CHART_GROUPS for c in group) == list(range(25))
    numbers = np.arange(25, dtype=np.uint8)
    np.testing.assert_array_equal(grouped(numbers)[[0, 1, 2, 3, 9, 24]], [0, 1, 1, 2, 6, 14])
    np.testing.assert_array_equal(charts.MIRROR_CHART[charts.MIRROR_CHART], numbers)
    np.testing.assert_array_equal(charts.MIRROR_GROUP[grouped(numbers)], grouped(charts.MIRROR_CHART[numbers]))
    for chart, other in zip(charts.CHART_NAMES, np.array(charts.CHART_NAMES)[charts.MIRROR_CHART], strict=True):
        swapped = {"right": "left", "left": "right"}
        first, _, rest = chart.partition(" ")
        assert other == (f"{swapped[first]} {rest}" if first in swapped else chart)


def test_errors() -> None:
    ones = np.ones((2, 2))
    with pytest.raises(InputError, match="has charts 0 to 25, expected 0 to 24"):
        encode(np.array([[0, 25], [1, 1]]), ones, ones)
    with pytest.raises(InputError, match=r"has V outside \[0, 1\] or NaN on the foreground"):
        encode(np.ones((2, 2), int), ones, ones * np.nan)
    with pytest.raises(InputError, match=r"expected one shape, got chart \(2, 2\), U \(3,\)"):
        encode(np.ones((2, 2), int), np.ones(3), ones)
    with pytest.raises(InputError, match=r"expected uint8 \(\.\.\., 3, S, S\), got float64 \(3, 2, 2\)"):
        decode(np.ones((3, 2, 2)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has chart 25"):
        one_hot(np.full((3, 2, 2), 25, np.uint8))
    with pytest.raises(InputError, match="has chart 25"):
        grouped(np.full((2, 2), 25, np.uint8))
    with pytest.raises(InputError, match=r"expected three \(\.\.\., 25, S, S\), got \(24, 2, 2\)"):
        clean(*[np.ones((24, 2, 2))] * 3)

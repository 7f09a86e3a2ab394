from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.charts import CHART_NAMES, MIRROR_CHART
from hmrtk.toolkit.maps.preview import GRID_FROM, assignment_to_rgb, chart_colours, iuv_to_rgb, location_to_rgb


def test_charts_have_different_colours_and_the_right_side_is_paler() -> None:
    colours = chart_colours()
    assert len({tuple(c) for c in colours}) == 25
    assert (colours[0] == 0).all()
    for chart, name in enumerate(CHART_NAMES):
        if name.startswith("right"):
            assert colours[chart].min() > colours[MIRROR_CHART[chart]].min()


def test_iuv_colours_by_hand() -> None:
    iuv = np.zeros((3, 1, 3), np.uint8)
    iuv[:, 0, 0] = 3, 32, 255
    iuv[:, 0, 1] = 3, 32, 0
    rgb = iuv_to_rgb(iuv)
    np.testing.assert_array_equal(rgb[0, 0], chart_colours()[3])  # V = 1 is full brightness
    np.testing.assert_allclose(rgb[0, 1].astype(int), chart_colours()[3] * 0.55, atol=1)
    assert (rgb[0, 2] == 0).all()
    large = iuv_to_rgb(np.repeat(np.repeat(iuv, GRID_FROM, axis=1), GRID_FROM, axis=2))
    assert (large[0, 0] < rgb[0, 0]).any()  # V = 1 lies on a grid line
    with pytest.raises(InputError, match=r"expected uint8 \(\.\.\., 3, H, W\), got float64"):
        iuv_to_rgb(np.zeros((3, 2, 2)))  # type: ignore[arg-type]


def test_locations_become_colours_within_reach() -> None:
    maps = np.zeros((3, 1, 3), np.float32)
    maps[0] = [-1, 0, 5]
    mask = np.array([[True, True, False]])
    np.testing.assert_array_equal(location_to_rgb(maps, mask)[0, :, 0], [0, 128, 0])
    np.testing.assert_array_equal(location_to_rgb(maps / 10, mask, reach=0.1)[0, :, 0], [0, 128, 0])
    with pytest.raises(InputError, match=r"maps: expected shape \(\.\.\., 3, 1, 3\), got \(3, 1, 2\)"):
        location_to_rgb(maps[..., :2], mask)


def test_assignment_colours() -> None:
    rgb = assignment_to_rgb(np.array([[0, 1, 13, 255]], np.uint8))
    assert (rgb[0, 3] == 0).all()
    assert len({tuple(c) for c in rgb[0]}) == 4

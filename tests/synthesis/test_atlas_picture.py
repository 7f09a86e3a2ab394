"""The page is for people; what can be asserted is that every part of it is there, in its colour and at its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.charts import CHART_NAMES
from hmrtk.toolkit.maps.preview import assignment_to_rgb, chart_colours
from hmrtk.toolkit.synthesis.atlas_picture import draw_atlas

NAMES = dict(enumerate(CHART_NAMES))


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


def pixels(picture: NDArray[np.uint8], colour: NDArray[np.uint8]) -> int:
    return int((picture == colour).all(axis=-1).sum())


def test_charts_page_shows_every_chart_in_its_colour(body: BodyModel) -> None:
    picture = draw_atlas(reference_atlas(), body, NAMES)
    assert picture.shape[1:] == (1960, 3)
    assert picture.dtype == np.uint8
    for chart in range(1, 25):
        assert pixels(picture, chart_colours()[chart]) > 5000
    np.testing.assert_array_equal(picture, draw_atlas(reference_atlas(), body, NAMES))
    few = replace(reference_atlas(), chart=np.where(reference_atlas().chart % 2 == 0, 2, 1).astype(np.uint8))
    assert draw_atlas(few, body, {}).shape[0] < picture.shape[0]


def test_one_piece_page_shows_groups_and_joints(body: BodyModel) -> None:
    picture = draw_atlas(onepiece_atlas(), body, {1: "whole body"})
    wheel = assignment_to_rgb(np.arange(256, dtype=np.uint8))
    left, second = picture[:, :490], picture[:, 490:980]
    for group in range(5):
        assert pixels(left, wheel[group]) > 3000
    for joint in range(14):
        assert pixels(second, wheel[joint]) > 1500
    # The assignment's square mirrors left to right into the colours of the other side.
    assert pixels(second, wheel[0]) == pytest.approx(pixels(second, wheel[5]), rel=0.02)


def test_an_atlas_of_another_body_is_refused(body: BodyModel) -> None:
    large = replace(reference_atlas(), corner_vertices=reference_atlas().corner_vertices + np.int32(5))
    with pytest.raises(InputError, match="is of a body with 6895 vertices, got 6890"):
        draw_atlas(large, body, NAMES)

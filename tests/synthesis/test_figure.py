"""Figures: orientation, fit, colours, backgrounds and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.synthesis.figure import render_figure


@pytest.fixture(scope="module")
def left_arm_up(body: BodyModel) -> np.ndarray:
    """(6890, 3) body frame: T-pose with the left arm raised and the right one hanging."""
    pose = np.zeros((1, 23, 3))
    pose[0, 16 - 1, 2] = 1.3
    pose[0, 17 - 1, 2] = 1.3
    return body.pose(BodyParameters.of(np.zeros((1, 3)), pose)).vertices[0]


def _drawn(figure: np.ndarray) -> np.ndarray:
    return figure.min(axis=-1) < 250


def test_raised_left_arm_is_on_the_pictures_right_in_front_view(body: BodyModel, left_arm_up: np.ndarray) -> None:
    columns = np.nonzero(_drawn(render_figure(left_arm_up, body, 128))[:20])[1]
    assert columns.mean() > 70
    behind = np.nonzero(_drawn(render_figure(left_arm_up, body, 128, view="back"))[:20])[1]
    assert behind.mean() < 58


def test_camera_frame_is_the_body_frame_turned_about_x(body: BodyModel, left_arm_up: np.ndarray) -> None:
    in_camera = left_arm_up * np.array([1, -1, -1], np.float32)
    assert np.array_equal(
        render_figure(left_arm_up, body, 64), render_figure(in_camera, body, 64, view="camera", frame="camera")
    )


def test_body_is_centred_and_keeps_its_margin(body: BodyModel) -> None:
    drawn = _drawn(render_figure(body.v_template, body, (100, 200), margin=0.1))
    rows, columns = np.nonzero(drawn.any(axis=1))[0], np.nonzero(drawn.any(axis=0))[0]
    assert 9 <= rows[0] <= 11
    assert 88 <= rows[-1] <= 90
    assert abs(columns[0] + columns[-1] - 199) <= 2


def test_extent_keeps_sizes_comparable(body: BodyModel) -> None:
    sizes = [
        render_figure(body.v_template * scale, body, 128, extent=2.2, background="transparent")[..., 3].sum(dtype=int)
        for scale in (0.5, 1.0)
    ]
    assert sizes[0] / sizes[1] == pytest.approx(0.25, abs=0.01)


def test_front_is_lit_and_not_inside_out(body: BodyModel) -> None:
    figure = render_figure(body.v_template, body, 128)
    lit = figure[_drawn(figure)].mean()
    assert 110 < lit < 225
    inside_out = render_figure(body.v_template * np.array([1, 1, -1], np.float32), body, 128)
    assert not np.array_equal(inside_out, figure)


def test_vertex_colours_are_shown_where_the_vertices_are(body: BodyModel) -> None:
    colours = np.full((len(body.v_template), 3), 0.1)
    colours[:, 0] = body.v_template[:, 0] > 0.3
    colours[:, 1] = body.v_template[:, 0] < -0.3
    figure = render_figure(body.v_template, body, 128, colour=colours).astype(int)
    left, right = figure[:, :30][_drawn(figure[:, :30])], figure[:, -30:][_drawn(figure[:, -30:])]
    assert (right[:, 0] - right[:, 1]).mean() > 60
    assert (left[:, 1] - left[:, 0]).mean() > 60


def test_backgrounds(body: BodyModel) -> None:
    transparent = render_figure(body.v_template, body, (40, 48), background="transparent")
    assert transparent.shape == (40, 48, 4)
    assert transparent[0, 0, 3] == 0
    assert transparent[..., 3].max() == 255
    tinted = render_figure(body.v_template, body, 40, background=(0.0, 0.5, 1.0))
    assert tinted[0, 0].tolist() == [0, 128, 255]


def test_ground_line_lies_under_the_feet(body: BodyModel) -> None:
    changed = render_figure(body.v_template, body, 128, ground=True) != render_figure(body.v_template, body, 128)
    rows = np.nonzero(changed.any(axis=(1, 2)))[0]
    assert rows.min() >= 116
    assert rows.max() <= 123


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices": np.zeros((10, 3))}, r"figure vertices: expected shape \(6890, 3\), got \(10, 3\)"),
        ({"vertices": np.full((6890, 3), np.nan)}, "figure vertices: NaN or infinite values"),
        ({"size": 4}, "picture size: expected a side"),
        ({"size": (64, 64, 3)}, "picture size: expected a side"),
        ({"colour": np.zeros((5, 3))}, r"figure colour: expected shape \(3,\) or \(6890, 3\), got \(5, 3\)"),
        ({"colour": (200, 10, 10)}, "figure colour: expected values in 0..1"),
        ({"background": (0.0, 2.0, 0.0)}, "figure background: expected a name or three values in 0..1"),
    ],
)
def test_refusals(body: BodyModel, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        render_figure(**{"vertices": body.v_template, "body": body, **change})


@pytest.mark.parametrize("change", [{"view": "sid"}, {"frame": "world"}, {"background": "black"}])
def test_unknown_names_list_the_known(body: BodyModel, change: dict) -> None:
    with pytest.raises(UnknownNameError, match="known: "):
        render_figure(body.v_template, body, 64, **change)

"""Charts: pictures decode, the page's form is self-contained and follows the theme, the numbers come along."""

from __future__ import annotations

import functools
import re
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest

from hmrtk.reports import figures


@functools.cache
def _charts() -> list[figures.Chart]:
    rng = np.random.default_rng(0)
    distances = {"singular": rng.gamma(3, 100, 500), "assigned": rng.gamma(3, 40, 500)}
    x = np.arange(5.0)
    return [
        figures.histogram(distances, "a", "A & <b>", "c", {"T-5%": 600.0, "T-10%": 550.0}),
        figures.cumulative(distances, "b", "B", "c"),
        figures.ranked_bars(np.array([3.0, 2, 1]), "c", "C", "c", ("rank", "share")),
        figures.dumbbells(
            ["walk", "roll"], np.array([5.0, 1]), np.array([1.0, 5]), "d", "D", "c", ("all", "tail"), "%"
        ),
        figures.dots(["left <hip>", "right"], {"s": np.array([1.0, 2]), "t": np.array([2.0, 1])}, "f", "F", "c", "mm"),
        figures.curves(
            x, {"s": x, "t": -x}, "e", "E", "c", ("x", "y"), ["q", "s", "t"], {n: (x - 9, x + 9) for n in "st"}
        ),
    ]


@pytest.mark.parametrize("chart", _charts(), ids=lambda c: c.name)
def test_pictures_decode(chart: figures.Chart) -> None:
    png = cv2.imdecode(np.frombuffer(chart.png, np.uint8), cv2.IMREAD_COLOR)
    assert png is not None
    assert png.shape[1] > 900
    assert png.std() > 5
    assert ET.fromstring(chart.svg_file).tag.endswith("svg")


@pytest.mark.parametrize("chart", _charts(), ids=lambda c: c.name)
def test_page_form_is_self_contained_and_themed(chart: figures.Chart) -> None:
    root = ET.fromstring(chart.svg)
    assert "http" not in chart.svg
    assert not re.search(r"#1a1b1c|#d7d8d9", chart.svg)
    assert not any(colour in chart.svg for colour in figures.PALETTE)
    assert "currentColor" in chart.svg
    assert "var(--c" in chart.svg
    ids = {e.get("id") for e in root.iter() if e.get("id")}
    assert all(i.startswith(f"{chart.name}-") for i in ids if i)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', chart.svg)) <= ids


def test_same_input_gives_the_same_bytes() -> None:
    first, second = _charts.__wrapped__()[0], _charts()[0]
    assert first.svg == second.svg
    assert first.png == second.png


def test_numbers_come_along() -> None:
    histogram, cumulative, *_, curves = _charts()
    assert sum(histogram.data["counts"]["singular"]) == 500
    rng = np.random.default_rng(0)
    assert cumulative.data["distance_mm"]["singular"][50] == pytest.approx(np.median(rng.gamma(3, 100, 500)))
    assert curves.data["interval"]["s"]["low"].tolist() == [-9, -8, -7, -6, -5]


def test_a_system_keeps_its_colour() -> None:
    _, *_, curves = _charts()
    used = re.findall(r"var\(--c(\d)\)", curves.svg)
    assert set(used) == {"1", "2"}


def _map() -> figures.Chart:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [9, 0], [0, 9]])
    label = rng.integers(0, 3, 150)
    points = centres[label] + rng.normal(size=(150, 2))
    picture = np.full((40, 40, 4), (20, 40, 220, 255), np.uint8)
    return figures.cluster_map(points, label, centres, {2: picture, 0: picture}, "m", "Map", "c", {"n": 150})


def _key() -> figures.Chart:
    picture = np.full((40, 40, 4), (20, 40, 220, 255), np.uint8)
    views = {"front": picture, "back": picture}
    return figures.pictures_with_key(views, [("limbs", (1, 0.2, 0.1))], "k", "Key", "c", {})


@pytest.mark.parametrize("chart", [_map(), _key()], ids=lambda c: c.name)
def test_wide_charts_follow_the_theme_and_load_nothing(chart: figures.Chart) -> None:
    assert chart.wide
    assert not re.search(r"#1a1b1c|#d7d8d9|#fefdfc", chart.svg)
    assert set(re.findall(r'(?:href|src)="([^"#:]+)', chart.svg)) <= {"data"}
    png = cv2.imdecode(np.frombuffer(chart.png, np.uint8), cv2.IMREAD_COLOR)
    blue = (png[..., 0] > 200) & (png[..., 2] < 40)
    assert blue.sum() > 5000  # the pictures are there


def test_map_numbers_every_cluster_and_ties_pictures_to_their_colour() -> None:
    chart = _map()
    assert {"0", "1", "2"} <= set(re.findall(r">(\d+)</text>", chart.svg))
    assert "var(--ground)" in chart.svg
    assert chart.data == {"n": 150}


def test_key_is_written_beside_the_pictures() -> None:
    words = re.findall(r">([a-z]+)</text>", _key().svg)
    assert words == ["front", "back", "limbs"]


@pytest.mark.parametrize("k", [1, 10, 50, 200])
def test_every_cluster_has_a_colour_of_its_own(k: int) -> None:
    colours = figures.cluster_colours(k)
    assert colours.shape == (k, 3)
    assert colours.min() >= 0
    assert colours.max() <= 1
    assert len(np.unique(colours.round(6), axis=0)) == k


def test_above_a_hundred_clusters_only_the_pictured_are_numbered() -> None:
    rng = np.random.default_rng(0)
    centres, picture = rng.normal(size=(150, 2)), np.full((20, 20, 4), 255, np.uint8)
    chart = figures.cluster_map(centres, np.arange(150), centres, {7: picture}, "m", "Map", "c", {})
    assert re.findall(r">(\d+)</text>", chart.svg) == ["7"]


def test_heat_grows_darker_and_redder_and_stops_at_the_ends() -> None:
    colours = figures.heat_colours(np.array([-1.0, 0, 0.25, 0.5, 0.75, 1, 7]))
    assert colours.shape == (7, 3)
    lightness = colours @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(lightness[1:6]) < -0.05).all()
    np.testing.assert_array_equal(colours[[0, 6]], colours[[1, 5]])


def test_the_scale_of_heat_lies_on_nothing() -> None:
    bar = figures.heat_bar(80, 600)
    assert bar.shape[1:] == (600, 4)
    assert bar.dtype == np.uint8
    assert bar[0, 0, 3] == 0
    middle = bar[bar.shape[0] // 4, 100:500]
    assert (middle[:, 3] == 255).all()
    assert middle[0, 2] > middle[-1, 2]

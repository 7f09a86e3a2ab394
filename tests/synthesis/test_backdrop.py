"""The background's sharpness and the floor's pattern."""

from __future__ import annotations

import cv2
import numpy as np

from hmrtk.toolkit.synthesis.backdrop import FLOORS, _floor_tone, sharpened
from hmrtk.toolkit.synthesis.panorama import FLOOR_DEGREES, panorama_names
from hmrtk.toolkit.synthesis.place import colour_behind, draw_clutter, draw_place

PLAIN = {"steepness": 1.0, "grain": 0.0, "corner": [5, 9]}


def _soft_edge() -> np.ndarray:
    picture = np.full((64, 64, 3), 0.2, np.float32)
    picture[:, 32:] = 0.8
    return cv2.GaussianBlur(picture, (0, 0), 2.0)


def test_neutral_settings_change_nothing() -> None:
    picture = np.random.default_rng(0).uniform(0.1, 1, (40, 50, 3)).astype(np.float32)
    assert np.abs(sharpened(picture, PLAIN, 4.0) - picture).max() < 1e-6


def test_edges_get_steeper_and_never_leave_their_range() -> None:
    soft = _soft_edge()
    sharp = sharpened(soft, {**PLAIN, "steepness": 2.5}, 5.0)
    assert np.diff(sharp[32, :, 1]).max() > 1.6 * np.diff(soft[32, :, 1]).max()
    assert sharp.min() >= soft.min() - 1e-6
    assert sharp.max() <= soft.max() + 1e-6


def test_grain_lies_where_the_picture_changes_and_not_on_smooth_places() -> None:
    smooth = np.full((64, 64, 3), 0.4, np.float32)
    assert np.abs(sharpened(smooth, {**PLAIN, "grain": 0.3}, 3.0) - 0.4).max() < 1e-6
    grained = sharpened(_soft_edge(), {**PLAIN, "grain": 0.3}, 3.0)
    assert grained[:, 32, 1].std() > 0.01
    assert not np.array_equal(grained, sharpened(_soft_edge(), {**PLAIN, "grain": 0.3, "corner": [50, 90]}, 3.0))


def test_joints_of_tiles_repeat_and_fade_with_distance() -> None:
    pattern = (FLOORS.index("tiles"), 0.0, 0.05, 0.4, 1.0, 0.0, 0.3, 1)
    assert _floor_tone(0.2, 0.2, 1e-3, True, pattern) == 0
    assert _floor_tone(0.8, 0.2, 1e-3, True, pattern) < -0.3
    assert _floor_tone(0.2, 1.2, 1e-3, True, pattern) < -0.3
    assert _floor_tone(0.8, 0.2, 0.3, True, pattern) > -0.02
    assert _floor_tone(0.8, 0.2, 1e-3, False, pattern) == 0
    rough = (FLOORS.index("rough"), 0.2, 0.05, 0.4, 1.0, 0.0, 0.3, 1)
    tones = [_floor_tone(x, 3.0, 1e-3, True, rough) for x in np.linspace(0, 3, 300)]
    assert 0.03 < np.std(tones) < 0.25


def _place(seed: int) -> tuple[dict, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(150, 250, 500), rng.uniform(100, 300, 500), np.full(500, 6.0)])
    focal = np.array([1100.0, 1100.0])
    return draw_place(rng, panorama_names(), (52, 82), (400, 400), focal, np.array([200.0, 180.0]), points), points


def test_built_floors_have_patterns_and_open_ground_is_rough() -> None:
    places = [_place(seed)[0] for seed in range(120)]
    kinds = {name: {p["floor"]["kind"] for p in places if p["panorama"] == name} for name in panorama_names()}
    assert all(kinds[name] <= {"rough"} for name in panorama_names() if name not in FLOOR_DEGREES)
    assert set().union(*kinds.values()) == set(FLOORS)


def test_clutter_stands_between_the_horizon_and_the_feet_far_to_near() -> None:
    for seed in range(10):
        place, points = _place(seed)
        things = draw_clutter(np.random.default_rng(seed), (5, 5), place, (400, 400), points, panorama_names())
        assert len(things) == 5
        horizon = 200 + place["focal_px"] * np.tan(place["elevation"])
        feet = max(points[:, 1].max(), horizon + 0.15 * 200)
        assert all(thing["centre_px"][1] <= feet for thing in things)
    assert draw_clutter(np.random.default_rng(0), (0, 0), place, (400, 400), points, panorama_names()) == []


def test_the_colour_behind_is_a_display_colour_even_off_the_picture() -> None:
    place, points = _place(3)
    inside = colour_behind(place, points, (400, 400))
    outside = colour_behind(place, points + np.array([5000, 0, 0]), (400, 400))
    for colour in (inside, outside):
        assert colour.shape == (3,)
        assert 0 <= colour.min() <= colour.max() <= 1

"""Occluders: their shapes against known areas, pasting into photographs, what they cover, repeating and refusals."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.synthesis.cutout import FILLS, KINDS, cut_out, figure_segments, limb_segments
from hmrtk.toolkit.synthesis.occluder import draw_occluder, paste_occluders, repasted
from hmrtk.toolkit.synthesis.panorama import load_panorama, panorama_names

BOX = np.array([60.0, 40.0, 160.0, 200.0])


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """(224, 200, 3) uint8 of noise: no two neighbours alike, so that what is pasted shows."""
    return np.random.default_rng(0).integers(0, 256, (224, 200, 3), dtype=np.uint8)


def _choice(**changes: Any) -> dict[str, Any]:
    plain = {"kind": "rectangle", "centre_px": [40.0, 30.0], "half_px": [10.0, 5.0], "angle": 0.0, "fill": "plain"}
    plain |= {"colours": [[1.0, 0.5, 0.2], [0.0, 0.0, 0.0]], "panorama": "pm_park", "texture": [0.5, 0.5, 1.0, 0.0]}
    return plain | {"shade": 1.0, "round": 0.0, "grain": 0.0, "soft_px": 1.0, "seed": 3} | changes


def _covered(choice: dict[str, Any], size: tuple[int, int] = (80, 100)) -> np.ndarray:
    whole, cut = np.zeros(size, np.float32), cut_out(choice, size)
    height, width = cut.pixels.shape[:2]
    whole[cut.top : cut.top + height, cut.left : cut.left + width] = cut.pixels[..., 3]
    return whole


def test_an_upright_rectangle_covers_its_pixels_exactly() -> None:
    expected = np.zeros((80, 100), np.float32)
    expected[25:35, 30:50] = 1
    assert np.array_equal(_covered(_choice()), expected)
    inside = cut_out(_choice(), (80, 100)).pixels
    inside = inside[inside[..., 3] == 1]
    assert np.allclose(inside[:, :3], [255, 127.5, 51])


@pytest.mark.parametrize("angle", [0.3, 1.2, -0.7])
def test_a_turned_bar_is_opencvs_box(angle: float) -> None:
    covered = _covered(_choice(kind="bar", angle=angle, half_px=[25.0, 6.0]), (80, 100)) >= 0.5
    box = cv2.boxPoints(((40.0 - 0.5, 30.0 - 0.5), (50.0, 12.0), float(np.degrees(angle))))
    filled = cv2.fillPoly(np.zeros((80, 100), np.uint8), [np.round(box * 256).astype(np.int32)], 1, shift=8) > 0
    assert (covered != filled).sum() < 130, "fillPoly also takes every pixel that the outline touches"
    assert covered.sum() == pytest.approx(50 * 12, rel=0.02)


def test_areas_of_ellipses_and_limbs() -> None:
    assert _covered(_choice(kind="ellipse", half_px=[20.0, 11.0], angle=0.4)).sum() == pytest.approx(
        np.pi * 20 * 11, rel=0.01
    )
    half = np.array([18.0, 4.0])
    upper, lower, hand = limb_segments(half, 0.5, 3)
    lengths = [np.hypot(*(row[2:4] - row[:2])) for row in (upper, lower, hand)]
    assert lengths[:2] == pytest.approx([18, 18])
    area = _covered(_choice(kind="limb", half_px=half.tolist(), angle=0.5)).sum()
    assert 2 * 4 * 18 < area < 2 * 4 * 36 + np.pi * 16 + 60


def test_a_figure_has_its_height_and_stands_upright() -> None:
    segments = figure_segments(np.array([10.0, 50.0]), 0.0, 7)
    assert segments.shape == (11, 6)
    top = (segments[:, [1, 3]].min(axis=1) - segments[:, 4]).min()
    assert top == pytest.approx(-50, abs=4)
    rows = np.nonzero(_covered(_choice(kind="figure", half_px=[10.0, 30.0], centre_px=[50.0, 40.0])).any(axis=1))[0]
    assert 8 <= rows[0] <= 14
    assert 50 <= rows[-1] <= 72


def test_a_filling_is_the_panorama() -> None:
    image = load_panorama("pm_park").image
    texture = [100.5 / image.shape[0], 200.5 / image.shape[1], 256 / image.shape[0], 0.0]
    cut = cut_out(_choice(fill="place", centre_px=[40.5, 30.5], texture=texture), (80, 100))
    middle = cut.pixels[30 - cut.top, 40 - cut.left, :3]
    around = image[100:102, 200:202].astype(float)
    assert np.abs(middle - around.mean(axis=(0, 1))).max() < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_covers_its_centre_and_stays_in_range(kind: str) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        choice = draw_occluder(rng, rng.uniform(BOX[:2], BOX[2:]), BOX, 1.0, ("pm_park", "pm_lab"), [kind])
        assert json.loads(json.dumps(choice)) == choice
        assert choice["kind"] == kind
        assert choice["fill"] in FILLS
        covered = _covered(choice, (224, 200))
        column, row = (min(int(value), limit - 1) for value, limit in zip(choice["centre_px"], (200, 224), strict=True))
        assert covered[max(0, row - 6) : row + 7, max(0, column - 6) : column + 7].max() == 1
        pixels = cut_out(choice, (224, 200)).pixels
        assert pixels[..., :3].min() >= 0
        assert pixels[..., :3].max() <= 255
        assert pixels[..., 3].max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_off_by_the_window(kind: str) -> None:
    """The same thing in a larger picture: what lies inside the smaller one is the same, and the outline is closed."""
    for seed in range(6):
        choice = draw_occluder(np.random.default_rng(seed), np.array([300.0, 300.0]), BOX, 0.7, ("pm_lab",), [kind])
        covered = _covered(choice, (900, 900))
        cut = cut_out(choice, (900, 900))
        inner = cut.pixels[..., 3]
        if cut.top > 0 and cut.top + inner.shape[0] < 900:
            assert max(inner[0].max(), inner[-1].max()) < 1
        if cut.left > 0 and cut.left + inner.shape[1] < 900:
            assert max(inner[:, 0].max(), inner[:, -1].max()) < 1
        part = {**choice, "centre_px": [value - 280 for value in choice["centre_px"]]}
        assert np.abs(_covered(part, (60, 60)) - covered[280:340, 280:340]).max() < 1e-6


def test_the_same_generator_pastes_the_same_bytes_in_any_thread(photograph: np.ndarray) -> None:
    def paste(seed: int) -> np.ndarray:
        return paste_occluders(photograph, np.random.default_rng(seed), BOX).picture

    alone = [paste(seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(paste, range(12)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert not np.array_equal(alone[0], alone[1])


def test_recorded_choices_paste_again_to_the_byte(photograph: np.ndarray) -> None:
    before = photograph.copy()
    for seed in range(12):
        first = paste_occluders(photograph, np.random.default_rng(seed), BOX)
        again = repasted(photograph, json.loads(json.dumps(first.choices)))
        assert np.array_equal(first.picture, again.picture)
        assert np.array_equal(first.covered, again.covered)
    assert np.array_equal(photograph, before), "the picture itself is left alone"


def test_only_what_the_things_touch_changes(photograph: np.ndarray) -> None:
    for seed in range(12):
        pasted = paste_occluders(photograph, np.random.default_rng(seed), BOX)
        left_free = np.prod([1 - _covered(choice, (224, 200)) for choice in pasted.choices], axis=0)
        changed = (pasted.picture != photograph).any(axis=-1)
        assert not changed[left_free == 1].any()
        assert changed[pasted.covered].mean() > 0.97
        assert np.array_equal(pasted.covered[left_free != 0.5], (left_free <= 0.5)[left_free != 0.5])


def test_number_kinds_and_share_are_random_within_their_bounds(photograph: np.ndarray) -> None:
    numbers, kinds, shares = set(), set(), []
    for seed in range(150):
        pasted = paste_occluders(photograph, np.random.default_rng(seed), BOX)
        numbers.add(len(pasted.choices))
        kinds |= {choice["kind"] for choice in pasted.choices}
        shares.append(pasted.covered[40:200, 60:160].mean())
    assert numbers >= set(range(1, 9))
    assert kinds == set(KINDS)
    assert max(shares) <= 0.72
    assert min(shares) < 0.05
    assert np.std(shares) > 0.1


def test_bounds_are_kept(photograph: np.ndarray) -> None:
    none = paste_occluders(photograph, np.random.default_rng(0), BOX, count=(0, 0))
    assert np.array_equal(none.picture, photograph)
    assert not none.covered.any()
    few = [paste_occluders(photograph, np.random.default_rng(s), BOX, (8, 8), most_hidden=0.1) for s in range(20)]
    assert max(pasted.covered[40:200, 60:160].mean() for pasted in few) < 0.12
    small, large = (
        np.mean(
            [paste_occluders(photograph, np.random.default_rng(s), BOX, (1, 1), k).covered.mean() for s in range(40)]
        )
        for k in (0.4, 1.2)
    )
    assert small < 0.4 * large


def test_things_come_from_the_panoramas_asked_for(photograph: np.ndarray) -> None:
    pasted = paste_occluders(photograph, np.random.default_rng(1), BOX, (8, 8), panoramas=("pm_lab",))
    assert {choice["panorama"] for choice in pasted.choices} == {"pm_lab"}


@pytest.mark.parametrize("box", [(-500.0, -500.0, -300.0, -400.0), (10.0, 10.0, 10.5, 10.5), None])
def test_odd_boxes_and_tiny_pictures(box: tuple[float, ...] | None) -> None:
    tiny = np.full((3, 5, 3), 7, np.uint8)
    for seed in range(10):
        pasted = paste_occluders(tiny, np.random.default_rng(seed), box)
        assert pasted.picture.shape == (3, 5, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"picture": np.zeros((4, 4), np.uint8)}, r"occluder picture: expected uint8 \(H, W, 3\), got uint8 \(4, 4\)"),
        ({"picture": np.zeros((4, 4, 3))}, r"occluder picture: expected uint8 \(H, W, 3\), got float64 \(4, 4, 3\)"),
        ({"bbox_xyxy": (5, 5, 5, 9)}, r"occluder box: expected x0 < x1 and y0 < y1, got \(5, 5, 5, 9\)"),
        ({"bbox_xyxy": (5, np.nan, 7, 9)}, "occluder box: expected x0 < x1"),
        ({"count": (3, 2)}, r"occluder count: expected 0 <= least <= greatest, got \(3, 2\)"),
        ({"most_hidden": 1.5}, "occluders: expected scale > 0 and most_hidden in 0..1, got 1.0 and 1.5"),
        ({"scale": 0.0}, "occluders: expected scale > 0"),
    ],
)
def test_refusals(photograph: np.ndarray, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        paste_occluders(**{"picture": photograph, "rng": np.random.default_rng(0), **change})


def test_an_unknown_panorama_lists_the_known(photograph: np.ndarray) -> None:
    with pytest.raises(UnknownNameError, match="unknown panorama 'pm_parc'; known: pm_park"):
        paste_occluders(photograph, np.random.default_rng(0), panoramas=("pm_parc",))
    assert "pm_park" in panorama_names()

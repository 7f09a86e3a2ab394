"""Drawing changes: how often, how far, and the same again from the same seed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.crops import REGION_FACTOR
from hmrtk.toolkit.shards.augmentation import (
    _GOLDEN,
    DEGREE,
    DRAWS,
    MULTI_CROPS,
    Augmentation,
    Change,
    _mixed,
    augmentation,
    random_numbers,
)

PRESETS = ("none", "spin", "pymaf", "pmnet", "danet", "decomr", "cliff", "best_of_both")


def drawn(name, count=4000, seed=0):
    rng, preset = np.random.default_rng(seed), augmentation(name)
    return [preset.draw(rng) for _ in range(count)]


def test_spin_draws_what_its_loader_draws():
    changes = drawn("spin")
    turn, scale = (np.array([getattr(change, name) for change in changes]) for name in ("turn", "scale"))
    gains = np.array([change.gains for change in changes])
    assert abs(np.mean([change.flip for change in changes]) - 0.5) < 0.03
    assert abs(np.mean(turn == 0) - 0.6) < 0.03
    turned = np.abs(turn[turn != 0])
    assert turned.max() == pytest.approx(60 * DEGREE)
    assert np.mean(turned < 30 * DEGREE) == pytest.approx(0.683, abs=0.04)  # one standard deviation
    assert np.mean(turned == turned.max()) == pytest.approx(0.0455, abs=0.02)  # clipped at two
    assert (scale.min(), scale.max()) == (0.75, 1.25)
    assert np.mean((scale == 0.75) | (scale == 1.25)) == pytest.approx(0.317, abs=0.03)  # clipped at one
    assert 0.6 <= gains.min() < 0.61
    assert 1.39 < gains.max() <= 1.4
    assert np.corrcoef(gains.T)[0, 1] == pytest.approx(0, abs=0.05)
    assert all(change.shift == (0, 0) and change.occluder_seed is None for change in changes)


def test_none_changes_nothing():
    assert set(drawn("none", 20)) == {Change()}


def test_the_other_presets_add_one_thing_each():
    assert all(drawn(name, 50) == drawn("spin", 50) for name in ("pymaf", "pmnet", "danet", "decomr"))
    assert abs(np.mean([change.upper_body for change in drawn("cliff")]) - 0.2) < 0.03
    assert abs(np.mean([change.occluder_seed is not None for change in drawn("best_of_both")]) - 0.5) < 0.03


def test_a_seed_gives_the_same_changes_and_settings_do_not_shift_later_draws():
    assert drawn("spin", 30, seed=7) == drawn("spin", 30, seed=7)
    assert drawn("spin", 30, seed=7) != drawn("spin", 30, seed=8)
    plain, occluded = drawn("spin", 30), drawn("best_of_both", 30)
    assert [replace(change, occluder_seed=None) for change in occluded] == plain


def test_changes_of_many_rows_are_those_of_each():
    numbers = np.random.default_rng(3).random((50, DRAWS))
    many = augmentation("best_of_both").changes(numbers)
    for row, one in enumerate(numbers):
        assert many.row(row) == augmentation("best_of_both").changes(one[None]).row(0)


def test_random_numbers_follow_from_the_words_and_are_even():
    words = np.stack(np.meshgrid(np.arange(4), np.arange(2000), indexing="ij"), -1).reshape(-1, 2)
    numbers = random_numbers(words, DRAWS)
    assert np.array_equal(random_numbers(words[777:780], DRAWS), numbers[777:780])
    assert np.array_equal(random_numbers(words, 3), numbers[:, :3])
    assert 0 <= numbers.min() < 1e-3 < 0.999 < numbers.max() < 1
    assert len(np.unique(numbers)) == numbers.size
    counts = np.stack([np.histogram(column, 16, (0, 1))[0] for column in numbers.T])
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500)  # 8000 numbers in 16 bins
    neighbours = np.corrcoef(np.concatenate([numbers[:-1], numbers[1:]], axis=1).T)
    assert np.abs(neighbours - np.eye(2 * DRAWS)).max() < 0.06


def test_splitmix_by_its_published_numbers():
    """Seed 0 of the reference implementation gives these first outputs."""
    published = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    steps = np.arange(1, 4, dtype=np.uint64) * _GOLDEN
    assert [int(value) for value in _mixed(steps)] == list(published)


def test_a_change_survives_json():
    for change in (*drawn("best_of_both", 20), *MULTI_CROPS):
        assert Change.from_json(json.loads(json.dumps(change.to_json()))) == change


def test_all_presets_and_the_multi_crops_stay_inside_the_region():
    inside = REGION_FACTOR / 2
    for name in PRESETS:
        assert augmentation(name).reach <= inside
        assert max(change.reach for change in drawn(name, 500)) <= augmentation(name).reach + 1e-12
    assert augmentation("spin").reach == pytest.approx(1.25 / 2 * np.sqrt(2))
    assert max(change.reach for change in MULTI_CROPS) == pytest.approx(0.85)


def test_reach_by_hand():
    assert Change().reach == 0.5
    assert Change(scale=1.5, shift=(0.1, -0.05)).reach == pytest.approx(0.85)
    assert Change(turn=90 * DEGREE).reach == pytest.approx(0.5)
    assert Augmentation(turn_limit=0, shift=0.1).reach == pytest.approx(0.725)


def test_multi_crops_are_the_papers():
    places = {(change.shift, change.scale) for change in MULTI_CROPS[1:]}
    assert places == {((0.1, 0.0), 1.5), ((-0.1, 0.0), 1.25), ((0.0, 0.1), 0.8), ((0.0, -0.1), 0.65)}
    assert MULTI_CROPS[0] == Change()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"flip": 1.5}, "augmentation flip: expected a probability, got 1.5"),
        ({"noise": -0.1}, "augmentation noise: expected 0 or more, got -0.1"),
        ({"turn": float("nan")}, "augmentation turn: expected 0 or more, got nan"),
        (
            {"scale_limit": 1.0},
            "augmentation: expected scale_limit below 1 and noise at most 1, got scale_limit 1.0 and noise 0.4",
        ),
    ],
)
def test_settings_out_of_range_are_refused(settings, text):
    with pytest.raises(InputError) as error:
        Augmentation(**settings)
    assert str(error.value) == text


def test_changes_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"augmentation scale: expected a positive number, got 0"):
        Change(scale=0)
    with pytest.raises(InputError, match=r"augmentation: expected finite numbers, got Change\(.*turn=nan"):
        Change(turn=float("nan"))


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="unknown augmentation 'spim'; known: spin"):
        augmentation("spim")
    with pytest.raises(UnknownNameError, match="unknown field of a change 'turns'; known: turn"):
        Change.from_json({"turns": 1})

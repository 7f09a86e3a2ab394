"""Comparisons of two systems: p by hand and against all sign patterns, Holm's correction, what is drawn whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hmrtk.reports.significance import Groups, compare, holm, sign_flip_p, verdict
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError

from .conftest import COUNT, Tiny, tiny_records


def test_p_by_hand() -> None:
    assert sign_flip_p(np.array([1.0, 1, 1]), 0) == 2 / 8  # only +++ and --- reach 3
    assert sign_flip_p(np.array([3.0, 1]), 0) == 2 / 4
    assert sign_flip_p(np.array([5.0]), 0) == 1
    assert sign_flip_p(np.zeros(30), 0) == 1
    assert sign_flip_p(np.array([1.0, -1]), 0) == 1


def test_many_groups_agree_with_all_patterns() -> None:
    totals = np.random.default_rng(0).normal(0.5, 1, 15)
    patterns = np.array(list(itertools.product((-1, 1), repeat=15)))
    exact = (np.abs(patterns @ totals) >= abs(totals.sum()) - 1e-9).mean()
    assert sign_flip_p(totals, 1) == pytest.approx(exact, abs=0.02)


def test_equal_systems_are_rarely_called_different() -> None:
    rng = np.random.default_rng(2)
    called = np.mean([sign_flip_p(rng.normal(size=20), seed) < 0.05 for seed in range(200)])
    assert 0.01 <= called <= 0.1


def test_a_clear_gain_is_found_and_has_its_interval() -> None:
    rng = np.random.default_rng(3)
    baseline = rng.gamma(9, 10, 300)
    groups = np.arange(300) // 10
    found = compare(baseline, baseline - 5 - rng.normal(size=300), groups, 0)
    assert found.groups == 30
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(5, abs=0.3)
    assert found.p == pytest.approx(1 / 5000)
    assert verdict(found.mean, found.p) == "better"
    assert verdict(-found.mean, found.p) == "worse"
    assert verdict(found.mean, 0.05) == "not significant"


def test_sequences_count_and_frames_do_not() -> None:
    """One lucky sequence of a thousand frames proves nothing."""
    gain = np.concatenate([np.full(1000, 8.0), [0.1, -0.1, 0.2]])
    groups = np.concatenate([np.zeros(1000, int), [1, 2, 3]])
    assert compare(gain, np.zeros(1003), groups, 0).p >= 0.125


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(InputError, match=r"p values: expected values in 0..1, got \[2\]"):
        holm([2])


def test_what_is_drawn_whole(tiny: Tiny, body: BodyModel) -> None:
    groups = Groups.of(tiny.records)
    assert (groups.count, groups.sequences) == (4, 4)
    assert groups.index.tolist() == [i % 4 for i in range(COUNT)]
    assert groups.describe() == "whole sequences drawn (4)"
    some = Groups.of(tiny_records(body, sequence=["a", "a", *[None] * (COUNT - 2)]))
    assert some.describe() == "whole sequences drawn (1, and 18 samples without one)"
    none = Groups.of(tiny_records(body, sequence=[None] * COUNT))
    assert none.describe() == "the 20 samples drawn one by one, since the records name no sequences"
    people = Groups.of(tiny_records(body, sequence="walk", subject=["S1", "S2"] * 10))
    assert people.count == 2  # two people's walks are two sequences

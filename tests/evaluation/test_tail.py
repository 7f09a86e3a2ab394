"""T-x%, bins, balanced mean and bootstrap: by hand, against independent formulas, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.tail import (
    balanced_mean,
    bootstrap_mean,
    equal_count_bins,
    equal_width_bins,
    tail_subset,
)

DISTANCES = arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 5))


@pytest.mark.parametrize(
    ("n", "percent", "count"),
    [(10, 10, 1), (10, 20, 2), (19, 10, 1), (20, 5, 1), (3, 5, 1), (35515, 5, 1775), (1000, 0.1, 1), (1000, 0.7, 7)],
)
def test_tail_count_by_hand(n: int, percent: float, count: int) -> None:
    assert len(tail_subset(np.arange(n), percent)) == count


def test_tail_is_the_farthest_first() -> None:
    distance = np.array([0.3, 0.9, 0.1, 0.9, 0.5])
    assert tail_subset(distance, 60).tolist() == [1, 3, 4]  # equal distances keep their order


@settings(deadline=None)
@given(DISTANCES, st.floats(0.1, 100))
def test_everything_outside_the_tail_is_nearer(distance: np.ndarray, percent: float) -> None:
    rows = tail_subset(distance, percent)
    rest = np.delete(distance, rows)
    assert not len(rest) or distance[rows].min() >= rest.max()


def test_equal_count_bins_by_hand() -> None:
    bins = equal_count_bins(np.array([5.0, 1, 3, 2, 4, 0]), 3)
    assert bins.index.tolist() == [2, 0, 1, 1, 2, 0]
    assert bins.edges.tolist() == [0, 1.5, 3.5, 5]
    assert bins.means(np.array([50.0, 10, 30, 20, 40, 0])).tolist() == [5, 25, 45]


@settings(deadline=None)
@given(DISTANCES, st.integers(1, 12))
def test_equal_count_bins_are_equal_and_ordered(distance: np.ndarray, wanted: int) -> None:
    bins = equal_count_bins(distance, wanted)
    assert len(bins.count) == min(wanted, len(distance))
    assert np.ptp(bins.count) <= 1
    assert bins.count.sum() == len(distance)
    assert (np.diff(bins.edges) >= 0).all()
    tops = [distance[bins.index == b].max() for b in range(len(bins.count))]
    lows = [distance[bins.index == b].min() for b in range(len(bins.count))]
    assert all(top <= low for top, low in zip(tops[:-1], lows[1:], strict=True))


def test_equal_width_bins_by_hand() -> None:
    bins = equal_width_bins(np.array([0.0, 1, 2.5, 10]), 5)
    assert bins.index.tolist() == [0, 0, 1, 4]
    assert bins.count.tolist() == [2, 1, 0, 0, 1]
    assert np.isnan(bins.means(np.ones(4))).tolist() == [False, False, True, True, False]


def test_all_distances_equal_fall_in_one_bin() -> None:
    bins = equal_width_bins(np.full(4, 0.25), 100)
    assert bins.count[0] == 4
    assert balanced_mean(np.arange(4.0), np.full(4, 0.25)) == 1.5


def test_balanced_mean_equals_the_published_formula() -> None:
    rng = np.random.default_rng(0)
    distance, error = rng.gamma(3, 0.1, 5000), rng.uniform(0, 100, 5000)
    sums, counts = np.zeros(100), np.zeros(100)
    step = (distance.max() - distance.min()) / 100
    for d, e in zip(distance, error, strict=True):  # mmhuman3d's rule, sample by sample
        place = int((d - distance.min()) / step - 0.001)
        sums[place] += e
        counts[place] += 1
    expected = np.mean([s / c for s, c in zip(sums, counts, strict=True) if c])
    assert balanced_mean(error, distance) == pytest.approx(expected, rel=1e-12)


def test_bootstrap_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).normal(10, 3, 400)
    mean, low, high = bootstrap_mean(values, seed=2, resamples=4000)
    oracle = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=3).confidence_interval
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((oracle.low, oracle.high), abs=0.05)


def test_bootstrap_repeats_with_its_seed() -> None:
    values = np.arange(50.0)
    assert bootstrap_mean(values, 7) == bootstrap_mean(values, 7)
    assert bootstrap_mean(values, 7) != bootstrap_mean(values, 8)


def test_drawing_whole_sequences_widens_the_interval() -> None:
    rng = np.random.default_rng(4)
    values = np.repeat(rng.normal(0, 1, 10), 100)  # 10 sequences of 100 equal frames
    groups = np.repeat([f"seq{i}" for i in range(10)], 100)
    _, low, high = bootstrap_mean(values, 0)
    _, wide_low, wide_high = bootstrap_mean(values, 0, groups)
    assert wide_high - wide_low > 5 * (high - low)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InputError, match="tail: expected a percentage above 0 and up to 100, got 0"):
        tail_subset(np.ones(3), 0)
    with pytest.raises(InputError, match="got 101"):
        tail_subset(np.ones(3), 101)
    with pytest.raises(InputError, match="distances row 1: is not finite"):
        tail_subset(np.array([1, np.nan]), 5)
    with pytest.raises(InputError, match=r"with at least one sample, got shape \(0,\)"):
        equal_count_bins(np.zeros(0), 3)
    with pytest.raises(InputError, match="bins: expected at least 1, got 0"):
        equal_width_bins(np.ones(3), 0)

"""The tail: the T-x% subset, bins of distance, the balanced mean, and bootstrap intervals.

Arrays in, arrays out; nothing here knows of bodies. Distances are to the singular prototype (PM-Net §IV), metres or
any unit: only their order matters for T-x%. Reports call these.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError

BALANCED_BINS = 100
"""Equal-width bins of the balanced mean (mmhuman3d's ``ihmr`` evaluation)."""

_EDGE_SHIFT = 1e-3
"""Share of a bin by which edges belong to the bin below, as in ``ihmr``: keeps the largest distance in the last bin."""

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Bins:
    """N samples in B bins of distance.

    Attributes:
        edges: (B + 1,) rising.
        index: (N,) bin of each sample, 0..B-1.
        count: (B,) samples in each bin; may be 0 in equal-width bins.
    """

    edges: NDArray[np.float64]
    index: NDArray[np.int64]
    count: NDArray[np.int64]

    @property
    def centres(self) -> NDArray[np.float64]:
        """(B,) middle of each bin."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def means(self, values: Array) -> NDArray[np.float64]:
        """(N,) → (B,) mean of each bin; NaN where a bin is empty."""
        total = np.bincount(self.index, np.asarray(values, np.float64), len(self.count))
        with np.errstate(invalid="ignore"):
            return total / np.where(self.count, self.count, np.nan)


def tail_subset(distance: Array, percent: float) -> NDArray[np.int64]:
    """T-x%: rows of the x % of samples with the largest distances, farthest first (PM-Net Tab. IV).

    Args:
        distance: (N,) finite.
        percent: 0 < x ≤ 100. The subset has floor(N·x/100) rows, but at least one.

    Returns:
        (n,) int64; equal distances keep the order of the rows.

    Raises:
        InputError: no samples, distances that are not finite, or x outside (0, 100].
    """
    distance = _checked(distance)
    if not 0 < percent <= 100:
        raise InputError("tail", f"expected a percentage above 0 and up to 100, got {percent}")
    count = max(1, int(len(distance) * Fraction(str(percent)) / 100))  # exact: 0.1 % of 1000 is 1
    return np.argsort(-distance, kind="stable")[:count]


def equal_count_bins(distance: Array, bins: int) -> Bins:
    """Split into bins of (nearly) equally many samples, nearest first; never more bins than samples."""
    distance = _checked(distance)
    bins = min(_at_least_one(bins), len(distance))
    order = np.argsort(distance, kind="stable")
    index = np.empty(len(distance), np.int64)
    index[order] = np.arange(len(distance)) * bins // len(distance)
    ranked = distance[order]
    first = np.searchsorted(index[order], np.arange(1, bins))
    edges = np.concatenate([ranked[:1], (ranked[first - 1] + ranked[first]) / 2, ranked[-1:]])
    return Bins(edges, index, np.bincount(index, minlength=bins))


def equal_width_bins(distance: Array, bins: int) -> Bins:
    """Split the range of distances into bins of one width (``ihmr``: bin = trunc((d − min)/δ − 0.001))."""
    distance = _checked(distance)
    bins = _at_least_one(bins)
    low, high = float(distance.min()), float(distance.max())
    width = (high - low) / bins
    index = np.zeros(len(distance), np.int64)
    if width > 0:
        index = np.clip(((distance - low) / width - _EDGE_SHIFT).astype(np.int64), 0, bins - 1)
    return Bins(np.linspace(low, high, bins + 1), index, np.bincount(index, minlength=bins))


def balanced_mean(values: Array, distance: Array, bins: int = BALANCED_BINS) -> float:
    """Mean of the means of the non-empty equal-width bins: rare poses count as common ones do (``ihmr`` bMPVPE)."""
    split = equal_width_bins(distance, bins)
    means = split.means(values)
    return float(means[split.count > 0].mean())


def bootstrap_mean(
    values: Array, seed: int, groups: Array | None = None, resamples: int = 1000, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Mean and its percentile-bootstrap interval.

    Args:
        values: (N,). For a **paired** comparison of two systems pass the differences of their errors per sample.
        seed: of the resampling.
        groups: (N,) names; whole groups are drawn (a cluster bootstrap). Frames of one sequence are alike, and drawing
            them one by one makes the interval far too narrow.
        resamples: number of draws.
        confidence: share of the draws inside the interval.

    Returns:
        (mean, low, high).
    """
    values = _checked(values)
    if groups is None:
        total, size = values, np.ones_like(values)
    else:
        _, index = np.unique(np.asarray(groups).astype(str), return_inverse=True)
        total = np.bincount(index, values).astype(np.float64)
        size = np.bincount(index).astype(np.float64)
    rng = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for i in range(resamples):
        pick = rng.integers(0, len(total), len(total))
        draws[i] = total[pick].sum() / size[pick].sum()
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(values.mean()), float(low), float(high)


def _checked(distance: Array) -> NDArray[np.float64]:
    distance = np.asarray(distance, np.float64)
    if distance.ndim != 1 or not len(distance):
        raise InputError("distances", f"expected (N,) with at least one sample, got shape {distance.shape}")
    bad = ~np.isfinite(distance)
    if bad.any():
        raise InputError(f"distances row {int(bad.argmax())}", "is not finite")
    return distance


def _at_least_one(bins: int) -> int:
    if bins < 1:
        raise InputError("bins", f"expected at least 1, got {bins}")
    return bins

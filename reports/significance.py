"""Whether one system is better than another: paired bootstrap intervals, and a test that draws whole sequences.

In: errors of the same samples by two systems, and which sequence each sample is of; out: ``Comparison``. Called by
``measured`` and ``systems``. Frames of one sequence are alike, so sequences are what is drawn and what is flipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.tail import bootstrap_mean
from hmrtk.toolkit.records.table import RecordTable

LEVEL = 0.05
"""Corrected p below this is called significant."""

FLIPS = 4999
"""Random sign flips; with few sequences all of them are tried."""

_CHUNK = 100

Array = NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """Baseline minus system, sample by sample; above 0 the system is better.

    Attributes:
        mean: of the differences, mm.
        low, high: ends of its 95 % paired bootstrap interval, whole groups drawn.
        p: two-sided, of the paired sign-flip test: how often groups whose signs are chosen at random differ as much.
        groups: sequences (or samples without one) that were drawn and flipped.
    """

    mean: float
    low: float
    high: float
    p: float
    groups: int


@dataclass(frozen=True, eq=False)
class Groups:
    """What is drawn whole.

    Attributes:
        index: (N,) int64, the group of each sample, 0..G-1.
        count: G.
        sequences: of them, how many are sequences; the others are single samples that name none.
    """

    index: NDArray[np.int64]
    count: int
    sequences: int

    @classmethod
    def of(cls, records: RecordTable) -> Groups:
        """The sequence of each record (of its data set and subject), else the record itself."""
        named = zip(*(records.table[c].to_pylist() for c in ("dataset", "subject", "sequence")), strict=True)
        known: dict[Any, int] = {}
        index = [known.setdefault(name if name[2] else row, len(known)) for row, name in enumerate(named)]
        return cls(np.array(index, np.int64), len(known), sum(isinstance(name, tuple) for name in known))

    def describe(self) -> str:
        """What is drawn, for captions and details."""
        single = self.count - self.sequences
        if not self.sequences:
            return f"the {single:,} samples drawn one by one, since the records name no sequences"
        return f"whole sequences drawn ({self.sequences:,}" + (
            f", and {single:,} samples without one)" if single else ")"
        )


def compare(baseline: Array, system: Array, groups: Array, seed: int) -> Comparison:
    """Compare two systems on the same samples.

    Args:
        baseline, system: (n,) errors, mm.
        groups: (n,) whole-number names of groups.
        seed: of the draws and of the flips.

    Raises:
        InputError: no samples, or errors that are not finite.
    """
    gain = np.asarray(baseline, np.float64) - np.asarray(system, np.float64)
    mean, low, high = bootstrap_mean(gain, seed, groups)
    _, index = np.unique(groups, return_inverse=True)
    total = np.bincount(index, gain)
    return Comparison(mean, low, high, sign_flip_p(total, seed), len(total))


def sign_flip_p(totals: Array, seed: int) -> float:
    """Two-sided p of G independent group totals that are symmetric about 0 when systems are equal.

    Up to 12 groups all 2^G sign patterns are tried; above, ``FLIPS`` random ones and the one that was observed. G = 1
    gives 1: one sequence can show nothing.
    """
    totals = np.asarray(totals, np.float64)
    seen = abs(totals.sum()) * (1 - 1e-12)
    if not np.any(totals):
        return 1.0
    if len(totals) <= 12:
        signs = 1 - 2.0 * ((np.arange(2 ** len(totals))[:, None] >> np.arange(len(totals))) & 1)
        return float((np.abs(signs @ totals) >= seen).mean())
    rng, as_large = np.random.default_rng(seed), 1
    for start in range(0, FLIPS, _CHUNK):
        flips = rng.integers(0, 2, (min(_CHUNK, FLIPS - start), len(totals)), np.int8)
        as_large += int((np.abs(2.0 * (flips @ totals) - totals.sum()) >= seen).sum())
    return as_large / (FLIPS + 1)


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for being several, after Holm (1979): still one in twenty that any false one is called."""
    if any(not 0 <= value <= 1 for value in p):
        raise InputError("p values", f"expected values in 0..1, got {list(p)}")
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, highest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = highest
    return corrected


def verdict(mean: float, p: float) -> str:
    """A comparison in a word."""
    if p >= LEVEL:
        return "not significant"
    return "better" if mean > 0 else "worse"

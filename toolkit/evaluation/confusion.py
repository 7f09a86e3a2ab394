"""``Confusion``: pixels by true and predicted class, added up over pictures; accuracy and F1 out of it.

``segmentation`` fills it. Two of them, from other workers or ranks, add up to that of all pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError


@dataclass(frozen=True, eq=False)
class Confusion:
    """Counts of pixels.

    Attributes:
        counts: (C, C) int64 [true class, predicted class].
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> Confusion:
        """Of two label pictures of one shape, labels 0..C-1.

        Raises:
            InputError: different shapes, or a label outside.
        """
        if truth.shape != predicted.shape:
            raise InputError("labels", f"expected two equal shapes, got {truth.shape} and {predicted.shape}")
        for labels in (truth, predicted):
            if labels.size and not (labels.min() >= 0 and labels.max() < classes):
                raise InputError("labels", f"reach {labels.min()}..{labels.max()}, expected 0..{classes - 1}")
        pairs = truth.astype(np.int64).ravel() * classes + predicted.ravel()
        return cls(np.bincount(pairs, minlength=classes * classes).reshape(classes, classes))

    @classmethod
    def nothing(cls, classes: int) -> Confusion:
        """No pixel yet."""
        return cls(np.zeros((classes, classes), np.int64))

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.counts + other.counts)

    @property
    def accuracy(self) -> float:
        """Share of pixels of all pictures that have the true class; NaN without pixels."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

    @property
    def f1(self) -> NDArray[np.float64]:
        """(C,) 2TP / (2TP + FP + FN) of each class over all pictures; NaN for a class that is nowhere."""
        right = np.diag(self.counts).astype(np.float64)
        either = self.counts.sum(axis=0) + self.counts.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return 2 * right / np.where(either, either, np.nan)

    @property
    def mean_f1(self) -> float:
        """Mean over the classes that occur, background included (SPIN ``eval.py``)."""
        f1 = self.f1
        known = np.isfinite(f1)
        return float(f1[known].mean()) if known.any() else float("nan")

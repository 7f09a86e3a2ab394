"""MPJPE, PA-MPJPE and MPVPE as ``torchmetrics``, mm, for training loops of others. The one door to torchmetrics.

In: batches of tensors in metres, on any device; out: the mean over all samples of all batches and, under DDP, of all
ranks. The formulas are those of ``hmrtk.toolkit.evaluation.torch_metrics``, which equal the NumPy ones; what such a
number was measured with (joints, root) is what the caller hands over, so it must be named beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation import torch_metrics


class MeanError(Metric):
    """A mean over samples, mm; NaN before there is one. Sums are float64, so the order of batches does not show."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def add(self, errors: Tensor, known: Tensor | None) -> None:
        """Count the errors (B,) of the samples that are ``known`` (B,) bool; of all when None."""
        if known is not None:
            if known.shape != errors.shape:
                raise InputError("known", f"expected shape {tuple(errors.shape)}, got {tuple(known.shape)}")
            errors = errors[known.bool()]
        self.total += errors.detach().double().sum()
        self.count += errors.numel()

    def compute(self) -> Tensor:
        """() float64 mm."""
        return self.total / self.count


class MPJPE(MeanError):
    """Mean per-joint position error.

    Args:
        root: joint that both sides are moved to, or several for the middle between them; None moves nothing.
    """

    def __init__(self, root: int | Sequence[int] | None = 0) -> None:
        super().__init__()
        self.root = None if root is None else [root] if isinstance(root, int) else list(root)

    def update(self, predicted: Tensor, target: Tensor, known: Tensor | None = None) -> None:
        """Count a batch: (B, J, 3) metres each; ``known`` (B,) says which rows have a ground truth."""
        if self.root is not None:
            predicted = predicted - predicted[:, self.root].mean(1, keepdim=True)
            target = target - target[:, self.root].mean(1, keepdim=True)
        self.add(torch_metrics.mpjpe(predicted, target), known)


class PAMPJPE(MeanError):
    """MPJPE after Procrustes alignment (scale, rotation, translation) of each sample."""

    def update(self, predicted: Tensor, target: Tensor, known: Tensor | None = None) -> None:
        """Count a batch, as ``MPJPE.update``."""
        self.add(torch_metrics.pa_mpjpe(predicted, target), known)


class MPVPE(MeanError):
    """Mean per-vertex error (PVE)."""

    def update(
        self, predicted: Tensor, target: Tensor, known: Tensor | None = None, offset: Tensor | None = None
    ) -> None:
        """Count a batch: vertices (B, V, 3) metres each; ``offset`` (B, 3), predicted minus true root, aligns."""
        self.add(torch_metrics.pve(predicted, target, offset), known)

"""Validation's metrics: equal to the NumPy formulas over batches and ranks, and to torchmetrics' own contract."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from hmrtk.models.metrics import MPJPE, MPVPE, PAMPJPE
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation import formulas

ROWS, JOINTS = 23, 14
HIPS = (2, 3)


@pytest.fixture
def sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.normal(0, 0.4, (ROWS, JOINTS, 3))
    return target + rng.normal(0, 0.05, target.shape), target


def _expected(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    moved = [a - a[:, HIPS].mean(1, keepdims=True) for a in (predicted, target)]
    return {
        "mpjpe": formulas.mpjpe(*moved).mean(),
        "pa_mpjpe": formulas.pa_mpjpe(predicted, target).mean(),
        "mpvpe": formulas.pve(predicted, target).mean(),
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-3)])
def test_batches_add_up_to_numpy(sets: tuple[np.ndarray, np.ndarray], dtype: torch.dtype, tolerance: float) -> None:
    metrics = MetricCollection({"mpjpe": MPJPE(HIPS), "pa_mpjpe": PAMPJPE(), "mpvpe": MPVPE()})
    predicted, target = (torch.tensor(a, dtype=dtype) for a in sets)
    for rows in (slice(0, 10), slice(10, 11), slice(11, None)):
        metrics.update(predicted[rows], target[rows])
    found = {name: float(value) for name, value in metrics.compute().items()}
    assert found == pytest.approx(_expected(*sets), abs=tolerance)


def test_rows_without_truth_do_not_count(sets: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, target = (torch.tensor(a) for a in sets)
    known = torch.arange(ROWS) % 3 > 0
    target[~known] = float("nan")
    metric = PAMPJPE()
    metric.update(predicted, target, known)
    expected = formulas.pa_mpjpe(*(a[known.numpy()] for a in sets)).mean()
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-6)
    metric.reset()
    metric.update(predicted, target, torch.zeros(ROWS, dtype=torch.bool))
    assert torch.isnan(metric.compute())
    with pytest.raises(InputError, match=r"known: expected shape \(23,\), got \(22,\)"):
        metric.update(predicted, target, known[1:])


def test_ranks_add_up(sets: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, target = (torch.tensor(a) for a in sets)
    here, there = MPJPE(None), MPJPE(None)
    here.update(predicted[:4], target[:4])
    there.update(predicted[4:], target[4:])

    def gather(state: torch.Tensor, group: object) -> list[torch.Tensor]:
        return [state, there.total if state.dtype == torch.float64 else there.count]

    here.sync(dist_sync_fn=gather, distributed_available=lambda: True)
    assert float(here.total / here.count) == pytest.approx(formulas.mpjpe(*sets).mean(), abs=1e-6)


def test_roots_and_offsets(sets: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, target = (torch.tensor(a) for a in sets)
    for root, shift in ((0, 0.0), (HIPS, 0.0), (None, 10.0)):
        metric = MPJPE(root)
        metric.update(target + torch.tensor([0.006, 0.0, -0.008]), target)
        assert float(metric.compute()) == pytest.approx(shift, abs=1e-6)
    metric = MPVPE()
    offset = torch.tensor(np.random.default_rng(2).normal(size=(ROWS, 3)))
    metric.update(predicted, target, None, offset)
    assert float(metric.compute()) == pytest.approx(formulas.pve(*sets, offset.numpy()).mean(), abs=1e-6)


def test_metrics_can_be_copied_and_start_anew(sets: tuple[np.ndarray, np.ndarray]) -> None:
    metric = MPJPE()
    metric.update(*(torch.tensor(a) for a in sets))
    again = copy.deepcopy(metric)
    assert torch.equal(again.compute(), metric.compute())
    again.reset()
    assert int(again.count) == 0
    assert int(metric.count) == ROWS

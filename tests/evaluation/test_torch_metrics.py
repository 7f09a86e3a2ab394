"""The torch twin against the NumPy formulas: values in both precisions, batch shapes, bad sets, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation import formulas, torch_metrics

DTYPES = [(torch.float64, 1e-6), (torch.float32, 1e-3)]


def _sets(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.normal(0, 0.4, shape)
    return target + rng.normal(0, 0.08, shape), target


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("shape", [(14, 3), (7, 14, 3), (2, 5, 24, 3)])
def test_joint_metrics_equal_numpy(shape: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    predicted, target = _sets(*shape)
    tensors = torch.tensor(predicted, dtype=dtype), torch.tensor(target, dtype=dtype)
    for name in ("joint_errors", "mpjpe", "pa_mpjpe"):
        result = getattr(torch_metrics, name)(*tensors)
        assert result.dtype == dtype
        np.testing.assert_allclose(result, getattr(formulas, name)(predicted, target), atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_pve_equals_numpy(dtype: torch.dtype, tolerance: float) -> None:
    predicted, target = _sets(3, 6890, 3)
    offset = np.random.default_rng(1).normal(size=(3, 3))
    tensors = [torch.tensor(a, dtype=dtype) for a in (predicted, target, offset)]
    np.testing.assert_allclose(torch_metrics.pve(*tensors), formulas.pve(predicted, target, offset), atol=tolerance)
    np.testing.assert_allclose(torch_metrics.pve(*tensors[:2]), formulas.pve(predicted, target), atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_degenerate_and_mirrored_sets(dtype: torch.dtype, tolerance: float) -> None:
    predicted, target = _sets(5, 14, 3)
    predicted[0] = 0.3  # all joints in one place
    predicted[1] = target[1] * [-1, 1, 1]  # only a reflection would fit
    predicted[2, :, 1:] = 0  # on a line
    target[3] = 2.0
    predicted[4] = target[4] + 0.01
    tensors = torch.tensor(predicted, dtype=dtype), torch.tensor(target, dtype=dtype)
    result = torch_metrics.pa_mpjpe(*tensors)
    np.testing.assert_allclose(result, formulas.pa_mpjpe(predicted, target), atol=tolerance)
    assert result[1] > 50
    assert result[4] < tolerance


def test_nan_stays_with_its_row() -> None:
    predicted, target = (torch.tensor(a) for a in _sets(3, 14, 3))
    clean = torch_metrics.pa_mpjpe(predicted, target)
    predicted[1, 4, 2] = float("nan")
    for name in ("mpjpe", "pa_mpjpe"):
        assert torch.isnan(getattr(torch_metrics, name)(predicted, target)).tolist() == [False, True, False]
    assert torch.equal(torch_metrics.pa_mpjpe(predicted, target)[[0, 2]], clean[[0, 2]])
    assert np.isnan(formulas.pa_mpjpe(predicted.numpy(), target.numpy())).tolist() == [False, True, False]


def test_half_precision_is_widened_first() -> None:
    predicted, target = (torch.tensor(a).bfloat16() for a in _sets(4, 14, 3))
    result = torch_metrics.pa_mpjpe(predicted, target)
    assert result.dtype == torch.float32
    wide = formulas.pa_mpjpe(predicted.double().numpy(), target.double().numpy())
    np.testing.assert_allclose(result, wide, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_allclose(torch_metrics.pa_mpjpe(predicted.float(), target.float()), wide, atol=1e-3)


def test_gradients() -> None:
    predicted, target = (torch.tensor(a) for a in _sets(2, 5, 3))
    predicted.requires_grad_()
    assert torch.autograd.gradcheck(torch_metrics.mpjpe, (predicted, target))
    assert torch.autograd.gradcheck(torch_metrics.pve, (predicted, target))
    assert not torch_metrics.pa_mpjpe(predicted, target).requires_grad


def test_errors_name_what_is_wrong() -> None:
    a, b = torch.zeros(2, 14, 3), torch.zeros(2, 13, 3)
    for name in ("joint_errors", "pve", "procrustes"):
        with pytest.raises(
            InputError, match=rf"{name}: expected two equal shapes .* got \(2, 14, 3\) and \(2, 13, 3\)"
        ):
            getattr(torch_metrics, name)(a, b)

"""Losses: numbers by hand for both reductions, Eq. 5's and SPIN's sums by formulas of their own, rows without truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from hmrtk.models.batch import Batch
from hmrtk.models.config import load_config
from hmrtk.models.losses import (
    LossConfig,
    joints3d_loss,
    keypoints2d_loss,
    parameter_loss,
    prototype_loss,
    scale_loss,
    training_loss,
)
from hmrtk.models.output import Estimate, Output
from hmrtk.models.rotation import rotmat_to_rot6d


def _output(batch: Batch, generator: torch.Generator, logits: Tensor | None = None, steps: int = 1) -> Output:
    """Random answers, not far off."""

    def near(value: Tensor) -> Tensor:
        return value + 0.1 * torch.randn(value.shape, generator=generator)

    count = len(batch)
    estimates = tuple(
        Estimate(near(rotmat_to_rot6d(batch.rotmat)), near(batch.rotmat), near(batch.betas), near(batch.camera),
                 near(batch.joints3d[..., :3]), near(batch.keypoints2d[..., :2])) for _ in range(steps)
    )  # fmt: skip
    return Output(estimates, torch.zeros(count, 3), logits)


# -- one term by hand -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reduction", "expected"), [("sum", 0.05 + 0.5 * 0.04), ("mean", (0.05 + 0.5 * 0.04) / 72)])
def test_joints_by_hand(reduction: str, expected: float) -> None:
    found, target = torch.zeros(1, 24, 3), torch.zeros(1, 24, 4)
    target[..., 3] = 1
    target[..., :3] += torch.tensor([5.0, -3.0, 2.0])  # the middle of the hips moves along
    found[0, 10] = torch.tensor([0.1, 0, 0.2])  # 0.05 m²
    found[0, 20, 1], target[0, 20, 3] = 0.2, 0.5  # 0.04 m² at half confidence
    assert float(joints3d_loss(found, target, reduction)) == pytest.approx(expected, abs=1e-6)


def test_moving_one_hip_moves_all_joints() -> None:
    found, target = torch.zeros(1, 24, 3), torch.zeros(1, 24, 4)
    target[..., 3] = 1
    found[0, 2, 0] = 0.2  # the middle moves by 0.1: this hip is 0.1 off, the other 23 joints are -0.1
    assert float(joints3d_loss(found, target, "sum")) == pytest.approx(24 * 0.01)


@pytest.mark.parametrize(("reduction", "expected"), [("sum", (0.25 + 1.25) / 2), ("mean", (0.25 + 1.25) / 2 / 48)])
def test_keypoints_by_hand(reduction: str, expected: float) -> None:
    found, target = torch.zeros(2, 24, 2), torch.zeros(2, 24, 3)
    found[0, 0], target[0, 0] = torch.tensor([0.5, 0.0]), torch.tensor([0.0, 0.0, 1.0])  # 0.25
    found[1, 5], target[1, 5] = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0, 0.625])  # 2 · 0.625
    found[1, 6] = 100.0  # not visible
    assert float(keypoints2d_loss(found, target, reduction)) == pytest.approx(expected)


@pytest.mark.parametrize(("reduction", "expected"), [("sum", (4 + 12) / 2), ("mean", (4 + 12) / 2 / 4)])
def test_parameters_by_hand(reduction: str, expected: float) -> None:
    found = torch.stack([torch.full((2, 2), 1.0), torch.full((2, 2), torch.nan), torch.tensor([[0.0, 0], [2, 8**0.5]])])
    known = torch.tensor([True, False, True])
    assert float(parameter_loss(found, torch.zeros(3, 2, 2), known, reduction)) == pytest.approx(expected)


def test_scale_by_hand() -> None:
    expected = (math.exp(-20 * 0.1) + math.exp(20 * 0.05)) / 2
    assert float(scale_loss(torch.tensor([0.1, -0.05]))) == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [math.log(3.0), 0.0, 0.0, 0.0], [9.0, 9.0, 1.0, 0.0]])
    label = torch.tensor([2, 0, -1])  # c = 1/4, then 1/2; the third has no label
    assert float(prototype_loss(logits, label)) == pytest.approx((math.log(4) + math.log(2)) / 2)
    focal = (0.75**2 * math.log(4) + 0.5**2 * math.log(2)) / 2
    assert float(prototype_loss(logits, label, focus=2)) == pytest.approx(focal)
    frequency = torch.tensor([0.4, 0.3, 0.2, 0.1])  # weights 1 / (4 · 0.2) and 1 / (4 · 0.4)
    balanced = (math.log(4) / 0.8 + math.log(2) / 1.6) / 2
    assert float(prototype_loss(logits, label, balance=1, frequency=frequency)) == pytest.approx(balanced)
    root = (math.log(4) / 0.8**0.5 + math.log(2) / 1.6**0.5) / 2
    assert float(prototype_loss(logits, label, balance=0.5, frequency=frequency)) == pytest.approx(root)
    assert float(prototype_loss(logits, label, balance=1)) == pytest.approx((math.log(4) + math.log(2)) / 2)


def test_cross_entropy_equals_torch(generator: torch.Generator) -> None:
    logits, label = torch.randn(20, 6, generator=generator), torch.arange(20) % 7 - 1
    expected = torch.nn.functional.cross_entropy(logits, label, ignore_index=-1)
    torch.testing.assert_close(prototype_loss(logits, label), expected)


# -- rows without truth -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_rows_without_truth_contribute_nothing(
    rows: Callable[..., Batch], generator: torch.Generator, reduction: str
) -> None:
    batch = rows(5)
    output = _output(batch, generator, torch.randn(5, 4, generator=generator))
    keep = torch.tensor([0, 2, 3])
    batch.has_body[[1, 4]] = False
    batch.joints3d[[1, 4]] = 0
    batch.label[[1, 4]] = -1
    config = LossConfig(reduction=reduction, keypoints2d=0, prototype=1)
    found = training_loss(output, batch, config)
    part = replace(batch, **{n: getattr(batch, n)[keep] for n in ("joints3d", "keypoints2d", "rotmat", "betas",
                                                                  "has_body", "label")})  # fmt: skip
    kept = Estimate(*(getattr(output.final, n)[keep] for n in ("rot6d", "rotmat", "betas", "camera", "joints",
                                                               "keypoints2d")))  # fmt: skip
    expected = training_loss(Output((kept,), output.crop_camera[keep], output.logits[keep]), part, config)
    for name in ("joints3d", "pose", "betas", "prototype", "total"):
        torch.testing.assert_close(found[name], expected[name], msg=name)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_nothing_known_at_all_is_zero(rows: Callable[..., Batch], generator: torch.Generator, reduction: str) -> None:
    batch = rows(2)
    batch.has_body[:], batch.label[:] = False, -1
    batch.joints3d.zero_(), batch.keypoints2d.zero_()
    logits = torch.randn(2, 4, generator=generator, requires_grad=True)
    output = _output(batch, generator, logits)
    output.final.betas.requires_grad_()
    terms = training_loss(output, batch, LossConfig(reduction=reduction))
    assert {name: float(term.detach()) for name, term in terms.items()} == dict.fromkeys(terms, 0.0)
    terms["total"].backward()
    assert not output.final.betas.grad.any()
    assert not logits.grad.any()


def test_a_row_without_hips_has_no_origin() -> None:
    found, target = torch.ones(1, 24, 3), torch.zeros(1, 24, 4)
    target[0, :, 3] = 1
    target[0, 2, 3] = 0
    found[0, 5] = 3.0
    assert float(joints3d_loss(found, target, "sum")) == 0


# -- the whole --------------------------------------------------------------------------------------------------------


def test_eq5_with_the_papers_weights(rows: Callable[..., Batch], generator: torch.Generator) -> None:
    batch = rows(6)
    output = _output(batch, generator, torch.randn(6, 4, generator=generator))
    found = training_loss(output, batch, LossConfig())
    final, total = output.final, 0.0
    for i in range(6):  # Eq. 2-5, row by row in NumPy
        joints, truth = final.joints[i].double().numpy(), batch.joints3d[i, :, :3].double().numpy()
        joints, truth = (a - (a[2] + a[3]) / 2 for a in (joints, truth))
        theta = np.stack([batch.rotmat[i, :, :, 0], batch.rotmat[i, :, :, 1]], -1)  # (24, 3, 2): interleaved columns
        c = np.exp(output.logits[i].double().numpy())
        total += 5 * ((joints - truth) ** 2).sum()
        total += 5 * ((final.keypoints2d[i] - batch.keypoints2d[i, :, :2]).double().numpy() ** 2).sum()
        total += ((final.rot6d[i].double().numpy().reshape(24, 3, 2) - theta) ** 2).sum()
        total += 1e-3 * ((final.betas[i] - batch.betas[i]).double().numpy() ** 2).sum()
        total += -np.log(c[batch.label[i]] / c.sum())
    assert float(found["total"]) == pytest.approx(total / 6, rel=1e-5)
    assert set(found) == {"joints3d", "keypoints2d", "pose", "betas", "prototype", "total"}


def test_spins_sum(rows: Callable[..., Batch], generator: torch.Generator) -> None:
    """60·[5·kp2d (mean over 49 joints) + 5·kp3d + pose on matrices + .001·betas + exp(-10 s)²], all of them means."""
    batch = rows(3)
    output = _output(batch, generator)
    final = output.final
    keypoints = np.zeros((3, 49, 2))  # OpenPose's 25 come first and weigh nothing
    keypoints[:, 25:] = (final.keypoints2d - batch.keypoints2d[..., :2]).numpy() ** 2
    joints, truth = final.joints.numpy().astype(float), batch.joints3d[..., :3].numpy().astype(float)
    joints, truth = (a - (a[:, 2:3] + a[:, 3:4]) / 2 for a in (joints, truth))
    expected = 60 * (
        5 * keypoints.mean()
        + 5 * ((joints - truth) ** 2).mean()
        + ((final.rotmat - batch.rotmat).numpy().astype(float) ** 2).mean()
        + 0.001 * ((final.betas - batch.betas).numpy().astype(float) ** 2).mean()
        + np.exp(-10 * final.camera[:, 0].numpy().astype(float) * 2).mean()
    )
    found = training_loss(output, batch, load_config("hmr", "paper").loss)
    assert float(found["total"]) == pytest.approx(expected, rel=1e-5)


def test_every_estimate_counts(rows: Callable[..., Batch], generator: torch.Generator) -> None:
    batch = rows(2)
    output = _output(batch, generator, steps=3)
    config = LossConfig(camera=1.0)
    single = [training_loss(Output((e,), output.crop_camera), batch, config) for e in output.estimates]
    found = training_loss(output, batch, config)
    for name, term in found.items():
        torch.testing.assert_close(term, sum(terms[name] for terms in single), msg=name)


def test_gradients(rows: Callable[..., Batch], generator: torch.Generator) -> None:
    """Against finite differences in float64; the focal loss, which is float32, against its definition."""
    batch = rows(2)
    joints3d, keypoints2d = batch.joints3d.double(), batch.keypoints2d.double()
    logits = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    label, frequency = torch.tensor([0, 1, -1, 3, 3]), torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    points = torch.randn(2, 24, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: joints3d_loss(p, joints3d, "sum"), points)
    assert torch.autograd.gradcheck(lambda p: keypoints2d_loss(p[..., :2], keypoints2d, "mean"), points)
    for focus in (0, 0.5, 2):
        given = logits.clone().requires_grad_()
        (slope,) = torch.autograd.grad(prototype_loss(given, label, focus, 0.7, frequency), given)
        (expected,) = torch.autograd.grad(_focal_by_definition(given, label, focus, frequency), given)
        torch.testing.assert_close(slope, expected, atol=1e-6, rtol=1e-5)


def _focal_by_definition(logits: Tensor, label: Tensor, focus: float, frequency: Tensor) -> Tensor:
    rows = []
    for scores, wanted in zip(logits, label.tolist(), strict=True):
        if wanted >= 0:
            c = (scores[wanted].exp() / scores.exp().sum()).clamp(1e-12, 1)
            rows.append(-c.log() * (1 - c) ** focus / (4 * frequency[wanted]) ** 0.7)
    return torch.stack(rows).mean()


@pytest.mark.parametrize("focus", [0.5, 1, 2])
def test_certain_rows_have_a_finite_slope(focus: float) -> None:
    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    loss = prototype_loss(logits, torch.tensor([0, 0]), focus)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(100)
    assert torch.isfinite(logits.grad).all()


def test_focus_lowers_what_is_easy() -> None:
    logits, label = torch.tensor([[3.0, 0.0]]), torch.tensor([0])
    losses = [float(prototype_loss(logits, label, focus)) for focus in (0, 1, 2, 5)]
    assert all(later < earlier for earlier, later in pairwise(losses))


def test_weights_out_of_range() -> None:
    with pytest.raises(ValidationError, match=r"greater than or equal to 0"):
        LossConfig(pose=-1)
    with pytest.raises(ValidationError, match=r"Extra inputs are not permitted"):
        LossConfig(verts=1)

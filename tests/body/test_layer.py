"""The differentiable layer agrees with bulk posing, gives gradients and says nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hmrtk.toolkit.body.layer import body_layer
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters

Draw = Callable[[int, int], BodyParameters]


def as_tensors(parameters: BodyParameters) -> dict[str, torch.Tensor]:
    return {
        "global_orient": torch.from_numpy(parameters.global_orient),
        "body_pose": torch.from_numpy(parameters.body_pose.reshape(len(parameters), 69)),
        "betas": torch.from_numpy(parameters.betas),
        "transl": torch.from_numpy(parameters.transl),
    }


@pytest.mark.parametrize("gender", ["neutral", "male", "female"])
def test_agrees_with_bulk_posing(gender: str, random_parameters: Draw) -> None:
    model = load_body(gender=gender)
    parameters = random_parameters(9, 3)
    with torch.no_grad():
        output = body_layer(model)(**as_tensors(parameters))
    body = model.pose(parameters)
    np.testing.assert_allclose(output.vertices.numpy(), body.vertices, atol=5e-6)
    np.testing.assert_allclose(output.joints[:, :24].numpy(), body.joints, atol=5e-6)


def test_gradients_reach_the_inputs_and_nothing_is_learned(body: BodyModel) -> None:
    layer = body_layer(body, batch_size=2)
    assert not any(p.requires_grad for p in layer.parameters())
    pose = torch.full((2, 69), 0.1, requires_grad=True)
    betas = torch.zeros((2, 10), requires_grad=True)
    layer(body_pose=pose, betas=betas).vertices.square().sum().backward()
    assert pose.grad is not None
    assert betas.grad is not None
    assert pose.grad.abs().max() > 1e-3
    assert betas.grad.abs().max() > 1e-3


def test_gradient_matches_a_finite_difference(body: BodyModel) -> None:
    layer = body_layer(body).double()
    pose = torch.full((1, 69), 0.2, dtype=torch.float64, requires_grad=True)
    layer(body_pose=pose).vertices[0, 332].sum().backward()
    step = torch.zeros_like(pose)
    step[0, 3 * 14] = 1e-5  # x of the head (joint 15)
    with torch.no_grad():
        change = (layer(body_pose=pose + step).vertices - layer(body_pose=pose - step).vertices)[0, 332].sum()
    assert pose.grad is not None
    assert abs(pose.grad[0, 3 * 14] - change / 2e-5) < 1e-6


def test_is_silent_and_does_not_share_memory(body: BodyModel, capfd: pytest.CaptureFixture[str]) -> None:
    layer = body_layer(body)
    layer.v_template.fill_(7)
    assert body.v_template.max() < 2
    assert capfd.readouterr() == ("", "")
    assert layer.gender == "neutral"

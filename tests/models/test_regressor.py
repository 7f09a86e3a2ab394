"""The iterative regressor: SPIN's layers, and a loop written by hand."""

from __future__ import annotations

import pytest
import torch

from hmrtk.models.networks import random_state
from hmrtk.models.regressor import HEAD_GAIN, WIDTH, IterativeRegressor, split_parameters


@pytest.fixture
def regressor() -> IterativeRegressor:
    with random_state(1):
        return IterativeRegressor(12, hidden=8)


def test_spins_names_and_shapes() -> None:
    shapes = {name: tuple(value.shape) for name, value in IterativeRegressor(2048).state_dict().items()}
    assert shapes == {
        "fc1.weight": (1024, 2048 + 157), "fc1.bias": (1024,), "fc2.weight": (1024, 1024), "fc2.bias": (1024,),
        "decpose.weight": (144, 1024), "decpose.bias": (144,), "decshape.weight": (10, 1024), "decshape.bias": (10,),
        "deccam.weight": (3, 1024), "deccam.bias": (3,),
    }  # fmt: skip


def test_three_rounds_equal_a_loop_by_hand(regressor: IterativeRegressor, generator: torch.Generator) -> None:
    features, start = torch.randn(5, 12, generator=generator), torch.randn(5, WIDTH, generator=generator)
    found = regressor.eval()(features, start)
    weights, phi = regressor.state_dict(), start
    assert len(found) == 3
    for step in found:
        hidden = torch.cat([features, phi], 1) @ weights["fc1.weight"].T + weights["fc1.bias"]
        hidden = hidden @ weights["fc2.weight"].T + weights["fc2.bias"]
        parts = [hidden @ weights[f"{n}.weight"].T + weights[f"{n}.bias"] for n in ("decpose", "decshape", "deccam")]
        phi = phi + torch.cat(parts, 1)
        torch.testing.assert_close(step, phi)


def test_training_starts_near_the_start(generator: torch.Generator) -> None:
    with random_state(0):
        regressor = IterativeRegressor(32, 64).eval()
    assert float(regressor.decpose.weight.detach().abs().max()) <= HEAD_GAIN * (6 / (144 + 64)) ** 0.5
    start = torch.zeros(1, WIDTH)
    assert float(regressor(torch.randn(1, 32, generator=generator), start)[-1].detach().abs().max()) < 0.4


def test_dropout_while_training_alone(regressor: IterativeRegressor) -> None:
    given = torch.ones(4, 12), torch.zeros(4, WIDTH)
    assert torch.equal(regressor.eval()(*given)[-1], regressor(*given)[-1])
    regressor.train()
    with random_state(1):
        first = regressor(*given)[-1]
    with random_state(1):
        again, other = regressor(*given)[-1], regressor(*given)[-1]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("iterations", [1, 4])
def test_other_numbers_of_rounds(iterations: int) -> None:
    assert len(IterativeRegressor(3, 4, iterations=iterations)(torch.zeros(1, 3), torch.zeros(1, WIDTH))) == iterations


def test_parameters_are_split_as_they_are_packed() -> None:
    rot6d, betas, camera = split_parameters(torch.arange(157.0).expand(2, 157))
    assert rot6d.shape == (2, 24, 6)
    assert rot6d[1, 1].tolist() == [6, 7, 8, 9, 10, 11]
    assert betas[0].tolist() == list(range(144, 154))
    assert camera[0].tolist() == [154, 155, 156]

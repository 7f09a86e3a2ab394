"""The memory: φ̄ = cM to the letter, every way to choose, their limits, and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hmrtk.models.camera import camera_model
from hmrtk.models.memory import SELECTIONS, Memory, certainty, memory_rows
from hmrtk.models.regressor import WIDTH
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.prototypes.export import memory_array
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

FEATURES = 3


@pytest.fixture
def memory(generator: torch.Generator) -> Memory:
    """Four rows, a singular one, and a classifier that gives feature 0 to class 0, 1 to 1, 2 to 2, and 0 to class 3."""
    rows, singular = torch.randn(4, WIDTH, generator=generator), torch.randn(WIDTH, generator=generator)
    memory = Memory(rows, singular, FEATURES, "soft")
    memory.classifier.load_state_dict({"weight": torch.eye(4, 3), "bias": torch.zeros(4)})
    return memory


def test_rows_are_the_exported_memory(prototypes: PrototypeSet) -> None:
    found = memory_rows(prototypes, camera_model("crop"))
    np.testing.assert_array_equal(found, memory_array(prototypes))
    assert found.shape == (4, WIDTH)
    assert found.dtype == torch.float32
    moved = PrototypeSet.of(prototypes.parameters, {}, singular=prototypes.singular, camera=(0.8, 0.1, -0.2))
    cameras = memory_rows(moved, camera_model("pmnet"))[:, -3:]
    np.testing.assert_allclose(cameras, np.tile([0.8, 0.08, -0.16], (4, 1)), rtol=1e-6)  # the same in all, in Eq. 3's


def test_soft_is_c_times_m(memory: Memory) -> None:
    features = torch.tensor([[math.log(2.0), 0, 0], [0, math.log(5.0), math.log(2.0)]])
    start = memory(features)
    c = torch.tensor([[2, 1, 1, 1], [1, 5, 2, 1]]) / torch.tensor([[5.0], [9.0]])
    torch.testing.assert_close(start.choice, c)
    torch.testing.assert_close(start.phi, c @ memory.rows)
    torch.testing.assert_close(start.logits, torch.cat([features, torch.zeros(2, 1)], 1))
    memory.temperature = 2.0
    torch.testing.assert_close(memory(features).choice, c.sqrt() / c.sqrt().sum(1, keepdim=True))


def test_argmax_and_label(memory: Memory) -> None:
    features, label = torch.tensor([[0.0, 1, 2], [3, 1, 2], [-1, -1, -1]]), torch.tensor([1, -1, 3])
    memory.choose("argmax")
    start = memory(features)
    assert torch.equal(start.phi, memory.rows[[2, 0, 3]])
    assert torch.equal(start.choice, torch.eye(4)[[2, 0, 3]])
    memory.choose("label")
    start = memory(features, label)
    assert torch.equal(start.phi, torch.stack([memory.rows[1], memory.singular, memory.rows[3]]))
    assert start.choice.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert start.logits is not None


def test_singular_keeps_the_classifier_beside_it(memory: Memory) -> None:
    memory.choose("singular")
    start = memory(torch.randn(5, FEATURES))
    assert torch.equal(start.phi, memory.singular.expand(5, -1))
    assert start.logits.shape == (5, 4)
    assert start.choice is None
    alone = Memory(memory.rows, memory.singular)(torch.zeros(2, FEATURES))
    assert alone.logits is None


def test_gated_between_mean_body_and_prototype(memory: Memory) -> None:
    memory.choose("gated")
    unsure = memory(torch.zeros(1, FEATURES))
    torch.testing.assert_close(unsure.phi[0], memory.singular, atol=1e-6, rtol=0)
    sure = memory(torch.tensor([[0.0, 500.0, 0.0]]))
    assert torch.equal(sure.phi[0], memory.rows[1])
    c = torch.tensor([[2.0, 1, 1, 1]]) / 5
    gate = 1 + float((c * c.log()).sum()) / math.log(4)
    found = memory(torch.tensor([[math.log(2.0), 0, 0]]))
    torch.testing.assert_close(found.phi[0], gate * (c @ memory.rows)[0] + (1 - gate) * memory.singular)


def test_certainty() -> None:
    weights = torch.tensor([[1.0, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]])
    torch.testing.assert_close(
        certainty(weights), torch.tensor([1, 0, 1 - math.log(2) / math.log(3)]), atol=1e-6, rtol=0
    )
    assert certainty(torch.ones(2, 1)).tolist() == [1, 1]


def test_a_certain_gate_has_a_finite_slope(memory: Memory) -> None:
    memory.choose("gated")
    features = torch.tensor([[300.0, -300.0, 0.0]], requires_grad=True)
    memory(features).phi.sum().backward()
    assert torch.isfinite(features.grad).all()


def test_gradients_of_choices(generator: torch.Generator) -> None:
    rows, singular = (torch.randn(n, WIDTH, generator=generator, dtype=torch.float64) for n in (4, 1))
    logits = torch.randn(2, 4, generator=generator, dtype=torch.float64, requires_grad=True)

    def gated(logits: torch.Tensor) -> torch.Tensor:
        choice = logits.softmax(1)
        return singular + certainty(choice)[:, None] * (choice @ rows - singular)

    assert torch.autograd.gradcheck(gated, logits)


@pytest.mark.parametrize("selection", ["soft", "argmax", "label", "singular"])
def test_mixed_precision_does_not_round_prototypes(memory: Memory, selection: str) -> None:
    memory.choose(selection)
    features, label = torch.tensor([[0.0, 300.0, 0.0]]), torch.tensor([1])
    with torch.autocast("cpu", torch.bfloat16):
        phi = memory(features, label).phi
    assert torch.equal(phi[0], memory.singular if selection == "singular" else memory.rows[1])


def test_hypotheses_are_the_likeliest(memory: Memory) -> None:
    features = torch.tensor([[0.5, -1.0, 2.0], [3.0, 2.0, -1.0]])
    starts, logits = memory.hypotheses(features, 3)
    assert torch.equal(starts, memory.rows[torch.tensor([[2, 0, 3], [0, 1, 3]])])
    assert logits.shape == (2, 4)
    assert memory.hypotheses(features, 9)[0].shape == (2, 4, WIDTH)


def test_prototypes_are_saved_and_not_learned(memory: Memory) -> None:
    assert set(memory.state_dict()) == {"rows", "singular", "classifier.weight", "classifier.bias"}
    assert {name for name, _ in memory.named_parameters()} == {"classifier.weight", "classifier.bias"}


def test_errors(memory: Memory) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown selection 'hard'; known: "):
        memory.choose("hard")
    with pytest.raises(
        InputError, match=r"memory: expected rows \(K, 157\) and one \(157,\), got \(4, 156\) and \(157,\)"
    ):
        Memory(memory.rows[:, 1:], memory.singular)
    for selection in ("soft", "argmax", "gated"):
        with pytest.raises(InputError, match=rf"memory: {selection} needs a classifier, and this memory has none"):
            Memory(memory.rows, memory.singular, selection=selection)
    with pytest.raises(InputError, match=r"memory: hypotheses need a classifier, and this memory has none"):
        Memory(memory.rows, memory.singular).hypotheses(torch.zeros(1, FEATURES), 2)
    memory.choose("label")
    with pytest.raises(InputError, match=r"memory: selection label needs the true labels .choose soft or argmax"):
        memory(torch.zeros(1, FEATURES))
    assert len(SELECTIONS) == 5

"""Networks as configs say, and random numbers that follow from numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from hmrtk.models.batch import Batch
from hmrtk.models.hmr import HMR
from hmrtk.models.memory import memory_rows
from hmrtk.models.networks import build_network, random_state
from hmrtk.models.pmnet import EVIDENCE, PMNet
from hmrtk.models.regressor import split_parameters
from hmrtk.models.rotation import rot6d_to_rotmat
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import BodyMismatchError
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet


@pytest.fixture
def build(stub: ModuleType, body: BodyModel, prototypes: PrototypeSet) -> Callable[..., HMR]:
    """(network, changes) → the quick network, in evaluation mode."""

    def built(network: str, *changes: str) -> HMR:
        return build_network(stub.quick_config(network, *changes), prototypes, body).eval()

    return built


# -- random numbers ---------------------------------------------------------------------------------------------------


def test_random_state_follows_from_the_words_alone() -> None:
    def drawn(*words: int) -> float:
        with random_state(*words):
            return float(torch.rand(()))

    assert drawn(1, 2) == drawn(1, 2)
    words = [*product(range(6), range(6), range(6)), *product(range(6), range(6)), (0,), (2**40,)]
    assert len({drawn(*w) for w in words}) == len(words)


def test_random_state_leaves_no_trace() -> None:
    before = torch.get_rng_state()
    with contextlib.suppress(KeyError), random_state(5):
        torch.rand(3)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


# -- networks ---------------------------------------------------------------------------------------------------------


def test_hmr_starts_from_the_singular_prototype(build: Callable[..., HMR], prototypes: PrototypeSet) -> None:
    network = build("hmr")
    assert type(network) is HMR
    assert network.memory.classifier is None
    assert torch.equal(network.memory.singular, memory_rows(prototypes.singular_set(), network.camera)[0])


@pytest.mark.parametrize("camera", ["crop", "pmnet"])
def test_forward_equals_its_parts(build: Callable[..., HMR], rows: Callable[..., Batch], camera: str) -> None:
    network, batch = build("hmr", f"camera={camera}"), rows(3)
    with torch.no_grad():
        output = network(batch)
        features = network.backbone(batch.image)
        phi = network.regressor(features, network.memory.singular.expand(3, -1))[-1]
        rot6d, betas, three = split_parameters(phi)
        joints = network.joints(rot6d_to_rotmat(rot6d), betas).spin24
    final = output.final
    assert len(output.estimates) == 1
    assert output.logits is None
    assert output.choice is None
    torch.testing.assert_close((final.rot6d, final.betas, final.camera), (rot6d, betas, three))
    torch.testing.assert_close(final.joints, joints)
    if camera == "pmnet":  # Eq. 3
        torch.testing.assert_close(final.keypoints2d, three[:, None, :1] * joints[..., :2] + three[:, None, 1:])
        torch.testing.assert_close(output.crop_camera, torch.cat([three[:, :1], three[:, 1:] / three[:, :1]], 1))
    else:
        assert torch.equal(output.crop_camera, three)


def test_the_seed_draws_the_weights(build: Callable[..., HMR]) -> None:
    first, again, other = build("pmnet"), build("pmnet"), build("pmnet", "seed=1")
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert not torch.equal(first.regressor.fc1.weight, other.regressor.fc1.weight)


def test_pmnet_is_hmr_when_it_starts_from_the_mean_body(build: Callable[..., HMR], rows: Callable[..., Batch]) -> None:
    """So the two share stage one: its weights are drawn before the classifier's."""
    hmr, pmnet, batch = build("hmr"), build("pmnet"), rows(2)
    pmnet.memory.choose("singular")
    assert torch.equal(hmr(batch).final.rot6d, pmnet(batch).final.rot6d)
    pmnet.memory.choose("soft")
    assert not torch.allclose(hmr(batch).final.rot6d, pmnet(batch).final.rot6d, atol=1e-2)


def test_gradients_reach_everything_that_learns(build: Callable[..., HMR], rows: Callable[..., Batch]) -> None:
    network = build("pmnet", "memory.hypotheses=2").train()
    output = network(rows(4))
    (output.final.keypoints2d.sum() + output.logits.square().sum() + output.maps[EVIDENCE].sum()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not [name for name in without if not name.startswith("backbone")]


def test_prototypes_of_another_body(stub: ModuleType, body: BodyModel, prototypes: PrototypeSet) -> None:
    other = replace(prototypes, metadata={"body": "f" * 16})
    with pytest.raises(BodyMismatchError, match=r"was made with body ffffffffffffffff, but the active body is"):
        build_network(stub.quick_config("pmnet"), other, body)


# -- several hypotheses -----------------------------------------------------------------------------------------------


class _Told(nn.Module):
    """Reads given keypoints."""

    def __init__(self, keypoints: torch.Tensor) -> None:
        super().__init__()
        self.keypoints = keypoints

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.keypoints.flatten(1)


def test_the_best_hypothesis_is_kept(build: Callable[..., HMR], rows: Callable[..., Batch]) -> None:
    network, batch = build("pmnet", "memory.hypotheses=4"), rows(4)
    assert isinstance(network, PMNet)
    network.memory.choose("label")
    each = [network(replace(batch, label=torch.full((4,), k))).final for k in range(4)]
    wanted = [2, 0, 3, 0]
    network.memory.choose("soft")
    network.evidence = _Told(torch.stack([each[k].keypoints2d[row] for row, k in enumerate(wanted)]).detach() + 1e-4)
    output = network(batch)
    for name in ("rot6d", "rotmat", "betas", "camera", "joints", "keypoints2d"):
        expected = torch.stack([getattr(each[k], name)[row] for row, k in enumerate(wanted)])
        torch.testing.assert_close(getattr(output.final, name), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.crop_camera, output.final.camera)
    assert output.logits.shape == (4, 4)
    assert output.maps[EVIDENCE].shape == (4, 24, 2)


def test_one_hypothesis_is_the_likeliest_prototype(build: Callable[..., HMR], rows: Callable[..., Batch]) -> None:
    network, batch = build("pmnet", "memory.hypotheses=2"), rows(3)
    features = network.backbone(batch.image)
    best = network._best(features, network.evidence(features).unflatten(1, (24, 2))).final
    network.hypotheses = 1
    alone = network._best(features, network.evidence(features).unflatten(1, (24, 2))).final
    network.memory.choose("argmax")
    torch.testing.assert_close(alone.rot6d, network(batch).final.rot6d, atol=1e-5, rtol=1e-5)
    assert best.rot6d.shape == alone.rot6d.shape


def test_answers_are_blended_by_the_scores(build: Callable[..., HMR], rows: Callable[..., Batch]) -> None:
    network, batch = build("pmnet", "memory.hypotheses=3", "memory.merge=blend"), rows(4)
    assert isinstance(network, PMNet)
    assert network.evidence is None
    network.memory.choose("label")
    each = [network(replace(batch, label=torch.full((4,), k))).final for k in range(4)]
    network.memory.choose("argmax")
    output = network(batch)
    scores = output.logits.detach().numpy().astype(np.float64)
    for row in range(4):
        likeliest = np.argsort(-scores[row])[:3]
        weights = np.exp(scores[row, likeliest]) / np.exp(scores[row, likeliest]).sum()
        for name in ("rot6d", "betas", "camera"):
            expected = sum(w * getattr(each[k], name)[row] for w, k in zip(weights.tolist(), likeliest, strict=True))
            torch.testing.assert_close(getattr(output.final, name)[row], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.final.rotmat, rot6d_to_rotmat(output.final.rot6d))


def test_stage_one_and_training_have_no_hypotheses(build: Callable[..., HMR], rows: Callable[..., Batch]) -> None:
    network, plain, batch = build("pmnet", "memory.hypotheses=3"), build("hmr"), rows(3)
    network.memory.choose("singular")
    torch.testing.assert_close(network(batch).final.rot6d, plain(batch).final.rot6d)
    network.memory.choose("soft")
    assert network.train()(batch).choice is not None
    assert network.eval()(batch).choice is None

"""Other systems' weights land in the right layers, 4D-Humans' rotations turned over, and what was left out is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from hmrtk.models.checkpoint import save_checkpoint
from hmrtk.models.hmr import HMR
from hmrtk.models.networks import build_network
from hmrtk.models.rotation import rot6d_to_rotmat
from hmrtk.models.transfer import interleaved, transfer
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import rot6d_columns_to_rotmat
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

HIDDEN, FEATURES = 16, 512
HEADS = {"decpose": 144, "decshape": 10, "deccam": 3}


@pytest.fixture
def build(stub: ModuleType, body: BodyModel, prototypes: PrototypeSet) -> Callable[..., HMR]:
    def built(network: str = "hmr", *changes: str) -> HMR:
        return build_network(stub.quick_config(network, "backbone.name=resnet18", *changes), prototypes, body)

    return built


def _resnet(generator: torch.Generator) -> dict[str, Tensor]:
    """torchvision's names of a ResNet-18, random values."""
    state = timm.create_model("resnet18").state_dict()
    return {n: torch.rand(v.shape, generator=generator) if v.is_floating_point() else v for n, v in state.items()}


def _head(generator: torch.Generator, features: int = FEATURES) -> dict[str, Tensor]:
    """SPIN's regressor."""
    sizes = {"fc1": (HIDDEN, features + 157), "fc2": (HIDDEN, HIDDEN), **{n: (k, HIDDEN) for n, k in HEADS.items()}}
    state = {f"{name}.weight": torch.rand(shape, generator=generator) for name, shape in sizes.items()}
    return {**state, **{f"{n}.bias": torch.rand(shape[0], generator=generator) for n, shape in sizes.items()}}


def _saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


def test_spin(build: Callable[..., HMR], tmp_path: Path, generator: torch.Generator) -> None:
    """Everything is at the top; init_pose, init_shape, init_cam are the mean parameters."""
    resnet, head = _resnet(generator), _head(generator)
    inits = {"init_pose": torch.ones(1, 144), "init_shape": torch.ones(1, 10), "init_cam": torch.ones(1, 3)}
    network = build()
    before = network.memory.singular.clone()
    file = _saved(tmp_path / "spin.pt", {"model": {**resnet, **head, **inits}, "optimizer": {}, "epoch": 3})
    found = transfer(network, file)
    state = network.state_dict()
    for name, value in head.items():
        assert torch.equal(state[f"regressor.{name}"], value), name
    for name, value in resnet.items():
        if not name.startswith("fc."):
            assert torch.equal(state[f"backbone.body.{name}"], value), name
    assert set(found.unused) == {"init_pose", "init_shape", "init_cam", "fc.weight", "fc.bias"}
    assert found.unused["init_pose"] == "no such layer here"
    assert found.missing == ()
    assert not found.converted
    assert torch.equal(network.memory.singular, before)
    assert found.lines() == [
        f"{len(found.loaded)} arrays from {file}",
        *(f"  not used: {name} (no such layer here)" for name in found.unused),
    ]


def test_pymaf(build: Callable[..., HMR], tmp_path: Path, generator: torch.Generator) -> None:
    """A backbone under feature_extractor, three regressors of other features, all under a DDP wrapper's prefix."""
    resnet = {f"module.feature_extractor.{n}": v for n, v in _resnet(generator).items() if not n.startswith("fc.")}
    heads = {f"module.regressor.{i}.{n}": v for i in range(3) for n, v in _head(generator, 2155).items()}
    network = build()
    found = transfer(network, _saved(tmp_path / "pymaf.pt", {"model": {**resnet, **heads}}))
    state = network.state_dict()
    for name in ("fc2.weight", "decpose.weight", "decshape.bias", "deccam.weight"):
        assert torch.equal(state[f"regressor.{name}"], heads[f"module.regressor.2.{name}"]), name
    assert torch.equal(state["backbone.body.layer4.1.conv2.weight"],
                       resnet["module.feature_extractor.layer4.1.conv2.weight"])  # fmt: skip
    assert found.missing == ("regressor.fc1.weight",)
    assert found.unused["module.regressor.2.fc1.weight"] == "shape (16, 2312), here (16, 669)"
    assert found.unused["module.regressor.0.decpose.weight"] == "no such layer here"
    assert found.lines()[1] == "1 keep their drawn values, the first is regressor.fc1.weight"
    assert found.summary()["missing"] == ["regressor.fc1.weight"]


def test_4d_humans_regresses_the_same_rotations(
    build: Callable[..., HMR], tmp_path: Path, generator: torch.Generator
) -> None:
    head = {f"smpl_head.{n}.{kind}": torch.randn((k, HIDDEN) if kind == "weight" else (k,), generator=generator)
            for n, k in HEADS.items() for kind in ("weight", "bias")}  # fmt: skip
    others = {"backbone.blocks.0.norm1.weight": torch.ones(1280), "smpl_head.transformer.to_token_embedding.bias":
              torch.ones(1024), "discriminator.betas_fc1.weight": torch.ones(10, 10)}  # fmt: skip
    network = build()
    found = transfer(network, _saved(tmp_path / "hmr2.ckpt", {"state_dict": {**head, **others}, "epoch": 1}))
    hidden = torch.randn(5, HIDDEN, generator=generator)
    theirs = hidden @ head["smpl_head.decpose.weight"].T + head["smpl_head.decpose.bias"]
    expected = rot6d_columns_to_rotmat(theirs.reshape(5, 24, 6).double().numpy())
    ours = rot6d_to_rotmat(network.regressor.decpose(hidden).reshape(5, 24, 6))
    np.testing.assert_allclose(ours.detach(), expected, atol=1e-5)
    assert torch.equal(network.regressor.decshape.weight, head["smpl_head.decshape.weight"])
    assert torch.equal(network.regressor.deccam.bias, head["smpl_head.deccam.bias"])
    assert found.converted
    assert set(found.unused) == set(others)


def test_interleaved_by_hand() -> None:
    rows = torch.arange(144)
    assert interleaved(rows)[:6].tolist() == [0, 3, 1, 4, 2, 5]  # x of both columns, y of both, z of both
    assert torch.equal(interleaved(torch.stack([rows, -rows], 1))[:, 1], -interleaved(rows))


def test_a_run_of_our_own(
    build: Callable[..., HMR], stub: ModuleType, body: BodyModel, prototypes: PrototypeSet, tmp_path: Path
) -> None:
    """Stage one of HMR as the start of PM-Net: all but the classifier; by folder or by the file in it."""
    trained = build("hmr", "seed=5", "backbone.name=test_resnet")
    save_checkpoint(tmp_path / "run", trained, stub.quick_config("hmr", "seed=5"), prototypes, body)
    for source in (tmp_path / "run", tmp_path / "run" / "model.safetensors"):
        network = build("pmnet", "backbone.name=test_resnet")
        found = transfer(network, source)
        assert found.missing == ("memory.classifier.weight", "memory.classifier.bias")
        assert found.unused == dict.fromkeys(("memory.rows", "memory.singular"), "prototypes are an input of the run")
        state = network.state_dict()
        for name, value in trained.state_dict().items():
            if not name.startswith("memory."):
                assert torch.equal(state[name], value), name


def test_another_number_of_prototypes(build: Callable[..., HMR], stub: ModuleType, body: BodyModel,
                                      tmp_path: Path) -> None:  # fmt: skip
    more, config = stub.prototypes_of(body, 6), stub.quick_config("pmnet")
    save_checkpoint(tmp_path, build_network(config, more, body), config, more, body)
    found = transfer(build("pmnet", "backbone.name=test_resnet"), tmp_path)
    assert found.unused["memory.classifier.bias"] == "shape (6,), here (4,)"


def test_nothing_fits(build: Callable[..., HMR], tmp_path: Path) -> None:
    file = _saved(tmp_path / "gpt.pt", {"wte.weight": torch.ones(3, 3), "conv1.weight": torch.ones(1)})
    with pytest.raises(InputError) as caught:
        transfer(build(), file)
    assert str(caught.value) == (
        f"{file}: has no array that fits this network (check backbone.name and the kind of file)"
    )
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        transfer(build(), tmp_path)

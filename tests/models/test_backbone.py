"""Backbones: pictures are normalised as ImageNet's weights expect them, and weights come from where one says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from hmrtk.models.backbone import IMAGENET_MEAN, IMAGENET_STD, PLAIN, Backbone, build_backbone
from hmrtk.toolkit.errors import InputError, UnknownNameError

NAME = "test_resnet"
"""timm's smallest ResNet: 96 features, 0.4 million weights."""


def test_constants_are_those_of_the_weights() -> None:
    assert IMAGENET_MEAN == IMAGENET_DEFAULT_MEAN
    assert IMAGENET_STD == IMAGENET_DEFAULT_STD


def test_normalised_by_hand() -> None:
    picture = torch.tensor([0, 128, 255], dtype=torch.uint8).reshape(1, 3, 1, 1).expand(2, 3, 4, 4)
    found = build_backbone(NAME).normalised(picture)
    expected = [-0.485 / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(found[1, :, 2, 3], expected, rtol=1e-6)


def test_pooled_and_maps() -> None:
    picture = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    backbone = build_backbone(NAME).eval()
    assert backbone(picture).shape == (2, backbone.width)
    shapes = [tuple(m.shape[2:]) for m in build_backbone(NAME, features_only=True).eval().maps(picture)]
    assert shapes == sorted(shapes, reverse=True)
    assert shapes[-1] == (2, 2)


@pytest.mark.parametrize("name", [NAME, PLAIN])
def test_grid_keeps_where_something_is(name: str) -> None:
    torch.manual_seed(0)
    pooled, grid = (build_backbone(name, grid_px=px).eval() for px in (None, 64))
    grid.load_state_dict(pooled.state_dict())
    picture = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    cells = grid(picture)
    assert cells.shape == (2, grid.width)
    assert grid.width == {NAME: 96 * 2 * 2, PLAIN: 128 * 4 * 4}[name]
    torch.testing.assert_close(cells.reshape(2, pooled.width, -1).mean(2), pooled(picture))
    assert grid.train().body.training


def test_plain_by_hand() -> None:
    backbone = build_backbone(PLAIN).eval()
    picture = torch.randint(0, 256, (1, 3, 48, 48), dtype=torch.uint8)
    found = backbone.normalised(picture)
    for layer in backbone.body.layers:
        found = torch.nn.functional.conv2d(found, layer[0].weight, stride=2, padding=1)
        found = torch.relu(found / np.sqrt(1 + 1e-5))  # batch normalisation before training: mean 0, variance 1
    torch.testing.assert_close(backbone(picture), found.mean((2, 3)))


def test_plain_is_as_it_is() -> None:
    with pytest.raises(InputError, match=r"backbone plain4: cannot be built .*: it has one stride, no published weig"):
        build_backbone(PLAIN, stride=8)
    with pytest.raises(InputError, match=r"backbone plain4: its ImageNet weights could not be had: it has one stride"):
        build_backbone(PLAIN, "imagenet")


def test_constants_are_not_saved() -> None:
    assert not [name for name in build_backbone(NAME).state_dict() if "mean" in name.split(".") or "std" in name]


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown backbone 'resnet5'; known: resnet50, ") as caught:
        build_backbone("resnet5")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("problem", ["cannot reach\nthe hub", ""])
def test_no_network(monkeypatch: pytest.MonkeyPatch, problem: str) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError(problem)

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(InputError) as caught:
        build_backbone(NAME, "imagenet")
    why = "cannot reach" if problem else "ConnectionError"
    assert str(caught.value) == (
        f"backbone {NAME}: its ImageNet weights could not be had: {why} (pass a file instead (--set "
        "backbone.pretrained=FILE), or train from scratch (backbone.pretrained=none))"
    )


def test_imagenet_asks_timm_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    create = timm.create_model

    def local(name: str, pretrained: bool = False, **shape: object) -> torch.nn.Module:
        asked.append({"name": name, "pretrained": pretrained, **shape})
        return create(name, **shape)

    monkeypatch.setattr(timm, "create_model", local)
    assert isinstance(build_backbone(NAME, "imagenet"), Backbone)
    assert asked == [{"name": NAME, "pretrained": True, "num_classes": 0}]


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_weights_of_a_file(tmp_path: Path, ending: str) -> None:
    """A whole classifier's; old torch files count no batches."""
    state = timm.create_model(NAME, num_classes=7).state_dict()
    state = {name: torch.rand_like(value.float()) for name, value in state.items() if "num_batches" not in name}
    file = tmp_path / f"weights{ending}"
    torch.save({"state_dict": state}, file) if ending == ".pth" else save_file(state, file)
    found = build_backbone(NAME, str(file)).body.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found.items() if "num_batches" not in name)
    assert len(found) > 50


def test_weights_of_another_network(tmp_path: Path) -> None:
    torch.save(timm.create_model("test_convnext").state_dict(), tmp_path / "other.pth")
    with pytest.raises(InputError) as caught:
        build_backbone(NAME, str(tmp_path / "other.pth"))
    assert str(caught.value).startswith(f"{tmp_path / 'other.pth'}: ")
    assert f"arrays of {NAME} are missing or have another shape, the first is conv1.0.weight" in str(caught.value)
    assert str(caught.value).endswith(f"(pass weights of timm's or torchvision's {NAME})")
    with pytest.raises(InputError, match=r"nowhere\.pth: no such file"):
        build_backbone(NAME, str(tmp_path / "nowhere.pth"))


def test_a_smaller_stride_leaves_larger_maps() -> None:
    image = torch.zeros((1, 3, 64, 64), dtype=torch.uint8)
    for stride in (8, 16, 32):
        backbone = build_backbone("regnetx_002", stride=stride).eval()
        assert backbone.body.forward_features(backbone.normalised(image)).shape[-1] == 64 // stride
        assert backbone(image).shape == (1, backbone.width)
    with pytest.raises(InputError, match=r"backbone hrnet_w18: cannot be built with .*output_stride"):
        build_backbone("hrnet_w18", stride=8)

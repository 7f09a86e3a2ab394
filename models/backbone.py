"""``Backbone``: a picture → features, by a network of timm, or by our own small one. The one door to timm.

In: (B, 3, S, S) uint8 RGB. Out: features (B, C), pooled or cell by cell, or the maps of several strides. Pictures
travel as bytes and are normalised here, on the device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from hmrtk.models.weights import read_state
from hmrtk.toolkit.errors import InputError, UnknownNameError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in [0, 1]: what timm's and torchvision's ImageNet weights, and with them SPIN and PyMAF, expect."""

NONE, IMAGENET = "none", "imagenet"
FULL_STRIDE = 32
"""Of all networks as they are published."""
PLAIN, PLAIN_WIDTHS = "plain4", (32, 64, 128, 128)
"""Name of ``PlainEncoder``; all other names are timm's."""


class PlainEncoder(nn.Module):
    """Four 3 × 3 convolutions of stride 2 with batch normalisation: 0.2 million weights, for 64 px on two cores.

    With few steps from scratch it learns poses sooner than deeper networks (docs/training.md, the preset ``small``).

    Args:
        pooled: whether to give the mean of the last feature map, (B, 128), or the map, (B, 128, S/16, S/16).
    """

    num_features = PLAIN_WIDTHS[-1]

    def __init__(self, pooled: bool) -> None:
        super().__init__()
        widths = (3, *PLAIN_WIDTHS)
        self.layers = nn.Sequential(*(self._layer(*pair) for pair in zip(widths, PLAIN_WIDTHS, strict=False)))
        self.pooled = pooled

    @staticmethod
    def _layer(inside: int, outside: int) -> nn.Module:
        convolution = nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) → features."""
        cells = self.layers(image)
        return cells.mean((2, 3)) if self.pooled else cells


class Backbone(nn.Module):
    """A timm network without its classifier.

    Args:
        body: built by ``timm.create_model`` with ``num_classes=0`` (or ``features_only=True`` for ``maps``).
        width: C of its features; None takes that of the pooled ones.
    """

    def __init__(self, body: nn.Module, width: int | None = None) -> None:
        super().__init__()
        self.body = body
        self._width = width
        for name, value in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(value).reshape(1, 3, 1, 1), persistent=False)

    @property
    def width(self) -> int:
        """C of the features."""
        return int(self.body.num_features) if self._width is None else self._width

    def normalised(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 → float32 as the ImageNet weights expect it, channels last: 1.5 times faster on CPUs."""
        return ((image.float() / 255 - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 → (B, C)."""
        return self.body(self.normalised(image)).flatten(1)

    def maps(self, image: Tensor) -> list[Tensor]:
        """(B, 3, S, S) uint8 → feature maps, finest first; of a backbone built with ``features_only``."""
        return list(self.body(self.normalised(image)))


def build_backbone(
    name: str,
    pretrained: str = NONE,
    features_only: bool = False,
    stride: int = FULL_STRIDE,
    grid_px: int | None = None,
) -> Backbone:
    """A backbone by timm's name for it.

    Args:
        name: e.g. ``resnet50`` (the papers'), ``hrnet_w48``, ``resnet18``; or ``plain4``, our own for small pictures.
        pretrained: ``none``; ``imagenet`` (downloaded by timm, kept in its cache); or a file with a state dict
            (``.safetensors``, or ``.pth`` that holds nothing but tensors).
        features_only: give feature maps instead of pooled features.
        stride: px of the picture per px of the last feature map; below 32 for pictures so small that 2 × 2 would be
            left. Not every network of timm can.
        grid_px: side of the pictures, if the features are to be all cells of the last feature map, one beside the
            other, in place of their mean. Where something is then stays known, with which small networks trained from
            scratch learn poses sooner.

    Raises:
        UnknownNameError: there is no such network. InputError: it has no such stride; weights cannot be had, or do not
            fit.
    """
    if name != PLAIN and not timm.is_model(name):
        raise UnknownNameError("backbone", name, [PLAIN, *timm.list_models()])
    shape: dict[str, Any] = {"features_only": True} if features_only else {"num_classes": 0}
    if grid_px is not None:
        shape["global_pool"] = ""
    if stride != FULL_STRIDE:
        shape["output_stride"] = stride
    if pretrained != IMAGENET:
        try:
            backbone = _made(name, shape, grid_px)
        except (TypeError, ValueError, AssertionError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"backbone {name}", f"cannot be built with {shape}: {_first_line(error)}") from None
        if pretrained != NONE:
            _load(backbone.body, name, Path(pretrained))
        return backbone
    try:
        return _made(name, {"pretrained": True, **shape}, grid_px)
    except Exception as error:  # the hub's client raises a dozen kinds, from missing network to unknown weights
        raise InputError(
            f"backbone {name}",
            f"its ImageNet weights could not be had: {_first_line(error)}",
            "pass a file instead (--set backbone.pretrained=FILE), or train from scratch (backbone.pretrained=none)",
        ) from None


def _made(name: str, shape: dict[str, Any], grid_px: int | None) -> Backbone:
    if name == PLAIN:
        if set(shape) - {"num_classes", "global_pool"}:
            raise ValueError("it has one stride, no published weights, and gives its last feature map alone")
        body: nn.Module = PlainEncoder(pooled=grid_px is None)
    else:
        body = timm.create_model(name, **shape)
    body.to(memory_format=torch.channels_last)
    if grid_px is None:
        return Backbone(body)
    with torch.no_grad():
        cells = body.eval()(torch.zeros(1, 3, grid_px, grid_px))
    return Backbone(body.train(), cells.numel())


def _load(body: nn.Module, name: str, path: Path) -> None:
    """Weights of a file; a classifier in it is left out, everything else must fit. Old files count no batches."""
    state, wanted = read_state(path), body.state_dict()
    wanted = {key: value for key, value in wanted.items() if key in state or not key.endswith("num_batches_tracked")}
    bad = [key for key in wanted if key not in state or state[key].shape != wanted[key].shape]
    if bad:
        found = f"{len(bad)} of {len(wanted)} arrays of {name} are missing or have another shape, the first is {bad[0]}"
        raise InputError(path, found, f"pass weights of timm's or torchvision's {name}")
    body.load_state_dict({key: state[key] for key in wanted}, strict=False)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__

"""``Backbone``: a picture → features, by a network of timm. The one door to timm.

In: (B, 3, S, S) uint8 RGB. Out: pooled features (B, C), or the maps of several strides. Pictures travel as bytes and
are normalised here, on the device.
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


class Backbone(nn.Module):
    """A timm network without its classifier.

    Args:
        body: built by ``timm.create_model`` with ``num_classes=0`` (or ``features_only=True`` for ``maps``).
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        for name, value in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(value).reshape(1, 3, 1, 1), persistent=False)

    @property
    def width(self) -> int:
        """C of the pooled features."""
        return int(self.body.num_features)

    def normalised(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 → float32 as the ImageNet weights expect it."""
        return (image.float() / 255 - self.mean) / self.std

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 → (B, C)."""
        return self.body(self.normalised(image))

    def maps(self, image: Tensor) -> list[Tensor]:
        """(B, 3, S, S) uint8 → feature maps, finest first; of a backbone built with ``features_only``."""
        return list(self.body(self.normalised(image)))


def build_backbone(
    name: str, pretrained: str = NONE, features_only: bool = False, stride: int = FULL_STRIDE
) -> Backbone:
    """A backbone by timm's name for it.

    Args:
        name: e.g. ``resnet50`` (the papers'), ``hrnet_w48``, ``resnet18``.
        pretrained: ``none``; ``imagenet`` (downloaded by timm, kept in its cache); or a file with a state dict
            (``.safetensors``, or ``.pth`` that holds nothing but tensors).
        features_only: give feature maps instead of pooled features.
        stride: px of the picture per px of the last feature map; below 32 for pictures so small that 2 × 2 would be
            left. Not every network of timm can.

    Raises:
        UnknownNameError: timm has no such network. InputError: it has no such stride; weights cannot be had, or do not
            fit.
    """
    if not timm.is_model(name):
        raise UnknownNameError("backbone", name, timm.list_models())
    shape: dict[str, Any] = {"features_only": True} if features_only else {"num_classes": 0}
    if stride != FULL_STRIDE:
        shape["output_stride"] = stride
    if pretrained != IMAGENET:
        try:
            backbone = Backbone(timm.create_model(name, **shape))
        except (TypeError, ValueError, AssertionError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"backbone {name}", f"cannot be built with {shape}: {_first_line(error)}") from None
        if pretrained != NONE:
            _load(backbone.body, name, Path(pretrained))
        return backbone
    try:
        return Backbone(timm.create_model(name, pretrained=True, **shape))
    except Exception as error:  # the hub's client raises a dozen kinds, from missing network to unknown weights
        raise InputError(
            f"backbone {name}",
            f"its ImageNet weights could not be had: {_first_line(error)}",
            "pass a file instead (--set backbone.pretrained=FILE), or train from scratch (backbone.pretrained=none)",
        ) from None


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

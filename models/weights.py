"""State dicts from files, without running anything that the files say.

In: ``.safetensors``, or a torch file (``.pt``, ``.pth``, ``.ckpt``) of tensors and plain values. Out: name → tensor.
Backbones, checkpoints and the import of other systems' weights read through here.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hmrtk.toolkit.errors import InputError

NESTS = ("state_dict", "model", "model_state_dict", "network")
"""Keys under which training scripts put the weights: Lightning and 4D-Humans, SPIN and PyMAF, others."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, by name; a dict that is nested under one of ``NESTS`` is taken out.

    Raises:
        InputError: missing, damaged, no tensors in it, or a file that wants to run code when it is read.
    """
    if not path.is_file():
        raise InputError(path, "no such file")
    if path.suffix == ".safetensors":
        try:
            return load_file(str(path))
        except (SafetensorError, OSError, ValueError):
            raise InputError(path, "is not a readable safetensors file", "truncated, or another format") from None
    value: Any = read_torch(path)
    for nest in NESTS:
        if isinstance(value, Mapping) and isinstance(value.get(nest), Mapping):
            value = value[nest]
    if not isinstance(value, Mapping):
        raise InputError(path, f"holds a {type(value).__name__}, expected a state dict")
    state = {str(name): item for name, item in value.items() if isinstance(item, Tensor)}
    if not state:
        raise InputError(path, "holds no tensors, expected a state dict")
    return state


def read_torch(path: Path) -> Any:
    """What ``torch.save`` wrote, read with ``weights_only``: tensors and plain values, nothing else.

    Raises:
        InputError: damaged, or holding other objects.
    """
    try:
        with warnings.catch_warnings():  # about pickles of other protocols, which are refused below anyway
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises anything from IndexError to RuntimeError on damaged files
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
            remedy = "save its state dict alone: torch.save(model.state_dict(), FILE) where the file is trusted"
            found = "holds objects beside tensors and plain values, which are not loaded"
            raise InputError(path, found, remedy) from None
        raise InputError(path, "is not a readable torch file", "truncated, or another format") from None

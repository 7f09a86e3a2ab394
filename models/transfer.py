"""Weights of an earlier run or of another system put into a network, as far as layers match.

In: a network, and a checkpoint folder or a state dict of SPIN, HMR's PyTorch ports, PyMAF or 4D-Humans. Out: the
network with those weights, and a ``Transfer`` that says what was taken, what was left out, and why. Heads that regress
6D rotations in 4D-Humans' layout are reordered to ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hmrtk.models.checkpoint import WEIGHTS
from hmrtk.models.weights import read_state
from hmrtk.toolkit.errors import InputError

_PREFIXES = ("module.", "model.", "network.")
_BACKBONES = ("backbone.body.", "backbone.", "feature_extractor.", "encoder.")
"""Before the names of a ResNet: ours, 4D-Humans', PyMAF's, others'. SPIN has none."""
_RESNET = re.compile(r"^(conv1|bn1|layer[1-4])\.")
_REGRESSORS = ("regressor.2.", "regressor.", "smpl_head.", "head.")
"""Before the names of the regressor: PyMAF's last one, ours, 4D-Humans', others'. SPIN has none."""
_HEAD = re.compile(r"^(fc1|fc2|decpose|decshape|deccam)\.(weight|bias)$")
_RENAMED = {"decbetas": "decshape", "deccam": "deccam", "decpose": "decpose"}
_PROTOTYPES = ("memory.rows", "memory.singular")
_COLUMNS_TO_INTERLEAVED = (0, 3, 1, 4, 2, 5)
"""Of one joint: row i of ours is row ``[i]`` of 4D-Humans' (first column, then second)."""


@dataclass(frozen=True)
class Transfer:
    """What was taken over.

    Attributes:
        source: where from.
        loaded: names of the network's arrays that were filled.
        missing: names of those that kept their drawn values.
        unused: name in the source → why it was not used.
        converted: whether rotations were reordered from 4D-Humans' layout.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: dict[str, str]
    converted: bool = False

    def summary(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "source": self.source, "loaded": len(self.loaded), "missing": list(self.missing), "unused": self.unused,
            "converted": self.converted,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The same for a person."""
        first = [f"{len(self.loaded)} arrays from {self.source}"]
        if self.missing:
            first.append(f"{len(self.missing)} keep their drawn values, the first is {self.missing[0]}")
        return first + [f"  not used: {name} ({why})" for name, why in list(self.unused.items())[:10]]


def transfer(network: nn.Module, source: Path) -> Transfer:
    """Fill a network.

    Args:
        network: changed in place. Its memory's prototypes stay.
        source: a checkpoint folder of hmrtk, or a state dict file.

    Raises:
        InputError: unreadable, or nothing in it fits.
    """
    ours = source.is_dir()
    given = read_state(source / WEIGHTS if ours else source)
    wanted = {name: value for name, value in network.state_dict().items() if name not in _PROTOTYPES}
    filled: dict[str, Tensor] = {}
    unused: dict[str, str] = {}
    columns = not ours and any(name.startswith("smpl_head.") for name in map(_bare, given))
    for name, value in given.items():
        target = name if ours or name in wanted else _ours(name)
        if name in _PROTOTYPES:
            unused[name] = "prototypes are an input of the run"
        elif target is None or target not in wanted:
            unused[name] = "no such layer here"
        elif value.shape != wanted[target].shape:
            unused[name] = f"shape {tuple(value.shape)}, here {tuple(wanted[target].shape)}"
        else:
            filled[target] = interleaved(value) if columns and ".decpose." in target else value
    if not filled:
        raise InputError(source, "has no array that fits this network", "check backbone.name and the kind of file")
    network.load_state_dict(filled, strict=False)
    missing = tuple(name for name in wanted if name not in filled)
    return Transfer(str(source), tuple(filled), missing, unused, columns)


def interleaved(rows: Tensor) -> Tensor:
    """A pose head's weight (144, H) or bias (144,), each joint's six rows from two columns to interleaved ones."""
    joints = rows.unflatten(0, (-1, 6))
    return joints[:, list(_COLUMNS_TO_INTERLEAVED)].flatten(0, 1)


def _bare(name: str) -> str:
    """Without what wrappers put before a name."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _ours(name: str) -> str | None:
    """Our name of another system's layer; None where we have no such layer."""
    name = _bare(name)
    for prefix in (*_BACKBONES, ""):
        if name.startswith(prefix) and _RESNET.match(name.removeprefix(prefix)):
            return "backbone.body." + name.removeprefix(prefix)
    for prefix in (*_REGRESSORS, ""):
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            layer, _, kind = rest.partition(".")
            rest = f"{_RENAMED.get(layer, layer)}.{kind}"
            if _HEAD.match(rest):
                return "regressor." + rest
    return None

"""``Checkpoint``: a trained network as a folder: ``model.safetensors``, ``config.yaml``, ``prototypes.safetensors``.

``checkpoint.json`` is written last and names the body, the inputs and the weights' sha256, so a folder without it is
not finished. Nothing in a checkpoint is a pickle. Training writes it; ``predict`` and experiments read it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file

from hmrtk.models.config import TrainConfig, validated
from hmrtk.models.hmr import HMR
from hmrtk.models.networks import build_network
from hmrtk.models.weights import read_state
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import atomic_path, file_fingerprint, package_version, write_bytes

WEIGHTS, CONFIG, PROTOTYPES, ABOUT = "model.safetensors", "config.yaml", "prototypes.safetensors", "checkpoint.json"
KIND = "hmrtk.checkpoint"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """What was trained.

    Attributes:
        network: with its weights, in evaluation mode, choosing prototypes as the config's ``test_selection`` says.
        config: it was trained with.
        prototypes: of its memory.
        about: stage, step, body, inputs, package; plain JSON values.
        folder: where it lies.
    """

    network: HMR
    config: TrainConfig
    prototypes: PrototypeSet
    about: dict[str, Any]
    folder: Path

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the weights' sha256; reports name it."""
        return str(self.about["weights"])[:16]


def save_checkpoint(
    folder: Path, network: HMR, config: TrainConfig, prototypes: PrototypeSet, body: BodyModel, **about: Any
) -> None:
    """Write a folder, replacing what was there.

    Args:
        about: further plain values for ``checkpoint.json``, such as stage and step.

    Raises:
        OutputError: it cannot be written.
    """
    (folder / ABOUT).unlink(missing_ok=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(state, str(temporary))
    write_bytes(folder / CONFIG, config.to_yaml().encode())
    prototypes.save(folder / PROTOTYPES)
    value = {
        "kind": KIND, "schema_version": SCHEMA_VERSION, "package": package_version(), "body": body.fingerprint,
        "prototypes": prototypes.fingerprint, "weights": file_fingerprint(folder / WEIGHTS), **about,
    }  # fmt: skip
    write_bytes(folder / ABOUT, json.dumps(value, indent=2, sort_keys=True).encode())


def load_checkpoint(folder: Path, body: BodyModel) -> Checkpoint:
    """Read a folder.

    Raises:
        InputError: no checkpoint, an unfinished or newer one, damaged weights. BodyMismatchError: of another body.
    """
    about = _about(folder)
    if about["body"] != body.fingerprint:
        raise BodyMismatchError(folder, body.fingerprint, about["body"])
    if file_fingerprint(folder / WEIGHTS) != about["weights"]:
        raise InputError(folder / WEIGHTS, "is damaged: its sha256 is not the one in checkpoint.json")
    config = validated(_settings(folder / CONFIG), str(folder / CONFIG))
    prototypes = PrototypeSet.load(folder / PROTOTYPES)
    network = build_network(config, prototypes, body, weights=False)
    try:
        network.load_state_dict(read_state(folder / WEIGHTS))
    except RuntimeError as error:
        raise InputError(folder / WEIGHTS, "does not fit config.yaml", str(error).splitlines()[-1].strip()) from None
    network.memory.choose(test_selection(config, bool(about.get("memory"))))
    return Checkpoint(network.eval(), config, prototypes, about, folder)


def test_selection(config: TrainConfig, memory: bool) -> Any:
    """How prototypes are chosen after a stage that used the memory, or did not."""
    if not memory:
        return "singular"
    return config.memory.test_selection or config.memory.selection


def _about(folder: Path) -> dict[str, Any]:
    if not (folder / ABOUT).is_file():
        unfinished = (folder / WEIGHTS).is_file()
        problem = "is an unfinished checkpoint" if unfinished else f"is no checkpoint: it has no {ABOUT}"
        raise InputError(folder, problem, "pass the folder that hmrtk train wrote, after it has finished")
    try:
        value = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(folder / ABOUT, "is not readable JSON") from None
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise InputError(folder / ABOUT, f"expected {KIND}, got a file that hmrtk did not write")
    version = value.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise InputError(folder / ABOUT, f"has schema version {version}, this hmrtk reads up to {SCHEMA_VERSION}")
    missing = [name for name in ("body", "weights") if not isinstance(value.get(name), str)]
    if missing:
        raise InputError(folder / ABOUT, f"has no {missing[0]}")
    return value


def _settings(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise InputError(path, "is missing or not YAML") from None
    if not isinstance(value, dict):
        raise InputError(path, "holds no settings")
    return value

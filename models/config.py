"""``TrainConfig``: everything that decides a training run, validated, as YAML; presets ``paper`` and ``small``.

In: a preset's name or a YAML file, and ``key=value`` changes. Out: a frozen config, which is written beside the
weights. Nothing else in the model layer holds numbers of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hmrtk.models.backbone import IMAGENET
from hmrtk.models.losses import LossConfig
from hmrtk.models.memory import NEED_CLASSIFIER, Selection
from hmrtk.toolkit.errors import InputError, UnknownNameError

NETWORKS = ("hmr", "pmnet")
PRESETS = ("paper", "small")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneConfig(_Part):
    """The encoder; see ``build_backbone``.

    Attributes:
        name: timm's, or ``plain4``.
        pretrained: where its weights come from: imagenet, none or a file.
        stride: px of the picture per px of the last feature map.
        features: ``mean`` of the last feature map (the papers), or its whole ``grid``, for small pictures.
    """

    name: str = "resnet50"
    pretrained: str = IMAGENET
    stride: Literal[8, 16, 32] = 32
    features: Literal["mean", "grid"] = "mean"


class RegressorConfig(_Part):
    """SPIN's regressor; see ``IterativeRegressor``."""

    hidden: int = Field(1024, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    iterations: int = Field(3, ge=1)


class MemoryConfig(_Part):
    """The memory; see ``Memory`` and ``PMNet``. Which prototypes it holds is an input of the run, not a setting.

    Attributes:
        selection: while training with the memory.
        test_selection: afterwards; None means the same.
        classifier: whether there is one (with selection singular: only its loss is left of the memory).
        hypotheses: prototypes regressed from when predicting.
        merge: what becomes of several answers: the ``best`` by a keypoint head, which is then trained beside, or a
            ``blend`` by the classifier's scores.
    """

    selection: Selection = "soft"
    test_selection: Selection | None = None
    temperature: float = Field(1.0, gt=0)
    classifier: bool = True
    hypotheses: int = Field(1, ge=1)
    merge: Literal["best", "blend"] = "best"


class OptimiserConfig(_Part):
    """Adam.

    Attributes:
        learning_rate: PM-Net 1e-4; SPIN 5e-5.
        weight_decay: none in any of the papers.
        clip: largest norm of the gradient; None does not clip.
        warmup: steps over which the rate rises from 0.
        decay: ``none`` (the papers) or ``cosine`` to zero over the stage.
    """

    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    clip: float | None = Field(None, gt=0)
    warmup: int = Field(0, ge=0)
    decay: Literal["none", "cosine"] = "none"


class DataConfig(_Part):
    """What is read.

    Attributes:
        batch: rows of an optimiser step, over all devices and accumulated parts.
        size: px of the crop.
        augmentation: preset of ``toolkit.shards.augmentation``.
        mix: published mix of data sets (spin, pymaf); None reads the rows of one shard folder.
        buffer: rows that shuffling draws from.
    """

    batch: int = Field(256, ge=1)
    size: int = Field(224, ge=16)
    augmentation: str = "spin"
    mix: str | None = None
    buffer: int = Field(10_000, ge=1)


class StageConfig(_Part):
    """One stage of training; each begins with a new optimiser.

    Attributes:
        name: of its folder.
        steps: optimiser steps; or give ``epochs``.
        epochs: passes over the rows.
        memory: whether the regressor starts from the memory (PM-Net's second stage) or from the mean body.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    steps: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    memory: bool = False

    @model_validator(mode="after")
    def _one_length(self) -> StageConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give steps or epochs, and not both")
        return self

    def length(self, steps_per_epoch: int) -> int:
        """Optimiser steps."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * steps_per_epoch))


class TrainConfig(_Part):
    """A training run.

    Attributes:
        network: hmr or pmnet.
        camera: what the three camera numbers are: crop (SPIN, DaNet, PyMAF) or pmnet (Eq. 3).
        evidence: weight of the keypoint head's loss, where there is one.
        seed: of the weights, the order of rows, augmentation and dropout.
        precision: Lightning's name.
        accumulate: parts a step's batch is worked on in, one after the other.
        log_every, checkpoint_every, validate_every: steps.
        validate_rows: at most so many rows of the validation split.
    """

    network: Literal["hmr", "pmnet"]
    backbone: BackboneConfig = BackboneConfig()
    regressor: RegressorConfig = RegressorConfig()
    memory: MemoryConfig = MemoryConfig()
    camera: Literal["crop", "pmnet"] = "crop"
    loss: LossConfig = LossConfig()
    evidence: float = Field(5.0, ge=0)
    optimiser: OptimiserConfig = OptimiserConfig()
    data: DataConfig = DataConfig()
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    seed: int = Field(0, ge=0)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    accumulate: int = Field(1, ge=1)
    log_every: int = Field(10, ge=1)
    checkpoint_every: int = Field(500, ge=1)
    validate_every: int = Field(500, ge=1)
    validate_rows: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _stages_fit(self) -> TrainConfig:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"two stages have the same name: {', '.join(names)}")
        if self.network == "hmr" and any(stage.memory for stage in self.stages):
            raise ValueError("hmr has no memory: set stages' memory to false, or train pmnet")
        chosen = [self.memory.selection, self.memory.test_selection, "soft" if self.memory.hypotheses > 1 else None]
        used = any(stage.memory for stage in self.stages) and any(name in NEED_CLASSIFIER for name in chosen)
        if used and not self.memory.classifier:
            raise ValueError("memory.classifier is false: set memory.selection to singular or label, hypotheses to 1")
        return self

    def to_yaml(self) -> str:
        """As the presets are written; ``load_config`` reads it back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_config(
    network: str, preset: str = "paper", file: Path | None = None, changes: Sequence[str] = ()
) -> TrainConfig:
    """A config from a preset or a file, with changes.

    Args:
        network: one of ``NETWORKS``.
        preset: paper (the paper's sizes) or small (a CPU's minutes).
        file: YAML in place of the preset.
        changes: ``key=value``, the key dotted (``optimiser.learning_rate=1e-3``, ``stages.0.steps=200``), the value
            YAML.

    Raises:
        UnknownNameError: an unknown network, preset or key. InputError: no such file, not YAML, a value out of range.
    """
    if network not in NETWORKS:
        raise UnknownNameError("network", network, NETWORKS)
    if preset not in PRESETS:
        raise UnknownNameError("preset", preset, PRESETS)
    place = f"preset {preset} of {network}" if file is None else str(file)
    if file is None:
        text = (resources.files("hmrtk.models") / "configs" / f"{network}.{preset}.yaml").read_text(encoding="utf-8")
    else:
        text = _text(file)
    values = _yaml(text, place)
    if not isinstance(values, dict):
        raise InputError(place, f"holds a {type(values).__name__}, expected the settings of a training run")
    values = {"network": network, **values}
    if values["network"] != network:
        raise InputError(place, f"is of the network {values['network']}, not {network}")
    return validated(values, place, changes)


def validated(values: dict[str, Any], place: str, changes: Sequence[str] = ()) -> TrainConfig:
    """A config from plain values; errors as ``load_config``."""
    for change in changes:
        _apply(values, change)
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise _explained(error, place) from None


def _apply(values: dict[str, Any], change: str) -> None:
    key, found, value = change.partition("=")
    if not found or not key:
        raise InputError(f"setting {change!r}", "expected key=value", "e.g. optimiser.learning_rate=1e-3")
    inside: Any = values
    *way, last = key.split(".")
    for step in way:
        inside = inside[int(step)] if isinstance(inside, list) and step.isdigit() and int(step) < len(inside) else (
            inside.setdefault(step, {}) if isinstance(inside, dict) else None
        )  # fmt: skip
        if not isinstance(inside, dict | list):
            raise InputError(f"setting {key}", f"has nothing below {step}")
    if isinstance(inside, list):
        if not last.isdigit() or int(last) >= len(inside):
            raise InputError(f"setting {key}", f"expected a number below {len(inside)}, got {last}")
        inside[int(last)] = _number(_yaml(value, f"setting {key}"))
    else:
        inside[last] = _number(_yaml(value, f"setting {key}"))


def _number(value: Any) -> Any:
    """YAML takes ``1e-4`` for text (it wants ``1.0e-4``); people do not."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(file, f"cannot be read: {error}") from None


def _yaml(text: str, place: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(place, f"is not YAML: {str(error).splitlines()[0]}") from None


def _explained(error: ValidationError, place: str) -> InputError | UnknownNameError:
    """The first thing wrong, in hmrtk's words."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return UnknownNameError("setting", key, _settings(TrainConfig))
    if first["type"] == "missing":
        return InputError(place, f"has no setting {key}")
    problem = f"{key or 'settings'}: {first['msg'].removeprefix('Value error, ')}"
    return InputError(place, (f"{problem}, got {first['input']!r}" if key else problem)[:300])


def _settings(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all settings."""
    names = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += _settings(kind, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names

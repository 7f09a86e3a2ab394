"""Training, from shards to a checkpoint: the main path of the model layer, read it in one sitting.

In: a ``TrainConfig`` and what it is trained from (``TrainingInputs``). Out: a run folder::

    run.json                 settings and fingerprints of the inputs; another run is refused here
    <stage>/train.csv, validation.csv, tensorboard/   the curves
    <stage>/state.pt         weights, optimiser and step, every ``checkpoint_every`` steps
    <stage>/                 the stage's checkpoint, when it is done; <stage>/best: the one with the least PVE so far
    .                        the last stage's checkpoint

A killed run goes on where its last state was saved, to the same numbers (bit by bit on a CPU): the rows of a step, its
augmentation and its dropout follow from the seed, the stage and the step alone. ``hmrtk train`` is a thin skin over
``train``. Lightning Fabric moves tensors, runs mixed precision and talks between processes.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from hmrtk.models.batch import Batch
from hmrtk.models.checkpoint import ABOUT, load_checkpoint, save_checkpoint, test_selection
from hmrtk.models.config import OptimiserConfig, StageConfig, TrainConfig
from hmrtk.models.data import Rows
from hmrtk.models.hmr import HMR
from hmrtk.models.losses import keypoints2d_loss, training_loss
from hmrtk.models.networks import build_network, random_state
from hmrtk.models.output import Output
from hmrtk.models.pmnet import EVIDENCE
from hmrtk.models.training_log import TrainingLog, read_log
from hmrtk.models.transfer import transfer
from hmrtk.models.validation import Answers, answers, errors, mean_body_errors
from hmrtk.models.weights import read_torch
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import atomic_path, write_bytes
from hmrtk.toolkit.records.folder_lock import held

RUN, STATE = "run.json", "state.pt"

OnValidation = Callable[[str, int, Answers, dict[str, float]], None]
"""Called after each validation with the stage, the step, the answers and their errors: pictures, other logs."""


@dataclass(frozen=True)
class TrainingInputs:
    """What a network is trained from.

    Attributes:
        rows: of the training split.
        validation: rows of another split; None trains without.
        prototypes: of the memory; hmr uses the singular one.
        body: the active body.
        init: a checkpoint folder, or another system's weights, to begin with; None begins with drawn weights.
        fingerprints: name → fingerprint of the shards.
    """

    rows: Rows
    validation: Rows | None
    prototypes: PrototypeSet
    body: BodyModel
    init: Path | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Stage:
    """One stage of a run while it is trained."""

    config: StageConfig
    number: int
    folder: Path
    steps: int
    best: float = math.inf
    log: TrainingLog | None = None
    validation: TrainingLog | None = None


class _Run:
    """A run: its inputs, its folder, and whom it tells."""

    def __init__(
        self, config: TrainConfig, inputs: TrainingInputs, out: Path, fabric: Fabric, progress: Progress,
        on_validation: OnValidation | None,
    ) -> None:  # fmt: skip
        self.config, self.inputs, self.out, self.fabric = config, inputs, out, fabric
        self.progress = progress if fabric.is_global_zero else silent
        self.on_validation = on_validation
        self.report: dict[str, Any] = {}

    def train(self) -> dict[str, Any]:
        network = build_network(self.config, self.inputs.prototypes, self.inputs.body)
        if self.inputs.init is not None:
            self.report["init"] = transfer(network, self.inputs.init).summary()
        for number, config in enumerate(self.config.stages):
            stage = _Stage(config, number, self.out / config.name, config.length(self._steps_per_epoch))
            network.memory.choose(self.config.memory.selection if config.memory else "singular")
            if (stage.folder / ABOUT).is_file():
                network.load_state_dict(load_checkpoint(stage.folder, self.inputs.body).network.state_dict())
                self.report |= _last_validation(stage)
            else:
                self._train_stage(network, stage)
        if self.fabric.is_global_zero:
            self._save(self.out, network, self.config.stages[-1], stage.steps)
        self.fabric.barrier()
        return self.report

    @functools.cached_property
    def _frequency(self) -> Tensor | None:
        """(K,) share of each label, where the loss asks for it."""
        found = self.inputs.rows.label_frequency if self.config.loss.prototype_balance else None
        return None if found is None else found.to(self.fabric.device)

    @property
    def _steps_per_epoch(self) -> int:
        return max(1, self.inputs.rows.count // self.config.data.batch)

    def _train_stage(self, network: HMR, stage: _Stage) -> None:
        """All steps of a stage, from its last saved state on."""
        _learn_what_is_used(network, stage.config.memory)
        network.to(self.fabric.device)  # before a saved optimiser is taken up, which goes where the parameters are
        optimiser = _adam(network, self.config)
        first = self._resume(network, optimiser, stage)
        wrapped, optimiser = self.fabric.setup(network, optimiser)
        with contextlib.ExitStack() as ended:
            if self.fabric.is_global_zero:
                stage.log = TrainingLog(stage.folder / "train.csv", "train", first)
                stage.validation = TrainingLog(stage.folder / "validation.csv", "validation", first + 1)
                ended.callback(stage.log.close)
                ended.callback(stage.validation.close)
            for step, parts in enumerate(self._batches(stage, first), first):
                values = self._step(wrapped, optimiser, parts, stage, step)
                self._after_step(network, optimiser, stage, step + 1, values)
        if self.fabric.is_global_zero:
            self._save(stage.folder, network, stage.config, stage.steps)
            (stage.folder / STATE).unlink(missing_ok=True)
        self.fabric.barrier()

    def _batches(self, stage: _Stage, first: int) -> Iterator[list[Batch]]:
        """The parts of each step's batch."""
        world, parts = self.fabric.world_size, self.config.accumulate
        size = self.config.data.batch // (world * parts)
        batches = self.inputs.rows.batches(
            size, first * parts, stream=(self.fabric.global_rank, world), seed=self.config.seed + 1000 * stage.number
        )
        with contextlib.closing(batches):  # type: ignore[type-var]
            for _ in range(first, stage.steps):
                yield [next(batches).to(self.fabric.device) for _ in range(parts)]

    def _step(self, network: Any, optimiser: Any, parts: list[Batch], stage: _Stage, step: int) -> dict[str, float]:
        """One step of the optimiser: its losses, learning rate and gradient norm."""
        rate = learning_rate(self.config.optimiser, step, stage.steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        network.train()
        optimiser.zero_grad()
        sums: dict[str, Tensor] = {}
        for number, batch in enumerate(parts):
            words = (self.config.seed, stage.number, step, number, self.fabric.global_rank)
            waits = number + 1 < len(parts)
            with random_state(*words, device=self.fabric.device), self.fabric.no_backward_sync(network, enabled=waits):
                terms = self._losses(network(batch), batch, stage)
                self.fabric.backward(terms["total"] / len(parts))
            for name, term in terms.items():
                sums[name] = sums.get(name, torch.zeros_like(term)) + term.detach() / len(parts)
        clip = self.config.optimiser.clip or math.inf
        norm = self.fabric.clip_gradients(network, optimiser, max_norm=clip, error_if_nonfinite=False)
        optimiser.step()
        if step % self.config.log_every and step + 1 < stage.steps:
            return {}
        values = {name: float(self.fabric.all_reduce(term)) for name, term in sums.items()}
        if not math.isfinite(values["total"]):
            raise _diverged(stage, step, f"the loss is {values['total']}")
        return {**values, "learning_rate": rate, "gradient_norm": float(norm)}

    def _losses(self, output: Output, batch: Batch, stage: _Stage) -> dict[str, Tensor]:
        if not stage.config.memory:  # Eq. 2 and 3 alone (§III-D): nothing reaches the encoder through the classifier
            output = replace(output, logits=None)
        terms = training_loss(output, batch, self.config.loss, self._frequency)
        if EVIDENCE in output.maps:
            terms["evidence"] = keypoints2d_loss(output.maps[EVIDENCE], batch.keypoints2d, self.config.loss.reduction)
            terms["total"] = terms["total"] + self.config.evidence * terms["evidence"]
        return terms

    def _after_step(self, network: HMR, optimiser: Any, stage: _Stage, done: int, values: dict[str, float]) -> None:
        """Log, validate and save after ``done`` steps."""
        note = f"loss {values['total']:.3f}" if values else ""
        self.progress(f"train {stage.config.name}", done, stage.steps, note)
        if not self.fabric.is_global_zero:
            return
        if values and stage.log is not None:
            stage.log.write(done - 1, values)
        if done % self.config.validate_every == 0 or done == stage.steps:
            self._validate(network, stage, done)
        if done % self.config.checkpoint_every == 0 and done < stage.steps:
            self._save_state(network, optimiser, stage, done)

    def _validate(self, network: HMR, stage: _Stage, done: int) -> None:
        if self.inputs.validation is None or stage.validation is None:
            return
        found = self._answers(network, stage)
        values = errors(found, self.inputs.body)
        stage.validation.write(done, values)
        self.report.setdefault("mean_body", mean_body_errors(found, self.inputs.prototypes.singular, self.inputs.body))
        self.report[stage.config.name] = values
        if values["pve"] < stage.best:
            stage.best = values["pve"]
            self._save(stage.folder / "best", network, stage.config, done)
        if self.on_validation is not None:
            self.on_validation(stage.config.name, done, found, values)

    def _answers(self, network: HMR, stage: _Stage) -> Answers:
        assert self.inputs.validation is not None
        network.eval()
        training = network.memory.selection
        network.memory.choose(test_selection(self.config, stage.config.memory))
        try:
            batches = self.inputs.validation.once(self.config.data.batch, self.config.validate_rows)
            return answers(network, batches, self.fabric.device)
        finally:
            network.memory.choose(training)

    def _save(self, folder: Path, network: HMR, stage: StageConfig, step: int) -> None:
        about = {"stage": stage.name, "memory": stage.memory, "step": step, "inputs": dict(self.inputs.fingerprints)}
        save_checkpoint(folder, network, self.config, self.inputs.prototypes, self.inputs.body, **about)

    def _save_state(self, network: HMR, optimiser: Any, stage: _Stage, done: int) -> None:
        bad = [name for name, value in network.state_dict().items() if not torch.isfinite(value).all()]
        if bad:  # a run could never go on from there
            raise _diverged(stage, done - 1, f"{bad[0]} is not finite")
        state = {"step": done, "best": stage.best, "network": network.state_dict(), "optimiser": optimiser.state_dict()}
        with atomic_path(stage.folder / STATE) as temporary:
            torch.save(state, temporary)

    def _resume(self, network: HMR, optimiser: torch.optim.Optimizer, stage: _Stage) -> int:
        """Take a saved state up; the step to go on with."""
        if not (stage.folder / STATE).is_file():
            return 0
        state = read_torch(stage.folder / STATE)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        stage.best = state["best"]
        return int(state["step"])


def train(
    config: TrainConfig,
    inputs: TrainingInputs,
    out: Path,
    *,
    accelerator: str = "auto",
    devices: int = 1,
    overwrite: bool = False,
    progress: Progress = silent,
    on_validation: OnValidation | None = None,
) -> dict[str, Any]:
    """Train a network, or go on training it.

    Args:
        config: the run.
        inputs: what it is trained from.
        out: the run's folder.
        accelerator: Lightning's name: auto, cpu, cuda.
        devices: processes, each with a device; gradients are averaged over them.
        overwrite: begin again where another run lies.
        progress, on_validation: whom to tell.

    Returns:
        Validation errors per stage, those of the mean body, and what was taken from ``inputs.init``; plain values.

    Raises:
        InputError: no such devices, a folder that holds another run, a batch that does not divide, a loss that is not
            finite.
        OutputError: the folder cannot be written, or another process trains into it.
    """
    fabric = _fabric(accelerator, devices, config.precision)
    if devices > 1:
        fabric.launch()
    share = fabric.world_size * config.accumulate
    if config.data.batch % share:
        raise InputError("data.batch", f"{config.data.batch} rows cannot be divided among {share} parts")
    with held(out, "training into it") if fabric.is_global_zero else contextlib.nullcontext():
        if fabric.is_global_zero:
            _claim(out, config, inputs, overwrite)
        fabric.barrier()
        return _Run(config, inputs, out, fabric, progress, on_validation).train()


def _fabric(accelerator: str, devices: int, precision: Any) -> Fabric:
    strategy = "auto" if devices == 1 else "ddp"
    try:
        return Fabric(accelerator=accelerator, devices=devices, strategy=strategy, precision=precision)
    except (RuntimeError, ValueError) as error:  # no such accelerator, or fewer devices
        problem = f"{devices} cannot be had: {str(error).splitlines()[0][:160]}"
        raise InputError(f"accelerator {accelerator}", problem, "hmrtk doctor says what is there") from None


def device_named(name: str) -> str:
    """``auto``, ``cpu`` or ``cuda`` → a torch device that is there.

    Raises:
        InputError: ``cuda`` without a GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device", "torch finds no GPU", "pass --device cpu; hmrtk doctor says why")
    return "cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu"


def learning_rate(config: OptimiserConfig, step: int, steps: int) -> float:
    """The rate of a step: a rise over ``warmup`` steps, then constant or half a cosine down to zero."""
    rise = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    if config.decay == "none":
        return config.learning_rate * rise
    return config.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def _diverged(stage: _Stage, step: int, problem: str) -> InputError:
    place = f"step {step} of stage {stage.config.name}"
    return InputError(place, problem, "lower optimiser.learning_rate, or set optimiser.clip")


def _last_validation(stage: _Stage) -> dict[str, dict[str, float]]:
    """The errors that a finished stage ended with, by its name; empty where it was trained without validation."""
    path = stage.folder / "validation.csv"
    rows = read_log(path) if path.is_file() else []
    return {stage.config.name: {k: float(v) for k, v in rows[-1].items() if v and k != "step"}} if rows else {}


def _adam(network: HMR, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam, fused where it can be (3 to 5 times as fast on CPUs): beside a gradient scaler it could not be clipped."""
    learned, how = [parameter for parameter in network.parameters() if parameter.requires_grad], config.optimiser
    fused = config.precision != "16-mixed"
    return torch.optim.Adam(learned, lr=how.learning_rate, weight_decay=how.weight_decay, fused=fused)


def _learn_what_is_used(network: HMR, memory: bool) -> None:
    """The classifier learns in stages with the memory alone (§III-D); other processes wait for gradients otherwise."""
    network.requires_grad_(True)
    if not memory and network.memory.classifier is not None:
        network.memory.classifier.requires_grad_(False)


def _claim(out: Path, config: TrainConfig, inputs: TrainingInputs, overwrite: bool) -> None:
    """Make sure that the folder is empty or holds this very run."""
    mine = {
        "config": config.model_dump(mode="json"),
        "inputs": {
            **inputs.fingerprints, "prototypes": inputs.prototypes.fingerprint, "body": inputs.body.fingerprint,
            "init": None if inputs.init is None else str(inputs.init),
        },
    }  # fmt: skip
    if (out / RUN).is_file() and not overwrite:
        try:
            found = json.loads((out / RUN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise InputError(out / RUN, "is not readable JSON", "pass --overwrite, or choose another --out") from None
        if found != mine:
            change = "; ".join(_differences(found, mine)[:3])
            raise InputError(out, f"holds a run with {change}", "pass --overwrite to begin again, or another --out")
        return
    if (out / ABOUT).is_file() and not overwrite:
        raise InputError(out, "holds a checkpoint, and no run", "pass --overwrite to begin here, or another --out")
    for stage in config.stages:
        for name in (ABOUT, f"best/{ABOUT}", STATE, "train.csv", "validation.csv"):
            (out / stage.name / name).unlink(missing_ok=True)
    (out / ABOUT).unlink(missing_ok=True)
    write_bytes(out / RUN, json.dumps(mine, indent=2).encode())


def _differences(found: Any, mine: Any, name: str = "") -> list[str]:
    """Where two settings differ, in words."""
    if isinstance(found, dict) and isinstance(mine, dict):
        names = list(dict.fromkeys([*mine, *found]))
        return [d for n in names for d in _differences(found.get(n), mine.get(n), f"{name}.{n}" if name else n)]
    return [] if found == mine else [f"{name} {found!r}, not {mine!r}"]

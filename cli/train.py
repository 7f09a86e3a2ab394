"""The command ``train``: a network from prebuilt shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, PLACE, body_option, json_option

if TYPE_CHECKING:
    from hmrtk.models.config import TrainConfig
    from hmrtk.models.data import ShardRows
    from hmrtk.models.validation import Answers
    from hmrtk.toolkit.body.model import BodyModel
    from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
    from hmrtk.toolkit.records.remote import Place

TRAIN, VALIDATION = "train", "val"


def _folders(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Place]:
    from hmrtk.toolkit.records.remote import located

    found: dict[str, Place] = {}
    for value in values:
        name, sign, path = value.rpartition("=")
        name = name if sign else located(path).name
        if name in found:
            raise click.BadParameter(f"the name {name!r} is given twice; name them: NAME=DIR")
        found[name] = located(path)
    return found


@click.command()
@click.argument("network", metavar="[hmr|pmnet]")
@click.option(
    "--shards",
    callback=_folders,
    multiple=True,
    metavar="[NAME=]DIR",
    help="Shards to train from; several with --set data.mix=spin. Default: <workspace>/shards/embedded.",
)
@click.option(
    "--prototypes", type=PLACE, help="PrototypeSet of the memory; default: the one the shards were built with."
)
@click.option("--preset", default="paper", show_default=True, help="paper (its sizes, for GPUs) or small (two cores).")
@click.option("--config", "file", type=PATH, help="YAML settings in place of the preset.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option("--init", type=PATH, help="Begin with a checkpoint folder, or weights of SPIN, PyMAF or 4D-Humans.")
@click.option("--accelerator", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, help="Processes, one per device.")
@click.option("--overwrite", is_flag=True, help="Begin again where another run lies.")
@click.option("--out", type=PATH, help="Folder of the run; default: <workspace>/runs/<network>-<preset>.")
@body_option
@json_option
@click.pass_obj
def train(
    console: Console,
    network: str,
    shards: dict[str, Place],
    prototypes: Place | None,
    preset: str,
    file: Path | None,
    changes: tuple[str, ...],
    init: Path | None,
    accelerator: str,
    devices: int,
    overwrite: bool,
    out: Path | None,
    body_path: Path | None,
) -> None:
    """Train a network from shards. Run again to resume.

    The run folder holds the curves (CSV, TensorBoard), pictures of predictions, and the checkpoint for predict.
    """
    from hmrtk.models.config import load_config
    from hmrtk.toolkit.body.model import load_body

    config = load_config(network, preset, file, changes)
    shards = shards or {"embedded": console.workspace / "shards" / "embedded"}
    out = out or console.workspace / "runs" / f"{network}-{preset if file is None else file.stem}"
    report = run_training(
        console, config, shards, prototypes, load_body(body_path), out, init=init, accelerator=accelerator,
        devices=devices, overwrite=overwrite,
    )  # fmt: skip
    console.result({"out": str(out), **report}, training_lines(report, out))


def run_training(
    console: Console,
    config: TrainConfig,
    shards: dict[str, Place],
    prototypes: Place | None,
    body: BodyModel,
    out: Path,
    **options: Any,
) -> dict[str, Any]:
    """Train, with progress and pictures; ``options`` as of ``models.train.train``, and ``init``."""
    from hmrtk.models.data import ShardRows
    from hmrtk.models.train import TrainingInputs
    from hmrtk.models.train import train as train_network
    from hmrtk.toolkit.records.artefact import file_fingerprint
    from hmrtk.toolkit.shards.index import INDEX_NAME, ShardIndex

    indices = {name: ShardIndex.read(folder) for name, folder in shards.items()}
    memory = _prototypes(console, prototypes, next(iter(indices.values())).prototypes)
    labels = memory if config.network == "pmnet" else None
    rows = ShardRows(shards, TRAIN, config.data, body, labels)
    validation = None
    if all(index.splits.get(VALIDATION) for index in indices.values()):
        validation = ShardRows(shards, VALIDATION, config.data, body, labels)
    else:
        console.say(f"No split {VALIDATION} in the shards: training goes on without validation.")
    fingerprints = {f"shards.{n}": file_fingerprint(index.root / INDEX_NAME)[:16] for n, index in indices.items()}
    inputs = TrainingInputs(rows, validation, memory, body, options.pop("init", None), fingerprints)
    with_pictures = None if validation is None else _told(console, validation, body, out)
    return train_network(config, inputs, out, progress=console.progress, on_validation=with_pictures, **options)


def _prototypes(console: Console, path: Place | None, fingerprint: str | None) -> PrototypeSet:
    """The set that was asked for, or the workspace's set that the shards were labelled with."""
    from hmrtk.toolkit.errors import InputError
    from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet, from_spin_mean_params

    if path is not None:
        return from_spin_mean_params(path) if path.suffix == ".npz" else PrototypeSet.load(path)
    for file in sorted((console.workspace / "prototypes").glob("*.safetensors")):
        found = PrototypeSet.load(file)
        if found.fingerprint == fingerprint:
            return found
    named = f"prototypes {fingerprint}, which the shards are labelled with," if fingerprint else "prototypes"
    remedy = "pass --prototypes FILE; hmrtk build-prototypes makes one"
    raise InputError(console.workspace / "prototypes", f"has no file with the {named}", remedy)


def _told(console: Console, rows: ShardRows, body: BodyModel, out: Path) -> Any:
    """After each validation: the errors in words, and a sheet of predictions."""
    from hmrtk.reports.prediction_sheet import prediction_sheet
    from hmrtk.toolkit.synthesis.picture import write_png

    def told(stage: str, step: int, found: Answers, values: dict[str, float]) -> None:
        console.say(f"{stage} step {step}: {error_words(values)}")
        if len(found.pictures):
            sheet = prediction_sheet(found.pictures, found.parameters[found.pictured], found.camera[found.pictured],
                                     found.truth[found.pictured], found.truth_camera[found.pictured], body)  # fmt: skip
            write_png(out / stage / "pictures" / f"step-{step:06d}.png", sheet)

    return told


def error_words(values: dict[str, float]) -> str:
    """Validation errors in one line."""
    words = [f"PVE {values['pve']:.1f} mm", f"MPJPE {values['mpjpe']:.1f}", f"PA-MPJPE {values['pa_mpjpe']:.1f}"]
    if "pve_tail" in values:
        words.append(f"PVE of T-10% {values['pve_tail']:.1f}")
    if "accuracy" in values:
        words.append(f"right prototype {100 * values['accuracy']:.0f} %")
    return ", ".join(words)


def training_lines(report: dict[str, Any], out: Path) -> list[str]:
    """A finished training in words."""
    lines = []
    if "init" in report:
        init = report["init"]
        lines.append(f"began with {init['loaded']} arrays from {init['source']}; {len(init['missing'])} were drawn")
    if "mean_body" in report:
        also = " and the most frequent prototype" if "accuracy" in report["mean_body"] else ""
        lines.append(f"always the mean body{also}: {error_words(report['mean_body'])}")
    stages = {name: values for name, values in report.items() if name not in ("init", "mean_body")}
    lines += [f"after stage {name}: {error_words(values)}" for name, values in stages.items()]
    return [*lines, f"checkpoint: {out}"]

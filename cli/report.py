"""The command ``tail-report``, and what other commands need of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, PLACE, Selection, selects_records
from hmrtk.cli.picture_truth import PictureTruth, names_picture_truth

if TYPE_CHECKING:
    from hmrtk.reports.photographs import Photographs
    from hmrtk.toolkit.body.model import BodyModel
    from hmrtk.toolkit.evaluation.predictions import Predictions
    from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
    from hmrtk.toolkit.records.remote import Place
    from hmrtk.toolkit.records.table import RecordTable

NAMED_FILE = "NAME=FILE"


def _percents(_ctx: click.Context, _parameter: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        percents = tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 5,10") from None
    if not all(0 < p <= 100 for p in percents):
        raise click.BadParameter(f"{value!r}: every percentage has to be above 0 and at most 100")
    return percents


def _named_files(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Place]:
    from hmrtk.toolkit.records.remote import located

    found: dict[str, Place] = {}
    for value in values:
        name, sign, path = value.partition("=")
        if not sign or not name or not path:
            raise click.BadParameter(f"{value!r} is not {NAMED_FILE}")
        if name in found:
            raise click.BadParameter(f"the name {name!r} is given twice")
        found[name] = located(path)
    return found


protocol_option = click.option(
    "--protocol", default="hmrtk", show_default=True, help="Name of a protocol; an unknown one lists them."
)


@click.command("tail-report")
@click.option(
    "--predictions",
    callback=_named_files,
    multiple=True,
    metavar=NAMED_FILE,
    help="A system's predictions table under a name; may be repeated.",
)
@click.option("--baseline", help="The system (NAME) that the others are compared with.")
@click.option("--tail", "tails", default="5,10", show_default=True, callback=_percents, help="The x of T-x%.")
@click.option("--prototypes", type=PLACE, help="PrototypeSet; default: the workspace's, built if it is not there.")
@click.option(
    "--singular", type=PLACE, help="SPIN's smpl_mean_params.npz to measure rarity from; default: the mean body."
)
@click.option("--k", type=click.IntRange(min=1), help="K of the default prototypes; default: the dataset's.")
@click.option(
    "--rarest",
    type=click.IntRange(min=1),
    default=24,
    show_default=True,
    help="Rarest samples to draw; of the best and worst as many, but at most 6.",
)
@protocol_option
@click.option("--images", type=PLACE, metavar="DIR", help="Photographs of the records: galleries show them.")
@click.option("--shards", type=PLACE, metavar="DIR", help="Shards with the records' pictures: galleries show them.")
@names_picture_truth
@click.option("--out", type=PATH, help="Folder of the report; default: <workspace>/reports/<dataset>-<split>.")
@selects_records("test")
@click.pass_obj
def tail_report(
    console: Console,
    selection: Selection,
    predictions: dict[str, Place],
    baseline: str | None,
    tails: tuple[float, ...],
    prototypes: Place | None,
    singular: Place | None,
    k: int | None,
    rarest: int,
    protocol: str,
    images: Place | None,
    shards: Place | None,
    pictures: PictureTruth,
    out: Path | None,
) -> None:
    """Report what happens on rare poses: the tail of a dataset, and errors on it for any system's predictions.

    Predictions may cover more than is measured: those for records without a body are counted and passed over.
    """
    from hmrtk.reports.tail import build_tail_report
    from hmrtk.toolkit import pipeline
    from hmrtk.toolkit.evaluation.predictions import Predictions
    from hmrtk.toolkit.evaluation.protocols import protocol as protocol_named
    from hmrtk.toolkit.prototypes.measure import distances_to
    from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet, from_spin_mean_params
    from hmrtk.toolkit.records.artefact import provenance

    if images is not None and shards is not None:
        raise click.UsageError("--images and --shards are two sources of the same pictures: give one")
    measured = protocol_named(protocol)
    body, everything, name = selection.load(console.workspace)
    records = everything.take(measured.rows(everything)) if predictions else everything
    memory = PrototypeSet.load(prototypes) if prototypes else default_prototypes(console, selection, body, name, k)
    records, labels = pipeline.labelled(records, memory, body, console.progress)
    origin = memory.singular_set()
    if singular:
        origin = from_spin_mean_params(singular)
        labels = replace(labels, distance_to_singular=distances_to(records.parameters(), origin, body))
    out = out or console.workspace / "reports" / f"{name}-{selection.split}"
    inputs = {"records": records.fingerprint, "prototypes": memory.fingerprint}
    config = {"tail": list(tails), "protocol": protocol, "baseline": baseline}
    report = build_tail_report(
        records,
        memory,
        origin,
        labels,
        body,
        out,
        predictions={
            system: _for(everything, Predictions.read(path), selection) for system, path in predictions.items()
        },
        baseline=baseline,
        tails=tails,
        protocol=measured,
        rarest=min(rarest, len(records)),
        provenance=provenance("tail-report", config, body.fingerprint, inputs, selection.seed),
        progress=console.progress,
        body_of_gender=body_of_gender(selection.body_path),
        everything=everything,
        plane=pictures.load(body),
        photographs=_photographs(images, shards),
    )
    console.result(report, report_lines(report, out))


def _for(everything: RecordTable, predictions: Predictions, selection: Selection) -> Predictions:
    """The predictions of the records in use: with ``--limit``, those of the other rows are not asked for."""
    import numpy as np

    if selection.limit is None:
        return predictions
    known = set(everything.sample_ids)
    return predictions.take(np.flatnonzero([name in known for name in predictions.sample_ids]))


def _photographs(images: Place | None, shards: Place | None) -> Photographs | None:
    from hmrtk.reports.photographs import OriginalPhotographs, ShardPhotographs

    if images is not None:
        return OriginalPhotographs(images)
    return None if shards is None else ShardPhotographs(shards)


def default_prototypes(
    console: Console, selection: Selection, body: BodyModel, name: str, k: int | None
) -> PrototypeSet:
    """The workspace's prototypes of a dataset; built from its training split when they are not there yet.

    Records given by path are their own training split.
    """
    from hmrtk.toolkit import pipeline
    from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig
    from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
    from hmrtk.toolkit.records.manifest import load_manifest, manifest_names

    known = load_manifest(name).default_k if name in manifest_names() else PrototypeConfig().k
    config = PrototypeConfig(k=k or known, seed=selection.seed)
    path = pipeline.prototype_path(console.workspace, name, config)
    if path.exists():
        found = PrototypeSet.load(path)
        found.check_body(body)
        console.say(f"prototypes: {path}, made of {found.metadata.get('samples')} samples")
        return found
    training = replace(selection, split="all" if selection.record_paths else "train", limit=None)
    _, records, _ = training.load(console.workspace)
    config = replace(config, k=min(config.k, len(pipeline.with_bodies(records))))
    console.say(f"building the prototypes first: {path}")
    return pipeline.build_prototypes(records, body, config, path, console.progress).fit.prototypes


def body_of_gender(path: Path | None) -> Callable[[str], BodyModel]:
    """Loads the male or female body that goes with ``--body``."""
    from hmrtk.toolkit.body.model import load_body

    return lambda gender: load_body(path, gender)


def report_lines(report: dict[str, Any], out: Path) -> list[str]:
    """A finished report in a few words."""
    from hmrtk.toolkit.wording import counted

    lines = [f"{fact['value']:>16}  {fact['meaning']}" for fact in report["facts"]]
    passed = {name: about["passed_over"] for name, about in report["predictions"].items() if about["passed_over"]}
    lines += [
        f"{name}: {counted(count, 'prediction is', 'predictions are')} passed over, for records that are not measured"
        for name, count in passed.items()
    ]
    return [*lines, f"open {out / 'index.html'}"]

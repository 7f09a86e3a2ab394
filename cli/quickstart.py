"""``hmrtk quickstart``: every stage on the embedded data, one after the other, and where to look at what came out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.data import prototype_lines, shard_lines, shard_summary
from hmrtk.cli.maps import iuv_lines
from hmrtk.cli.options import data_options
from hmrtk.cli.report import report_lines

DATASET = "embedded"
DEFAULT_PICTURES = 4000
TOTAL_STAGES = 8
DEFAULT_STEPS = 1200
"""Training steps, a third of them with the memory: two minutes on two cores. Enough to beat the mean body, no more."""
SMALL_BATCH = 32


@dataclass
class Stages:
    """Announces stage after stage with the time each took."""

    console: Console
    number: int = 0
    started: float = 0.0

    def begin(self, title: str) -> None:
        self.number += 1
        self.started = time.monotonic()
        self.console.say(f"\n[{self.number}/{TOTAL_STAGES}] {title}")

    def end(self, lines: list[str]) -> None:
        self.console.close()
        for line in lines:
            self.console.say(f"      {line}")
        self.console.say(f"      {time.monotonic() - self.started:.0f} s")


@click.command()
@click.option("--k", type=click.IntRange(min=1), default=50, show_default=True, help="Number of prototypes.")
@click.option(
    "--pictures",
    type=click.IntRange(min=3),
    default=DEFAULT_PICTURES,
    show_default=True,
    help="Shard rows, each with a synthesised picture, spread over train, val and test.",
)
@click.option(
    "--steps", type=click.IntRange(min=3), default=DEFAULT_STEPS, show_default=True, help="Training steps per network."
)
@data_options
@click.pass_obj
def quickstart(
    console: Console, k: int, pictures: int, steps: int, body_path: Path | None, limit: int | None, seed: int
) -> None:
    """Run the whole path on the embedded data, from records to two trained networks and the tail report."""
    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.records.table import RecordTable

    stages, workspace, begun = Stages(console), console.workspace, time.monotonic()
    body = load_body(body_path)
    console.say(f"Body: {body.place}. The first run compiles its kernels, which adds up to a minute.")

    stages.begin("Records: 15 clips of real motion capture, seen by virtual cameras")
    splits, lines = _records(console, body, limit, seed)
    stages.end(lines)

    stages.begin(f"Prototypes: P3DH K-Means, K = {k}, on the training split")
    run, path = _prototypes(console, splits["train"], body, k, seed)
    stages.end(prototype_lines(run.summary()))

    stages.begin("IUV maps of the test split")
    iuv = _iuv_maps(console, splits["test"], body, seed)
    stages.end(iuv_lines(iuv))

    stages.begin("Shards: pictures, IUV maps, UV-space maps, labels")
    chosen = {name: splits[name].head(rows) for name, rows in _split_sizes(splits, pictures)}
    shards = _build_shards(console, RecordTable.concatenate(list(chosen.values())), body, run.fit.prototypes, seed)
    place = Path(shards["out"])
    sheet = _preview(workspace, place)
    stages.end([*shard_lines(shards), f"look at {sheet}"])

    stages.begin("Check the shards and read them once as a training loop would")
    stages.end(_read_back(console, place))

    stages.begin("Train a small HMR, and a small PM-Net from the same first stage, with the same steps")
    batch = min(SMALL_BATCH, shards["splits"]["train"])
    runs, trained = _train(console, place, path, body, steps, [f"seed={seed}", f"data.batch={batch}"])
    stages.end(trained)

    stages.begin("Predict the test pictures with both")
    predictions, judged = _predict(console, runs, place, body)
    stages.end(judged)

    stages.begin("Tail report of the test split")
    report, out = _report(console, chosen["test"], body, run.fit.prototypes, predictions, seed)
    stages.end(report_lines(report, out))

    minutes = (time.monotonic() - begun) / 60
    places = {
        "report": str(out / "index.html"), "prototypes": str(path), "labels": str(run.labels_path),
        "iuv": str(iuv.preview), "shards": shards["out"], "pictures": str(sheet), "network": str(runs["PM-Net"]),
    }  # fmt: skip
    found = {
        "places": places, "minutes": minutes, "prototypes": run.summary(), "shards": shards, "facts": report["facts"],
    }  # fmt: skip
    lines = ["", f"Done in {minutes:.1f} min. Look at:"] + [f"  {name:<11}{where}" for name, where in places.items()]
    console.result(found, lines)


def _records(console: Console, body: Any, limit: int | None, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Record tables by split, and where they lie."""
    from hmrtk.toolkit import pipeline

    folder = pipeline.record_folder(console.workspace, DATASET)
    splits = pipeline.ingest(DATASET, None, None, folder, body, limit=limit, seed=seed, progress=console.progress)
    return splits, [f"{folder / (name + '.parquet')}: {len(rows)} rows" for name, rows in splits.items()]


def _prototypes(console: Console, records: Any, body: Any, k: int, seed: int) -> tuple[Any, Path]:
    """The run that built the prototypes, and their file."""
    from hmrtk.toolkit import pipeline
    from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig

    config = PrototypeConfig(k=min(k, len(records)), seed=seed)
    path = pipeline.prototype_path(console.workspace, DATASET, config)
    return pipeline.build_prototypes(records, body, config, path, console.progress), path


def _iuv_maps(console: Console, records: Any, body: Any, seed: int) -> Any:
    from hmrtk.toolkit.shards.iuv_builder import IUVConfig, build_iuv_set

    out = console.workspace / "iuv" / f"{DATASET}-test"
    return build_iuv_set(records, body, IUVConfig(seed=seed), out, progress=console.progress)


def _split_sizes(splits: dict[str, Any], total: int) -> list[tuple[str, int]]:
    """How many rows of each split become shards: in proportion to their sizes, at least one."""
    rows = sum(len(part) for part in splits.values())
    return [(name, max(1, min(len(part), round(total * len(part) / rows)))) for name, part in splits.items()]


def _build_shards(console: Console, records: Any, body: Any, prototypes: Any, seed: int) -> dict[str, Any]:
    from hmrtk.toolkit.shards import builder
    from hmrtk.toolkit.shards.plan import ShardConfig
    from hmrtk.toolkit.synthesis.scene_config import scene_named

    out = console.workspace / "shards" / DATASET
    config = ShardConfig(synthesise=True, seed=seed, scene=scene_named("clear"))
    index = builder.build_shards(records, body, out, config, prototypes, progress=console.progress, overwrite=True)
    return shard_summary(index)


def _preview(workspace: Path, shards: Path) -> Path:
    from hmrtk.toolkit.shards.preview import shard_sheet
    from hmrtk.toolkit.synthesis.picture import write_png

    path = workspace / "shards" / f"{DATASET}-preview.png"
    write_png(path, shard_sheet(shards, "test", 24))
    return path


def _read_back(console: Console, shards: Path) -> list[str]:
    from hmrtk.toolkit.shards.index import ShardIndex
    from hmrtk.toolkit.shards.reader import ShardDataset
    from hmrtk.toolkit.shards.verify import verify_shards

    report = verify_shards(shards, console.progress)
    rows = ShardIndex.read(shards).splits["train"]
    begun = time.monotonic()
    read = 0
    for _ in ShardDataset(shards, "train", shuffle=True, seed=0):
        read += 1
        if read % 100 == 0 or read == rows:
            console.progress("read train", read, rows)
    return [*report.lines(), f"read {read} of {rows} training rows at {read / (time.monotonic() - begun):.0f} rows/s"]


def _train(
    console: Console, shards: Path, prototypes: Path, body: Any, steps: int, settings: list[str]
) -> tuple[dict[str, Path], list[str]]:
    """The run folders of both systems, and their trainings in words. PM-Net begins where HMR's first stage ended."""
    from hmrtk.cli.train import run_training, training_lines
    from hmrtk.models.config import load_config

    second = max(1, steps // 3)
    shared = [*settings, f"validate_every={second}"]
    one, two = f"{{name: one, steps: {steps - second}}}", f"name: two, steps: {second}"
    runs = {name: console.workspace / "runs" / f"quickstart-{name.lower()}" for name in ("HMR", "PM-Net")}
    plans = {
        "HMR": (load_config("hmr", "small", None, [*shared, f"stages=[{one}, {{{two}}}]"]), None),
        "PM-Net": (
            load_config("pmnet", "small", None, [*shared, f"stages=[{{{two}, memory: true}}]"]),
            runs["HMR"] / "one",
        ),
    }
    lines = []
    for name, (config, init) in plans.items():
        report = run_training(
            console,
            config,
            {DATASET: shards},
            prototypes,
            body,
            runs[name],
            init=init,
            accelerator="auto",
            overwrite=True,
        )
        lines += [f"{name}:", *(f"  {line}" for line in training_lines(report, runs[name]))]
    return runs, lines


def _predict(console: Console, runs: dict[str, Path], shards: Path, body: Any) -> tuple[dict[str, Any], list[str]]:
    """Both systems' predictions of the test pictures, and their errors in words."""
    from hmrtk.cli.predict import predict_shards, prediction_lines
    from hmrtk.models.checkpoint import load_checkpoint
    from hmrtk.models.train import device_named
    from hmrtk.toolkit.evaluation.predictions import Predictions

    found, lines = {}, []
    for name, run in runs.items():
        out = run / "test.predictions.parquet"
        loaded = load_checkpoint(run, body)
        rows, errors = predict_shards(console, loaded, shards, "test", name, device_named("auto"), body, out)
        found[name] = Predictions.read(out)
        lines += [f"{name}: {line}" for line in prediction_lines({"out": str(out), "rows": rows, "errors": errors})]
    return found, lines


def _report(
    console: Console, records: Any, body: Any, prototypes: Any, predictions: dict[str, Any], seed: int
) -> tuple[dict[str, Any], Path]:
    from hmrtk.reports.tail import build_tail_report
    from hmrtk.toolkit import pipeline
    from hmrtk.toolkit.records.artefact import provenance

    records, labels = pipeline.labelled(records, prototypes, body, console.progress)
    out = console.workspace / "reports" / f"{DATASET}-test"
    inputs = {"records": records.fingerprint, "prototypes": prototypes.fingerprint}
    report = build_tail_report(
        records,
        prototypes,
        prototypes.singular_set(),
        labels,
        body,
        out,
        predictions=predictions,
        baseline="HMR",
        rarest=min(24, len(records)),
        provenance=provenance("quickstart", {}, body.fingerprint, inputs, seed),
        progress=console.progress,
    )
    return report, out

"""``sweep-prototypes``: which K and which weights, by clustering with several of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, Selection, selects_records

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel
    from hmrtk.toolkit.prototypes.sweep import Split
    from hmrtk.toolkit.records.table import RecordTable

TRAIN = "train"


def _list_of(kind: type, least: float, most: float = math.inf, empty: bool = False) -> Callable[..., tuple[Any, ...]]:
    """A callback that reads ``5,10,50`` into distinct numbers above ``least`` and up to ``most``."""

    def read(_ctx: click.Context, _parameter: click.Parameter, value: str) -> tuple[Any, ...]:
        try:
            numbers = tuple(kind(part) for part in value.split(",") if part.strip())
        except ValueError:
            raise click.BadParameter(f"{value!r} is not a list of numbers such as 5,10") from None
        if not numbers and not empty:
            raise click.BadParameter("expected at least one number")
        if not all(least < n <= most and math.isfinite(n) for n in numbers):
            limit = "" if most == math.inf else f" and at most {most:g}"
            raise click.BadParameter(f"{value!r}: every number has to be above {least:g}{limit}")
        return numbers

    return read


@click.command("sweep-prototypes")
@click.option(
    "--k", "ks", default="5,10,50,100,500,1000", show_default=True, callback=_list_of(int, 0, empty=True),
    help="Numbers of prototypes, at limb weight 5; empty for none.",
)  # fmt: skip
@click.option(
    "--limbs", default="1,3,5,7,10", show_default=True, callback=_list_of(float, 0, empty=True),
    help="Weights of the limbs, at the dataset's K; empty for none.",
)  # fmt: skip
@click.option("--limbs-k", type=click.IntRange(min=1), help="K for --limbs; default: the dataset's (50 or 10).")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Fits of every setting.")
@click.option(
    "--method", type=click.Choice(["p3dh", "3dh", "naive", "random"]), default="p3dh", show_default=True,
    help="How prototypes are built; 3dh and naive have no limb weight.",
)  # fmt: skip
@click.option(
    "--tail", "tails", default="5,10", show_default=True, callback=_list_of(float, 0, 100), help="The x of T-x%."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--out", type=PATH, help="Folder of the report; default: <workspace>/sweeps/<dataset>-<method>.")
@selects_records("all")
@click.pass_obj
def sweep_prototypes(
    console: Console,
    selection: Selection,
    ks: tuple[int, ...],
    limbs: tuple[float, ...],
    limbs_k: int | None,
    seeds: int,
    method: str,
    tails: tuple[float, ...],
    device: str,
    out: Path | None,
) -> None:
    """Choose K and weights: cluster with several of each (the clustering side of PM-Net Table V).

    Prototypes are built from the rows of split "train" (from all rows, where none are) and measured on every split:
    mean and tail distance, cluster sizes, agreement between seeds, time. --limit counts rows of each split.

    The default sweep is 30 fits: on the 12 000 training bodies of "embedded", 8 minutes on 2 cores that were also used
    by other work (4.6 minutes of processor time). With --seeds 1 it is a third of that.
    Finished fits are kept in --out and used again: run again to resume, or to add a K, a weight or a seed.
    """
    from hmrtk.reports.sweep import build_sweep_report
    from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig
    from hmrtk.toolkit.prototypes.sweep import SweepConfig, run_sweep
    from hmrtk.toolkit.records.artefact import provenance

    body, records, name = replace(selection, limit=None).load(console.workspace)
    splits = measured_splits(records, body, tails, selection.limit)
    base = PrototypeConfig(method=method, seed=selection.seed, device=device)
    config = SweepConfig(ks, limbs, limbs_k or default_k(name), seeds, base)
    out = out or console.workspace / "sweeps" / f"{name}-{method}"
    sweep = run_sweep(splits, body, config, out, console.progress)
    inputs = {split.name: split.fingerprint for split in splits}
    settings = {**config.to_json(), "tail": list(tails)}
    made = provenance("sweep-prototypes", settings, body.fingerprint, inputs, selection.seed)
    report = build_sweep_report(sweep, splits, name, out, made)
    console.result(report, sweep_lines(report, out))


def measured_splits(
    records: RecordTable, body: BodyModel, tails: tuple[float, ...], limit: int | None = None
) -> list[Split]:
    """The training bodies first, then those held out, each with its tails; rows without a body are left out.

    Rows go by their column ``split``. Where no row says ``train``, all rows are the training bodies.
    """
    from hmrtk.reports.distances import tail_name
    from hmrtk.toolkit.evaluation.tail import tail_subset
    from hmrtk.toolkit.pipeline import with_bodies
    from hmrtk.toolkit.prototypes.kmeans import singular_prototype
    from hmrtk.toolkit.prototypes.measure import distances_to
    from hmrtk.toolkit.prototypes.sweep import Split

    records = with_bodies(records)
    column = records.array("split")
    names = sorted(set(column), key=lambda name: (name != TRAIN, name))
    parts = {name: records.take(column == name) for name in names} if TRAIN in names else {"+".join(names): records}
    parts = {name: part.head(limit) for name, part in parts.items()}
    singular = singular_prototype(next(iter(parts.values())).parameters(), body)
    splits = []
    for name, part in parts.items():
        parameters = part.parameters()
        distance = distances_to(parameters, singular, body)
        rows = {tail_name(x): tail_subset(distance, x) for x in sorted(set(tails), reverse=True)}
        splits.append(Split(name, parameters, part.fingerprint, rows))
    return splits


def default_k(dataset: str) -> int:
    """The K that the dataset's manifest gives; PM-Net's 50 where there is no manifest."""
    from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig
    from hmrtk.toolkit.records.manifest import load_manifest, manifest_names

    return load_manifest(dataset).default_k if dataset in manifest_names() else PrototypeConfig().k


def sweep_lines(report: dict[str, Any], out: Path) -> list[str]:
    """A finished sweep in a few words: one line per setting."""
    split = report["shown_split"]
    lines = [f"mean distance to the assigned prototype, {split} split, mm"]
    for row in report["settings"]:
        ari = "" if row["ari"] is None else f"  agreement of seeds {row['ari']:.2f}"
        numbers = "  ".join(
            f"{name[len(split) + 1 : -3]} {value:6.1f}" for name, value in row.items()
            if name.startswith(f"{split}_") and name.endswith("_mm") and not name.endswith(("low_mm", "high_mm"))
        )  # fmt: skip
        lines.append(f"K {row['k']:>5}  limbs {row['limbs']:>4g}  {numbers}  median cluster {row['median']:.0f}{ari}")
    lines += [f"note: {note}" for note in report["notes"]]
    lines.append(f"{report['fitted']} fits, {report['reused']} kept from before")
    return [*lines, f"open {out / 'index.html'}"]

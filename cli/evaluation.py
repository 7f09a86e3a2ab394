"""``evaluate``: a system's numbers under one protocol, under all of them, per group, and in two dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PLACE, Selection, selects_records
from hmrtk.cli.picture_truth import PictureTruth, names_picture_truth
from hmrtk.cli.report import body_of_gender

if TYPE_CHECKING:
    from hmrtk.toolkit.evaluation.comparison import Judged
    from hmrtk.toolkit.evaluation.metrics import Errors
    from hmrtk.toolkit.records.remote import Place
    from hmrtk.toolkit.records.table import RecordTable

EVERY = "all"
JOINT = "joint"
GROUPS = (JOINT, "action", "dataset", "subject", "sequence", "split", "gender", "camera_id")
PER_CENT = (
    "pck", "auc", "pa_pck", "pa_auc", "pck2d_05", "pck2d_10", "foreground_accuracy", "foreground_f1", "part_accuracy",
    "part_f1", "auc_10", "ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large",
)  # fmt: skip
"""Metrics in per cent; the others are mm but for these:"""
OTHER_UNITS = {"acceleration": "mm/frame²", "keypoints2d": "px"}

Row = dict[str, Any]
Metrics = dict[str, float | None]


@click.command()
@click.option("--predictions", "predictions_path", type=PLACE, required=True, help="A predictions table.")
@click.option(
    "--protocol",
    default="hmrtk",
    show_default=True,
    help=f"Name of a protocol (an unknown one lists them), or {EVERY}: the same predictions under each.",
)
@click.option("--by", type=click.Choice(GROUPS), help="Also the errors of each joint, or of each value of a column.")
@names_picture_truth
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="What poses bodies; a GPU pays for tens of thousands of samples.",
)
@selects_records("test")
@click.pass_obj
def evaluate(
    console: Console,
    predictions_path: Place,
    protocol: str,
    by: str | None,
    pictures: PictureTruth,
    device: str,
    selection: Selection,
) -> None:
    """Score predictions against records, in millimetres, pixels and per cent, under a named protocol."""
    from hmrtk.toolkit.evaluation.comparison import compare_protocols, judge
    from hmrtk.toolkit.evaluation.metrics import EXTRA
    from hmrtk.toolkit.evaluation.picture_plane import plane_scores
    from hmrtk.toolkit.evaluation.predictions import Predictions
    from hmrtk.toolkit.evaluation.protocols import protocol as protocol_named

    if protocol == EVERY and (by or pictures.named):
        raise click.UsageError(
            f"--protocol {EVERY} compares protocols only: name one for --by, --coco, --masks, --dense"
        )
    body, records, _ = selection.load(console.workspace)
    predictions = Predictions.read(predictions_path)
    if selection.limit is not None:  # then those of the other rows are not missed
        predictions = predictions.take(predictions.match(records, unknown="ignore"))
    gendered = body_of_gender(selection.body_path)
    if protocol == EVERY:
        found = compare_protocols(
            records, predictions, body, body_of_gender=gendered, progress=console.progress, device=device
        )
        console.result({"protocols": [_told(judged) for judged in found]}, _comparison_lines(found))
        return
    chosen = protocol_named(protocol)
    result: Row = {"protocol": None, "n": len(records), "metrics": {}}
    lines, rules = [], []
    if has_truth(records) or not pictures.named:
        extra = [name for name in EXTRA if name != "surface"]
        judged = judge(records, predictions, body, chosen, gendered, console.progress, extra, device)
        result |= _told(judged)
        rules.append(chosen.describe())
        records = judged.records or records
        if by and judged.errors is not None:
            result["by"] = _groups(judged.errors, records, by)
            lines = _group_lines(result["by"])
    matched = predictions.take(predictions.match(records, unknown="ignore"))
    for scores in plane_scores(records, matched, body, pictures.load(body), console.progress):
        result["metrics"] |= _plain(scores.values)
        rules.append(scores.rules)
    result["rules"] = rules
    console.result(result, [*lines, *_metric_lines(result["metrics"]), f"{result['n']} samples.", *rules])


def has_truth(records: RecordTable) -> bool:
    """Whether any record has a body or 3D joints; COCO's and LSP's have neither."""
    from hmrtk.toolkit.records.record import BODY_COLUMNS

    return bool(records.has(*BODY_COLUMNS).any() or records.has("joints3d").any())


def _told(judged: Judged) -> Row:
    """What one protocol says, as JSON: its numbers, or why there are none."""
    protocol = judged.protocol.to_json()
    if judged.errors is None:
        return {"protocol": protocol, "reason": judged.reason}
    errors = judged.errors
    return {"protocol": protocol, "n": len(errors), "metrics": _plain(errors.summary(metrics=errors.measured()))}


def _groups(errors: Errors, records: RecordTable, by: str) -> Row:
    """Errors per joint, or per value of a column with the mean of the groups' means."""
    from hmrtk.toolkit.evaluation.groups import average_of_groups, group_names, grouped

    if by == JOINT:
        per_joint = errors.per_joint()
        names = ("mpjpe", "pa_mpjpe")
        rows = [
            {"name": n, "n": len(errors), "metrics": dict(zip(names, v, strict=True))} for n, v in per_joint.items()
        ]
        return {"column": by, "groups": rows}
    groups = grouped(errors, group_names(records, by), errors.measured())
    told = [{"name": g.name, "n": g.count, "metrics": _plain(g.means)} for g in groups]
    return {"column": by, "groups": told, "average": _plain(average_of_groups(groups))}


def _plain(metrics: Mapping[str, float]) -> Metrics:
    """As JSON can hold them: None for what has no value."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _metric_lines(metrics: Metrics) -> list[str]:
    units = {name: "%" if name in PER_CENT else OTHER_UNITS.get(name, "mm") for name in metrics}
    return [f"{name:<20} {_text(value):>9} {units[name]}" for name, value in metrics.items()]


def _text(value: Any) -> str:
    """Two decimals; - for what has no value."""
    if isinstance(value, float):
        return f"{value:.2f}" if math.isfinite(value) else "-"
    return "-" if value is None else str(value)


def _group_lines(by: Row) -> list[str]:
    """A table: a row per group, a column per metric."""
    names = list(by["groups"][0]["metrics"])
    rows: list[Sequence[Any]] = [(g["name"], g["n"], *g["metrics"].values()) for g in by["groups"]]
    if "average" in by:
        rows.append(("mean of these", sum(g["n"] for g in by["groups"]), *by["average"].values()))
    return [*_table([by["column"], "n", *names], rows), ""]


def _comparison_lines(found: Sequence[Judged]) -> list[str]:
    """A table: a row per protocol; below it those that cannot be applied, and what each protocol is."""
    judged = [(j.protocol, j.errors) for j in found if j.errors is not None]
    rows = [(protocol.name, len(errors), *errors.summary().values()) for protocol, errors in judged]
    lines = [*_table(["protocol", "n", "mpjpe", "pa_mpjpe", "pve"], rows), ""]
    lines += [f"{j.protocol.name}: not applied, {j.reason}" for j in found if j.errors is None]
    return [*lines, *(protocol.describe() for protocol, _ in judged)]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Columns of equal width, the first to the left."""
    cells = [list(head), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in cells]  # fmt: skip

"""``evaluate``: a system's numbers under one protocol, under all of them, per group, and in two dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, PLACE, Selection, selects_records
from hmrtk.cli.report import body_of_gender

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel
    from hmrtk.toolkit.evaluation.comparison import Judged
    from hmrtk.toolkit.evaluation.metrics import Errors
    from hmrtk.toolkit.evaluation.predictions import Predictions
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
KEYPOINT_SHARES = (0.05, 0.1)
"""Of the crop's side: thresholds of 4D-Humans' 2D PCK."""

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
@click.option("--coco", type=PLACE, metavar="FILE", help="COCO's person_keypoints_*.json: keypoint AP by OKS.")
@click.option("--masks", type=PATH, metavar="DIR", help="Masks of LSP (UPi-S1h): foreground and part segmentation.")
@click.option(
    "--spin-parts", type=PATH, metavar="DIR", help="SPIN's vertex_texture.npy and cube_parts.npy for --masks."
)
@click.option("--dense", type=PLACE, metavar="FILE", help="Side table of marked surface points: AUC up to 10 cm.")
@click.option(
    "--atlas", default="charts", show_default=True, help="Charts of --dense: the body's own, or UV_Processed.mat."
)
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
    coco: Place | None,
    masks: Path | None,
    spin_parts: Path | None,
    dense: Place | None,
    atlas: str,
    device: str,
    selection: Selection,
) -> None:
    """Score predictions against records, in millimetres, pixels and per cent, under a named protocol."""
    from hmrtk.toolkit.evaluation.comparison import compare_protocols, judge
    from hmrtk.toolkit.evaluation.metrics import EXTRA
    from hmrtk.toolkit.evaluation.predictions import Predictions
    from hmrtk.toolkit.evaluation.protocols import protocol as protocol_named

    if protocol == EVERY and (by or coco or masks or dense):
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
    result: Row = {"protocol": chosen.to_json(), "n": len(records), "metrics": {}}
    lines = []
    if has_truth(records) or not (coco or masks or dense):
        extra = [name for name in EXTRA if name != "surface"]
        judged = judge(records, predictions, body, chosen, gendered, console.progress, extra, device)
        result |= _told(judged)
        records = judged.records or records
        if by and judged.errors is not None:
            result["by"] = _groups(judged.errors, records, by)
            lines = _group_lines(result["by"])
    matched = predictions.take(predictions.match(records, unknown="ignore"))
    flat = _keypoint_metrics(records, matched, body)
    if coco is not None:
        flat |= _keypoint_ap(records, matched, body, coco, result)
    if masks is not None:
        flat |= _segmentation(console, records, matched, body, masks, spin_parts)
    if dense is not None:
        flat |= _dense(console, records, matched, body, dense, atlas, result)
    result["metrics"] |= _plain(flat)
    console.result(result, [*lines, *_metric_lines(result["metrics"]), f"{result['n']} samples. {chosen.describe()}"])


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


def _keypoint_ap(
    records: RecordTable, matched: Predictions, body: BodyModel, annotations: Place, result: Row
) -> dict[str, float]:
    """COCO's ten numbers, per cent; what they were measured against goes into the result."""
    from hmrtk.toolkit.evaluation.coco_ap import keypoint_ap
    from hmrtk.toolkit.evaluation.keypoints import projected_keypoints

    judged = keypoint_ap(records, projected_keypoints(records, matched, body), annotations)
    result |= {"ap_truth": judged.truth, "ap_people": judged.people}
    return {name: 100 * value for name, value in judged.values.items()}


def _segmentation(
    console: Console,
    records: RecordTable,
    matched: Predictions,
    body: BodyModel,
    masks: Path,
    spin_parts: Path | None,
) -> dict[str, float]:
    from hmrtk.toolkit.evaluation.segmentation import segment, spin_face_parts

    parts = None if spin_parts is None else spin_face_parts(spin_parts)
    return segment(records, matched, body, masks, parts, console.progress).summary()


def _dense(
    console: Console,
    records: RecordTable,
    matched: Predictions,
    body: BodyModel,
    marks: Place,
    atlas: str,
    result: Row,
) -> dict[str, float]:
    """AUC at 10 cm, per cent; how many points that were goes into the result."""
    from hmrtk.toolkit.evaluation.dense import dense_score
    from hmrtk.toolkit.maps.atlas_choice import chosen_atlas
    from hmrtk.toolkit.records.dense import DenseTable

    charts = chosen_atlas(atlas, body)
    found = dense_score(records, DenseTable.read(marks), matched, body, charts, progress=console.progress)
    result |= {"dense_points": found.points, "dense_missed": found.missed, "dense_people": found.people}
    return {"auc_10": 100 * found.auc}


def _keypoint_metrics(records: RecordTable, matched: Predictions, body: BodyModel) -> dict[str, float]:
    """Mean 2D error and PCK over the rows that have a box, keypoints and a predicted camera; none without such rows."""
    import numpy as np

    from hmrtk.toolkit.evaluation.keypoints import crop_sides, keypoint_errors, keypoint_pck, projected_keypoints

    if matched.camera is None:
        return {}
    seen = np.isfinite(matched.camera).all(axis=1) & (matched.camera[:, 0] > 0)
    rows = np.flatnonzero(records.has("bbox_xyxy", "keypoints2d") & seen)
    if not len(rows):
        return {}
    chosen, side = records.take(rows), crop_sides(records.take(rows))
    errors = keypoint_errors(projected_keypoints(chosen, matched.take(rows), body), chosen.array("keypoints2d"))
    shares = {f"pck2d_{round(100 * s):02d}": 100 * keypoint_pck(errors, side, s) for s in KEYPOINT_SHARES}
    return {"keypoints2d": float(np.nanmean(errors)), **shares} if np.isfinite(errors).any() else {}


def _plain(metrics: Mapping[str, float]) -> Metrics:
    """As JSON can hold them: None for what has no value."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _metric_lines(metrics: Metrics) -> list[str]:
    units = {name: "%" if name in PER_CENT else OTHER_UNITS.get(name, "mm") for name in metrics}
    return [f"{name:<20} {_text(value):>9} {units[name]}" for name, value in metrics.items()]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
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
    judged = [j for j in found if j.errors is not None]
    names = ("mpjpe", "pa_mpjpe", "pve")
    rows = [(j.protocol.name, len(j.errors), *j.errors.summary(metrics=names).values()) for j in judged if j.errors]
    lines = [*_table(["protocol", "n", *names], rows), ""]
    lines += [f"{j.protocol.name}: not applied, {j.reason}" for j in found if j.errors is None]
    return [*lines, *(j.protocol.describe() for j in judged)]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Columns of equal width, the first to the left."""
    cells = [list(head), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in cells]  # fmt: skip

"""The picture's plane, for ``evaluate``: its options, and what they measure of predictions that have a camera.

2D keypoint errors come by themselves; COCO's AP, LSP's segmentation and dense correspondence when their ground truth is
named. Every number says by which rules it was measured.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, PLACE, stack

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel
    from hmrtk.toolkit.evaluation.predictions import Predictions
    from hmrtk.toolkit.records.remote import Place
    from hmrtk.toolkit.records.table import RecordTable

KEYPOINT_SHARES = (0.05, 0.1)
"""Of the crop's side: thresholds of 4D-Humans' 2D PCK."""

Scores = tuple[dict[str, float], str]
"""Metric → px or per cent; and the rules, in a sentence."""


@dataclass(frozen=True)
class PictureTruth:
    """Ground truth of the picture's plane: the values of ``scores_pictures``."""

    coco: Place | None
    masks: Path | None
    spin_parts: Path | None
    dense: Place | None
    atlas: str

    @property
    def named(self) -> bool:
        """Whether any is named."""
        return any(value is not None for value in (self.coco, self.masks, self.dense))


def scores_pictures(function: Any) -> Any:
    """The options of ``PictureTruth``, handed over as one ``pictures``."""

    @functools.wraps(function)
    def call(*arguments: Any, **values: Any) -> Any:
        pictures = PictureTruth(**{field.name: values.pop(field.name) for field in fields(PictureTruth)})
        return function(*arguments, pictures=pictures, **values)

    return stack(
        click.option("--coco", type=PLACE, metavar="FILE", help="COCO's person_keypoints_*.json: keypoint AP by OKS."),
        click.option(
            "--masks", type=PATH, metavar="DIR", help="Masks of LSP (UPi-S1h): foreground and part segmentation."
        ),
        click.option(
            "--spin-parts", type=PATH, metavar="DIR", help="SPIN's vertex_texture.npy and cube_parts.npy for --masks."
        ),
        click.option("--dense", type=PLACE, metavar="FILE", help="Side table of marked surface points: AUC to 10 cm."),
        click.option(
            "--atlas", default="charts", show_default=True, help="Charts of --dense: the body's, or UV_Processed.mat."
        ),
    )(call)


def picture_scores(
    console: Console, records: RecordTable, matched: Predictions, body: BodyModel, pictures: PictureTruth
) -> dict[str, Scores]:
    """What can be measured and what was asked for: keypoints, ap, segmentation, dense → their numbers and rules.

    Args:
        matched: a prediction for each record, in order.
    """
    found: dict[str, Callable[[], Scores | None]] = {
        "keypoints": lambda: _keypoints(records, matched, body),
        "ap": lambda: _keypoint_ap(records, matched, body, pictures),
        "segmentation": lambda: _segmentation(console, records, matched, body, pictures),
        "dense": lambda: _dense(console, records, matched, body, pictures),
    }
    scores = {name: measure() for name, measure in found.items()}
    return {name: score for name, score in scores.items() if score is not None}


def _keypoints(records: RecordTable, matched: Predictions, body: BodyModel) -> Scores | None:
    """Over the rows that have a box, keypoints and a predicted camera; None without such rows."""
    import numpy as np

    from hmrtk.toolkit.evaluation.keypoints import crop_sides, keypoint_errors, keypoint_pck, projected_keypoints

    if matched.camera is None:
        return None
    seen = np.isfinite(matched.camera).all(axis=1) & (matched.camera[:, 0] > 0)
    rows = np.flatnonzero(records.has("bbox_xyxy", "keypoints2d") & seen)
    if not len(rows):
        return None
    chosen = records.take(rows)
    errors = keypoint_errors(projected_keypoints(chosen, matched.take(rows), body), chosen.array("keypoints2d"))
    if not np.isfinite(errors).any():
        return None
    side = crop_sides(chosen)
    shares = {f"pck2d_{round(100 * s):02d}": 100 * keypoint_pck(errors, side, s) for s in KEYPOINT_SHARES}
    rules = (
        f"2D keypoints: every known one of {len(rows)} people; PCK within 5 and 10 % of the crop's side (4D-Humans)."
    )
    return {"keypoints2d": float(np.nanmean(errors)), **shares}, rules


def _keypoint_ap(records: RecordTable, matched: Predictions, body: BodyModel, pictures: PictureTruth) -> Scores | None:
    if pictures.coco is None:
        return None
    from hmrtk.toolkit.evaluation.coco_ap import keypoint_ap
    from hmrtk.toolkit.evaluation.keypoints import projected_keypoints

    judged = keypoint_ap(records, projected_keypoints(records, matched, body), pictures.coco)
    rules = (
        f"AP: OKS by pycocotools on {judged.people} people of {judged.truth}; annotated boxes, every score 1 (DaNet)."
    )
    return {name: 100 * value for name, value in judged.values.items()}, rules


def _segmentation(
    console: Console, records: RecordTable, matched: Predictions, body: BodyModel, pictures: PictureTruth
) -> Scores | None:
    if pictures.masks is None:
        return None
    from hmrtk.toolkit.evaluation.segmentation import segment, spin_face_parts

    parts = None if pictures.spin_parts is None else spin_face_parts(pictures.spin_parts)
    found = segment(records, matched, body, pictures.masks, parts, console.progress)
    whose = "skinning" if parts is None else "SPIN's table"
    rules = f"Segmentation: drawn at 224 px, nearest pixel, all pictures pooled (SPIN); parts of faces by {whose}."
    return found.summary(), rules


def _dense(
    console: Console, records: RecordTable, matched: Predictions, body: BodyModel, pictures: PictureTruth
) -> Scores | None:
    if pictures.dense is None:
        return None
    from hmrtk.toolkit.evaluation.dense import dense_score
    from hmrtk.toolkit.maps.atlas_choice import chosen_atlas
    from hmrtk.toolkit.records.dense import DenseTable

    charts = chosen_atlas(pictures.atlas, body)
    found = dense_score(records, DenseTable.read(pictures.dense), matched, body, charts, progress=console.progress)
    rules = (
        f"Dense: {found.points} marked points of {found.people} people, {found.missed} where no body is; AUC up to"
        " 10 cm along the surface (DensePose, DaNet)."
    )
    return {"auc_10": 100 * found.auc}, rules

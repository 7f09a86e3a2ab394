"""Predictions in the picture's plane: 2D keypoints, COCO's AP, LSP's segmentation, and dense points (AUC at 10 cm).

In: records, a prediction for each, and what the metrics are measured against. Out: per metric its numbers and the rules
they were measured by. ``evaluate`` and the tail report call it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.evaluation.coco_ap import keypoint_ap
from hmrtk.toolkit.evaluation.dense import dense_score
from hmrtk.toolkit.evaluation.keypoints import crop_sides, keypoint_errors, keypoint_pck, projected_keypoints
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.evaluation.segmentation import segment, spin_face_parts
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.dense import DenseTable
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable

KEYPOINT_SHARES = (0.05, 0.1)
"""Of the crop's side: thresholds of 4D-Humans' 2D PCK."""


@dataclass(frozen=True)
class PlaneTruth:
    """What the metrics are measured against; None: not given. Keypoints are the records' own.

    Attributes:
        coco: COCO's ``person_keypoints_*.json``.
        masks: folder of UPi-S1h's masks of LSP.
        spin_parts: folder of SPIN's table of parts, for ``masks``.
        marks: side table of marked surface points.
        atlas: the charts that ``marks`` name.
    """

    coco: Place | None = None
    masks: Path | None = None
    spin_parts: Path | None = None
    marks: Place | None = None
    atlas: Atlas | None = None

    def absent(self) -> str:
        """What was not given, in a sentence; empty when all was."""
        named = {
            "keypoint AP (COCO's annotations)": self.coco,
            "segmentation (LSP's masks)": self.masks,
            "AUC at 10 cm (marked surface points)": self.marks,
        }
        lacking = [name for name, given in named.items() if given is None]
        return f"Not measured, since what it needs was not given: {'; '.join(lacking)}." if lacking else ""


@dataclass(frozen=True)
class PlaneScores:
    """Numbers of one kind.

    Attributes:
        values: metric → per cent, or px for ``keypoints2d``.
        rules: by which they were measured, a sentence.
    """

    values: dict[str, float]
    rules: str


def plane_scores(
    records: RecordTable, matched: Predictions, body: BodyModel, truth: PlaneTruth, progress: Progress = silent
) -> list[PlaneScores]:
    """What can be measured and what was asked for.

    Args:
        records: N rows, with or without bodies.
        matched: a prediction for each record, in order.

    Raises:
        InputError: truth that cannot be read, or does not belong to the records.
    """
    found = [_keypoints(records, matched, body)]
    if truth.coco is not None:
        found.append(_keypoint_ap(records, matched, body, truth.coco))
    if truth.masks is not None:
        found.append(_segmentation(records, matched, body, truth.masks, truth.spin_parts, progress))
    if truth.marks is not None and truth.atlas is not None:
        found.append(_dense(records, matched, body, truth.marks, truth.atlas, progress))
    return [scores for scores in found if scores is not None]


def looks_somewhere(predictions: Predictions) -> np.ndarray:
    """(N,) bool: predictions whose camera is finite and has a positive scale."""
    if predictions.camera is None:
        return np.zeros(len(predictions), bool)
    seen: np.ndarray = np.isfinite(predictions.camera).all(axis=1) & (predictions.camera[:, 0] > 0)
    return seen


def _keypoints(records: RecordTable, matched: Predictions, body: BodyModel) -> PlaneScores | None:
    """Over the rows that have a box, keypoints and a predicted camera; None without such rows."""
    rows = np.flatnonzero(records.has("bbox_xyxy", "keypoints2d") & looks_somewhere(matched))
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
    return PlaneScores({"keypoints2d": float(np.nanmean(errors)), **shares}, rules)


def _keypoint_ap(records: RecordTable, matched: Predictions, body: BodyModel, coco: Place) -> PlaneScores:
    judged = keypoint_ap(records, projected_keypoints(records, matched, body), coco)
    rules = (
        f"AP: OKS by pycocotools on {judged.people} people of {judged.truth}; annotated boxes, every score 1 (DaNet)."
    )
    return PlaneScores({name: 100 * value for name, value in judged.values.items()}, rules)


def _segmentation(
    records: RecordTable, matched: Predictions, body: BodyModel, masks: Path, spin_parts: Path | None,
    progress: Progress,
) -> PlaneScores:  # fmt: skip
    parts = None if spin_parts is None else spin_face_parts(spin_parts)
    whose = "skinning" if parts is None else "SPIN's table"
    rules = f"Segmentation: drawn at 224 px, nearest pixel, all pictures pooled (SPIN); parts of faces by {whose}."
    return PlaneScores(segment(records, matched, body, masks, parts, progress).summary(), rules)


def _dense(
    records: RecordTable, matched: Predictions, body: BodyModel, marks: Place, atlas: Atlas, progress: Progress
) -> PlaneScores:
    found = dense_score(records, DenseTable.read(marks), matched, body, atlas, progress=progress)
    rules = (
        f"Dense: {found.points} marked points of {found.people} people, {found.missed} where no body is; AUC up to"
        " 10 cm along the surface (DensePose, DaNet)."
    )
    return PlaneScores({"auc_10": 100 * found.auc}, rules)

"""Systems in the picture's plane, side by side: what ``toolkit.evaluation.picture_plane`` measures of each.

In: records, with or without bodies, predictions with crop cameras, and the truth that each metric needs. Out: per cent
and px per system, a table, and sentences on what the data do not have. Called by ``tail``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hmrtk.reports.tables import Column, Table
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.evaluation.coco_ap import STATISTICS
from hmrtk.toolkit.evaluation.picture_plane import PlaneTruth, looks_somewhere, plane_scores
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.table import RecordTable

_SHOWN = {
    "keypoints2d": ("2D error", "px"), "pck2d_05": ("PCK at 0.05", "%"), "pck2d_10": ("PCK at 0.1", "%"),
    **{name: (name.replace("_", " ").upper().replace("MEDIUM", "M").replace("LARGE", "L"), "%") for name in STATISTICS},
    "foreground_accuracy": ("FB accuracy", "%"), "foreground_f1": ("FB F1", "%"),
    "part_accuracy": ("Part accuracy", "%"), "part_f1": ("Part F1", "%"), "auc_10": ("AUC at 10 cm", "%"),
}  # fmt: skip


@dataclass(frozen=True)
class Plane:
    """What was measured.

    Attributes:
        values: system → metric → per cent, or px for ``keypoints2d``.
        people: system → rows with a box and a predicted camera.
        notes: what was not measured, and why.
    """

    values: dict[str, dict[str, float]]
    people: dict[str, int]
    notes: list[str]

    def table(self) -> Table | None:
        """One row per system, or None when nothing was measured."""
        measured = [name for name in _SHOWN if any(name in values for values in self.values.values())]
        if not measured:
            return None
        columns = [Column("system", "System"), Column("people", "People")]
        columns += [Column(name, *_SHOWN[name], 2 if name.endswith("accuracy") else 1) for name in measured]
        rows = [{"system": name, "people": self.people[name], **values} for name, values in self.values.items()]
        caption = (
            "Bodies projected by their crop cameras (focal length 5000 px at 224 px). 2D error and PCK: annotated "
            "keypoints of these records, thresholds in shares of the crop's side (4D-Humans). AP and AR: COCO's, with "
            "annotated boxes, every score 1. FB, part: foreground and six parts of LSP by SPIN's protocol. AUC at "
            "10 cm: geodesic distances along the surface (DaNet §5.4.1)."
        )
        return Table("picture_plane", "In the picture's plane", caption, columns, rows)


def measure_plane(
    records: RecordTable,
    systems: Mapping[str, Predictions],
    body: BodyModel,
    truth: PlaneTruth,
    progress: Progress = silent,
) -> Plane:
    """Measure every system as far as cameras, boxes and truth go.

    Args:
        records: all rows, also those without bodies.
        systems: name → predictions, for all or some of them.

    Raises:
        InputError: truth that cannot be read, or does not belong to the records.
    """
    values: dict[str, dict[str, float]] = {}
    people, notes = {}, []
    boxed = records.has("bbox_xyxy")
    for name, predictions in systems.items():
        rows = _usable(predictions, records) & boxed
        people[name], values[name] = int(rows.sum()), {}
        if not rows.any():
            notes.append(f"{name}: no prediction has both a crop camera and a record with a box.")
            continue
        chosen = records.take(rows)
        matched = predictions.take(predictions.match(chosen, unknown="ignore"))
        for scores in plane_scores(chosen, matched, body, truth, progress):
            values[name] |= scores.values
    if any(people.values()):
        notes += [truth.absent()] if truth.absent() else []
    return Plane(values, people, notes)


def _usable(predictions: Predictions, records: RecordTable) -> np.ndarray:
    """(N,) records with a prediction whose camera looks somewhere."""
    seen = looks_somewhere(predictions)
    known = {name for name, there in zip(predictions.sample_ids, seen, strict=True) if there}
    return np.array([name in known for name in records.sample_ids], bool)

"""Which record each result is of: by id, by picture and box, or by order.

In: a ``SystemResult`` and records; out: a ``Matching``. ``imported`` calls this. Nothing is dropped silently: records
without a result and results without a record are listed with the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.evaluation.importers.pictures import Key, frame_keys, name_keys, record_frames
from hmrtk.toolkit.evaluation.importers.result import Floats, SystemResult
from hmrtk.toolkit.records.table import RecordTable

How = Literal["auto", "id", "image", "order"]
MIN_IOU = 0.3
"""Intersection over union of squares round two boxes; people whose squares overlap less are not the same."""

ENOUGH = 20
"""So many pairs show whether results and records belong together."""

_NO_PICTURE = "its picture has no result"
_NO_OVERLAP = "no box of its picture overlaps it enough"
_NO_BOX = "several people in its picture, and no boxes to tell them apart"


@dataclass
class Matching:
    """Pairs of records and results.

    Attributes:
        how: what they were matched by: ``id``, ``image and box``, ``frame and box`` or ``order``.
        rows: (records,) row of each record's result, -1 where it has none.
        reasons: record without a result → why.
        unused: rows of results that no record took.
        notes: what looks odd.
    """

    how: str
    rows: NDArray[np.int64]
    reasons: dict[int, str] = field(default_factory=dict)
    unused: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def match(
    result: SystemResult,
    records: RecordTable,
    how: How = "auto",
    min_iou: float = MIN_IOU,
    first_frame: int = 0,
) -> Matching:
    """Pair results with records.

    Args:
        result: of a system.
        records: those that were predicted.
        how: ``auto`` takes the first of id, image and order that the file and the records make possible.
        min_iou: as ``MIN_IOU``.
        first_frame: number that the records give to a video's first frame.

    Raises:
        UnknownNameError: an unknown ``how``.
        InputError: what was asked for is impossible, with the reason; an id that occurs twice; another count.
    """
    if how not in get_args(How):
        raise UnknownNameError("way to match", how, get_args(How))
    obstacles = _obstacles(result, records)
    chosen = next((name for name in ("id", "image", "order") if not obstacles[name]), None) if how == "auto" else how
    if chosen is None:
        listed = "; ".join(f"by {name}: {why}" for name, why in obstacles.items())
        raise InputError(result.place, f"cannot be matched to {records.place}, {listed}")
    if obstacles[chosen]:
        raise InputError(result.place, f"cannot be matched by {chosen}: {obstacles[chosen]}")
    if chosen == "id":
        found = _by_id(result, records)
    elif chosen == "image":
        found = _by_picture(result, records, min_iou, first_frame)
    else:
        found = Matching("order", np.arange(len(records)))
    for record in np.flatnonzero(np.isin(found.rows, list(result.broken))).tolist():
        row = int(found.rows[record])
        found.rows[record], found.reasons[record] = -1, f"{result.names[row]}: {result.broken[row]}"
    found.notes += _fit_notes(result, records, found.rows)
    return found


def square_iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of the squares round boxes (A, 4) and (B, 4) → (A, B).

    A square has its box's centre and longer side: detectors and annotations differ in a box's shape more than in that.
    """
    corners = []
    for box in (np.asarray(a, np.float64), np.asarray(b, np.float64)):
        middle, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]).max(axis=1, keepdims=True) / 2
        corners.append((middle - half, middle + half))
    (low_a, high_a), (low_b, high_b) = corners
    shared = np.minimum(high_a[:, None], high_b[None]) - np.maximum(low_a[:, None], low_b[None])  # (A, B, 2)
    inside = np.clip(shared, 0, None).prod(axis=2)
    area_a, area_b = ((high - low).prod(axis=1) for low, high in corners)
    return inside / np.maximum(area_a[:, None] + area_b[None] - inside, np.finfo(np.float64).tiny)


def _obstacles(result: SystemResult, records: RecordTable) -> dict[str, str]:
    """Why each way is impossible; empty where it is possible."""
    pictured = result.images is not None and records.has("image_path").any()
    framed = result.frames is not None and records.has("sequence", "frame").any()
    lacks = "pictures or frames" if result.images is None and result.frames is None else ""
    return {
        "id": "" if result.ids is not None else "the file has no sample_id",
        "image": ""
        if pictured or framed
        else (f"the file has no {lacks}" if lacks else "the records have no image_path, or no sequence and frame"),
        "order": ""
        if len(result) == len(records)
        else f"{len(result)} results for {len(records)} records in {records.place}",
    }


def _by_id(result: SystemResult, records: RecordTable) -> Matching:
    row_of: dict[str, int] = {}
    for row, name in enumerate(result.ids or []):
        if name in row_of:
            raise InputError(f"{result.place} row {row}", f"sample_id {name!r} is already in row {row_of[name]}")
        row_of[name] = row
    rows = np.array([row_of.get(name, -1) for name in records.sample_ids], np.int64)
    reasons = {int(record): "its sample_id is not in the file" for record in np.flatnonzero(rows < 0)}
    return Matching("id", rows, reasons, _left_over(rows, len(result)))


def _by_picture(result: SystemResult, records: RecordTable, min_iou: float, first_frame: int) -> Matching:
    how, mine, theirs, notes = _picture_keys(result, records, first_frame)
    results_of: defaultdict[Any, list[int]] = defaultdict(list)
    for row, key in enumerate(mine):
        if key is not None:
            results_of[key].append(row)
    records_of: defaultdict[Any, list[int]] = defaultdict(list)
    for record, record_key in enumerate(theirs):
        records_of[record_key].append(record)
    rows, reasons = np.full(len(records), -1), {}
    boxes = records.array("bbox_xyxy").astype(np.float64)
    for key, people in records_of.items():
        candidates = results_of.get(key, []) if key is not None else []
        pairs, why = _people(result.boxes, boxes, candidates, people, min_iou)
        for record in people:
            if record in pairs:
                rows[record] = pairs[record]
            else:
                reasons[record] = why
    boxed = " and box" if result.boxes is not None else ""
    return Matching(how + boxed, rows, dict(sorted(reasons.items())), _left_over(rows, len(result)), notes)


def _picture_keys(
    result: SystemResult, records: RecordTable, first_frame: int
) -> tuple[str, Sequence[Key | None], Sequence[Key | None], list[str]]:
    """What tells pictures apart: how, (N) keys of the results, (records) keys of the records, and notes."""
    if result.images is not None:
        paths = records.table["image_path"].to_pylist()
        keys, notes = name_keys(result.images, paths, result.place)
        if result.frames is None or any(key is not None for key in keys):
            return "image", keys, paths, notes
    if result.frames is None:
        raise InputError(result.place, "has neither names of pictures nor numbers of frames")
    videos = result.video or [None] * len(result)
    return "frame", frame_keys(result.frames, videos, records, result.place, first_frame), record_frames(records), []


def _people(
    mine: Floats | None, theirs: Floats, candidates: list[int], people: list[int], min_iou: float
) -> tuple[dict[int, int], str]:
    """The result of each person in one picture, as many as overlap; and why the others have none."""
    if not candidates:
        return {}, _NO_PICTURE
    if mine is None or np.isnan(theirs[people]).any():
        return ({people[0]: candidates[0]}, "") if len(candidates) == len(people) == 1 else ({}, _NO_BOX)
    overlap = square_iou(mine[candidates], theirs[people])
    first, second = linear_sum_assignment(-np.where(overlap < min_iou, -1.0, overlap))
    pairs = {people[b]: candidates[a] for a, b in zip(first, second, strict=True) if overlap[a, b] >= min_iou}
    return pairs, _NO_OVERLAP


def _left_over(rows: NDArray[np.int64], count: int) -> list[int]:
    return sorted(set(range(count)) - set(rows.tolist()))


def _fit_notes(result: SystemResult, records: RecordTable, rows: NDArray[np.int64]) -> list[str]:
    """A warning where results fit their records no better than records half the table away."""
    paired = np.flatnonzero((rows >= 0) & records.has("global_orient", "body_pose"))
    if len(paired) < ENOUGH:
        return []
    mine = result.parameters.pose[rows[paired]].reshape(len(paired), -1)
    columns = [records.array("global_orient")[paired, None], records.array("body_pose")[paired]]
    truth = np.concatenate(columns, axis=1).reshape(len(paired), -1)
    far = np.roll(truth, len(paired) // 2, axis=0)
    here, there = (float(np.median(np.linalg.norm(mine - other, axis=1))) for other in (truth, far))
    if here < there:
        return []
    return ["the results fit their records no better than records half the table away: are they of the same pictures?"]

"""Other systems' result files → ``Predictions`` for records: read, match, convert, and say what did not fit.

In: files, their format and the records they are of; out: ``Imported``. The command ``import-predictions`` and scripts
call ``import_predictions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.cameras import projected_boxes, record_cameras
from hmrtk.toolkit.evaluation.importers.matching import MIN_IOU, How, Matching, match
from hmrtk.toolkit.evaluation.importers.pictures import record_frames
from hmrtk.toolkit.evaluation.importers.registry import result_format
from hmrtk.toolkit.evaluation.importers.result import FullCamera, SystemResult
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.artefact import file_fingerprint, provenance
from hmrtk.toolkit.records.crops import EXPANSION
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.wording import counted

COMPARED = 256
"""So many bodies are compared with the joints of their file."""
ANOTHER_BODY_MM = 5.0
"""Joints of a file that are farther than this from the active body's, on average, are of another body."""
NAMED = 5
"""So many of the records and results that did not fit are named."""


@dataclass(frozen=True)
class ImportConfig:
    """How to read result files.

    Attributes:
        format: a name of ``registry.FORMATS``.
        name: the system's name in tables; None takes the format's.
        match: ``auto``, ``id``, ``image`` or ``order``.
        missing: what to do about records without a result: ``refuse``, or ``drop`` them.
        min_iou: people whose boxes' squares overlap less are not the same.
        sequence: video that the results are of; None looks for the records' names in the file's path.
        first_frame: number that the records give to a video's first frame.
        expansion: side of the system's crops over the records' boxes, for formats that do not say where crops are.
    """

    format: str
    name: str | None = None
    match: How = "auto"
    missing: Literal["refuse", "drop"] = "refuse"
    min_iou: float = MIN_IOU
    sequence: str | None = None
    first_frame: int = 0
    expansion: float = EXPANSION


@dataclass(frozen=True, eq=False)
class Imported:
    """Predictions, and what they cover.

    Attributes:
        predictions: one for each of ``records``, in that order.
        records: the records that have a result; fewer than were asked about only with ``missing="drop"``.
        report: counts, how rows were matched, and the first of what did not fit, as plain JSON values.
    """

    predictions: Predictions
    records: RecordTable
    report: dict[str, Any]


def import_predictions(
    paths: Sequence[Path], records: RecordTable, body: BodyModel, config: ImportConfig, progress: Progress = silent
) -> Imported:
    """Read result files as predictions for records.

    Args:
        paths: one file or several of one format; by order, their rows follow one another.
        records: what the system was run on.
        body: the (neutral) body of the predictions; has to be the records'.
        config: format, and how to match.
        progress: told of each file.

    Raises:
        UnknownNameError: the format, or the way to match.
        BodyMismatchError: the records were made with another body.
        InputError: a file that cannot be read, results that cannot be matched, or (``refuse``) records without one.
    """
    records.require_body(body.fingerprint)
    form = result_format(config.format)
    parts = []
    for done, path in enumerate(paths):
        part = _with_video(form.read(path, body), path, records, config.sequence)
        parts.append(_with_boxes(part, records, body))
        progress("read results", done + 1, len(paths), path.name)
    place = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    result = SystemResult.concatenate(parts, place)
    result = replace(result, notes=(*result.notes, *_body_notes(result, body)))
    matching = match(result, records, config.match, config.min_iou, config.first_frame)
    report = _report(result, records, matching) | {"format": config.format, "system": config.name or form.system}
    covered = np.flatnonzero(matching.rows >= 0)
    _require_covered(result, records, matching, config)
    kept = records if len(covered) == len(records) else records.take(covered)
    inputs = {"records": records.fingerprint} | {path.as_posix(): file_fingerprint(path) for path in paths}
    origin = provenance("import-predictions", asdict(config), body.fingerprint, inputs, None) | {"matching": report}
    return Imported(_predictions(result, matching.rows[covered], kept, config, report["system"], origin), kept, report)


def _with_video(result: SystemResult, path: Path, records: RecordTable, sequence: str | None) -> SystemResult:
    """The result with the name of its video: the one that was given, or the part of its path that names one."""
    if result.frames is None:
        return result
    if sequence is not None:
        return replace(result, video=[sequence] * len(result))
    if result.video is not None:
        return result
    known = {key[0] for key in record_frames(records) if key is not None}
    known |= {name.rsplit("/", 1)[-1] for name in known}
    parts = (path.stem, *reversed(path.absolute().parent.parts))
    return replace(result, video=[next((part for part in parts if part in known), None)] * len(result))


def _with_boxes(result: SystemResult, records: RecordTable, body: BodyModel) -> SystemResult:
    """The result with boxes round its bodies before the full camera, where the file has no boxes.

    Where it has no picture size either, that of the records of its video is taken, if they have but one.
    """
    if result.boxes is not None or not isinstance(result.camera, FullCamera):
        return result
    camera = result.camera
    if np.isnan(camera.image_size).any():
        sizes = _picture_sizes(records, set(result.video or [None]))
        if len(sizes) != 1:
            return result
        camera = replace(camera, image_size=np.where(np.isnan(camera.image_size), sizes, camera.image_size))
    boxes = projected_boxes(result.parameters, camera, body)
    return replace(result, boxes=None if np.isnan(boxes).any() else boxes)


def _body_notes(result: SystemResult, body: BodyModel) -> list[str]:
    """A warning where the joints of the file are not those that the active body has in the same pose."""
    sound = np.array([row for row in range(len(result)) if row not in result.broken][:COMPARED], np.int64)
    if result.joints3d is None or not len(sound):
        return []
    posed = body.pose(result.parameters[sound])
    mine = {
        "smpl24": lambda: posed.joints,
        "spin24": lambda: body.spin24(posed),
        "h36m17": lambda: body.regress(posed.vertices, "h36m17"),
    }[result.joint_set]()
    apart = 1000 * float(np.linalg.norm(result.joints3d[sound] - mine, axis=-1).mean())
    if apart <= ANOTHER_BODY_MM:
        return []
    return [
        f"the file's own joints are {apart:.0f} mm from those of the active body ({body.place}) on average: "
        "it is not the system's body (pass --body), or pose and shape are not what they are called"
    ]


def _picture_sizes(records: RecordTable, videos: set[str | None]) -> np.ndarray:
    """The different (height, width) of the records' pictures, (S, 2); of some videos, unless one is None."""
    of_video = [
        None in videos or (key is not None and (key[0] in videos or key[0].rsplit("/", 1)[-1] in videos))
        for key in record_frames(records)
    ]
    return np.unique(records.array("image_size")[np.array(of_video) & records.has("image_size")], axis=0)


def _report(result: SystemResult, records: RecordTable, matching: Matching) -> dict[str, Any]:
    ids = records.sample_ids
    missing = [f"{ids[record]}: {why}" for record, why in matching.reasons.items()]
    return {
        "matched_by": matching.how,
        "records": len(records),
        "results": len(result),
        "predictions": int((matching.rows >= 0).sum()),
        "records_without_result": {"count": len(missing), "first": missing[:NAMED]},
        "results_without_record": {
            "count": len(matching.unused),
            "first": [result.names[row] for row in matching.unused[:NAMED]],
        },
        "notes": [*result.notes, *matching.notes],
    }


def _require_covered(result: SystemResult, records: RecordTable, matching: Matching, config: ImportConfig) -> None:
    missing = list(matching.reasons.items())
    if len(missing) == len(records):
        record, why = missing[0]
        path = records.table["image_path"][record].as_py()
        compared = f" (it is {path!r}, the file's first is {result.images[0]!r})" if path and result.images else ""
        raise InputError(
            result.place,
            f"has no result for any of {len(records)} records of {records.place}, matched by {matching.how}; "
            f"{records.sample_ids[record]!r}: {why}{compared}",
        )
    if missing and config.missing == "refuse":
        ids = records.sample_ids
        first = ", ".join(f"{ids[record]!r} ({why})" for record, why in missing[:3])
        raise InputError(
            result.place,
            f"{len(missing)} of {len(records)} records have no result, matched by {matching.how}; the first: {first}",
            f"--missing drop keeps the other {len(records) - len(missing)}, and says so",
        )


def _predictions(
    result: SystemResult,
    rows: np.ndarray,
    records: RecordTable,
    config: ImportConfig,
    system: str,
    origin: dict[str, Any],
) -> Predictions:
    camera = None
    if result.camera is not None:
        part = replace(
            result.camera,
            **{name: value[rows] for name, value in vars(result.camera).items() if value is not None},
        )
        camera = record_cameras(part, records, config.expansion)
    metadata = PredictionsMetadata(
        system=system, body=records.metadata.body, joint_set=result.joint_set, provenance=origin
    )
    joints = None if result.joints3d is None else result.joints3d[rows].astype(np.float16)
    predictions = Predictions(
        records.sample_ids, result.parameters[rows], metadata, camera, joints, place=f"{result.place} (imported)"
    )
    predictions.validate()
    return predictions


def report_lines(report: dict[str, Any]) -> list[str]:
    """A finished import in words."""
    lines = [
        f"{report['system']}: {counted(report['predictions'], 'prediction')} for "
        f"{counted(report['records'], 'record')}, matched by {report['matched_by']}"
    ]
    for key, what in (("records_without_result", "record"), ("results_without_record", "result")):
        found = report[key]
        if found["count"]:
            other = "no result" if what == "record" else "no record"
            more = f" … and {found['count'] - len(found['first'])} more" if found["count"] > len(found["first"]) else ""
            lines.append(f"{counted(found['count'], what)} with {other}: {'; '.join(found['first'])}{more}")
    return lines + [f"note: {note}" for note in report["notes"]]

"""COCO's keypoint AP by object keypoint similarity. The one door to pycocotools, imported when it is needed.

In: projected joints of records of COCO (``keypoints.projected_keypoints``); out: AP and AR as COCO defines them. Rules
of DaNet §5.3 and PyMAF §4.2: annotated boxes instead of a detector, the 17 keypoints of ``coco17`` (with LSP's hips),
score 1 for every keypoint and every person, no suppression of neighbours.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import COCO17_NAMES, J24_TO_COCO17
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable

STATISTICS = ("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar", "ar50", "ar75", "ar_medium", "ar_large")
"""What pycocotools summarises, in its order."""

PIXEL_CENTRE = 0.5
"""COCO counts pixels from 0 at their centres, hmrtk puts the first centre at 0.5."""

PERSON = 1
_IMAGE_ID = re.compile(r"(\d{12})(?:\D|$)")


@dataclass(frozen=True)
class KeypointAP:
    """COCO's ten numbers.

    Attributes:
        values: name of ``STATISTICS`` → 0..1; NaN where there is no person of that size.
        people: how many were judged.
        truth: where keypoints and areas came from.
    """

    values: dict[str, float]
    people: int
    truth: str


def keypoint_ap(records: RecordTable, projected: NDArray[Any], annotations: Place | None = None) -> KeypointAP:
    """Judge projected joints by COCO's rules, in the pictures that the records name.

    Args:
        records: N people of COCO; the picture's number is the 12 digits of ``image_path``, else of ``sample_id``.
        projected: (N, 24, 2) px of the full image.
        annotations: COCO's ``person_keypoints_*.json``, which every published AP is measured against; people of the
            pictures that are no record count as missed. None: the records' own keypoints, with the area of the box in
            the place of the outline's, which makes every similarity larger: comparable only with itself.

    Raises:
        InputError: no picture number, positions that are not finite (by row), or a file that is not COCO's or lacks a
            picture.
    """
    numbers = image_numbers(records)
    truth = _of_records(records, numbers) if annotations is None else _of_file(annotations, set(numbers))
    results = _results(records, projected, numbers)
    values, people = _evaluated(truth, results)
    told = "the records' keypoints and the area of their boxes" if annotations is None else str(annotations)
    return KeypointAP(dict(zip(STATISTICS, values, strict=True)), people, told)


def image_numbers(records: RecordTable) -> list[int]:
    """COCO's number of each record's picture.

    Raises:
        InputError: a row whose names hold no 12 digits.
    """
    found = []
    paths, ids = records.table["image_path"].to_pylist(), records.sample_ids
    for row, names in enumerate(zip(paths, ids, strict=True)):
        match = next((m for name in names if name and (m := _IMAGE_ID.search(name))), None)
        if match is None:
            raise InputError(
                f"{records.place} row {row}", f"neither image_path {names[0]!r} nor sample_id {names[1]!r} holds the"
                " 12-digit number of a COCO picture", "AP is defined on COCO's pictures",
            )  # fmt: skip
        found.append(int(match[1]))
    return found


def _results(records: RecordTable, projected: NDArray[Any], numbers: list[int]) -> list[dict[str, Any]]:
    """pycocotools' list of results."""
    if projected.shape != (len(records), 24, 2):
        raise InputError("projected keypoints", f"expected shape {(len(records), 24, 2)}, got {projected.shape}")
    bad = ~np.isfinite(projected).all(axis=(1, 2))
    if bad.any():
        raise InputError(f"{records.place} row {int(bad.argmax())}", "its projected keypoints are not finite")
    places = projected[:, list(J24_TO_COCO17)] - PIXEL_CENTRE
    points = np.concatenate([places, np.ones((len(places), 17, 1))], axis=-1).reshape(-1, 51)
    return [
        {"image_id": number, "category_id": PERSON, "keypoints": row.tolist(), "score": 1.0}
        for number, row in zip(numbers, points, strict=True)
    ]


def _of_records(records: RecordTable, numbers: list[int]) -> dict[str, Any]:
    """The records as a COCO data set."""
    keypoints = np.nan_to_num(records.array("keypoints2d").astype(np.float64))[:, list(J24_TO_COCO17)]
    visible = keypoints[..., 2] > 0
    if not visible.any():
        raise InputError(records.place, "no row has a keypoint of COCO's 17", "pass COCO's annotation file")
    boxes = records.array("bbox_xyxy").astype(np.float64)
    people = []
    for row, number in enumerate(numbers):
        points = np.where(visible[row, :, None], keypoints[row, :, :2] - PIXEL_CENTRE, 0)
        flags = np.where(visible[row], 2, 0)
        x0, y0, x1, y1 = boxes[row].tolist()
        people.append({
            "id": row + 1, "image_id": number, "category_id": PERSON, "iscrowd": 0,
            "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0),
            "num_keypoints": int(visible[row].sum()),
            "keypoints": np.concatenate([points, flags[:, None]], axis=1).ravel().tolist(),
        })  # fmt: skip
    return _dataset(people, set(numbers))


def _of_file(path: Place, numbers: set[int]) -> dict[str, Any]:
    """COCO's own annotations of some pictures."""
    with open_input(path) as stream:
        data = stream.read()
    try:
        content = json.loads(data, object_hook=_without_outlines)
        images = {picture["id"] for picture in content["images"]}
        people = [person for person in content["annotations"] if person["image_id"] in numbers]
        complete = all(len(person["keypoints"]) == 3 * len(COCO17_NAMES) and "area" in person for person in people)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise InputError(
            path, "is not COCO's person keypoints (json)", "for example person_keypoints_val2014.json"
        ) from None
    if not complete:
        raise InputError(path, "has people without area or 17 keypoints", "expected COCO's person keypoints")
    missing = sorted(numbers - images)
    if missing:
        raise InputError(
            path, f"has no picture {missing[0]} ({len(missing)} are missing)", "pass the file of the split"
        )
    return _dataset(people, numbers)


def _without_outlines(item: dict[str, Any]) -> dict[str, Any]:
    """Outlines are most of the file, and keypoints are judged without."""
    item.pop("segmentation", None)
    return item


def _dataset(people: list[dict[str, Any]], numbers: set[int]) -> dict[str, Any]:
    category = {"id": PERSON, "name": "person", "keypoints": list(COCO17_NAMES), "skeleton": []}
    return {"images": [{"id": n} for n in sorted(numbers)], "annotations": people, "categories": [category], "info": {}}


def _evaluated(truth: dict[str, Any], results: list[dict[str, Any]]) -> tuple[list[float], int]:
    """pycocotools' ten numbers, and how many true people count."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with _silence():
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results), "keypoints")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    counted = sum(1 for person in truth["annotations"] if person["num_keypoints"] and not person["iscrowd"])
    return [float(value) if value > -1 else float("nan") for value in judge.stats], counted


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """pycocotools prints its tables."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield

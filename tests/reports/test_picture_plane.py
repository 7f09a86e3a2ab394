"""The picture's plane: what is measured with cameras, what is not and why, and AP against a file of COCO's form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrtk.reports.picture_plane import measure_plane
from hmrtk.toolkit.body.joints import J24_TO_COCO17
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.evaluation.keypoints import projected_keypoints
from hmrtk.toolkit.evaluation.picture_plane import PlaneTruth
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.records.table import RecordTable

from .conftest import COUNT, Tiny, tiny_records


def with_cameras(tiny: Tiny, noise: float = 0.0) -> Predictions:
    camera = np.tile(np.array([0.9, 0.0, 0.0], np.float32), (COUNT, 1))
    return replace(tiny.predictions("a", noise), camera=camera)


def pictured(tiny: Tiny, body: BodyModel) -> RecordTable:
    """Records of COCO whose keypoints are where the true bodies fall."""
    boxes = {"bbox_xyxy": np.tile([100.0, 50, 200, 250], (COUNT, 1))}
    names = {"image_path": [f"val2014/COCO_val2014_{i:012d}.jpg" for i in range(COUNT)]}
    bare = tiny_records(body, "coco", **boxes, **names)
    points = projected_keypoints(bare, with_cameras(tiny), body)
    keypoints = np.concatenate([points, np.ones((COUNT, 24, 1))], axis=2)
    return tiny_records(body, "coco", **boxes, **names, keypoints2d=keypoints)


def annotations(records: RecordTable, place: Path) -> Path:
    people = []
    for row, points in enumerate(records.array("keypoints2d")[:, list(J24_TO_COCO17)]):
        triples = np.concatenate([points[:, :2] - 0.5, np.full((17, 1), 2)], axis=1)
        people.append({
            "id": row + 1, "image_id": row, "category_id": 1, "iscrowd": 0, "bbox": [100, 50, 100, 200],
            "area": 9000.0, "num_keypoints": 17, "keypoints": triples.ravel().tolist(),
        })  # fmt: skip
    place.write_text(json.dumps({"images": [{"id": i} for i in range(COUNT)], "annotations": people}))
    return place


def test_a_perfect_system_in_the_picture(tiny: Tiny, body: BodyModel, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    records = pictured(tiny, body)
    truth = PlaneTruth(coco=annotations(records, tmp_path / "person_keypoints_val2014.json"))
    plane = measure_plane(records, {"a": with_cameras(tiny), "b": with_cameras(tiny, 0.5)}, body, truth)
    perfect, worse = plane.values["a"], plane.values["b"]
    assert perfect["keypoints2d"] == pytest.approx(0, abs=1e-3)
    assert (perfect["pck2d_05"], perfect["ap"], perfect["ap_medium"]) == pytest.approx((100, 100, 100))
    assert worse["keypoints2d"] > 3
    assert worse["ap"] < 100
    assert plane.people == {"a": COUNT, "b": COUNT}
    table = plane.table()
    assert table is not None
    assert [c.heading for c in table.columns[:5]] == [
        "System", "People", "2D error (px)", "PCK at 0.05 (%)", "PCK at 0.1 (%)",
    ]  # fmt: skip
    assert plane.notes == [
        "Not measured, since what it needs was not given: segmentation (LSP's masks); AUC at 10 cm (marked surface "
        "points)."
    ]


def test_without_cameras_nothing_is_measured_and_it_says_so(tiny: Tiny, body: BodyModel) -> None:
    plane = measure_plane(tiny.records, {"a": tiny.predictions("a", 0.1)}, body, PlaneTruth())
    assert plane.table() is None
    assert plane.notes == ["a: no prediction has both a crop camera and a record with a box."]


def test_rows_without_a_body_count_too(tiny: Tiny, body: BodyModel) -> None:
    records = pictured(tiny, body)
    columns = {n: records.array(n) for n in ("sample_id", "dataset", "split", "bbox_xyxy", "keypoints2d")}
    bare = RecordTable.from_columns(columns, records.metadata)
    assert measure_plane(bare, {"a": with_cameras(tiny)}, body, PlaneTruth()).people == {"a": COUNT}


def test_rows_without_a_camera_are_left_out(tiny: Tiny, body: BodyModel) -> None:
    some = with_cameras(tiny)
    assert some.camera is not None
    some.camera[3] = np.nan
    some.camera[4, 0] = -1
    plane = measure_plane(pictured(tiny, body), {"a": some}, body, PlaneTruth())
    assert plane.people == {"a": COUNT - 2}


def test_segmentation_where_there_are_masks(tiny: Tiny, body: BodyModel, tmp_path: Path) -> None:
    """Masks that call the whole picture a person: the accuracy is the share of it that the body covers."""
    records = pictured(tiny, body)
    for row in range(COUNT):
        name = f"COCO_val2014_{row:012d}_segmentation.png"
        cv2.imwrite(str(tmp_path / name), np.full((300, 300), 255, np.uint8))
    plane = measure_plane(records, {"a": with_cameras(tiny)}, body, PlaneTruth(masks=tmp_path))
    assert 2 < plane.values["a"]["foreground_accuracy"] < 40
    table = plane.table()
    assert table is not None
    assert "FB accuracy (%)" in [c.heading for c in table.columns]
    assert "segmentation" not in plane.notes[0]

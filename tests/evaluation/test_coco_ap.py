"""Keypoint AP: equal to pycocotools run by hand on files, one for the truth itself, and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.coco_ap import STATISTICS, image_numbers, keypoint_ap
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable

PEOPLE = 60
# COCO's keypoint i → row of spin24, written out: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
SLOTS = [19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]


@pytest.fixture
def annotations() -> list[dict[str, Any]]:
    """People as COCO annotates them: 0-based pixels, some keypoints unlabelled, small to large, two to a picture."""
    rng = np.random.default_rng(0)
    people = []
    for i in range(PEOPLE):
        width, height = rng.uniform(30, 300, 2)
        x, y = rng.uniform(0, 300, 2)
        flags = rng.integers(0, 3, 17) if i % 10 else np.zeros(17, int)
        points = np.where(flags[:, None] > 0, np.round(rng.uniform(0, 1, (17, 2)) * (width, height) + (x, y)), 0)
        people.append({
            "id": 1000 + i, "image_id": 7 + i // 2, "category_id": 1, "iscrowd": 0,
            "num_keypoints": int((flags > 0).sum()),
            "bbox": [x, y, width, height], "area": 0.5 * width * height, "segmentation": [[0, 0, 1, 1, 2, 2]],
            "keypoints": np.concatenate([points, flags[:, None]], axis=1).ravel().tolist(),
        })  # fmt: skip
    return people


def _file(path: Path, people: list[dict[str, Any]]) -> Path:
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in sorted({p["image_id"] for p in people})]
    category = {"id": 1, "name": "person", "keypoints": ["k"] * 17, "skeleton": []}
    path.write_text(json.dumps({"images": images, "annotations": people, "categories": [category], "info": {}}))
    return path


def _records(people: list[dict[str, Any]]) -> RecordTable:
    """Records as the COCO reader makes them: half a pixel is added to the keypoints."""
    raw = np.array([p["keypoints"] for p in people], np.float64).reshape(-1, 17, 3)
    placed = np.zeros((len(people), 24, 3))
    known = raw[..., 2:] > 0
    placed[:, SLOTS] = np.where(known, np.concatenate([raw[..., :2] + 0.5, known], axis=-1), 0)
    boxes = np.array([p["bbox"] for p in people])
    columns = {
        "sample_id": [f"coco/val/{p['image_id']:012d}/{p['id']}" for p in people],
        "dataset": "coco", "split": "val",
        "image_path": [f"val2014/COCO_val2014_{p['image_id']:012d}.jpg" for p in people],
        "bbox_xyxy": np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        "keypoints2d": placed,
    }  # fmt: skip
    return RecordTable.from_columns(columns, RecordMetadata(body="b"))


def _projected(people: list[dict[str, Any]], noise: float) -> np.ndarray:
    """What a body would project to: the truth where it is labelled, else the box's middle; moved by a share of it."""
    rng = np.random.default_rng(1)
    result = rng.uniform(0, 300, (len(people), 24, 2))
    for row, person in enumerate(people):
        points = np.array(person["keypoints"]).reshape(17, 3)
        box = np.array(person["bbox"])
        points = np.where(points[:, 2:] > 0, points[:, :2], box[:2] + box[2:] / 2)
        result[row, SLOTS] = points + 0.5 + noise * np.sqrt(person["area"]) * rng.normal(size=(17, 2))
    return result


def _by_hand(path: Path, people: list[dict[str, Any]], projected: np.ndarray) -> list[float]:
    """pycocotools as its own demo runs it, on a file of truth and a file of results."""
    results = [
        {"image_id": p["image_id"], "category_id": 1, "score": 1.0,
         "keypoints": np.concatenate([xy[SLOTS] - 0.5, np.ones((17, 1))], axis=1).ravel().tolist()}
        for p, xy in zip(people, projected, strict=True)
    ]  # fmt: skip
    answer = path.with_name("results.json")
    answer.write_text(json.dumps(results))
    truth = COCO(str(path))
    judge = COCOeval(truth, truth.loadRes(str(answer)), "keypoints")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return list(judge.stats)


def test_ap_equals_pycocotools_by_hand(
    annotations: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, projected = _file(tmp_path / "person_keypoints_val2014.json", annotations), _projected(annotations, 0.12)
    expected = _by_hand(path, annotations, projected)
    capsys.readouterr()
    found = keypoint_ap(_records(annotations), projected, path)
    assert capsys.readouterr().out == ""
    assert list(found.values.values()) == pytest.approx(expected, abs=1e-12)
    assert 0.05 < found.values["ap"] < 0.95
    assert list(found.values) == list(STATISTICS)
    assert found.people == PEOPLE - 6
    assert found.truth == str(path)


def test_the_truth_itself_scores_one(annotations: list[dict[str, Any]], tmp_path: Path) -> None:
    records, projected = _records(annotations), _projected(annotations, 0)
    for path in (None, _file(tmp_path / "person_keypoints_val2014.json", annotations)):
        found = keypoint_ap(records, projected, path)
        assert found.values["ap"] == pytest.approx(1)
        assert found.values["ar"] == pytest.approx(1)


def test_without_a_file_the_boxes_area_is_larger(annotations: list[dict[str, Any]], tmp_path: Path) -> None:
    path, projected = _file(tmp_path / "a.json", annotations), _projected(annotations, 0.12)
    loose, strict = keypoint_ap(_records(annotations), projected), keypoint_ap(_records(annotations), projected, path)
    assert loose.values["ap"] > strict.values["ap"]
    assert "area of their boxes" in loose.truth
    tiny = [dict(p, area=2.0) for p in annotations]
    assert np.isnan(keypoint_ap(_records(tiny), projected, _file(path, tiny)).values["ap_large"])


def test_people_without_a_record_are_missed(annotations: list[dict[str, Any]], tmp_path: Path) -> None:
    path, projected = _file(tmp_path / "a.json", annotations), _projected(annotations, 0)
    half = np.arange(1, PEOPLE, 2)
    found = keypoint_ap(_records(annotations).take(half), projected[half], path)
    assert found.values["ap"] < 0.7  # one of two people in every picture
    first = np.arange(4)  # but pictures without a record do not count
    assert keypoint_ap(_records(annotations).take(first), projected[first], path).values["ap"] == pytest.approx(1)


def test_errors_name_what_is_wrong(annotations: list[dict[str, Any]], tmp_path: Path) -> None:
    records, projected = _records(annotations), _projected(annotations, 0)
    other = RecordTable.from_columns(
        {"sample_id": ["lsp/test/im1001/0"], "dataset": "lsp", "split": "test"}, records.metadata
    )
    with pytest.raises(InputError, match="row 0: neither image_path None nor sample_id 'lsp/test/im1001/0' holds the"):
        image_numbers(other)
    with pytest.raises(InputError, match=r"projected keypoints: expected shape \(60, 24, 2\), got \(60, 17, 2\)"):
        keypoint_ap(records, projected[:, :17])
    broken = projected.copy()
    broken[5, 3, 0] = np.inf
    with pytest.raises(InputError, match="records row 5: its projected keypoints are not finite"):
        keypoint_ap(records, broken)
    path = tmp_path / "a.json"
    for text in ('{"images": [', '{"images": []}', "[1, 2]"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"a.json: is not COCO's person keypoints"):
            keypoint_ap(records, projected, path)
    with pytest.raises(InputError, match=r"a.json: has people without area or 17 keypoints"):
        keypoint_ap(records, projected, _file(path, [dict(p, keypoints=[1, 2, 2]) for p in annotations]))
    with pytest.raises(InputError, match=r"a.json: has no picture 9 \(28 are missing\)"):
        keypoint_ap(records, projected, _file(path, annotations[:4]))
    blind = records.array("keypoints2d").copy()
    blind[..., 2] = 0
    columns = {"sample_id": records.sample_ids, "dataset": "coco", "split": "val", "keypoints2d": blind}
    with pytest.raises(InputError, match="records: no row has a keypoint of COCO's 17"):
        keypoint_ap(RecordTable.from_columns(columns, records.metadata), projected)

"""Copies of data sets that are whole, incomplete, damaged or of another size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.dataset_check import verify_dataset
from hmrtk.toolkit.errors import InputError, UnknownNameError
from tests.cli.test_data import BVH


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


def test_what_ships_is_whole(body: BodyModel) -> None:
    report = verify_dataset("embedded", None, None, body)
    assert report.ok, report.problems
    assert report.rows == {"train": 12000, "val": 2000, "test": 2000}
    assert json.loads(json.dumps(report.summary()))["ok"]


def test_missing_damaged_and_whole_motion(tmp_path: Path, body: BodyModel) -> None:
    missing = verify_dataset("bvh", None, tmp_path, body)
    assert not missing.ok
    assert "missing" in missing.problems[0]
    file = tmp_path / "walk.bvh"
    file.write_text(BVH)
    whole = verify_dataset("bvh", None, tmp_path, body)
    assert whole.ok
    assert whole.rows["train"] > 0
    file.write_text(BVH[: len(BVH) // 2])
    damaged = verify_dataset("bvh", None, tmp_path, body)
    assert not damaged.ok
    assert "walk.bvh" in damaged.problems[0]
    assert damaged.lines()[-1].startswith(f"bvh in {tmp_path} (bvh): 1 problem;")


def test_another_number_of_rows_is_a_difference(tmp_path: Path, body: BodyModel) -> None:
    keypoints = [10.0, 20.0, 2] * 17
    picture = {"id": 7, "file_name": "COCO_train2014_000000000007.jpg", "height": 100, "width": 100}
    person = {"id": 1, "image_id": 7, "bbox": [1, 2, 30, 40], "keypoints": keypoints, "iscrowd": 0, "num_keypoints": 17}
    folder = tmp_path / "annotations"
    folder.mkdir()
    for split in ("train", "val"):
        content = {"images": [picture], "annotations": [person], "categories": []}
        (folder / f"person_keypoints_{split}2014.json").write_text(json.dumps(content))
    report = verify_dataset("coco", "raw", tmp_path, body)
    assert report.rows == {"train": 1, "val": 1}
    (folder / "person_keypoints_val2014.json").write_text('{"images": [')
    report = verify_dataset("coco", "raw", tmp_path, body)
    assert any("person_keypoints_val2014.json" in problem for problem in report.problems)


def test_the_format_that_is_there_is_checked(tmp_path: Path, body: BodyModel) -> None:
    assert verify_dataset("3dpw", None, tmp_path, body).format == "raw"
    (tmp_path / "3dpw_test.npz").write_bytes(b"PK not whole")
    report = verify_dataset("3dpw", None, tmp_path, body)
    assert report.format == "spin_npz"
    assert "3dpw_test.npz" in report.problems[0]


def test_refusals(tmp_path: Path, body: BodyModel) -> None:
    with pytest.raises(InputError, match=r"the raw data's folder is not given \(pass --root DIR\)"):
        verify_dataset("h36m", None, None, body)
    with pytest.raises(InputError, match="no such file or directory"):
        verify_dataset("h36m", None, tmp_path / "nowhere", body)
    with pytest.raises(UnknownNameError, match="unknown dataset"):
        verify_dataset("h37", None, tmp_path, body)

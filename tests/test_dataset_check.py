"""Copies of data sets that are whole, incomplete, damaged or of another size."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from scipy.io import savemat

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.dataset_check import verify_dataset
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.manifest import load_manifest
from hmrtk.toolkit.records.receipt import Receipt, part_path
from tests.cli.test_data import BVH
from tests.dataset_layouts import JPEG, LAYOUTS, hmr2, spin


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


# -- names, numbers, downloads and pictures ---------------------------------------------------------------------------


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two annotations of three pictures each, with the pictures."""
    layout = next(each for each in LAYOUTS if (each.dataset, each.format) == ("coco", "raw"))
    layout.write(tmp_path)
    for split in ("train", "val"):
        (tmp_path / f"{split}2014").mkdir()
        for number in (9, 10, 11):
            (tmp_path / f"{split}2014" / f"COCO_{split}2014_{number:012d}.jpg").write_bytes(JPEG)
    return tmp_path


def problems(dataset: str, root: Path, body: BodyModel, fmt: str | None = None, **options: bool) -> list[str]:
    """Those of a copy that are not about the known numbers of rows and files."""
    report = verify_dataset(dataset, fmt, root, body, **options)
    return [line for line in report.problems if "the manifest says" not in line]


def test_quick_reads_nothing(coco: Path) -> None:
    (coco / "annotations/person_keypoints_val2014.json").write_text("{}")
    report = verify_dataset("coco", None, coco, None, quick=True)
    assert report.rows == {}
    assert "only names, numbers, sizes and ends were looked at: nothing was read through" in report.notes
    assert report.problems == (
        f"{coco}/train2014/COCO_train2014_*.jpg: 3 files, the manifest says 82783",
        f"{coco}/val2014/COCO_val2014_*.jpg: 3 files, the manifest says 40504",
    )
    (coco / "annotations/person_keypoints_val2014.json").write_text("")
    empty = verify_dataset("coco", "raw", coco, None, quick=True).problems
    assert f"{coco}/annotations/person_keypoints_val2014.json: is empty" in empty
    (coco / "annotations/person_keypoints_val2014.json").write_text('{"images": [')
    short = verify_dataset("coco", "raw", coco, None, quick=True).problems
    assert f"{coco}/annotations/person_keypoints_val2014.json: is cut off, or another kind of file" in short
    with pytest.raises(UnknownNameError, match="unknown format of coco 'rar'"):
        verify_dataset("coco", "rar", coco, None, quick=True)


def test_a_renamed_file_is_recognised(coco: Path, body: BodyModel) -> None:
    file = coco / "annotations/person_keypoints_val2014.json"
    file.rename(file.with_name("person_keypoint_val2014.json"))
    (line,) = problems("coco", coco, body)
    assert "person_keypoints_val20*.json: missing (" in line
    assert line.endswith("; is it annotations/person_keypoint_val2014.json, renamed?)")


def test_one_of_a_group_is_missing(tmp_path: Path, body: BodyModel) -> None:
    layout = next(each for each in LAYOUTS if (each.dataset, each.format) == ("up3d", "raw"))
    layout.write(tmp_path)
    assert problems("up3d", tmp_path, body, "raw") == []
    for row in range(5):
        (tmp_path / f"{row:05d}_joints.npy").unlink()
    found = verify_dataset("up3d", "raw", tmp_path, None, quick=True).problems
    assert (
        f"{tmp_path}/00002_joints.npy: missing ((3,14) x, y, visibility in LSP order); there is 00002_image.png"
        in found
    )
    assert "and 2 missing files more" in found


def test_pictures_are_counted(coco: Path, body: BodyModel) -> None:
    assert problems("coco", coco, body) == []
    (coco / "val2014/COCO_val2014_000000000010.jpg").unlink()
    (coco / "train2014/COCO_train2014_000000000009.jpg").write_bytes(JPEG[:3])
    assert problems("coco", coco, body) == [
        f"{coco}/val2014/COCO_val2014_000000000010.jpg: listed in the annotation and missing; so is 1 of 6 pictures",
        f"{coco}/train2014/COCO_train2014_000000000009.jpg: is cut off; so is 1 of 6 pictures",
    ]
    for file in (coco / "val2014").iterdir():
        file.unlink()
    assert "missing; so are 3 of 6 pictures" in problems("coco", coco, body)[0]


def test_a_copy_without_pictures_is_whole(coco: Path, body: BodyModel) -> None:
    for split in ("train", "val"):
        for file in (coco / f"{split}2014").iterdir():
            file.unlink()
        (coco / f"{split}2014").rmdir()
    report = verify_dataset("coco", "raw", coco, body)
    assert report.ok, report.problems
    assert report.notes == (f"{coco}: has none of the 6 pictures listed: not checked",)


def test_pictures_in_a_folder_of_their_own(tmp_path: Path, body: BodyModel) -> None:
    names = [f"COCO_train2014_{i:012d}.jpg" for i in range(5)]
    spin("coco", "coco_2014_train.npz").write(tmp_path)
    (tmp_path / "pictures/train2014").mkdir(parents=True)
    for name in names[1:]:
        (tmp_path / "pictures/train2014" / name).write_bytes(JPEG)
    (line,) = problems("coco", tmp_path, body)
    assert line == (
        f"{tmp_path}/pictures/train2014/{names[0]}: listed in the annotation and missing; so is 1 of 5 pictures"
    )


def test_pictures_in_a_zip(coco: Path, body: BodyModel) -> None:
    """As ``datasets download --no-unpack`` leaves them."""
    for split, count in (("train", 3), ("val", 2)):
        with zipfile.ZipFile(coco / f"{split}2014.zip", "w") as file:
            for picture in sorted((coco / f"{split}2014").iterdir())[:count]:
                file.write(picture, f"{split}2014/{picture.name}")
        shutil.rmtree(coco / f"{split}2014")
    (line,) = [line for line in problems("coco", coco, body) if "missing" in line]
    assert line.startswith(
        f"{coco}/val2014/COCO_val2014_000000000011.jpg: listed in the annotation and missing; so is 1"
    )
    (coco / "val2014.zip").write_bytes((coco / "val2014.zip").read_bytes()[:100])
    assert any("val2014.zip" in line for line in problems("coco", coco, body))


def test_the_same_layout_of_another_dataset_is_known_by_its_pictures(tmp_path: Path, body: BodyModel) -> None:
    spin("3dpw", "3dpw_test.npz").write(tmp_path)
    (tmp_path / "3dpw_test.npz").rename(tmp_path / "coco_2014_train.npz")
    (line,) = problems("coco", tmp_path, body)
    assert line.startswith(
        "coco_2014_train.npz (train): lists pictures like 'imageFiles/downtown_bus_00/image_00000.jpg', this dataset's"
    )


def test_one_file_under_two_names(coco: Path, body: BodyModel) -> None:
    folder = coco / "annotations"
    folder.joinpath("person_keypoints_val2014.json").write_bytes(
        folder.joinpath("person_keypoints_train2014.json").read_bytes()
    )
    (line,) = problems("coco", coco, body)
    assert "person_keypoints_val2014.json: has the same content as " in line
    assert line.endswith("person_keypoints_train2014.json of another split")


def test_formats_of_the_same_name_are_told_apart(tmp_path: Path, body: BodyModel) -> None:
    hmr2("3dpw", "3dpw_test.npz").write(tmp_path)
    report = verify_dataset("3dpw", None, tmp_path, body)
    assert report.format == "hmr2_npz"
    assert report.rows == {"test": 5}


def test_downloads_are_checked(tmp_path: Path, body: BodyModel) -> None:
    lsp = load_manifest("lsp")
    file = tmp_path / "lsp_dataset.zip"
    savemat(tmp_path / "joints.mat", {"joints": 1})
    part_path(file).write_bytes(b"x" * 3000)
    Receipt(lsp.downloads[0].url, 5000).save(file)
    go_on = f"hmrtk datasets download lsp --out {tmp_path}"
    (line,) = verify_dataset("lsp", "raw", tmp_path, None, quick=True).problems
    assert line == f"{part_path(file)}: only 3.0 kB of 5.0 kB of the download has arrived (to go on: {go_on})"
    part_path(file).rename(file)
    (line,) = verify_dataset("lsp", "raw", tmp_path, None, quick=True).problems
    assert line == f"{file}: has 3000 bytes, expected 5000 (to get it anew: {go_on})"
    Receipt(lsp.downloads[0].url, 3000, sha256="0" * 64).save(file)
    report = verify_dataset("lsp", "raw", tmp_path, None, quick=True)
    assert report.ok
    assert report.notes[:2] == (f"{file}: downloaded, 3.0 kB", f"{file}: not unpacked, or not to the end")
    wrong = [line for line in verify_dataset("lsp", "raw", tmp_path, body).problems if line.startswith(f"{file}: ")]
    assert "it was 0000" in wrong[0]
    Receipt(lsp.downloads[0].url, 3000, folders={".": 1, "images": 7}).save(file)
    (line,) = verify_dataset("lsp", "raw", tmp_path, None, quick=True).problems
    assert line == f"{tmp_path}/images: 0 files, 7 were unpacked from lsp_dataset.zip (to mend it: {go_on})"

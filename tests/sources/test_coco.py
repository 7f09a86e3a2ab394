"""COCO and DensePose-COCO json files written from known people come back as their keypoints; every trap by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import J24_TO_COCO17
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.coco import CocoSource, read_annotations
from hmrtk.toolkit.sources.registry import open_source

from .people import left_is_left, random_people, tight

COUNT = 6


def coco_document(body: BodyModel, seed: int = 0, split: str = "train", year: int = 2014) -> dict[str, Any]:
    """A document in COCO's layout: six people in three pictures, keypoints as 0-based pixel indices."""
    people = random_people(body, COUNT, seed)
    name = "COCO_{0}_{1:012d}.jpg" if year == 2014 else "{1:012d}.jpg"
    images = [
        {"id": 9 + i, "file_name": name.format(f"{split}{year}", 9 + i), "height": 480, "width": 640, "license": 3}
        for i in range(3)
    ]
    annotations = []
    for i in range(COUNT):
        x0, y0, x1, y1 = tight(people.vertices)[i]
        index = np.floor(people.pixels[i, list(J24_TO_COCO17)]).astype(int)
        annotations.append(
            {
                "segmentation": [[x0, y0, x1, y0, x1, y1]],
                "num_keypoints": 17,
                "area": 1.0,
                "iscrowd": 0,
                "keypoints": np.column_stack([index, np.full(17, 2)]).ravel().tolist(),
                "image_id": 9 + i // 2,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "category_id": 1,
                "id": 400 + i,
            }
        )
    category = {"supercategory": "person", "id": 1, "name": "person", "keypoints": [], "skeleton": []}
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": [category]}


def write(root: Path, name: str, document: Any) -> Path:
    path = root / "annotations" / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def document(body: BodyModel) -> dict[str, Any]:
    return coco_document(body)


def ingested(root: Path, body: BodyModel, document: Any, split: str = "train", **options: Any) -> RecordTable:
    write(root, f"person_keypoints_{split}2014.json", document)
    return CocoSource(**options).ingest(root, body)[split]


def test_keypoints_are_those_of_the_people(tmp_path: Path, body: BodyModel, document: dict[str, Any]) -> None:
    table = ingested(tmp_path, body, document)
    people = random_people(body, COUNT)
    slots = list(J24_TO_COCO17)
    keypoints = table.array("keypoints2d")
    assert np.abs(keypoints[:, slots, :2] - people.pixels[:, slots]).max() <= 0.5 + 1e-4
    assert abs((keypoints[:, slots, :2] - people.pixels[:, slots]).mean()) < 0.05
    assert (keypoints[:, slots, 2] == 1).all()
    assert keypoints.sum() == keypoints[:, slots].sum()
    np.testing.assert_allclose(table.array("bbox_xyxy"), tight(people.vertices), atol=1e-3)
    assert left_is_left(table)


def test_ids_paths_and_what_the_file_does_not_say(tmp_path: Path, body: BodyModel, document: dict[str, Any]) -> None:
    table = ingested(tmp_path, body, document)
    assert table.sample_ids[:3] == [
        "coco/train/000000000009/400",
        "coco/train/000000000009/401",
        "coco/train/000000000010/402",
    ]
    assert table.table["image_path"][2].as_py() == "train2014/COCO_train2014_000000000010.jpg"
    assert table.array("image_size")[0].tolist() == [480, 640]
    assert not table.has("global_orient").any()
    assert table.table["gender"].null_count == table.table["focal"].null_count == COUNT
    assert table.metadata.regressor == "annotated"
    assert list(table.metadata.provenance["inputs"]) == ["annotations/person_keypoints_train2014.json"]


def test_crowds_and_people_without_keypoints_are_left_out(
    tmp_path: Path, body: BodyModel, document: dict[str, Any]
) -> None:
    people = document["annotations"]
    people[0]["iscrowd"] = 1
    people[1]["keypoints"] = [0] * 51
    people[2]["keypoints"][:6] = [0] * 6
    assert [name[-3:] for name in ingested(tmp_path, body, document).sample_ids] == ["402", "403", "404", "405"]
    table = ingested(tmp_path, body, document, min_keypoints=16)
    assert [name[-3:] for name in table.sample_ids] == ["403", "404", "405"]
    people[3]["keypoints"][3 * 16 :] = [0] * 3
    table = ingested(tmp_path, body, document, limbs=True)
    assert [name[-3:] for name in table.sample_ids] == ["402", "404", "405"]


def test_flags_become_confidence(tmp_path: Path, body: BodyModel, document: dict[str, Any]) -> None:
    keypoints = document["annotations"][0]["keypoints"]
    keypoints[2], keypoints[3:6] = 1, [0, 0, 0]
    table = ingested(tmp_path, body, document)
    nose, left_eye = table.array("keypoints2d")[0, 19], table.array("keypoints2d")[0, 20]
    assert nose[2] == 1
    assert left_eye.tolist() == [0, 0, 0]
    assert ingested(tmp_path, body, document, hidden_confidence=0.5).array("keypoints2d")[0, 19, 2] == 0.5


def test_only_one_release_is_read(tmp_path: Path, body: BodyModel) -> None:
    write(tmp_path, "person_keypoints_train2017.json", coco_document(body, year=2017))
    assert list(CocoSource().ingest(tmp_path, body)) == ["train"]
    table = CocoSource().ingest(tmp_path, body)["train"]
    assert table.table["image_path"][0].as_py() == "train2017/000000000009.jpg"
    write(tmp_path, "person_keypoints_val2014.json", coco_document(body, split="val"))
    tables = open_source("coco").ingest(tmp_path, body)
    assert list(tables) == ["val"]
    assert tables["val"].table["image_path"][0].as_py() == "val2014/COCO_val2014_000000000009.jpg"


def test_limit_file_as_root_and_round_trip(tmp_path: Path, body: BodyModel, document: dict[str, Any]) -> None:
    path = write(tmp_path, "person_keypoints_train2014.json", document)
    table = CocoSource().ingest(path, body, limit=4)["train"]
    assert len(table) == 4
    table.write(tmp_path / "train.parquet")
    again = RecordTable.read(tmp_path / "train.parquet")
    assert again.fingerprint == CocoSource().ingest(tmp_path, body, limit=4)["train"].fingerprint


def dense_document(document: dict[str, Any], points: int = 5) -> dict[str, Any]:
    """The document with surface points and two part masks for its first three people."""
    from pycocotools import mask

    rng = np.random.default_rng(1)
    for person in document["annotations"][:3]:
        torso, head = np.zeros((256, 256), np.uint8, order="F"), np.zeros((256, 256), np.uint8, order="F")
        torso[40:200, 30:90], head[:50, 35:85] = 1, 1
        codes = [mask.encode(part) for part in (torso, head)]
        codes = [{"size": code["size"], "counts": code["counts"].decode()} for code in codes]
        person.update(
            dp_masks=[codes[0], *[[]] * 12, codes[1]],
            dp_x=rng.uniform(0, 255, points).tolist(),
            dp_y=rng.uniform(0, 255, points).tolist(),
            dp_I=rng.integers(1, 25, points).astype(float).tolist(),
            dp_U=rng.uniform(0, 1, points).tolist(),
            dp_V=rng.uniform(0, 1, points).tolist(),
        )
    return document


def test_densepose_people_and_their_points(tmp_path: Path, body: BodyModel, document: dict[str, Any]) -> None:
    people = dense_document(document)["annotations"]
    people[1]["keypoints"] = [0] * 51
    people[2]["dp_masks"] = []
    write(tmp_path, "densepose_coco_2014_minival.json", document)
    table = open_source("densepose_coco").ingest(tmp_path, body)["val"]
    assert [name[-3:] for name in table.sample_ids] == ["400", "401", "402"]
    assert table.has("keypoints2d").tolist() == [True, False, True]
    assert table.dense is not None
    assert len(table.dense) == 3
    points = table.dense.points(table.sample_ids[1])
    assert points is not None
    x, y, width, height = people[1]["bbox"]
    np.testing.assert_array_equal(points.chart, people[1]["dp_I"])
    np.testing.assert_allclose(np.stack([points.u, points.v]), [people[1]["dp_U"], people[1]["dp_V"]], atol=1e-6)
    expected = np.array([x, y]) + np.stack([people[1]["dp_x"], people[1]["dp_y"]], axis=1) / 255 * [width, height]
    np.testing.assert_allclose(points.pixels, expected, atol=1e-3)
    mask = table.dense.part_mask(table.sample_ids[0])
    assert mask is not None
    assert (mask[:50, 35:85] == 14).all()  # the head was drawn last
    assert (mask[50:200, 30:90] == 1).all()
    assert np.unique(mask).tolist() == [0, 1, 14]
    np.testing.assert_allclose(table.dense.value(table.sample_ids[0], "masks_box"), table.array("bbox_xyxy")[0])
    assert table.dense.part_mask(table.sample_ids[2]) is None
    assert "dp_U" not in read_annotations(tmp_path / "annotations/densepose_coco_2014_minival.json")["annotations"][0]
    assert CocoSource().ingest(write(tmp_path, "train.json", document), body)["train"].dense is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dp_U": [0.1]}, "annotation 401: dp_U is not a finite number per surface point"),
        ({"dp_x": [float("nan")] * 5}, "annotation 401: dp_x is not a finite number per surface point"),
        ({"dp_V": None}, "annotation 401: dp_V is not a finite number per surface point"),
        (
            {"dp_I": [0.0, 1, 2, 3, 25]},
            r"annotation 401: dp_I has \[0.0, 1.0, 2.0, 3.0, 25.0\], expected charts 1 to 24",
        ),
        (
            {"dp_masks": [{"size": [9, 9], "counts": "a"}]},
            "annotation 401: dp_masks: part 1 is no run-length code of 256",
        ),
        ({"dp_masks": [[]] * 14 + [{"size": [256, 256], "counts": "a"}]}, "dp_masks: part 15 is no run-length code"),
    ],
)
def test_damage_of_points_is_named(
    tmp_path: Path, body: BodyModel, document: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    dense_document(document)["annotations"][1].update(change)
    write(tmp_path, "densepose_coco_2014_minival.json", document)
    with pytest.raises(InputError, match=message):
        open_source("densepose_coco").ingest(tmp_path, body)


def break_keypoints(document: dict[str, Any]) -> None:
    document["annotations"][2]["keypoints"].pop()


def break_flag(document: dict[str, Any]) -> None:
    document["annotations"][2]["keypoints"][2] = 3


def break_nan(document: dict[str, Any]) -> None:
    document["annotations"][2]["keypoints"][0] = float("nan")


def break_text(document: dict[str, Any]) -> None:
    document["annotations"][2]["keypoints"][0] = "x"


def break_box(document: dict[str, Any]) -> None:
    document["annotations"][2]["bbox"][2] = 0


def break_box_type(document: dict[str, Any]) -> None:
    document["annotations"][2]["bbox"] = None


def break_image(document: dict[str, Any]) -> None:
    document["annotations"][2]["image_id"] = 77


def break_id(document: dict[str, Any]) -> None:
    del document["annotations"][2]["id"]


def break_size(document: dict[str, Any]) -> None:
    document["images"][1].pop("height")


def break_name(document: dict[str, Any]) -> None:
    document["images"][1]["file_name"] = "../../etc/passwd"


def break_pictures(document: dict[str, Any]) -> None:
    del document["images"][1]["file_name"]


def break_list(document: dict[str, Any]) -> None:
    del document["annotations"]


def break_everyone(document: dict[str, Any]) -> None:
    for person in document["annotations"]:
        person["iscrowd"] = 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_keypoints, r"train2014.json annotation 402: keypoints: expected 51 numbers, got \(50,\)"),
        (break_flag, r"annotation 402: keypoints has flags \[2.0, 3.0\], expected 0, 1 or 2"),
        (break_nan, "annotation 402: keypoints has NaN or infinite values"),
        (break_text, "annotation 402: keypoints: expected 51 numbers, got none"),
        (break_box, r"annotation 402: bbox \[.*\] is empty or not finite"),
        (break_box_type, "annotation 402: bbox is None, expected x, y, width, height"),
        (break_image, "annotation 402: image_id 77 is not among the images"),
        (break_id, "train2014.json annotation 2: has no id"),
        (break_size, "train2014.json row 2: its picture has no height and width"),
        (break_name, r"image_path '\.\./\.\./etc/passwd' leaves the image root"),
        (break_pictures, "train2014.json image 1: has no id and file_name"),
        (break_list, "train2014.json: has no list of annotations"),
        (break_everyone, "has no annotation that can be used .*no crowds, at least 1 keypoints"),
    ],
)
def test_damage_is_named(
    tmp_path: Path, body: BodyModel, document: dict[str, Any], damage: Callable[[dict[str, Any]], None], message: str
) -> None:
    damage(document)
    with pytest.raises(InputError, match=message) as caught:
        ingested(tmp_path, body, document)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_not_whole(tmp_path: Path, body: BodyModel, document: dict[str, Any]) -> None:
    source = CocoSource()
    with pytest.raises(InputError, match="dataset coco: the folder of its files is not given"):
        source.ingest(None, body)
    with pytest.raises(InputError, match="nowhere: no such file or directory"):
        source.ingest(tmp_path / "nowhere", body)
    with pytest.raises(InputError, match=r"has no annotations/person_keypoints_train2014\.json or .*show coco"):
        source.ingest(tmp_path, body)
    with pytest.raises(InputError, match="limit: expected at least 1 row, got 0"):
        source.ingest(tmp_path, body, limit=0)
    path = write(tmp_path, "person_keypoints_train2014.json", document)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"train2014\.json line 1: is not valid JSON \(the file may be truncated\)"):
        source.ingest(tmp_path, body)


def test_genuine_annotations(shared_dir: Path, body: BodyModel) -> None:
    path = shared_dir / "formats" / "mmpose" / "coco" / "test_coco.json"
    tables = CocoSource().ingest(path, body)
    table = tables["test"]
    assert len(table) == 12
    assert table.table["image_path"][0].as_py().startswith("val2017/000000")
    keypoints, box = table.array("keypoints2d"), table.array("bbox_xyxy")
    known = keypoints[..., 2] > 0
    assert known.sum() == sum(person["num_keypoints"] for person in json.loads(path.read_text())["annotations"])
    inside = (keypoints[..., 0] >= box[:, None, 0] - 2) & (keypoints[..., 0] <= box[:, None, 2] + 2)
    assert inside[known].mean() > 0.95  # annotators put a few just outside the outline

"""MPII's MATLAB structs and json files written from known people come back as their joints; every trap by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import bbox_to_square
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.annotation import MPII16_SLOTS
from hmrtk.toolkit.sources.mpii import MAT, MpiiSource
from hmrtk.toolkit.sources.registry import open_source

from .people import left_is_left, random_people

COUNT = 4
CENTER, SCALE = np.array([300.0, 200.0]), 1.7


def matlab_pixels(body: BodyModel) -> np.ndarray:
    """(N, 16, 2) joints in MPII's order, pixels counted from 1."""
    return random_people(body, COUNT).pixels[:, list(MPII16_SLOTS)] + 0.5


def structs(rows: list[dict[str, Any]]) -> np.ndarray:
    """A 1 × N struct array; a field that a row lacks is empty, as in MATLAB."""
    names = sorted({name for row in rows for name in row})
    array = np.empty((1, len(rows)), [(name, object) for name in names])
    for i, row in enumerate(rows):
        for name in names:
            array[0, i][name] = row.get(name, np.zeros((0, 0)))
    return array


def person(points: np.ndarray, **changes: Any) -> dict[str, Any]:
    """One annorect; joints in reverse order, the visibility a number, a text or nothing by turns."""
    visible = (np.uint8(0), "1", np.zeros((0, 0)))
    listed = [
        {"x": x, "y": y, "id": np.uint8(i), "is_visible": visible[i % 3]} for i, (x, y) in enumerate(points.tolist())
    ]
    place = structs([{"x": CENTER[0], "y": CENTER[1]}])
    rect = {"scale": SCALE, "objpos": place, "annopoints": structs([{"point": structs(listed[::-1])}]), "x1": 5}
    return {name: value for name, value in {**rect, **changes}.items() if value is not None}


def picture(name: str, people: list[dict[str, Any]]) -> dict[str, Any]:
    rects = structs(people) if people else np.zeros((0, 0))
    return {"image": structs([{"name": name}]), "annorect": rects, "frame_sec": np.zeros((0, 0))}


def write_mat(root: Path, pictures: list[dict[str, Any]], training: list[int]) -> Path:
    root.mkdir(exist_ok=True)
    release = structs([{"annolist": structs(pictures), "img_train": np.array([training]), "version": "12"}])
    savemat(root / MAT, {"RELEASE": release})
    return root


def usual(body: BodyModel) -> list[dict[str, Any]]:
    """Three pictures: two people, nobody, and one for testing, with people that lack what they can lack."""
    points = matlab_pixels(body)
    one = [person(points[0]), {"x1": 5}, person(points[1])]
    others = [person(points[2], scale=None), person(points[2], objpos=None), person(points[2], annopoints=None)]
    return [picture("015601864.jpg", one), picture("2.jpg", []), picture("3.jpg", others), picture("4.jpg", one)]


def test_mat(tmp_path: Path, body: BodyModel) -> None:
    table = open_source("mpii").ingest(write_mat(tmp_path, usual(body), [1, 1, 1, 0]), body)["train"]
    assert table.sample_ids == ["mpii/train/015601864/0", "mpii/train/015601864/2"]
    assert table.table["image_path"][0].as_py() == "images/015601864.jpg"
    keypoints = table.array("keypoints2d")
    slots = list(MPII16_SLOTS)
    np.testing.assert_allclose(keypoints[:, slots, :2], random_people(body, COUNT).pixels[:2, slots], atol=1e-3)
    assert (keypoints[:, slots, 2] == 1).all()
    assert not keypoints[:, 16:].any()
    assert left_is_left(table)
    assert not table.has("global_orient").any()


def test_the_box_is_moved_down_and_enlarged(tmp_path: Path, body: BodyModel) -> None:
    table = MpiiSource().ingest(write_mat(tmp_path, usual(body), [1, 1, 1, 0]), body)["train"]
    center, side = bbox_to_square(table.array("bbox_xyxy").astype(float), 1.2)
    np.testing.assert_allclose(center[0], CENTER - 0.5 + [0, 15 * SCALE], atol=1e-4)
    np.testing.assert_allclose(side, 200 * 1.25 * SCALE, rtol=1e-6)


def test_joints_that_are_not_listed_are_not_known(tmp_path: Path, body: BodyModel) -> None:
    points = matlab_pixels(body)
    pictures = [picture("1.jpg", [person(points[0][:9]), person(points[1])])]
    table = MpiiSource().ingest(write_mat(tmp_path, pictures, [1]), body)["train"]
    assert not table.array("keypoints2d")[0, list(MPII16_SLOTS[9:])].any()
    assert MpiiSource(complete=True).ingest(tmp_path, body)["train"].sample_ids == ["mpii/train/1/1"]
    assert len(MpiiSource().ingest(tmp_path, body, limit=1)["train"]) == 1


def json_rows(body: BodyModel) -> list[dict[str, Any]]:
    points = matlab_pixels(body)
    rows = [
        {"joints_vis": [1] * 16, "joints": p.tolist(), "image": "1.jpg", "scale": SCALE, "center": CENTER.tolist()}
        for p in points
    ]
    rows[1]["joints"][0], rows[1]["joints_vis"][0] = [-1.0, -1.0], 0
    rows[1]["joints_vis"][3] = 0
    return rows


def write_json(root: Path, rows: Any) -> Path:
    (root / "annot").mkdir(exist_ok=True)
    (root / "annot" / "valid.json").write_text(json.dumps(rows))
    return root


def test_json(tmp_path: Path, body: BodyModel) -> None:
    root = write_json(write_mat(tmp_path, usual(body), [1, 1, 1, 0]), json_rows(body))
    tables = MpiiSource().ingest(root, body)
    assert list(tables) == ["val"]
    table = tables["val"]
    assert table.sample_ids == [f"mpii/val/1/{i}" for i in range(COUNT)]
    known = table.array("keypoints2d")[:, list(MPII16_SLOTS), 2]
    assert known[1].tolist() == [0, *[1] * 15]
    pixels = random_people(body, COUNT).pixels[:, list(MPII16_SLOTS[1:])]
    np.testing.assert_allclose(table.array("keypoints2d")[:, list(MPII16_SLOTS[1:]), :2], pixels, atol=1e-3)
    table.write(tmp_path / "val.parquet")
    assert RecordTable.read(tmp_path / "val.parquet").fingerprint == table.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joints": [[1.0, 2.0]] * 15}, r"valid\.json row 2: joints has shape \(15, 2\), expected \(16, 2\)"),
        ({"joints": [[float("nan"), 2.0]] * 16}, r"row 2: joints has NaN or infinite values"),
        ({"joints": "none"}, r"row 2: joints is not numbers"),
        ({"scale": -1.0}, r"row 2: scale is -1\.0, expected a positive number"),
        ({"scale": float("nan")}, r"row 2: scale has NaN or infinite values"),
        ({"center": [3.0]}, r"row 2: center has shape \(1,\), expected \(2,\)"),
        ({"image": "../../x.jpg"}, r"image_path 'images/\.\./\.\./x\.jpg' leaves the image root"),
    ],
)
def test_json_damage_is_named(tmp_path: Path, body: BodyModel, change: dict[str, Any], message: str) -> None:
    rows = json_rows(body)
    rows[2].update(change)
    with pytest.raises(InputError, match=message):
        MpiiSource().ingest(write_json(tmp_path, rows), body)


def without_scale(rows: list[Any]) -> Any:
    del rows[2]["scale"]
    return rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_scale, r"valid\.json row 2: has no scale"),
        (lambda rows: {"people": rows}, r"valid\.json: is not a list of people"),
        (lambda rows: [], r"valid\.json: has no person with joints, a scale and a place"),
    ],
)
def test_json_structure_is_named(
    tmp_path: Path, body: BodyModel, change: Callable[[list[Any]], Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        MpiiSource().ingest(write_json(tmp_path, change(json_rows(body))), body)


def test_mat_damage_is_named(tmp_path: Path, body: BodyModel) -> None:
    points, source = matlab_pixels(body), MpiiSource()
    with pytest.raises(InputError, match=rf"has no {MAT} or annot/train\.json \(see: hmrtk datasets show mpii\)"):
        source.ingest(tmp_path, body)
    strange = person(points[0])
    strange["annopoints"][0, 0]["point"][0, 0]["id"] = 16
    with pytest.raises(InputError, match=r"\.mat picture 0 \(1\.jpg\) person 0: has a joint with id 16\.0"):
        source.ingest(write_mat(tmp_path, [picture("1.jpg", [strange])], [1]), body)
    with pytest.raises(InputError, match=r"person 0: scale is -2\.0, expected a positive number"):
        source.ingest(write_mat(tmp_path, [picture("1.jpg", [person(points[0], scale=-2.0)])], [1]), body)
    with pytest.raises(InputError, match=r"img_train has 2 values for 1 pictures"):
        source.ingest(write_mat(tmp_path, [picture("1.jpg", [person(points[0])])], [1, 1]), body)
    with pytest.raises(InputError, match=r"\.mat picture 0: has no image\.name"):
        source.ingest(write_mat(tmp_path, [picture("", [person(points[0])])], [1]), body)
    with pytest.raises(InputError, match=r"has no person with joints"):
        source.ingest(write_mat(tmp_path, [picture("1.jpg", [person(points[0])])], [0]), body)
    savemat(tmp_path / MAT, {"RELEASE": np.zeros(3)})
    with pytest.raises(InputError, match=r"RELEASE has no annolist and img_train"):
        source.ingest(tmp_path, body)
    path = write_mat(tmp_path, usual(body), [1, 1, 1, 0]) / MAT
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"\.mat: is not a readable MATLAB 5 file"):
        source.ingest(tmp_path, body)


def test_genuine_json(shared_dir: Path, body: BodyModel) -> None:
    table = MpiiSource().ingest(shared_dir / "formats" / "mmpose" / "mpii" / "test_mpii.json", body)["test"]
    assert len(table) == 5
    keypoints, box = table.array("keypoints2d"), table.array("bbox_xyxy")
    assert (keypoints[2, [0, 5], 2] == 0).all()
    crop_center, crop_side = bbox_to_square(box.astype(float), 1.2)
    away = np.abs(keypoints[..., :2] - crop_center[:, None]).max(-1)
    assert ((away < crop_side[:, None] / 2) | (keypoints[..., 2] == 0)).all()

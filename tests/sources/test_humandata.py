"""HumanData files written from known bodies: the reader returns them; the masks, the boxes, and the objects in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.joints import SPIN24_NAMES
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.humandata import SPIN24_COLUMNS
from hmrtk.toolkit.sources.registry import open_source

N = 6
K = np.array([[1000.0, 0, 320], [0, 1010, 240], [0, 0, 1]])
HIDDEN = 7
"""A column of ``human_data`` (the left ankle) that the first row does not see."""


def made_people(body: Any) -> dict[str, Any]:
    """Bodies in the camera frame, and their joints by name of ``human_data``."""
    rng = np.random.default_rng(11)
    pose, betas = rng.normal(0, 0.2, (N, 24, 3)), rng.normal(size=(N, 10))
    root = (Rotation.from_euler("x", np.pi) * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    parameters = BodyParameters.of(root, pose[:, 1:], betas, rng.normal(0, 0.2, (N, 3)) + np.array([0, 0, 5]))
    posed = body.pose(parameters)
    spin24 = body.spin24(posed).astype(float)
    joints = rng.normal(size=(N, 190, 3)) + np.array([0, 0, 5])  # what spin24 must not take
    joints[:, :22], joints[:, 188:] = posed.joints[:, :22], posed.joints[:, 22:]
    extra = dict(zip(SPIN24_NAMES, np.moveaxis(spin24, 1, 0), strict=True))
    for name, column in NAMED.items():
        joints[:, column] = extra[name]
    return {"parameters": parameters, "vertices": posed.vertices, "spin24": spin24, "joints": joints}


@pytest.fixture(scope="module")
def people(body: Any) -> dict[str, Any]:
    return made_people(body)


NAMED = {
    "right_hip": 144, "left_hip": 145, "neck_lsp": 146, "head_top_lsp": 147, "pelvis_mpii": 148, "thorax_mpii": 149,
    "spine_h36m": 150, "jaw_h36m": 151, "head_h36m": 152, "nose": 55, "right_eye": 56, "left_eye": 57, "right_ear": 58,
    "left_ear": 59,
}  # fmt: skip
"""Joints of ``spin24`` that are no SMPL joints, and their columns."""


def pixels(points: Any) -> Any:
    projected = points @ K.T
    return projected[..., :2] / projected[..., 2:]


def content(people: dict[str, Any], compressed: bool = True, **changes: Any) -> dict[str, Any]:
    """The members of a file; None leaves one out."""
    seen = np.ones((N, 190, 1))
    seen[0, HIDDEN] = 0
    three = np.concatenate([people["joints"], seen], axis=2)
    two = np.concatenate([pixels(people["joints"]), seen], axis=2)
    mask = np.zeros(190, np.uint8)
    mask[[*range(22), *range(55, 60), *range(144, 153), 188, 189]] = 1
    columns = np.flatnonzero(mask) if compressed else np.arange(190)
    parameters = people["parameters"]
    outline = pixels(people["vertices"].astype(float))
    low, high = outline.min(axis=1), outline.max(axis=1)
    box = np.concatenate([(low + high) / 2 - 0.6 * (high - low), 1.2 * (high - low), np.ones((N, 1))], axis=1)
    members = {
        "__key_strict__": False,
        "__data_len__": N,
        "__keypoints_compressed__": compressed,
        "image_path": [f"imageFiles/a/image_{row // 2:05d}.jpg" for row in range(N)],
        "bbox_xywh": box,
        "config": "pw3d",
        "keypoints2d": two[:, columns],
        "keypoints2d_mask": mask,
        "keypoints3d": three[:, columns],
        "keypoints3d_mask": mask,
        "smpl": {
            "body_pose": parameters.body_pose,
            "global_orient": parameters.global_orient,
            "betas": parameters.betas,
            "transl": parameters.transl,
        },
        "meta": {"gender": ["m", "f"] * (N // 2)},
        "cam_param": [{"in_mat": K.tolist(), "H": 480, "W": 640, "convention": "opencv"} for _ in range(N)],
        **changes,
    }
    return {key: value for key, value in members.items() if value is not None}


@pytest.mark.parametrize(("config", "offset"), [("coco_wholebody", 0.5), ("mpii", -0.5), ("lspet", 0.0)])
def test_pixel_numbers_become_coordinates(
    tmp_path: Path, people: dict[str, Any], body: Any, config: str, offset: float
) -> None:
    members = content(people, config=config)
    (table,) = ingest(write(tmp_path / "a_test.npz", members), body).values()
    shift = table.array("keypoints2d")[..., :2] - pixels(people["spin24"])
    np.testing.assert_allclose(shift[1:], offset, atol=1e-3)
    assert not table.array("keypoints2d")[0, 5].any()  # the left ankle, which the first row does not see


def write(path: Path, members: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **members)
    return path


def ingest(root: Path, body: Any, **options: Any) -> dict[str, RecordTable]:
    return open_source("humandata").ingest(root, body, **options)


@pytest.mark.parametrize("compressed", [True, False])
def test_the_bodies_and_joints_come_back(tmp_path: Path, people: dict[str, Any], body: Any, compressed: bool) -> None:
    path = write(tmp_path / "pw3d_test.npz", content(people, compressed))
    (table,) = ingest(path, body).values()
    np.testing.assert_allclose(body.pose(table.parameters()).vertices, people["vertices"], atol=1e-6)
    joints, keypoints = table.array("joints3d"), table.array("keypoints2d")
    seen = np.ones((N, 24), bool)
    seen[0, SPIN24_NAMES.index("left_ankle")] = False
    np.testing.assert_array_equal(joints[..., 3] == 1, seen)
    np.testing.assert_allclose(joints[seen, :3], people["spin24"][seen], atol=1e-5)
    np.testing.assert_allclose(keypoints[seen, :2], pixels(people["spin24"])[seen], atol=2e-3)
    assert not keypoints[0, SPIN24_NAMES.index("left_ankle")].any()
    outline = pixels(people["vertices"].astype(float))
    np.testing.assert_allclose(table.array("bbox_xyxy")[:, :2], outline.min(axis=1), atol=1e-3)
    np.testing.assert_allclose(table.array("bbox_xyxy")[:, 2:], outline.max(axis=1), atol=1e-3)
    assert table.array("gender").tolist() == ["male", "female"] * (N // 2)
    np.testing.assert_allclose(table.array("focal")[0], [1000, 1010])
    assert table.array("image_size")[0].tolist() == [480, 640]
    assert table.sample_ids[:3] == [
        f"humandata/test/pw3d_test/imageFiles/a/image_{name}" for name in ("00000.jpg/0", "00000.jpg/1", "00001.jpg/0")
    ]


def test_written_and_read_back(tmp_path: Path, people: dict[str, Any], body: Any) -> None:
    (table,) = ingest(write(tmp_path / "pw3d_test.npz", content(people)), body).values()
    path = tmp_path / "t.parquet"
    table.write(path)
    assert RecordTable.read(path).fingerprint == table.fingerprint


def test_splits_order_and_limit(tmp_path: Path, people: dict[str, Any], body: Any) -> None:
    for name in ("pw3d_train", "eft_coco", "coco_2014_val"):
        write(tmp_path / f"{name}.npz", content(people))
    tables = ingest(tmp_path, body)
    assert {split: len(table) for split, table in tables.items()} == {"val": N, "train": 2 * N}
    few = ingest(tmp_path, body, limit=N + 1)["train"]
    assert few.sample_ids == tables["train"].sample_ids[: N + 1]
    assert len(ingest(tmp_path, body, limit=1)["train"]) == 1


def test_what_a_file_does_not_have_is_null(tmp_path: Path, people: dict[str, Any], body: Any) -> None:
    bare = dict.fromkeys(("smpl", "meta", "cam_param", "keypoints3d", "keypoints3d_mask", "config"))
    box = content(people)["bbox_xywh"]
    (table,) = ingest(write(tmp_path / "a.npz", content(people, **bare)), body).values()
    for column in ("global_orient", "betas", "transl", "joints3d", "focal", "image_size", "gender"):
        assert not table.has(column).any(), column
    np.testing.assert_allclose(table.array("bbox_xyxy")[:, 2:], box[:, :2] + box[:, 2:4], rtol=1e-6)  # not enlarged
    write(tmp_path / "b.npz", content(people, bbox_xywh=box[:, :4]))
    both = ingest(tmp_path, body)["train"]
    assert both.has("betas").tolist() == [False] * N + [True] * N
    assert not both.has("image_size").any()


def test_rows_without_a_fit_have_no_body(tmp_path: Path, people: dict[str, Any], body: Any) -> None:
    smpl = {key: value.copy() for key, value in content(people)["smpl"].items() if key != "transl"}
    smpl["betas"][2] = np.nan
    smpl["body_pose"] = smpl["body_pose"].reshape(N, 69)
    has = np.array([1, 1, 0, 1, 1, 1])
    (table,) = ingest(write(tmp_path / "a.npz", content(people, smpl=smpl, has_smpl=has)), body).values()
    np.testing.assert_array_equal(table.has("global_orient", "body_pose", "betas"), has > 0)
    assert not table.has("transl").any()


def test_newer_names_prefer_the_annotation(tmp_path: Path, people: dict[str, Any], body: Any) -> None:
    old = content(people)
    new = {key: value for key, value in old.items() if not key.startswith("keypoints2d")}
    new["keypoints2d_original"], new["keypoints2d_original_mask"] = old["keypoints2d"], old["keypoints2d_mask"]
    new["keypoints2d_smpl"], new["keypoints2d_smpl_mask"] = old["keypoints2d"] + 50, old["keypoints2d_mask"]
    (table,) = ingest(write(tmp_path / "a.npz", new), body).values()
    np.testing.assert_allclose(table.array("keypoints2d")[1, :, :2], pixels(people["spin24"])[1], atol=2e-3)


def test_a_file_of_mmhuman3d_itself(shared_dir: Path, body: Any) -> None:
    path = shared_dir / "formats/humandata/mmhuman3d_0.11_humandata.npz"
    if not path.is_file():
        pytest.skip("no HumanData sample beside the checkout")
    (table,) = ingest(path, body).values()
    with np.load(path) as file:
        given = file["keypoints2d"]
    assert len(table) == 16
    assert table.array("image_path")[0] == "synthetic/000000.png"
    assert table.array("bbox_xyxy")[0].tolist() == [10, 20, 210, 240]
    keypoints = table.array("keypoints2d")
    for slot, joint in {0: 8, 5: 7, 6: 21, 9: 16}.items():  # SMPL joints are columns 0-21
        np.testing.assert_allclose(keypoints[:, slot, :2], given[:, joint, :2], rtol=1e-5)
    assert not keypoints[:, [2, 3, 12, 13]].any()  # SMPL's hips are not those of spin24
    assert table.has("global_orient", "body_pose", "betas").all()
    assert set(table.array("gender")) == {"neutral"}


def test_the_columns_of_spin24() -> None:
    assert len(set(SPIN24_COLUMNS)) == 24
    for name, column in NAMED.items():
        assert SPIN24_COLUMNS[SPIN24_NAMES.index(name)] == column


def smpl_with(**changes: Any) -> Any:
    return lambda m: {**m, "smpl": {k: v for k, v in {**m["smpl"], **changes}.items() if v is not None}}


def put(key: str, change: Any) -> Any:
    return lambda m: {**m, key: change(np.array(m[key]))}


def with_nan(array: Any) -> Any:
    array[3] = np.nan
    return array


BREAKAGES = {
    "no betas": (smpl_with(betas=None), r"a\.npz smpl: has no betas"),
    "rows of smpl": (smpl_with(betas=np.zeros((4, 10))), r"a\.npz smpl: betas has shape \(4, 10\), expected \(6, 10\)"),
    "absurd betas": (smpl_with(betas=np.full((N, 10), 50.0)), r"a\.npz smpl row 0: \|betas\| reaches 50"),
    "NaN": (smpl_with(global_orient=with_nan(np.zeros((N, 3)))), r"a\.npz smpl row 3: global_orient has NaN"),
    "NaN joint": (put("keypoints2d", with_nan), r"a\.npz row 3: keypoints2d has NaN"),
    "joints": (put("keypoints2d", lambda v: v[:, :20]), r"a\.npz: keypoints2d has 20 joints, expected 38"),
    "mask": (put("keypoints2d_mask", lambda v: v[:144]), r"keypoints2d_mask has shape \(144,\), expected \(190\)"),
    "millimetres": (put("keypoints3d", lambda v: v * [1e3, 1e3, 1e3, 1]), r"keypoints3d spans \d+, expected metres"),
    "empty box": (put("bbox_xywh", lambda v: v * [1, 1, 0, 1, 1]), r"a\.npz row 0: bbox_xywh \[.*\] is empty"),
    "boxes": (put("bbox_xywh", lambda v: v[:, :3]), r"bbox_xywh has shape \(6, 3\), expected \(6, 5\)"),
    "pictures": (put("image_path", lambda v: v[:2]), r"a\.npz: image_path has 2 rows, expected 6"),
    "escape": (lambda m: {**m, "image_path": ["../x.jpg"] * N}, r"a\.npz row 0: picture '\.\./x\.jpg' is not a path"),
    "gender": (lambda m: {**m, "meta": {"gender": ["m"] * 5 + ["?"]}}, r"meta row 5: gender is '\?'"),
    "convention": (lambda m: {**m, "keypoints2d_convention": "coco"}, r"keypoints2d_convention is 'coco', expected"),
    "camera": (
        lambda m: {**m, "cam_param": [{"in_mat": [[1.0]]}] * N},
        r"a\.npz row 0: in_mat has shape \(1, 1\), expected \(3, 3\)",
    ),
    "cache": (lambda m: {**m, "slice_size": 10}, r"a\.npz: is a HumanData cache \(pass the HumanData file"),
    "no rows": (lambda m: {**m, "__data_len__": 0}, r"a\.npz: has no rows"),
    "foreign": (lambda m: {"__data_len__": N}, r"has neither smpl nor keypoints \(is it a HumanData file\?\)"),
    "nothing": (lambda m: {"x": 1}, r"a\.npz: has no image_path"),
    "unsafe": (lambda m: {**m, "smpl": {"betas": Path("x")}}, r"holds a pathlib.*, which hmrtk does not load"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_bad_files_are_named(tmp_path: Path, people: dict[str, Any], body: Any, breakage: str) -> None:
    change, message = BREAKAGES[breakage]
    write(tmp_path / "a.npz", change(content(people)))
    with pytest.raises(InputError, match=message):
        ingest(tmp_path, body)


def test_missing_and_truncated(tmp_path: Path, people: dict[str, Any], body: Any) -> None:
    with pytest.raises(InputError, match=r"has no HumanData file \(\.npz\)"):
        ingest(tmp_path, body)
    path = write(tmp_path / "a.npz", content(people))
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(InputError, match=r"a\.npz: is not a readable \.npz"):
        ingest(tmp_path, body)

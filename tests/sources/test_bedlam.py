"""BEDLAM's npz files: written from known bodies, upright and closeup, SMPL and SMPL-X; bodies and pixels come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import SPIN24_FROM_SMPL
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import bbox_to_square
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.bedlam import SMPL45_FACE, BedlamSource
from tests.sources.people import People, left_is_left, random_people, seen
from tests.sources.spin_files import same_bodies, smpl, spin_box, write

COUNT = 4
SCENE, CLOSEUP = "20221010_3_1000_batch01hand_6fps", "20221011_1_250_batch01hand_closeup_suburb_a_6fps"
SLOTS = [*SPIN24_FROM_SMPL, *SMPL45_FACE]


def scene_people(body: BodyModel, width: int = 1280, height: int = 720) -> People:
    return random_people(body, COUNT, seed=6, focal=700.0, centre=(width / 2, height / 2))


def columns(people: People, body: BodyModel, width: int = 1280, height: int = 720, **changes: Any) -> dict[str, Any]:
    """As ``df_full_body_smpl.py`` makes them: the camera's place is in ``cam_ext``, not in ``trans_cam``."""
    joints = body.joints(people.parameters).astype(float)
    pixels = np.zeros((COUNT, 45, 3))
    pixels[:, :24, :2], pixels[..., 2] = seen(joints, 700.0, (width / 2, height / 2)), 1
    pixels[:, list(SMPL45_FACE.values()), :2] = people.pixels[:, list(SMPL45_FACE)]
    ahead = np.array([0.1, -0.2, 3.0])
    extrinsic = np.tile(np.eye(4), (COUNT, 1, 1))
    extrinsic[:, :3, 3] = ahead
    intrinsic = np.array([[700.0, 0, width / 2], [0, 700.0, height / 2], [0, 0, 1]])
    given = {
        "imgname": [f"seq_000000/seq_000000_{5 * (i // 2):04d}.png" for i in range(COUNT)], **spin_box(people),
        "pose_cam": smpl(people)["pose"], "pose_world": smpl(people)["pose"] + 1, "shape": smpl(people)["shape"],
        "trans_cam": people.parameters.transl.astype(float) - ahead, "trans_world": np.zeros((COUNT, 3)),
        "gtkps": pixels, "cam_int": np.tile(intrinsic, (COUNT, 1, 1)), "cam_ext": extrinsic,
        "gender": ["male", "female", "neutral", "male"], "motion_info": ["x"] * COUNT, "sub": ["rp_a_4d"] * COUNT,
    }  # fmt: skip
    return {k: v for k, v in (given | changes).items() if v is not None}


def read(path: Path, body: BodyModel, **arguments: Any) -> RecordTable:
    return BedlamSource().ingest(path, body, **arguments)["train"]


def reprojected(table: RecordTable, body: BodyModel) -> np.ndarray:
    """(N, 24, 2) px by the table's own body and camera."""
    joints = body.spin24_joints(table.parameters()).astype(float)
    return table.array("focal")[:, None] * joints[..., :2] / joints[..., 2:] + table.array("principal")[:, None]


def test_bodies_fall_on_their_keypoints(tmp_path: Path, body: BodyModel) -> None:
    people = scene_people(body)
    table = read(write(tmp_path / f"{SCENE}.npz", **columns(people, body)), body)
    same_bodies(table, people, body)
    np.testing.assert_allclose(table.array("transl"), people.parameters.transl, atol=1e-5)
    keypoints = table.array("keypoints2d")
    np.testing.assert_allclose(keypoints[:, SLOTS, :2], people.pixels[:, SLOTS], atol=2e-3)
    np.testing.assert_allclose(keypoints[:, SLOTS, :2], reprojected(table, body)[:, SLOTS], atol=5e-3)
    assert (keypoints[:, SLOTS, 2] == 1).all()
    assert not np.delete(keypoints, SLOTS, axis=1).any()
    assert left_is_left(table)
    row = table.table.slice(1, 1).to_pylist()[0]
    assert row["sample_id"] == f"bedlam/train/{SCENE}/seq_000000/seq_000000_0000/1"
    assert row["image_path"] == f"{SCENE}/png/seq_000000/seq_000000_0000.png"
    assert (row["subject"], row["sequence"], row["frame"]) == ("rp_a_4d", f"{SCENE}/seq_000000", 0)
    assert (row["gender"], row["body_source"]) == ("female", "synthetic")
    assert table.array("image_size")[0].tolist() == [720, 1280]


def test_closeups_lie_as_their_pictures_do(tmp_path: Path, body: BodyModel) -> None:
    """Turning the stored picture clockwise (OpenCV's ROTATE_90_CLOCKWISE) gives the labels' upright picture."""
    people = scene_people(body, 720, 1280)
    table = read(write(tmp_path / f"{CLOSEUP}.npz", **columns(people, body, 720, 1280)), body)
    assert table.array("image_size")[0].tolist() == [720, 1280]  # stored lying
    upright = np.stack([720 - table.array("keypoints2d")[..., 1], table.array("keypoints2d")[..., 0]], axis=-1)
    np.testing.assert_allclose(upright[:, SLOTS], people.pixels[:, SLOTS], atol=2e-3)
    np.testing.assert_allclose(reprojected(table, body)[:, SLOTS], table.array("keypoints2d")[:, SLOTS, :2], atol=5e-3)
    depth = body.spin24_joints(table.parameters())[..., 2]
    np.testing.assert_allclose(depth, people.joints[..., 2], atol=1e-4)
    np.testing.assert_allclose(table.array("body_pose"), people.parameters.body_pose, atol=1e-6)
    center, side = bbox_to_square(table.array("bbox_xyxy").astype(float), 1.0)
    given = spin_box(people)
    np.testing.assert_allclose(720 - center[:, 1], np.array(given["center"])[:, 0], atol=1e-3)
    np.testing.assert_allclose(center[:, 0], np.array(given["center"])[:, 1], atol=1e-3)
    np.testing.assert_allclose(side, 200 * np.array(given["scale"]) / 1.2, rtol=1e-5)


def test_a_picture_turned_back_has_its_pixels_there(body: BodyModel) -> None:
    """The turn of the labels is OpenCV's turn of the picture, to the pixel."""
    import cv2

    stored = np.arange(6, dtype=np.uint8).reshape(2, 3)  # 3 wide, 2 high
    upright = cv2.rotate(stored, cv2.ROTATE_90_CLOCKWISE)
    for y, x in np.ndindex(upright.shape):
        row, column = 2 - (x + 0.5), y + 0.5  # y' = W - x, x' = y, pixel centres
        assert stored[int(row), int(column)] == upright[y, x]


def test_smplx_labels_have_no_body(tmp_path: Path, body: BodyModel) -> None:
    people = scene_people(body)
    wide = np.concatenate([smpl(people)["pose"], np.zeros((COUNT, 93))], axis=1)
    given = columns(people, body, pose_cam=wide, shape=np.zeros((COUNT, 11)), gtkps=np.zeros((COUNT, 127, 3)) + 50)
    for name in (SCENE, CLOSEUP):
        table = read(write(tmp_path / f"{name}.npz", **given), body)
        assert not table.has("betas").any()
        assert not table.has("transl").any()
        assert table.has("bbox_xyxy", "keypoints2d", "focal", "gender").all()
        assert not table.array("keypoints2d")[:, list(SMPL45_FACE)].any()


def test_joints_outside_the_picture_have_no_confidence(tmp_path: Path, body: BodyModel) -> None:
    given = columns(scene_people(body), body)
    given["gtkps"][2, 7] = [-5, 100, 1]  # left ankle
    keypoints = read(write(tmp_path / f"{SCENE}.npz", **given), body).array("keypoints2d")
    assert keypoints[2, 5].tolist() == [-5, 100, 0]


def test_eleven_betas(tmp_path: Path, body: BodyModel) -> None:
    people = scene_people(body)
    shape = np.concatenate([smpl(people)["shape"], np.ones((COUNT, 1))], axis=1)
    same_bodies(read(write(tmp_path / f"{SCENE}.npz", **columns(people, body, shape=shape)), body), people, body)


def test_scenes_limit_and_round_trip(tmp_path: Path, body: BodyModel) -> None:
    people = scene_people(body)
    for name in (SCENE, "20221012_1"):
        write(tmp_path / f"{name}.npz", **columns(people, body))
    whole = read(tmp_path, body)
    assert len(whole) == 2 * COUNT
    some = read(tmp_path, body, limit=COUNT + 1)
    assert some.fingerprint == whole.head(COUNT + 1).fingerprint
    assert list(read(tmp_path, body, limit=2).metadata.provenance["inputs"]) == [f"{SCENE}.npz"]
    whole.write(tmp_path / "train.parquet")
    assert RecordTable.read(tmp_path / "train.parquet").fingerprint == whole.fingerprint


def test_damage_is_named(tmp_path: Path, body: BodyModel) -> None:
    people = scene_people(body)

    def refused(message: str, **changes: Any) -> None:
        with pytest.raises(InputError, match=message) as caught:
            read(write(tmp_path / f"{SCENE}.npz", **columns(people, body, **changes)), body)
        assert "\n" not in str(caught.value)

    with pytest.raises(InputError, match=r"has no \*\.npz \(see: hmrtk datasets show bedlam\)"):
        read(tmp_path, body)
    refused(r"6fps\.npz: has no cam_int", cam_int=None)
    refused(r"6fps\.npz: has no gtkps", gtkps=None)
    refused(r"6fps\.npz: gtkps has shape \(4, 17, 3\), expected \(N, 24 or more, 3\)", gtkps=np.zeros((COUNT, 17, 3)))
    refused(r"6fps\.npz row 0: cam_int is no camera, expected positive", cam_int=np.zeros((COUNT, 3, 3)))
    refused(r"6fps\.npz row 0: trans_cam has NaN", trans_cam=np.full((COUNT, 3), np.nan))
    refused(r"6fps\.npz row 1: gender is 'robot', expected one of", gender=["male", "robot", "male", "male"])
    refused(r"6fps\.npz row 0: scale is -1\.0", scale=-np.ones(COUNT))
    refused(r"6fps\.npz: shape has shape \(4, 9\), expected \(4, 10\)", shape=np.zeros((COUNT, 9)))

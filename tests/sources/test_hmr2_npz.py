"""4D-Humans' npz files: written from known bodies, the reader must return bodies, boxes and joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import SPIN24_NAMES
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.hmr2 import FACE, LIMBS
from hmrtk.toolkit.sources.hmr2_npz import Hmr2NpzSource
from tests.sources.people import People, left_is_left, random_people, tight
from tests.sources.spin_files import same_bodies, same_keypoints, same_rooted_joints, smpl, write

COUNT = 5
BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye",
    "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe",
    "right_small_toe", "right_heel",
)  # fmt: skip


@pytest.fixture(scope="module")
def people(body: BodyModel) -> People:
    return random_people(body, COUNT, seed=8)


def joints_44(people: People, dimensions: int) -> dict[str, np.ndarray]:
    """BODY_25 with the joints it shares with ``spin24``, and the first 19 of ``spin24``; confidence in the last column.

    BODY_25's hips get what stands at ours plus 30 px (0.05 m), its joints that we lack stay 0.
    """
    rooted = people.joints - people.joints[:, 14:15]
    values = people.pixels if dimensions == 2 else rooted
    values = np.concatenate([values, np.ones((COUNT, 24, 1))], axis=2)
    body = np.zeros((COUNT, 25, dimensions + 1))
    for row, name in enumerate(BODY_25):
        if name in SPIN24_NAMES:
            body[:, row] = values[:, SPIN24_NAMES.index(name)]
    body[:, [9, 12], 0] += 30 if dimensions == 2 else 0.05
    return {f"body_keypoints_{dimensions}d": body, f"extra_keypoints_{dimensions}d": values[:, :19]}


def columns(people: People, **changes: Any) -> dict[str, Any]:
    box = tight(people.vertices)
    given = {
        "imgname": np.array([f"imageFiles/courtyard_arguing_00/image_{i:05d}.jpg" for i in range(COUNT)]).astype("S"),
        "center": (box[:, :2] + box[:, 2:]) / 2, "scale": 1.2 * (box[:, 2:] - box[:, :2]),
        "body_pose": smpl(people)["pose"].astype(np.float32), "has_body_pose": np.ones(COUNT, np.float32),
        "betas": smpl(people)["shape"].astype(np.float32), "has_betas": np.ones(COUNT, np.float32),
        **joints_44(people, 2), **joints_44(people, 3),
        "extra_info": np.array([{"fitting_loss": {}} for _ in range(COUNT)], dtype=object),
    }  # fmt: skip
    return {k: v for k, v in (given | changes).items() if v is not None}


def read(path: Path, dataset: str, body: BodyModel, **arguments: Any) -> RecordTable:
    tables = Hmr2NpzSource(dataset).ingest(path, body, **arguments)
    assert len(tables) == 1
    return next(iter(tables.values()))


def test_joints_are_named_alike() -> None:
    for table in (FACE, LIMBS):
        assert [SPIN24_NAMES[slot] for slot in table] == [BODY_25[row] for row in table.values()]


def test_bodies_joints_and_boxes(tmp_path: Path, people: People, body: BodyModel) -> None:
    table = read(write(tmp_path / "3dpw_test.npz", **columns(people)).parent, "3dpw", body)
    same_bodies(table, people, body)
    same_keypoints(table, people)
    same_rooted_joints(table, people)
    assert left_is_left(table)
    np.testing.assert_allclose(table.array("bbox_xyxy"), tight(people.vertices), atol=1e-3)
    assert table.sample_ids[0] == "3dpw/test/imageFiles/courtyard_arguing_00/image_00000/0"
    assert table.array("sequence")[0] == "courtyard_arguing_00"
    assert set(table.array("body_source")) == {"hmr2"}


@pytest.mark.parametrize("shape", [(COUNT,), (COUNT, 1)])
def test_one_scale_is_a_square(tmp_path: Path, people: People, body: BodyModel, shape: Any) -> None:
    side = columns(people)["scale"].max(axis=1)
    table = read(write(tmp_path / "3dpw_test.npz", **columns(people, scale=side.reshape(shape))), "3dpw", body)
    box = table.array("bbox_xyxy")
    np.testing.assert_allclose(box[:, 2:] - box[:, :2], np.repeat(side[:, None] / 1.2, 2, axis=1), rtol=1e-5)


def test_limbs_come_from_openpose_in_2d_only(tmp_path: Path, people: People, body: BodyModel) -> None:
    given = columns(people)
    for key in ("extra_keypoints_2d", "extra_keypoints_3d"):
        given[key] = given[key] * 0
    table = read(write(tmp_path / "coco_val.npz", **given), "coco", body)
    keypoints = table.array("keypoints2d")
    slots = [*LIMBS, *FACE]
    np.testing.assert_allclose(keypoints[:, slots, :2], people.pixels[:, slots] + 0.5, atol=1e-3)
    assert not np.delete(keypoints, slots, axis=1).any()  # neither hips nor neck
    same_rooted_joints(table, people, FACE)


def test_a_body_needs_pose_and_shape(tmp_path: Path, people: People, body: BodyModel) -> None:
    given = columns(people, has_body_pose=[1, 0, 1, 1, 1], has_betas=[1, 1, 0, 1, 1])
    given["body_pose"][1] = np.nan
    table = read(write(tmp_path / "h36m_train.npz", **given), "h36m", body)
    assert table.has("betas", "body_pose").tolist() == [True, False, False, True, True]
    bare = columns(people, **dict.fromkeys(("has_body_pose", "has_betas", "body_keypoints_3d", "extra_keypoints_3d")))
    table = read(write(tmp_path / "h36m_train.npz", **bare), "h36m", body)
    assert not table.has("betas").any()
    assert not table.has("joints3d").any()


def test_limit_and_round_trip(tmp_path: Path, people: People, body: BodyModel) -> None:
    path = write(tmp_path / "mine_val.npz", **columns(people))
    tables = Hmr2NpzSource("coco").ingest(path, body)
    assert list(tables) == ["val"]
    whole = tables["val"]
    assert read(path, "coco", body, limit=2).fingerprint == whole.head(2).fingerprint
    whole.write(tmp_path / "val.parquet")
    assert RecordTable.read(tmp_path / "val.parquet").fingerprint == whole.fingerprint


def test_damage_is_named(tmp_path: Path, people: People, body: BodyModel) -> None:
    def refused(message: str, **changes: Any) -> None:
        with pytest.raises(InputError, match=message) as caught:
            read(write(tmp_path / "3dpw_test.npz", **columns(people, **changes)), "3dpw", body)
        assert "\n" not in str(caught.value)

    scale = columns(people)["scale"]
    refused(r"test\.npz row 0: scale is .* px \(a file in units of 200 px is --format spin_npz\)", scale=scale / 200)
    refused(r"test\.npz row 0: scale is \[-.*\] px, expected positive numbers", scale=-scale)
    refused(r"test\.npz: scale has shape \(5, 3\), expected one or two numbers", scale=np.ones((COUNT, 3)))
    refused(r"test\.npz: body_pose has shape \(5, 69\), expected \(5, 24, 3\)", body_pose=np.zeros((COUNT, 69)))
    refused(r"test\.npz row 0: \|betas\| reaches 50\.0", betas=np.full((COUNT, 10), 50.0))
    refused(r"test\.npz row 0: extra_keypoints_2d has NaN", extra_keypoints_2d=np.full((COUNT, 19, 3), np.nan))
    refused(r"test\.npz: has no imgname", imgname=None)
    with pytest.raises(InputError, match=r"has no coco_val\.npz or coco_train\.npz \(see: hmrtk datasets show coco\)"):
        Hmr2NpzSource("coco").ingest(tmp_path, body)

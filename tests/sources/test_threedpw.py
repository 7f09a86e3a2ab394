"""3DPW sequence files written from known gendered bodies and a moving camera: the reader returns those bodies."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.gendered import GenderedBody
from hmrtk.toolkit.body.joints import SPIN24_NAMES
from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.registry import open_source
from hmrtk.toolkit.sources.threedpw import OPENPOSE17_SLOTS, spin24_keypoints

FRAMES = 6
K = np.array([[1961.85, 0, 540], [0, 1969.23, 960], [0, 0, 1]])
OPENPOSE18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip


@pytest.fixture(scope="module")
def bodies() -> GenderedBody:
    return GenderedBody.load(None)


def person(bodies: GenderedBody, gender: str, seed: int, cam_poses: Any) -> dict[str, Any]:
    """One person in the world: what the file says of them, and their joints in the camera frame."""
    rng = np.random.default_rng(seed)
    pose, betas = rng.normal(0, 0.2, (FRAMES, 24, 3)), rng.normal(size=10)
    pose[:, 0] = (Rotation.from_euler("y", 0.3 * seed) * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    trans = np.array([0.4 * seed - 0.4, 1.0, 0]) + rng.normal(0, 0.05, (FRAMES, 3))
    posed = bodies.pose(
        BodyParameters.of(pose[:, 0], pose[:, 1:], np.tile(betas, (FRAMES, 1)), trans), [gender] * FRAMES
    )
    model = bodies.models[gender]
    seen = [x @ c[:3, :3].T + c[:3, 3] for x, c in zip(model.spin24(posed).astype(float), cam_poses, strict=True)]
    pixels = np.stack(seen) @ K.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    detected = np.zeros((FRAMES, 18, 3))
    detected[:, [i for i in range(18) if i != 1]] = np.concatenate([pixels, np.full((FRAMES, 24, 1), 0.8)], axis=2)[
        :, list(OPENPOSE17_SLOTS)
    ]
    detected[:, 1] = [500, 500, 0.7]  # OpenPose's neck
    return {
        "poses": pose.reshape(FRAMES, 72), "betas": betas, "trans": trans, "genders": gender[0],
        "jointPositions": posed.joints.reshape(FRAMES, 72).astype(float), "poses2d": np.swapaxes(detected, 1, 2).copy(),
        "vertices": posed.vertices, "spin24": np.stack(seen), "pixels": pixels,
    }  # fmt: skip


def made_sequence(bodies: GenderedBody) -> dict[str, Any]:
    """The dictionary of a sequence with two people, and what is true of them under ``truth``."""
    upside_down = Rotation.from_euler("x", 180, degrees=True)  # the world has y up, the camera y down
    turns = Rotation.from_euler("y", np.linspace(-20, 25, FRAMES)[:, None], degrees=True)
    cam_poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    cam_poses[:, :3, :3] = (upside_down * turns).as_matrix()
    cam_poses[:, :3, 3] = np.stack([np.linspace(-0.2, 0.2, FRAMES), np.ones(FRAMES), np.full(FRAMES, 4.5)], 1)
    people = [person(bodies, "male", 0, cam_poses), person(bodies, "female", 1, cam_poses)]
    valid = [np.ones(FRAMES, np.int64), np.array([1, 1, 0, 1, 1, 1])]
    people[0]["poses2d"][4] = 0  # nobody detected
    keys = ("poses", "betas", "trans", "genders", "jointPositions", "poses2d")
    return {
        "sequence": "downtown_walking_00",
        "cam_poses": cam_poses,
        "cam_intrinsics": K,
        "campose_valid": valid,
        "img_frame_ids": np.arange(FRAMES) * 2 + 3,
        "poses_60Hz": [np.zeros((2 * FRAMES, 72))] * 2,
        "trans_60Hz": [np.zeros((2 * FRAMES, 3))] * 2,
        "texture_maps": [np.zeros((4, 4, 3), np.uint8)] * 2,
        "v_template_clothed": [np.zeros((6890, 3))] * 2,
        "betas_clothed": [np.zeros(10)] * 2,
        **{key: [p[key] for p in people] for key in keys},
        "truth": people,
    }


@pytest.fixture(scope="module")
def sequence(bodies: GenderedBody) -> dict[str, Any]:
    return made_sequence(bodies)


def write(root: Path, sequence: dict[str, Any], folder: str = "test", name: str = "downtown_walking_00") -> Path:
    path = root / "sequenceFiles" / folder / f"{name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in sequence.items() if key != "truth" and value is not None}
    path.write_bytes(pickle.dumps({**kept, "sequence": name}, 2))
    return path


def ingest(root: Path, **options: Any) -> dict[str, RecordTable]:
    return open_source("3dpw", "raw").ingest(root, load_body(), **options)


def test_the_bodies_come_back_in_the_camera_frame(
    tmp_path: Path, sequence: dict[str, Any], bodies: GenderedBody
) -> None:
    write(tmp_path, sequence)
    (table,) = ingest(tmp_path).values()
    names = [tuple(name.split("/")[3:]) for name in table.sample_ids]
    assert names == [("0", f"{f:05d}") for f in (0, 1, 2, 3, 5)] + [("1", f"{f:05d}") for f in (0, 1, 3, 4, 5)]
    posed = bodies.pose(table.parameters(), table.array("gender"))
    for row, (who, frame) in enumerate(names):
        truth, camera = sequence["truth"][int(who)], sequence["cam_poses"][int(frame)]
        expected = truth["vertices"][int(frame)] @ camera[:3, :3].T + camera[:3, 3]
        np.testing.assert_allclose(posed.vertices[row], expected, atol=2e-5)
        keypoints = table.array("keypoints2d")[row]
        slots = list(OPENPOSE17_SLOTS)
        np.testing.assert_allclose(keypoints[slots, :2], truth["pixels"][int(frame)][slots], atol=1e-3)
        joints = table.array("joints3d")[row]
        sure = joints[:, 3] == 1
        assert sure.sum() == 10
        np.testing.assert_allclose(joints[sure, :3], truth["spin24"][int(frame)][sure], atol=2e-5)
        pixel = joints[sure, :3] @ K.T
        np.testing.assert_allclose(pixel[:, :2] / pixel[:, 2:], keypoints[sure, :2], atol=0.02)
    np.testing.assert_allclose(table.array("focal")[0], K[[0, 1], [0, 1]])
    np.testing.assert_allclose(table.array("principal")[0], K[:2, 2])
    assert table.array("gender").tolist() == ["male"] * 5 + ["female"] * 5


def test_pictures_are_numbered_by_pose_and_boxes_hold_the_detections(tmp_path: Path, sequence: dict[str, Any]) -> None:
    write(tmp_path, sequence)
    (table,) = ingest(tmp_path).values()
    assert table.array("image_path")[4] == "imageFiles/downtown_walking_00/image_00005.jpg"
    keypoints, box = table.array("keypoints2d"), table.array("bbox_xyxy")
    seen = keypoints[..., 2] > 0
    assert (seen.sum(axis=1) == 17).all()
    for row in range(len(table)):
        np.testing.assert_allclose(box[row, :2], keypoints[row, seen[row], :2].min(axis=0))
        np.testing.assert_allclose(box[row, 2:], keypoints[row, seen[row], :2].max(axis=0))


def test_left_is_left() -> None:
    detected = np.ones((1, 18, 3))
    detected[0, :, 0] = np.arange(18)
    placed = spin24_keypoints(detected)[0]
    for slot in np.flatnonzero(placed[:, 2]):
        theirs = OPENPOSE18[int(placed[slot, 0])]
        assert SPIN24_NAMES[slot] == theirs
    assert int((placed[:, 2] > 0).sum()) == 17
    detected[0, 3] = [50, 60, 0]
    assert not spin24_keypoints(detected)[0, 7].any()


def test_splits_limit_and_order(tmp_path: Path, sequence: dict[str, Any]) -> None:
    for folder, name in (("train", "b_00"), ("train", "a_00"), ("validation", "c_00"), ("test", "d_00")):
        write(tmp_path, sequence, folder, name)
    tables = ingest(tmp_path)
    assert {split: len(table) for split, table in tables.items()} == {"train": 20, "val": 10, "test": 10}
    assert tables["train"].sample_ids[0] == "3dpw/train/a_00/0/00000"
    assert tables["train"].sample_ids == ingest(tmp_path)["train"].sample_ids
    few = ingest(tmp_path, limit=7)
    assert few["train"].sample_ids == tables["train"].sample_ids[:7]
    assert list(few["train"].metadata.provenance["inputs"]) == ["sequenceFiles/train/a_00.pkl"]


def test_written_and_read_back(tmp_path: Path, sequence: dict[str, Any]) -> None:
    write(tmp_path, sequence)
    (table,) = ingest(tmp_path).values()
    path = tmp_path / "test.parquet"
    table.write(path)
    assert RecordTable.read(path).fingerprint == table.fingerprint


def test_frames_without_a_valid_camera_may_hold_anything(tmp_path: Path, sequence: dict[str, Any]) -> None:
    poses = [p.copy() for p in sequence["poses"]]
    poses[1][2] = np.nan
    write(tmp_path, {**sequence, "poses": poses})
    (table,) = ingest(tmp_path).values()
    assert len(table) == 10


def changed(sequence: dict[str, Any], key: str, change: Any) -> dict[str, Any]:
    """The sequence with person 1's value of one key changed."""
    return {**sequence, key: [sequence[key][0], change(np.array(sequence[key][1]))]}


BREAKAGES = {
    "no cameras": (lambda s: {**s, "cam_poses": None}, r"00\.pkl person 0: has no cam_poses|00\.pkl: has no cam_poses"),
    "NaN": (
        lambda s: changed(s, "poses", lambda v: np.where(v == v[4, 7], np.nan, v)),
        r"person 1 row 4: poses has NaN",
    ),
    "betas": (lambda s: changed(s, "betas", lambda v: v * 1e4), r"person 1: betas reaches .*, expected at most 20"),
    "gender": (lambda s: {**s, "genders": ["m", "x"]}, r"person 1: genders is 'x'"),
    "one gender": (lambda s: {**s, "genders": ["m"]}, r"genders has 1 people, poses has more"),
    "layout of 2D": (
        lambda s: changed(s, "poses2d", lambda v: np.swapaxes(v, 1, 2)),
        r"poses2d has shape \(6, 18, 3\)",
    ),
    "frames": (
        lambda s: changed(s, "trans", lambda v: v[:3]),
        r"person 1: trans has shape \(3, 3\), expected \(6, 3\)",
    ),
    "no rotation": (lambda s: {**s, "cam_poses": s["cam_poses"] * 1.1}, r"person 0 row 0: cam_poses holds no rotation"),
    "intrinsics": (lambda s: {**s, "cam_intrinsics": np.zeros((3, 3))}, r"cam_intrinsics has focal lengths"),
    "joint order": (
        lambda s: changed(s, "jointPositions", lambda v: v.reshape(-1, 24, 3)[:, ::-1].reshape(-1, 72)),
        r"person 1 frame \d: jointPositions do not belong to poses and trans: pelvis moves by",
    ),
    "trans in cm": (lambda s: changed(s, "trans", lambda v: v * 100), r"pelvis moves by .* m as seen from its parent"),
    "degrees": (lambda s: changed(s, "poses", np.degrees), r"jointPositions do not belong to poses and trans"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_bad_sequences_are_named(tmp_path: Path, sequence: dict[str, Any], breakage: str) -> None:
    change, message = BREAKAGES[breakage]
    write(tmp_path, change(sequence))
    with pytest.raises(InputError, match=message) as caught:
        ingest(tmp_path)
    assert "downtown_walking_00.pkl" in str(caught.value)


def test_missing_truncated_unsafe_and_escaping(tmp_path: Path, sequence: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"has no sequenceFiles/\{train,validation,test\}/\*\.pkl"):
        ingest(tmp_path)
    path = write(tmp_path, sequence)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"00\.pkl: is not a readable pickle"):
        ingest(tmp_path)
    path.write_bytes(pickle.dumps({"sequence": Path("x")}))
    with pytest.raises(InputError, match=r"which hmrtk does not load \(expected a 3DPW sequence\)"):
        ingest(tmp_path)
    path.write_bytes(pickle.dumps({"sequence": "../../etc"}))
    with pytest.raises(InputError, match=r"sequence is '\.\./\.\./etc', expected a plain name"):
        ingest(tmp_path)
    write(tmp_path, {**sequence, "campose_valid": [np.zeros(FRAMES)] * 2})
    with pytest.raises(InputError, match=r"has no frame with a valid camera and a detected person"):
        ingest(tmp_path)

"""DeepMimic text: known poses come back; the packaged clips, written in that format again, too."""

from __future__ import annotations

import copy
import importlib.resources
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.joints import SMPL_NAMES
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources import deepmimic

LIMIT_DEG = 0.1
AT = SMPL_NAMES.index


def humanoid_pose(mocap: SimpleNamespace, frames: int, seed: int) -> Any:
    """Random poses that DeepMimic's humanoid can take: hinged knees and elbows, one chest joint, no feet or hands."""
    rng = np.random.default_rng(seed)
    pose = mocap.random_pose(frames, seed)
    for joint in ("left_foot", "right_foot", "left_wrist", "right_wrist", "left_collar", "right_collar"):
        pose[:, AT(joint)] = 0
    pose[:, AT("spine1")] = pose[:, AT("spine2")] = pose[:, AT("spine3")] = pose[:, AT("spine3")] / 3
    pose[:, AT("neck")] = pose[:, AT("head")] = pose[:, AT("head")] / 2
    for side, hang in (("left", 90), ("right", -90)):
        pose[:, AT(f"{side}_knee")] = rng.uniform(0, 2, (frames, 1)) * [1, 0, 0]  # z of DeepMimic is SMPL's -x
        down = Rotation.from_euler("z", -hang, degrees=True).as_matrix()
        pose[:, AT(f"{side}_elbow")] = rng.uniform(-2, 0, (frames, 1)) * (np.linalg.inv(down) @ [1, 0, 0])
    return pose


def test_poses_come_back(mocap: SimpleNamespace, clip: Callable[[Any], Path]) -> None:
    pose = humanoid_pose(mocap, 20, 1)
    motion = deepmimic.read(clip(mocap.deepmimic_document(pose, 1 / 60)))
    assert motion.fps == pytest.approx(60)
    world, expected = mocap.world_rotations(motion.pose), mocap.world_rotations(pose)
    for joint in SMPL_NAMES:
        if "collar" in joint:  # DeepMimic has none: part of the arm's rise is given to them
            continue
        turn = Rotation.from_matrix(np.swapaxes(world[joint], -1, -2) @ expected[joint]).magnitude()
        assert np.degrees(turn.max()) < LIMIT_DEG, joint


def test_collars_take_a_share_of_the_rise_and_leave_the_arm_where_it_is(
    mocap: SimpleNamespace, clip: Callable[[Any], Path]
) -> None:
    pose = np.zeros((1, 24, 3))
    pose[0, AT("left_shoulder")] = (0, 0, 1.0)
    read = deepmimic.read(clip(mocap.deepmimic_document(pose))).pose[0]
    np.testing.assert_allclose(read[AT("left_collar")], (0, 0, 0.15), atol=1e-6)
    np.testing.assert_allclose(read[AT("left_shoulder")], (0, 0, 0.85), atol=1e-6)


def test_packaged_clips_come_back(mocap: SimpleNamespace, clip: Callable[[Any], Path]) -> None:
    """The clips were retargeted from DeepMimic files by another program: encode them again, read, compare."""
    source = importlib.resources.files("hmrtk.toolkit.sources") / "data" / "embedded_motion.npz"
    with source.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        pose = file["poses"].reshape(-1, 24, 3).astype(float)
    read = deepmimic.read(clip(mocap.deepmimic_document(pose))).pose
    assert mocap.worst_angle(read, pose) < LIMIT_DEG


def _changed(document: dict[str, Any], frame: int, column: int, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(document)
    document["Frames"][frame][column] = value
    return document


BREAKAGES = {
    "no frames": (lambda d: {"Loop": "none"}, "has no list 'Frames'"),
    "empty frames": (lambda d: {"Frames": []}, "has no list 'Frames'"),
    "a list": (lambda d: d["Frames"], "has no list 'Frames'"),
    "43 numbers": (lambda d: {"Frames": [*d["Frames"], d["Frames"][0][:-1]]}, "frame 3: has 43 numbers, expected 44"),
    "not a list": (lambda d: {"Frames": [1.0]}, "frame 0: has 1.0, expected 44"),
    "word": (lambda d: _changed(d, 1, 5, "x"), "frame 1: holds something that is not a number"),
    "NaN": (lambda d: _changed(d, 2, 5, float("nan")), "frame 2: has NaN"),
    "infinite": (lambda d: _changed(d, 2, 5, float("inf")), "frame 2: has NaN or infinite"),
    "zero quaternion": (
        lambda d: {"Frames": [[*row[:8], 0, 0, 0, 0, *row[12:]] for row in d["Frames"]]},
        "frame 0: the quaternion of chest is zero",
    ),
    "no duration": (lambda d: {"Frames": [[0, *row[1:]] for row in d["Frames"]]}, "frame duration is 0"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_damaged_clips_are_refused(mocap: SimpleNamespace, clip: Callable[[Any], Path], breakage: str) -> None:
    change, expected = BREAKAGES[breakage]
    document = mocap.deepmimic_document(humanoid_pose(mocap, 3, 2))
    with pytest.raises(InputError, match=r"clip\.txt") as caught:
        deepmimic.read(clip(change(document)))
    assert expected in str(caught.value)


def test_truncated_and_empty_files(mocap: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "clip.txt"
    text = json.dumps(mocap.deepmimic_document(humanoid_pose(mocap, 3, 2)))
    path.write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match=r"clip\.txt line 1: is not valid JSON"):
        deepmimic.read(path)
    path.write_text("")
    with pytest.raises(InputError, match="is empty"):
        deepmimic.read(path)
    with pytest.raises(InputError, match="no such file"):
        deepmimic.read(tmp_path / "other.txt")

"""BVH: known SMPL poses, written by an independent writer in many dialects, come back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.joints import SMPL_NAMES
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources import bvh
from hmrtk.toolkit.sources.skeletons import SKELETONS

ALL_ORDERS = ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"]
LIMIT_DEG = 0.1
SCHEMES = {scheme.name: scheme for scheme in SKELETONS}
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""SMPL's axes → a world with z up, facing -y (Blender)."""


def names_of(scheme: str) -> dict[str, str]:
    return {joint: names[0] for joint, names in SCHEMES[scheme].joints.items()}


def read_text(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "clip.bvh"
    path.write_text(text)
    return bvh.read(path)


def without(pose: Any, names: dict[str, str]) -> Any:
    """The poses that a skeleton with these joints can show: what it lacks follows its parent or is shared equally."""
    pose, at = pose.copy(), SMPL_NAMES.index
    for joint in SMPL_NAMES:
        if joint not in names and joint not in ("spine2", "neck"):
            pose[:, at(joint)] = 0
    if "spine2" not in names:
        pose[:, at("spine2")] = pose[:, at("spine3")] = pose[:, at("spine3")] / 2
    if "neck" not in names:
        pose[:, at("neck")] = pose[:, at("head")] = pose[:, at("head")] / 2
    return pose


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if not SCHEMES[name].first_frame and "ASF" not in name])
@pytest.mark.parametrize("positions", [False, True])
def test_poses_come_back_from_a_rest_pose_that_is_a_t_pose(
    tmp_path: Path, mocap: SimpleNamespace, scheme: str, positions: bool
) -> None:
    names = names_of(scheme)
    pose = without(mocap.random_pose(6, 1), names)
    motion = read_text(tmp_path, mocap.bvh_text(mocap.Rig(names), pose, ALL_ORDERS, 30.0, positions))
    assert motion.fps == pytest.approx(30, rel=1e-4)
    assert motion.pose.shape == (6, 24, 3)
    assert mocap.worst_angle(motion.pose, pose) < LIMIT_DEG


@pytest.mark.parametrize(("legs", "arms"), [(20, 0), (0, 45), (10, 80), (20, -5)])
def test_spread_legs_and_lowered_arms_of_the_rest_pose_are_undone(
    tmp_path: Path, mocap: SimpleNamespace, legs: float, arms: float
) -> None:
    names = names_of("CMU (MotionBuilder)")
    pose = without(mocap.random_pose(5, 2), names)
    rig = mocap.Rig(names, mocap.spread(legs, arms))
    assert mocap.worst_angle(read_text(tmp_path, mocap.bvh_text(rig, pose)).pose, pose) < LIMIT_DEG


@pytest.mark.parametrize("scheme", ["DAZ", "Character Creator", "Mixamo"])
def test_a_t_pose_in_the_first_frame_is_the_reference_and_left_out(
    tmp_path: Path, mocap: SimpleNamespace, scheme: str
) -> None:
    names = names_of(scheme)
    rng = np.random.default_rng(3)
    turns = {joint: Rotation.random(rng=rng).as_matrix() for joint in names}
    pose = without(mocap.random_pose(5, 3), names)
    with_reference = np.concatenate([np.zeros((1, 24, 3)), pose])
    motion = read_text(tmp_path, mocap.bvh_text(mocap.Rig(names, turns), with_reference, ALL_ORDERS))
    assert len(motion.pose) == 5
    assert mocap.worst_angle(motion.pose, pose) < LIMIT_DEG


def test_a_t_pose_in_front_of_a_usable_rest_pose_is_left_out_too(tmp_path: Path, mocap: SimpleNamespace) -> None:
    names = names_of("CMU (MotionBuilder)")
    pose = without(mocap.random_pose(4, 3), names)
    leading = np.zeros((1, 24, 3))
    leading[0, SMPL_NAMES.index("left_shoulder"), 2] = np.radians(8)  # not exact: must not become the reference
    rig = mocap.Rig(names, mocap.spread(20))
    motion = read_text(tmp_path, mocap.bvh_text(rig, np.concatenate([leading, pose])))
    assert len(motion.pose) == 4
    assert motion.sampled(30)[0].tolist() == [1, 2, 3, 4]
    assert mocap.worst_angle(motion.pose, pose) < LIMIT_DEG
    only = read_text(tmp_path, mocap.bvh_text(rig, leading))
    assert len(only.pose) == 1


def test_a_world_with_z_up_facing_minus_y(tmp_path: Path, mocap: SimpleNamespace) -> None:
    names = names_of("Mixamo")
    pose = without(mocap.random_pose(4, 4), names)
    rig = mocap.Rig(names, mocap.spread(5, 30), Z_UP)
    assert mocap.worst_angle(read_text(tmp_path, mocap.bvh_text(rig, pose)).pose, pose) < LIMIT_DEG


def test_a_reference_that_faces_thirty_degrees_aside(tmp_path: Path, mocap: SimpleNamespace) -> None:
    names = names_of("DAZ")
    pose = without(mocap.random_pose(4, 5), names)
    aside = Rotation.from_euler("y", 30, degrees=True).as_matrix()
    both = np.concatenate([np.zeros((1, 24, 3)), pose])
    assert (
        mocap.worst_angle(read_text(tmp_path, mocap.bvh_text(mocap.Rig(names, {}, aside), both)).pose, pose) < LIMIT_DEG
    )


def test_prefixed_names_and_any_case(tmp_path: Path, mocap: SimpleNamespace) -> None:
    names = {joint: f"mixamorig:{name.upper()}" for joint, name in names_of("Mixamo").items()}
    pose = without(mocap.random_pose(3, 6), names)
    assert mocap.worst_angle(read_text(tmp_path, mocap.bvh_text(mocap.Rig(names), pose)).pose, pose) < LIMIT_DEG


def test_small_differences_of_dialect(tmp_path: Path, mocap: SimpleNamespace) -> None:
    """No blank after ``Frames:``, tabs, small letters, Windows line ends, a byte order mark, no last line end."""
    names = names_of("Mixamo")
    pose = without(mocap.random_pose(3, 6), names)
    text = (
        mocap.bvh_text(mocap.Rig(names), pose).replace("Frames: ", "Frames:").replace("Frame Time: ", "Frame Time:\t")
    )
    text = text.replace("  ", "\t").replace("Xrotation", "xrotation").replace("Zposition", "ZPOSITION").rstrip("\n")
    path = tmp_path / "clip.bvh"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert mocap.worst_angle(bvh.read(path).pose, pose) < LIMIT_DEG


def test_smpl_named_skeletons_keep_their_own_rest_pose(tmp_path: Path, mocap: SimpleNamespace, body: Any) -> None:
    """SMPL's own rest pose has legs a few degrees apart: it is zero, not a pose to correct."""
    joints = body.joint_regressor @ body.v_template
    rest = dict(zip(SMPL_NAMES, joints - joints[0], strict=True))
    pose = mocap.random_pose(4, 7)
    rig = mocap.Rig(names_of("SMPL"), {}, np.eye(3), rest)
    assert mocap.worst_angle(read_text(tmp_path, mocap.bvh_text(rig, pose)).pose, pose) < LIMIT_DEG


def test_joint_positions_agree_with_forward_kinematics(tmp_path: Path, mocap: SimpleNamespace, body: Any) -> None:
    """The body's own joints, posed with what was read, are where an independent chain of the same bones is."""
    from hmrtk.toolkit.body.parameters import BodyParameters

    names = names_of("Mixamo")
    pose = without(mocap.random_pose(4, 8), names)
    read = read_text(tmp_path, mocap.bvh_text(mocap.Rig(names), pose)).pose
    rest = dict(zip(SMPL_NAMES, (body.joint_regressor @ body.v_template).astype(float), strict=True))
    expected = mocap.fk(pose, rest)
    joints = body.joints(BodyParameters.of(read[:, 0], read[:, 1:])).astype(float)
    for i, name in enumerate(SMPL_NAMES):
        np.testing.assert_allclose(joints[:, i] - joints[:, 0], expected[name], atol=2e-3)


def test_the_left_arm_is_on_the_left(tmp_path: Path, mocap: SimpleNamespace, body: Any) -> None:
    from hmrtk.toolkit.body.parameters import BodyParameters

    pose = np.zeros((1, 24, 3))
    pose[0, SMPL_NAMES.index("left_shoulder")] = (0, 0, np.pi / 2)  # straight up
    names = names_of("3ds Max")
    read = read_text(tmp_path, mocap.bvh_text(mocap.Rig(names), pose)).pose
    joints = dict(zip(SMPL_NAMES, body.joints(BodyParameters.of(read[:, 0], read[:, 1:]))[0], strict=True))
    assert joints["left_wrist"][1] > joints["head"][1] > joints["right_wrist"][1]
    assert joints["left_hip"][0] > 0 > joints["right_wrist"][0]


def _good(mocap: SimpleNamespace) -> str:
    names = names_of("Mixamo")
    return str(mocap.bvh_text(mocap.Rig(names), without(mocap.random_pose(3, 9), names)))


def test_bones_without_length_are_refused(tmp_path: Path, mocap: SimpleNamespace) -> None:
    flat = {joint: (0, 0, 0) for joint in mocap.T_POSE}
    with pytest.raises(InputError, match="in the rest pose the hips coincide"):
        read_text(tmp_path, mocap.bvh_text(mocap.Rig(names_of("SMPL"), {}, np.eye(3), flat), np.zeros((2, 24, 3))))


def _line(text: str, start: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if line.strip().startswith(start))


BREAKAGES = {
    "not BVH": (lambda t: "hello " + t, "line 1: found 'hello', expected HIERARCHY"),
    "no motion": (lambda t: t.split("MOTION")[0], "ends in the middle"),
    "cut in the hierarchy": (lambda t: t[: t.index("JOINT LeftFoot") + 20], "ends in the middle"),
    "cut in the frames": (lambda t: "\n".join(t.splitlines()[:-1]), "has 2 frames, its header says 3"),
    "cut in a line": (lambda t: t[:-40], "numbers, expected"),
    "more frames": (lambda t: t + t.splitlines()[-1] + "\n", "has 4 frames, its header says 3"),
    "NaN": (lambda t: t.replace(t.splitlines()[-1].split()[4], "nan"), "has a value that is nan"),
    "word in a frame": (lambda t: t.replace(t.splitlines()[-1].split()[4], "x7"), "found 'x7', expected a number"),
    "no number in OFFSET": (lambda t: t.replace("OFFSET", "OFFSET left", 1), "found 'left', expected a number"),
    "unknown channel": (lambda t: t.replace("Zrotation", "Wrotation", 1), "found 'Wrotation', expected"),
    "unknown word": (lambda t: t.replace("  CHANNELS", "  CHANELS", 1), "found 'CHANELS', expected CHANNELS"),
    "channel count": (lambda t: t.replace("CHANNELS 3", "CHANNELS 4", 1), "expected 4 channels"),
    "frame time": (lambda t: t.replace("Frame Time: 0.0", "Frame Time: -0.0", 1), "expected seconds above 0"),
    "no frames": (lambda t: "\n".join(t.replace("Frames: 3", "Frames: 0").splitlines()[:-3]), "has 0 frames"),
    "binary": (lambda t: t + "\0", "is not a text file"),
    "empty": (lambda t: " \n", "is empty"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_damaged_files_are_refused_with_their_place(tmp_path: Path, mocap: SimpleNamespace, breakage: str) -> None:
    change, expected = BREAKAGES[breakage]
    with pytest.raises(InputError, match=r"clip\.bvh") as caught:
        read_text(tmp_path, change(_good(mocap)))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_short_frame_names_its_line(tmp_path: Path, mocap: SimpleNamespace) -> None:
    text = _good(mocap).splitlines()
    at = _line("\n".join(text), "Frame Time") + 2
    count = len(text[at - 1].split())
    text[at - 1] = " ".join(text[at - 1].split()[:-1])
    with pytest.raises(InputError, match=rf"line {at}: has {count - 1} numbers, expected {count}"):
        read_text(tmp_path, "\n".join(text))


def test_a_missing_file() -> None:
    with pytest.raises(InputError, match="no such file"):
        bvh.read(Path("nowhere.bvh"))


def test_an_unknown_skeleton_lists_what_was_found_and_looked_for(tmp_path: Path, mocap: SimpleNamespace) -> None:
    names = {joint: f"Bone{i}" for i, joint in enumerate(SMPL_NAMES)}
    with pytest.raises(InputError, match="unknown skeleton: found joints Bone0, Bone1") as caught:
        read_text(tmp_path, mocap.bvh_text(mocap.Rig(names), mocap.random_pose(2, 1)))
    assert "misses" in str(caught.value)
    assert "Mixamo" in str(caught.value)


def test_a_rest_pose_without_human_form_needs_a_t_pose(tmp_path: Path, mocap: SimpleNamespace) -> None:
    names = names_of("Mixamo")
    rng = np.random.default_rng(3)
    turns = {joint: Rotation.random(rng=rng).as_matrix() for joint in names}
    pose = without(mocap.random_pose(3, 3), names)
    with pytest.raises(InputError, match=r"no T-pose to refer to: in the rest pose the bone below .*put a T-pose"):
        read_text(tmp_path, mocap.bvh_text(mocap.Rig(names, turns), pose))

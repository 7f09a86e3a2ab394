"""Retargeting's own pieces: sampling, filling joints, Euler angles, shortest rotations, naming schemes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.joints import SMPL_NAMES
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources.retarget import Motion, euler_to_rotmat, fill_between, poses_of, rotation_between
from hmrtk.toolkit.sources.skeletons import REQUIRED, SKELETONS, match_skeleton


@pytest.mark.parametrize("axes", ["XYZ", "zyx", "YX", "z", "XZXY"])
def test_euler_angles_multiply_in_their_order(axes: str) -> None:
    angles = np.random.default_rng(0).uniform(-3, 3, (5, len(axes)))
    expected = np.eye(3)
    for i, letter in enumerate(axes.lower()):
        expected = expected @ Rotation.from_euler(letter, angles[:, i : i + 1]).as_matrix()
    np.testing.assert_allclose(euler_to_rotmat(angles, axes), expected, atol=1e-12)


def test_rotation_between_directions() -> None:
    rng = np.random.default_rng(1)
    for start, end in rng.normal(size=(20, 2, 3)):
        turn = rotation_between(start, end)
        np.testing.assert_allclose(turn @ start / np.linalg.norm(start), end / np.linalg.norm(end), atol=1e-12)
        angle = np.arccos(start @ end / np.linalg.norm(start) / np.linalg.norm(end))
        assert Rotation.from_matrix(turn).magnitude() == pytest.approx(angle)
    down = np.array([0.0, -1, 0])
    np.testing.assert_array_equal(rotation_between(down, 3 * down), np.eye(3))
    np.testing.assert_allclose(rotation_between(down, -down) @ down, -down)


def test_spine_joints_between_share_the_turn() -> None:
    pelvis = Rotation.from_euler("y", [[20]], degrees=True).as_matrix().reshape(1, 3, 3)
    bend = Rotation.from_euler("x", [[60]], degrees=True).as_matrix().reshape(1, 3, 3)
    pose = poses_of(fill_between({"pelvis": pelvis, "spine3": pelvis @ bend}))[0]
    for joint in ("spine1", "spine2", "spine3"):
        np.testing.assert_allclose(np.degrees(pose[SMPL_NAMES.index(joint)]), (20, 0, 0), atol=1e-6)
    assert np.abs(pose[12:]).max() < 1e-7


def test_without_an_upper_spine_the_chest_follows_what_is_there() -> None:
    bend = Rotation.from_euler("x", [[30]], degrees=True).as_matrix().reshape(1, 3, 3)
    pose = poses_of(fill_between({"pelvis": np.eye(3)[None], "spine1": bend}))[0]
    np.testing.assert_allclose(np.degrees(pose[SMPL_NAMES.index("spine1")]), (30, 0, 0), atol=1e-6)
    assert np.abs(pose[[6, 9]]).max() < 1e-7


@pytest.mark.parametrize(
    ("fps", "wanted", "frames"),
    [(30, 10, [0, 3, 6, 9]), (10, 10, list(range(12))), (5, 10, list(range(12))), (25, 10, [0, 3, 5, 8, 10])],
)
def test_sampling_in_time(fps: float, wanted: float, frames: list[int]) -> None:
    pose = np.arange(12 * 72, dtype=float).reshape(12, 24, 3)
    got, sampled = Motion(pose, fps, "x").sampled(wanted)
    assert got.tolist() == frames
    np.testing.assert_array_equal(sampled, pose[frames])


@pytest.mark.parametrize("scheme", [scheme.name for scheme in SKELETONS])
def test_every_scheme_recognises_its_own_names(scheme: str) -> None:
    wanted = next(s for s in SKELETONS if s.name == scheme)
    found = [f"rig:{names[-1]}" for names in wanted.joints.values()]
    got, index = match_skeleton(found, "x")
    assert got.name == scheme
    assert {joint: found[i] for joint, i in index.items()} == dict(zip(wanted.joints, found, strict=True))
    assert set(REQUIRED) <= set(wanted.joints) <= set(SMPL_NAMES)


def test_a_missing_required_joint_is_named() -> None:
    names = [n[0] for joint, n in SKELETONS[0].joints.items() if joint != "left_knee"]
    with pytest.raises(InputError, match=r"nearest is CMU \(MotionBuilder\), of which it misses LeftLeg"):
        match_skeleton(names, "x.bvh")


def test_the_first_of_two_equal_names_counts() -> None:
    names = [n[0] for n in SKELETONS[0].joints.values()]
    assert match_skeleton([*names, "b:Hips"], "x")[1]["pelvis"] == 0


def test_all_four_limbs_turn_the_right_way_round(mocap: SimpleNamespace) -> None:
    """The independent writers agree with themselves: mirrored poses mirror positions."""
    pose = mocap.random_pose(3, 3)
    flip = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
    one, two = mocap.fk(pose, mocap.T_POSE), mocap.fk(pose[:, flip] * [1, -1, -1], mocap.T_POSE)
    for i, name in enumerate(SMPL_NAMES):
        np.testing.assert_allclose(one[name], two[SMPL_NAMES[flip[i]]] * [-1, 1, 1], atol=1e-12)

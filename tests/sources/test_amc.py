"""ASF/AMC: known SMPL poses in files like CMU's (legs spread 20 degrees, turned bone axes) come back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import SMPL_NAMES
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources import amc

LIMIT_DEG = 0.1


def mapped(mocap: SimpleNamespace) -> Any:
    return mocap.Rig({joint: joint for joint in SMPL_NAMES if not joint.endswith("hand")}, mocap.spread(20))


def write(folder: Path, asf: str, motion: str, name: str = "07") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.asf").write_text(asf)
    path = folder / "07_01.amc"
    path.write_text(motion)
    return path


@pytest.fixture
def good(mocap: SimpleNamespace) -> tuple[str, str]:
    return mocap.asf_amc_text(mapped(mocap), mocap.random_pose(3, 5))


@pytest.mark.parametrize("axis_order", ["XYZ", "ZYX", "YXZ"])
def test_poses_come_back(tmp_path: Path, mocap: SimpleNamespace, axis_order: str) -> None:
    pose = mocap.random_pose(5, 11)
    motion = amc.read(write(tmp_path, *mocap.asf_amc_text(mapped(mocap), pose, axis_order)))
    assert motion.fps == 120
    assert mocap.worst_angle(motion.pose, pose) < LIMIT_DEG


def test_radians(tmp_path: Path, mocap: SimpleNamespace) -> None:
    pose = mocap.random_pose(2, 12)
    asf, motion = mocap.asf_amc_text(mapped(mocap), pose)
    lines = []
    for line in motion.replace(":DEGREES", ":RADIANS").splitlines():
        words = line.split()
        if len(words) > 3 and not line.startswith(("#", ":")):
            skip = 3 if words[0] == "root" else 0
            words[1 + skip :] = [f"{np.radians(float(word)):.12f}" for word in words[1 + skip :]]
        lines.append(" ".join(words))
    assert mocap.worst_angle(amc.read(write(tmp_path, asf, "\n".join(lines))).pose, pose) < LIMIT_DEG


def test_freedoms_in_another_order_and_fewer(tmp_path: Path, mocap: SimpleNamespace) -> None:
    """A knee with one freedom bends about its own x axis; about z with ``dof rz`` first, then x."""
    pose = np.zeros((1, 24, 3))
    asf, motion = mocap.asf_amc_text(mocap.Rig(mapped(mocap).names), pose)
    at = asf.index("name ltibia")
    asf = asf[:at] + asf[at:].replace("axis 0 0 20 XYZ", "axis 0 0 0 XYZ", 1).replace("dof rx ry rz", "dof rz rx", 1)
    motion = "\n".join("ltibia 30 60" if line.startswith("ltibia") else line for line in motion.splitlines())
    from scipy.spatial.transform import Rotation

    expected = Rotation.from_euler("zx", [30, 60], degrees=True).as_rotvec()  # fixed axes, z first
    read = amc.read(write(tmp_path, asf, motion)).pose
    np.testing.assert_allclose(read[0, SMPL_NAMES.index("left_knee")], expected, atol=1e-6)


def test_the_skeleton_is_found_beside_the_motion(tmp_path: Path, good: tuple[str, str]) -> None:
    for i, name in enumerate(["07", "07_01", "somebody"]):
        assert amc.read(write(tmp_path / str(i), *good, name=name)).pose.shape == (3, 24, 3)


def test_no_skeleton(tmp_path: Path, good: tuple[str, str]) -> None:
    path = write(tmp_path, *good)
    (tmp_path / "07.asf").unlink()
    with pytest.raises(InputError, match=r"has no skeleton: expected 07_01\.asf or 07\.asf in the same folder"):
        amc.read(path)


def test_two_skeletons_of_other_names_are_not_guessed_between(tmp_path: Path, good: tuple[str, str]) -> None:
    path = write(tmp_path, *good, name="a")
    write(tmp_path, *good, name="b")
    with pytest.raises(InputError, match="has no skeleton"):
        amc.read(path)


AMC_BREAKAGES = {
    "empty": (lambda t: "", "is empty"),
    "no frames": (lambda t: ":FULLY-SPECIFIED\n:DEGREES\n", "has no frames"),
    "not AMC": (lambda t: "hello world\n" + t, "line 1: found 'hello', expected a frame number"),
    "cut between bones": (lambda t: "\n".join(t.splitlines()[:-4]), "frame 3: has no "),
    "cut in a line": (lambda t: t[:-12], "numbers, expected 3"),
    "too many": (lambda t: t.replace("\nlfemur", "\nlfemur 1.0", 1), "has 4 numbers, expected 3"),
    "word": (lambda t: t.replace("\nlfemur", "\nlfemur x", 1).replace(" x ", " x", 1), "expected a number"),
    "NaN": (lambda t: t.rsplit(" ", 1)[0] + " nan\n", "has a value that is nan"),
    "unknown bone": (lambda t: t.replace("\nlfemur", "\nltail", 1), "bone 'ltail' is not in"),
}


@pytest.mark.parametrize("breakage", AMC_BREAKAGES)
def test_damaged_motion_is_refused(tmp_path: Path, good: tuple[str, str], breakage: str) -> None:
    change, expected = AMC_BREAKAGES[breakage]
    with pytest.raises(InputError, match=r"07_01\.amc") as caught:
        amc.read(write(tmp_path, good[0], change(good[1])))
    assert expected in str(caught.value)


ASF_BREAKAGES = {
    "empty": (lambda t: "", "is empty"),
    "cut": (lambda t: t[: t.index(":hierarchy")], "expected sections :root, :bonedata and :hierarchy"),
    "cut in the hierarchy": (lambda t: t[: t.index("    lowerneck upperneck")], "have no place in the hierarchy"),
    "cut in the bones": (
        lambda t: t[: t.index("name thorax")] + t[t.index(":hierarchy") :],
        "is in the hierarchy and not",
    ),
    "no direction": (lambda t: t.replace("direction", "dir", 1), "ends a bone that has no direction"),
    "two numbers": (lambda t: t.replace("axis 0 0 20", "axis 0 20", 1), "expected a number"),
    "axis order": (lambda t: t.replace("0 0 20 XYZ", "0 0 20 XYX", 1), "axis order is 'xyx'"),
    "NaN": (lambda t: t.replace("axis 0 0 20", "axis nan 0 20", 1), "has a value that is nan"),
    "freedom": (lambda t: t.replace("dof rx", "dof rw", 1), "found freedom 'rw'"),
    "two parents": (
        lambda t: t.replace("thorax lowerneck", "thorax lfemur lowerneck"),
        "bone 'lfemur' has two parents",
    ),
}


@pytest.mark.parametrize("breakage", ASF_BREAKAGES)
def test_damaged_skeletons_are_refused(tmp_path: Path, good: tuple[str, str], breakage: str) -> None:
    change, expected = ASF_BREAKAGES[breakage]
    with pytest.raises(InputError, match=r"07\.asf") as caught:
        amc.read(write(tmp_path, change(good[0]), good[1]))
    assert expected in str(caught.value)


def test_a_skeleton_in_radians(tmp_path: Path, mocap: SimpleNamespace) -> None:
    pose = mocap.random_pose(2, 13)
    asf, motion = mocap.asf_amc_text(mapped(mocap), pose)
    lines = []
    for line in asf.replace("angle deg", "angle rad").splitlines():
        words = line.split()
        if words[0] == "axis" and len(words) == 5:
            line = " ".join(["axis", *(f"{np.radians(float(word)):.12f}" for word in words[1:4]), words[4]])
        lines.append(line)
    assert mocap.worst_angle(amc.read(write(tmp_path, "\n".join(lines), motion)).pose, pose) < LIMIT_DEG

"""DeepMimic's humanoid3d clips: JSON text with 44 numbers a frame (duration, root position, 12 joint rotations).

In: one ``.txt`` or ``.json`` file; out: ``Motion``. Its skeleton (x forward, y up, z to the right; arms hanging down in
the rest pose; one chest joint instead of a spine) is fixed, so no naming scheme is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat, quat_wxyz_to_rotmat, rotmat_to_axis_angle
from hmrtk.toolkit.records.artefact import read_json
from hmrtk.toolkit.sources.retarget import Floats, Motion, fill_between, poses_of
from hmrtk.toolkit.sources.text import text_lines

WIDTH = 44
QUATERNIONS = {
    "root": 4, "chest": 8, "neck": 12, "right_hip": 16, "right_ankle": 21, "right_shoulder": 25, "left_hip": 30,
    "left_ankle": 35, "left_shoulder": 39,
}  # fmt: skip
"""First column of each joint's quaternion w x y z; column 0 is the duration, 1-3 the root's position."""
HINGES = {"right_knee": 20, "right_elbow": 29, "left_knee": 34, "left_elbow": 43}
"""Column of each one-axis joint's angle about z, radians."""
PARENT = {
    "chest": "root", "neck": "chest", "right_hip": "root", "left_hip": "root", "right_shoulder": "chest",
    "left_shoulder": "chest", "right_knee": "right_hip", "left_knee": "left_hip", "right_ankle": "right_knee",
    "left_ankle": "left_knee", "right_elbow": "right_shoulder", "left_elbow": "left_shoulder",
}  # fmt: skip
SMPL_JOINT = {"root": "pelvis", "chest": "spine3", "neck": "head"}
"""SMPL's name where it differs. The one neck joint turns head and neck together."""

TO_SMPL = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""DeepMimic's axes (x front, y up, z right) → SMPL's (x left, y up, z front)."""
ARM_DOWN = {"left": -np.pi / 2, "right": np.pi / 2}
"""Turn about SMPL's z from the T-pose to an arm that hangs down, radians: the rest pose of DeepMimic's arms."""
COLLAR_SHARE = 0.15
"""Part of an arm's rise from the T-pose that the collar takes; the shoulder takes the rest, so the arm is unchanged."""


def read(path: Path) -> Motion:
    """SMPL poses of a DeepMimic clip.

    Raises:
        InputError: missing or empty file, not JSON, no ``Frames``, a frame without 44 numbers, NaN, a zero quaternion,
            or durations that are not above 0. Names the frame.
    """
    text_lines(path)
    frames = _frames(read_json(path), path)
    world = _world_rotations(frames)
    turned = {SMPL_JOINT.get(joint, joint): TO_SMPL @ world[joint] @ TO_SMPL.T for joint in world}
    for side, angle in ARM_DOWN.items():
        for joint in (f"{side}_shoulder", f"{side}_elbow"):
            turned[joint] = turned[joint] @ axis_angle_to_rotmat(np.array([0.0, 0.0, angle]))
        turned[f"{side}_collar"] = _collar(turned["spine3"], turned[f"{side}_shoulder"])
    step = float(np.median(frames[:, 0]))
    if step <= 0:
        raise InputError(path, f"frame duration is {step} s, expected above 0")
    return Motion(poses_of(fill_between(turned)), 1 / step, str(path))


def _frames(document: Any, path: Path) -> Floats:
    """(T, 44) numbers of the file."""
    rows = document.get("Frames") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows:
        raise InputError(path, "has no list 'Frames'", "a DeepMimic motion file has one")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != WIDTH:
            found = f"{len(row)} numbers" if isinstance(row, list) else repr(row)[:40]
            raise InputError(f"{path} frame {number}", f"has {found}, expected {WIDTH}", "only humanoid3d is read")
        if not all(isinstance(value, int | float) for value in row):
            raise InputError(f"{path} frame {number}", "holds something that is not a number")
    frames = np.array(rows, float)
    bad = ~np.isfinite(frames).all(axis=1)
    if bad.any():
        raise InputError(f"{path} frame {int(bad.argmax())}", "has NaN or infinite values")
    for joint, column in QUATERNIONS.items():
        zero = np.linalg.norm(frames[:, column : column + 4], axis=1) < 1e-6
        if zero.any():
            raise InputError(f"{path} frame {int(zero.argmax())}", f"the quaternion of {joint} is zero")
    return frames


def _world_rotations(frames: Floats) -> dict[str, Floats]:
    """DeepMimic joint → (T, 3, 3) in DeepMimic's world."""
    z = np.array([0.0, 0.0, 1.0])
    local = {joint: quat_wxyz_to_rotmat(frames[:, c : c + 4]) for joint, c in QUATERNIONS.items()}
    local |= {joint: axis_angle_to_rotmat(frames[:, c : c + 1] * z) for joint, c in HINGES.items()}
    world = {"root": local["root"]}
    for joint, parent in PARENT.items():
        world[joint] = world[parent] @ local[joint]
    return world


def _collar(chest: Floats, arm: Floats) -> Floats:
    """(T, 3, 3) world rotation of a collar, from those of the chest and of the arm."""
    rise = rotmat_to_axis_angle(np.swapaxes(chest, -1, -2) @ arm) * np.array([0.0, 0.0, COLLAR_SHARE])
    return chest @ axis_angle_to_rotmat(rise)

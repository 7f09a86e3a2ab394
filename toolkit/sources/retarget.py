"""Retargeting: world rotations of a source skeleton, referenced to a T-pose, become SMPL's 24 local rotations.

In: ``SourceMotion`` (from ``bvh`` or ``amc``) or world rotations by SMPL joint (from ``deepmimic``); out: (T, 24, 3)
axis-angle poses with y up. SMPL's zero pose is a T-pose facing +z with the left hand at +x, so a bone's rotation
relative to the same bone in a T-pose is SMPL's, whatever the source's own axes are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import PARENTS, SMPL_NAMES
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hmrtk.toolkit.sources.skeletons import SkeletonNames, match_skeleton

Floats = NDArray[np.float64]

_CHILD = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}
_DOWN, _LEFT = np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0])

REST_LEG_DEG, REST_ARM_DEG = 35.0, 95.0
"""How far a rest pose may be from a T-pose and still be corrected bone by bone: legs spread, arms down to the hips."""
TPOSE_DEG = 15.0
"""How far the limbs of a first frame may be from a T-pose that is then taken as exact."""
HEADING_SNAP_DEG = 5.0
"""A reference pose that faces along an axis up to this is taken to face along it."""


@dataclass(frozen=True)
class SourceMotion:
    """A recording on the source's own skeleton.

    Attributes:
        names: J joint names. A joint's rotation turns the bone that starts at it.
        parents: (J,) parent of each joint, -1 for the root; parents come first.
        rest: (J, 3) joint positions, root at 0, where all world rotations are the identity; any unit.
        ends: (J, 3) end of the bone that starts at each joint in that pose (its own position where there is none).
        world: (T, J, 3, 3) world rotation of each joint.
        fps: frames per second.
        place: the file, for error messages.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: Floats
    ends: Floats
    world: Floats
    fps: float
    place: str


@dataclass(frozen=True)
class Motion:
    """SMPL poses over time.

    Attributes:
        pose: (T, 24, 3) axis-angle in a y-up world, radians.
        fps: frames per second.
        place: the file.
        start: number of the first pose's frame in the file.
        betas: (10,) shape of the person; None where the file has none.
        gender: neutral, male or female: the body that ``betas`` are meant for.
    """

    pose: Floats
    fps: float
    place: str
    start: int = 0
    betas: Floats | None = None
    gender: str = "neutral"

    def sampled(self, fps: float) -> tuple[NDArray[np.int64], Floats]:
        """Frame numbers of the file and their poses, about ``fps`` per second: the nearest to each tick, none twice."""
        step = max(1.0, self.fps / fps)
        frames = np.floor(np.arange(0, len(self.pose), step) + 0.5).astype(np.int64)
        frames = frames[frames < len(self.pose)]
        return frames + self.start, self.pose[frames]


def retarget(source: SourceMotion) -> Motion:
    """SMPL poses of a source recording.

    The T-pose is the source's rest pose, corrected bone by bone where it is an A-pose or has its legs spread; or the
    first frame, where the naming scheme or a rest pose without human form asks for it. A first frame in T-pose is left
    out of the result: it is there for calibration.

    Raises:
        InputError: unknown skeleton, or neither the rest pose nor the first frame is near a T-pose.
    """
    scheme, index = match_skeleton(source.names, source.place)
    first = forward_positions(source, 0)
    rest_error = _tpose_error(index, source.rest, REST_LEG_DEG, REST_ARM_DEG)
    first_error = _tpose_error(index, first, TPOSE_DEG, TPOSE_DEG)
    calibrated = not first_error and len(source.world) > 1
    use_first = calibrated and (scheme.first_frame or bool(rest_error))
    if rest_error and not use_first:
        problem = f"no T-pose to refer to: in the rest pose {rest_error}, in the first frame {first_error or 'only'}"
        raise InputError(source.place, problem, "put a T-pose into the first frame")
    axes = reference_axes(index, first if use_first else source.rest)
    frames = source.world[1:] if calibrated else source.world
    rotations = {}
    for joint, i in index.items():
        offset = source.world[0, i].T if use_first else _rest_offset(scheme, joint, index, source, axes)
        rotations[joint] = axes @ frames[:, i] @ offset @ axes.T
    return Motion(poses_of(fill_between(rotations)), source.fps, source.place, int(calibrated))


def forward_positions(source: SourceMotion, frame: int) -> Floats:
    """(J, 3) joint positions of one frame, the root at 0, in the source's unit and world."""
    position = np.zeros_like(source.rest)
    for joint, parent in enumerate(source.parents):
        if parent >= 0:
            bone = source.rest[joint] - source.rest[parent]
            position[joint] = position[parent] + source.world[frame, parent] @ bone
    return position


def reference_axes(index: Mapping[str, int], position: Floats) -> Floats:
    """(3, 3) rotation from the source's world to SMPL's (x left, y up, z front), from a reference pose (J, 3).

    Up is the coordinate axis nearest to hips → shoulders; left is right hip → left hip, level.
    """
    hips = position[index["left_hip"]] - position[index["right_hip"]]
    middle = (position[index["left_hip"]] + position[index["right_hip"]]) / 2
    rise = (position[index["left_shoulder"]] + position[index["right_shoulder"]]) / 2 - middle
    up = _nearest_axis(rise)
    left = _unit(hips - (hips @ up) * up)
    snapped = _nearest_axis(left)
    if left @ snapped > np.cos(np.radians(HEADING_SNAP_DEG)):
        left = snapped
    return np.stack([left, up, np.cross(left, up)])


def fill_between(rotations: Mapping[str, Floats]) -> dict[str, Floats]:
    """Add spine joints and a neck that the source lacks: equal parts of the rotation between their neighbours."""
    result = dict(rotations)
    chain = ("pelvis", "spine1", "spine2", "spine3")
    for joint in ("spine1", "spine2"):
        at = chain.index(joint)
        above = next((k for k in range(at + 1, 4) if chain[k] in rotations), None)
        if joint not in result and above is not None:
            below = result[chain[at - 1]]
            result[joint] = part_of_turn(below, rotations[chain[above]], 1 / (above - at + 1))
    if "neck" not in result and {"spine3", "head"} <= result.keys():
        result["neck"] = part_of_turn(result["spine3"], result["head"], 0.5)
    return result


def part_of_turn(start: Floats, end: Floats, share: float) -> Floats:
    """(T, 3, 3): ``share`` of the shortest turn from ``start`` to ``end``."""
    turn = rotmat_to_axis_angle(np.swapaxes(start, -1, -2) @ end)
    return start @ axis_angle_to_rotmat(share * turn)


def poses_of(rotations: Mapping[str, Floats]) -> Floats:
    """World rotations by SMPL joint, each (T, 3, 3) → local axis-angle (T, 24, 3); a missing one follows its parent."""
    frames = len(next(iter(rotations.values())))
    world = np.empty((frames, 24, 3, 3))
    local = np.empty_like(world)
    for joint, name in enumerate(SMPL_NAMES):
        parent = PARENTS[joint]
        world[:, joint] = rotations[name] if name in rotations else world[:, parent]
        before = np.eye(3) if parent < 0 else np.swapaxes(world[:, parent], -1, -2)
        local[:, joint] = before @ world[:, joint]
    return rotmat_to_axis_angle(local)


def rotation_between(start: Floats, end: Floats) -> Floats:
    """(3, 3) shortest rotation of the direction ``start`` (3,) onto ``end`` (3,); half a turn about z if opposite."""
    a, b = _unit(start), _unit(end)
    axis = np.cross(a, b)
    sine, cosine = float(np.linalg.norm(axis)), float(a @ b)
    if sine < 1e-9:
        return np.eye(3) if cosine > 0 else np.diag([-1.0, -1.0, 1.0])
    return axis_angle_to_rotmat(axis / sine * np.arctan2(sine, cosine))


def euler_to_rotmat(angles: Floats, axes: str) -> Floats:
    """Angles (..., n) radians about the moving axes ``axes`` (n letters of xyz) → (..., 3, 3) = R1·R2·…·Rn."""
    result = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    for i, letter in enumerate(axes.lower()):
        result = result @ axis_angle_to_rotmat(angles[..., i : i + 1] * np.eye(3)["xyz".index(letter)])
    return result


def _rest_offset(
    scheme: SkeletonNames, joint: str, index: Mapping[str, int], source: SourceMotion, axes: Floats
) -> Floats:
    """(3, 3) turn from the T-pose to the source's rest pose of one bone, in the source's world.

    Upper and lower limbs go from straight down or sideways to their rest direction. A foot goes with its shin (soles
    are level in the T-pose), a hand with its forearm. Trunk, neck, head and collars are taken as they are.
    """
    side, _, limb = joint.rpartition("_")
    limb = {"ankle": "knee", "foot": "knee", "wrist": "elbow", "hand": "elbow"}.get(limb, limb)
    if scheme.is_smpl or not side or limb not in _CHILD:
        return np.eye(3)
    upper = index[f"{side}_{limb}"]
    lower = index.get(f"{side}_{_CHILD[limb]}")
    bone = (source.ends[upper] if lower is None else source.rest[lower]) - source.rest[upper]
    if not bone.any():
        return np.eye(3)
    return rotation_between(axes.T @ _straight(side, limb), bone)


def _straight(side: str, limb: str) -> Floats:
    """Direction of a limb in the T-pose, SMPL's frame."""
    if limb in ("hip", "knee"):
        return _DOWN
    return _LEFT if side == "left" else -_LEFT


def _tpose_error(index: Mapping[str, int], position: Floats, leg_deg: float, arm_deg: float) -> str:
    """Empty when the limbs of a pose (J, 3) are near a T-pose, else what is not."""
    hips = position[index["left_hip"]] - position[index["right_hip"]]
    if not np.linalg.norm(hips) > 0:
        return "the hips coincide"
    axes = reference_axes(index, position)
    for side in ("left", "right"):
        for limb, limit in (("hip", leg_deg), ("knee", leg_deg), ("shoulder", arm_deg)):
            bone = position[index[f"{side}_{_CHILD[limb]}"]] - position[index[f"{side}_{limb}"]]
            if not np.linalg.norm(bone) > 0:
                return f"the bone below {side}_{limb} has no length"
            angle = np.degrees(np.arccos(np.clip(_unit(axes @ bone) @ _straight(side, limb), -1, 1)))
            if not angle <= limit:  # NaN too: hips one above the other
                return f"the bone below {side}_{limb} is {angle:.0f}° off, at most {limit:.0f}° are allowed"
    return ""


def _nearest_axis(direction: Floats) -> Floats:
    axis = np.zeros(3)
    largest = int(np.abs(direction).argmax())
    axis[largest] = np.sign(direction[largest])
    return axis


def _unit(direction: Floats) -> Floats:
    return direction / np.linalg.norm(direction)

"""Writers of mocap files from known SMPL poses: forward kinematics and Euler angles by scipy, none of it hmrtk's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.joints import PARENTS, SMPL_NAMES
from hmrtk.toolkit.body.model import BodyModel, load_body

Floats = NDArray[np.float64]

T_POSE = {
    "pelvis": (0, 0, 0), "left_hip": (0.09, -0.06, 0), "left_knee": (0.09, -0.46, 0), "left_ankle": (0.09, -0.86, 0),
    "left_foot": (0.09, -0.92, 0.13), "spine1": (0, 0.12, 0), "spine2": (0, 0.24, 0), "spine3": (0, 0.3, 0),
    "neck": (0, 0.52, 0), "head": (0, 0.62, 0.02), "left_collar": (0.06, 0.45, 0), "left_shoulder": (0.18, 0.45, 0),
    "left_elbow": (0.44, 0.45, 0), "left_wrist": (0.69, 0.45, 0), "left_hand": (0.77, 0.45, 0),
}  # fmt: skip
"""A plain T-pose in SMPL's axes: limbs exactly along them. The right side is the mirror image."""
for _name, (_x, _y, _z) in list(T_POSE.items()):
    if _name.startswith("left"):
        T_POSE["right" + _name[4:]] = (-_x, _y, _z)


def parent_of(joint: str) -> str | None:
    parent = PARENTS[SMPL_NAMES.index(joint)]
    return None if parent < 0 else SMPL_NAMES[parent]


def world_rotations(pose: Floats) -> dict[str, Floats]:
    """SMPL poses (T, 24, 3) → joint → (T, 3, 3) world rotations."""
    world: dict[str, Floats] = {}
    for i, name in enumerate(SMPL_NAMES):
        local = Rotation.from_rotvec(pose[:, i]).as_matrix()
        parent = parent_of(name)
        world[name] = local if parent is None else world[parent] @ local
    return world


def fk(pose: Floats, rest: dict[str, Any]) -> dict[str, Floats]:
    """SMPL poses → joint → (T, 3) positions, the pelvis at 0."""
    world, place = world_rotations(pose), {}
    for name in SMPL_NAMES:
        parent = parent_of(name)
        if parent is None:
            place[name] = np.zeros((len(pose), 3))
        else:
            bone = np.subtract(rest[name], rest[parent])
            place[name] = place[parent] + world[parent] @ bone
    return place


@dataclass
class Rig:
    """A source skeleton: its names for SMPL's joints (those it has), its rest pose and its axes.

    Attributes:
        names: SMPL joint → source name.
        rest_turn: SMPL joint → rotation from the T-pose to the rest pose of that bone, in SMPL's axes.
        axes: (3, 3) SMPL's axes → the file's world.
        t_pose: joint positions of the T-pose in SMPL's axes.
    """

    names: dict[str, str]
    rest_turn: dict[str, Floats] = field(default_factory=dict)
    axes: Floats = field(default_factory=lambda: np.eye(3))
    t_pose: dict[str, Any] = field(default_factory=lambda: dict(T_POSE))

    @property
    def order(self) -> list[str]:
        return [joint for joint in SMPL_NAMES if joint in self.names]

    def parent(self, joint: str) -> str | None:
        above = parent_of(joint)
        while above is not None and above not in self.names:
            above = parent_of(above)
        return above

    def turn(self, joint: str) -> Floats:
        return self.rest_turn.get(joint, np.eye(3))

    def offset(self, joint: str) -> Floats:
        """Bone vector from the parent in the rest pose, in the file's axes."""
        above = self.parent(joint)
        if above is None:
            return np.zeros(3)
        return self.axes @ self.turn(above) @ np.subtract(self.t_pose[joint], self.t_pose[above])

    def source_world(self, pose: Floats) -> dict[str, Floats]:
        """Joint → (T, 3, 3) world rotation of the source's bone: G = B·W·A⁻¹·Bᵀ."""
        world = world_rotations(pose)
        return {j: self.axes @ world[j] @ self.turn(j).T @ self.axes.T for j in self.order}


def bvh_text(
    rig: Rig, pose: Floats, orders: list[str] | None = None, fps: float = 30.0, positions: bool = False
) -> str:
    """A BVH file. ``orders``: Euler orders dealt to the joints in turn; ``positions``: six channels everywhere."""
    orders = orders or ["ZXY"]
    world = rig.source_world(pose)
    lines, columns = ["HIERARCHY"], []

    def joint(name: str, depth: int) -> None:
        order = orders[rig.order.index(name) % len(orders)]
        above = rig.parent(name)
        pad = "  " * depth
        moves = positions or above is None
        channels = (["Xposition", "Yposition", "Zposition"] if moves else []) + [f"{c}rotation" for c in order]
        lines.append(f"{pad}{'ROOT' if above is None else 'JOINT'} {rig.names[name]}")
        lines.append(f"{pad}{{")
        offset = rig.offset(name) * 100
        lines.append(f"{pad}  OFFSET {offset[0]:.8f} {offset[1]:.8f} {offset[2]:.8f}")
        lines.append(f"{pad}  CHANNELS {len(channels)} {' '.join(channels)}")
        local = world[name] if above is None else np.swapaxes(world[above], -1, -2) @ world[name]
        angles = Rotation.from_matrix(local).as_euler(order, degrees=True)  # capital letters: moving axes
        columns.append(np.hstack([np.full((len(pose), 3), 7.0), angles]) if moves else angles)
        children = [child for child in rig.order if rig.parent(child) == name]
        for child in children:
            joint(child, depth + 1)
        if not children:
            lines.append(f"{pad}  End Site\n{pad}  {{\n{pad}    OFFSET 0.0 5.0 0.0\n{pad}  }}")
        lines.append(f"{pad}}}")

    joint("pelvis", 0)
    lines += ["MOTION", f"Frames: {len(pose)}", f"Frame Time: {1 / fps:.7f}"]
    lines += [" ".join(f"{value:.7f}" for value in row) for row in np.hstack(columns)]
    return "\n".join(lines) + "\n"


CMU_BONES = {  # bone: (parent, SMPL joint or None, child joint or None, axis in degrees)
    "lhipjoint": ("root", None, "left_hip", (0, 0, 0)),
    "lfemur": ("lhipjoint", "left_hip", "left_knee", (0, 0, 20)),
    "ltibia": ("lfemur", "left_knee", "left_ankle", (0, 0, 20)),
    "lfoot": ("ltibia", "left_ankle", "left_foot", (-90, 0, 20)),
    "ltoes": ("lfoot", "left_foot", None, (-90, 0, 20)),
    "lowerback": ("root", "spine1", "spine2", (0, 0, 0)),
    "upperback": ("lowerback", "spine2", "spine3", (10, 0, 0)),
    "thorax": ("upperback", "spine3", "neck", (0, 0, 0)),
    "lowerneck": ("thorax", None, None, (0, 0, 0)),
    "upperneck": ("lowerneck", "neck", "head", (0, 0, 0)),
    "head": ("upperneck", "head", None, (0, 0, 0)),
    "lclavicle": ("thorax", "left_collar", "left_shoulder", (0, 0, 0)),
    "lhumerus": ("lclavicle", "left_shoulder", "left_elbow", (180, 30, 90)),
    "lradius": ("lhumerus", "left_elbow", "left_wrist", (180, 30, 90)),
    "lwrist": ("lradius", None, None, (180, 30, 90)),
    "lhand": ("lwrist", "left_wrist", None, (180, -90, 0)),
}
for _bone, (_above, _joint, _child, _axis) in list(CMU_BONES.items()):
    if _bone[0] == "l" and not _bone.startswith("lower"):
        _mirror = {name: name and name.replace("left", "right") for name in (_joint, _child)}
        _parent = _above if _above in ("root", "thorax") else "r" + _above[1:]
        CMU_BONES["r" + _bone[1:]] = (_parent, _mirror[_joint], _mirror[_child], (_axis[0], -_axis[1], -_axis[2]))


STUBS = {"lwrist": (0.05, 0, 0), "lhand": (0.1, 0, 0), "rwrist": (-0.05, 0, 0), "rhand": (-0.1, 0, 0)}
"""Vectors of bones that end in no SMPL joint; the others point up."""


def asf_amc_text(rig: Rig, pose: Floats, axis_order: str = "XYZ") -> tuple[str, str]:
    """An ASF skeleton like CMU's and its AMC motion; every mapped bone has three freedoms."""
    world = rig.source_world(pose)
    full: dict[str, Floats] = {"root": world["pelvis"]}
    lines = [
        "# AST/ASF file", ":version 1.10", ":name test", ":units", "  mass 1.0", "  length 0.45", "  angle deg",
        ":documentation", "   made by a test", ":root", "   order TX TY TZ RX RY RZ", "   axis XYZ",
        "   position 0 0 0", "   orientation 0 0 0", ":bonedata",
    ]  # fmt: skip
    angles = {"root": np.hstack([np.full((len(pose), 3), 3.0), euler(world["pelvis"], "xyz")])}
    for bone, (above, joint, child, axis) in CMU_BONES.items():
        turned = Rotation.from_euler(axis_order.lower(), axis, degrees=True).as_matrix()
        full[bone] = full[above] if joint is None else world[joint]
        start = joint or ("pelvis" if child else None)
        vector = np.array(STUBS.get(bone, (0, 0.1, 0)))
        if child:
            vector = rig.turn(joint or "pelvis") @ np.subtract(T_POSE[child], T_POSE[start])
        length = float(np.linalg.norm(vector))
        direction = " ".join(f"{value:.9f}" for value in vector / length)
        lines += [
            "  begin",
            "     id 1",
            f"     name {bone}",
            f"     direction {direction}",
            f"     length {length:.9f}",
        ]
        lines += [f"     axis {axis[0]} {axis[1]} {axis[2]} {axis_order}"]
        if joint:
            local = np.swapaxes(full[above], -1, -2) @ full[bone]
            angles[bone] = euler(turned.T @ local @ turned, "xyz")
            lines += [
                "    dof rx ry rz",
                "    limits (-180.0 180.0)",
                "           (-180.0 180.0)",
                "           (-180.0 180.0)",
            ]
        lines += ["  end"]
    lines += [":hierarchy", "  begin"]
    for above in ["root", *CMU_BONES]:
        children = [bone for bone in CMU_BONES if CMU_BONES[bone][0] == above]
        lines += [f"    {above} {' '.join(children)}"] if children else []
    lines += ["  end"]
    motion = ["#!OML:ASF test.asf", ":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(len(pose)):
        motion.append(str(frame + 1))
        motion += [f"{bone} {' '.join(f'{v:.7f}' for v in values[frame])}" for bone, values in angles.items()]
    return "\n".join(lines) + "\n", "\n".join(motion) + "\n"


def euler(rotations: Floats, order: str) -> Floats:
    """(T, 3) degrees; small letters: fixed axes."""
    return Rotation.from_matrix(rotations).as_euler(order, degrees=True)


DEEPMIMIC_QUATERNIONS = (
    ("chest", "spine3", "pelvis"), ("neck", "head", "spine3"), ("right_hip", "right_hip", "pelvis"), None,
    ("right_ankle", "right_ankle", "right_knee"), ("right_shoulder", "right_shoulder", "spine3"), None,
    ("left_hip", "left_hip", "pelvis"), None, ("left_ankle", "left_ankle", "left_knee"),
    ("left_shoulder", "left_shoulder", "spine3"), None,
)  # fmt: skip
"""After the root, in the file's order; None is a hinge: right knee, right elbow, left knee, left elbow."""


def deepmimic_document(pose: Floats, step: float = 1 / 30) -> dict[str, Any]:
    """A DeepMimic clip. Axes there: x front, y up, z right; arms hang down at rest."""
    to_file = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    world = world_rotations(pose)
    hang = {"left": Rotation.from_euler("z", 90, degrees=True), "right": Rotation.from_euler("z", -90, degrees=True)}
    for side, turn in hang.items():
        for joint in ("shoulder", "elbow"):
            world[f"{side}_{joint}"] = world[f"{side}_{joint}"] @ turn.as_matrix()
    own = {joint: Rotation.from_matrix(to_file @ g @ to_file.T) for joint, g in world.items()}
    wxyz = [3, 0, 1, 2]
    hinges = iter([("right_hip", "right_knee"), ("right_shoulder", "right_elbow"), ("left_hip", "left_knee"),
                   ("left_shoulder", "left_elbow")])  # fmt: skip
    columns = [
        np.full((len(pose), 1), step),
        np.tile([0.0, 0.9, 0.0], (len(pose), 1)),
        own["pelvis"].as_quat()[:, wxyz],
    ]
    for entry in DEEPMIMIC_QUATERNIONS:
        if entry is None:
            above, joint = next(hinges)
            columns.append((own[above].inv() * own[joint]).as_rotvec()[:, 2:])
        else:
            _, joint, above = entry
            columns.append((own[above].inv() * own[joint]).as_quat()[:, wxyz])
    return {"Loop": "wrap", "Frames": np.hstack(columns).tolist()}


def spread(legs: float = 0.0, arms: float = 0.0) -> dict[str, Floats]:
    """Rest turns: legs spread outwards, arms lowered (degrees); feet go with the shins and hands with the arms."""
    turns = {}
    for side, sign in (("left", 1), ("right", -1)):
        leg = Rotation.from_euler("z", sign * legs, degrees=True).as_matrix()
        arm = Rotation.from_euler("z", -sign * arms, degrees=True).as_matrix()
        turns |= {f"{side}_{joint}": leg for joint in ("hip", "knee", "ankle", "foot")}
        turns |= {f"{side}_{joint}": arm for joint in ("shoulder", "elbow", "wrist", "hand")}
    return turns


def random_pose(frames: int, seed: int, limit: float = 1.2) -> Floats:
    """(T, 24, 3) random poses; the hands (joints 22, 23) stay at rest, as most sources have none."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=(frames, 24, 3))
    pose = axis / np.linalg.norm(axis, axis=-1, keepdims=True) * rng.uniform(0, limit, (frames, 24, 1))
    pose[:, 0] *= 2.5
    pose[:, 22:] = 0
    return pose


def worst_angle(a: Floats, b: Floats) -> float:
    """Degrees: the largest angle between the world rotations of two sets of poses, over frames and joints."""
    one, two = world_rotations(np.asarray(a, float)), world_rotations(np.asarray(b, float))
    turns = [Rotation.from_matrix(np.swapaxes(one[j], -1, -2) @ two[j]).magnitude().max() for j in SMPL_NAMES]
    return float(np.degrees(max(turns)))


@pytest.fixture(scope="session")
def mocap() -> SimpleNamespace:
    """The writers and measures of this file."""
    return SimpleNamespace(
        Rig=Rig, T_POSE=T_POSE, bvh_text=bvh_text, asf_amc_text=asf_amc_text, deepmimic_document=deepmimic_document,
        spread=spread, random_pose=random_pose, worst_angle=worst_angle, fk=fk, world_rotations=world_rotations,
    )  # fmt: skip


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body()


@pytest.fixture
def clip(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Write a DeepMimic document to a file."""

    def write(document: dict[str, Any]) -> Path:
        path = tmp_path / "clip.txt"
        path.write_text(json.dumps(document))
        return path

    return write

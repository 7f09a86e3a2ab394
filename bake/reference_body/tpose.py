"""The T-pose of a MakeHuman body: world rotations per bone that bring any sampled shape into the pose SMPL rests in.

MakeHuman rests with arms about 45° down, elbows and fingers bent and feet turned out. Each limb is straightened from
its own joint positions, so short and tall, thin and heavy bodies all reach the same pose. ``Pose`` carries the state;
``tpose_rotations`` is the only function called from outside (by ``topology`` and ``model``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .mesh import Floats
from .rig import Rig

# How the raising of the arm is shared, as in a real shoulder girdle: collar and shoulder take these fractions, the
# upper arm whatever is left.
CLAVICLE_SHARE, SHOULDER_SHARE = 0.13, 0.22
# A twist is shared by the two bones of a segment, so that skinning does not wring the flesh at one joint.
UPPER_ARM_TWIST, UPPER_ARM2_TWIST = 0.45, 0.55
FOREARM_TWIST, WRIST_TWIST = 0.5, 0.5
FINGER_OPENING = 0.35  # fraction of the way from relaxed to flat: SMPL's hands are slightly curled
FINGER_SPREAD_KEPT = 0.6  # flattening also closes the fan of the fingers to this fraction of its width
LEG_SPREAD = np.radians(2.5)  # legs from the vertical, each side
HIP_SHARES = (0.4, 0.6)  # the two upper-leg bones
THIGH_SAGITTAL_SHARE = 0.8  # a thigh leans a little backwards when standing: do not take all of it away
KNEE_FLEXION = 0.06  # rad, a knee at rest is not locked
TOE_OUT = np.radians(8)  # feet point slightly outwards

X, Y, Z = np.eye(3)


def axis_rotation(axis: NDArray[Any], angle: float) -> Floats:
    """(3, 3) rotation by an angle in radians about an axis of any length (Rodrigues)."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def shortest_rotation(source: Floats, target: NDArray[Any]) -> Floats:
    """(3, 3) smallest rotation that turns one direction into another."""
    source, target = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis = np.cross(source, target)
    sine = np.linalg.norm(axis)
    if sine < 1e-9:
        return np.eye(3)
    return axis_rotation(axis, float(np.arctan2(sine, source @ target)))


def rotation_fraction(rotation: Floats, fraction: float) -> Floats:
    """The same rotation carried out only in part."""
    return Rotation.from_rotvec(Rotation.from_matrix(rotation).as_rotvec() * fraction).as_matrix()


class Pose:
    """World rotations (B, 3, 3) of one body under construction, addressed by bone name and side ("L" or "R")."""

    def __init__(self, rig: Rig, heads: Floats, tails: Floats, side: str = "L") -> None:
        self.rig, self.heads, self.tails = rig, heads, tails
        self.rotations = np.tile(np.eye(3), (len(rig.names), 1, 1))
        self.use_side(side)

    def use_side(self, side: str) -> None:
        """Address bones of this side from now on; ``sign`` is +1 on the left (+x)."""
        self.side, self.sign = side, 1.0 if side == "L" else -1.0

    def bone(self, name: str) -> int:
        return self.rig.index[f"{name}.{self.side}"]

    def turn(self, name: str, rotation: Floats) -> None:
        """Rotate a bone and everything below it, in world axes."""
        for bone in self.rig.subtree[self.bone(name)]:
            self.rotations[bone] = rotation @ self.rotations[bone]

    def span(self, start: str, end: str) -> Floats:
        """Vector between the current heads of two bones."""
        heads = self.rig.posed_heads(self.rotations, self.heads)
        return heads[self.bone(end)] - heads[self.bone(start)]

    def tip(self, name: str) -> Floats:
        """Vector from the current head to the current tail of a bone."""
        bone = self.bone(name)
        return self.rotations[bone] @ (self.tails[bone] - self.heads[bone])


def _twist_angle(current: Floats, target: Floats, axis: Floats) -> float:
    """Angle about a unit axis that turns the part of ``current`` across the axis onto ``target``."""
    across = current - axis * (current @ axis)
    across /= np.linalg.norm(across)
    return float(np.arctan2(np.cross(across, target) @ axis, across @ target))


def _raise_arm(pose: Pose) -> None:
    """Arm to the horizontal, then twisted until the elbow hinge is vertical: bending it brings the hand forward."""
    out = pose.sign * X
    direction = pose.span("upperarm01", "lowerarm01")
    elevation = np.arctan2(-direction[1], direction[0] * pose.sign)
    pose.turn("clavicle", axis_rotation(Z, elevation * CLAVICLE_SHARE * pose.sign))
    pose.turn("shoulder01", axis_rotation(Z, elevation * SHOULDER_SHARE * pose.sign))
    pose.turn("upperarm01", shortest_rotation(pose.span("upperarm01", "lowerarm01"), out))
    hinge = np.cross(out, pose.span("lowerarm01", "wrist"))
    twist = _twist_angle(hinge, -pose.sign * Y, out)
    pose.turn("upperarm01", axis_rotation(out, twist * UPPER_ARM_TWIST))
    pose.turn("upperarm02", axis_rotation(out, twist * UPPER_ARM2_TWIST))
    pose.turn("lowerarm01", shortest_rotation(pose.span("lowerarm01", "wrist"), out))


def _level_hand(pose: Pose) -> None:
    """Hand in line with the arm, palm down, fingers a little opened."""
    out = pose.sign * X
    pose.turn("wrist", shortest_rotation(pose.span("wrist", "finger3-1"), out))
    twist = _twist_angle(pose.span("finger5-1", "finger2-1"), Z, out)  # index finger to the front
    pose.turn("lowerarm02", axis_rotation(out, twist * FOREARM_TWIST))
    pose.turn("wrist", axis_rotation(out, twist * WRIST_TWIST))
    for finger in (2, 3, 4, 5):
        for phalanx in (1, 2, 3):
            name = f"finger{finger}-{phalanx}"
            along = pose.span(name, f"finger{finger}-{phalanx + 1}") if phalanx < 3 else pose.tip(name)
            along = along / np.linalg.norm(along)
            flat = np.array([along[0], 0, along[2] * FINGER_SPREAD_KEPT])
            pose.turn(name, rotation_fraction(shortest_rotation(along, flat), FINGER_OPENING))


def _sagittal_lean(direction: Floats) -> float:
    """Angle of a downward limb from the vertical in the y-z plane, positive to the front."""
    return float(np.arctan2(direction[2], -direction[1]))


def _straighten_leg(pose: Pose) -> None:
    """Legs to ``LEG_SPREAD``, thigh and shank upright from the side."""
    leg = pose.span("upperleg02", "foot")
    excess = LEG_SPREAD - np.arctan2(leg[0] * pose.sign, -leg[1])
    for name, share in zip(("upperleg01", "upperleg02"), HIP_SHARES, strict=True):
        pose.turn(name, axis_rotation(Z, excess * share * pose.sign))
    lean = _sagittal_lean(pose.span("upperleg02", "lowerleg01"))
    pose.turn("upperleg02", axis_rotation(X, lean * THIGH_SAGITTAL_SHARE))
    lean = _sagittal_lean(pose.span("lowerleg01", "foot"))
    pose.turn("lowerleg01", axis_rotation(X, lean + KNEE_FLEXION))


def _flatten_foot(pose: Pose) -> None:
    """Sole back on the floor as in the rest pose, toes to the front."""
    foot = pose.rig.subtree[pose.bone("foot")]
    pose.rotations[foot] = np.eye(3)
    toe = pose.span("foot", "toe3-1")
    yaw = np.arctan2(toe[0] * pose.sign, toe[2])
    pose.rotations[foot] = axis_rotation(Y, -pose.sign * (yaw - TOE_OUT))


def tpose_rotations(rig: Rig, heads: Floats, tails: Floats) -> Floats:
    """World rotations (B, 3, 3) that put a body with these (B, 3) bone heads and tails into the T-pose."""
    pose = Pose(rig, heads, tails)
    for side in ("L", "R"):
        pose.use_side(side)
        _raise_arm(pose)
        _level_hand(pose)
        _straighten_leg(pose)
        _flatten_foot(pose)
    return pose.rotations

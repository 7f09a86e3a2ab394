"""Where SMPL's 24 joints lie in a MakeHuman skeleton. Called by ``model`` for every T-posed sample."""

from __future__ import annotations

import numpy as np

from .mesh import Floats
from .rig import Rig
from .smpl_format import JOINT, JOINT_COUNT, MIRROR, MIRROR_JOINTS

# SMPL's hips sit closer to the midline than MakeHuman's, its collars lower and further back. The amounts were set by
# eye; SMPL's regressor was not read.
HIP_NARROWING = np.array([0.84, 1.0, 1.0])
COLLAR_SHIFT = np.array([0.0, -0.02, -0.015])

# SMPL joint → (bone, bone, fraction of the way from the first head to the second). The spine's fractions spread its
# three joints as SMPL does: two close together in the small of the back, one at the chest.
CENTRAL = {
    "pelvis": ("spine05", "spine05", 0.0),
    "spine1": ("spine03", "spine03", 0.0),
    "spine2": ("spine02", "spine01", 0.3),
    "spine3": ("spine02", "spine01", 0.68),
    "neck": ("neck01", "neck01", 0.0),
    "head": ("neck03", "head", 0.6),
}
LATERAL = {
    "hip": ("upperleg01", "upperleg02", 0.5),
    "knee": ("lowerleg01", "lowerleg01", 0.0),
    "ankle": ("foot", "foot", 0.0),
    "collar": ("clavicle", "shoulder01", 0.5),
    "shoulder": ("upperarm01", "upperarm01", 0.0),
    "elbow": ("lowerarm01", "lowerarm01", 0.0),
    "wrist": ("wrist", "wrist", 0.0),
    "hand": ("wrist", "finger3-1", 0.9),
}
TOE_BONES = ("toe1-1", "toe2-1", "toe3-1", "toe4-1")  # the ball of the foot: the fifth toe lies too far back


def joint_centres(rig: Rig, heads: Floats) -> Floats:
    """(24, 3) joints from (B, 3) posed bone heads, made exactly left-right symmetric."""

    def between(first: str, second: str, fraction: float) -> Floats:
        return heads[rig.index[first]] * (1 - fraction) + heads[rig.index[second]] * fraction

    joints = np.zeros((JOINT_COUNT, 3))
    for name, (first, second, fraction) in CENTRAL.items():
        joints[JOINT[name]] = between(first, second, fraction)
    for side, suffix in (("left", "L"), ("right", "R")):
        for name, (first, second, fraction) in LATERAL.items():
            joints[JOINT[f"{side}_{name}"]] = between(f"{first}.{suffix}", f"{second}.{suffix}", fraction)
        joints[JOINT[f"{side}_hip"]] *= HIP_NARROWING
        joints[JOINT[f"{side}_collar"]] += COLLAR_SHIFT
        joints[JOINT[f"{side}_foot"]] = np.mean([heads[rig.index[f"{bone}.{suffix}"]] for bone in TOE_BONES], 0)
    return (joints + joints[MIRROR_JOINTS] * MIRROR) / 2

"""MakeHuman's 163 bones folded onto SMPL's 24 joints. Called by ``model``."""

from __future__ import annotations

import numpy as np

from .mesh import Bools, Floats, Ints, neighbour_average
from .rig import Rig
from .smpl_format import JOINT, JOINT_COUNT, MIRROR_JOINTS

SMOOTHING_ROUNDS = 4  # of half self, half ring: one mesh's borders between bones are too sharp after decimation
INFLUENCES = 4  # kept per vertex; ties stay together, so a vertex on the midline may have a fifth
TIE = 1e-9  # relative; left and right weigh the same on the midline but for rounding, which must not pick a side
NEGLIGIBLE = 2e-3

# Bone (without its number after the first dash, without its side) → SMPL joint, one weight each.
CENTRAL = {
    "root": "pelvis",
    "pelvis": "pelvis",
    "spine05": "pelvis",
    "spine04": "pelvis",
    "spine03": "spine1",
    "spine01": "spine3",
    "neck01": "neck",
    "neck02": "neck",
}
LATERAL = {
    "upperleg01": "hip",
    "upperleg02": "hip",
    "lowerleg01": "knee",
    "lowerleg02": "knee",
    "foot": "ankle",
    "clavicle": "collar",
    "shoulder01": "collar",
    "upperarm01": "shoulder",
    "upperarm02": "shoulder",
    "lowerarm01": "elbow",
    "lowerarm02": "elbow",
    "wrist": "wrist",
}
# By the start of the name. The thumb stays with the wrist: SMPL's hand joint would tear it off the palm.
LATERAL_PREFIXES = {"toe": "foot", "metacarpal": "wrist", "finger1": "wrist", "finger": "hand"}
CHEST_BONES = ("spine02", "breast")  # long bone: fades from spine2 to spine3 with height
CHEST_FADE = (-0.01, 0.07)  # metres below spine2 and above spine3


def smoothstep(low: float, high: float, value: Floats) -> Floats:
    """0 below ``low``, 1 above ``high``, cubic in between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def joint_shares(bone: str, chest: Floats) -> list[tuple[int, Floats | float]]:
    """Which joints take over a bone's weight, and which share (a number, or one per vertex)."""
    base, _, suffix = bone.partition(".")
    if base in CHEST_BONES:
        return [(JOINT["spine2"], 1 - chest), (JOINT["spine3"], chest)]
    if base in CENTRAL:
        return [(JOINT[CENTRAL[base]], 1.0)]
    if base == "neck03":
        return [(JOINT["neck"], 0.5), (JOINT["head"], 0.5)]
    side = "left" if suffix == "L" else "right"
    if base in LATERAL:
        return [(JOINT[f"{side}_{LATERAL[base]}"], 1.0)]
    for prefix, joint in LATERAL_PREFIXES.items():
        if base.startswith(prefix):
            return [(JOINT[f"{side}_{joint}"], 1.0)]
    return [(JOINT["head"], 1.0)]  # jaw, tongue, eyes and the muscles of the face


def fold_weights(rig: Rig, bone_weights: Floats, height: Floats, joints: Floats) -> Floats:
    """(V, 24) joint weights from (V, B) bone weights; ``height`` (V,) is y and ``joints`` (24, 3) of the mean body."""
    low = joints[JOINT["spine2"], 1] + CHEST_FADE[0]
    high = joints[JOINT["spine3"], 1] + CHEST_FADE[1]
    chest = smoothstep(low, high, height)
    folded = np.zeros((len(bone_weights), JOINT_COUNT))
    for bone, name in enumerate(rig.names):
        for joint, share in joint_shares(name, chest):
            folded[:, joint] += bone_weights[:, bone] * share
    return folded / folded.sum(1, keepdims=True)


def smooth_and_prune(weights: Floats, faces: Ints, mirror: Ints) -> Floats:
    """Smooth over the mesh, keep the ``INFLUENCES`` largest, make symmetric; rows sum to 1."""
    average = neighbour_average(faces, len(weights))
    for _ in range(SMOOTHING_ROUNDS):
        weights = 0.5 * weights + 0.5 * (average @ weights)
    smallest_kept = np.sort(weights, 1)[:, -INFLUENCES][:, None]
    keep: Bools = (weights >= smallest_kept * (1 - TIE)) & (weights > NEGLIGIBLE)
    weights = np.where(keep, weights, 0)
    weights /= weights.sum(1, keepdims=True)
    return (weights + weights[mirror][:, MIRROR_JOINTS]) / 2

"""Stage 4: pose blend shapes, (6890, 3, 207) per entry of R - I of joints 1..23, as in SMPL (Loper et al. 2015, §3.2).

A ridge regression per vertex from pose features to the offsets of ``skinning_target``, over random poses inside the
joints' limits. A vertex listens only to joints that move it when they move alone, so the bases stay sparse and local.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .mesh import Bools, Floats, Ints
from .model import BodyArrays
from .skinning_target import SkinningTarget
from .smpl_format import JOINT, JOINT_COUNT, MIRROR, MIRROR_JOINTS, POSE_FEATURES, VERTEX_COUNT

SINGLE_JOINT_POSES = 40  # per joint
MIXED_POSES = 900
JOINT_MOVES = 0.7  # probability in a mixed pose
NOTICEABLE = 1.5e-3  # metres of offset from which a joint counts as moving a vertex
RIDGE = 8.0
NEGLIGIBLE = 2e-5  # metres per unit; smaller entries are stored as zero and compress away

# Degrees (x low, x high, y low, y high, z low, z high) of the axis-angle vector. Left side; the right is mirrored.
LIMITS = {
    "left_hip": (-120, 35, -35, 35, -25, 45),
    "spine1": (-25, 45, -25, 25, -20, 20),
    "left_knee": (0, 140, -10, 10, -6, 6),
    "spine2": (-15, 35, -20, 20, -15, 15),
    "left_ankle": (-35, 45, -15, 15, -15, 15),
    "spine3": (-10, 25, -15, 15, -12, 12),
    "left_foot": (-40, 40, -5, 5, -5, 5),
    "neck": (-30, 40, -40, 40, -25, 25),
    "left_collar": (-10, 10, -20, 15, -10, 20),
    "head": (-30, 35, -40, 40, -20, 20),
    "left_shoulder": (-60, 60, -95, 50, -90, 75),
    "left_elbow": (-70, 70, -145, 0, -15, 15),
    "left_wrist": (-50, 50, -25, 25, -75, 75),
    "left_hand": (-5, 5, -5, 5, -80, 20),
}


def joint_limits() -> Floats:
    """(24, 3, 2) limits in degrees; a mirror image negates the turns about y and z. The pelvis does not turn."""
    limits = np.zeros((JOINT_COUNT, 3, 2))
    for name, values in LIMITS.items():
        own = np.reshape(values, (3, 2)).astype(np.float64)
        limits[MIRROR_JOINTS[JOINT[name]]] = np.stack([own[0], -own[1, ::-1], -own[2, ::-1]])
        limits[JOINT[name]] = own
    return limits


def random_pose(joints: list[int], limits: Floats, rng: np.random.Generator) -> Floats:
    """(24, 3, 3) local rotations, uniform inside the limits at some joints and identity at the others."""
    axis_angle = np.zeros((JOINT_COUNT, 3))
    for joint in joints:
        axis_angle[joint] = np.radians([rng.uniform(low, high) for low, high in limits[joint]])
    return Rotation.from_rotvec(axis_angle).as_matrix()


def pose_features(rotations: Floats) -> Floats:
    """(207,) SMPL's features: R - I of joints 1..23, row-major."""
    return (rotations[1:] - np.eye(3)).reshape(-1)


def sample_offsets(target: SkinningTarget, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Features (P, 207), offsets (P, V, 3), and how far each joint alone moves each vertex (24, V) in metres."""
    limits = joint_limits()
    features, offsets = [], []
    reach = np.zeros((JOINT_COUNT, VERTEX_COUNT))

    def add(joints: list[int]) -> Floats:
        rotations = random_pose(joints, limits, rng)
        features.append(pose_features(rotations))
        offsets.append(target.corrective(rotations))
        return offsets[-1]

    for joint in range(1, JOINT_COUNT):
        for _ in range(SINGLE_JOINT_POSES):
            reach[joint] = np.maximum(reach[joint], np.linalg.norm(add([joint]), axis=1))
    for _ in range(MIXED_POSES):
        add([joint for joint in range(1, JOINT_COUNT) if rng.random() < JOINT_MOVES])
    return np.array(features), np.array(offsets), reach


def fit_bases(features: Floats, offsets: Floats, listens: Bools) -> Floats:
    """(V, 3, 207) ridge solutions; ``listens`` (24, V) says which joints a vertex may depend on.

    Vertices with the same set of joints share one factorisation.
    """
    bases = np.zeros((VERTEX_COUNT, 3, POSE_FEATURES))
    patterns, pattern_of = np.unique(listens.T, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        joints = [joint for joint in range(1, JOINT_COUNT) if pattern[joint]]
        if not joints:
            continue
        vertices = np.flatnonzero(pattern_of.ravel() == number)
        columns = np.concatenate([np.arange(9 * (joint - 1), 9 * joint) for joint in joints])
        chosen = features[:, columns]
        gram = chosen.T @ chosen + RIDGE * np.eye(len(columns))
        wanted = offsets[:, vertices].reshape(len(features), -1)
        solution = np.linalg.solve(gram, chosen.T @ wanted).T.reshape(len(vertices), 3, len(columns))
        bases[np.ix_(vertices, np.arange(3), columns)] = solution
    return bases


def symmetrise(bases: NDArray[np.float64], mirror: Ints) -> Floats:
    """Mean of the bases (V, 3, 207) and their mirror image. With S = diag(-1, 1, 1), a rotation mirrors to S R S."""
    own = bases.reshape(VERTEX_COUNT, 3, JOINT_COUNT - 1, 9)
    entry_sign = np.outer(MIRROR, MIRROR).reshape(-1)
    partner = MIRROR_JOINTS[1:] - 1
    mirrored = own[mirror][:, :, partner] * MIRROR[None, :, None, None] * entry_sign
    return ((own + mirrored) / 2).reshape(bases.shape)


def build_pose_correctives(body: BodyArrays, seed: int) -> Floats:
    """(6890, 3, 207) metres per unit of ``pose_features``."""
    features, offsets, reach = sample_offsets(SkinningTarget(body), np.random.default_rng(seed))
    either_side = np.maximum(reach, reach[MIRROR_JOINTS][:, body.mirror])
    bases = symmetrise(fit_bases(features, offsets, either_side > NOTICEABLE), body.mirror)
    wanted = offsets[-200:]  # mixed poses, all joints at once
    missed = wanted - np.einsum("vck,nk->nvc", bases, features[-200:])
    rms = [1000 * float(np.sqrt((x**2).sum(2).mean())) for x in (wanted, missed)]
    print(f"  corrective offsets: rms {rms[0]:.2f} mm, of which {rms[1]:.2f} mm are left over")
    bases[np.abs(bases) < NEGLIGIBLE] = 0
    return bases

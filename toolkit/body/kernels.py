"""numba kernels of bulk posing: forward kinematics and skinning. Arrays in, arrays out; only ``posing`` calls them.

All kernels are serial and release the GIL, so that Python threads run them side by side without a second thread pool.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

SMALL_ANGLE = 1e-8
"""Radians; below it a rotation is the identity to float64 precision."""


@njit(cache=True, nogil=True)
def rotation_entries(x: float, y: float, z: float, out: NDArray[np.float64]) -> None:
    """Rodrigues' formula: axis-angle (radians) to the nine entries of R, row-major, into ``out`` (9,)."""
    angle = math.sqrt(x * x + y * y + z * z)
    if angle < SMALL_ANGLE:
        out[0], out[1], out[2] = 1.0, -z, y
        out[3], out[4], out[5] = z, 1.0, -x
        out[6], out[7], out[8] = -y, x, 1.0
        return
    x, y, z = x / angle, y / angle, z / angle
    s, c = math.sin(angle), math.cos(angle)
    v = 1.0 - c
    out[0], out[1], out[2] = c + v * x * x, v * x * y - s * z, v * x * z + s * y
    out[3], out[4], out[5] = v * x * y + s * z, c + v * y * y, v * y * z - s * x
    out[6], out[7], out[8] = v * x * z - s * y, v * y * z + s * x, c + v * z * z


@njit(cache=True, nogil=True)
def forward_kinematics(
    global_orient: NDArray[np.float32],
    body_pose: NDArray[np.float32],
    betas: NDArray[np.float32],
    transl: NDArray[np.float32],
    rest_joints: NDArray[np.float64],
    joint_dirs: NDArray[np.float64],
    parents: NDArray[np.int32],
    features: NDArray[np.float32],
    transforms: NDArray[np.float32],
    joints: NDArray[np.float32],
) -> None:
    """Posed joints, skinning transforms and blend-shape features of B bodies, computed in float64.

    Args:
        global_orient, body_pose, betas, transl: (B, 3), (B, 23, 3), (B, 10), (B, 3).
        rest_joints, joint_dirs: (24, 3), (24, 3, 10): joint regressor times template and shape basis.
        features: out (B, 217): betas, then R of joints 1-23 row-major.
        transforms: out (B, 24, 12): 3 x 4 row-major, rest pose to posed, translation of the body included.
        joints: out (B, 24, 3) metres, translation included.
    """
    n_joints = rest_joints.shape[0]
    rest = np.empty((n_joints, 3))
    world = np.empty((n_joints, 9))
    place = np.empty((n_joints, 3))
    local = np.empty(9)
    for b in range(betas.shape[0]):
        for k in range(betas.shape[1]):
            features[b, k] = betas[b, k]
        for j in range(n_joints):
            for i in range(3):
                total = rest_joints[j, i]
                for k in range(betas.shape[1]):
                    total += joint_dirs[j, i, k] * betas[b, k]
                rest[j, i] = total
            if j == 0:
                rotation_entries(global_orient[b, 0], global_orient[b, 1], global_orient[b, 2], world[0])
                for i in range(3):
                    place[0, i] = rest[0, i] + transl[b, i]
            else:
                rotation_entries(body_pose[b, j - 1, 0], body_pose[b, j - 1, 1], body_pose[b, j - 1, 2], local)
                start = betas.shape[1] + 9 * (j - 1)
                for e in range(9):
                    features[b, start + e] = local[e]
                _compose(world, place, rest, local, parents[j], j)
            for i in range(3):
                w0, w1, w2 = world[j, 3 * i], world[j, 3 * i + 1], world[j, 3 * i + 2]
                transforms[b, j, 4 * i] = w0
                transforms[b, j, 4 * i + 1] = w1
                transforms[b, j, 4 * i + 2] = w2
                transforms[b, j, 4 * i + 3] = place[j, i] - (w0 * rest[j, 0] + w1 * rest[j, 1] + w2 * rest[j, 2])
                joints[b, j, i] = place[j, i]


@njit(cache=True, nogil=True)
def _compose(world: Any, place: Any, rest: Any, local: Any, parent: int, j: int) -> None:
    """World rotation and place of joint ``j`` from its parent's."""
    for i in range(3):
        p0, p1, p2 = world[parent, 3 * i], world[parent, 3 * i + 1], world[parent, 3 * i + 2]
        for k in range(3):
            world[j, 3 * i + k] = p0 * local[k] + p1 * local[3 + k] + p2 * local[6 + k]
        bone = p0 * (rest[j, 0] - rest[parent, 0]) + p1 * (rest[j, 1] - rest[parent, 1])
        place[j, i] = place[parent, i] + bone + p2 * (rest[j, 2] - rest[parent, 2])


@njit(cache=True, nogil=True)
def skin(
    shaped: NDArray[np.float32],
    transforms: NDArray[np.float32],
    bones: NDArray[np.int32],
    bone_weights: NDArray[np.float32],
    vertices: NDArray[np.float32],
) -> None:
    """Linear blend skinning of (B, V, 3) with at most K bones per vertex: ``bones``, ``bone_weights`` (V, K)."""
    blend = np.empty(12, np.float32)
    for b in range(shaped.shape[0]):
        for v in range(shaped.shape[1]):
            for e in range(12):
                blend[e] = 0.0
            for k in range(bones.shape[1]):
                weight = bone_weights[v, k]
                if weight != 0.0:
                    j = bones[v, k]
                    for e in range(12):
                        blend[e] += weight * transforms[b, j, e]
            x, y, z = shaped[b, v, 0], shaped[b, v, 1], shaped[b, v, 2]
            for i in range(3):
                vertices[b, v, i] = blend[4 * i] * x + blend[4 * i + 1] * y + blend[4 * i + 2] * z + blend[4 * i + 3]

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

TILE = 128
"""Vertices that are posed together: 3 x 128 columns of the basis (340 kB) stay in the second-level cache."""

BLOCK = 4
"""Bodies that are posed together; fixed by the unrolled code of ``_blend_block``."""


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
        features: out (B or more, 217 or more): betas, then R of joints 1-23 row-major; the rest is left alone.
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
def pose_tiles(
    features: NDArray[np.float32],
    transforms: NDArray[np.float32],
    template: NDArray[np.float32],
    basis: NDArray[np.float32],
    bones: NDArray[np.int32],
    bone_counts: NDArray[np.int32],
    bone_weights: NDArray[np.float32],
    first_vertex: int,
    vertices: NDArray[np.float32],
) -> None:
    """Blend shapes and skinning of B bodies, tile by tile, so that a tile's basis stays in the cache for all bodies.

    Args:
        features: (B rounded up to a multiple of 4, F), F a multiple of 4.
        transforms: (B, 24, 12) from ``forward_kinematics``.
        template: (T, 3, TILE), basis: (T, F, 3 * TILE): planes of x, y and z per tile.
        bones: (T, K) joints that move a tile, ``bone_counts`` (T,) of them; bone_weights: (T, K, TILE).
        first_vertex: the vertex at which the first of these T tiles begins.
        vertices: out (B, V, 3) metres; the rows of these tiles are written.
    """
    shaped = np.empty((BLOCK, 3 * TILE), np.float32)
    posed = np.empty((3, TILE), np.float32)
    for t in range(basis.shape[0]):
        first = first_vertex + t * TILE
        count = min(TILE, vertices.shape[1] - first)
        for start in range(0, vertices.shape[0], BLOCK):
            _blend_block(features, start, template[t], basis[t], shaped)
            for b in range(start, min(start + BLOCK, vertices.shape[0])):
                _skin_tile(shaped[b - start], transforms[b], bones[t], bone_counts[t], bone_weights[t], posed)
                for v in range(count):
                    vertices[b, first + v, 0] = posed[0, v]
                    vertices[b, first + v, 1] = posed[1, v]
                    vertices[b, first + v, 2] = posed[2, v]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _blend_block(features: Any, start: int, template: Any, basis: Any, out: Any) -> None:
    """Template plus features times basis for four bodies.

    Four bodies by four features keep 16 factors and one row of sums in registers: near the speed of BLAS, and every
    sum is taken in the same order whatever the batch, so that results do not depend on chunks or threads.
    """
    for v in range(3 * TILE):
        value = template[v]
        out[0, v] = value
        out[1, v] = value
        out[2, v] = value
        out[3, v] = value
    for k in range(0, features.shape[1], 4):
        a0, a1, a2, a3 = features[start, k], features[start, k + 1], features[start, k + 2], features[start, k + 3]
        s = start + 1
        b0, b1, b2, b3 = features[s, k], features[s, k + 1], features[s, k + 2], features[s, k + 3]
        s = start + 2
        c0, c1, c2, c3 = features[s, k], features[s, k + 1], features[s, k + 2], features[s, k + 3]
        s = start + 3
        d0, d1, d2, d3 = features[s, k], features[s, k + 1], features[s, k + 2], features[s, k + 3]
        for v in range(3 * TILE):
            m0, m1, m2, m3 = basis[k, v], basis[k + 1, v], basis[k + 2, v], basis[k + 3, v]
            out[0, v] = out[0, v] + a0 * m0 + a1 * m1 + a2 * m2 + a3 * m3
            out[1, v] = out[1, v] + b0 * m0 + b1 * m1 + b2 * m2 + b3 * m3
            out[2, v] = out[2, v] + c0 * m0 + c1 * m1 + c2 * m2 + c3 * m3
            out[3, v] = out[3, v] + d0 * m0 + d1 * m1 + d2 * m2 + d3 * m3


@njit(cache=True, nogil=True, fastmath={"contract"})
def _skin_tile(shaped: Any, transforms: Any, bones: Any, bone_count: int, bone_weights: Any, out: Any) -> None:
    """Linear blend skinning of one tile of one body: (3 * TILE,) planes in, (3, TILE) planes out."""
    for v in range(TILE):
        out[0, v] = 0.0
        out[1, v] = 0.0
        out[2, v] = 0.0
    for k in range(bone_count):
        m = transforms[bones[k]]
        m0, m1, m2, m3 = m[0], m[1], m[2], m[3]
        m4, m5, m6, m7 = m[4], m[5], m[6], m[7]
        m8, m9, m10, m11 = m[8], m[9], m[10], m[11]
        for v in range(TILE):
            x, y, z, w = shaped[v], shaped[TILE + v], shaped[2 * TILE + v], bone_weights[k, v]
            out[0, v] += w * (m0 * x + m1 * y + m2 * z + m3)
            out[1, v] += w * (m4 * x + m5 * y + m6 * z + m7)
            out[2, v] += w * (m8 * x + m9 * y + m10 * z + m11)


@njit(cache=True, nogil=True)
def regress_joints(
    indptr: NDArray[np.int32],
    indices: NDArray[np.int32],
    data: NDArray[np.float32],
    vertices: NDArray[np.float32],
    joints: NDArray[np.float32],
) -> None:
    """Rows of a CSR regressor applied to (B, V, 3), summed in float64, into (B, J, 3)."""
    for b in range(vertices.shape[0]):
        for j in range(len(indptr) - 1):
            x, y, z = 0.0, 0.0, 0.0
            for e in range(indptr[j], indptr[j + 1]):
                v = indices[e]
                x += data[e] * np.float64(vertices[b, v, 0])
                y += data[e] * np.float64(vertices[b, v, 1])
                z += data[e] * np.float64(vertices[b, v, 2])
            joints[b, j, 0] = x
            joints[b, j, 1] = y
            joints[b, j, 2] = z

"""Bulk posing of one body: parameters in, vertices and joints out. ``BodyModel`` owns one ``Poser`` and calls it.

There is one pool of Python threads per process; each runs serial numba code that has released the GIL. No BLAS is
involved, so there is no second pool to fight with, and results are the same to the bit for any chunk and thread count.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import POSE_FEATURE_COUNT, SMPLArrays
from hmrtk.toolkit.body.kernels import BLOCK, TILE, forward_kinematics, pose_tiles
from hmrtk.toolkit.body.parameters import BETA_COUNT, JOINT_COUNT, BodyParameters

FEATURE_COUNT = BETA_COUNT + POSE_FEATURE_COUNT
PADDED_FEATURES = -(-FEATURE_COUNT // 4) * 4
DIRECT_BATCH = 8
"""Smaller batches are posed in the calling thread: handing work over costs more than it saves."""

SHARED_KINEMATICS = 128
"""The same for forward kinematics, which take a microsecond for each body."""


class Poser:
    """Prepared tables of a body, or of some of its vertices.

    The blend shapes are one matrix product: shape and pose basis are stacked, and the identity of the pose features
    (R - I) is folded into the template, so that the features are the raw entries of R.

    Args:
        arrays: the body.
        vertices: (V,) indices of the vertices to pose; all by default. A vertex's position does not depend on which
            others are posed with it.
        threads: how many to use; the processors this process may use by default.
    """

    def __init__(
        self, arrays: SMPLArrays, vertices: NDArray[np.int64] | None = None, threads: int | None = None
    ) -> None:
        v, s = arrays.v_template.astype(np.float64), arrays.shapedirs.astype(np.float64)
        self.rest_joints = np.ascontiguousarray(arrays.joint_regressor @ v)  # (24, 3)
        directions = arrays.joint_regressor @ s.reshape(len(v), -1)
        self.joint_dirs = np.ascontiguousarray(directions.reshape(JOINT_COUNT, 3, BETA_COUNT))
        self.parents = arrays.parents
        self.threads = threads or available_processors()
        chosen = slice(None) if vertices is None else vertices
        template = v[chosen] - _identity_offsets(arrays.posedirs[chosen])
        self.template = _tiled(template[:, None]).reshape(-1, 3 * TILE)
        padding = np.zeros((len(template), 3, PADDED_FEATURES - FEATURE_COUNT), np.float32)
        basis = np.concatenate([arrays.shapedirs[chosen], arrays.posedirs[chosen], padding], axis=2)
        self.basis = _tiled(basis.transpose(0, 2, 1))
        self.bones, self.bone_counts, self.bone_weights = _tile_bones(arrays.weights[chosen])

    def joints(self, parameters: BodyParameters) -> NDArray[np.float32]:
        """(B, 24, 3) joints in metres."""
        joints = np.empty((len(parameters), JOINT_COUNT, 3), np.float32)
        self._kinematics(parameters, joints)
        return joints

    def pose_into(self, parameters: BodyParameters, vertices: NDArray[np.float32], joints: NDArray[np.float32]) -> None:
        """Write the vertices (B, V, 3) and joints (B, 24, 3) of B bodies, metres."""
        features, transforms = self._kinematics(parameters, joints)
        tables = (self.template, self.basis, self.bones, self.bone_counts, self.bone_weights)

        def some_tiles(tiles: slice) -> None:
            pose_tiles(features, transforms, *(table[tiles] for table in tables), tiles.start * TILE, vertices)

        def some_bodies(rows: slice) -> None:
            pose_tiles(features[rows.start :], transforms[rows], *tables, 0, vertices[rows])

        # Sharing out the tiles lets every thread keep its part of the basis in its cache; few tiles cannot be shared.
        if len(self.basis) >= 4 * self.threads:
            self._share(some_tiles, len(self.basis), len(parameters) >= DIRECT_BATCH)
        else:
            self._share(some_bodies, len(parameters), len(parameters) >= DIRECT_BATCH, BLOCK)

    def _kinematics(self, parameters: BodyParameters, joints: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Features (B rounded up to 4, 220) and transforms (B, 24, 12); fills ``joints`` (B, 24, 3)."""
        n = len(parameters)
        features = np.zeros((-(-n // BLOCK) * BLOCK, PADDED_FEATURES), np.float32)
        transforms = np.empty((n, JOINT_COUNT, 12), np.float32)
        fields = (parameters.global_orient, parameters.body_pose, parameters.betas, parameters.transl)
        given = [np.ascontiguousarray(array, np.float32) for array in fields]

        def some_bodies(rows: slice) -> None:
            ours = (array[rows] for array in given)
            results = (features[rows], transforms[rows], joints[rows])
            forward_kinematics(*ours, self.rest_joints, self.joint_dirs, self.parents, *results)

        self._share(some_bodies, n, n >= SHARED_KINEMATICS)
        return features, transforms

    def _share(self, work: Callable[[slice], None], count: int, shared: bool, multiple: int = 1) -> None:
        """Run ``work`` on slices of ``range(count)``, one for each thread, the first in the calling thread."""
        share = -(-count // (self.threads * multiple)) * multiple if shared else count
        slices = [slice(start, min(start + share, count)) for start in range(0, count, max(share, 1))]
        pool = _pool(os.getpid(), self.threads) if len(slices) > 1 else None
        waiting = [pool.submit(work, part) for part in slices[1:]] if pool else []
        for part in slices[:1]:
            work(part)
        for item in waiting:
            item.result()


def available_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """One pool per process: a forked child must not wait for its parent's threads."""
    return ThreadPoolExecutor(max(threads - 1, 1), thread_name_prefix=f"posing-{process}")


def _identity_offsets(posedirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """(V, 3): what the pose basis would add for R = I in every joint, in float64."""
    diagonal = np.flatnonzero(np.tile(np.eye(3).ravel(), JOINT_COUNT - 1))
    return posedirs[:, :, diagonal].sum(axis=2, dtype=np.float64)


def _tiled(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """(V, K, 3) to (tiles, K, 3 * TILE): planes of x, y and z, padded with zeros."""
    count = -(-len(values) // TILE)
    padded = np.zeros((count * TILE, *values.shape[1:]), np.float32)
    padded[: len(values)] = values
    planes = padded.reshape(count, TILE, -1, 3).transpose(0, 2, 3, 1)  # (tiles, K, 3, TILE)
    return np.ascontiguousarray(planes).reshape(count, -1, 3 * TILE)


def _tile_bones(weights: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """The joints that move each tile (tiles, K), how many (tiles,), and their weights (tiles, K, TILE)."""
    count = -(-len(weights) // TILE)
    padded = np.zeros((count * TILE, JOINT_COUNT), np.float32)
    padded[: len(weights)] = weights
    tiles = padded.reshape(count, TILE, JOINT_COUNT)
    used = (tiles != 0).any(axis=1)  # (tiles, 24)
    counts = used.sum(axis=1).astype(np.int32)
    bones = np.argsort(~used, axis=1, kind="stable")[:, : counts.max(initial=1)].astype(np.int32)
    chosen = np.take_along_axis(tiles, bones[:, None, :], axis=2).transpose(0, 2, 1)
    return bones, counts, np.ascontiguousarray(chosen)

"""Bulk posing of one body: parameters in, vertices and joints out. ``BodyModel`` owns one ``Poser`` and calls it."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import SMPLArrays
from hmrtk.toolkit.body.kernels import forward_kinematics, skin
from hmrtk.toolkit.body.parameters import BETA_COUNT, BodyParameters


class Poser:
    """Prepared matrices of a body.

    The blend shapes are one matrix product: template, shape and pose basis are stacked, and the identity of the pose
    features (R - I) is folded into the template, so that the features are the raw entries of R.
    """

    def __init__(self, arrays: SMPLArrays) -> None:
        v, s, p = (a.astype(np.float64) for a in (arrays.v_template, arrays.shapedirs, arrays.posedirs))
        identity = np.tile(np.eye(3).ravel(), 23)  # (207,)
        self.template = (v - p @ identity).astype(np.float32).ravel()  # (20670,)
        basis = np.concatenate([s, p], axis=2).reshape(-1, BETA_COUNT + len(identity))  # (20670, 217)
        self.basis = np.ascontiguousarray(basis.T, np.float32)
        self.rest_joints = np.ascontiguousarray(arrays.joint_regressor @ v)  # (24, 3)
        directions = arrays.joint_regressor @ s.reshape(len(v), -1)
        self.joint_dirs = np.ascontiguousarray(directions.reshape(24, 3, BETA_COUNT))
        self.parents = arrays.parents
        self.bones, self.bone_weights = sparse_weights(arrays.weights)

    def kinematics(self, parameters: BodyParameters) -> tuple[NDArray[np.float32], ...]:
        """Features (B, 217), transforms (B, 24, 12) and joints (B, 24, 3)."""
        n = len(parameters)
        features = np.empty((n, self.basis.shape[0]), np.float32)
        transforms, joints = np.empty((n, 24, 12), np.float32), np.empty((n, 24, 3), np.float32)
        given = (parameters.global_orient, parameters.body_pose, parameters.betas, parameters.transl)
        given = tuple(np.ascontiguousarray(a, np.float32) for a in given)
        forward_kinematics(*given, self.rest_joints, self.joint_dirs, self.parents, features, transforms, joints)
        return features, transforms, joints

    def pose_into(self, parameters: BodyParameters, vertices: NDArray[np.float32], joints: NDArray[np.float32]) -> None:
        """Write the vertices (B, V, 3) and joints (B, 24, 3) of B bodies, metres."""
        features, transforms, joints[...] = self.kinematics(parameters)
        shaped = features @ self.basis
        shaped += self.template
        skin(shaped.reshape(vertices.shape), transforms, self.bones, self.bone_weights, vertices)


def sparse_weights(weights: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Bones (V, K) and their weights (V, K), heaviest first; K is the most that any vertex has."""
    count = int((sp.csr_matrix(weights).getnnz(axis=1)).max())
    order = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    return order.astype(np.int32), np.take_along_axis(weights, order, axis=1)

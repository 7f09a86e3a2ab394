"""Left-right mirrored poses, for bodies whose shape is symmetric. Augmentation and the embedded dataset use them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import SMPL_FLIP
from hmrtk.toolkit.body.parameters import BodyParameters

AXIS_ANGLE_SIGNS = np.array([1, -1, -1], np.float32)
"""A rotation seen in a mirror at the plane x = 0: the axis's x stays, y and z change sign."""

POINT_SIGNS = np.array([-1, 1, 1], np.float32)
"""A point in the same mirror."""


def mirror_pose(pose: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mirror (..., 24, 3) axis-angle rotations: left and right joints change places, y and z their signs."""
    return np.ascontiguousarray(pose[..., list(SMPL_FLIP), :] * AXIS_ANGLE_SIGNS)


def mirror_parameters(parameters: BodyParameters) -> BodyParameters:
    """Bodies mirrored at the plane x = 0 of their own frame (of the camera frame where the parameters are in it).

    On a body with a symmetric shape, ``vertices(mirrored)[i] = (-x, y, z) of vertices(original)[mirror[i]]``.
    """
    pose = mirror_pose(parameters.pose)
    return BodyParameters(
        np.ascontiguousarray(pose[:, 0]),
        np.ascontiguousarray(pose[:, 1:]),
        parameters.betas,
        parameters.transl * POINT_SIGNS,
    )

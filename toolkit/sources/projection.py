"""Record columns that depend on the body: joints, keypoints and the box of posed bodies seen by a perspective camera.

In: body parameters in the camera frame and the cameras; out: columns of ``RECORD_SCHEMA``. Sources whose rows come
from motion (``embedded``, mocap files) call this; a dataset with its own annotation does not.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import project_perspective
from hmrtk.toolkit.progress import Progress, silent

NEAR_M = 0.05
"""Metres; a surface nearer to the camera plane than this cannot be projected."""


def derived_columns(
    parameters: BodyParameters,
    body: BodyModel,
    focal: NDArray[np.float32],
    principal: NDArray[np.float32],
    image_size: NDArray[np.int32],
    place: str = "records",
    progress: Progress = silent,
) -> dict[str, NDArray[np.float32]]:
    """Pose, project and box N bodies; bounded memory.

    Args:
        parameters: N bodies in the camera frame, ``transl`` included.
        body: the body to pose.
        focal: (N, 2) px. principal: (N, 2) px. image_size: (N, 2) = height, width in px.
        place: names the rows in an error.

    Returns:
        ``joints3d`` (N, 24, 4) metres in the camera frame and confidence 1; ``keypoints2d`` (N, 24, 3) px and
        confidence, 1 inside the image and 0 outside (``spin24`` both); ``bbox_xyxy`` (N, 4) px, the tight box of the
        projected vertices. The box is not clipped to the image: it says where the whole person is.

    Raises:
        InputError: part of a body is behind the camera or nearer than 5 cm, naming the row.
    """
    n = len(parameters)
    joints = np.ones((n, 24, 4), np.float32)
    box = np.empty((n, 4), np.float32)
    camera = np.concatenate([focal, principal], axis=1).astype(np.float32)  # (N, 4)
    for rows, posed in body.stream(parameters):
        joints[rows, :, :3] = body.spin24(posed)
        nearest = projected_boxes(posed.vertices, camera[rows], box[rows])
        if nearest < NEAR_M:
            row = rows.start + int(posed.vertices[..., 2].min(axis=1).argmin())
            raise InputError(f"{place} row {row}", f"part of the body is behind the camera (depth {nearest:.2f} m)")
        progress("project", rows.stop, n)
    keypoints = np.empty((n, 24, 3), np.float32)
    keypoints[..., :2] = project_perspective(joints[..., :3], focal, principal)
    keypoints[..., 2] = inside(keypoints[..., :2], image_size)
    return {"joints3d": joints, "keypoints2d": keypoints, "bbox_xyxy": box}


def inside(points: NDArray[np.float32], image_size: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(N, P) true where pixel coordinates (N, P, 2) lie in an image of (N, 2) = height, width."""
    limit = image_size[:, None, ::-1]
    return np.asarray(((points >= 0) & (points < limit)).all(axis=-1))


@njit(cache=True, nogil=True, parallel=True)
def projected_boxes(vertices: NDArray[np.float32], camera: NDArray[np.float32], box: NDArray[np.float32]) -> float:
    """Write the xyxy boxes (N, 4) px of vertices (N, V, 3) seen by cameras (N, 4) = fx, fy, cx, cy.

    Returns the least depth of all vertices, metres.
    """
    n, count = vertices.shape[0], vertices.shape[1]
    nearest = np.empty(n, np.float32)
    for i in prange(n):
        left, top, right, bottom, near = math.inf, math.inf, -math.inf, -math.inf, math.inf
        for v in range(count):
            depth = vertices[i, v, 2]
            near = min(near, depth)
            x = vertices[i, v, 0] / depth
            y = vertices[i, v, 1] / depth
            left, right = min(left, x), max(right, x)
            top, bottom = min(top, y), max(bottom, y)
        box[i, 0], box[i, 2] = camera[i, 0] * left + camera[i, 2], camera[i, 0] * right + camera[i, 2]
        box[i, 1], box[i, 3] = camera[i, 1] * top + camera[i, 3], camera[i, 1] * bottom + camera[i, 3]
        nearest[i] = near
    return nearest.min()

"""Cameras: the crop camera (s, tx, ty), weak perspective, full perspective, and the ways between them.

Conventions in ``hmrtk.toolkit.geometry``. Shards, maps, networks' targets and evaluation call these.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.arrays import Array, floating

FOCAL_LENGTH = 5000.0
"""px; the crop camera's focal length (SPIN ``constants.py``; also DaNet and PyMAF)."""

CROP_SIZE = 224
"""px; side of the crop that networks see (SPIN)."""

MIN_JOINTS = 6
"""Fewer confident joints than this do not fix a crop camera."""

MIN_SPREAD_PX = 1.0
"""px; root-mean-square spread of the 2D keypoints below which depth is not determined."""


def crop_camera_translation(camera: Array) -> Array:
    """Crop camera (..., 3) = (s, tx, ty) → translation (..., 3) in metres: (tx, ty, 2·5000 / (224·s)).

    Raises:
        InputError: a scale is zero.
    """
    camera = floating(camera, (3,), "camera")
    scale = camera[..., 0]
    if (scale == 0).any():
        raise InputError("camera", "has scale 0, which puts the body at infinity", "drop rows with an invalid camera")
    depth = np.asarray(2 * FOCAL_LENGTH / CROP_SIZE, camera.dtype) / scale
    return np.stack([camera[..., 1], camera[..., 2], depth], -1)


def project_crop_camera(points: Array, camera: Array, size: int = CROP_SIZE) -> Array:
    """Body-frame points (..., P, 3) metres, crop camera (..., 3) → pixels (..., P, 2) of a crop of ``size`` px.

    A crop of another size shows the same field of view: coordinates are those of 224 px times size / 224.
    """
    points = floating(points, (3,), "points")
    moved = points + crop_camera_translation(camera)[..., None, :]
    pixels = np.asarray(FOCAL_LENGTH, points.dtype) * moved[..., :2] / moved[..., 2:] + CROP_SIZE / 2
    return (pixels * (size / CROP_SIZE)).astype(points.dtype, copy=False)


def weak_perspective_project(points: Array, camera: Array) -> Array:
    """Points (..., P, 3), camera (..., 3) = (s, tx, ty) → s·(X + t) (..., P, 2); the crop is [−1, 1]² (SPIN)."""
    points, camera = floating(points, (3,), "points"), floating(camera, (3,), "camera")
    return camera[..., None, :1] * (points[..., :2] + camera[..., None, 1:])


def project_perspective(points: Array, focal: Array, principal: Array) -> Array:
    """Camera-frame points (..., P, 3) metres → pixels (..., P, 2); ``focal`` and ``principal`` (..., 2) px."""
    points = floating(points, (3,), "points")
    focal, principal = (np.asarray(v, points.dtype)[..., None, :] for v in (focal, principal))
    return focal * points[..., :2] / points[..., 2:] + principal


def solve_crop_camera(joints3d: Array, keypoints2d_crop: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The crop camera under which 3D joints fall best on 2D keypoints, for all rows at once.

    Weighted linear least squares on t, as SPIN's targets are made: each joint asks 5000·(X + t_x) = (x − 112)·(Z + t_z)
    and the same in y. With a = (x − 112) / 5000 and r = a·Z − X, t_x − a·t_z = r; eliminating t_x and t_y leaves
    t_z = −Σw·(a − ā)·(r − r̄) / Σw·(a − ā)², x and y summed.

    Args:
        joints3d: (N, J, 4) metres in the body's frame (``transl`` = 0) and confidence.
        keypoints2d_crop: (N, J, 3) px in the 224 px crop, and confidence. A joint weighs the product of both
            confidences; values of a joint that weighs nothing are never read.

    Returns:
        camera (N, 3) = (s, tx, ty), in the dtype of ``joints3d``, NaN where invalid; valid (N,): False with fewer than
        6 confident joints, with keypoints that do not spread (1 px), with values that are not finite, or with
        a solution that puts a confident joint behind the camera.
    """
    joints3d = floating(joints3d, (4,), "joints3d")
    keypoints = floating(keypoints2d_crop, (3,), "keypoints2d_crop")
    if joints3d.ndim != 3 or keypoints.shape != (*joints3d.shape[:2], 3):
        raise InputError(
            "solve_crop_camera",
            f"expected joints (N, J, 4) and keypoints (N, J, 3), got {joints3d.shape}, {keypoints.shape}",
        )
    weight = joints3d[..., 3].astype(np.float64) * keypoints[..., 2]  # (N, J)
    used = weight > 0
    weight = np.where(used, weight, 0)
    point = np.where(used[..., None], joints3d[..., :3], 0).astype(np.float64)
    ray = np.where(used[..., None], (keypoints[..., :2].astype(np.float64) - CROP_SIZE / 2) / FOCAL_LENGTH, 0)
    with np.errstate(all="ignore"):  # rows without joints divide by zero here and are flagged below
        translation, spread = _least_squares_translation(point, ray, weight[..., None])
        depth = translation[:, 2]
        camera = np.stack([2 * FOCAL_LENGTH / (CROP_SIZE * depth), translation[:, 0], translation[:, 1]], -1)
        nearest = np.where(used, point[..., 2] + depth[:, None], np.inf).min(1, initial=np.inf)
        valid = (used.sum(1) >= MIN_JOINTS) & (spread >= MIN_SPREAD_PX) & (nearest > 0) & (depth > 0)
    valid &= np.isfinite(camera).all(1)
    camera[~valid] = np.nan
    return camera.astype(joints3d.dtype, copy=False), valid


def _least_squares_translation(point: Array, ray: Array, weight: Array) -> tuple[Array, Array]:
    """(N, J, 3), (N, J, 2), (N, J, 1) → translation (N, 3) and rms spread of the keypoints (N,) px."""
    total = weight.sum(1)  # (N, 1)
    target = ray * point[..., 2:] - point[..., :2]  # (N, J, 2)
    mean_ray, mean_target = (weight * ray).sum(1) / total, (weight * target).sum(1) / total  # (N, 2)
    centred = ray - mean_ray[:, None]
    energy = (weight * centred**2).sum((1, 2))  # (N,)
    depth = -(weight * centred * (target - mean_target[:, None])).sum((1, 2)) / energy
    sideways = mean_target + mean_ray * depth[:, None]
    return np.concatenate([sideways, depth[:, None]], 1), FOCAL_LENGTH * np.sqrt(energy / total[:, 0])


def crop_to_full_camera(camera: Array, center: Array, side: Array, image_size: Array, focal: Array) -> Array:
    """Crop camera → translation of the body in the full image's camera (CLIFF §3.2).

    Args:
        camera: (..., 3) = (s, tx, ty).
        center: (..., 2) px, the crop's centre in the full image.
        side: (...) px, the crop's side b in the full image.
        image_size: (..., 2) = (height, width) px; the principal point is the image's centre.
        focal: (...) px, the full image's focal length.

    Returns:
        (..., 3) metres: (tx + 2(cx − W/2)/(b·s), ty + 2(cy − H/2)/(b·s), 2f/(b·s)).
    """
    camera = floating(camera, (3,), "camera")
    reach = np.asarray(side, camera.dtype) * camera[..., 0]
    if (reach == 0).any():
        raise InputError("camera", "scale times crop side is 0, which puts the body at infinity")
    offset = 2 * _from_centre(center, image_size, camera.dtype) / reach[..., None]
    depth = 2 * np.asarray(focal, camera.dtype) / reach
    return np.concatenate([camera[..., 1:] + offset, depth[..., None]], -1)


def full_to_crop_camera(translation: Array, center: Array, side: Array, image_size: Array, focal: Array) -> Array:
    """Inverse of ``crop_to_full_camera``: translation (..., 3) metres → crop camera (..., 3) = (s, tx, ty)."""
    translation = floating(translation, (3,), "translation")
    depth = translation[..., 2]
    if (depth == 0).any():
        raise InputError("translation", "has depth 0, expected the body in front of the camera")
    focal = np.asarray(focal, translation.dtype)
    scale = 2 * focal / (np.asarray(side, translation.dtype) * depth)
    offset = _from_centre(center, image_size, translation.dtype) * (depth / focal)[..., None]
    return np.concatenate([scale[..., None], translation[..., :2] - offset], -1)


def pmnet_to_crop_camera(camera: Array) -> Array:
    """PM-Net's Eq. 3 camera, x = s·X + t (..., 3) → ours, x = s·(X + t)."""
    camera = floating(camera, (3,), "camera")
    if (camera[..., 0] == 0).any():
        raise InputError("camera", "has scale 0, so its translation cannot be expressed in metres")
    return np.concatenate([camera[..., :1], camera[..., 1:] / camera[..., :1]], -1)


def crop_to_pmnet_camera(camera: Array) -> Array:
    """Inverse of ``pmnet_to_crop_camera``."""
    camera = floating(camera, (3,), "camera")
    return np.concatenate([camera[..., :1], camera[..., 1:] * camera[..., :1]], -1)


def _from_centre(center: Array, image_size: Array, dtype: Any) -> Array:
    return np.asarray(center, dtype) - np.asarray(image_size, dtype)[..., ::-1] / 2

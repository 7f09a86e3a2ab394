"""A body from the world into a camera's frame: SMPL parameters under a rigid change of frame.

In: roots, translations and pelvis positions in a world, and world→camera rotations and translations; out: the same
bodies' parameters in the camera frame. Readers of datasets whose bodies are in a world call this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle

Floats = NDArray[np.float64]
ORTHONORMAL = 1e-2
"""How far R·Rᵀ of a file's rotation may be from the identity: files have 4 to 16 digits."""


def turned_root(global_orient: Floats, rotation: Floats) -> Floats:
    """(N, 3) roots in the world, (N, 3, 3) world→camera → (N, 3) roots in the camera frame."""
    return np.asarray(rotmat_to_axis_angle(rotation @ axis_angle_to_rotmat(global_orient)))


def moved_transl(transl: Floats, pelvis: Floats, rotation: Floats, translation: Floats) -> Floats:
    """``transl`` in the camera frame.

    SMPL turns its root about the rest pelvis J₀(β), not about the origin: x = R₀·(v − J₀) + J₀ + t. So R·x + T is the
    body with root R·R₀ and transl R·(J₀ + t) + T − J₀. Rotating t alone is wrong by (R − I)·J₀, some 20 cm.

    Args:
        transl: (N, 3) metres in the world. pelvis: (N, 3) J₀, metres, the pelvis of the untranslated body.
        rotation: (N, 3, 3) and translation: (N, 3), world→camera, metres.

    Returns:
        (N, 3) metres.
    """
    return in_camera(pelvis + transl, rotation, translation) - pelvis


def in_camera(points: Floats, rotation: Floats, translation: Floats) -> Floats:
    """(N, ..., 3) world points → camera frame, by (N, 3, 3) and (N, 3)."""
    flat = points.reshape(len(points), int(np.prod(points.shape[1:-1])), 3)
    moved = flat @ np.swapaxes(rotation, -1, -2) + translation[:, None]
    return np.asarray(moved.reshape(points.shape))


def extrinsics(pose: Floats, key: str, place: str, rows: NDArray[np.integer] | None = None) -> tuple[Floats, Floats]:
    """(N, 4, 4) or (N, 3, 4) world→camera → rotations (N, 3, 3) and translations (N, 3).

    Args:
        pose: the matrices. key: their name. place: the file, for error messages.
        rows: the numbers of the N rows in the file; 0, 1, … when left out.

    Raises:
        InputError: one that is no rotation, named by row.
    """
    rotation = pose[:, :3, :3]
    error = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max(axis=(1, 2))
    bad = (error > ORTHONORMAL) | (np.linalg.det(rotation) < 0)
    if bad.any():
        row = int(bad.argmax()) if rows is None else int(rows[bad.argmax()])
        raise InputError(f"{place} row {row}", f"{key} holds no rotation")
    return rotation, pose[:, :3, 3]


def intrinsics(matrix: Floats, key: str, place: str) -> tuple[Floats, Floats]:
    """(3, 3) camera matrix → focal lengths (2,) and principal point (2,), px.

    Raises:
        InputError: focal lengths that are not positive.
    """
    focal = np.array([matrix[0, 0], matrix[1, 1]])
    if not (focal > 0).all():
        raise InputError(place, f"{key} has focal lengths {focal.tolist()}, expected positive numbers")
    return focal, np.array([matrix[0, 2], matrix[1, 2]])

"""Bringing one point set onto another: similarity Procrustes, and moving the root to the origin.

Evaluation, importers and reports call these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.arrays import Array


def procrustes(source: Array, target: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """The similarity (scale, rotation, translation) that moves ``source`` closest to ``target``, set by set.

    Least squares by the singular value decomposition of the covariance, with the sign fixed so that the rotation is
    never a reflection (Gower 1975; Umeyama 1991). Computed in float64.

    Args:
        source, target: (..., P, 3).

    Returns:
        aligned (..., P, 3) = scale·source·Rᵀ + translation, and (scale (...), rotation (..., 3, 3),
        translation (..., 3)), in the dtype of ``source``. A source without extent is moved onto the target's centre
        with scale 1.

    Raises:
        InputError: the shapes differ or have no points.
    """
    source, target = np.asarray(source), np.asarray(target)
    if source.shape != target.shape or source.shape[-1:] != (3,) or source.shape[-2] == 0:
        raise InputError("procrustes", f"expected two equal shapes (..., P, 3), got {source.shape} and {target.shape}")
    dtype = source.dtype if source.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    moving, fixed = source.astype(np.float64), target.astype(np.float64)
    centre, goal = moving.mean(-2, keepdims=True), fixed.mean(-2, keepdims=True)
    moving, fixed = moving - centre, fixed - goal
    u, singular, vt = np.linalg.svd(np.swapaxes(fixed, -1, -2) @ moving)  # (..., 3, 3): target × source
    sign = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1.0, 1.0)
    u[..., 2] *= sign[..., None]
    rotation = u @ vt
    singular[..., 2] *= sign
    energy = (moving**2).sum((-1, -2))
    flat = energy <= np.finfo(np.float64).tiny
    scale = np.where(flat, 1.0, singular.sum(-1) / np.where(flat, 1.0, energy))
    aligned = scale[..., None, None] * (moving @ np.swapaxes(rotation, -1, -2)) + goal
    translation = (goal - scale[..., None, None] * (centre @ np.swapaxes(rotation, -1, -2)))[..., 0, :]
    return aligned.astype(dtype), (scale.astype(dtype), rotation.astype(dtype), translation.astype(dtype))


def root_aligned(points: Array, root: int | Sequence[int] | Array) -> Array:
    """Points (..., P, 3) with the root moved to the origin.

    Args:
        points: (..., P, 3) metres.
        root: index of the root point; several indices (a tuple or list) for the middle between them; or the root
            itself, a float array (..., 3).
    """
    points = np.asarray(points)
    if points.shape[-1:] != (3,):
        raise InputError("root_aligned", f"expected points (..., P, 3), got {points.shape}")
    if isinstance(root, int | np.integer):
        return points - points[..., root, None, :]
    if isinstance(root, np.ndarray) and root.dtype.kind == "f":
        return points - root[..., None, :]
    return points - points[..., list(root), :].mean(-2, keepdims=True)

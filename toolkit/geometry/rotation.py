"""Rotations: axis-angle, matrices, quaternions, the three 6D layouts, their mean and their distance.

Arrays in, arrays out, any leading batch dimensions; conventions in ``hmrtk.toolkit.geometry``. Every stage calls these.
All conversions are exact to rounding at 0 and at 180 degrees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.arrays import Array, floating


def axis_angle_to_quat_wxyz(axis_angle: Array) -> Array:
    """(..., 3) radians → (..., 4) unit quaternions, w ≥ 0 for angles up to π."""
    vector = floating(axis_angle, (3,), "axis_angle")
    square = (vector * vector).sum(-1, keepdims=True)
    angle = np.sqrt(square)
    tiny = square < np.finfo(vector.dtype).eps
    safe = np.where(tiny, 1, angle)
    ratio = np.where(tiny, 0.5 - square / 48, np.sin(safe / 2) / safe)  # sin(a/2)/a and its series at 0
    return np.concatenate([np.cos(angle / 2), ratio * vector], axis=-1).astype(vector.dtype, copy=False)


def quat_wxyz_to_axis_angle(quat: Array) -> Array:
    """(..., 4) quaternions of any length but zero → (..., 3) radians, angle in [0, π].

    Raises:
        InputError: a quaternion is zero.
    """
    quat = _canonical(_unit(floating(quat, (4,), "quat_wxyz"), "quat_wxyz"))
    real, vector = quat[..., :1], quat[..., 1:]
    length = np.sqrt((vector * vector).sum(-1, keepdims=True))
    tiny = length < np.sqrt(np.finfo(quat.dtype).tiny)
    safe = np.where(tiny, 1, length)
    ratio = np.where(tiny, 2, 2 * np.arctan2(safe, real) / safe)
    return (ratio * vector).astype(quat.dtype, copy=False)


def quat_wxyz_to_rotmat(quat: Array) -> Array:
    """(..., 4) quaternions of any length but zero → (..., 3, 3).

    Raises:
        InputError: a quaternion is zero.
    """
    w, x, y, z = np.moveaxis(_unit(floating(quat, (4,), "quat_wxyz"), "quat_wxyz"), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def rotmat_to_quat_wxyz(rotmat: Array) -> Array:
    """(..., 3, 3) rotation matrices → (..., 4) unit quaternions, w ≥ 0.

    The entries of R are sums of products of the quaternion's parts. Of the four rows of 4·q·qᵀ, the one with
    the largest diagonal is divided by its length (Shepperd's method): nothing cancels at any angle.
    """
    matrix = floating(rotmat, (3, 3), "rotmat")
    (a, b, c), (d, e, f), (g, h, i) = (np.moveaxis(matrix[..., row, :], -1, 0) for row in range(3))
    product = np.stack(  # (..., 4, 4)
        [
            np.stack([1 + a + e + i, h - f, c - g, d - b], -1),
            np.stack([h - f, 1 + a - e - i, b + d, c + g], -1),
            np.stack([c - g, b + d, 1 - a + e - i, f + h], -1),
            np.stack([d - b, c + g, f + h, 1 - a - e + i], -1),
        ],
        -2,
    )
    best = np.diagonal(product, axis1=-2, axis2=-1).argmax(-1)
    row = np.take_along_axis(product, best[..., None, None], -2)[..., 0, :]
    return _canonical(_unit(row, "rotmat"))


def axis_angle_to_rotmat(axis_angle: Array) -> Array:
    """(..., 3) radians → (..., 3, 3)."""
    return quat_wxyz_to_rotmat(axis_angle_to_quat_wxyz(axis_angle))


def rotmat_to_axis_angle(rotmat: Array) -> Array:
    """(..., 3, 3) → (..., 3) radians, angle in [0, π]; at exactly π either sign of the axis is right."""
    return quat_wxyz_to_axis_angle(rotmat_to_quat_wxyz(rotmat))


def rotmat_to_rot6d(rotmat: Array) -> Array:
    """(..., 3, 3) → (..., 6), first two columns interleaved (SPIN)."""
    matrix = floating(rotmat, (3, 3), "rotmat")
    return matrix[..., :, :2].reshape(*matrix.shape[:-2], 6)


def rot6d_to_rotmat(rot6d: Array) -> Array:
    """(..., 6) interleaved columns (SPIN), not necessarily orthonormal → (..., 3, 3) by Gram-Schmidt.

    Raises:
        InputError: the two vectors are zero or parallel.
    """
    flat = floating(rot6d, (6,), "rot6d")
    pair = flat.reshape(*flat.shape[:-1], 3, 2)
    return _gram_schmidt(pair[..., 0], pair[..., 1], "rot6d")


def rotmat_to_rot6d_columns(rotmat: Array) -> Array:
    """(..., 3, 3) → (..., 6), the first column then the second (4D-Humans)."""
    matrix = floating(rotmat, (3, 3), "rotmat")
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], -1)


def rot6d_columns_to_rotmat(rot6d: Array) -> Array:
    """(..., 6) first column, second column (4D-Humans) → (..., 3, 3) by Gram-Schmidt.

    Raises:
        InputError: the two vectors are zero or parallel.
    """
    flat = floating(rot6d, (6,), "rot6d_columns")
    return _gram_schmidt(flat[..., :3], flat[..., 3:], "rot6d_columns")


def rotmat_to_rot6d_rows(rotmat: Array) -> Array:
    """(..., 3, 3) → (..., 6), the first row then the second (PyTorch3D)."""
    matrix = floating(rotmat, (3, 3), "rotmat")
    return matrix[..., :2, :].reshape(*matrix.shape[:-2], 6)


def rot6d_rows_to_rotmat(rot6d: Array) -> Array:
    """(..., 6) first row, second row (PyTorch3D) → (..., 3, 3) by Gram-Schmidt.

    Raises:
        InputError: the two vectors are zero or parallel.
    """
    flat = floating(rot6d, (6,), "rot6d_rows")
    return np.swapaxes(_gram_schmidt(flat[..., :3], flat[..., 3:], "rot6d_rows"), -1, -2)


def markley_mean(quats: Array, weights: Array | None = None) -> Array:
    """The mean rotation of N quaternions (Markley et al. 2007; PM-Net Eq. 1).

    Args:
        quats: (..., N, 4); their signs do not matter.
        weights: (..., N) non-negative, or None for equal weights.

    Returns:
        (..., 4) unit, w ≥ 0: the eigenvector of Σ w·q·qᵀ with the largest eigenvalue.

    Raises:
        InputError: N is 0, or all weights of a set are 0.
    """
    quats = floating(quats, (4,), "quats")
    exact = quats.astype(np.float64, copy=False)
    scaled = exact if weights is None else exact * np.asarray(weights, np.float64)[..., None]
    scatter = np.swapaxes(scaled, -1, -2) @ exact  # (..., 4, 4)
    if not (np.trace(scatter, axis1=-2, axis2=-1) > 0).all():
        raise InputError("markley_mean", "a set has no quaternion with a positive weight, expected at least one")
    return scatter_to_mean(scatter)[0].astype(quats.dtype)


def markley_scatter(quats: Array, labels: Array, k: int, weights: Array | None = None) -> NDArray[np.float64]:
    """Σ w·q·qᵀ per cluster and joint: what ``scatter_to_mean`` turns into cluster centres.

    Args:
        quats: (N, J, 4) float32 or float64, unit.
        labels: (N,) integers in [0, k).
        k: number of clusters.
        weights: (N,) or None for equal weights.

    Returns:
        (k, J, 4, 4) float64; zeros for an empty cluster. Each entry is summed in the order of the rows, so the result
        does not depend on the number of threads.

    Raises:
        InputError: shapes do not fit, or a label is outside [0, k).
    """
    from hmrtk.toolkit.geometry.markley import scatter_products  # numba: only when asked for

    quats = np.ascontiguousarray(floating(quats, (4,), "quats"))
    labels = np.ascontiguousarray(labels, np.int64)
    if quats.ndim != 3 or labels.shape != quats.shape[:1]:
        raise InputError(
            "markley_scatter", f"expected quats (N, J, 4) and labels (N,), got {quats.shape}, {labels.shape}"
        )
    outside = (labels < 0) | (labels >= k)
    if outside.any():
        row = int(outside.argmax())
        raise InputError(f"markley_scatter row {row}", f"label {labels[row]} is outside 0..{k - 1}")
    weight = np.ones(len(labels)) if weights is None else np.ascontiguousarray(weights, np.float64)
    if weight.shape != labels.shape:
        raise InputError("markley_scatter", f"expected weights {labels.shape}, got {weight.shape}")
    return scatter_products(quats, labels, weight, int(k))


def scatter_to_mean(scatter: Array) -> tuple[Array, Array]:
    """Mean quaternion of a scatter matrix, and how well it is determined.

    Args:
        scatter: (..., 4, 4) symmetric, Σ w·q·qᵀ.

    Returns:
        quat (..., 4) unit, w ≥ 0, the identity where the scatter is zero (an empty set must not become a
        half turn); gap (...) = (λ1 − λ2) / trace in [0, 1]: 1 when all agree, 0 when the mean is arbitrary.
    """
    scatter = floating(scatter, (4, 4), "scatter")
    value, vector = np.linalg.eigh(scatter)
    trace = np.trace(scatter, axis1=-2, axis2=-1)
    filled = trace > 0
    quat = np.where(filled[..., None], vector[..., -1], np.array([1, 0, 0, 0], scatter.dtype))
    gap = np.where(filled, value[..., -1] - value[..., -2], 0) / np.where(filled, trace, 1)
    return _canonical(quat), gap


def geodesic_distance(a: Array, b: Array) -> Array:
    """Angle in radians, [0, π], between rotation matrices (..., 3, 3) and (..., 3, 3) → (...).

    From sine and cosine together, so small angles and angles near π keep their digits.
    """
    a, b = floating(a, (3, 3), "a"), floating(b, (3, 3), "b")
    delta = np.swapaxes(a, -1, -2) @ b
    skew = np.stack(
        [
            delta[..., 2, 1] - delta[..., 1, 2],
            delta[..., 0, 2] - delta[..., 2, 0],
            delta[..., 1, 0] - delta[..., 0, 1],
        ],
        -1,
    )
    cosine2 = np.trace(delta, axis1=-2, axis2=-1) - 1
    return np.arctan2(np.sqrt((skew * skew).sum(-1)), cosine2)


def mirror_axis_angle(axis_angle: Array) -> Array:
    """(..., 3): the rotation seen in a mirror across the body's x = 0 plane (y and z change sign)."""
    vector = floating(axis_angle, (3,), "axis_angle")
    return vector * np.array([1, -1, -1], vector.dtype)


def _unit(vector: Array, name: str) -> Array:
    peak = np.abs(vector).max(-1, keepdims=True, initial=0)  # first, so that squares neither overflow nor vanish
    if not (peak > 0).all():
        raise InputError(name, "has a vector that is zero or not a number, expected a direction")
    scaled = vector / peak
    return scaled / np.sqrt((scaled * scaled).sum(-1, keepdims=True))


def _canonical(quat: Array) -> Array:
    return np.where(quat[..., :1] < 0, -quat, quat)


def _gram_schmidt(first: Array, second: Array, name: str) -> Array:
    x = _unit(first, name)
    second = _unit(second, name)
    rest = second - (x * second).sum(-1, keepdims=True) * x
    if not ((rest * rest).sum(-1) > 16 * np.finfo(rest.dtype).eps ** 2).all():
        raise InputError(name, "has two parallel vectors, expected two independent directions")
    y = _unit(rest, name)
    y = _unit(y - (x * y).sum(-1, keepdims=True) * x, name)  # once more: nearly parallel pairs stay orthogonal
    return np.stack([x, y, np.cross(x, y)], -1)

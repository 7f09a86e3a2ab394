"""Cluster centres: where they start, how they move, what becomes of empty ones (PM-Net §III-C, 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import BETA_COUNT, BodyParameters
from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.geometry.rotation import (
    axis_angle_to_quat_wxyz,
    markley_scatter,
    quat_wxyz_to_axis_angle,
    scatter_to_mean,
)
from hmrtk.toolkit.prototypes.certificate import Assignment

INITS = ("random", "k-means++")
ROOT_GAP = 0.1
"""Below this spectral gap of the root's scatter, (λ1 − λ2)/trace, no mean heading exists: people face all ways."""
FACING_CAMERA = (np.pi, 0.0, 0.0)
"""Root of SPIN's mean parameters: upright, facing a camera whose y points down."""


def quaternions(parameters: BodyParameters) -> NDArray[np.float32]:
    """(N, 24, 4) float32 unit quaternions of all joints."""
    return axis_angle_to_quat_wxyz(parameters.pose)


def initial_rows(
    coordinates: NDArray[np.float32] | int, k: int, init: str, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of the K bodies that are the first centres, all different.

    Args:
        coordinates: (N, D) float32 vectors whose distances approximate the bodies' (``k-means++`` needs them; for
            ``random`` the number N is enough).
        init: ``random`` (PM-Net) or ``k-means++`` (Arthur and Vassilvitskii 2007: each next centre is drawn with
            probability proportional to its squared distance to the nearest one so far).

    Raises:
        UnknownNameError: another ``init``.
    """
    if init not in INITS:
        raise UnknownNameError("initialisation", init, INITS)
    n = coordinates if isinstance(coordinates, int) else len(coordinates)
    if init == "random" or isinstance(coordinates, int):
        return rng.choice(n, k, replace=False)
    rows = [int(rng.integers(n))]
    nearest = np.full(n, np.inf)
    while len(rows) < k:
        difference = coordinates - coordinates[rows[-1]]
        nearest = np.minimum(nearest, np.einsum("nd,nd->n", difference, difference, dtype=np.float64))
        nearest[rows] = 0
        total = nearest.sum()
        left = np.setdiff1d(np.arange(n), rows) if total == 0 else None
        rows.append(int(rng.choice(n, p=nearest / total) if left is None else rng.choice(left)))
    return np.array(rows)


def mean_parameters(
    quats: NDArray[np.floating], betas: NDArray[np.float32], label: NDArray[np.integer], fallback: BodyParameters
) -> BodyParameters:
    """The mean body of each of K clusters: arithmetic mean of betas, Markley mean of each joint (PM-Net Eq. 1).

    Args:
        quats: (N, 24, 4); betas: (N, 10); label: (N,) in [0, K).
        fallback: K bodies; an empty cluster keeps its body from here (the mean of nothing is not a rotation).
    """
    k = len(fallback)
    scatter = markley_scatter(quats, label, k)  # (K, 24, 4, 4)
    pose = quat_wxyz_to_axis_angle(scatter_to_mean(scatter)[0]).astype(np.float32)
    counts = np.bincount(label, minlength=k)
    sums = np.stack([np.bincount(label, betas[:, b], k) for b in range(BETA_COUNT)], axis=1)  # (K, 10) float64
    mean = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    filled = counts > 0
    return fallback.replaced(
        global_orient=np.where(filled[:, None], pose[:, 0], fallback.global_orient),
        body_pose=np.where(filled[:, None, None], pose[:, 1:], fallback.body_pose),
        betas=np.where(filled[:, None], mean, fallback.betas),
    )


def singular_parameters(parameters: BodyParameters) -> tuple[BodyParameters, str]:
    """The mean of all bodies, and where its root comes from.

    With headings all round, the two largest eigenvalues of the root's scatter are nearly equal and its Markley mean is
    an accident. When their gap is below ``ROOT_GAP`` the root is ``FACING_CAMERA`` and the second result
    ``facing-camera``; otherwise it is ``markley``.
    """
    label = np.zeros(len(parameters), np.int64)
    quats = quaternions(parameters)
    mean = mean_parameters(quats, parameters.betas, label, BodyParameters.zeros(1))
    gap = float(scatter_to_mean(markley_scatter(quats[:, :1], label, 1))[1][0, 0])
    if gap < ROOT_GAP:
        return mean.replaced(global_orient=np.array([FACING_CAMERA])), "facing-camera"
    return mean, "markley"


def reseed_empty(
    centres: BodyParameters, parameters: BodyParameters, assignment: Assignment
) -> tuple[BodyParameters, int]:
    """Put empty clusters onto the bodies farthest from their centres, all different; returns how many were moved.

    An empty cluster stays where it is when no body is left that is farther than rounding from its own centre: there are
    then fewer distinct bodies than clusters.
    """
    empty = np.flatnonzero(assignment.counts == 0)
    if not len(empty):
        return centres, 0
    far = np.flatnonzero(assignment.lower > assignment.rounding)
    chosen: dict[bytes, int] = {}
    for row in far[np.argsort(-assignment.lower[far], kind="stable")]:
        if len(chosen) == len(empty):
            break
        chosen.setdefault(_key(parameters, int(row)), int(row))
    rows = list(chosen.values())
    moved = BodyParameters.concatenate([centres, parameters[rows]])
    order = np.arange(len(centres))
    order[empty[: len(rows)]] = len(centres) + np.arange(len(rows))
    return moved[order], len(rows)


def _key(parameters: BodyParameters, row: int) -> bytes:
    body = (parameters.global_orient[row], parameters.body_pose[row], parameters.betas[row])
    return b"".join(array.tobytes() for array in body)

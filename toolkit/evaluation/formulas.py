"""The papers' error formulas on plain arrays: metres in, millimetres out, one value per sample.

MPJPE, PA-MPJPE, PVE (= MPVPE), PA-PVE, 3D PCK and its AUC, acceleration error, 2D keypoint error. ``metrics`` applies
them to bodies under a protocol; ``torch_metrics`` is the twin for tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.kernels import aligned_distance, mean_distance
from hmrtk.toolkit.maps.slices import over_slices

MM = 1000.0
PCK_THRESHOLD_MM = 150.0
"""A joint nearer than this is correct (MPI-INF-3DHP, Mehta et al. 2017, §6)."""

AUC_STEP_MM = 5.0
"""The area under the curve is the mean PCK at 0, 5, …, 150 mm (``mpii_compute_3d_pck.m`` of MPI-INF-3DHP's test set).
There an error has to be below the threshold, so a perfect prediction has 30/31: here it may be equal to it."""

ROUNDING_MM = 1e-3
"""Errors up to this count as none: float32 coordinates some metres from the origin are no finer."""

Array = NDArray[Any]


def joint_errors(predicted: Array, target: Array) -> NDArray[np.float64]:
    """(..., J, 3) metres each → (..., J) distances in mm, in float64, without any alignment."""
    _same_shape("joint_errors", predicted, target)
    delta = np.asarray(predicted, np.float64) - np.asarray(target, np.float64)
    return np.asarray(MM * np.sqrt((delta * delta).sum(-1)))


def mpjpe(predicted: Array, target: Array) -> NDArray[np.float64]:
    """Mean per-joint position error: (..., J, 3) metres each → (...) mm. Align the root first."""
    return np.asarray(joint_errors(predicted, target).mean(-1))


def pa_joint_errors(predicted: Array, target: Array) -> NDArray[np.float64]:
    """(..., P, 3) metres each → (..., P) mm after the best similarity (scale, rotation, translation) of each set.

    A set without extent is moved onto the target's centre; one with NaN has NaN errors.
    """
    _same_shape("pa_joint_errors", predicted, target)
    shape = predicted.shape[:-1]
    kind = np.float32 if predicted.dtype == target.dtype == np.float32 else np.float64
    flat = [np.ascontiguousarray(a, kind).reshape(-1, *a.shape[-2:]) for a in (predicted, target)]
    out = np.empty(flat[0].shape[:2])
    over_slices(lambda a, b: aligned_distance(flat[0], flat[1], out, a, b), len(out))
    return MM * out.reshape(shape)


def pa_mpjpe(predicted: Array, target: Array) -> NDArray[np.float64]:
    """MPJPE after Procrustes alignment: (..., J, 3) metres each → (...) mm. Vertices give PA-PVE."""
    return np.asarray(pa_joint_errors(predicted, target).mean(-1))


def pve(predicted: Array, target: Array, offset: Array | None = None) -> NDArray[np.float64]:
    """Per-vertex error (MPVPE): vertices (N, V, 3) metres each → (N,) mm.

    Args:
        offset: (N, 3) metres, predicted root minus target root; None compares without alignment.
    """
    _same_shape("pve", predicted, target)
    out = np.empty(len(predicted))
    shift = np.zeros((len(predicted), 3)) if offset is None else np.ascontiguousarray(offset, np.float64)
    over_slices(lambda a, b: mean_distance(predicted, target, shift, out, a, b), len(out))
    return MM * out


def pck(errors: Array, threshold_mm: float = PCK_THRESHOLD_MM) -> NDArray[np.float64]:
    """Share of correct joints: errors (..., J) mm → (...) in 0..1; NaN counts as wrong."""
    return np.asarray((np.asarray(errors) <= threshold_mm + ROUNDING_MM).mean(-1))


def auc(errors: Array, threshold_mm: float = PCK_THRESHOLD_MM) -> NDArray[np.float64]:
    """Area under the PCK curve: errors (..., J) mm → (...) in 0..1, the mean PCK at 0, 5, …, ``threshold_mm``."""
    steps = np.arange(0, threshold_mm + AUC_STEP_MM / 2, AUC_STEP_MM)
    total = np.zeros(np.shape(errors)[:-1])
    for threshold in steps:
        total += pck(errors, threshold)
    return np.asarray(total / len(steps))


def acceleration_errors(offsets: Array) -> NDArray[np.float64]:
    """Error of the joints' acceleration (VIBE §4): predicted minus true joints of F successive frames (F, J, 3)
    metres → (F − 2,) mm per squared frame, of the frames between the first and the last."""
    delta = np.asarray(offsets, np.float64)
    if delta.ndim != 3 or delta.shape[-1:] != (3,):
        raise InputError("acceleration_errors", f"expected shape (F, J, 3), got {delta.shape}")
    bend = delta[2:] - 2 * delta[1:-1] + delta[:-2]
    return np.asarray(MM * np.sqrt((bend * bend).sum(-1)).mean(-1))


def _same_shape(place: str, a: Array, b: Array) -> None:
    if a.shape != b.shape or a.shape[-1:] != (3,):
        raise InputError(place, f"expected two equal shapes (..., P, 3), got {a.shape} and {b.shape}")

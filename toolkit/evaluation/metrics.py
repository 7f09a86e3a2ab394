"""MPJPE, PA-MPJPE and PVE (MPVPE) in millimetres, one value per sample.

In: records and predictions, or plain arrays; out: ``Errors``. Bodies are posed in a stream and compared at once, so
vertices are never all in memory. Reports and the ``evaluate`` command call these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.gendered import GenderedBody
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.kernels import aligned_distance, mean_distance
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.evaluation.protocols import DEFAULT, Protocol, require_gender
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.table import RecordTable

MM = 1000.0
CHUNK = 256

BodyOfGender = Callable[[str], BodyModel]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of N samples under one protocol, millimetres.

    Attributes:
        protocol: how they were measured.
        mpjpe, pa_mpjpe, pve: (N,) float64. PVE is also called MPVPE.
        joints: (N, J) float64, each joint's error before Procrustes alignment; MPJPE is its mean.
    """

    protocol: Protocol
    mpjpe: NDArray[np.float64]
    pa_mpjpe: NDArray[np.float64]
    pve: NDArray[np.float64]
    joints: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.mpjpe)

    def summary(self, rows: Array | None = None) -> dict[str, float]:
        """Means over all samples or those of an index: ``{"mpjpe": mm, "pa_mpjpe": mm, "pve": mm}``."""
        every = slice(None) if rows is None else rows
        return {name: float(getattr(self, name)[every].mean()) for name in ("mpjpe", "pa_mpjpe", "pve")}


def joint_errors(predicted: Array, target: Array) -> NDArray[np.float64]:
    """(..., J, 3) metres each → (..., J) distances in mm, in float64, without any alignment."""
    _same_shape("joint_errors", predicted, target)
    delta = np.asarray(predicted, np.float64) - np.asarray(target, np.float64)
    return MM * np.sqrt((delta * delta).sum(-1))


def mpjpe(predicted: Array, target: Array) -> NDArray[np.float64]:
    """Mean per-joint position error: (..., J, 3) metres each → (...) mm. Align the root first."""
    return joint_errors(predicted, target).mean(-1)


def pa_joint_errors(predicted: Array, target: Array) -> NDArray[np.float64]:
    """(..., J, 3) metres each → (..., J) mm after the best similarity (scale, rotation, translation) of each set."""
    _same_shape("pa_joint_errors", predicted, target)
    shape = predicted.shape[:-1]
    flat = [np.ascontiguousarray(a, np.float64).reshape(-1, *a.shape[-2:]) for a in (predicted, target)]
    out = np.empty(flat[0].shape[:2])
    aligned_distance(flat[0], flat[1], out)
    return MM * out.reshape(shape)


def pa_mpjpe(predicted: Array, target: Array) -> NDArray[np.float64]:
    """MPJPE after Procrustes alignment: (..., J, 3) metres each → (...) mm."""
    return pa_joint_errors(predicted, target).mean(-1)


def pve(predicted: Array, target: Array, offset: Array | None = None) -> NDArray[np.float64]:
    """Per-vertex error (MPVPE): vertices (N, V, 3) metres each → (N,) mm.

    Args:
        offset: (N, 3) metres, predicted root minus target root; None compares without alignment.
    """
    _same_shape("pve", predicted, target)
    out = np.empty(len(predicted))
    offset = np.zeros((len(predicted), 3)) if offset is None else np.ascontiguousarray(offset, np.float64)
    mean_distance(predicted, target, offset, out)
    return MM * out


def evaluate(
    records: RecordTable,
    predictions: Predictions,
    body: BodyModel,
    protocol: Protocol = DEFAULT,
    body_of_gender: BodyOfGender | None = None,
    progress: Progress = silent,
) -> Errors:
    """Compare predictions with the records' bodies, both without translation.

    Args:
        records: ground truth, every row with a body.
        predictions: exactly one for each record, in any order.
        body: the (neutral) body of the predictions.
        protocol: joints, root, gender and alignment.
        body_of_gender: gives the ground truth's body for ``male`` and ``female`` where the protocol asks for it.

    Raises:
        BodyMismatchError: records or predictions were made with another body.
        InputError: ids do not match, a record has no body, or a gendered body is missing.
    """
    records.require_body(body.fingerprint)
    predictions.require_body(body.fingerprint)
    matched = predictions.take(predictions.match(records))
    truth = records.parameters()
    truth = truth.replaced(transl=np.zeros_like(truth.transl))
    genders = _genders(records, protocol)
    known = {"neutral": body}
    if body_of_gender is not None:
        known |= {g: body_of_gender(g) for g in set(genders) - {"neutral"}}
    require_gender(protocol, set(genders), set(known))
    n = len(records)
    errors = Errors(protocol, np.empty(n), np.empty(n), np.empty(n), np.empty((n, len(protocol.indices))))
    done = 0
    for rows, truth_body in GenderedBody(known).groups(genders, CHUNK):
        predicted_body = truth_body if protocol.gender == "record-both" else body
        _compare(errors, rows, truth_body.pose(truth[rows]), truth_body, matched.take(rows), predicted_body)
        done += len(rows)
        progress(f"evaluate {predictions.metadata.system}", done, n)
    return errors


def _compare(
    errors: Errors, rows: Array, truth: Body, truth_body: BodyModel, predictions: Predictions, body: BodyModel
) -> None:
    protocol = errors.protocol
    predicted = _posed(predictions, body)
    if predictions.parameters is None:  # then both sides' SMPL joints come from vertices: posed joints differ by mm
        truth = Body(truth.vertices, truth_body.regress(truth.vertices, "smpl24"))
    joints, root = protocol.joints(predicted, body)
    target, target_root = protocol.joints(truth, truth_body)
    moved, goal = joints - root[:, None], target - target_root[:, None]  # float64
    errors.joints[rows] = joint_errors(moved, goal)
    errors.mpjpe[rows] = errors.joints[rows].mean(axis=1)
    errors.pa_mpjpe[rows] = pa_mpjpe(moved, goal)
    offset = root - target_root if protocol.vertex_alignment == "root" else None
    errors.pve[rows] = pve(predicted.vertices, truth.vertices, offset)


def _posed(predictions: Predictions, body: BodyModel) -> Body:
    if predictions.parameters is not None:
        return body.pose(_without_translation(predictions.parameters))
    if predictions.vertices is None:
        raise InputError(predictions.place, "has neither body parameters nor vertices")
    vertices = predictions.vertices.astype(np.float32)
    return Body(vertices, body.regress(vertices, "smpl24"))


def _without_translation(parameters: BodyParameters) -> BodyParameters:
    return parameters.replaced(transl=np.zeros_like(parameters.transl))


def _genders(records: RecordTable, protocol: Protocol) -> Array:
    if protocol.gender == "neutral":
        return np.full(len(records), "neutral", object)
    named = records.array("gender")
    return np.array([g or "neutral" for g in named], object)


def _same_shape(place: str, a: Array, b: Array) -> None:
    if a.shape != b.shape or a.shape[-1:] != (3,):
        raise InputError(place, f"expected two equal shapes (..., P, 3), got {a.shape} and {b.shape}")

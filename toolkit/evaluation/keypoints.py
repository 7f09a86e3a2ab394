"""2D keypoints: where a predicted body's joints fall in the image, and how far from the annotated ones.

In: predictions with a crop camera, records with boxes; out: full-image pixels (centres at integer + 0.5). ``coco_ap``
judges them by COCO's rules; errors and PCK here are those of 4D-Humans.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.geometry.camera import project_crop_camera
from hmrtk.toolkit.geometry.crop import apply_affine, bbox_to_square, invert_affine, square_affine
from hmrtk.toolkit.records.crops import EXPANSION
from hmrtk.toolkit.records.table import RecordTable

CROP_PX = 1000
"""Side of the crop in which joints are projected before they go back to the image; any would do."""


def projected_keypoints(
    records: RecordTable, predictions: Predictions, body: BodyModel, expansion: float = EXPANSION
) -> NDArray[np.float64]:
    """Project the predicted ``spin24`` joints: crop camera, then the crop's place in the image (DaNet §5.3, COCO).

    Args:
        records: N rows with ``bbox_xyxy``.
        predictions: N, of the same rows in the same order, with a camera.
        body: the predictions'.
        expansion: crop side over the box's longer side that the camera belongs to.

    Returns:
        (N, 24, 2) px of the full image.

    Raises:
        InputError: a record without a box, or a prediction without a usable camera, by row.
    """
    camera = checked_camera(predictions)
    to_image = invert_affine(crop_affines(records, CROP_PX, expansion))
    joints = _joints(predictions, body).astype(np.float64)
    return np.asarray(apply_affine(project_crop_camera(joints, camera, CROP_PX), to_image))


def keypoint_errors(projected: NDArray[Any], keypoints2d: NDArray[Any]) -> NDArray[np.float64]:
    """Distances in px (N, J) of projected (N, J, 2) from annotated keypoints (N, J, 3); NaN where confidence is 0.

    Raises:
        InputError: shapes that do not belong together.
    """
    if projected.shape[:-1] != keypoints2d.shape[:-1] or (projected.shape[-1], keypoints2d.shape[-1]) != (2, 3):
        expected = "(N, J, 2) and (N, J, 3)"
        raise InputError("keypoint_errors", f"expected {expected}, got {projected.shape} and {keypoints2d.shape}")
    known = keypoints2d[..., 2] > 0
    delta = np.where(known[..., None], projected - keypoints2d[..., :2].astype(np.float64), np.nan)
    return np.asarray(np.sqrt((delta * delta).sum(-1)))


def keypoint_pck(errors: NDArray[Any], side: NDArray[Any], share: float) -> float:
    """Share of the annotated keypoints nearer than ``share`` of the crop's side (4D-Humans: 0.05 and 0.1).

    Args:
        errors: (N, J) px; NaN is not annotated.
        side: (N,) px of the crops.

    Returns:
        0..1, over all keypoints of all samples; NaN when none is annotated.
    """
    known = np.isfinite(errors)
    if not known.any():
        return float("nan")
    return float((np.where(known, errors, np.inf) <= share * side[:, None]).sum() / known.sum())


def crop_affines(records: RecordTable, size: int, expansion: float = EXPANSION) -> NDArray[np.float64]:
    """(N, 2, 3) full-image px → px of each record's crop, ``size`` px wide.

    Raises:
        InputError: a record has no box.
    """
    boxed = records.has("bbox_xyxy")
    if not boxed.all():
        raise InputError(f"{records.place} row {int((~boxed).argmax())}", "has no bbox_xyxy, so it has no crop")
    center, side = bbox_to_square(records.array("bbox_xyxy").astype(np.float64), expansion)
    return np.asarray(square_affine(center, side, size))


def crop_sides(records: RecordTable, expansion: float = EXPANSION) -> NDArray[np.float64]:
    """(N,) px, the side of each record's crop in the full image."""
    return np.asarray(bbox_to_square(records.array("bbox_xyxy").astype(np.float64), expansion)[1])


def checked_camera(predictions: Predictions) -> NDArray[np.float64]:
    """(N, 3) crop cameras with positive scale.

    Raises:
        InputError: no cameras at all, or a row without one.
    """
    if predictions.camera is None:
        raise InputError(predictions.place, "has no cameras", "2D metrics need the crop camera (s, tx, ty)")
    camera = predictions.camera.astype(np.float64)
    bad = ~(np.isfinite(camera).all(axis=1) & (camera[:, 0] > 0))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{predictions.place} row {row}", f"camera is {camera[row].tolist()}, expected a positive scale"
        )
    return camera


def _joints(predictions: Predictions, body: BodyModel) -> NDArray[np.float32]:
    if predictions.parameters is None:
        return body.spin24(predictions.posed(body))
    still = np.zeros_like(predictions.parameters.transl)
    return body.spin24_joints(predictions.parameters.replaced(transl=still))

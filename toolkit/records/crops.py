"""The crop of every record: its square box, its camera, and the maps between full image, crop and region.

IUV rendering, shards and previews ask here, so that all of them see a person through the same window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import CROP_SIZE, solve_crop_camera
from hmrtk.toolkit.geometry.crop import apply_affine, bbox_to_square, square_affine
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.table import RecordTable

EXPANSION = 1.2
"""Crop box side over the tight box's longer side (SPIN, CLIFF and most npz files; the embedded dataset too)."""
REGION_FACTOR = 1.8
"""Region side over crop box side: room for augmentation and for the five crops of Multi-Crop HMR (scale up to 1.5)."""


@dataclass(frozen=True)
class Crops:
    """Crops of N records.

    Attributes:
        center: (N, 2) px in the full image.
        side: (N,) px, the crop box's side b.
        camera: (N, 3) = (s, tx, ty) of the 224 px crop, for the body with ``transl`` = 0; NaN where not ``valid``.
        valid: (N,) whether the camera could be solved.
    """

    center: NDArray[np.float64]
    side: NDArray[np.float64]
    camera: NDArray[np.float64]
    valid: NDArray[np.bool_]

    def take(self, rows: NDArray[np.integer]) -> Crops:
        """The crops of some records."""
        return Crops(self.center[rows], self.side[rows], self.camera[rows], self.valid[rows])

    def crop_affine(self, size: int = CROP_SIZE) -> NDArray[np.float64]:
        """(N, 2, 3) full-image px → px of a ``size`` × ``size`` picture of the crop."""
        return square_affine(self.center, self.side, size)

    def region_affine(self, size: int) -> NDArray[np.float64]:
        """(N, 2, 3) full-image px → px of a ``size`` × ``size`` picture of the region."""
        return square_affine(self.center, self.side * REGION_FACTOR, size)


def record_crops(records: RecordTable, body: BodyModel, expansion: float = EXPANSION) -> Crops:
    """Solve the crops and crop cameras of all records.

    The camera is the one under which the 3D joints fall best on ``keypoints2d`` (weighted least squares, as SPIN's
    training targets). A row with body parameters gives its own posed joints, ``transl`` left out, so rows without
    ``joints3d`` have a camera too and the body's origin needs no guessing; other rows give ``joints3d`` as they stand.
    Rows with too few confident joints get ``valid`` = False.

    Args:
        records: rows with ``bbox_xyxy``.
        body: poses the rows that have parameters.
        expansion: crop box side over the tight box's longer side.

    Raises:
        InputError: a row has no box.
    """
    boxed = records.has("bbox_xyxy")
    if not boxed.all():
        raise InputError(f"{records.place} row {int((~boxed).argmax())}", "has no bbox_xyxy, so it has no crop")
    center, side = bbox_to_square(records.array("bbox_xyxy").astype(np.float64), expansion)
    keypoints = np.nan_to_num(records.array("keypoints2d").astype(np.float64))
    keypoints[..., :2] = apply_affine(keypoints[..., :2], square_affine(center, side, CROP_SIZE))
    camera, valid = solve_crop_camera(_joints(records, body), keypoints)
    return Crops(center, side, camera, valid)


def _joints(records: RecordTable, body: BodyModel) -> NDArray[np.float64]:
    """(N, 24, 4) spin24 joints and confidence (0 where there are none): of the posed body, else of the record."""
    joints = np.nan_to_num(records.array("joints3d").astype(np.float64))
    rows = np.flatnonzero(records.has(*BODY_COLUMNS))
    if len(rows):
        parameters = records.take(rows).parameters()
        joints[rows, :, :3] = body.spin24_joints(parameters.replaced(transl=np.zeros((len(rows), 3))))
        joints[rows, :, 3] = 1
    return joints

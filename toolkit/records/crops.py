"""The crop of every record: its square box, its camera, and the maps between full image, crop and region.

IUV rendering, shards and previews ask here, so that all of them see a person through the same window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import CROP_SIZE, solve_crop_camera
from hmrtk.toolkit.geometry.crop import apply_affine, bbox_to_square, square_affine
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

    def crop_affine(self, size: int = CROP_SIZE) -> NDArray[np.float64]:
        """(N, 2, 3) full-image px → px of a ``size`` × ``size`` picture of the crop."""
        return square_affine(self.center, self.side, size)

    def region_affine(self, size: int) -> NDArray[np.float64]:
        """(N, 2, 3) full-image px → px of a ``size`` × ``size`` picture of the region."""
        return square_affine(self.center, self.side * REGION_FACTOR, size)


def record_crops(records: RecordTable, expansion: float = EXPANSION) -> Crops:
    """Solve the crops and crop cameras of all records.

    The camera follows from ``joints3d`` and ``keypoints2d`` (weighted least squares, as SPIN's training targets);
    ``transl``, which ``joints3d`` includes where it is known, is taken out first. Rows with too few confident joints
    get ``valid`` = False.

    Args:
        records: rows with ``bbox_xyxy``.
        expansion: crop box side over the tight box's longer side.

    Raises:
        InputError: a row has no box.
    """
    boxed = records.has("bbox_xyxy")
    if not boxed.all():
        raise InputError(f"{records.place} row {int((~boxed).argmax())}", "has no bbox_xyxy, so it has no crop")
    center, side = bbox_to_square(records.array("bbox_xyxy").astype(np.float64), expansion)
    joints = np.nan_to_num(records.array("joints3d").astype(np.float64))  # (N, 24, 4), confidence 0 where null
    joints[..., :3] -= np.nan_to_num(records.array("transl").astype(np.float64))[:, None]
    keypoints = np.nan_to_num(records.array("keypoints2d").astype(np.float64))
    keypoints[..., :2] = apply_affine(keypoints[..., :2], square_affine(center, side, CROP_SIZE))
    camera, valid = solve_crop_camera(joints, keypoints)
    return Crops(center, side, camera, valid)

"""The cameras of other systems → crop cameras (s, tx, ty) of the records' own crops.

A record's crop is 1.2 × its box; a system saw another crop, or none. Both are the same weak perspective of the full
image, so the conversion is exact for it; between crops of other places the viewing direction differs, which a crop
camera cannot say (CLIFF §3.1). ``imported`` calls this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.result import CropCamera, FullCamera
from hmrtk.toolkit.geometry.camera import full_to_crop_camera
from hmrtk.toolkit.geometry.crop import bbox_to_square
from hmrtk.toolkit.records.crops import EXPANSION
from hmrtk.toolkit.records.table import RecordTable

Floats = NDArray[np.float64]


def record_cameras(
    camera: CropCamera | FullCamera, records: RecordTable, expansion: float = EXPANSION
) -> NDArray[np.float32]:
    """(N, 3) crop cameras, NaN where they cannot be known.

    Args:
        camera: of N results.
        records: (N) the records of these results.
        expansion: side of the system's crop over the record's box, where the file does not say where the crop is.

    Raises:
        InputError: ``expansion`` is not positive.
    """
    if expansion <= 0:
        raise InputError("--expansion", f"is {expansion:g}, expected a positive number")
    center, side = _crops(records)
    if isinstance(camera, CropCamera):
        moved = _moved(camera, center, side, expansion)
    else:
        moved = _from_full(camera, records, center, side)
    bad = ~np.isfinite(moved).all(axis=1)
    moved[bad] = np.nan
    return moved.astype(np.float32)


def projected_boxes(parameters: BodyParameters, camera: FullCamera, body: BodyModel) -> Floats:
    """(N, 4) boxes x0, y0, x1, y1 px round the bodies' joints in the full image; NaN where its size is not known."""
    joints = body.joints(parameters.replaced(transl=camera.translation)).astype(np.float64)  # (N, 24, 3)
    focal = np.where(np.isnan(camera.focal), np.hypot(*camera.image_size.T), camera.focal)
    depth = np.where(joints[..., 2:] > 0, joints[..., 2:], np.nan)
    pixels = focal[:, None, None] * joints[..., :2] / depth + camera.image_size[:, None, ::-1] / 2
    return np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)


def _crops(records: RecordTable) -> tuple[Floats, Floats]:
    """Centre (N, 2) and side (N,) px of the records' crops, NaN without a box."""
    center, side = np.full((len(records), 2), np.nan), np.full(len(records), np.nan)
    rows = np.flatnonzero(records.has("bbox_xyxy"))
    if len(rows):
        center[rows], side[rows] = bbox_to_square(records.array("bbox_xyxy")[rows].astype(np.float64), EXPANSION)
    return center, side


def _moved(camera: CropCamera, center: Floats, side: Floats, expansion: float) -> Floats:
    """From one crop to another: c + b/2·s·(X + t) is the same point for both."""
    scale = camera.values[:, :1]
    if camera.center is None or camera.side is None:
        return np.concatenate([scale * (expansion / EXPANSION), camera.values[:, 1:]], axis=1)
    reach = scale * camera.side[:, None]  # px per metre, doubled
    with np.errstate(divide="ignore", invalid="ignore"):  # a camera of scale 0 has no translation, and becomes NaN
        return np.concatenate(
            [reach / side[:, None], camera.values[:, 1:] + 2 * (camera.center - center) / reach], axis=1
        )


def _from_full(camera: FullCamera, records: RecordTable, center: Floats, side: Floats) -> Floats:
    known = records.array("image_size").astype(np.float64)  # 0 where the record has none
    size = np.where(np.isnan(camera.image_size), np.where(known > 0, known, np.nan), camera.image_size)
    focal = np.where(np.isnan(camera.focal), np.hypot(size[:, 0], size[:, 1]), camera.focal)
    usable = camera.translation[:, 2] > 0
    translation = np.where(usable[:, None], camera.translation, 1.0)
    moved = full_to_crop_camera(translation, center, side, size, focal)
    moved[~usable] = np.nan
    return moved

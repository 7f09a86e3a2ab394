"""CLIFF's ``<name>_cliff_<backbone>.npz`` (``demo.py --save_results``): people whom its detector found in pictures.

Keys: ``imgname`` (M,), ``detection_all`` (N, 8) = picture's number, x0, y0, x1, y1, confidence, …, ``pose`` (N, 72) or
(N, 24, 3, 3), ``shape`` (N, 10), ``global_t`` (N, 3), ``focal_l`` (N,), ``pred_joints`` (N, 45, 3). Traps, and what is
done about them:

- Bodies follow the **detections**, ``imgname`` the **pictures**: M is not N, and where it is by chance, row i need not
  be of picture i. The picture of a body is ``imgname[detection_all[i, 0]]``.
- ``global_t`` is SMPL's ``transl`` before a camera whose focal length ``focal_l`` is the picture's diagonal; the file
  has no picture size, the record's is taken.
- ``pose`` (N, 72) comes from ``torchgeometry``, which writes NaN for some rotations: such a row has no body.
- Pictures of a video are ``<video>/imgs/%06d.png``, counted from 1: where no record has such a picture, frame k − 1.
- ``pred_joints`` are smplx's 45 with ``global_t`` in them: the first 24 minus ``global_t`` are ``smpl24``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.bodies import (
    body_parameters,
    rows_of,
    same_count,
    ten_betas,
    torchgeometry_axis_angles,
)
from hmrtk.toolkit.evaluation.importers.pictures import video_frames
from hmrtk.toolkit.evaluation.importers.result import Floats, FullCamera, SystemResult
from hmrtk.toolkit.records.fields import Fields, as_text, npz_fields

KEYS = ("imgname", "detection_all", "pose", "shape", "global_t", "focal_l", "pred_joints")
JOINTS = 45


def cliff_npz(path: Path, body: BodyModel) -> SystemResult:
    """Results in the order of the detections.

    Raises:
        InputError: a missing key, another shape, NaN, no rotations, a detection in no picture, or rows that differ in
            number; rows are named.
    """
    fields = npz_fields(path, KEYS)
    place = fields.place
    pose, broken = torchgeometry_axis_angles(fields.value("pose"), "pose", place)
    betas = ten_betas(fields.value("shape"), "shape", place)
    translation = rows_of(fields.value("global_t"), "global_t", place, 3)
    focal = rows_of(fields.value("focal_l"), "focal_l", place, 1)[:, 0]
    images, boxes = _detections(fields, len(pose))
    frames, video = video_frames(images)
    counts = {"pose": len(pose), "shape": len(betas), "global_t": len(translation), "focal_l": len(focal)}
    n = same_count(counts | {"detection_all": len(boxes)}, place)
    return SystemResult(
        parameters=body_parameters(pose, betas, place),
        place=place,
        names=[f"{place} row {row} ({name})" for row, name in enumerate(images)],
        images=images,
        frames=frames,
        video=video,
        boxes=boxes,
        camera=FullCamera(translation, focal, np.full((n, 2), np.nan)),
        joints3d=_joints(fields, translation),
        broken=broken,
    )


def _detections(fields: Fields, bodies: int) -> tuple[list[str], Floats]:
    """The picture and the box (N, 4) of each body."""
    names = [as_text(name, "imgname", fields.place) for name in fields.items("imgname")]
    if "detection_all" not in fields:
        raise InputError(
            fields.place,
            f"has no detection_all, so nothing says which of {len(names)} pictures each of {bodies} bodies is of",
            "save it beside the bodies, as CLIFF's demo.py does",
        )
    found = rows_of(fields.value("detection_all"), "detection_all", fields.place)
    if found.shape[1] < 5:
        raise InputError(fields.place, f"detection_all has shape {found.shape}, expected ({len(found)}, 8)")
    number = np.rint(found[:, 0]).astype(np.int64)
    bad = (number < 0) | (number >= len(names))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{fields.place} row {row}", f"detection_all is of picture {number[row]}, but imgname has {len(names)}"
        )
    empty = (found[:, 3:5] <= found[:, 1:3]).any(axis=1)
    if empty.any():
        row = int(empty.argmax())
        raise InputError(f"{fields.place} row {row}", f"detection_all {found[row, 1:5].tolist()} is empty")
    return [names[k] for k in number.tolist()], found[:, 1:5]


def _joints(fields: Fields, translation: Floats) -> Floats | None:
    if "pred_joints" not in fields:
        return None
    joints = fields.array("pred_joints", len(translation), JOINTS, 3)
    return joints[:, :24] - translation[:, None]

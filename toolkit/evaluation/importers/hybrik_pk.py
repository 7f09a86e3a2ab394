"""HybrIK's ``res.pk`` (``demo_video.py --save-pk``, ``demo_image.py``): a pickle of arrays, one row per picture.

Keys read: ``pred_thetas`` (N, 216) = 24 rotation matrices, ``pred_betas`` (N, 10), ``transl`` (N, 3), ``bbox`` (N, 4)
corners, ``height`` and ``width`` (N,), ``img_path`` (N,). Traps, and what is done about them:

- HybrIK-X's files have the same keys with 55 joints of SMPL-X, early ones 24 quaternions: both are refused.
- ``transl`` is where the **pelvis** is, since HybrIK moves its bodies there; SMPL's ``transl`` is that minus the pelvis
  of the body in rest, taken from the active body. The camera's focal length is 1000 / 256 × the width of ``bbox``.
- ``pred_xyz_17``, ``pred_xyz_29`` and ``pred_xyz_24_struct`` are divided by the depth of HybrIK's box (2.0 or 2.2 m,
  as configured), which is not in the file: not read.
- ``img_path`` of a video is ``<video>-%06d.png``, counted from 1: where no record has such a picture, frame k − 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.bodies import axis_angles, body_parameters, rows_of, same_count, ten_betas
from hmrtk.toolkit.evaluation.importers.pictures import video_frames
from hmrtk.toolkit.evaluation.importers.result import Floats, FullCamera, SystemResult
from hmrtk.toolkit.records.fields import Fields, as_text, pickle_fields

FOCAL, INPUT = 1000.0, 256.0
"""px; focal length for a crop of HybrIK's input size."""
MATRICES, QUATERNIONS, SMPLX_MATRICES = 24 * 9, 24 * 4, 55 * 9


def hybrik_pk(path: Path, body: BodyModel) -> SystemResult:
    """Results in the order of the file.

    Args:
        path: the file.
        body: says where the pelvis of a body in rest is.

    Raises:
        InputError: no pickle of plain arrays, a missing key, another shape, NaN, no rotations, or rows that differ in
            number; rows are named.
    """
    fields = pickle_fields(path, "results of HybrIK")
    place = fields.place
    parameters = body_parameters(_pose(fields), ten_betas(fields.value("pred_betas"), "pred_betas", place), place)
    names = [as_text(name, "img_path", place) for name in fields.items("img_path")]
    pelvis = rows_of(fields.value("transl"), "transl", place, 3)
    boxes = rows_of(fields.value("bbox"), "bbox", place, 4)
    size = np.stack([rows_of(fields.value(key), key, place, 1)[:, 0] for key in ("height", "width")], axis=1)
    counts = {"pred_thetas": len(parameters), "img_path": len(names), "transl": len(pelvis), "bbox": len(boxes)}
    same_count(counts | {"height": len(size)}, place)
    frames, video = video_frames(names)
    return SystemResult(
        parameters=parameters,
        place=place,
        names=[f"{place} row {row} ({name})" for row, name in enumerate(names)],
        images=names,
        frames=frames,
        video=video,
        boxes=boxes,
        camera=FullCamera(pelvis - _rest_pelvis(parameters, body), FOCAL / INPUT * (boxes[:, 2] - boxes[:, 0]), size),
    )


def _pose(fields: Fields) -> Floats:
    value = np.asarray(fields.value("pred_thetas"))
    width = int(np.prod(value.shape[1:], dtype=np.int64))
    other = {QUATERNIONS: "24 quaternions of an early HybrIK", SMPLX_MATRICES: "SMPL-X's 55 joints of HybrIK-X"}
    if width in other:
        raise InputError(fields.place, f"pred_thetas holds {other[width]}, expected SMPL's 24 rotation matrices")
    return axis_angles(value, "pred_thetas", fields.place)


def _rest_pelvis(parameters: BodyParameters, body: BodyModel) -> Floats:
    """(N, 3) metres: the pelvis, about which the root turns, of bodies without translation."""
    rest = BodyParameters.of(np.zeros((len(parameters), 3)), None, parameters.betas)
    return body.joints(rest)[:, 0].astype(np.float64)

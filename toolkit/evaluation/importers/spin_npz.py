"""SPIN's, DaNet's and PyMAF's ``eval.py --result_file``: one ``.npz`` for one run over one dataset.

Keys: ``pose`` (N, 72) axis-angle or (N, 24, 3, 3), ``betas`` (N, 10), ``camera`` (N, 3) = (s, tx, ty) of the 224 px
crop, ``pred_joints`` (N, 17, 3). Traps, and what is done about them:

- **No ids**: rows are in the order of the dataset's npz, the one that ``ingest --format spin_npz`` reads. Two keys of
  our own make them certain: ``sample_id`` or ``imgname`` (N) of text; else rows are matched by order and count.
- ``eval.py`` fills arrays of zeros as it goes. A run that was cut short leaves bodies that are **all zeros**: refused.
- ``pose`` comes from ``torchgeometry.rotation_matrix_to_angle_axis``, which writes NaN for some rotations: such a row
  has no body, and its record no result.
- ``pred_joints`` are regressed by ``J_regressor_h36m`` and not centred, in that file's order (**left** leg in rows 1-3,
  not Human3.6M's own order): joint set ``h36m17``. Runs that only score masks (LSP) leave them zero: left out.
- The camera is of SPIN's crop, 200·``scale`` px: 1.2 × the record's box, but 0.9 × in SPIN's files of Human3.6M.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.bodies import body_parameters, ten_betas, torchgeometry_axis_angles
from hmrtk.toolkit.evaluation.importers.result import CropCamera, Floats, SystemResult
from hmrtk.toolkit.records.npz_file import NpzFile

JOINTS = 17


def spin_npz(path: Path, body: BodyModel) -> SystemResult:
    """Results in the order of the file.

    Raises:
        InputError: a missing key, another shape, NaN, no rotations, or rows that were never filled; rows are named.
    """
    with NpzFile(path, "pose") as file:
        width = int(np.prod(file.shape("pose")[1:], dtype=np.int64))
        pose, broken = torchgeometry_axis_angles(file.numbers("pose", width, finite=False), "pose", str(path))
        width = int(np.prod(file.shape("betas")[1:], dtype=np.int64))
        betas = ten_betas(file.numbers("betas", width), "betas", str(path))
        _require_filled(path, pose, betas, broken)
        camera = file.numbers("camera", 3, finite=False).astype(np.float64) if "camera" in file else None
        joints = file.numbers("pred_joints", JOINTS, 3).astype(np.float64) if "pred_joints" in file else np.zeros(0)
        return SystemResult(
            parameters=body_parameters(pose, betas, str(path)),
            place=str(path),
            names=[f"{path} row {row}" for row in range(file.rows)],
            ids=file.texts("sample_id") if "sample_id" in file else None,
            images=file.texts("imgname") if "imgname" in file else None,
            camera=None if camera is None else CropCamera(camera),
            joints3d=joints if joints.any() else None,
            joint_set="h36m17",
            broken=broken,
        )


def _require_filled(path: Path, pose: Floats, betas: Floats, broken: dict[int, str]) -> None:
    empty = np.asarray(~pose.any(axis=(1, 2)) & ~betas.any(axis=1))
    empty[list(broken)] = False
    if empty.any():
        raise InputError(
            f"{path} row {int(empty.argmax())}",
            f"is all zeros, like {int(empty.sum())} of {len(pose)} rows",
            "the evaluation was cut short: run it to its end",
        )

"""GVHMR's ``hmr4d_results.pt`` (``tools/demo/demo.py``): one person in one video, frame by frame.

Keys: ``smpl_params_incam`` {``global_orient`` (F, 3), ``body_pose`` (F, 63), ``betas`` (F, 10), ``transl`` (F, 3)},
``smpl_params_global`` (the same with gravity down), ``K_fullimg`` (F, 3, 3). Traps, and what is done about them:

- It is a ``torch.save``: read with ``weights_only``, which runs nothing in it.
- The body is **SMPL-X**: 21 joints turn, which are SMPL's first 21; SMPL's hands stay straight. Its betas are of
  another shape space and are **not** read: the imported bodies have the mean shape, and PVE has that error in it.
- ``smpl_params_incam`` are in the camera frame, ``smpl_params_global`` are not.
- No frame numbers, no box: row i is frame i of the video, and who it is shows where the body stands.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.bodies import axis_angles, body_parameters, rows_of, same_count
from hmrtk.toolkit.evaluation.importers.result import FullCamera, SystemResult
from hmrtk.toolkit.records.fields import Fields

JOINTS = 21
EXPECTED = "expected results of GVHMR; save smpl_params_incam and K_fullimg alone"
NOTE = "SMPL-X bodies: the pose of 21 joints was taken, hands straight; SMPL-X's betas do not fit SMPL: the mean shape"


def gvhmr_pt(path: Path, body: BodyModel) -> SystemResult:
    """Results in the order of the frames.

    Raises:
        InputError: no file of tensors, a missing key, another shape, NaN, or rows that differ in number.
    """
    fields = Fields(_tensors(path), str(path))
    person = fields.inner("smpl_params_incam")
    place = person.place
    root = axis_angles(person.value("global_orient"), "global_orient", place, joints=1)
    joints = axis_angles(person.value("body_pose"), "body_pose", place, joints=JOINTS)
    translation = rows_of(person.value("transl"), "transl", place, 3)
    matrix = rows_of(fields.value("K_fullimg"), "K_fullimg", fields.place, 9).reshape(-1, 3, 3)
    counts = {"global_orient": len(root), "body_pose": len(joints), "transl": len(translation)}
    n = same_count(counts | {"K_fullimg": len(matrix)}, place)
    pose = np.concatenate([root, joints, np.zeros((n, 23 - JOINTS, 3))], axis=1)
    return SystemResult(
        parameters=body_parameters(pose, np.zeros((n, 10)), place),
        place=str(path),
        names=[f"{path} frame {frame}" for frame in range(n)],
        frames=np.arange(n),
        camera=FullCamera(translation, matrix[:, 0, 0], 2 * matrix[:, [1, 0], 2]),
        notes=(NOTE,),
    )


def _tensors(path: Path) -> dict[str, Any]:
    """The file's dictionary with NumPy arrays for tensors."""
    import torch

    if not path.is_file():
        raise InputError(path, "no such file")
    if not zipfile.is_zipfile(path):  # torch.save has written zip files since 1.6; what is older runs other code
        raise InputError(path, "is not a readable file of torch.save", "truncated, or expected results of GVHMR")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(path, "holds other things than tensors, which hmrtk does not load", EXPECTED) from None
    except Exception as error:  # a damaged file can raise nearly anything
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(path, f"is not a readable file of torch.save: {first[:120]}", EXPECTED) from None
    if not isinstance(content, dict):
        raise InputError(path, f"holds a {type(content).__name__}, expected a dictionary", EXPECTED)
    return {str(key): _arrays(value, torch.Tensor) for key, value in content.items()}


def _arrays(value: Any, kind: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _arrays(inner, kind) for key, inner in value.items()}
    return value.float().numpy() if isinstance(value, kind) and value.dtype.is_floating_point else value

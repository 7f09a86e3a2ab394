"""AMASS: SMPL-H motions in ``.npz`` become SMPL poses for ``MocapSource``, which puts them before a virtual camera.

In: one file of the SMPL-H release; out: ``Motion``. Traps of the format, and where they are known from:

- ``poses`` has 52 joints × 3 (SMPL-H with hands). SMPL's joints are 0-21, and its two hands are the first joints of the
  index fingers: 22 (left) and **37** (right). Joints 0-23 would make the right hand a left finger (flame issue 15; VIBE
  reads 22 and 37).
- The world is **z up**; SMPL and ``MocapSource`` have y up.
- ``shape.npz`` lies among the motions, and has none.
- ``gender`` is text or bytes, with or without an array around it; ``betas`` has 16 values, of which SMPL has the first
  10. They belong to the body of that gender.
- ``mocap_framerate`` is between 60 and 250 and differs from file to file (``mocap_frame_rate`` in later files).
- ``trans`` is not used, since the virtual camera follows the pelvis; ``dmpls`` and the markers are not read.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hmrtk.toolkit.records.fields import Floats, as_gender, npz_fields
from hmrtk.toolkit.sources.retarget import Motion

SKIPPED = ("shape.npz",)
RATES = ("mocap_framerate", "mocap_frame_rate")
KEYS = ("poses", "betas", "gender", *RATES)

SMPLH_JOINTS = 52
SMPL_FROM_SMPLH = (*range(22), 22, 37)
"""SMPL's 24 joints among SMPL-H's 52: the hands are the first index-finger joints."""
Y_UP_FROM_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""World (x right, y away, z up) → (x, y up, z towards the viewer)."""


def read(path: Path) -> Motion:
    """One file of the SMPL-H release.

    Raises:
        InputError: missing, damaged or foreign file; missing key; other joints; NaN; absurd shape or frame rate.
    """
    fields = npz_fields(path, KEYS)
    flat = fields.array("poses", None, None)
    if flat.shape[1] != SMPLH_JOINTS * 3:
        raise InputError(
            path,
            f"poses has {flat.shape[1]} columns, expected {SMPLH_JOINTS * 3}",
            "download the SMPL-H release of AMASS, not SMPL-X",
        )
    if not len(flat):
        raise InputError(path, "poses has no frames")
    rate = next((name for name in RATES if name in fields), RATES[0])
    fps = fields.number(rate)
    if not 1 <= fps <= 1000:
        raise InputError(path, f"{rate} is {fps:g}, expected frames per second")
    pose = smpl_pose(flat.reshape(-1, SMPLH_JOINTS, 3))
    pose[:, 0] = y_up(pose[:, 0])
    gender = as_gender(fields.value("gender"), "gender", fields.place)
    return Motion(pose, fps, str(path), betas=fields.betas("betas"), gender=gender)


def smpl_pose(pose: Floats) -> Floats:
    """(T, 52, 3) of SMPL-H → (T, 24, 3) of SMPL."""
    return np.asarray(pose[:, list(SMPL_FROM_SMPLH)])


def y_up(global_orient: Floats) -> Floats:
    """(T, 3) root rotations in a z-up world → the same in a y-up world."""
    return np.asarray(rotmat_to_axis_angle(Y_UP_FROM_Z_UP @ axis_angle_to_rotmat(global_orient)))


def action_of(relative: Path) -> str:
    """The file's name without ``_poses`` and numbers: AMASS' folders name the data set and the subject."""
    name = relative.stem.removesuffix("_poses").removesuffix("_stageii")
    return re.sub(r"[\d_\- ]+$", "", name) or name

"""AIST++ dance motions become SMPL poses for ``MocapSource``, which puts them before a virtual camera.

In: one file ``motions/<sequence>.pkl``; out: ``Motion``. Traps of the format (known from AIST++'s own loader):

- It is a pickle; it is read without running anything (``body.unpickler``).
- There are **no betas**: the fit has one scale, ``smpl_scaling`` (1,), instead. ``smpl_trans`` is in the scaled world
  (about centimetres) and is metres only after **division by the scaling**; the pose needs none. The virtual camera
  follows the pelvis, so the translation only serves to check that.
- 60 frames per second, y up; the file says neither.
- Several cameras film each dance, with names of their own; the motions are named with ``cAll`` and no camera is read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.fields import Fields, Floats, pickle_fields
from hmrtk.toolkit.sources.retarget import Motion

FPS = 60.0
STAGE_M = 20.0
"""Metres; a dancer farther from the middle of the stage means a translation in another unit."""


def read(path: Path) -> Motion:
    """One motion file.

    Raises:
        InputError: missing, damaged, foreign or unsafe file; missing key; wrong shape; NaN; no positive scaling.
    """
    fields = pickle_fields(path, "an AIST++ motion")
    flat = fields.array("smpl_poses", None, 72)
    if not len(flat):
        raise InputError(path, "smpl_poses has no frames")
    place = translation(fields, len(flat))
    farthest = float(np.linalg.norm(place, axis=1).max())
    if farthest > STAGE_M:
        raise InputError(path, f"smpl_trans / smpl_scaling reaches {farthest:.0f} m, expected at most {STAGE_M:.0f} m")
    return Motion(flat.reshape(-1, 24, 3), FPS, str(path))


def translation(fields: Fields, frames: int) -> Floats:
    """(T, 3) metres: ``smpl_trans`` over ``smpl_scaling``."""
    scaling = fields.number("smpl_scaling")
    if scaling <= 0:
        raise InputError(fields.place, f"smpl_scaling is {scaling:g}, expected a positive number")
    return fields.array("smpl_trans", frames, 3) / scaling


def action_of(relative: Path) -> str:
    """The dance genre, the first word of AIST++'s names: ``gBR_sBM_cAll_d04_mBR0_ch01`` → ``gBR``."""
    return relative.stem.split("_", 1)[0]

"""EFT's ``mocap/<picture>.pkl`` (``demo_bodymocap.py --pklout``): a pickled list of the people of one picture.

Keys per person: ``parm_pose`` (24, 3, 3), ``parm_shape`` (10,), ``parm_cam`` (3,), ``bbox_xyxy`` (4,), ``bbox_topLeft``
(2,), ``bbox_scale_o2n``, ``smpltype``, ``imageName``. Traps, and what is done about them:

- One file per picture: pass all of them.
- ``parm_cam`` (s, tx, ty) shifts **after** the scale, x = s·X + t, unlike SPIN's s·(X + t): converted.
- The crop is where ``bbox_topLeft`` and ``bbox_scale_o2n`` (224 over its side) say; ``bbox_xyxy`` is the detection.
- ``imageName`` of a video is ``scene_%08d.pkl``, counted from 0: these are frames. ``annotId`` is always -1.
- ``pred_vertices_imgspace`` and ``pred_joints_imgspace`` are in pixels: not read.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.unpickler import plain_value, read_object
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.bodies import axis_angles, body_parameters, ten_betas
from hmrtk.toolkit.evaluation.importers.result import CropCamera, SystemResult
from hmrtk.toolkit.geometry.camera import CROP_SIZE, pmnet_to_crop_camera
from hmrtk.toolkit.records.fields import Fields

EXPECTED = "results of EFT's demo_bodymocap.py"
_SCENE = re.compile(r"scene_(\d{8})\.pkl")


def eft_pkl(path: Path, body: BodyModel) -> SystemResult:
    """The people of a picture.

    Raises:
        InputError: no pickle of a list, nobody in it, SMPL-X, or a missing key, another shape, NaN or a matrix that is
            no rotation; the person is named.
    """
    people = _people(path)
    parts = [_person(Fields(item, f"{path} person {number}")) for number, item in enumerate(people)]
    return SystemResult.concatenate(parts, str(path))


def _people(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as stream:
            content = plain_value(read_object(stream, str(path), EXPECTED), "the list", str(path))
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None
    people = content if isinstance(content, list) else [content]
    if not people or not all(isinstance(item, dict) for item in people):
        raise InputError(path, "holds no list of people", f"expected {EXPECTED}")
    return people


def _person(person: Fields) -> SystemResult:
    place = person.place
    kind = person.text("smpltype") if "smpltype" in person else "smpl"
    if kind.lower() != "smpl":
        raise InputError(place, f"smpltype is {kind[:20]!r}, expected 'smpl'")
    pose = axis_angles(person.array("parm_pose", 24, 3, 3)[None], "parm_pose", place)
    betas = ten_betas(np.ravel(person.value("parm_shape"))[None], "parm_shape", place)
    camera = person.array("parm_cam", 3)
    scale = person.number("bbox_scale_o2n")
    if scale <= 0 or camera[0] == 0:
        raise InputError(place, f"bbox_scale_o2n is {scale:g} and the camera's scale {camera[0]:g}, expected positive")
    side = CROP_SIZE / scale
    name = person.text("imageName")
    scene = _SCENE.fullmatch(PurePosixPath(name.replace("\\", "/")).name)
    return SystemResult(
        parameters=body_parameters(pose, betas, place),
        place=place,
        names=[f"{place} ({name})"],
        images=None if scene else [name],
        frames=np.array([int(scene[1])]) if scene else None,
        boxes=person.array("bbox_xyxy", 4)[None],
        camera=CropCamera(
            pmnet_to_crop_camera(camera)[None],
            person.array("bbox_topLeft", 2)[None] + side / 2,
            np.array([side]),
        ),
    )

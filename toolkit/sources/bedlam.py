"""BEDLAM's processed labels (Black et al., CVPR 2023): one npz per scene of its synthetic pictures.

In: a folder with ``<scene>.npz``, or one of them; out: one row per person and picture, split ``train``. Keys: imgname,
center, scale, pose_cam (N, 72), shape (N, 10), trans_cam (N, 3), cam_int (N, 3, 3), cam_ext (N, 4, 4), gtkps (N, J, 3),
gender, sub. Traps, and what is done about them:

- **Where the body is**: ``pose_cam`` is in the camera frame, but ``trans_cam`` lacks the camera's place; ``transl`` is
  ``trans_cam + cam_ext[:3, 3]``, and ``cam_ext``'s rotation is in ``pose_cam`` already (``df_full_body_smpl.py``).
- **Closeups**: pictures of scenes with *closeup* in their name are stored lying, turned by 90° against the clock, while
  the labels are for the upright picture. Records go with the file that is there: box, keypoints, camera and the body's
  root are turned to the lying picture. The turn is about the camera's axis, so it changes no depth.
- **SMPL-X**: most labels are SMPL-X's (``pose_cam`` 165 wide, betas of another body). Such rows have keypoints, box and
  camera but no body: an SMPL body with SMPL-X's betas would be somebody else. BEDLAM has SMPL labels, too.
- ``shape`` of the neutral body has 11 numbers; a record holds 10, and the last is dropped.
- ``gtkps`` are exact projections, also of what is outside the picture or hidden: confidence is 1 inside, 0 outside. Of
  SMPL's joints those that ``spin24`` shares are kept, and nose, eyes and ears of SMPL's 45.
- ``imgname`` is below ``<scene>/png/``, which is put before it. The size of a picture is twice the principal point.
- ``proj_verts`` (437 vertices) and the world's parameters are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import SPIN24_FROM_SMPL
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.crops import EXPANSION
from hmrtk.toolkit.records.npz_file import NpzFile
from hmrtk.toolkit.sources.annotation import image_paths, person_ids
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.camera_frame import moved_transl, turned_root
from hmrtk.toolkit.sources.picture_table import not_complete
from hmrtk.toolkit.sources.spin_npz import file_boxes, genders, smpl_columns

DATASET, SPLIT = "bedlam", "train"
SMPL_WIDTH = 72
"""Numbers in a pose of SMPL; SMPL-X has more."""
SMPL45_FACE = {19: 24, 20: 26, 21: 25, 22: 28, 23: 27}
"""Nose, eyes and ears: row of ``spin24`` → row of smplx's 45 joints of SMPL."""
LYING = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
"""Camera frame of the upright picture → of the stored one: x' = y, y' = -x."""
_NAME = re.compile(r"(?P<sequence>[^/]+)/[^/]*_(?P<frame>\d+)\.\w+$")


@dataclass(frozen=True)
class BedlamSource(AnnotationFiles):
    """``Source`` of BEDLAM's npz files."""

    dataset = DATASET
    format = "bedlam"
    regressor = "smpl24"

    def files(self, root: Path) -> dict[str, list[Path]]:
        """All scenes, by name."""
        found = [root] if root.is_file() else sorted(root.glob("*.npz"))
        if not found:
            raise not_complete(root, "*.npz", DATASET)
        return {SPLIT: found}

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People of one scene; ``body`` says where the pelvis is, about which closeups are turned."""
        return scene_columns(part.path, body, limit)


def scene_columns(path: Path, body: BodyModel, limit: int | None) -> dict[str, Any]:
    """Columns of ``RECORD_SCHEMA`` from the labels of one scene."""
    with NpzFile(path, "center", limit) as file:
        names = image_paths(file.texts("imgname"), path)
        found = [_NAME.search(name) for name in names]
        focal, principal = _camera(file)
        size = np.rint(2 * principal[:, ::-1]).astype(np.int32)
        subjects = file.texts("sub") if "sub" in file else [None] * file.rows
        bodies = _bodies(file)
        stems = [f"{path.stem}/{PurePosixPath(name).with_suffix('')}" for name in names]
        columns = {
            "sample_id": person_ids(DATASET, SPLIT, stems),
            "subject": subjects,
            "sequence": [f"{path.stem}/{match['sequence']}" if match else None for match in found],
            "frame": [int(match["frame"]) if match else None for match in found],
            "image_path": [f"{path.stem}/png/{name}" for name in names],
            "image_size": size,
            "bbox_xyxy": file_boxes(file, EXPANSION),
            "keypoints2d": _keypoints(file, size, smpl=_is_smpl(file)),
            "focal": focal,
            "principal": principal,
            **bodies,
            "body_source": ["synthetic" if has else None for has in np.isfinite(bodies["betas"][:, 0]).tolist()],
            "gender": genders(file, {}) or [None] * file.rows,
        }
    return lying(columns, body) if "closeup" in path.stem else columns


def lying(columns: Mapping[str, Any], body: BodyModel) -> dict[str, Any]:
    """The labels of upright pictures → those of the pictures as they are stored, turned by 90° against the clock."""
    width = columns["image_size"][:, 1:].astype(np.float32)  # of the upright pictures
    box, keypoints, principal = columns["bbox_xyxy"], columns["keypoints2d"], columns["principal"]
    moved = np.stack([keypoints[..., 1], width - keypoints[..., 0], keypoints[..., 2]], axis=-1)
    turned = dict(columns) | {
        "image_size": columns["image_size"][:, ::-1],
        "bbox_xyxy": np.stack([box[:, 1], width[:, 0] - box[:, 2], box[:, 3], width[:, 0] - box[:, 0]], axis=1),
        "keypoints2d": np.where(
            keypoints.any(axis=-1, keepdims=True), moved, keypoints
        ),  # joints that it has not stay 0
        "focal": columns["focal"][:, ::-1],
        "principal": np.stack([principal[:, 1], width[:, 0] - principal[:, 0]], axis=1),
    }
    rows = np.flatnonzero(np.isfinite(columns["betas"][:, 0]))
    if len(rows):
        orient, transl = columns["global_orient"].copy(), columns["transl"].copy()
        rotation = np.broadcast_to(LYING, (len(rows), 3, 3))
        rest = BodyParameters.of(np.zeros((len(rows), 3)), None, columns["betas"][rows])
        pelvis = body.joints(rest)[:, 0].astype(np.float64)
        orient[rows] = turned_root(orient[rows].astype(np.float64), rotation)
        transl[rows] = moved_transl(transl[rows].astype(np.float64), pelvis, rotation, np.zeros((len(rows), 3)))
        turned |= {"global_orient": orient, "transl": transl}
    return turned


def _camera(file: NpzFile) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Focal lengths (rows, 2) and principal points (rows, 2), px."""
    matrix = file.numbers("cam_int", 3, 3)
    focal, principal = matrix[:, [0, 1], [0, 1]], matrix[:, :2, 2]
    bad = ~((focal > 0).all(axis=1) & (principal > 0).all(axis=1))
    if bad.any():
        raise InputError(f"{file.path} row {int(bad.argmax())}", "cam_int is no camera, expected positive numbers")
    return focal, principal


def _is_smpl(file: NpzFile) -> bool:
    return int(np.prod(file.shape("pose_cam")[1:], dtype=np.int64)) == SMPL_WIDTH


def _bodies(file: NpzFile) -> dict[str, NDArray[np.float32]]:
    """Body columns, NaN for SMPL-X."""
    if not _is_smpl(file):
        shapes = {"global_orient": (3,), "body_pose": (23, 3), "betas": (10,), "transl": (3,)}
        return {name: np.full((file.rows, *shape), np.nan, np.float32) for name, shape in shapes.items()}
    place = file.numbers("trans_cam", 3)
    if "cam_ext" in file:
        place = place + file.numbers("cam_ext", 4, 4)[:, :3, 3]
    return {**smpl_columns(file, "pose_cam", "shape", spare_betas=True), "transl": place}


def _keypoints(file: NpzFile, size: NDArray[np.int32], smpl: bool) -> NDArray[np.float32]:
    """(rows, 24, 3) px and confidence in ``spin24``."""
    from hmrtk.toolkit.sources.projection import inside

    shape = file.shape("gtkps")
    if len(shape) != 3 or shape[1] < 22 or shape[2] not in (2, 3):
        raise InputError(file.path, f"gtkps has shape {shape}, expected (N, 24 or more, 3)")
    given = file.numbers("gtkps", *shape[1:])[..., :2]
    rows = SPIN24_FROM_SMPL | (SMPL45_FACE if smpl and shape[1] == 45 else {})
    keypoints = np.zeros((file.rows, 24, 3), np.float32)
    keypoints[:, list(rows), :2] = given[:, list(rows.values())]
    keypoints[:, list(rows), 2] = inside(keypoints[:, list(rows), :2], size)
    return keypoints

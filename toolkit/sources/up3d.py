"""UP-3D (Unite the People) from its flat folder: fitted bodies, LSP joints and rendered fits of single people.

In: a folder with ``NNNNN_image.png``, ``_joints.npy``, ``_body.pkl``, ``_render_light.png`` and lists of them; out: one
row per picture. Traps of the format, and what is done about them:

- Lists have lines ``/NNNNN_image.png``, with the slash. **Two test sets** go by the name of UP-3D: ``test.txt`` with
  1389 pictures, the dataset's own, is the split ``test``; ``namesUPlsp.txt`` with 639, on which GraphCMR and DecoMR
  evaluate, is ``lsp_test``. ``trainval.txt`` is train and val together, and is read only where these are missing.
- ``_joints.npy`` is (**3, 14**): x, y, visibility, in LSP's order.
- There are no boxes: they are those of the fit's rendering, where it is not white (its lowest channel is below 255),
  else of the visible joints.
- ``_body.pkl`` is a Python 2 pickle, read without running it: ``pose`` (72,), ``betas`` (10,). Where it has them,
  ``rt`` (3,) turns the body into the camera, ``t`` (3,) moves it there and ``f`` is the focal length, SMPLify's camera
  with its principal point in the picture's middle. That is no more than a convention of the fitting code: the camera is
  kept where the body's joints fall on the annotated ones under it, and is null where they do not.
- The pictures are of other datasets (LSP, MPII, FashionPose) and scaled; their own names are not known.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import project_perspective
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat
from hmrtk.toolkit.records.fields import Fields, Floats, first_betas, numbers, pickle_fields
from hmrtk.toolkit.sources.annotation import LSP14_SLOTS, confident, in_spin24
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.camera_frame import moved_transl, turned_root
from hmrtk.toolkit.sources.picture_table import joint_boxes, not_complete
from hmrtk.toolkit.sources.text import text_lines

LISTS = {"train": "train.txt", "val": "val.txt", "test": "test.txt", "lsp_test": "namesUPlsp.txt"}
TRAINVAL = "trainval.txt"
PICTURE, JOINTS, BODY = "_image.png", "_joints.npy", "_body.pkl"
WHITE = 255
ON_JOINTS = 0.1
"""Of the box's longer side; the median distance of joints from the annotated ones under a camera that is right."""

_LINE = re.compile(r"/?(\d{5})(_image\.png)?")
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Up3dSource(AnnotationFiles):
    """``Source`` of the raw folder."""

    dataset: str = "up3d"

    def files(self, root: Path) -> dict[str, list[Path]]:
        """The lists that are there."""
        lists = {split: [root / name] for split, name in LISTS.items() if (root / name).is_file()}
        if (root / TRAINVAL).is_file() and not {"train", "val"} & set(lists):
            lists = {"train": [root / TRAINVAL], **lists}
        if not lists:
            raise not_complete(root, "list of pictures (train.txt, val.txt, test.txt or namesUPlsp.txt)", self.dataset)
        return lists

    def inputs(self, part: SplitFile, columns: Mapping[str, Any]) -> list[Path]:
        """The list, and two files of each picture."""
        names = [name.removesuffix(PICTURE) for name in columns["image_path"]]
        return [part.path, *(part.path.with_name(f"{name}{end}") for name in names for end in (JOINTS, BODY))]

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """Pictures in the list's order; ``body`` tells whether a fit's camera is right, and gives its pelvis."""
        names = listed(part.path)[:limit]
        rows = [_row(part.path.parent, name) for name in names]
        if not rows:
            return {"sample_id": [], "image_path": []}
        raw = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
        return {
            "sample_id": [f"{self.dataset}/{part.split}/{name}" for name in names],
            "image_path": [f"{name}{PICTURE}" for name in names],
            "gender": "neutral",
            "body_source": "up3d",
            "image_size": raw["size"] if raw["size"].all() else None,
            "bbox_xyxy": raw["box"],
            "keypoints2d": raw["keypoints"],
            **_body_columns(raw, body),
        }


def listed(path: Path) -> list[str]:
    """The numbers ``NNNNN`` of a list, in its order.

    Raises:
        InputError: a line that is none, or a number that is there twice.
    """
    names: list[str] = []
    seen: set[str] = set()
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise InputError(f"{path} line {number}", f"found {line.strip()[:40]!r}, expected /NNNNN_image.png")
        if match[1] in seen:
            raise InputError(f"{path} line {number}", f"{match[1]} is there twice")
        seen.add(match[1])
        names.append(match[1])
    return names


def _row(root: Path, name: str) -> dict[str, Any]:
    """The checked values of one picture; NaN where the files do not say."""
    keypoints = _keypoints(root / f"{name}{JOINTS}")
    fields = pickle_fields(root / f"{name}{BODY}", "an UP-3D body")
    size = png_size(root / f"{name}{PICTURE}")
    box, rendered = _box(root / f"{name}_render_light.png", keypoints)
    return {
        "keypoints": keypoints,
        "box": box,
        "size": np.array(size or rendered or (0, 0), np.int32),
        "pose": numbers(np.ravel(np.asarray(fields.value("pose"))), "pose", (72,), fields.place).reshape(24, 3),
        "betas": first_betas(fields.value("betas"), "betas", fields.place),
        "rt": _optional(fields, "rt", 3, 0.0),
        "t": _optional(fields, "t", 3, np.nan),
        "trans": _optional(fields, "trans", 3, 0.0),
        "f": _optional(fields, "f", None, np.nan)[:1],
    }


def _optional(fields: Fields, key: str, count: int | None, default: float) -> Floats:
    if key not in fields:
        return np.full(count or 1, default)
    return numbers(np.ravel(np.asarray(fields.value(key))), key, (count,), fields.place)


def _keypoints(path: Path) -> Any:
    """(24, 3) px and visibility."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or ["damaged"])[0]
        raise InputError(path, f"cannot be read: {reason}") from None
    raw = numbers(array, "the array", (3, 14), str(path), finite=False).T[None]
    return confident(in_spin24(raw, LSP14_SLOTS), path, "the array")[0]


def _box(path: Path, keypoints: Any) -> tuple[Any, tuple[int, int] | None]:
    """(4,) px, and height and width of the rendering where there is one."""
    if not path.is_file():
        box = joint_boxes(keypoints[None])[0]
        if not (box[2:] > box[:2]).all():
            raise InputError(path, "no such file, and the visible joints span no box")
        return box, None
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(path, "is not a readable picture")
    y, x = np.nonzero(picture.min(axis=2) < WHITE)
    if not len(x):
        raise InputError(path, "is all white, expected a rendered body")
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float32), picture.shape[:2]


def png_size(path: Path) -> tuple[int, int] | None:
    """Height and width in a PNG's header; None without the file.

    Raises:
        InputError: no PNG.
    """
    if not path.is_file():
        return None
    with open(path, "rb") as stream:
        head = stream.read(24)
    if len(head) < 24 or not head.startswith(_PNG):
        raise InputError(path, "is not a PNG picture")
    width, height = struct.unpack(">II", head[16:24])
    return height, width


def _body_columns(raw: dict[str, Floats], body: BodyModel) -> dict[str, Any]:
    n = len(raw["pose"])
    rotation = axis_angle_to_rotmat(raw["rt"])
    root = turned_root(raw["pose"][:, 0], rotation)
    pelvis = body.joints(BodyParameters.of(np.zeros((n, 3)), None, raw["betas"]))[:, 0].astype(np.float64)
    transl = moved_transl(raw["trans"], pelvis, rotation, raw["t"])
    focal = np.where(raw["f"] > 0, raw["f"], np.nan).repeat(2, axis=1)
    principal = np.where(raw["size"] > 0, raw["size"] / 2, np.nan)[:, ::-1]
    known = np.isfinite(np.concatenate([transl, focal, principal], axis=1)).all(axis=1)
    parameters = BodyParameters.of(root, raw["pose"][:, 1:], raw["betas"], np.nan_to_num(transl))
    joints = body.spin24_joints(parameters).astype(np.float64)
    right = known & _falls_on(joints, raw, np.nan_to_num(focal, nan=1), np.nan_to_num(principal))
    return {
        "global_orient": parameters.global_orient,
        "body_pose": parameters.body_pose,
        "betas": parameters.betas,
        **{
            key: np.where(right[:, None], value, np.nan)
            for key, value in (("transl", transl), ("focal", focal), ("principal", principal))
        },
    }


def _falls_on(joints: Floats, raw: dict[str, Floats], focal: Floats, principal: Floats) -> Any:
    """(N,) true where the visible joints (N, 24, 3) project onto the annotated ones."""
    before = joints[..., 2].min(axis=1) > 0
    joints = np.where(before[:, None, None], joints, 1)
    distance = np.linalg.norm(project_perspective(joints, focal, principal) - raw["keypoints"][..., :2], axis=2)
    distance = np.where(raw["keypoints"][..., 2] > 0, distance, np.nan)
    distance[np.isnan(distance).all(axis=1)] = np.inf
    side = (raw["box"][:, 2:] - raw["box"][:, :2]).max(axis=1)
    return before & (np.nanmedian(distance, axis=1) <= ON_JOINTS * side)

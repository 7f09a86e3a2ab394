"""HumanData, mmhuman3d's file of a dataset: one ``.npz`` with pictures, boxes, joints and SMPL parameters.

In: such a file or a folder of them; out: one row per person. Traps of the format, and what is done about them:

- ``smpl``, ``meta`` and ``cam_param`` are **pickled objects**; they are rebuilt without running anything (``fields``).
- Joints are in the 190-joint convention ``human_data``. A file may keep only the columns that ``keypoints2d_mask``
  (190,) names: ``__keypoints_compressed__``. The 24 of them that are SPIN's J24 go to ``spin24``: hips, neck, head and
  so on are the ``…_extra`` joints, since SMPL's own hips are other points (mmhuman3d's smpl_24 convention).
- Newer files say ``keypoints2d_original`` (annotated) and ``keypoints2d_smpl`` (of the fit): the annotated come first.
- ``bbox_xywh`` is (N, 5) with a confidence, or (N, 4). Most converters have **enlarged** it (those of ``ENLARGED``, by
  ``config``) to a crop box in SPIN's sense: records hold the box that gives this crop. Others are taken as they are.
- 2D joints are in the **pixel numbers** of the data set that ``config`` names (``annotation.PIXEL_OFFSETS``).
- ``global_orient`` is in the camera frame, ``keypoints3d`` metres in the camera's axes; nothing says from which origin.
- ``meta.gender`` is a list of m / f / n or of names. Without it the column is null.
- ``cam_param`` (a dictionary per row) gives focal length, principal point and picture size where it is.
- A HumanData **cache** has slices instead of arrays, and is not read. Files with SMPL-X only give rows without bodies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.crops import EXPANSION
from hmrtk.toolkit.records.fields import Fields, as_gender, as_text, npz_fields, numbers
from hmrtk.toolkit.sources.annotation import PIXEL_OFFSETS, confident, image_paths, in_coordinates, person_ids
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.camera_frame import intrinsics
from hmrtk.toolkit.sources.picture_table import not_complete

JOINTS = 190
SPIN24_COLUMNS = (
    8, 5, 144, 145, 4, 7, 21, 19, 17, 16, 18, 20, 146, 147, 148, 149, 150, 151, 152, 55, 57, 56, 59, 58,
)  # fmt: skip
"""Columns of ``human_data`` that are ``spin24``, in its order."""
ENLARGED = frozenset(
    ("agora", "coco_2014", "eft", "h36m", "hr-lspet", "humman", "instavariety", "lsp", "lspet", "mpi_inf_3dhp", "mpii",
     "penn_action", "pw3d", "surreal", "up3d")
)  # fmt: skip
"""``config`` of converters whose boxes are crop boxes."""
KINDS = ("", "_original", "_smpl")
KEYPOINTS = tuple(f"keypoints{d}d{kind}" for d in (2, 3) for kind in KINDS)
KEYS = (
    "__data_len__", "__keypoints_compressed__", "slice_size", "image_path", "bbox_xywh", "config", "smpl", "meta",
    "has_smpl", "cam_param", *KEYPOINTS, *(f"{key}_{part}" for key in KEYPOINTS for part in ("mask", "convention")),
)  # fmt: skip
FARTHEST_M = 10.0
"""Metres; joints of one person farther apart than this are in another unit."""


@dataclass(frozen=True)
class HumanDataSource(AnnotationFiles):
    """``Source`` of HumanData files."""

    format = "humandata"

    dataset: str = "humandata"

    def files(self, root: Path) -> dict[str, list[Path]]:
        """All ``.npz`` below a folder; ``train``, ``val`` or ``test`` in a name is its split, otherwise train."""
        found = [root] if root.is_file() else sorted(root.rglob("*.npz"))
        if not found:
            raise not_complete(root, "HumanData file (.npz)", self.dataset)
        splits: dict[str, list[Path]] = {}
        for path in found:
            named = re.search(r"train|val|test", path.stem.lower())
            splits.setdefault(named[0] if named else "train", []).append(path)
        return splits

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the file's order."""
        path = part.path
        fields = npz_fields(path, KEYS)
        total = _length(fields)
        n = total if limit is None else min(limit, total)
        pictures = image_paths(
            [as_text(p, "image_path", str(path)) for p in _column(fields, "image_path", total)], path
        )
        name = str(PurePosixPath(part.name).with_suffix(""))
        stems = [f"{name}/{picture}" for picture in pictures] or [f"{name}/{row}" for row in range(total)]
        if not any(key in fields for key in ("smpl", *KEYPOINTS)):
            raise InputError(path, "has neither smpl nor keypoints", "is it a HumanData file?")
        columns: dict[str, Any] = {
            "sample_id": person_ids(self.dataset, part.split, stems),
            "image_path": pictures or [None] * total,
            "body_source": [_config(fields) or "humandata"] * total,
            "gender": _genders(fields, total),
            "bbox_xyxy": _boxes(fields, total),
            **_bodies(fields, total),
            **_cameras(fields, total),
            "keypoints2d": _keypoints(fields, 2, total),
            "joints3d": _keypoints(fields, 3, total),
        }
        return {key: None if value is None else value[:n] for key, value in columns.items()}


def _length(fields: Fields) -> int:
    if "slice_size" in fields:
        raise InputError(fields.place, "is a HumanData cache", "pass the HumanData file that it was made from")
    stated = int(fields.number("__data_len__")) if "__data_len__" in fields else -1
    if stated < 0:  # never set: the pictures count
        stated = len(fields.items("image_path"))
    if stated == 0:
        raise InputError(fields.place, "has no rows")
    return stated


def _column(fields: Fields, key: str, total: int) -> list[Any]:
    """A list of ``total`` values; empty where the key is not there."""
    values = fields.items(key) if key in fields else []
    if values and len(values) != total:
        raise InputError(fields.place, f"{key} has {len(values)} rows, expected {total}")
    return values


def _config(fields: Fields) -> str:
    return fields.text("config") if "config" in fields else ""


def _genders(fields: Fields, total: int) -> list[str | None]:
    meta = fields.inner("meta") if "meta" in fields else Fields({}, fields.place)
    given = _column(meta, "gender", total) or [None] * total
    return [
        None
        if value is None or np.size(value) == 0 or value == ""
        else as_gender(value, "gender", f"{meta.place} row {i}")
        for i, value in enumerate(given)
    ]


def _boxes(fields: Fields, total: int) -> Any:
    """(N, 4) x0, y0, x1, y1 px; NaN where the file has none."""
    if "bbox_xywh" not in fields:
        return np.full((total, 4), np.nan, np.float32)
    box = fields.array("bbox_xywh", total, None)
    if box.shape[1] not in (4, 5):
        raise InputError(fields.place, f"bbox_xywh has shape {box.shape}, expected ({total}, 5)")
    empty = (box[:, 2:4] <= 0).any(axis=1)
    if empty.any():
        row = int(empty.argmax())
        raise InputError(f"{fields.place} row {row}", f"bbox_xywh {box[row, :4].tolist()} is empty")
    half = box[:, 2:4] / (2 * (EXPANSION if _config(fields) in ENLARGED else 1))
    middle = box[:, :2] + box[:, 2:4] / 2
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


def _bodies(fields: Fields, total: int) -> dict[str, Any]:
    """The body columns; NaN in rows without a body."""
    shapes = {"global_orient": (3,), "body_pose": (23, 3), "betas": (10,), "transl": (3,)}
    if "smpl" not in fields:
        return {key: np.full((total, *shape), np.nan, np.float32) for key, shape in shapes.items()}
    smpl = fields.inner("smpl")
    have = fields.array("has_smpl", total) > 0 if "has_smpl" in fields else np.ones(total, bool)
    columns = {}
    for key, shape in shapes.items():
        if key == "transl" and key not in smpl:
            columns[key] = np.full((total, 3), np.nan, np.float32)
            continue
        value = np.asarray(smpl.value(key))
        if value.ndim and value.shape[0] == total and value.size == total * int(np.prod(shape)):
            value = value.reshape(total, *shape)
        checked = numbers(value, key, (total, *shape), smpl.place, rows=np.flatnonzero(have))
        columns[key] = np.full((total, *shape), np.nan, np.float32)
        columns[key][have] = checked
    zeros = {
        key: np.where(have.reshape(-1, *[1] * (v.ndim - 1)), v, 0) for key, v in columns.items() if key != "transl"
    }
    BodyParameters.of(zeros["global_orient"], zeros["body_pose"], zeros["betas"]).check(smpl.place)
    return columns


def _cameras(fields: Fields, total: int) -> dict[str, Any]:
    """``focal``, ``principal`` (NaN where unknown) and ``image_size`` (None unless all rows have one)."""
    cameras = _column(fields, "cam_param", total)
    focal, principal = np.full((2, total, 2), np.nan, np.float32)
    sizes = []
    for row, value in enumerate(cameras):
        place = f"{fields.place} row {row}"
        if not isinstance(value, dict):
            raise InputError(place, f"cam_param is a {type(value).__name__}, expected a dictionary")
        camera = Fields(value, place)
        key = next((name for name in ("in_mat", "K") if name in camera), None)
        if key:
            matrix = camera.array(key, None, None)
            if matrix.shape not in ((3, 3), (4, 4)):
                raise InputError(place, f"{key} has shape {matrix.shape}, expected (3, 3)")
            focal[row], principal[row] = intrinsics(matrix, key, place)
        if "H" in camera and "W" in camera:
            sizes.append((int(camera.number("H")), int(camera.number("W"))))
    size = np.array(sizes, np.int32) if len(sizes) == total else None
    return {"focal": focal, "principal": principal, "image_size": size}


def _keypoints(fields: Fields, dimensions: int, total: int) -> Any:
    """(N, 24, D + 1) of ``spin24``; NaN in all rows where the file has none."""
    key = next((name for name in KEYPOINTS if name.startswith(f"keypoints{dimensions}d") and name in fields), None)
    if key is None:
        return np.full((total, 24, dimensions + 1), np.nan, np.float32)
    convention = fields.text(f"{key}_convention") if f"{key}_convention" in fields else "human_data"
    if convention != "human_data":
        raise InputError(fields.place, f"{key}_convention is {convention[:40]!r}, expected 'human_data'")
    given = fields.array(key, total, None, dimensions + 1, finite=False)
    mask = fields.array(f"{key}_mask", JOINTS) > 0 if f"{key}_mask" in fields else np.ones(JOINTS, bool)
    compressed = "__keypoints_compressed__" in fields and bool(fields.number("__keypoints_compressed__"))
    count = int(mask.sum()) if compressed else JOINTS
    if given.shape[1] != count:
        raise InputError(fields.place, f"{key} has {given.shape[1]} joints, expected {count}")
    placed = np.zeros((total, 24, dimensions + 1), np.float32)
    column = np.cumsum(mask) - 1 if compressed else np.arange(JOINTS)
    for slot, joint in enumerate(SPIN24_COLUMNS):
        if mask[joint]:
            placed[:, slot] = given[:, column[joint]]
    placed = confident(placed, fields.place, key)
    if dimensions == 3:
        _check_metres(placed, key, fields.place)
        return placed
    source = next((name for name in PIXEL_OFFSETS if _config(fields).startswith(name)), "")
    return in_coordinates(placed, source)


def _check_metres(joints: Any, key: str, place: str) -> None:
    sure = joints[..., 3:] > 0
    low, high = (np.where(sure, joints[..., :3], fill) for fill in (np.inf, -np.inf))
    extent = np.nan_to_num(high.max(axis=1) - low.min(axis=1), neginf=0).max(axis=1)
    if extent.max() > FARTHEST_M:
        row = int(extent.argmax())
        raise InputError(f"{place} row {row}", f"{key} spans {extent[row]:.0f}, expected metres of one person")

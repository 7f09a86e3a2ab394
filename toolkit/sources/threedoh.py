"""3DOH50K (object-occluded people) from its ``annots.json`` files.

In: a folder with ``trainset/annots.json`` and ``testset/annots.json`` (the pictures are not opened); out: one row per
picture. Traps of the format, and what is done about them:

- ``img_path`` has Windows' **back-slashes** and is relative to ``trainset`` or ``testset``.
- The body is **scale** · SMPL(pose, betas) + trans in a world, which ``extri`` (4×4) takes into the camera. Dividing
  that by the scale gives an SMPL body in metres that looks the same: the root is turned by ``extri``, and trans and the
  camera's translation are over the scale, about the pelvis (``camera_frame``).
- ``smpl_joints_3d`` and ``lsp_joints_3d`` are in another unit (posepile takes 1/7 m, ROMP 1/10 m) and partly in another
  frame. They are not read: 3D joints are recomputed from the parameters, on the active body, as PARE's author advises.
- ``smpl_joints_2d`` is the check: the recomputed joints must fall on it, on the median over a split within a tenth of
  the person. The bodies are SMPL's; a reference body is a few hundredths off.
- ``bbox`` is [[x0, y0], [x1, y1]], the tight box; ``lsp_joints_2d`` (14, 2) has no confidence: all are taken as sure,
  although many are behind objects. ``mask_path`` (training only) is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import project_perspective
from hmrtk.toolkit.records.fields import Fields, Floats, first_betas, json_fields, numbers
from hmrtk.toolkit.sources.annotation import LSP14_SLOTS, image_paths, in_spin24
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.camera_frame import extrinsics, intrinsics, moved_transl, turned_root
from hmrtk.toolkit.sources.picture_table import not_complete

FOLDERS = {"train": "trainset", "test": "testset"}
OFF = 0.1
"""Of the box's longer side; the median distance of recomputed joints from ``smpl_joints_2d`` that is no rounding."""


@dataclass(frozen=True)
class ThreedohSource(AnnotationFiles):
    """``Source`` of the annotation files."""

    dataset: str = "3doh"

    def files(self, root: Path) -> dict[str, list[Path]]:
        """The splits that are there."""
        paths = {split: root / folder / "annots.json" for split, folder in FOLDERS.items()}
        there = {split: [path] for split, path in paths.items() if path.is_file()}
        if not there:
            raise not_complete(root, "trainset/annots.json or testset/annots.json", self.dataset)
        return there

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the file's order; ``body`` gives the 3D joints and the pelvis."""
        path, split = part.path, part.split
        entries = json_fields(path, compact=True)
        names = list(entries.values)[:limit]
        if not names:
            raise InputError(path, "has no rows")
        rows = [_row(entries.inner(name)) for name in names]
        raw = {key: np.stack([row[key] for row in rows]) for key in rows[0] if key != "img_path"}
        pictures = image_paths([row["img_path"] for row in rows], path)
        return {
            "sample_id": [f"{self.dataset}/{split}/{name}" for name in names],
            "image_path": [f"{FOLDERS[split]}/{picture}" for picture in pictures],
            "gender": "neutral",
            "body_source": "3doh",
            **_body_columns(raw, names, body, str(path)),
        }


def _row(entry: Fields) -> dict[str, Any]:
    """The checked values of one entry."""
    box = _flat(entry, "bbox", 4)
    if not (box[2:] > box[:2]).all():
        raise InputError(entry.place, f"bbox {box.tolist()} is empty")
    scale = entry.number("scale")
    if scale <= 0:
        raise InputError(entry.place, f"scale is {scale:g}, expected a positive number")
    focal, principal = intrinsics(entry.array("intri", 3, 3), "intri", entry.place)
    return {
        "img_path": entry.text("img_path"),
        "box": box,
        "scale": scale,
        "focal": focal,
        "principal": principal,
        "extri": entry.array("extri", 4, 4),
        "pose": _flat(entry, "pose", 72).reshape(24, 3),
        "betas": first_betas(entry.value("betas"), "betas", entry.place),
        "trans": _flat(entry, "trans", 3),
        "smpl": entry.array("smpl_joints_2d", 24, 2),
        "lsp": entry.array("lsp_joints_2d", 14, 2),
    }


def _flat(entry: Fields, key: str, count: int) -> Floats:
    """(count,) numbers of any shape with as many."""
    return numbers(np.ravel(np.asarray(entry.value(key))), key, (count,), entry.place)


def _body_columns(raw: dict[str, Floats], names: list[str], body: BodyModel, place: str) -> dict[str, Any]:
    scale = raw["scale"][:, None]
    rotation, translation = extrinsics(raw["extri"], "extri", place)
    pelvis = body.joints(BodyParameters.of(np.zeros((len(names), 3)), None, raw["betas"]))[:, 0].astype(np.float64)
    transl = moved_transl(raw["trans"] / scale, pelvis, rotation, translation / scale)
    root = turned_root(raw["pose"][:, 0], rotation)
    parameters = BodyParameters.of(root, raw["pose"][:, 1:], raw["betas"], transl)
    check_pixels(body.joints(parameters), raw, names, place)
    joints = np.ones((len(names), 24, 4), np.float32)
    joints[..., :3] = body.spin24_joints(parameters)
    sure = np.ones((len(names), 14, 1))
    return {
        "bbox_xyxy": raw["box"],
        "global_orient": parameters.global_orient,
        "body_pose": parameters.body_pose,
        "betas": parameters.betas,
        "transl": parameters.transl,
        "keypoints2d": in_spin24(np.concatenate([raw["lsp"], sure], axis=2), LSP14_SLOTS),
        "joints3d": joints,
        "focal": raw["focal"],
        "principal": raw["principal"],
    }


def check_pixels(joints: Any, raw: dict[str, Floats], names: list[str], place: str) -> None:
    """Refuse parameters whose joints (N, 24, 3) do not fall on ``smpl_joints_2d``.

    Raises:
        InputError: they are behind the camera, or off by a tenth of the box on the median; the worst row is named.
    """
    if joints[..., 2].min() <= 0:
        row = int(joints[..., 2].min(axis=1).argmin())
        raise InputError(f"{place} {names[row]}", "the body is behind the camera", "is extri world to camera?")
    pixels = project_perspective(joints.astype(np.float64), raw["focal"], raw["principal"])
    distance = np.median(np.linalg.norm(pixels - raw["smpl"], axis=2), axis=1)
    side = (raw["box"][:, 2:] - raw["box"][:, :2]).max(axis=1)
    if np.median(distance / side) > OFF:
        row = int((distance / side).argmax())
        raise InputError(
            f"{place} {names[row]}",
            f"joints of the parameters are {distance[row]:.0f} px from smpl_joints_2d, in a box of {side[row]:.0f} px",
            "pose, trans, scale, extri and intri do not belong together",
        )

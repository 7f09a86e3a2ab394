"""EFT's fitted bodies (Exemplar Fine-Tuning, Joo et al., 3DV 2021) in its own JSON files.

In: a folder with ``COCO2014-Part-ver01.json``, ``COCO2014-All-ver01.json``, ``MPII_ver01.json`` or
``LSPet_ver01.json``, or one of them: ``{"ver", "data": [{parm_pose (24, 3, 3), parm_shape (10), parm_cam (3),
bbox_scale, bbox_center, joint_validity_openpose18, smpltype, annotId, imageName, …}]}``; out: one row per person,
split ``train_eft`` (COCO's larger file: ``train_full_eft``). Traps, and what is done about them:

- Poses are **rotation matrices**, of the neutral body, the root in the camera frame; matrices that do not rotate are
  refused.
- ``parm_cam`` (s, tx, ty) is weak perspective with the scale **before** the shift, x = s·X + tx in the crop's [-1, 1]
  (EFT ``imutils.py``, ``visEFTFit.py``), unlike SPIN's s·(X + tx). It is no camera of the picture: ``transl``,
  ``focal`` and ``principal`` stay null.
- Some files have ``gt_keypoint_2d`` (49, 3), 25 of OpenPose then ``spin24``: the latter are the keypoints, in the
  data set's own pixel numbers (``annotation.PIXEL_OFFSETS``). Files without it only say which joints were annotated:
  then the keypoints are **the fitted body's own joints** under ``parm_cam``, with confidence where
  ``joint_validity_openpose18`` says so. The crop camera solved from them shows the fit as EFT does.
- ``imageName`` is a bare name, or the path on its makers' machine. The name is kept, below the folder where the dataset
  has it: ``train2014/``, ``images/``.
- ``bbox_scale`` is as in SPIN's npz: 1.2 × the tight box over 200.
- The larger file has 79,051 people and is read one by one.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.fields import Fields, rotation_vectors
from hmrtk.toolkit.sources.annotation import annotation_ids, confident, image_paths, in_coordinates, square_boxes
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.json_items import json_items
from hmrtk.toolkit.sources.picture_table import not_complete

FILES = {
    "coco": {"COCO2014-Part*.json": "train_eft", "COCO2014-All*.json": "train_full_eft"},
    "mpii": {"MPII*.json": "train_eft"},
    "lspet": {"LSPet*.json": "train_eft"},
}
"""dataset → pattern of a file's name → split."""
OPENPOSE18_SLOTS = (19, 12, 8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 21, 20, 23, 22)
"""OpenPose's 18 joints → rows of ``spin24``, as EFT's ``jointorders.py`` takes them."""
SPIN49_COUNT, OPENPOSE_COUNT = 49, 25
_COCO = re.compile(r"COCO_(\w+)_\d{12}\.jpg")


@dataclass(frozen=True)
class EftSource(AnnotationFiles):
    """``Source`` of EFT's JSON files. ``dataset``: coco, mpii or lspet."""

    format = "eft"

    dataset: str

    def files(self, root: Path) -> dict[str, list[Path]]:
        """One file per split, by the patterns of ``FILES``."""
        patterns = FILES[self.dataset]
        if root.is_file():
            split = next((s for pattern, s in patterns.items() if root.match(pattern)), "train_eft")
            return {split: [root]}
        found: dict[str, list[Path]] = {}
        for pattern, split in patterns.items():
            matching = sorted(root.glob(pattern))
            if len(matching) > 1:
                names = " and ".join(path.name for path in matching)
                raise InputError(root, f"{names} both hold the split {split}", "pass --root one of them")
            if matching:
                found[split] = matching
        if not found:
            raise not_complete(root, " or ".join(patterns), self.dataset)
        return found

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the file's order; ``body`` poses the fits where a file has no keypoints."""
        path, split = part.path, part.split
        people = [
            _person(item, f"{path} row {row}")
            for row, item in enumerate(itertools.islice(json_items(path, "data"), limit))
        ]
        if not people:
            raise InputError(path, "data is empty")
        stacked = {
            name: np.stack([person[name] for person in people]) for name in ("pose", "betas", "camera", "validity")
        }
        boxes = _boxes(people, path)
        pose = rotation_vectors(stacked["pose"], "parm_pose", str(path))
        parameters = BodyParameters.of(pose[:, 0], pose[:, 1:], stacked["betas"])
        names = image_paths([file_name(self.dataset, person["name"]) for person in people], path)
        keypoints = self._annotated(people, path)
        lacking = np.flatnonzero(np.isnan(keypoints).any(axis=(1, 2)))
        if len(lacking):
            side, center = 200 * stacked["camera"][:, 3], stacked["camera"][:, 4:]
            fitted = projected(
                body, parameters[lacking], stacked["camera"][lacking, :3], side[lacking], center[lacking]
            )
            keypoints[lacking] = np.concatenate([fitted, annotated_slots(stacked["validity"][lacking])], axis=2)
        return {
            "sample_id": self._ids(split, names, people),
            "image_path": names,
            "bbox_xyxy": boxes,
            "keypoints2d": keypoints,
            "global_orient": parameters.global_orient,
            "body_pose": parameters.body_pose,
            "betas": parameters.betas,
            "body_source": "eft",
            "gender": "neutral",
        }

    def _annotated(self, people: list[dict[str, Any]], path: Path) -> NDArray[np.float32]:
        """(N, 24, 3) keypoints of the file, NaN where it has none."""
        none = np.full((24, 3), np.nan)
        have = np.array([person["keypoints"] is not None for person in people])
        keypoints = np.stack([none if p["keypoints"] is None else p["keypoints"] for p in people]).astype(np.float32)
        keypoints[have] = confident(keypoints[have], path, "gt_keypoint_2d")
        return in_coordinates(keypoints, self.dataset)

    def _ids(self, split: str, names: list[str], people: list[dict[str, Any]]) -> list[str]:
        """By COCO's annotation ids where all have one, else counted in each picture."""
        stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
        numbers = [person["annotation"] if self.dataset == "coco" else None for person in people]
        return annotation_ids(self.dataset, split, stems, numbers)


def _person(item: Any, place: str) -> dict[str, Any]:
    """What records need of one element of ``data``, checked."""
    if not isinstance(item, dict):
        raise InputError(place, f"is a {type(item).__name__}, expected an object")
    fields = Fields(item, place)
    kind = fields.text("smpltype") if "smpltype" in fields else "smpl"
    if kind.lower() != "smpl":
        raise InputError(place, f"smpltype is {kind[:20]!r}, expected 'smpl'")
    box = [fields.number("bbox_scale"), *fields.array("bbox_center", 2)]
    given = fields.array("gt_keypoint_2d", SPIN49_COUNT, 3) if item.get("gt_keypoint_2d") else None
    number = item.get("annotId")
    return {
        "name": fields.text("imageName"),
        "annotation": number if isinstance(number, int) and number >= 0 else None,
        "pose": fields.array("parm_pose", 24, 3, 3),
        "betas": fields.betas("parm_shape"),
        "camera": np.array([*fields.array("parm_cam", 3), *box]),
        "keypoints": None if given is None else given[OPENPOSE_COUNT:],
        "validity": np.zeros(18) if given is not None else fields.array("joint_validity_openpose18", 18),
    }


def _boxes(people: list[dict[str, Any]], path: Path) -> NDArray[np.float32]:
    camera = np.stack([person["camera"] for person in people])
    try:
        return square_boxes(camera[:, 4:], camera[:, 3])
    except InputError as error:
        raise InputError(f"{path} {error.place}", f"bbox_{error.problem}", error.remedy) from None


def file_name(dataset: str, name: str) -> str:
    """A picture's name as the dataset's own folders have it."""
    bare = PurePosixPath(name.replace("\\", "/")).name
    match = _COCO.fullmatch(bare) if dataset == "coco" else None
    folder = {"mpii": "images/"}.get(dataset, f"{match[1]}/" if match else "")
    return f"{folder}{bare}"


def projected(
    body: BodyModel,
    parameters: BodyParameters,
    camera: NDArray[np.float64],
    side: NDArray[np.float64],
    center: NDArray[np.float64],
) -> NDArray[np.float32]:
    """(N, 24, 2) px: joints of the fits under EFT's cameras (N, 3), in boxes of ``side`` (N,) around ``center``."""
    joints = body.spin24_joints(parameters).astype(np.float64)
    inside = camera[:, None, :1] * joints[..., :2] + camera[:, None, 1:]  # in [-1, 1] within the box
    return (center[:, None] + side[:, None, None] / 2 * inside).astype(np.float32)


def annotated_slots(validity: NDArray[np.float64]) -> NDArray[np.float32]:
    """(N, 18) of OpenPose → (N, 24, 1) confidence in ``spin24``."""
    confidence = np.zeros((len(validity), 24, 1), np.float32)
    confidence[:, list(OPENPOSE18_SLOTS), 0] = validity > 0
    return confidence

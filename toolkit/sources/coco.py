"""COCO's person keypoints and DensePose-COCO, from the json files that COCO and DensePose publish.

In: a folder with ``annotations/person_keypoints_{train,val}{2014,2017}.json`` (or ``densepose_coco_2014_*.json``), or
one such file; out: one row per annotated person. Traps, and what is done about them:

- A **crowd** region (``iscrowd`` 1) is no person: left out. So is a person with fewer than ``min_keypoints`` labelled
  keypoints: more than half of COCO's have none. SPIN keeps only people whose 12 limb joints, shoulders to ankles, are
  all labelled (its ``coco.py``): ``limbs``.
- A **flag** is 0 (not labelled, x = y = 0), 1 (labelled, hidden) or 2 (labelled, visible). Both labelled ones get
  confidence 1, as in SPIN's files; ``hidden_confidence`` tells them apart.
- Coordinates are **0-based pixel indices** of keypoints (COCO's data format), so half a pixel is added here; boxes are
  corner coordinates already. Results that go back to COCO's own evaluation need the half pixel taken off.
- **2017** deals the pictures of 2014 anew: its train and 2014's val share most of the latter. Only one release is read,
  2014 where both are there (the papers use it).
- Hips are the annotators' hips, at the place of LSP's in ``spin24``.
- ``dp_*``: DensePose's surface points and part masks go to the side table (``records.dense``), see ``densepose``. In
  DensePose-COCO a person without points is no row.

The file names no body and no camera; those columns are null.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.sources.annotation import COCO17_SLOTS, PIXEL_CENTRE, corner_box, in_spin24
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.densepose import COLUMNS, POINT_KEYS, compact, dense_columns
from hmrtk.toolkit.sources.picture_table import ANNOTATED, not_complete

LIMBS = slice(5, 17)
"""COCO's shoulders, elbows, wrists, hips, knees and ankles."""
RELEASES: dict[str, tuple[dict[str, str], ...]] = {
    "coco": tuple({s: f"person_keypoints_{s}{year}.json" for s in ("train", "val")} for year in (2014, 2017)),
    "densepose_coco": (
        {
            "train": "densepose_coco_2014_train.json",
            "valminusminival": "densepose_coco_2014_valminusminival.json",
            "val": "densepose_coco_2014_minival.json",
        },
    ),
}
"""dataset → releases, the preferred one first: split → file."""
_FOLDER = re.compile(r"(train|val|test)20\d\d")
_SPLIT = re.compile(r"train|val|test")
_KEPT = ("images", "annotations", "id", "image_id", "bbox", "iscrowd", "file_name", "height", "width", "coco_url")


@dataclass(frozen=True)
class CocoSource(AnnotationFiles):
    """``Source`` of the json files; ``sample_id`` is ``coco/<split>/<image id>/<annotation id>``.

    Attributes:
        dataset: ``coco``, or ``densepose_coco`` for the people with surface points only.
        min_keypoints: people with fewer labelled keypoints are left out (not so in ``densepose_coco``).
        limbs: only people whose 12 limb joints are all labelled.
        hidden_confidence: of keypoints that are labelled but hidden.
    """

    regressor = ANNOTATED

    dataset: str = "coco"
    min_keypoints: int = 1
    limbs: bool = False
    hidden_confidence: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.hidden_confidence <= 1:
            raise InputError("option hidden_confidence", f"expected 0 to 1, got {self.hidden_confidence:g}")

    def files(self, root: Path) -> dict[str, list[Path]]:
        """One file per split, of one release; the name of a single file says its split."""
        if root.is_file():
            named = _SPLIT.search(root.name)
            return {named[0] if named else "train": [root]}
        for release in RELEASES[self.dataset]:
            found = {
                split: [folder / name]
                for split, name in release.items()
                for folder in (root, root / "annotations")
                if (folder / name).is_file()
            }
            if found:
                return found
        names = (f"annotations/{name}" for release in RELEASES[self.dataset] for name in release.values())
        raise not_complete(root, " or ".join(names), self.dataset)

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the file's order; a bad annotation is named by its id."""
        path, split = part.path, part.split
        with_points = self.dataset == "densepose_coco"
        content = read_annotations(path, with_points)
        pictures = {picture["id"]: picture for picture in content["images"]}
        names = ("sample_id", "image_path", "size", "box", "keypoints", *(COLUMNS if with_points else ()))
        rows: dict[str, list[Any]] = {name: [] for name in names}
        for person, keypoints in self._people(content["annotations"], path):
            place = f"{path} annotation {person['id']}"
            picture = pictures.get(person.get("image_id"))
            if picture is None:
                raise InputError(place, f"image_id {person.get('image_id')} is not among the images")
            rows["sample_id"].append(f"{self.dataset}/{split}/{int(picture['id']):012d}/{person['id']}")
            rows["image_path"].append(image_path(picture, path))
            rows["size"].append([picture.get("height") or 0, picture.get("width") or 0])
            rows["box"].append(corner_box(person.get("bbox"), place))
            rows["keypoints"].append(keypoints)
            if with_points:
                for name, value in dense_columns(person, rows["box"][-1], place).items():
                    rows[name].append(value)
            if len(rows["box"]) == limit:
                break
        if not rows["box"]:
            raise InputError(path, "has no annotation that can be used", f"rules: {self._rules()}")
        return {
            "sample_id": rows["sample_id"],
            "image_path": rows["image_path"],
            "image_size": checked_sizes(np.array(rows["size"], np.int32), path),
            "bbox_xyxy": np.array(rows["box"], np.float32),
            "keypoints2d": self._keypoints(np.array(rows["keypoints"], np.float32)),
            **{name: rows[name] for name in COLUMNS if with_points},
        }

    def _people(self, annotations: list[dict[str, Any]], path: Path) -> Iterator[tuple[dict[str, Any], NDArray[Any]]]:
        """Annotations that the rules keep, with their (17, 3) x, y, flag."""
        for row, person in enumerate(annotations):
            if "id" not in person:
                raise InputError(f"{path} annotation {row}", "has no id")
            if person.get("iscrowd") or (self.dataset == "densepose_coco" and not person.get("marked")):
                continue
            keypoints = checked_keypoints(person.get("keypoints"), f"{path} annotation {person['id']}")
            labelled = keypoints[:, 2] > 0
            enough = labelled.sum() >= self.min_keypoints or self.dataset == "densepose_coco"
            if enough and (labelled[LIMBS].all() or not self.limbs):
                yield person, keypoints

    def _keypoints(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 17, 3) x, y, flag → (N, 24, 3) px and confidence in ``spin24``; NaN, so null, where none is labelled."""
        flag = raw[..., 2:]
        confidence = np.where(flag > 1, 1, np.where(flag > 0, self.hidden_confidence, 0))
        placed = np.where(flag > 0, np.concatenate([raw[..., :2] + PIXEL_CENTRE, confidence], axis=-1), 0)
        keypoints = in_spin24(placed, COCO17_SLOTS)
        keypoints[~(flag > 0).any(axis=(1, 2))] = np.nan
        return keypoints

    def _rules(self) -> str:
        if self.dataset == "densepose_coco":
            return "no crowds, surface points"
        return f"no crowds, {'12 limb joints' if self.limbs else f'at least {self.min_keypoints} keypoints'}"


def read_annotations(path: Path, points: bool = False) -> dict[str, list[dict[str, Any]]]:
    """``images`` and ``annotations`` of a COCO json.

    What no record needs (outlines, areas) is dropped while the text is parsed, so that memory stays at about three
    times the file; so are masks and surface points, unless ``points`` asks for them.

    Raises:
        InputError: missing, truncated, not json, or not COCO's.
    """
    with open_input(path) as stream:
        data = stream.read()
    try:
        content = json.loads(data, object_hook=functools.partial(_kept, points=points))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", 1)
        raise InputError(f"{path} line {line}", "is not valid JSON", "the file may be truncated") from None
    for key in ("images", "annotations"):
        value = content.get(key) if isinstance(content, dict) else None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise InputError(path, f"has no list of {key}", "expected COCO's person keypoints")
    for row, picture in enumerate(content["images"]):
        if not isinstance(picture.get("id"), int) or not isinstance(picture.get("file_name"), str):
            raise InputError(f"{path} image {row}", "has no id and file_name")
    return content


def _kept(item: dict[str, Any], points: bool) -> dict[str, Any]:
    """What records need of a json object; keypoints as an array, what is marked on the surface only if asked for."""
    if points and "counts" in item:  # a mask
        return item
    kept = {key: item[key] for key in _KEPT if key in item}
    if "keypoints" in item:
        try:
            kept["keypoints"] = np.array(item["keypoints"], np.float32)
        except (ValueError, TypeError):
            kept["keypoints"] = None
    if "dp_x" in item:
        kept["marked"] = bool(item["dp_x"])
        if points:
            kept |= {key: compact(item.get(key)) for key in POINT_KEYS} | {"dp_masks": item.get("dp_masks")}
    return kept


def checked_keypoints(value: NDArray[np.float32] | None, place: str) -> NDArray[np.float32]:
    """(51,) x, y, flag by turns → (17, 3).

    Raises:
        InputError: missing, of another length, NaN, or a flag that is not 0, 1 or 2.
    """
    if value is None or value.shape != (51,):
        found = "none" if value is None else value.shape
        raise InputError(place, f"keypoints: expected 51 numbers, got {found}", "expected COCO's person keypoints")
    keypoints = value.reshape(17, 3)
    if not np.isfinite(keypoints).all():
        raise InputError(place, "keypoints has NaN or infinite values")
    if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        raise InputError(place, f"keypoints has flags {np.unique(keypoints[:, 2]).tolist()}, expected 0, 1 or 2")
    return keypoints


def checked_sizes(sizes: NDArray[np.int32], path: Path) -> NDArray[np.int32] | None:
    """(N, 2) height, width; None, hence null, when the file gives no picture's size.

    Raises:
        InputError: only some pictures have a size.
    """
    if not sizes.any():
        return None
    if not (sizes > 0).all():
        raise InputError(f"{path} row {int((sizes <= 0).any(axis=1).argmax())}", "its picture has no height and width")
    return sizes


def image_path(picture: dict[str, Any], path: Path) -> str:
    """``train2014/COCO_train2014_000000000009.jpg``: below the folder that the picture, the file or the URL names."""
    texts = (picture["file_name"], path.name, str(picture.get("coco_url", "")))
    folder = next((found[0] for found in map(_FOLDER.search, texts) if found), "")
    name = picture["file_name"].replace("\\", "/")
    return name if "/" in name or not folder else f"{folder}/{name}"

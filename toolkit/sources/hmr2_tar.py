"""The tar shards that 4D-Humans (HMR 2.0) trains from: pictures and fitted bodies side by side.

In: a folder of ``*.tar`` (also one folder below), or one of them, with ``<key>.jpg``, ``<key>.data.pyd`` and perhaps
``<key>.detection.npz``; out: one row per person, split ``train_hmr2``. ``data.pyd`` is a pickled list, one dictionary
per person: keypoints_2d (44, 3), keypoints_3d (44, 4), center, scale, body_pose (72), betas (10), has_body_pose,
has_betas, extra_info. Traps, and what is done about them:

- **Pickles** are read without running anything (``body.unpickler``).
- ``scale`` is **over 200 already** and a **pair** (width, height), unlike the npz files' pixels.
- Bodies are fits. As in 4D-Humans, one with ``has_body_pose`` 0 or any |β| > 3 is no body. By settings it also passes
  over improbable poses and large reprojection losses; these are kept here.
- Joints are as in ``hmr2_npz``; without confidence in the 3D ones, there are none.
- Pictures stay in the shard: ``image_path`` is ``<shard>.tar/<key>.jpg``, which is read from the shard below the folder
  that ``--images`` names, or from a folder of that name into which it was unpacked (``records.picture_files``).
- A shard is read from front to back, once; pictures and masks are passed over.
"""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import MAX_ABS_BETA
from hmrtk.toolkit.body.unpickler import plain_value, read_object
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.fields import Fields, numbers
from hmrtk.toolkit.sources.annotation import SCALE_PX, confident, image_paths, in_coordinates
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.hmr2 import pixel_boxes, spin24_of_44
from hmrtk.toolkit.sources.picture_table import not_complete

SPLIT = "train_hmr2"
DATA, PICTURES = ".data.pyd", (".jpg", ".jpeg", ".png")
MAX_FIT_BETA = 3.0
"""4D-Humans' SUPPRESS_BETAS_THRESH."""


@dataclass(frozen=True)
class Hmr2TarSource(AnnotationFiles):
    """``Source`` of 4D-Humans' tar shards. ``dataset``: first part of every ``sample_id``."""

    format = "hmr2_tar"
    nobody = "has no person"

    dataset: str

    def files(self, root: Path) -> dict[str, list[Path]]:
        """All shards, by name."""
        found = [root] if root.is_file() else sorted([*root.glob("*.tar"), *root.glob("*/*.tar")])
        if not found:
            raise not_complete(root, "*.tar", self.dataset)
        return {SPLIT: found}

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the shard's order; no more of it is read than the limit asks for."""
        people = list(itertools.islice(shard_people(part.path, part.name), limit))
        return self._columns(people, part.path) if people else {"sample_id": []}

    def _columns(self, people: list[dict[str, Any]], place: Path) -> dict[str, Any]:
        stacked = {name: np.stack([person[name] for person in people]).astype(np.float32) for name in _STACKED}
        keypoints = spin24_of_44(confident(stacked["keypoints_2d"], place, "keypoints_2d"), limbs=True)
        joints = spin24_of_44(confident(stacked["keypoints_3d"], place, "keypoints_3d"), limbs=False)
        joints[~(joints[..., 3] > 0).any(axis=1)] = np.nan
        pose = stacked["pose"]
        has = np.isfinite(pose[:, 0, 0]).tolist()
        return {
            "sample_id": [f"{self.dataset}/{SPLIT}/{person['id']}" for person in people],
            "image_path": image_paths([person["picture"] for person in people], place),
            "bbox_xyxy": pixel_boxes(stacked["center"], SCALE_PX * stacked["scale"], place),
            "keypoints2d": in_coordinates(keypoints, self.dataset),
            "joints3d": joints,
            "global_orient": pose[:, 0],
            "body_pose": pose[:, 1:],
            "betas": stacked["betas"],
            "body_source": ["hmr2" if fitted else None for fitted in has],
            "gender": ["neutral" if fitted else None for fitted in has],
        }


_STACKED = ("keypoints_2d", "keypoints_3d", "center", "scale", "pose", "betas")


def shard_people(path: Path, name: str) -> Iterator[dict[str, Any]]:
    """The people of a shard, in its order.

    Args:
        path: the shard. name: what it is called in ids and paths.

    Raises:
        InputError: not a tar, truncated, or a person that cannot be used.
    """
    pictures: dict[str, str] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                key, suffix = member.name, PurePosixPath(member.name).suffix
                if suffix.lower() in PICTURES:
                    pictures[key.removesuffix(suffix)] = suffix
                stream = archive.extractfile(member) if key.endswith(DATA) else None
                if stream is None:
                    continue
                key = key.removesuffix(DATA)
                place = f"{path} {key}"
                items = plain_value(
                    read_object(io.BytesIO(stream.read()), place, "a list of people"), "data.pyd", place
                )
                if not isinstance(items, list):
                    raise InputError(place, f"holds a {type(items).__name__}, expected a list of people")
                for row, item in enumerate(items):
                    yield {
                        "id": f"{name.removesuffix('.tar')}/{key}/{row}",
                        "picture": f"{name}/{key}{pictures.get(key, '.jpg')}",
                        **_person(item, f"{place} person {row}"),
                    }
    except (tarfile.TarError, OSError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(path, "is not a readable tar", f"truncated or corrupt: {reason}") from None


def _person(item: Any, place: str) -> dict[str, Any]:
    """What records need of one person; pose and betas are NaN without a body."""
    if not isinstance(item, dict):
        raise InputError(place, f"is a {type(item).__name__}, expected a dictionary")
    fields = Fields(item, place)
    pose, betas = np.full((24, 3), np.nan), np.full(10, np.nan)
    if fields.number("has_body_pose") > 0 and fields.number("has_betas") > 0:
        given = fields.array("betas", 10)
        if np.abs(given).max() > MAX_ABS_BETA:
            raise InputError(place, f"betas reaches {np.abs(given).max():.1f}, expected at most {MAX_ABS_BETA:.0f}")
        if np.abs(given).max() <= MAX_FIT_BETA:
            pose, betas = fields.array("body_pose", 72).reshape(24, 3), given
    scale = numbers(np.ravel(fields.value("scale")), "scale", (None,), place)
    if scale.shape not in ((1,), (2,)) or not (scale > 0).all():
        raise InputError(place, f"scale is {scale.tolist()}, expected one or two positive numbers")
    return {
        "keypoints_2d": fields.array("keypoints_2d", 44, 3),
        "keypoints_3d": fields.array("keypoints_3d", 44, 4),
        "center": fields.array("center", 2),
        "scale": np.broadcast_to(scale, 2),
        "pose": pose,
        "betas": betas,
    }

"""3DPW from its own files: one pickle per sequence with the bodies, cameras and 2D detections of one or two people.

In: a folder with ``sequenceFiles/{train,validation,test}/*.pkl`` (the pictures are not opened); out: one row per person
and frame. Traps of the format, and what is done about them:

- The pickles are Python 2's (latin1). They are read without running anything, and only what is needed of them: 60 Hz
  motion, textures and clothed templates stay unconverted.
- Bodies are in a **world**; ``cam_poses`` (F, 4, 4) is world→camera. The root is turned by it (SPIN, VIBE), and
  ``transl`` is moved about the pelvis (``camera_frame``).
- ``campose_valid`` says per person where that camera may be trusted; other frames are left out, as SPIN, VIBE and
  mmhuman3d do. So are frames in which nobody was detected: nothing says that the person is in the picture.
- The k-th pose belongs to ``image_%05d.jpg`` number k; ``img_frame_ids`` counts in the 60 Hz arrays.
- **Gender** is ``m`` or ``f`` per person, and ``betas`` belong to that body. ``jointPositions`` are its joints: the
  pelvis is taken from there, so ``transl`` fits the gendered body whatever body is active.
- ``poses2d`` is (F, **3, 18**): x, y, confidence by OpenPose's 18 COCO joints, zeros where not found, unreliable (noah
  issue 163). 17 of them have a place in ``spin24``; OpenPose's neck, the middle of the shoulders, has none.
- There are no boxes: they are those of the detected joints, as in SPIN's files (whose crop is 1.2 × the box).
- ``jointPositions`` are SMPL's 24 joints, ten of which are in ``spin24``; the others have confidence 0 in ``joints3d``.
  They are the check of everything else: seen from its parent, a joint must be at one place all the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hmrtk.toolkit.body.joints import PARENTS, SMPL_NAMES, SPIN24_FROM_SMPL
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat
from hmrtk.toolkit.records.fields import Fields, Floats, as_gender, first_betas, numbers, pickle_fields
from hmrtk.toolkit.sources.annotation import gathered, in_spin24
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.camera_frame import extrinsics, in_camera, intrinsics, moved_transl, turned_root
from hmrtk.toolkit.sources.picture_table import ANNOTATED, joint_boxes, not_complete

FOLDERS = {"train": "train", "val": "validation", "test": "test"}
"""Split → folder below ``sequenceFiles``."""
OPENPOSE18_NECK = 1
OPENPOSE17_SLOTS = (19, 8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 21, 20, 23, 22)
"""OpenPose's 18 COCO joints without the neck → rows of ``spin24``."""
LEAST_DETECTED = 6
"""Fewer detected joints are no detection (3DPW's own rule for ``poses2d``)."""
BONE_M = 0.02
"""Metres; how much a joint may wander as seen from its parent, on average over the frames."""


@dataclass(frozen=True)
class ThreedpwSource(AnnotationFiles):
    """``Source`` of the raw sequence files."""

    regressor = ANNOTATED
    nobody = "has no frame with a valid camera and a detected person"

    dataset: str = "3dpw"

    def files(self, root: Path) -> dict[str, list[Path]]:
        """The sequences of the splits that are there, by name."""
        found = {split: sorted((root / "sequenceFiles" / folder).glob("*.pkl")) for split, folder in FOLDERS.items()}
        if not any(found.values()):
            raise not_complete(root, "sequenceFiles/{train,validation,test}/*.pkl", self.dataset)
        return {split: paths for split, paths in found.items() if paths}

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People of a sequence, one after the other; person and frame of what cannot be used are named."""
        columns = gathered(list(self._people(part.path, part.split)))
        return {name: values[:limit] for name, values in columns.items()}

    def _people(self, path: Path, split: str) -> Iterator[dict[str, Any]]:
        fields = pickle_fields(path, "a 3DPW sequence")
        sequence = fields.text("sequence")
        if PurePosixPath(sequence.replace("\\", "/")).name != sequence or sequence == "..":
            raise InputError(path, f"sequence is {sequence[:40]!r}, expected a plain name")
        for person in range(len(fields.items("poses"))):
            rows, columns = _person(fields, person)
            n = len(rows)
            yield {
                "sample_id": [f"{self.dataset}/{split}/{sequence}/{person}/{row:05d}" for row in rows.tolist()],
                "sequence": [sequence] * n,
                "subject": [f"{sequence}/{person}"] * n,
                "frame": rows,
                "image_path": [f"imageFiles/{sequence}/image_{row:05d}.jpg" for row in rows.tolist()],
                **columns,
            }


def _person(fields: Fields, person: int) -> tuple[Any, dict[str, Any]]:
    """Frame numbers of the good frames of one person, and the columns that the file gives for them."""
    place = f"{fields.place} person {person}"
    own = Fields({key: _of(fields, key, person) for key in ("poses", "trans", "poses2d", "jointPositions")}, place)
    frames = len(np.atleast_1d(own.value("poses")))
    rows = np.flatnonzero(numbers(_of(fields, "campose_valid", person), "campose_valid", (frames,), place) > 0)
    detected = np.swapaxes(own.array("poses2d", frames, 3, 18, rows=rows), 1, 2)
    found = (detected[..., 2] > 0).sum(axis=1) >= LEAST_DETECTED
    rows, keypoints = rows[found], spin24_keypoints(detected[found])
    pose = own.array("poses", frames, 72, rows=rows).reshape(-1, 24, 3)
    transl = own.array("trans", frames, 3, rows=rows)
    joints = own.array("jointPositions", frames, 72, rows=rows).reshape(-1, 24, 3)
    check_joints(pose, transl, joints, place, rows)
    betas = first_betas(_of(fields, "betas", person), "betas", place)
    gender = as_gender(_of(fields, "genders", person), "genders", place)
    camera = fields.array("cam_poses", frames, 4, 4, rows=rows)
    rotation, translation = extrinsics(camera, "cam_poses", place, rows)
    focal, principal = intrinsics(fields.array("cam_intrinsics", 3, 3), "cam_intrinsics", fields.place)
    return rows, {
        "gender": [gender] * len(rows),
        "body_source": ["3dpw"] * len(rows),
        "global_orient": turned_root(pose[:, 0], rotation),
        "body_pose": pose[:, 1:],
        "betas": np.tile(betas, (len(rows), 1)),
        "transl": moved_transl(transl, joints[:, 0] - transl, rotation, translation),
        "keypoints2d": keypoints,
        "bbox_xyxy": joint_boxes(keypoints),
        "joints3d": spin24_joints(in_camera(joints, rotation, translation)),
        "focal": np.tile(focal, (len(rows), 1)),
        "principal": np.tile(principal, (len(rows), 1)),
    }


def _of(fields: Fields, key: str, person: int) -> Any:
    people = fields.items(key)
    if person >= len(people):
        raise InputError(fields.place, f"{key} has {len(people)} people, poses has more")
    return people[person]


def spin24_keypoints(detected: Floats) -> Any:
    """(N, 18, 3) of OpenPose → (N, 24, 3) px and confidence 0..1; zeros where a joint was not found."""
    named = np.delete(detected, OPENPOSE18_NECK, axis=1)
    named[..., 2] = np.clip(named[..., 2], 0, 1)
    return in_spin24(np.where(named[..., 2:] > 0, named, 0), OPENPOSE17_SLOTS)


def spin24_joints(joints: Floats) -> Any:
    """(N, 24, 3) SMPL joints → (N, 24, 4): the ten that ``spin24`` shares with SMPL have confidence 1."""
    shared = np.ones((len(joints), len(SPIN24_FROM_SMPL), 4))
    shared[..., :3] = joints[:, list(SPIN24_FROM_SMPL.values())]
    return in_spin24(shared, tuple(SPIN24_FROM_SMPL))


def check_joints(pose: Floats, transl: Floats, joints: Floats, place: str, rows: Any) -> None:
    """Refuse joints (N, 24, 3) that are not those of the poses (N, 24, 3) and translations (N, 3) of one person.

    Whatever the body, a joint has a fixed place in the frame of its parent, and the pelvis one before the translation.
    Another order of joints, frame of reference or unit moves it.

    Raises:
        InputError: a joint wanders by more than 2 cm on average; the joint and its worst frame are named.
    """
    if not len(rows):
        return
    local = axis_angle_to_rotmat(pose)
    world: list[Floats] = []
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            world.append(local[:, joint])
            seen = joints[:, joint] - transl
        else:
            world.append(world[parent] @ local[:, joint])
            seen = np.einsum("nij,ni->nj", world[parent], joints[:, joint] - joints[:, parent])
        wander = np.linalg.norm(seen - np.median(seen, axis=0), axis=1)
        if wander.mean() > BONE_M:
            raise InputError(
                f"{place} frame {int(rows[wander.argmax()])}",
                f"jointPositions do not belong to poses and trans: {SMPL_NAMES[joint]} moves by {wander.max():.2f} m "
                "as seen from its parent",
            )

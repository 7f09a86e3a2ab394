"""Writers of the npz files of SPIN and its descendants, keys, shapes and types as theirs, from known people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.records.table import RecordTable
from tests.sources.people import People, tight

PIXEL_OFFSETS = {"coco": 0.5, "densepose_coco": 0.5, "mpii": -0.5}
"""px by which a dataset's pixel numbers, from 0 or from 1, lie before coordinates."""
H36M_SLOTS = [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]


def spin_box(people: People, factor: float = 1.2) -> dict[str, list[Any]]:
    """``center`` and ``scale`` as SPIN makes them from the tight box."""
    low, high = tight(people.vertices)[:, :2], tight(people.vertices)[:, 2:]
    center, scale = (low + high) / 2, factor * (high - low).max(axis=1) / 200
    return {"center": [list(c) for c in center], "scale": list(scale)}


def part(people: People, slots: Any = range(24), confidence: float = 1.0, offset: float = 0.0) -> NDArray[np.float64]:
    """(N, 24, 3) with the joints of some slots."""
    array = np.zeros((len(people.pixels), 24, 3))
    array[:, list(slots), :2] = people.pixels[:, list(slots)] - offset
    array[:, list(slots), 2] = confidence
    return array


def rooted(people: People, slots: Any = range(24)) -> NDArray[np.float64]:
    """``S`` (N, 24, 4): metres minus the pelvis, confidence 1."""
    array = np.zeros((len(people.joints), 24, 4))
    array[:, list(slots), :3] = (people.joints - people.joints[:, 14:15])[:, list(slots)]
    array[:, list(slots), 3] = 1
    return array


def smpl(people: People) -> dict[str, NDArray[np.float64]]:
    """``pose`` (N, 72) and ``shape`` (N, 10)."""
    pose = people.parameters.pose.reshape(len(people.pixels), 72).astype(np.float64)
    return {"pose": pose, "shape": people.parameters.betas.astype(np.float64)}


def smpl_joints(people: People, body: BodyModel) -> NDArray[np.float64]:
    """(N, 24, 3) SMPL's own joints, camera frame."""
    return body.joints(people.parameters).astype(np.float64)


def write(path: Path, **columns: Any) -> Path:
    """As SPIN writes: lists and arrays through ``np.savez``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **columns)
    return path


def same_bodies(table: RecordTable, people: People, body: BodyModel) -> None:
    """The table's parameters, posed anew, are these people."""
    transl = people.parameters.transl[: len(table)]
    np.testing.assert_allclose(
        body.spin24_joints(table.parameters().replaced(transl=transl)), people.joints[: len(table)], atol=1e-5
    )


def same_keypoints(table: RecordTable, people: People, slots: Any = range(24)) -> None:
    """The table's keypoints are these people's pixels in some slots, and nothing in the others."""
    keypoints, chosen = table.array("keypoints2d"), list(slots)
    np.testing.assert_allclose(keypoints[:, chosen, :2], people.pixels[: len(table)][:, chosen], atol=1e-3)
    assert (keypoints[:, chosen, 2] > 0).all()
    assert not np.delete(keypoints, chosen, axis=1).any()


def same_rooted_joints(table: RecordTable, people: People, slots: Any = range(24)) -> None:
    """The table's 3D joints are these people's minus the pelvis in some slots, and nothing in the others."""
    joints, chosen = table.array("joints3d"), list(slots)
    np.testing.assert_allclose(joints[:, chosen], rooted(people)[: len(table)][:, chosen], atol=1e-5)
    assert not np.delete(joints, chosen, axis=1).any()

"""VIBE's ``vibe_output.pkl`` (``demo.py``): joblib's file of a video, people by the number of their track.

Keys per person: ``pred_cam`` (n, 3), ``orig_cam`` (n, 4), ``verts``, ``pose`` (n, 72), ``betas`` (n, 10), ``bboxes``
(n, 4) = centre and size, ``frame_ids`` (n,), and in some versions ``joints3d`` (n, 49, 3), ``joints2d`` and
``joints2d_img_coord``. Traps, and what is done about them:

- The file is a pickle, and joblib's besides: nothing in it is run (``records.joblib_file``). ``verts`` are skipped.
- ``frame_ids`` count the video's frames from 0; the pictures' names are not in the file.
- VIBE crops 1.1 × ``bboxes``, so ``pred_cam`` is of that crop. ``orig_cam`` forgets the 1.1, and is not read.
- ``joints3d`` are SPIN's 49: the last 24 are ``spin24``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.bodies import axis_angles, body_parameters, rows_of, same_count, ten_betas
from hmrtk.toolkit.evaluation.importers.result import CropCamera, Floats, SystemResult
from hmrtk.toolkit.records.fields import Fields
from hmrtk.toolkit.records.joblib_file import joblib_fields

EXPANSION = 1.1
"""Side of VIBE's crop over that of ``bboxes`` (``bbox_scale`` in its demo.py)."""
SPIN49_COUNT = 49


def vibe_pkl(path: Path, body: BodyModel) -> SystemResult:
    """Results of all people, one track after the other; errors as in ``tracks``."""
    return tracks(path, "results of VIBE", EXPANSION)


def tracks(path: Path, expected: str, expansion: float, mixed: bool = False) -> SystemResult:
    """People of a file in VIBE's layout.

    Args:
        path: the file.
        expected: what it should be, for error messages.
        expansion: side of the system's crops over that of ``bboxes``.
        mixed: ``pose`` and ``betas`` are the first 72 and the last 10 of (betas, pose).

    Raises:
        InputError: no joblib file, nobody in it, or a missing key, another shape, NaN or rows that differ in number;
            the person is named.
    """
    people = joblib_fields(path, expected, unread=vertices_of)
    parts = [_track(person, expansion, mixed) for person in each_person(people)]
    return SystemResult.concatenate(parts, str(path))


def each_person(people: Fields) -> list[Fields]:
    """The people of a file by number of their track; ``place`` ends in ``person <number>``.

    Raises:
        InputError: there is nobody, or a value that is no dictionary.
    """
    if not people.values:
        raise InputError(people.place, "has no people")
    found = []
    for key in people.values:
        inner, place = people.value(key), f"{people.place} person {key}"
        if not isinstance(inner, dict):
            raise InputError(place, f"is a {type(inner).__name__}, expected a dictionary")
        found.append(Fields(inner, place))
    return found


def centre_boxes(value: object, key: str, place: str) -> Floats:
    """(N, 4) = centre and size → (N, 4) x0, y0, x1, y1 px.

    Raises:
        InputError: another shape, NaN, or an empty box; the row is named.
    """
    given = rows_of(value, key, place, 4)
    empty = (given[:, 2:] <= 0).any(axis=1)
    if empty.any():
        raise InputError(f"{place} row {int(empty.argmax())}", f"{key} {given[empty.argmax()].tolist()} is empty")
    half = given[:, 2:] / 2
    return np.concatenate([given[:, :2] - half, given[:, :2] + half], axis=1)


def frame_numbers(value: object, key: str, place: str) -> np.ndarray:
    """(N,) whole numbers from 0.

    Raises:
        InputError: no whole numbers, or a negative one; the row is named.
    """
    given = rows_of(value, key, place, 1)[:, 0]
    bad = (given < 0) | (given != np.rint(given))
    if bad.any():
        raise InputError(f"{place} row {int(bad.argmax())}", f"{key} is {given[bad.argmax()]:g}, expected 0, 1, 2 …")
    return given.astype(np.int64)


def named_frames(place: str, frames: np.ndarray) -> list[str]:
    """What messages call the rows of a person."""
    return [f"{place} frame {frame}" for frame in frames.tolist()]


def _track(person: Fields, expansion: float, mixed: bool) -> SystemResult:
    place = person.place
    parameters = _mixed(person) if mixed else _bodies(person)
    camera = rows_of(person.value("pred_cam"), "pred_cam", place, 3)
    boxes = centre_boxes(person.value("bboxes"), "bboxes", place)
    frames = frame_numbers(person.value("frame_ids"), "frame_ids", place)
    counts = {"pose": len(parameters), "pred_cam": len(camera), "bboxes": len(boxes), "frame_ids": len(frames)}
    joints = _joints(person)
    if joints is not None:
        counts["joints3d"] = len(joints)
    same_count(counts, place)
    low, high = boxes[:, :2], boxes[:, 2:]
    return SystemResult(
        parameters=parameters,
        place=place,
        names=named_frames(place, frames),
        frames=frames,
        boxes=boxes,
        camera=CropCamera(camera, (low + high) / 2, expansion * (high - low).max(axis=1)),
        joints3d=joints,
        joint_set="spin24",
    )


def _bodies(person: Fields) -> BodyParameters:
    pose = axis_angles(person.value("pose"), "pose", person.place)
    if _looks_mixed(pose):
        raise InputError(
            person.place,
            "pose does not turn the root, but its tenth number does: pose and betas are mixed up",
            "PyMAF's demo.py did so until 2021-04-28: --format pymaf_pkl_mixed",
        )
    return body_parameters(pose, ten_betas(person.value("betas"), "betas", person.place), person.place)


def _mixed(person: Fields) -> BodyParameters:
    pose = rows_of(person.value("pose"), "pose", person.place, 72)
    betas = rows_of(person.value("betas"), "betas", person.place, 10)
    same_count({"pose": len(pose), "betas": len(betas)}, person.place)
    theta = np.concatenate([pose, betas], axis=1)  # (n, 82): 10 betas, then 72
    return body_parameters(theta[:, 10:].reshape(-1, 24, 3), theta[:, :10], person.place)


def _looks_mixed(pose: Floats) -> bool:
    """People stand upright: the root turns by about π about x. Mixed up, this turn is at numbers 10 to 12."""
    flat = pose.reshape(len(pose), -1)
    root, tenth = (float(np.median(np.linalg.norm(flat[:, k : k + 3], axis=1))) for k in (0, 10))
    return root < 1.0 and tenth > 2.5


def _joints(person: Fields) -> Floats | None:
    """(n, 24, 3) ``spin24``, where the file has SPIN's 49 joints; PyMAF's may be 14 centred ones, which are left."""
    if "joints3d" not in person:
        return None
    given = np.asarray(person.value("joints3d"))
    if given.ndim != 3 or given.shape[1:] != (SPIN49_COUNT, 3):
        return None
    return rows_of(given, "joints3d", person.place).reshape(-1, SPIN49_COUNT, 3)[:, -24:]


def vertices_of(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is a body's vertices, which are not needed beside its parameters."""
    return shape[-2:] == (6890, 3)

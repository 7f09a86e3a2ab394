"""WHAM's ``wham_output.pkl`` (``demo.py --save_pkl``): joblib's file of a video, people by the number of their track.

Keys per person: ``pose`` (n, 72), ``trans`` (n, 3), ``pose_world``, ``trans_world``, ``betas`` (n, 10), ``verts``,
``frame_ids`` (n,). Traps, and what is done about them:

- Two bodies: ``pose`` and ``trans`` are in the camera frame and read; those of ``_world`` have gravity down.
- ``trans`` is SMPL's ``transl`` (WHAM's own offset of the hips is taken off already), before a camera whose focal
  length is the picture's diagonal. The file has neither picture size nor boxes: the record's size is taken, and people
  who share a frame are told apart by where their bodies stand.
- It is pickled from a ``defaultdict``; nothing in it is run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.evaluation.importers.bodies import axis_angles, body_parameters, rows_of, same_count, ten_betas
from hmrtk.toolkit.evaluation.importers.result import FullCamera, SystemResult
from hmrtk.toolkit.evaluation.importers.vibe_pkl import each_person, frame_numbers, named_frames, vertices_of
from hmrtk.toolkit.records.fields import Fields
from hmrtk.toolkit.records.joblib_file import joblib_fields


def wham_pkl(path: Path, body: BodyModel) -> SystemResult:
    """Results of all people, one track after the other.

    Raises:
        InputError: no joblib file, nobody in it, or a missing key, another shape, NaN or rows that differ in number;
            the person is named.
    """
    people = joblib_fields(path, "results of WHAM", unread=vertices_of)
    return SystemResult.concatenate([_track(person) for person in each_person(people)], str(path))


def _track(person: Fields) -> SystemResult:
    place = person.place
    pose = axis_angles(person.value("pose"), "pose", place)
    betas = ten_betas(person.value("betas"), "betas", place)
    trans = rows_of(person.value("trans"), "trans", place, 3)
    frames = frame_numbers(person.value("frame_ids"), "frame_ids", place)
    n = same_count({"pose": len(pose), "betas": len(betas), "trans": len(trans), "frame_ids": len(frames)}, place)
    return SystemResult(
        parameters=body_parameters(pose, betas, place),
        place=place,
        names=named_frames(place, frames),
        frames=frames,
        camera=FullCamera(trans, np.full(n, np.nan), np.full((n, 2), np.nan)),
    )

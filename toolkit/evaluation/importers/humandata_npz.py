"""HumanData with a system's bodies: ``inference_result.npz`` of mmhuman3d's ``demo/estimate_smpl.py``.

Keys read: ``smpl`` {``body_pose`` (N, 23, 3), ``global_orient`` (N, 3), ``betas`` (N, 10)}, or one ``fullpose``
(N, 24, 3) in it; ``image_path`` (N,), ``frame_id`` (N,), ``bboxes_xyxy`` (N, 4 or 5). Traps, and what is done about
them:

- Values are **pickled objects**; they are rebuilt without running anything (``records.fields``).
- ``image_path`` is mmhuman3d's own ``images/%06d.png`` of a video, or a picture's: where no record has such a picture,
  ``frame_id`` counts frames from 0.
- A file with ``smplx`` only has bodies of SMPL-X: refused.
- ``pred_cams`` is of a crop that is not in the file: not read, so the predictions have no camera.
- A key of our own, ``sample_id`` (N,), names the records.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.bodies import axis_angles, body_parameters, rows_of, same_count, ten_betas
from hmrtk.toolkit.evaluation.importers.result import Floats, SystemResult
from hmrtk.toolkit.evaluation.importers.vibe_pkl import frame_numbers
from hmrtk.toolkit.records.fields import Fields, as_text, npz_fields

KEYS = ("smpl", "smplx", "image_path", "frame_id", "bboxes_xyxy", "sample_id")


def humandata_npz(path: Path, body: BodyModel) -> SystemResult:
    """Results in the order of the file.

    Raises:
        InputError: no ``smpl``, another shape, NaN, no rotations, or rows that differ in number; rows are named.
    """
    fields = npz_fields(path, KEYS)
    if "smpl" not in fields and "smplx" in fields:
        raise InputError(path, "has bodies of SMPL-X only, expected smpl")
    smpl = fields.inner("smpl")
    parameters = body_parameters(_pose(smpl), ten_betas(smpl.value("betas"), "betas", smpl.place), smpl.place)
    counts = {"smpl": len(parameters)}
    images, ids = _texts(fields, "image_path", counts), _texts(fields, "sample_id", counts)
    frames = frame_numbers(fields.value("frame_id"), "frame_id", fields.place) if "frame_id" in fields else None
    boxes = rows_of(fields.value("bboxes_xyxy"), "bboxes_xyxy", fields.place) if "bboxes_xyxy" in fields else None
    counts |= {name: len(v) for name, v in (("frame_id", frames), ("bboxes_xyxy", boxes)) if v is not None}
    n = same_count(counts, fields.place)
    return SystemResult(
        parameters=parameters,
        place=fields.place,
        names=[f"{path} row {row}" for row in range(n)],
        ids=ids,
        images=images,
        frames=frames,
        boxes=None if boxes is None else boxes[:, :4],
    )


def _pose(smpl: Fields) -> Floats:
    """(N, 24, 3) axis-angle."""
    if "fullpose" in smpl:
        return axis_angles(smpl.value("fullpose"), "fullpose", smpl.place)
    root = axis_angles(smpl.value("global_orient"), "global_orient", smpl.place, joints=1)
    joints = axis_angles(smpl.value("body_pose"), "body_pose", smpl.place, joints=23)
    same_count({"global_orient": len(root), "body_pose": len(joints)}, smpl.place)
    return np.concatenate([root, joints], axis=1)


def _texts(fields: Fields, key: str, counts: dict[str, int]) -> list[str] | None:
    if key not in fields:
        return None
    texts = [as_text(text, key, fields.place) for text in fields.items(key)]
    counts[key] = len(texts)
    return texts

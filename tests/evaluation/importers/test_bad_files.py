"""Each format: what a file can be wrong in, in one line that names file, key and row; nothing in a file is run."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.registry import FORMATS, result_format
from tests.records.hostile import Hostile

from . import result_files as files
from .crowds import Crowd

ROWS = np.arange(4)
Change = Callable[[Any], Any]


def content(form: str, crowd: Crowd, body: BodyModel) -> Any:
    """What a sound file of a format holds."""
    names = [f"a/{row}.jpg" for row in ROWS]
    return {
        "spin_npz": lambda: files.spin_columns(crowd, body),
        "vibe_pkl": lambda: files.vibe_people(crowd, ROWS, body),
        "pymaf_pkl": lambda: files.vibe_people(crowd, ROWS, body),
        "pymaf_pkl_mixed": lambda: files.vibe_people(crowd, ROWS, body),
        "cliff_npz": lambda: files.cliff_columns(crowd, ROWS, body),
        "hybrik_pk": lambda: files.hybrik_columns(crowd, ROWS, body, names),
        "eft_pkl": lambda: files.eft_people(crowd, ROWS[:2], "a/b.jpg"),
        "wham_pkl": lambda: dict(files.wham_people(crowd, ROWS)),
        "gvhmr_pt": lambda: files.gvhmr_tensors(crowd, ROWS),
        "humandata_npz": lambda: files.humandata_columns(crowd),
    }[form]()


WRITERS = {
    form: files.write_npz
    if form.endswith("_npz")
    else files.write_torch
    if form == "gvhmr_pt"
    else files.write_pickle
    if form in ("hybrik_pk", "eft_pkl")
    else files.write_joblib
    for form in FORMATS
}


def without(*keys: Any) -> Change:
    """Take a key away; the keys before it say where."""

    def change(value: Any) -> Any:
        inner = value
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        return value

    return change


def edited(*keys: Any, by: Change) -> Change:
    """Change what lies under some keys."""

    def change(value: Any) -> Any:
        inner = value
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = by(np.array(inner[keys[-1]]))
        return value

    return change


def put(index: Any, number: float) -> Change:
    """One number exchanged."""

    def change(array: Any) -> Any:
        changed = array.astype(float)
        changed[index] = number
        return changed

    return change


def shorter(array: Any) -> Any:
    return array[:-1]


def scaled(array: Any) -> Any:
    return array * 1.2


def narrow(array: Any) -> Any:
    return array[:, :-1]


BAD: dict[str, list[tuple[Change, str]]] = {
    "spin_npz": [
        (without("pose"), r"x: has no pose \(it has pred_joints, betas, camera\)"),
        (without("betas"), r"x: has no betas"),
        (edited("pose", by=narrow), r"x: pose has shape \(16, 71\), expected \(16, 72\) or \(16, 24, 3, 3\)"),
        (edited("betas", by=put((5, 3), np.nan)), "x row 5: betas has NaN or infinite values"),
        (edited("betas", by=put((5, 3), 60)), r"x row 5: \|betas\| reaches 60.0"),
        (edited("betas", by=shorter), r"x: betas has shape \(15, 10\), expected 16 rows"),
        (edited("pred_joints", by=narrow), r"x: pred_joints has shape \(16, 16, 3\), expected \(16, 17, 3\)"),
        (edited("camera", by=narrow), r"x: camera has shape \(16, 2\), expected \(16, 3\)"),
        (
            lambda v: {k: np.concatenate([a[:14], 0 * a[:2]]) for k, a in v.items()},
            r"x row 14: is all zeros, like 2 of 16 rows \(the evaluation was cut short: run it to its end\)",
        ),
        (lambda v: {**v, "pose": np.ones((16, 24, 3, 3))}, "x row 0: pose is no rotation at joint 0"),
    ],
    "vibe_pkl": [
        (without(1, "pose"), r"x person 1: has no pose \(its keys: pred_cam, orig_cam"),
        (without(2, "frame_ids"), "x person 2: has no frame_ids"),
        (edited(2, "betas", by=shorter), "x person 2: has 2 poses and 1 shapes"),
        (edited(2, "bboxes", by=shorter), "x person 2: has rows that differ: pose 2, pred_cam 2, bboxes 1"),
        (edited(2, "bboxes", by=put((1, 2), 0)), r"x person 2 row 1: bboxes \[.*\] is empty"),
        (edited(1, "frame_ids", by=put(1, 0.5)), "x person 1 row 1: frame_ids is 0.5, expected 0, 1, 2 …"),
        (edited(1, "frame_ids", by=put(0, -1)), "x person 1 row 0: frame_ids is -1, expected 0, 1, 2 …"),
        (edited(1, "pose", by=put((1, 4), np.inf)), "x person 1 row 1: pose has NaN or infinite values"),
        (lambda v: {}, "x: has no people"),
        (lambda v: {1: [1, 2]}, "x person 1: is a list, expected a dictionary"),
        (lambda v: [v], r"x: holds a list, expected a dictionary \(expected results of VIBE\)"),
    ],
    "pymaf_pkl": [
        (without(1, "betas"), "x person 1: has no betas"),
        (
            lambda v: {1: {**v[1], "pose": np.roll(v[1]["pose"], 10, axis=1)}},
            r"x person 1: pose does not turn the root, but its tenth number does: pose and betas are mixed up "
            r"\(PyMAF's demo.py did so until 2021-04-28: --format pymaf_pkl_mixed\)",
        ),
    ],
    "pymaf_pkl_mixed": [(edited(1, "pose", by=narrow), r"x person 1: pose has shape \(2, 71\), expected \(2, 72\)")],
    "cliff_npz": [
        (
            without("detection_all"),
            r"x: has no detection_all, so nothing says which of 3 pictures each of 4 bodies is of \(save it beside",
        ),
        (edited("detection_all", by=shorter), "x: has rows that differ: pose 4, shape 4, .* detection_all 3"),
        (edited("detection_all", by=put((2, 0), 3)), "x row 2: detection_all is of picture 3, but imgname has 3"),
        (edited("detection_all", by=put((2, 3), 0)), r"x row 2: detection_all \[.*\] is empty"),
        (edited("detection_all", by=lambda a: a[:, :4]), r"x: detection_all has shape \(4, 4\), expected \(4, 8\)"),
        (edited("pose", by=scaled), "x row 0: pose is no rotation at joint 0"),
        (edited("pred_joints", by=narrow), r"x: pred_joints has shape \(4, 44, 3\), expected \(4, 45, 3\)"),
        (without("global_t"), "x: has no global_t"),
    ],
    "hybrik_pk": [
        (without("img_path"), "x: has no img_path"),
        (
            edited("pred_thetas", by=lambda a: a[:, :96]),
            "x: pred_thetas holds 24 quaternions of an early HybrIK, expec",
        ),
        (edited("pred_thetas", by=lambda a: np.zeros((4, 495))), "x: pred_thetas holds SMPL-X's 55 joints of HybrIK-X"),
        (edited("pred_thetas", by=scaled), "x row 0: pred_thetas is no rotation at joint 0"),
        (edited("transl", by=shorter), "x: has rows that differ: pred_thetas 4, img_path 4, transl 3"),
        (edited("bbox", by=narrow), r"x: bbox has shape \(4, 3\), expected \(4, 4\)"),
    ],
    "eft_pkl": [
        (without(1, "parm_pose"), "x person 1: has no parm_pose"),
        (edited(0, "parm_pose", by=scaled), "x person 0 row 0: parm_pose is no rotation at joint 0"),
        (edited(0, "bbox_scale_o2n", by=lambda a: a * 0), r"x person 0: bbox_scale_o2n is 0 and the camera's scale"),
        (lambda v: [{**v[0], "smpltype": "smplx"}], "x person 0: smpltype is 'smplx', expected 'smpl'"),
        (lambda v: [], r"x: holds no list of people \(expected results of EFT's demo_bodymocap.py\)"),
        (lambda v: "text", "x: holds no list of people"),
    ],
    "wham_pkl": [
        (without(np.int64(0), "trans"), "x person 0: has no trans"),
        (edited(np.int64(0), "trans", by=shorter), "x person 0: has rows that differ: pose 2, betas 2, trans 1"),
    ],
    "gvhmr_pt": [
        (without("smpl_params_incam"), r"x: has no smpl_params_incam \(its keys: smpl_params_global, K_fullimg\)"),
        (without("smpl_params_incam", "transl"), "x smpl_params_incam: has no transl"),
        (edited("K_fullimg", by=shorter), "x smpl_params_incam: has rows that differ: .* K_fullimg 3"),
        (edited("smpl_params_incam", "body_pose", by=narrow), r"body_pose has shape \(4, 62\), expected \(4, 63\)"),
        (edited("smpl_params_incam", "transl", by=put((3, 0), np.nan)), "incam row 3: transl has NaN or infinite val"),
    ],
    "humandata_npz": [
        (without("smpl"), "x: has no smpl"),
        (lambda v: {"smplx": v["smpl"]}, "x: has bodies of SMPL-X only, expected smpl"),
        (without("smpl", "betas"), "x smpl: has no betas"),
        (edited("smpl", "body_pose", by=shorter), "x smpl: has rows that differ: global_orient 16, body_pose 15"),
        (edited("frame_id", by=shorter), "x: has rows that differ: smpl 16, image_path 16, frame_id 15"),
    ],
}


@pytest.mark.parametrize(
    ("form", "change", "match"),
    [(form, change, match) for form, cases in BAD.items() for change, match in cases],
    ids=[f"{form}-{number}" for form, cases in BAD.items() for number in range(len(cases))],
)
def test_what_is_wrong_is_said(
    form: str, change: Change, match: str, crowd: Crowd, body: BodyModel, tmp_path: Path
) -> None:
    path = WRITERS[form](tmp_path / "x", change(content(form, crowd, body)))
    path = path if path.exists() else path.with_name("x.npz")  # numpy adds its ending
    path = path.rename(tmp_path / "x")
    with pytest.raises(InputError, match=match) as caught:
        result_format(form).read(path, body)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", FORMATS)
def test_missing_foreign_and_truncated_files(form: str, crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    read, path = result_format(form).read, tmp_path / "x.npz"
    with pytest.raises(InputError, match=r"x\.npz: .*([Nn]o such file)"):
        read(path, body)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"x\.npz: is not a"):
        read(path, body)
    WRITERS[form](path, content(form, crowd, body))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"x\.npz: is not a"):
        read(path, body)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_in_a_file_is_run(form: str, crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    hostile, path = Hostile(tmp_path / "ran"), tmp_path / "x.npz"
    if form in ("spin_npz", "cliff_npz", "humandata_npz"):
        key = {"spin_npz": "sample_id", "cliff_npz": "imgname", "humandata_npz": "smpl"}[form]
        sound = content(form, crowd, body)
        np.savez(path, **{**sound, key: np.array([hostile] * 16, object)})
    elif form == "gvhmr_pt":
        torch.save({"smpl_params_incam": hostile}, path)
    elif form in ("hybrik_pk", "eft_pkl"):
        path.write_bytes(pickle.dumps({"pred_thetas": hostile}))
    else:
        joblib.dump({1: {"pose": hostile}}, path)
    with pytest.raises(InputError, match=r"holds a posix\.system, which|holds other things than tensors, which"):
        result_format(form).read(path, body)
    assert not (tmp_path / "ran").exists()

"""Writers of other systems' result files: keys, shapes and types as theirs, from a crowd whose bodies are known."""

from __future__ import annotations

import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.geometry.camera import crop_to_pmnet_camera

from .crowds import FOCAL, HEIGHT, WIDTH, Crowd

Rows = NDArray[np.int64]


def spin_columns(crowd: Crowd, body: BodyModel) -> dict[str, Any]:
    """What SPIN's ``eval.py`` saves."""
    still = crowd.parameters.replaced(transl=np.zeros((len(crowd), 3)))
    return {
        "pred_joints": body.regress(body.pose(still).vertices, "h36m17").astype(np.float64),
        "pose": crowd.pose,
        "betas": crowd.betas,
        "camera": crowd.record_cameras(),
    }


def vibe_people(crowd: Crowd, rows: Rows, body: BodyModel, expansion: float = 1.1) -> dict[int, dict[str, Any]]:
    """People of one video by track; ``expansion`` of the crops over ``bboxes``."""
    people = {}
    center, side = crowd.squares(1.05)  # the detector's boxes are a little larger
    cameras = crowd.cameras(center, expansion * side)
    joints = np.full((len(crowd), 49, 3), 9.0, np.float32)  # 25 of OpenPose, then spin24
    joints[:, 25:] = body.spin24_joints(crowd.parameters.replaced(transl=np.zeros((len(crowd), 3))))
    for person in (0, 1):
        mine = rows[crowd.persons[rows] == person]
        people[person + 1] = {
            "pred_cam": cameras[mine].astype(np.float32),
            "orig_cam": np.zeros((len(mine), 4), np.float32),
            "verts": np.zeros((len(mine), 6890, 3), np.float32),
            "pose": crowd.pose[mine].astype(np.float32),
            "betas": crowd.betas[mine].astype(np.float32),
            "joints3d": joints[mine],
            "joints2d": None,
            "bboxes": np.concatenate([center[mine], np.repeat(side[mine, None], 2, axis=1)], axis=1),
            "frame_ids": crowd.frames[mine],
        }
    return people


def wham_people(crowd: Crowd, rows: Rows) -> dict[int, dict[str, Any]]:
    """People of one video by track, a ``defaultdict`` as WHAM has it."""
    people: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    turned = crowd.pose.copy()
    turned[:, :3] += 1  # gravity down: not to be read
    for person in (0, 1):
        mine = rows[crowd.persons[rows] == person]
        people[np.int64(person)] = {
            "pose": crowd.pose[mine].astype(np.float32),
            "trans": crowd.transl[mine].astype(np.float32),
            "pose_world": turned[mine].astype(np.float32),
            "trans_world": np.zeros((len(mine), 3), np.float32),
            "betas": crowd.betas[mine].astype(np.float32),
            "verts": np.zeros((len(mine), 6890, 3), np.float32),
            "frame_ids": crowd.frames[mine],
        }
    return people


def cliff_columns(crowd: Crowd, rows: Rows, body: BodyModel) -> dict[str, Any]:
    """CLIFF's results for the people in some order; one picture more, in which nobody was found."""
    images = sorted({crowd.images[row] for row in rows.tolist()} | {"imageFiles/empty.jpg"})
    detections = np.zeros((len(rows), 8), np.float32)
    detections[:, 0] = [images.index(crowd.images[row]) for row in rows.tolist()]
    detections[:, 1:5] = crowd.boxes[rows]
    joints = np.zeros((len(rows), 45, 3))
    joints[:, :24] = body.joints(crowd.parameters[rows])
    return {
        "imgname": [f"/data/frames/{name.removeprefix('imageFiles/')}" for name in images],
        "pose": list(crowd.matrices[rows].astype(np.float32)),
        "shape": list(crowd.betas[rows].astype(np.float32)),
        "global_t": list(crowd.transl[rows].astype(np.float32)),
        "pred_joints": list(joints.astype(np.float32)),
        "focal_l": [np.float32(FOCAL)] * len(rows),
        "detection_all": detections,
    }


def hybrik_columns(crowd: Crowd, rows: Rows, body: BodyModel, names: list[str]) -> dict[str, Any]:
    """HybrIK's results; the camera's focal length is 1000 / 256 × the box, so the pelvis is moved to look the same."""
    rest = BodyParameters.of(np.zeros((len(rows), 3)), None, crowd.betas[rows])
    center, side = crowd.squares(1.25)
    half = side[rows, None] / 2
    focal = 1000 / 256 * side[rows]
    place = crowd.transl[rows] * np.column_stack([np.ones((len(rows), 2)), focal / FOCAL])
    return {
        "pred_uvd": np.zeros((len(rows), 29, 3), np.float32),
        "pred_xyz_17": np.zeros((len(rows), 17, 3), np.float32),
        "pred_xyz_24_struct": np.zeros((len(rows), 24, 3), np.float32),
        "pred_camera": np.zeros((len(rows), 3), np.float32),
        "pred_betas": crowd.betas[rows].astype(np.float32),
        "pred_thetas": crowd.matrices[rows].reshape(-1, 216).astype(np.float32),
        "transl": (place + body.joints(rest)[:, 0]).astype(np.float32),
        "bbox": np.concatenate([center[rows] - half, center[rows] + half], axis=1),
        "height": np.full(len(rows), HEIGHT),
        "width": np.full(len(rows), WIDTH),
        "img_path": np.array(names),
    }


def eft_people(crowd: Crowd, rows: Rows, name: str) -> list[dict[str, Any]]:
    """The people of one picture in EFT's form."""
    center, side = crowd.squares(1.2)
    cameras = crop_to_pmnet_camera(crowd.cameras(center, side))
    return [
        {
            "parm_pose": crowd.matrices[row].astype(np.float32),
            "parm_shape": crowd.betas[row].astype(np.float32),
            "parm_cam": cameras[row].astype(np.float32),
            "subjectId": "26_11_2026_120000_000",
            "pred_vertices_imgspace": np.zeros((6890, 3), np.float32),
            "bbox_xyxy": list(crowd.boxes[row]),
            "bbox_topLeft": center[row] - side[row] / 2,
            "bbox_scale_o2n": 224 / side[row],
            "smpltype": "smpl",
            "annotId": -1,
            "imageName": name,
        }
        for row in rows.tolist()
    ]


def gvhmr_tensors(crowd: Crowd, rows: Rows) -> dict[str, Any]:
    """GVHMR's results of one person, as NumPy; ``torch.save`` makes tensors of them."""
    n = len(rows)
    matrix = np.tile([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], (n, 1, 1))
    incam = {
        "global_orient": crowd.pose[rows, :3],
        "body_pose": crowd.pose[rows, 3:66],
        "betas": np.full((n, 10), 1.5),
        "transl": crowd.transl[rows],
    }
    world = {name: value + 1 for name, value in incam.items()}
    return {"smpl_params_global": world, "smpl_params_incam": incam, "K_fullimg": matrix}


def humandata_columns(crowd: Crowd) -> dict[str, Any]:
    """mmhuman3d's ``inference_result.npz``: objects and lists."""
    smpl = {
        "body_pose": crowd.pose.reshape(-1, 24, 3)[:, 1:],
        "global_orient": crowd.pose[:, :3],
        "betas": crowd.betas,
    }
    return {
        "smpl": smpl,
        "image_path": crowd.images,
        "frame_id": crowd.frames.tolist(),
        "person_id": crowd.persons.tolist(),
        "bboxes_xyxy": np.column_stack([crowd.boxes, np.ones(len(crowd))]),
        "pred_cams": np.zeros((len(crowd), 3)),
    }


def write_npz(path: Path, columns: dict[str, Any]) -> Path:
    """``np.savez``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **columns)
    return path


def write_pickle(path: Path, content: Any) -> Path:
    """``pickle.dump``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return path


def write_joblib(path: Path, content: Any, **options: Any) -> Path:
    """``joblib.dump``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(content, path, **options)
    return path


def write_torch(path: Path, content: Any) -> Path:
    """``torch.save``, with tensors for arrays."""
    import torch

    def tensors(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: tensors(inner) for key, inner in value.items()}
        return torch.from_numpy(np.ascontiguousarray(value, np.float32))

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors(content), path)
    return path

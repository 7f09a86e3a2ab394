"""Crops of records: boxes, cameras recovered from known ones, rows that cannot be solved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.crops import EXPANSION, REGION_FACTOR, record_crops
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable


def seen_by(camera: np.ndarray) -> RecordTable:
    """Records whose keypoints were projected by hand with known crop cameras, in a box of side 224·1.5 px."""
    joints = np.random.default_rng(1).normal(0, 0.4, (len(camera), 24, 3))
    columns = {**identity(len(camera)), "bbox_xyxy": BOX, "keypoints2d": projected(joints, camera)}
    columns["joints3d"] = np.concatenate([joints, np.ones((len(camera), 24, 1))], -1)
    return RecordTable.from_columns(columns, RecordMetadata(), "here")


TIGHT = 336 / EXPANSION
BOX = np.array([208 - TIGHT / 2, 138 - TIGHT / 2, 208 + TIGHT / 2, 138 + TIGHT / 2])


def identity(n: int) -> dict[str, Any]:
    return {"sample_id": [str(i) for i in range(n)], "dataset": "set", "split": "train"}


def projected(joints: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Full-image keypoints with confidence 1 under crop cameras: the formula of the conventions, written out."""
    depth = 2 * 5000 / (224 * camera[:, 0])
    crop = np.stack(
        [5000 * (joints[..., i] + camera[:, None, 1 + i]) / (joints[..., 2] + depth[:, None]) + 112 for i in (0, 1)], -1
    )
    full = crop * 1.5 + np.array([40.0, -30.0])  # the crop box starts at (40, -30) and is 336 px wide
    return np.concatenate([full, np.ones((*full.shape[:2], 1))], -1)


CAMERAS = np.array([[0.9, 0.1, -0.2], [0.5, -0.3, 0.4], [1.2, 0.0, 0.05]])


def test_known_cameras_come_back_from_joints() -> None:
    crops = record_crops(seen_by(CAMERAS), load_body())
    assert crops.valid.all()
    np.testing.assert_allclose(crops.camera, CAMERAS, atol=2e-4)
    np.testing.assert_allclose(crops.side, 336, rtol=1e-6)
    np.testing.assert_allclose(crops.center, [[208, 138]] * 3, rtol=1e-6)


@pytest.mark.parametrize("joints3d", [None, np.full((3, 24, 4), 0.5)])
def test_known_cameras_come_back_from_bodies_without_trusted_joints(joints3d: np.ndarray | None) -> None:
    """Fitted bodies with 2D keypoints only, or 3D joints in another frame; their translation must not count."""
    rng = np.random.default_rng(2)
    parameters = BodyParameters.of(rng.normal(size=(3, 3)), rng.normal(0, 0.3, (3, 23, 3)), rng.normal(size=(3, 10)))
    body = load_body()
    columns = {
        **identity(3),
        "bbox_xyxy": BOX,
        "keypoints2d": projected(body.spin24(body.pose(parameters)).astype(np.float64), CAMERAS),
        "joints3d": joints3d,
        "global_orient": parameters.global_orient,
        "body_pose": parameters.body_pose,
        "betas": parameters.betas,
        "transl": np.array([[0.3, -0.1, 4.0], [0, 0, 7.0], [1, 1, 3.0]]),
    }
    crops = record_crops(RecordTable.from_columns(columns, RecordMetadata(), "here"), body)
    assert crops.valid.all()
    np.testing.assert_allclose(crops.camera, CAMERAS, atol=5e-4)


def test_affines_share_the_centre() -> None:
    crops = record_crops(seen_by(CAMERAS[:1]), load_body())
    centre = np.append(crops.center[0], 1)
    np.testing.assert_allclose(crops.crop_affine()[0] @ centre, [112, 112], atol=1e-4)
    np.testing.assert_allclose(crops.region_affine(400)[0] @ centre, [200, 200], atol=1e-4)
    np.testing.assert_allclose(crops.region_affine(400)[0, 0, 0], 400 / (336 * REGION_FACTOR), rtol=1e-6)


def test_too_few_joints_are_flagged_not_raised() -> None:
    records = seen_by(CAMERAS[[0, 0]])
    keypoints = records.array("keypoints2d").copy()
    keypoints[1, 5:, 2] = 0
    columns = {name: records.array(name) for name in ("bbox_xyxy", "joints3d")}
    again = RecordTable.from_columns(
        {"sample_id": ["a", "b"], "dataset": "set", "split": "train", "keypoints2d": keypoints, **columns},
        RecordMetadata(),
    )
    crops = record_crops(again, load_body())
    assert crops.valid.tolist() == [True, False]
    assert np.isnan(crops.camera[1]).all()


def test_missing_keypoints_are_flagged_and_missing_boxes_refused() -> None:
    base = {"sample_id": ["a", "b"], "dataset": "set", "split": "train"}
    boxes = np.array([[0, 0, 10, 10], [np.nan] * 4])
    only_boxes = RecordTable.from_columns({**base, "bbox_xyxy": boxes[[0, 0]]}, RecordMetadata())
    assert not record_crops(only_boxes, load_body()).valid.any()
    with pytest.raises(InputError, match="here row 1: has no bbox_xyxy"):
        record_crops(RecordTable.from_columns({**base, "bbox_xyxy": boxes}, RecordMetadata(), "here"), load_body())

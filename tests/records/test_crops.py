"""Crops of records: boxes, cameras recovered from known ones, rows that cannot be solved."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.crops import EXPANSION, REGION_FACTOR, record_crops
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable


def seen_by(camera: np.ndarray, transl: np.ndarray | None) -> RecordTable:
    """Records whose keypoints were projected by hand with known crop cameras, in a box of side 224·1.5 px."""
    rng = np.random.default_rng(1)
    n = len(camera)
    joints = rng.normal(0, 0.4, (n, 24, 3))
    depth = 2 * 5000 / (224 * camera[:, 0])
    crop = np.stack(
        [5000 * (joints[..., i] + camera[:, None, 1 + i]) / (joints[..., 2] + depth[:, None]) + 112 for i in (0, 1)], -1
    )
    full = crop * 1.5 + np.array([40.0, -30.0])  # the crop box starts at (40, -30) and is 336 px wide
    tight = 336 / EXPANSION
    box = np.array([208 - tight / 2, 138 - tight / 2, 208 + tight / 2, 138 + tight / 2])
    columns = {
        "sample_id": [str(i) for i in range(n)],
        "dataset": "set",
        "split": "train",
        "bbox_xyxy": np.tile(box, (n, 1)),
        "keypoints2d": np.concatenate([full, np.ones((n, 24, 1))], -1),
        "joints3d": np.concatenate([joints if transl is None else joints + transl[:, None], np.ones((n, 24, 1))], -1),
        "transl": transl,
    }
    return RecordTable.from_columns(columns, RecordMetadata(), "here")


@pytest.mark.parametrize("moved", [False, True])
def test_known_cameras_come_back(moved: bool) -> None:
    camera = np.array([[0.9, 0.1, -0.2], [0.5, -0.3, 0.4], [1.2, 0.0, 0.05]])
    transl = np.array([[0.3, -0.1, 4.0], [0, 0, 7.0], [1, 1, 3.0]]) if moved else None
    crops = record_crops(seen_by(camera, transl))
    assert crops.valid.all()
    np.testing.assert_allclose(crops.camera, camera, atol=2e-4)
    np.testing.assert_allclose(crops.side, 336, rtol=1e-6)
    np.testing.assert_allclose(crops.center, [[208, 138]] * 3, rtol=1e-6)


def test_affines_share_the_centre() -> None:
    crops = record_crops(seen_by(np.array([[0.9, 0.1, -0.2]]), None))
    centre = np.append(crops.center[0], 1)
    np.testing.assert_allclose(crops.crop_affine()[0] @ centre, [112, 112], atol=1e-4)
    np.testing.assert_allclose(crops.region_affine(400)[0] @ centre, [200, 200], atol=1e-4)
    np.testing.assert_allclose(crops.region_affine(400)[0, 0, 0], 400 / (336 * REGION_FACTOR), rtol=1e-6)


def test_too_few_joints_are_flagged_not_raised() -> None:
    records = seen_by(np.array([[0.9, 0.1, -0.2]] * 2), None)
    keypoints = records.array("keypoints2d").copy()
    keypoints[1, 5:, 2] = 0
    columns = {name: records.array(name) for name in ("bbox_xyxy", "joints3d")}
    again = RecordTable.from_columns(
        {"sample_id": ["a", "b"], "dataset": "set", "split": "train", "keypoints2d": keypoints, **columns},
        RecordMetadata(),
    )
    crops = record_crops(again)
    assert crops.valid.tolist() == [True, False]
    assert np.isnan(crops.camera[1]).all()


def test_missing_keypoints_are_flagged_and_missing_boxes_refused() -> None:
    base = {"sample_id": ["a", "b"], "dataset": "set", "split": "train"}
    boxes = np.array([[0, 0, 10, 10], [np.nan] * 4])
    only_boxes = RecordTable.from_columns({**base, "bbox_xyxy": boxes[[0, 0]]}, RecordMetadata())
    assert not record_crops(only_boxes).valid.any()
    with pytest.raises(InputError, match="here row 1: has no bbox_xyxy"):
        record_crops(RecordTable.from_columns({**base, "bbox_xyxy": boxes}, RecordMetadata(), "here"))

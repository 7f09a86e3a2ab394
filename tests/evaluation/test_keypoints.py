"""Projected keypoints and their errors: by hand, round trip through the crop, and what cannot be projected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.keypoints import (
    crop_sides,
    keypoint_errors,
    keypoint_pck,
    projected_keypoints,
)  # fmt: skip
from hmrtk.toolkit.geometry.camera import project_crop_camera
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.records.table import RecordTable

from .conftest import of_system

CAMERA = (0.9, 0.05, -0.1)


@pytest.fixture
def seen(parameters: BodyParameters, records: RecordTable, body: BodyModel) -> RecordTable:
    """Records with boxes, and with the keypoints that the crop camera ``CAMERA`` sees of their bodies."""
    rng = np.random.default_rng(7)
    corner, size = rng.uniform(0, 500, (9, 2)), rng.uniform(100, 300, (9, 2))
    columns = {name: getattr(parameters, name) for name in ("global_orient", "body_pose", "betas")}
    crop = project_crop_camera(body.spin24_joints(_still(parameters)), np.tile(CAMERA, (9, 1)))
    side = 1.2 * size.max(1)
    full = (corner + size / 2)[:, None] + (crop - 112) * (side / 224)[:, None, None]
    ids = {"sample_id": [f"s{i}" for i in range(9)], "dataset": "coco", "split": "val"}
    keypoints = np.concatenate([full, np.ones((9, 24, 1))], axis=-1)
    boxes = np.concatenate([corner, corner + size], axis=1)
    return RecordTable.from_columns({**ids, **columns, "bbox_xyxy": boxes, "keypoints2d": keypoints}, records.metadata)


def _still(parameters: BodyParameters) -> BodyParameters:
    return parameters.replaced(transl=np.zeros_like(parameters.transl))


def test_perfect_camera_and_body_meet_the_keypoints(
    seen: RecordTable, parameters: BodyParameters, body: BodyModel
) -> None:
    camera = np.tile(np.float32(CAMERA), (9, 1))
    perfect = replace(of_system(parameters, body), camera=camera)
    keypoints = seen.array("keypoints2d")
    errors = keypoint_errors(projected_keypoints(seen, perfect, body), keypoints)
    np.testing.assert_allclose(errors, 0, atol=1e-3)
    assert keypoint_pck(errors, crop_sides(seen), 0.05) == 1
    crops = record_crops(seen, body)  # the camera that the keypoints ask for is this one
    np.testing.assert_allclose(crops.camera, camera, atol=1e-3)
    vertices = body.pose(_still(parameters)).vertices
    by_vertices = replace(perfect, parameters=None, vertices=vertices)  # type: ignore[arg-type]
    # SMPL's own joints are then regressed from posed vertices, some mm away.
    np.testing.assert_allclose(keypoint_errors(projected_keypoints(seen, by_vertices, body), keypoints), 0, atol=12)


def test_errors_by_hand() -> None:
    projected = np.array([[[3.0, 4], [10, 0], [7, 7]]])
    keypoints = np.array([[[0.0, 0, 1], [0, 0, 0.5], [np.nan, 0, 0]]])
    errors = keypoint_errors(projected, keypoints)
    np.testing.assert_array_equal(errors, [[5, 10, np.nan]])
    assert keypoint_pck(errors, np.array([100.0]), 0.05) == 0.5
    assert keypoint_pck(errors, np.array([100.0]), 0.1) == 1
    assert np.isnan(keypoint_pck(errors[:, 2:], np.array([100.0]), 0.1))


def test_errors_name_what_is_wrong(
    seen: RecordTable, records: RecordTable, parameters: BodyParameters, body: BodyModel
) -> None:
    predictions = of_system(parameters, body)
    with pytest.raises(InputError, match="predictions: has no cameras"):
        projected_keypoints(seen, predictions, body)
    camera = np.tile(np.float32(CAMERA), (9, 1))
    camera[3, 0] = 0
    with pytest.raises(InputError, match=r"predictions row 3: camera is \[0.0, .* expected a positive scale"):
        projected_keypoints(seen, replace(predictions, camera=camera), body)
    whole = replace(predictions, camera=np.tile(np.float32(CAMERA), (9, 1)))
    with pytest.raises(InputError, match="records row 0: has no bbox_xyxy"):
        projected_keypoints(records, whole, body)
    with pytest.raises(InputError, match="has neither body parameters nor vertices"):
        projected_keypoints(seen, replace(whole, parameters=None), body)
    with pytest.raises(InputError, match=r"keypoint_errors: expected \(N, J, 2\) and \(N, J, 3\), got"):
        keypoint_errors(np.zeros((1, 5, 2)), np.zeros((1, 4, 3)))

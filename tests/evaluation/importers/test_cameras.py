"""Cameras of other crops: the same points of the picture stay where they are."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.cameras import projected_boxes, record_cameras
from hmrtk.toolkit.evaluation.importers.result import CropCamera, FullCamera
from hmrtk.toolkit.geometry.camera import weak_perspective_project
from hmrtk.toolkit.records.crops import EXPANSION

from .crowds import FOCAL, HEIGHT, WIDTH, Crowd


def pixels(points: np.ndarray, camera: np.ndarray, center: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Points (N, P, 3) by a crop camera (N, 3) → full-image px (N, P, 2)."""
    return center[:, None] + side[:, None, None] / 2 * weak_perspective_project(points, camera)


def test_a_point_stays_where_it_is(crowd: Crowd) -> None:
    rng = np.random.default_rng(0)
    n = len(crowd)
    camera = np.column_stack([rng.uniform(0.5, 1.2, n), rng.normal(0, 0.3, (n, 2))])
    center, side = rng.uniform(100, 400, (n, 2)), rng.uniform(150, 400, n)
    points = rng.normal(size=(n, 5, 3))
    moved = record_cameras(CropCamera(camera, center, side), crowd.records)
    here = pixels(points, moved.astype(float), *crowd.squares(EXPANSION))
    np.testing.assert_allclose(here, pixels(points, camera, center, side), atol=2e-3)


def test_a_crop_round_the_record_changes_its_scale_only(crowd: Crowd) -> None:
    camera = np.tile([0.8, 0.1, -0.2], (len(crowd), 1))
    np.testing.assert_allclose(record_cameras(CropCamera(camera), crowd.records), camera, rtol=1e-6)
    smaller = record_cameras(CropCamera(camera), crowd.records, expansion=0.9)
    np.testing.assert_allclose(smaller, np.tile([0.8 * 0.9 / 1.2, 0.1, -0.2], (len(crowd), 1)), rtol=1e-6)


def test_what_cannot_be_known_is_nan(crowd: Crowd) -> None:
    n = len(crowd)
    names = [name for name in ("bbox_xyxy", "image_size")]
    bare = type(crowd.records).from_columns(
        {"sample_id": crowd.records.sample_ids, "dataset": "d", "split": "s"}, crowd.records.metadata
    )
    assert not bare.has(*names).any()
    values = np.tile([0.8, 0.1, -0.2], (n, 1))
    assert np.isnan(record_cameras(CropCamera(values, np.zeros((n, 2)), np.ones(n)), bare)).all()
    values[3] = 0
    assert np.isnan(record_cameras(CropCamera(values, np.zeros((n, 2)), np.ones(n)), crowd.records)[3]).all()
    unknown = FullCamera(crowd.transl, np.full(n, np.nan), np.full((n, 2), np.nan))
    assert np.isnan(record_cameras(unknown, bare)).all()
    behind = FullCamera(-crowd.transl, np.full(n, FOCAL), np.full((n, 2), np.nan))
    assert np.isnan(record_cameras(behind, crowd.records)).all()
    with pytest.raises(InputError, match="--expansion: is -1, expected a positive number"):
        record_cameras(CropCamera(values), crowd.records, expansion=-1)


def test_bodies_before_the_camera_give_boxes(crowd: Crowd, body: BodyModel) -> None:
    n = len(crowd)
    camera = FullCamera(crowd.transl, np.full(n, np.nan), np.tile([HEIGHT, WIDTH], (n, 1)).astype(float))
    boxes = projected_boxes(crowd.parameters, camera, body)
    assert (boxes[:, :2] >= crowd.boxes[:, :2]).all()
    assert (boxes[:, 2:] <= crowd.boxes[:, 2:]).all()
    assert ((boxes[:, 2:] - boxes[:, :2])[:, 1] > 0.7 * (crowd.boxes[:, 3] - crowd.boxes[:, 1])).all()
    unknown = FullCamera(crowd.transl, np.full(n, FOCAL), np.full((n, 2), np.nan))
    assert np.isnan(projected_boxes(crowd.parameters, unknown, body)).all()

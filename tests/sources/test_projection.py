"""Derived columns against a float64 twin that projects every vertex by the textbook formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources.projection import derived_columns, inside

IMAGE = np.array([[480, 640]] * 5, np.int32)


@pytest.fixture
def parameters() -> BodyParameters:
    rng = np.random.default_rng(2)
    orient = rng.normal(size=(5, 3))
    transl = np.column_stack([rng.uniform(-1, 1, (5, 2)), rng.uniform(3, 6, 5)])
    return BodyParameters.of(orient, rng.normal(0, 0.3, (5, 23, 3)), rng.normal(size=(5, 10)), transl)


def test_columns_equal_a_plain_projection(parameters: BodyParameters, body: Any) -> None:
    rng = np.random.default_rng(3)
    focal, principal = (
        rng.uniform(500, 900, (5, 2)).astype(np.float32),
        rng.uniform(200, 400, (5, 2)).astype(np.float32),
    )
    columns = derived_columns(parameters, body, focal, principal, IMAGE)
    posed = body.pose(parameters)
    vertices, joints = posed.vertices.astype(float), body.spin24(posed).astype(float)
    seen = vertices[..., :2] / vertices[..., 2:] * focal[:, None] + principal[:, None]
    box = np.concatenate([seen.min(axis=1), seen.max(axis=1)], axis=1)
    points = joints[..., :2] / joints[..., 2:] * focal[:, None] + principal[:, None]
    np.testing.assert_allclose(columns["bbox_xyxy"], box, atol=2e-3)
    np.testing.assert_allclose(columns["keypoints2d"][..., :2], points, atol=2e-3)
    np.testing.assert_allclose(columns["joints3d"][..., :3], joints, atol=1e-6)
    assert (columns["joints3d"][..., 3] == 1).all()
    visible = (points > 0).all(axis=-1) & (points[..., 0] < 640) & (points[..., 1] < 480)
    np.testing.assert_array_equal(columns["keypoints2d"][..., 2], visible)
    assert 0 < visible.mean() < 1
    assert {array.dtype for array in columns.values()} == {np.dtype(np.float32)}


def test_the_borders_of_the_image() -> None:
    points = np.array([[[0, 0], [639.9, 479.9], [640, 10], [10, 480], [-0.1, 10], [10, -0.1]]], np.float32)
    assert inside(points, IMAGE[:1]).tolist() == [[True, True, False, False, False, False]]


def test_a_body_behind_the_camera_is_refused(parameters: BodyParameters, body: Any) -> None:
    transl = parameters.transl.copy()
    transl[3, 2] = 0.2
    focal = np.full((5, 2), 600, np.float32)
    with pytest.raises(InputError, match=r"my rows row 3: part of the body is behind the camera \(depth -"):
        derived_columns(parameters.replaced(transl=transl), body, focal, focal, IMAGE, "my rows")


def test_progress_ends_at_the_total(parameters: BodyParameters, body: Any) -> None:
    seen = []
    focal = np.full((5, 2), 600, np.float32)
    derived_columns(parameters, body, focal, focal, IMAGE, progress=lambda *step: seen.append(step))
    assert seen[-1] == ("project", 5, 5)

"""Mirrored parameters pose to mirrored vertices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hmrtk.toolkit.body.joints import SMPL_FLIP, SPIN24_FLIP
from hmrtk.toolkit.body.mirror import POINT_SIGNS, mirror_parameters, mirror_pose
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.reference import mirror_vertices

Draw = Callable[[int, int], BodyParameters]


def test_mirrored_vertices_and_joints(body: BodyModel, random_parameters: Draw) -> None:
    parameters = random_parameters(16, 0)
    original, mirrored = body.pose(parameters), body.pose(mirror_parameters(parameters))
    expected = original.vertices[:, mirror_vertices()] * POINT_SIGNS
    np.testing.assert_allclose(mirrored.vertices, expected, atol=5e-7)
    np.testing.assert_allclose(mirrored.joints, original.joints[:, list(SMPL_FLIP)] * POINT_SIGNS, atol=5e-7)
    spin24 = body.spin24(original)[:, list(SPIN24_FLIP)] * POINT_SIGNS
    np.testing.assert_allclose(body.spin24(mirrored), spin24, atol=5e-7)


def test_twice_is_the_original(random_parameters: Draw) -> None:
    parameters = random_parameters(4, 1)
    twice = mirror_parameters(mirror_parameters(parameters))
    assert np.array_equal(twice.pose, parameters.pose)
    assert np.array_equal(twice.transl, parameters.transl)
    assert np.array_equal(twice.betas, parameters.betas)


def test_raised_left_arm_becomes_raised_right_arm() -> None:
    pose = np.zeros((24, 3), np.float32)
    pose[16] = [0.1, 0.2, 1.5]  # left shoulder
    expected = np.zeros((24, 3), np.float32)
    expected[17] = [0.1, -0.2, -1.5]
    assert np.array_equal(mirror_pose(pose), expected)

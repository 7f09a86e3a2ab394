"""Bodies into the camera frame: re-posed, they are the moved bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources.camera_frame import extrinsics, in_camera, intrinsics, moved_transl, turned_root

N = 6


def test_a_moved_body_is_the_body_of_the_moved_parameters(body: Any) -> None:
    rng = np.random.default_rng(0)
    pose, betas, transl = rng.normal(0, 0.4, (N, 24, 3)), rng.normal(size=(N, 10)), rng.normal(size=(N, 3))
    rotation, translation = Rotation.random(N, random_state=1).as_matrix(), rng.normal(size=(N, 3))
    given = BodyParameters.of(pose[:, 0], pose[:, 1:], betas, transl)
    expected = in_camera(body.pose(given).vertices.astype(float), rotation, translation)
    pelvis = body.joints(BodyParameters.of(np.zeros((N, 3)), None, betas))[:, 0]
    moved = given.replaced(
        global_orient=turned_root(pose[:, 0], rotation), transl=moved_transl(transl, pelvis, rotation, translation)
    )
    np.testing.assert_allclose(body.pose(moved).vertices, expected, atol=1e-5)
    naive = given.replaced(global_orient=moved.global_orient, transl=in_camera(transl, rotation, translation))
    assert np.abs(body.pose(naive).vertices - expected).max() > 0.1


def test_a_quarter_turn_by_hand() -> None:
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()[None]
    np.testing.assert_allclose(turned_root(np.zeros((1, 3)), turn), [[0, 0, np.pi / 2]], atol=1e-12)
    moved = moved_transl(np.zeros((1, 3)), np.array([[1.0, 0, 0]]), turn, np.array([[0.0, 0, 5]]))
    np.testing.assert_allclose(moved, [[-1, 1, 5]], atol=1e-12)


def test_bad_cameras_are_named() -> None:
    good = np.tile(np.eye(4), (3, 1, 1))
    assert extrinsics(good, "cam_poses", "x")[0].shape == (3, 3, 3)
    for bad in (np.diag([2.0, 1, 1, 1]), np.diag([-1.0, 1, 1, 1]), np.zeros((4, 4))):
        poses = good.copy()
        poses[1] = bad
        with pytest.raises(InputError, match=r"^x row 1: cam_poses holds no rotation"):
            extrinsics(poses, "cam_poses", "x")
        with pytest.raises(InputError, match=r"^x row 8: cam_poses"):
            extrinsics(poses, "cam_poses", "x", np.array([4, 8, 9]))
    focal, principal = intrinsics(np.array([[10.0, 0, 3], [0, 11, 4], [0, 0, 1]]), "K", "x")
    assert (focal.tolist(), principal.tolist()) == ([10, 11], [3, 4])
    with pytest.raises(InputError, match=r"x: K has focal lengths \[0\.0, 0\.0\]"):
        intrinsics(np.zeros((3, 3)), "K", "x")

"""The window's geometry, against hand-computed places and float64 projections."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.geometry.crop import apply_affine, compose_affine, square_affine
from hmrtk.toolkit.maps.atlas_symmetry import body_mirror
from hmrtk.toolkit.shards.augmentation import Augmentation, Change
from hmrtk.toolkit.shards.crop_window import UPPER_BODY, Pelvis, Window, upper_square

ROW = {"region": np.array([300, 200, 180], np.float32)}
"""A crop box of 100 px around (300, 200)."""


def windows(count=20, seed=0):
    rng = np.random.default_rng(seed)
    return [Window.of(ROW, Augmentation(upright=0.2, shift=0.1).draw(rng)) for _ in range(count)]


def test_the_corners_of_the_plain_crop():
    affine = Window.of(ROW, Change()).affine(224)
    assert np.allclose(apply_affine(np.array([[250.0, 150.0], [350.0, 250.0]]), affine), [[0, 0], [224, 224]])


def test_a_shifted_scaled_flipped_crop_by_hand():
    window = Window.of(ROW, Change(flip=True, scale=0.5, shift=(0.1, -0.2)))
    assert window.square == pytest.approx((310, 180, 50))
    placed = apply_affine(np.array([[310.0, 180.0], [320.0, 180.0], [310.0, 190.0]]), window.affine(100))
    assert np.allclose(placed, [[50, 50], [30, 50], [50, 70]])


def test_turns_go_from_x_towards_y_as_square_affines_do():
    window = Window.of(ROW, Change(turn=0.3, scale=1.2))
    assert np.allclose(window.affine(224), square_affine(np.array([300.0, 200.0]), np.array(120.0), 224, 0.3))


def test_the_region_leads_to_the_same_window():
    region = square_affine(np.array([300.0, 200.0]), np.array(180.0), 400)
    for window in windows():
        assert np.allclose(compose_affine(window.region_affine(400, 224), region), window.affine(224))


def test_the_camera_matrix_is_exact_for_any_pinhole():
    rng = np.random.default_rng(1)
    points = rng.normal((0, 0, 4), 0.5, (50, 3))
    focal, principal = np.array([900.0, 950.0]), np.array([310.0, 190.0])
    px = points[:, :2] / points[:, 2:] * focal + principal
    for window in windows():
        moved, matrix = window.points(points), window.camera_matrix(focal, principal, 224)
        found = moved[:, :2] / moved[:, 2:] @ matrix[:, :2].T + matrix[:, 2]
        assert np.abs(found - apply_affine(px, window.affine(224))).max() < 1e-9


def test_the_pelvis_is_the_models_own_at_any_pose(body):
    rng = np.random.default_rng(2)
    bodies = BodyParameters.of(rng.normal(0, 1, (5, 3)), rng.normal(0, 0.3, (5, 23, 3)), rng.normal(0, 1, (5, 10)))
    pelvis = Pelvis.of(body.arrays)
    found = np.stack([pelvis(betas) for betas in bodies.betas])
    assert np.abs(found - body.joints(bodies)[:, 0]).max() < 1e-6


@pytest.mark.parametrize("flip", [False, True])
def test_the_moved_body_is_the_body_moved(body, flip):
    """Posing what ``pose`` and ``transl`` give is mirroring and turning the vertices."""
    rng = np.random.default_rng(3)
    root, pose, betas = (rng.normal(0, spread, shape) for spread, shape in ((1, 3), (0.3, (23, 3)), (1, 10)))
    one = BodyParameters.of(root[None], pose[None], betas[None], [[0.3, -0.2, 4]])
    window, pelvis = Window.of(ROW, Change(flip=flip, turn=0.7)), Pelvis.of(body.arrays)(one.betas[0])
    root, pose = window.pose(one.global_orient[0], one.body_pose[0])
    moved = BodyParameters.of(root[None], pose[None], one.betas, window.transl(one.transl[0], pelvis)[None])
    vertices = body.pose(one).vertices[0].astype(float)
    if flip:
        vertices = vertices[body_mirror(body.faces, body.v_template)] * [-1, 1, 1]
    expected = vertices @ Rotation.from_euler("z", 0.7).as_matrix().T
    assert np.abs(body.pose(moved).vertices[0] - expected).max() < 1e-5  # metres


def test_a_half_turn_keeps_a_short_axis():
    root, _ = Window.of(ROW, Change(turn=np.pi)).pose(np.array([0, 0, 3.0]), np.zeros((23, 3)))
    assert np.linalg.norm(root) <= np.pi
    assert np.allclose(Rotation.from_rotvec(root).as_matrix(), Rotation.from_euler("z", 3 + np.pi).as_matrix())


def test_the_upper_square_by_hand():
    keypoints = np.zeros((24, 3))
    keypoints[list(UPPER_BODY)[:7], 0] = [280, 320, 300, 290, 300, 310, 300]
    keypoints[list(UPPER_BODY)[:7], 1] = [150, 150, 200, 160, 170, 180, 155]
    keypoints[list(UPPER_BODY)[:7], 2] = 1
    assert upper_square(keypoints, (300, 200, 100)) == pytest.approx((300, 175, 60))
    assert upper_square(keypoints, (300, 200, 50)) == pytest.approx((300, 175, 50))  # not larger than the box


def test_too_few_or_coinciding_joints_leave_the_box():
    box, keypoints = (300.0, 200.0, 100.0), np.zeros((24, 3))
    keypoints[list(UPPER_BODY)[:5]] = [280, 150, 1]
    assert upper_square(keypoints, box) == box
    keypoints[list(UPPER_BODY)] = [280, 150, 1]
    assert upper_square(keypoints, box) == box

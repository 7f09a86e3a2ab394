"""Pieces of the source and model stages that are plain functions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

anny_source = pytest.importorskip(
    "bake.reference_body.anny_source", reason="the bake scripts are not in this installation"
)
caps = pytest.importorskip("bake.reference_body.caps")
landmarks = pytest.importorskip("bake.reference_body.landmarks")
skinning = pytest.importorskip("bake.reference_body.skinning")
smpl_format = pytest.importorskip("bake.reference_body.smpl_format")
tpose = pytest.importorskip("bake.reference_body.tpose")


def test_frame_change_keeps_handedness() -> None:
    axes = anny_source.z_up_to_y_up(np.eye(3))
    assert axes.tolist() == [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    assert np.linalg.det(axes) == pytest.approx(1)


def test_phenotypes_are_seeded_and_in_range() -> None:
    sliders, male = anny_source.draw_phenotypes(50, np.random.default_rng(3))
    again, _ = anny_source.draw_phenotypes(50, np.random.default_rng(3))
    assert male.sum() == 25
    for name, values in sliders.items():
        np.testing.assert_array_equal(values, again[name])
        assert 0 <= values.min() <= values.max() <= 1
    assert sliders["gender"][male].max() < sliders["gender"][~male].min()


def test_body_mass_index_of_a_box() -> None:
    corners = np.array([[x, y, z] for x in (0, 0.5) for y in (0, 2.0) for z in (0, 0.25)], np.float32)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    assert anny_source.body_mass_index(corners[None], quads)[0] == pytest.approx(0.25 * 1010 / 4)


def test_tutte_weights_are_convex_and_linear() -> None:
    """On a symmetric grid the harmonic map of the border's positions is the grid itself."""
    size = 5
    index = np.arange(size * size).reshape(size, size)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 4)
    points = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(-1, 2).astype(float)
    border = (points == 0).any(1) | (points == size - 1).any(1)
    rim, inner = np.flatnonzero(border), np.flatnonzero(~border)
    weights = caps.tutte_weights(quads + 7, rim + 7, inner + 7)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights @ points[rim], points[inner], atol=1e-12)


def test_frontmost_point() -> None:
    near = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 3.0]])
    triangles = np.stack([near - [0, 0, 5], near])
    triangle, weights = caps.frontmost_point(np.array([0.25, 0.5]), triangles)
    assert triangle == 1
    np.testing.assert_allclose(weights, [0.25, 0.25, 0.5])
    with pytest.raises(ValueError, match="no eyeball surface"):
        caps.frontmost_point(np.array([2.0, 2.0]), triangles)


def test_rotations_against_scipy() -> None:
    axis, angle = np.array([1.0, -2, 0.5]), 0.8
    oracle = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
    np.testing.assert_allclose(tpose.axis_rotation(axis, angle), oracle, atol=1e-12)
    half = tpose.rotation_fraction(oracle, 0.5)
    np.testing.assert_allclose(half @ half, oracle, atol=1e-12)
    source, target = np.array([3.0, 1, 2]), np.array([-1.0, 0, 1])
    turned = tpose.shortest_rotation(source, target) @ source
    np.testing.assert_allclose(turned / np.linalg.norm(turned), target / np.sqrt(2), atol=1e-12)
    np.testing.assert_array_equal(tpose.shortest_rotation(source, 2 * source), np.eye(3))


@pytest.mark.parametrize(
    ("bone", "joint"),
    [
        ("upperleg02.R", "right_hip"),
        ("toe5-3.L", "left_foot"),
        ("finger1-2.L", "left_wrist"),
        ("finger2-1.R", "right_hand"),
        ("metacarpal3.R", "right_wrist"),
        ("jaw", "head"),
        ("eye.L", "head"),
        ("root", "pelvis"),
    ],
)
def test_bones_fold_onto_joints(bone: str, joint: str) -> None:
    assert skinning.joint_shares(bone, np.zeros(1)) == [(smpl_format.JOINT[joint], 1.0)]


def test_chest_fades_between_two_joints() -> None:
    height = np.array([-1.0, 0.5, 2.0])
    chest = skinning.smoothstep(0.0, 1.0, height)
    assert chest.tolist() == [0, 0.5, 1]
    (low, first), (high, second) = skinning.joint_shares("spine02", chest)
    assert (low, high) == (smpl_format.JOINT["spine2"], smpl_format.JOINT["spine3"])
    np.testing.assert_array_equal(first + second, 1)


def test_ties_at_the_last_influence_stay_together() -> None:
    faces = np.array([[0, 1, 2]])
    row = np.zeros(24)
    row[[0, 3, 6, 1, 2]] = 0.4, 0.3, 0.2, 0.05, 0.05 * (1 - 1e-15)  # left and right hip tie but for rounding
    weights = skinning.smooth_and_prune(np.tile(row, (3, 1)), faces, np.arange(3))
    np.testing.assert_allclose(weights[0, [0, 3, 6, 1, 2]], [0.4, 0.3, 0.2, 0.05, 0.05])


def test_vertex_order_puts_landmarks_at_their_slots() -> None:
    rng = np.random.default_rng(0)
    count = smpl_format.VERTEX_COUNT
    points = rng.normal(size=(count, 3))
    region = rng.choice(["head", "body", "hand", "foot", "eye", "mouth"], count)
    chosen = rng.choice(count, len(smpl_format.LANDMARK_SLOTS), replace=False)
    found = {name: int(v) for name, v in zip(smpl_format.LANDMARK_SLOTS, chosen, strict=True)}
    order = landmarks.vertex_order(points, region, found)
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    assert all(order[slot] == found[name] for name, slot in smpl_format.LANDMARK_SLOTS.items())

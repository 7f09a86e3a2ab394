"""Rotations against scipy, by hand, round trips in both precisions, and at the degenerate angles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba import get_num_threads, set_num_threads
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry import rotation as geo

TOLERANCE = {np.float32: 2e-6, np.float64: 5e-15}
FORMS = ["axis_angle", "quat_wxyz", "rot6d", "rot6d_columns", "rot6d_rows"]
SINGULAR_ANGLES = [0.0, 1e-30, 1e-12, 1e-8, 1e-4, 1e-3, np.pi - 1e-3, np.pi - 1e-7, np.pi - 1e-12, np.pi]


def _rotations(n: int = 500) -> Rotation:
    return Rotation.random(n, random_state=1)


def _singular() -> np.ndarray:
    axes = np.concatenate([np.eye(3), -np.eye(3), [[1, 1, 0], [1, -1, 1], [0.1, 0, -1]]])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return (np.array(SINGULAR_ANGLES)[:, None, None] * axes).reshape(-1, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS)
def test_matrix_to_form_and_back(form: str, dtype: type) -> None:
    both = np.concatenate([_rotations().as_matrix(), Rotation.from_rotvec(_singular()).as_matrix()])
    matrix = both.astype(dtype)
    there = getattr(geo, f"rotmat_to_{form}")(matrix)
    back = getattr(geo, f"{form}_to_rotmat")(there)
    assert there.dtype == back.dtype == dtype
    np.testing.assert_allclose(back, matrix, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_axis_angle_cycle_at_singular_angles(dtype: type) -> None:
    vectors = _singular().astype(dtype)
    back = geo.quat_wxyz_to_axis_angle(geo.axis_angle_to_quat_wxyz(vectors))
    same = np.abs(back - vectors).max(-1)
    flipped = np.abs(back + vectors).max(-1)  # a half turn has two axes
    at_pi = np.abs(np.linalg.norm(vectors, axis=-1) - np.pi) < 1e-6
    assert np.where(at_pi, np.minimum(same, flipped), same).max() < 4 * np.finfo(dtype).eps
    small = np.linalg.norm(vectors, axis=-1) < 1e-3
    np.testing.assert_allclose(back[small], vectors[small], rtol=4 * np.finfo(dtype).eps)


def test_against_scipy() -> None:
    rotations = _rotations()
    matrix, vector = rotations.as_matrix(), rotations.as_rotvec()
    quat = rotations.as_quat(canonical=True, scalar_first=True)
    np.testing.assert_allclose(geo.axis_angle_to_rotmat(vector), matrix, atol=1e-14)
    np.testing.assert_allclose(geo.rotmat_to_axis_angle(matrix), vector, atol=1e-14)
    np.testing.assert_allclose(geo.quat_wxyz_to_axis_angle(-3 * quat), vector, atol=1e-14)
    np.testing.assert_allclose(geo.axis_angle_to_quat_wxyz(vector), quat, atol=1e-15)


def test_beyond_half_a_turn_matches_scipy() -> None:
    vector = _rotations(50).as_rotvec() * 7
    np.testing.assert_allclose(geo.axis_angle_to_rotmat(vector), Rotation.from_rotvec(vector).as_matrix(), atol=1e-13)


@settings(deadline=None)
@given(arrays(np.float64, 3, elements=st.floats(-10, 10)))
def test_any_axis_angle_gives_a_rotation(vector: np.ndarray) -> None:
    matrix = geo.axis_angle_to_rotmat(vector)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(matrix, Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


def test_three_layouts_by_hand() -> None:
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # 90° about z
    assert geo.rotmat_to_rot6d(quarter).tolist() == [0, -1, 1, 0, 0, 0]
    assert geo.rotmat_to_rot6d_columns(quarter).tolist() == [0, 1, 0, -1, 0, 0]
    assert geo.rotmat_to_rot6d_rows(quarter).tolist() == [0, -1, 0, 1, 0, 0]


def test_spin_mean_root_is_half_a_turn_about_x() -> None:
    flipped = geo.rot6d_to_rotmat(np.array([1.0, 0, 0, -1, 0, 0]))
    np.testing.assert_array_equal(flipped, np.diag([1.0, -1, -1]))
    np.testing.assert_allclose(np.abs(geo.rotmat_to_axis_angle(flipped)), [np.pi, 0, 0])


@settings(deadline=None)
@given(arrays(np.float64, 6, elements=st.floats(-5, 5)))
def test_gram_schmidt_is_always_a_rotation(raw: np.ndarray) -> None:
    try:
        matrix = geo.rot6d_columns_to_rotmat(raw)
    except InputError:
        cross = np.linalg.norm(np.cross(raw[:3], raw[3:]))
        assert cross <= 1e-14 * max(np.linalg.norm(raw[:3]) * np.linalg.norm(raw[3:]), 1e-300)
        return
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-13)
    assert np.linalg.det(matrix) == pytest.approx(1)


def test_leading_dimensions() -> None:
    vector = np.zeros((2, 5, 24, 3), np.float32)
    assert geo.axis_angle_to_rotmat(vector).shape == (2, 5, 24, 3, 3)
    assert geo.rotmat_to_rot6d(geo.axis_angle_to_rotmat(vector)).shape == (2, 5, 24, 6)
    assert geo.axis_angle_to_quat_wxyz(np.zeros(3)).tolist() == [1, 0, 0, 0]
    assert geo.axis_angle_to_quat_wxyz(np.zeros((0, 3))).shape == (0, 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_markley_mean_equals_scipy(dtype: type) -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.6, (7, 40, 3))
    weights = rng.uniform(0.1, 2, (7, 40))
    quats = geo.axis_angle_to_quat_wxyz(noise) * rng.choice([-1, 1], (7, 40, 1))
    mean = geo.markley_mean(quats.astype(dtype), weights)
    assert mean.dtype == dtype
    for group in range(7):
        oracle = Rotation.from_rotvec(noise[group]).mean(weights[group]).as_matrix()
        error = geo.geodesic_distance(geo.quat_wxyz_to_rotmat(mean[group]), oracle)
        assert error < (1e-6 if dtype is np.float32 else 1e-12)


def test_markley_mean_by_hand() -> None:
    quats = geo.axis_angle_to_quat_wxyz(np.array([[0, 0, 0.2], [0, 0, 0.6]]))
    np.testing.assert_allclose(geo.quat_wxyz_to_axis_angle(geo.markley_mean(quats)), [0, 0, 0.4], atol=1e-15)


@pytest.mark.parametrize("joints", [1, 4, 6, 24])
def test_scatter_equals_brute_force(joints: int) -> None:
    rng = np.random.default_rng(4)
    quats = Rotation.random(300 * joints, random_state=2).as_quat().reshape(300, joints, 4)
    labels, weights = rng.integers(0, 4, 300), rng.uniform(0, 2, 300)
    scatter = geo.markley_scatter(quats, labels, 6, weights)
    for cluster in range(6):
        rows = labels == cluster
        brute = np.einsum("n,nja,njb->jab", weights[rows], quats[rows], quats[rows])
        np.testing.assert_allclose(scatter[cluster], brute, atol=1e-12)


def test_scatter_does_not_depend_on_threads() -> None:
    rng = np.random.default_rng(5)
    quats = rng.normal(size=(5000, 24, 4)).astype(np.float32)
    labels = rng.integers(0, 7, 5000)
    threads = get_num_threads()
    try:
        many = geo.markley_scatter(quats, labels, 7)
        set_num_threads(1)
        one = geo.markley_scatter(quats, labels, 7)
    finally:
        set_num_threads(threads)
    np.testing.assert_array_equal(many, one)


def test_empty_cluster_is_the_identity_not_a_half_turn() -> None:
    quat, gap = geo.scatter_to_mean(np.zeros((2, 4, 4)))
    np.testing.assert_array_equal(quat, [[1, 0, 0, 0]] * 2)
    np.testing.assert_array_equal(gap, 0)


def test_gap_is_one_when_all_agree_and_zero_when_arbitrary() -> None:
    one = np.diag([3.0, 0, 0, 0])
    assert geo.scatter_to_mean(one)[1] == pytest.approx(1)
    assert geo.scatter_to_mean(np.eye(4))[1] == pytest.approx(0)


def test_geodesic_distance_keeps_digits_at_both_ends() -> None:
    for angle in (0.0, 1e-9, 1.0, np.pi - 1e-9, np.pi):
        turned = Rotation.from_rotvec([0, angle, 0]).as_matrix()
        base = _rotations(1).as_matrix()[0]
        assert geo.geodesic_distance(base, base @ turned) == pytest.approx(angle, abs=5e-15)


def test_mirror_is_a_reflection_of_the_matrix() -> None:
    vector = _rotations(20).as_rotvec()
    flip = np.diag([-1.0, 1, 1])
    mirrored = geo.axis_angle_to_rotmat(geo.mirror_axis_angle(vector))
    np.testing.assert_allclose(mirrored, flip @ geo.axis_angle_to_rotmat(vector) @ flip, atol=1e-14)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InputError, match=r"axis_angle: expected shape \(\.\.\., 3\), got \(2, 4\)"):
        geo.axis_angle_to_rotmat(np.zeros((2, 4)))
    with pytest.raises(InputError, match="quat_wxyz: has a vector that is zero"):
        geo.quat_wxyz_to_rotmat(np.zeros((3, 4)))
    with pytest.raises(InputError, match="quat_wxyz: has a vector that is zero or not a number"):
        geo.quat_wxyz_to_axis_angle(np.full(4, np.nan))
    with pytest.raises(InputError, match="rot6d: has two parallel vectors"):
        geo.rot6d_to_rotmat(np.array([1.0, 2, 1, 2, 1, 2]))
    with pytest.raises(InputError, match="no quaternion with a positive weight"):
        geo.markley_mean(np.ones((2, 3, 4)), np.zeros((2, 3)))
    with pytest.raises(InputError, match="no quaternion with a positive weight"):
        geo.markley_mean(np.ones((0, 4)))
    with pytest.raises(InputError, match=r"markley_scatter row 1: label 9 is outside 0\.\.2"):
        geo.markley_scatter(np.ones((3, 2, 4)), np.array([0, 9, 1]), 3)
    with pytest.raises(InputError, match=r"expected quats \(N, J, 4\) and labels \(N,\)"):
        geo.markley_scatter(np.ones((3, 4)), np.zeros(3), 1)
    with pytest.raises(InputError, match=r"expected weights \(3,\), got \(2,\)"):
        geo.markley_scatter(np.ones((3, 1, 4)), np.zeros(3), 1, np.ones(2))

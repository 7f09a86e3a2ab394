"""Cameras: by hand, round trips, against an independent least-squares solver, and rows that cannot be solved."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry import camera as cam


def _scene(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    joints = rng.normal(0, 0.4, (n, 24, 3))
    return joints, np.stack([rng.uniform(0.5, 1.3, n), *rng.normal(0, 0.2, (2, n))], -1)


def _with_confidence(values: np.ndarray, confidence: float | np.ndarray = 1.0) -> np.ndarray:
    return np.concatenate([values, np.broadcast_to(confidence, values.shape[:-1])[..., None]], -1)


def test_project_by_hand() -> None:
    camera = np.array([0.5, 0.1, -0.2])  # depth = 10000 / 112 m
    depth = 10000 / (224 * 0.5)
    np.testing.assert_allclose(cam.crop_camera_translation(camera), [0.1, -0.2, depth])
    point = np.array([[0.3, 0.4, 1.0]])
    expected = [[5000 * 0.4 / (1 + depth) + 112, 5000 * 0.2 / (1 + depth) + 112]]
    np.testing.assert_allclose(cam.project_crop_camera(point, camera), expected, rtol=1e-14)
    np.testing.assert_allclose(cam.project_crop_camera(point, camera, size=56), np.array(expected) / 4, rtol=1e-14)


def test_far_away_is_weak_perspective() -> None:
    joints, camera = _scene()
    flat = joints * [1, 1, 0]
    weak = cam.weak_perspective_project(flat, camera)
    np.testing.assert_allclose(cam.project_crop_camera(flat, camera), 112 * (weak + 1), atol=1e-9)


def test_perspective_by_hand() -> None:
    got = cam.project_perspective(np.array([[1.0, -2, 4]]), np.array([100.0, 200]), np.array([50.0, 60]))
    assert got.tolist() == [[75, -40]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_solver_returns_the_camera_that_projected(dtype: type) -> None:
    joints, camera = _scene()
    pixels = cam.project_crop_camera(joints, camera)
    got, valid = cam.solve_crop_camera(_with_confidence(joints).astype(dtype), _with_confidence(pixels).astype(dtype))
    assert valid.all()
    assert got.dtype == dtype
    np.testing.assert_allclose(got, camera, atol=1e-12 if dtype is np.float64 else 2e-4)


def test_solver_equals_weighted_lstsq_on_noise() -> None:
    rng = np.random.default_rng(1)
    joints, camera = _scene(10)
    pixels = cam.project_crop_camera(joints, camera) + rng.normal(0, 5, (10, 24, 2))
    weight = rng.uniform(0, 1, (10, 24))
    got, valid = cam.solve_crop_camera(_with_confidence(joints), _with_confidence(pixels, weight))
    assert valid.all()
    for row in range(10):
        lines, values = [], []
        for (x, y, z), (u, v), w in zip(joints[row], pixels[row] - 112, weight[row], strict=True):
            lines += [np.sqrt(w) * np.array([5000, 0, -u]), np.sqrt(w) * np.array([0, 5000, -v])]
            values += [np.sqrt(w) * (u * z - 5000 * x), np.sqrt(w) * (v * z - 5000 * y)]
        tx, ty, tz = np.linalg.lstsq(np.array(lines), np.array(values), rcond=None)[0]
        np.testing.assert_allclose(got[row], [10000 / (224 * tz), tx, ty], rtol=1e-9)


def test_solver_flags_instead_of_raising() -> None:
    joints, camera = _scene(7)
    pixels = _with_confidence(cam.project_crop_camera(joints, camera))
    joints = _with_confidence(joints)
    joints[0, 5:, 3] = 0  # five joints
    pixels[1, :, 2] = 0  # none
    pixels[2, :, :2] = 100  # all keypoints in one place
    joints[3, :, :3] = 0.1  # all joints in one place, keypoints spread: depth 0
    joints[4, :, :2] *= -1  # upside down: the body would be behind the camera
    joints[5, 3] = np.nan  # not a number, and confident by NaN > 0 being false: left out
    joints[6, 3, 0] = np.inf
    got, valid = cam.solve_crop_camera(joints, pixels)
    assert valid.tolist() == [False, False, False, False, False, True, False]
    assert np.isnan(got[~valid]).all()
    np.testing.assert_allclose(got[5], camera[5], atol=1e-9)


def test_solver_never_reads_joints_without_confidence() -> None:
    joints, camera = _scene(1)
    pixels = _with_confidence(cam.project_crop_camera(joints, camera))
    joints = _with_confidence(joints)
    pixels[0, 10:, :2], pixels[0, 10:, 2] = np.nan, 0
    got, valid = cam.solve_crop_camera(joints, pixels)
    assert valid.all()
    np.testing.assert_allclose(got, camera, atol=1e-10)


def test_solver_takes_no_rows() -> None:
    camera, valid = cam.solve_crop_camera(np.zeros((0, 24, 4)), np.zeros((0, 24, 3)))
    assert camera.shape == (0, 3)
    assert valid.shape == (0,)


def test_full_camera_projects_to_the_same_pixels() -> None:
    rng = np.random.default_rng(2)
    joints, camera = _scene(20)
    flat = joints * [1, 1, 0]  # in one plane both cameras show exactly the same picture
    center, side = rng.uniform(100, 900, (20, 2)), rng.uniform(80, 400, 20)
    size, focal = np.array([1000, 1400]), np.full(20, 1700.0)
    full = cam.crop_to_full_camera(camera, center, side, size, focal)
    pixels = cam.project_perspective(flat + full[:, None], focal[:, None].repeat(2, 1), np.array([700.0, 500]))
    crop = (pixels - center[:, None]) * (224 / side)[:, None, None] + 112
    np.testing.assert_allclose(crop, cam.project_crop_camera(flat, camera), atol=1e-9)
    np.testing.assert_allclose(cam.full_to_crop_camera(full, center, side, size, focal), camera, atol=1e-12)


def test_pmnet_camera_gives_the_same_image() -> None:
    joints, camera = _scene(5)
    theirs = cam.crop_to_pmnet_camera(camera)
    image = theirs[:, None, :1] * joints[..., :2] + theirs[:, None, 1:]
    np.testing.assert_allclose(image, cam.weak_perspective_project(joints, camera), atol=1e-15)
    np.testing.assert_allclose(cam.pmnet_to_crop_camera(theirs), camera, atol=1e-15)


def test_errors_name_what_is_wrong() -> None:
    zero, one = np.zeros(3), np.ones(2)
    with pytest.raises(InputError, match="camera: has scale 0"):
        cam.crop_camera_translation(zero)
    with pytest.raises(InputError, match="scale times crop side is 0"):
        cam.crop_to_full_camera(zero, one, np.array(1.0), one, np.array(1.0))
    with pytest.raises(InputError, match="translation: has depth 0"):
        cam.full_to_crop_camera(zero, one, np.array(1.0), one, np.array(1.0))
    with pytest.raises(InputError, match="camera: has scale 0"):
        cam.pmnet_to_crop_camera(zero)
    with pytest.raises(InputError, match=r"points: expected shape \(\.\.\., 3\), got \(4, 2\)"):
        cam.project_crop_camera(np.zeros((4, 2)), np.ones(3))
    with pytest.raises(InputError, match=r"solve_crop_camera: expected joints \(N, J, 4\)"):
        cam.solve_crop_camera(np.zeros((2, 5, 4)), np.zeros((2, 4, 3)))

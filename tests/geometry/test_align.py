"""Procrustes against scipy and by hand; never a reflection; degenerate sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.align import procrustes, root_aligned


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recovers_a_known_similarity(dtype: type) -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(4, 5, 14, 3)).astype(dtype)
    rotation = Rotation.random(20, random_state=0).as_matrix().reshape(4, 5, 3, 3)
    scale, move = rng.uniform(0.3, 3, (4, 5)), rng.normal(size=(4, 5, 3))
    target = scale[..., None, None] * (source @ np.swapaxes(rotation, -1, -2)) + move[..., None, :]
    aligned, (got_scale, got_rotation, got_move) = procrustes(source, target.astype(dtype))
    tolerance = 1e-12 if dtype is np.float64 else 5e-6
    assert aligned.dtype == dtype
    for got, expected in [(aligned, target), (got_scale, scale), (got_rotation, rotation), (got_move, move)]:
        np.testing.assert_allclose(got, expected, atol=tolerance)


def test_rotation_equals_scipys_on_noise() -> None:
    rng = np.random.default_rng(1)
    source, target = rng.normal(size=(2, 17, 3))
    _, (scale, rotation, _) = procrustes(source, target)
    a, b = source - source.mean(0), target - target.mean(0)
    oracle = Rotation.align_vectors(b, a)[0].as_matrix()
    np.testing.assert_allclose(rotation, oracle, atol=1e-10)
    assert scale == pytest.approx((b * (a @ oracle.T)).sum() / (a**2).sum())


def test_a_mirror_image_is_turned_never_reflected() -> None:
    source = np.random.default_rng(2).normal(size=(30, 14, 3))
    _, (_, rotation, _) = procrustes(source, source * [-1, 1, 1])
    np.testing.assert_allclose(np.linalg.det(rotation), 1)


def test_no_small_change_improves_the_fit() -> None:
    rng = np.random.default_rng(3)
    source, target = rng.normal(size=(2, 14, 3))
    aligned, (scale, rotation, move) = procrustes(source, target)
    best = ((aligned - target) ** 2).sum()
    for _ in range(50):
        turn = Rotation.from_rotvec(rng.normal(0, 0.01, 3)).as_matrix() @ rotation
        other = scale * rng.normal(1, 0.01) * source @ turn.T + move + rng.normal(0, 0.01, 3)
        assert ((other - target) ** 2).sum() > best


def test_flat_and_pointlike_sets_stay_finite() -> None:
    rng = np.random.default_rng(4)
    target = rng.normal(size=(3, 14, 3))
    source = np.zeros((3, 14, 3))
    source[0] = 2.0  # one point
    source[1, :, 0] = np.arange(14)  # a line
    source[2, :, :2] = rng.normal(size=(14, 2))  # a plane
    aligned, (scale, rotation, _) = procrustes(source, target)
    assert np.isfinite(aligned).all()
    np.testing.assert_allclose(np.linalg.det(rotation), 1)
    np.testing.assert_allclose(aligned[0], np.broadcast_to(target[0].mean(0), (14, 3)))
    assert scale[0] == 1


def test_root_by_index_middle_and_value() -> None:
    points = np.arange(12.0).reshape(1, 4, 3)
    assert root_aligned(points, 1)[0, 1].tolist() == [0, 0, 0]
    middle = root_aligned(points, (2, 3))[0]
    assert (middle[2] + middle[3]).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(root_aligned(points, np.array([[1.0, 1, 1]])), points - 1)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InputError, match=r"two equal shapes \(\.\.\., P, 3\), got \(4, 3\) and \(5, 3\)"):
        procrustes(np.zeros((4, 3)), np.zeros((5, 3)))
    with pytest.raises(InputError, match=r"expected points \(\.\.\., P, 3\), got \(4, 2\)"):
        root_aligned(np.zeros((4, 2)), 0)

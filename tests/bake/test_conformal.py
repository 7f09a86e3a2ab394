from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

conformal = pytest.importorskip("bake.reference_body.conformal", reason="the bake scripts are not in this installation")


def grid(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (rows·columns, 2) in the unit square, and triangles."""
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    lower = np.stack([first, first + 1, first + columns + 1], 1)
    upper = np.stack([first, first + columns + 1, first + columns], 1)
    return np.stack([u.ravel(), v.ravel()], 1), np.concatenate([lower, upper])


def pairwise(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def test_a_plane_comes_back_as_it_is() -> None:
    flat, faces = grid(5, 7)
    tilted = Rotation.from_rotvec([0.3, 1.0, -0.4]).apply(np.c_[flat, np.zeros(len(flat))]) + 2
    mapped = conformal.conformal_map(tilted, faces, (0, len(flat) - 1))
    np.testing.assert_allclose(pairwise(mapped), pairwise(flat), atol=1e-9)
    np.testing.assert_allclose(mapped[0], 0, atol=1e-12)


def test_a_cylinder_unrolls() -> None:
    flat, faces = grid(9, 41)
    angle = flat[:, 0] * np.pi
    rolled = np.stack([np.cos(angle), flat[:, 1], np.sin(angle)], 1)
    corner, opposite = 0, len(flat) - 1
    mapped = conformal.conformal_map(rolled, faces, (corner, opposite))
    unrolled = np.stack([angle, flat[:, 1]], 1)
    scale = pairwise(mapped)[corner, opposite] / pairwise(unrolled)[corner, opposite]
    np.testing.assert_allclose(pairwise(mapped), scale * pairwise(unrolled), atol=2e-3)


def test_local_coordinates_keep_lengths() -> None:
    points = np.array([[0, 0, 0], [3, 0, 0], [0, 0, 4.0]])
    flat, double_area = conformal.local_coordinates(points, np.array([[0, 1, 2]]))
    np.testing.assert_allclose(pairwise(flat[0]), pairwise(points))
    assert double_area.tolist() == [12.0]


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.5, -1.6])
def test_turn_upright(angle: float) -> None:
    flat, _ = grid(4, 6)
    turned = flat @ Rotation.from_rotvec([0, 0, angle]).as_matrix()[:2, :2].T
    upright = conformal.turn_upright(turned, flat[:, 1])
    np.testing.assert_allclose(upright - upright[0], flat - flat[0], atol=1e-12)


def test_fill_unit_square() -> None:
    filled = conformal.fill_unit_square(np.array([[2.0, -1], [4, 1], [3, 3]]))
    assert filled.tolist() == [[0, 0], [1, 0.5], [0.5, 1]]

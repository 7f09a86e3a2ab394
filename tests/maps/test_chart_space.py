from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from hmrtk.toolkit.maps.atlas import Atlas, onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.chart_space import ChartSpace, nearest_on_triangles
from hmrtk.toolkit.maps.location import UVSpace


@pytest.mark.parametrize("chart", [1, 3, 24])
def test_texels_are_where_their_faces_say(chart: int) -> None:
    atlas = reference_atlas()
    for size, place in ((40, lambda k: (k + 0.5) / 40), (None, lambda k: k / 255)):
        space = ChartSpace(atlas, chart, size)
        rows, cols = np.nonzero(space.mask)
        assert (atlas.chart[space.face[rows, cols]] == chart).all()
        uv = (space.weights[rows, cols][:, :, None] * atlas.face_uv[space.face[rows, cols]]).sum(axis=1)
        np.testing.assert_allclose(uv, np.column_stack([place(cols), place(rows)]), atol=1e-6)
        assert (space.face[~space.mask] == -1).all()
        assert (space.weights[~space.mask] == 0).all()


def test_one_piece_space_is_the_uv_space() -> None:
    atlas = onepiece_atlas()
    space, other = ChartSpace(atlas, 1, 64), UVSpace(atlas, 64)
    np.testing.assert_array_equal(space.face, other.face)
    rows, cols = np.nonzero(space.mask)
    order, same = (
        np.argsort(atlas.vertices_faces[space.face[rows, cols]]),
        np.argsort(other.vertices_of_texel[rows, cols]),
    )
    np.testing.assert_array_equal(
        np.take_along_axis(space.weights[rows, cols].astype(np.float32), order, axis=1),
        np.take_along_axis(other.weights[rows, cols], same, axis=1),
    )


def test_a_chart_that_the_atlas_lacks_is_empty() -> None:
    space = ChartSpace(onepiece_atlas(), 7, 16)
    assert not space.mask.any()
    assert len(space.faces) == 0
    assert (space.face == -1).all()


def test_nearest_points_against_a_minimiser() -> None:
    rng = np.random.default_rng(0)
    points, triangles = rng.normal(size=(30, 3)), rng.normal(size=(5, 3, 3))
    found, weights, distance = nearest_on_triangles(points, triangles)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights >= -1e-12).all()
    for p, point in enumerate(points):
        best = min(_minimised(point, triangle) for triangle in triangles)
        assert distance[p] == pytest.approx(best, abs=1e-5)
        assert np.linalg.norm(weights[p] @ triangles[found[p]] - point) == pytest.approx(distance[p])


def _minimised(point: NDArray[np.float64], triangle: NDArray[np.float64]) -> float:
    def gap(x: NDArray[np.float64]) -> float:
        return float(np.linalg.norm(triangle[0] + x @ (triangle[1:] - triangle[0]) - point))

    inside = {"type": "ineq", "fun": lambda x: 1 - x.sum()}
    return min(
        float(minimize(gap, start, bounds=[(0, 1)] * 2, constraints=[inside], method="SLSQP", tol=1e-12).fun)
        for start in ([0.3, 0.3], [0.0, 0.0], [0.9, 0.05], [0.05, 0.9])
    )


def test_candidates_and_triangles_without_area() -> None:
    flat = np.array([[[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[5, 5, 5], [5, 5, 5], [5, 5, 5]]], np.float64)
    points = np.array([[1.5, 1, 0], [4, 5, 5], [0, 0, 0]], np.float64)
    found, weights, distance = nearest_on_triangles(points, flat)
    np.testing.assert_array_equal(found, [0, 1, 0])
    np.testing.assert_allclose(distance, [1, 1, 0])
    np.testing.assert_allclose(weights[0] @ flat[0], [1.5, 0, 0])
    found, _, distance = nearest_on_triangles(points, flat, np.array([0, 1, 2, 2]), np.array([1, 0]))
    np.testing.assert_array_equal(found, [1, 0, -1])
    assert distance[2] == np.inf


def test_either_side_of_a_layout_gives_the_same_texels() -> None:
    atlas = onepiece_atlas()
    other = Atlas(**{**vars_of(atlas), "corner_uv": atlas.corner_uv[:, ::-1].copy(), "symmetric": False})
    space, turned = ChartSpace(atlas, 1, 32), ChartSpace(other, 1, 32)
    assert (space.face == turned.face.T).mean() > 0.999
    rows, cols = np.nonzero(space.face == turned.face.T)
    np.testing.assert_allclose(space.weights[rows, cols], turned.weights[cols, rows], atol=1e-9)


def vars_of(atlas: Atlas) -> dict[str, Any]:
    return {field: getattr(atlas, field) for field in Atlas.__dataclass_fields__}

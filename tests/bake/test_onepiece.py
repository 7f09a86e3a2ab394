"""The stages of the one-piece atlas on small surfaces, and its first steps on the packaged body."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

seams = pytest.importorskip("bake.onepiece_atlas.seams", reason="the bake scripts are not in this installation")
layout = pytest.importorskip("bake.onepiece_atlas.layout")
rim = pytest.importorskip("bake.onepiece_atlas.rim")
stretch = pytest.importorskip("bake.onepiece_atlas.stretch")
mesh = pytest.importorskip("bake.reference_body.mesh")


@pytest.fixture(scope="module")
def disc(body: dict[str, np.ndarray]) -> Any:
    points = body["v_template_neutral"].astype(np.float64)
    faces, corners = body["faces"].astype(np.int64), body["ft"].astype(np.int64)
    return seams.sew(faces, corners, points, body["mirror"].astype(np.int64))


def test_seams_of_a_tetrahedron() -> None:
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    assert seams.seam_edges(faces, faces) == {}
    corners = faces.copy()
    corners[0, 0] = 4  # vertex 0 has a corner of its own in the first face
    assert seams.seam_edges(faces, corners) == {(0, 2): (0, 3), (0, 1): (0, 1)}


def test_seams_split_at_junctions() -> None:
    """A loop of six edges that two other seams reach at vertices 0 and 2."""
    loop = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)]
    degree = Counter(vertex for edge in [*loop, (0, 9), (2, 8)] for vertex in edge)
    pieces = {frozenset(piece) for piece in map(frozenset, seams.split_at_junctions(loop, degree))}
    assert pieces == {frozenset(loop[:2]), frozenset(loop[2:])}


def test_one_junction_is_left_open() -> None:
    loop = [(k, k + 1) for k in range(9)] + [(0, 9)]
    degree = Counter(vertex for edge in [*loop, (0, 20)] for vertex in edge)
    assert seams.open_junction(loop, degree) == [(k, k + 1) for k in range(2, 8)]


def test_sewn_body_is_a_symmetric_disc(disc: Any, body: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(disc.vertices[disc.triangles], body["faces"])
    assert mesh.euler_characteristic(disc.triangles) == 1
    np.testing.assert_array_equal(disc.mirror[disc.mirror], np.arange(len(disc.mirror)))
    np.testing.assert_array_equal(disc.vertices[disc.mirror], body["mirror"][disc.vertices])
    assert set(disc.rim) == set(mesh.boundary_vertices(disc.triangles))
    np.testing.assert_array_equal(disc.mirror[disc.rim[1:]], disc.rim[:0:-1])


def test_rounded_square() -> None:
    curve = rim.RoundedSquare()
    arc = np.linspace(0, curve.length, 500)
    u, v = curve.point(arc).T
    np.testing.assert_allclose(np.abs(2 * u - 1) ** rim.EXPONENT + np.abs(2 * v - 1) ** rim.EXPONENT, 1, atol=1e-4)
    np.testing.assert_allclose(curve.point(np.array([0.0])), [[0.5, 1]], atol=1e-12)
    assert curve.point(np.array([0.1]))[0, 0] < 0.5
    speed = np.linalg.norm(np.diff(curve.point(np.linspace(0, curve.length, 20001)), axis=0), axis=1)
    np.testing.assert_allclose(speed, curve.length / 20000, rtol=1e-3)
    tangent = curve.tangent(arc)
    np.testing.assert_allclose((tangent * curve.curvature(arc)).sum(1), 0, atol=0.1)


def small_layout() -> tuple[Any, np.ndarray]:
    """Four triangles around a raised point, and a layout of them."""
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.4, 0.5, 0.3]])
    triangles = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    energy = stretch.StretchEnergy(points, triangles, np.array([0.1, 0.2, 0.3, 0.4]), 1.0)
    wobble = 0.05 * np.sin(np.arange(10)).reshape(5, 2)
    return energy, points[:, :2] + wobble


def test_stretch_of_an_isometry_and_of_a_scaling() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0.0]])
    energy = stretch.StretchEnergy(points, np.array([[0, 1, 2]]), np.array([0.5]), 1.0)
    assert energy.value(points[:, :2]) == pytest.approx(1)  # ‖identity‖² = 2
    assert energy.value(points[:, :2] / 3) == pytest.approx(9)
    assert energy.value(points[:, :2] * [1, -1]) == np.inf
    assert energy.value(points[:, :2] * [1, 0]) == np.inf


def test_gradient_against_differences() -> None:
    energy, uv = small_layout()
    gradient, _ = energy.derivatives(uv)
    step = 1e-6
    for index in range(uv.size):
        moved = [uv.ravel().copy() for _ in range(2)]
        moved[0][index] += step
        moved[1][index] -= step
        difference = (energy.value(moved[0].reshape(-1, 2)) - energy.value(moved[1].reshape(-1, 2))) / (2 * step)
        assert gradient[index] == pytest.approx(difference, rel=1e-5, abs=1e-7)


def test_hessian_is_convex_and_no_less_than_the_true_one() -> None:
    energy, uv = small_layout()
    _, hessian = energy.derivatives(uv)
    dense = hessian.toarray()
    np.testing.assert_allclose(dense, dense.T, atol=1e-9)
    assert np.linalg.eigvalsh(dense).min() > -1e-9
    rng, step = np.random.default_rng(0), 1e-4
    for direction in rng.normal(size=(20, *uv.shape)):
        values = [energy.value(uv + k * step * direction) for k in (-1, 0, 1)]
        curvature = (values[0] - 2 * values[1] + values[2]) / step**2
        assert direction.ravel() @ dense @ direction.ravel() > curvature - 1e-3 * abs(curvature)


def test_mean_value_weights_reproduce_a_flat_disc(disc: Any) -> None:
    """Mean value coordinates have linear precision: a flat point is the weighted mean of its ring."""
    rng = np.random.default_rng(1)
    flat = np.array([[0, 0], [2, 0], [2, 2], [0, 2], [1.2, 0.7]]) + 0.1 * rng.random((5, 2))
    fan = seams.Disc(
        triangles=np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]),
        vertices=np.arange(5),
        mirror=np.arange(5),
        rim=np.arange(4),
    )
    weights = layout.mean_value_weights(np.c_[flat, np.zeros(5)], fan).toarray()[4]
    np.testing.assert_allclose(weights @ flat / weights.sum(), flat[4], atol=1e-9)


def test_first_steps_on_the_body(disc: Any, body: dict[str, np.ndarray]) -> None:
    work = layout.Layout(disc, body["v_template_neutral"].astype(np.float64)[disc.vertices])
    values = [work.value]
    for _ in range(3):
        assert work.improve() > 0
        values.append(work.value)
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0] / 2
    areas = mesh.signed_areas(work.uv, disc.triangles)
    assert (areas > 0).all() or (areas < 0).all()
    rounded = work.rounded().astype(np.float32)
    np.testing.assert_array_equal(np.float32(1) - rounded[:, 0], rounded[disc.mirror, 0])

"""Vertices without translation, φ, and the one pool of threads."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.prototypes.features import Threads, parameter_vectors, pose_prototypes, stream_vertices
from hmrtk.toolkit.prototypes.vertex_kernels import mean_length, nearest_among, nearest_vectors, weighted_square


def test_vertices_stay_at_the_origin(body: BodyModel, bodies: BodyParameters) -> None:
    assert np.abs(bodies.transl[:9]).max() > 1
    expected = body.pose(bodies[:9].replaced(transl=np.zeros((9, 3)))).vertices
    for rows, vertices in stream_vertices(body, bodies[:9], chunk=4):
        np.testing.assert_array_equal(vertices, expected[rows])
    np.testing.assert_array_equal(pose_prototypes(body, bodies[:9]), expected)


def test_equal_prototypes_have_equal_bits_wherever_they_stand(body: BodyModel, bodies: BodyParameters) -> None:
    posed = pose_prototypes(body, bodies[np.array([3, 0, 1, 2, 3, 5, 3])])
    np.testing.assert_array_equal(posed[[4, 6]], posed[[0, 0]])


def test_phi_by_hand() -> None:
    turned = BodyParameters.of([[np.pi, 0, 0]], None, np.arange(10)[None])
    vector = parameter_vectors(turned)[0]
    np.testing.assert_allclose(vector[:12], [1, 0, 0, -1, 0, 0, 1, 0, 0, 1, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(vector[144:], np.arange(10))


@pytest.mark.parametrize(("count", "step"), [(0, 4), (1, 4), (2, 4), (9, 4), (64, 64), (1000, 7)])
def test_slices_cover_every_row_once(count: int, step: int) -> None:
    seen = np.zeros(count, int)
    with Threads() as threads:
        threads.each_slice(lambda rows: np.add.at(seen, rows, 1), count, step)
    assert (seen == 1).all()


def test_an_error_in_a_thread_is_raised_here() -> None:
    def fail(rows: slice) -> None:
        raise RuntimeError(f"slice from {rows.start}")

    with Threads() as threads, pytest.raises(RuntimeError, match="slice from 0"):
        threads.each_slice(fail, 10)


def test_product_is_numpys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(700, 30)), rng.normal(size=(30, 11))
    with Threads() as threads:
        np.testing.assert_allclose(threads.product(a, b), a @ b, rtol=1e-12)
        np.testing.assert_allclose(threads.product(a.T, a), a.T @ a, rtol=1e-10)


def test_kernels_against_numpy() -> None:
    rng = np.random.default_rng(0)
    meshes: NDArray[np.float32] = rng.normal(size=(6, 40, 3)).astype(np.float32)
    weights = rng.uniform(0, 5, 40)
    exact = meshes.astype(np.float64)
    expected = (((exact[0] - exact[1]) * weights[:, None]) ** 2).sum()
    assert weighted_square(meshes[0], meshes[1], weights**2) == pytest.approx(expected, rel=1e-12)
    metres = np.linalg.norm(exact[0] - exact[1], axis=1).mean()
    assert mean_length(meshes[0], meshes[1]) == pytest.approx(metres, rel=1e-12)
    gamma = (((exact[:4, None] - exact[4:]) * weights[:, None]) ** 2).sum((2, 3))
    label, distance = np.zeros(4, np.int32), np.zeros(4)
    nearest_among(meshes[:4], meshes[4:], weights**2, np.ones((4, 2), bool), label, distance)
    np.testing.assert_array_equal(label, gamma.argmin(1))
    np.testing.assert_allclose(distance, gamma.min(1), rtol=1e-12)


def test_kernels_give_ties_to_the_lowest_index_among_the_candidates() -> None:
    mesh = np.zeros((1, 5, 3), np.float32)
    label, distance = np.zeros(1, np.int32), np.zeros(1)
    candidates = np.array([[False, True, True]])
    nearest_among(mesh, np.ones((3, 5, 3), np.float32), np.ones(5), candidates, label, distance)
    assert (label[0], distance[0]) == (1, 15)
    nearest_vectors(np.zeros((1, 2), np.float32), np.ones((3, 2), np.float32), label, distance)
    assert (label[0], distance[0]) == (0, 2)

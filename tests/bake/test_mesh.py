from __future__ import annotations

import numpy as np
import pytest

mesh = pytest.importorskip("bake.reference_body.mesh", reason="the bake scripts are not in this installation")

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
SQUARE = np.array([[0, 1, 2], [0, 2, 3]])


def test_edges_of_a_square() -> None:
    edges, counts = mesh.undirected_edges(SQUARE)
    assert edges.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [2, 3]]
    assert counts.tolist() == [1, 2, 1, 1, 1]
    assert mesh.boundary_vertices(SQUARE).tolist() == [0, 1, 2, 3]


def test_euler_characteristic() -> None:
    assert mesh.euler_characteristic(TETRAHEDRON) == 2
    assert mesh.euler_characteristic(SQUARE) == 1


def test_closed_sphere_is_checked() -> None:
    mesh.assert_closed_sphere(TETRAHEDRON)
    with pytest.raises(AssertionError, match="two faces"):
        mesh.assert_closed_sphere(SQUARE)
    turned = TETRAHEDRON.copy()
    turned[0] = turned[0, ::-1]
    with pytest.raises(AssertionError, match="oriented"):
        mesh.assert_closed_sphere(turned)


def test_face_islands_and_faces_by_edge() -> None:
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6]])
    assert mesh.face_islands(faces, 7).tolist() == [0, 0, 1]
    assert mesh.faces_by_edge(faces)[(0, 2)] == [0, 1]


def test_neighbour_average_is_the_mean_of_the_ring() -> None:
    points = np.arange(12.0).reshape(4, 3) ** 2
    averaged = mesh.neighbour_average(SQUARE, 4) @ points
    np.testing.assert_allclose(averaged[1], points[[0, 2]].mean(0))
    np.testing.assert_allclose(averaged[0], points[[1, 2, 3]].mean(0))


def test_normals_point_outwards_and_areas_are_signed() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    normals = mesh.vertex_normals(points, TETRAHEDRON)
    assert ((points - points.mean(0)) * normals).sum(1).min() > 0
    assert mesh.signed_areas(points[:, :2], np.array([[0, 1, 2], [0, 2, 1]])).tolist() == [0.5, -0.5]


def test_mirrored_faces() -> None:
    faces = np.array([[0, 1, 2], [0, 3, 1], [2, 1, 0][::-1]])
    assert mesh.mirrored_faces(faces[:2], np.array([0, 1, 3, 2])).tolist() == [1, 0]

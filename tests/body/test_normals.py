"""Vertex normals: a tetrahedron by hand, the body by NumPy, vertices that no face touches."""

from __future__ import annotations

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.normals import vertex_normals


def test_normals_of_a_tetrahedron_point_outwards() -> None:
    vertices = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    expected = vertices / np.sqrt(3)
    assert np.allclose(vertex_normals(vertices, faces), expected, atol=1e-6)


def test_normals_match_numpy_on_the_body(body: BodyModel) -> None:
    vertices = body.v_template.astype(np.float64)
    corners = vertices[body.faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    expected = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(expected, body.faces[:, k], face_normals)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(vertex_normals(body.v_template, body.faces) - expected).max() < 2e-3


def test_a_vertex_without_faces_gets_some_unit_normal() -> None:
    normals = vertex_normals(np.zeros((4, 3), np.float32), np.array([[0, 1, 2]], np.int32))
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)

"""Meshes for other programs: an independent reader finds what was put in."""

from __future__ import annotations

import io

import numpy as np
import trimesh

from hmrtk.toolkit.body.mesh_file import glb_bytes, obj_bytes
from hmrtk.toolkit.body.normals import vertex_normals


def test_normals_of_a_box_point_outward_and_lone_vertices_have_some() -> None:
    box = trimesh.creation.box()
    vertices = np.vstack([box.vertices, [[9, 9, 9]]])
    normals = vertex_normals(vertices, np.asarray(box.faces))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert (np.einsum("vi,vi->v", normals[:8], box.vertices) > 0.5).all()
    np.testing.assert_array_equal(normals[8], [0, 0, -1])


def test_more_than_65534_vertices_take_longer_indices() -> None:
    count = 70_000
    points = np.random.default_rng(0).normal(size=(1, count, 3)).astype(np.float32)
    faces = np.array([[0, 1, count - 1]])
    data = glb_bytes(points, faces, ["big"], [{}], "scene")
    scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", process=False)
    np.testing.assert_array_equal(scene.geometry["big"].faces, faces)
    np.testing.assert_array_equal(scene.geometry["big"].vertices, points[0])


def test_obj_is_read_back() -> None:
    box = trimesh.creation.box()
    data = obj_bytes(np.asarray(box.vertices, np.float32), np.asarray(box.faces), "box", "metres")
    assert data.startswith(b"# metres\no box\nv ")
    mesh = trimesh.load_mesh(io.BytesIO(data), file_type="obj", process=False)
    np.testing.assert_allclose(mesh.vertices, box.vertices, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, box.faces)

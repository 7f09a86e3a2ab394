"""Viewer: what the page's script decodes is the mesh that was put in."""

from __future__ import annotations

import base64
import json

import numpy as np

from hmrtk.reports.gallery import Card, Gallery
from hmrtk.reports.viewer import Viewer

FACES = np.array([[0, 1, 2], [0, 2, 3]])


def _viewer(vertices: np.ndarray, most: int = 200) -> Viewer:
    cards = [Card([("a", b"png")], f"body {i}", [], {}) for i in range(len(vertices))]
    return Viewer.of(Gallery("g", "G", "c", cards, b"sheet"), [""] * len(cards), vertices, FACES, most)


def _decoded(viewer: Viewer) -> tuple[np.ndarray, list[np.ndarray]]:
    payload = json.loads(viewer.payload())
    faces = np.frombuffer(base64.b64decode(payload["faces"]), "<u2").reshape(-1, 3)
    meshes = [np.frombuffer(base64.b64decode(m), "<i2").reshape(-1, 3) * payload["unit"] for m in payload["meshes"]]
    return faces, meshes


def test_meshes_come_back_centred_at_one_scale() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(3, 4, 3)) * np.array([1, 2, 0.1])[:, None, None] + 5
    faces, meshes = _decoded(_viewer(vertices))
    np.testing.assert_array_equal(faces, FACES)
    for mesh, points in zip(meshes, vertices, strict=True):
        centred = points - (points.min(axis=0) + points.max(axis=0)) / 2
        np.testing.assert_allclose(mesh, centred, atol=_viewer(vertices).unit / 2 + 1e-12)


def test_a_metre_is_kept_to_a_twentieth_of_a_millimetre() -> None:
    vertices = np.array([[[-1, -1, -1], [1, 1, 1], [0, 0, 0.3], [0.5, 0, 0]]])
    assert _viewer(vertices).unit < 5e-5


def test_only_the_first_cards_get_a_mesh() -> None:
    viewer = _viewer(np.random.default_rng(0).normal(size=(5, 4, 3)), most=2)
    assert len(viewer.meshes) == 2
    assert len(viewer.cards) == 5


def test_a_mesh_without_extent_is_a_point() -> None:
    meshes = _decoded(_viewer(np.ones((1, 4, 3))))[1]
    np.testing.assert_array_equal(meshes[0], 0)


def test_the_payload_cannot_end_its_script_element() -> None:
    assert "<" not in _viewer(np.random.default_rng(0).normal(size=(2, 4, 3))).payload()

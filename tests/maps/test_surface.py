from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas, onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.iuv import render_iuv
from hmrtk.toolkit.maps.projection import project_vertices
from hmrtk.toolkit.maps.raster import barycentric, rasterize
from hmrtk.toolkit.maps.surface import SurfaceTable

Draw = Callable[[int, int], BodyParameters]


@pytest.fixture(scope="module")
def tables() -> dict[str, SurfaceTable]:
    return {atlas.name: SurfaceTable(atlas) for atlas in (reference_atlas(), onepiece_atlas())}


@pytest.mark.parametrize(
    ("name", "texture", "size", "mean_mm", "max_mm"),
    [
        ("reference", "vertex", 56, 0.8, 5),
        ("reference", "vertex", 224, 0.8, 5),
        ("reference", "face", 224, 8, 60),
        ("onepiece", "vertex", 56, 3.5, 25),
        ("onepiece", "vertex", 224, 3.5, 25),
    ],
)
def test_every_pixel_leads_back_to_what_its_ray_hits(
    tables: dict[str, SurfaceTable],
    body: BodyModel,
    random_parameters: Draw,
    name: str,
    texture: str,
    size: int,
    mean_mm: float,
    max_mm: float,
) -> None:
    table = tables[name]
    faces = table.atlas.vertices_faces
    vertices = body.pose(random_parameters(24, 5)).vertices
    points = project_vertices(vertices, np.tile([[0.85, 0.05, 0.1]], (24, 1)), size)
    face_id = rasterize(points, faces, size)
    weights = barycentric(points, faces, face_id)
    found = table.positions(render_iuv(points, table.atlas, size, texture), vertices)
    n, i, j = np.nonzero(face_id >= 0)
    hit = (weights[n, i, j, :, None] * vertices[n[:, None], faces[face_id[n, i, j]]]).sum(axis=1)
    off = 1000 * np.linalg.norm(found[n, :, i, j] - hit, axis=1)
    assert off.mean() < mean_mm
    assert off.max() < max_mm
    assert np.isnan(found[:, 0][face_id < 0]).all()


@pytest.mark.parametrize("chart", [1, 4, 23])
def test_levels_outside_a_chart_take_its_nearest_point(tables: dict[str, SurfaceTable], chart: int) -> None:
    closest_point = pytest.importorskip("trimesh").triangles.closest_point
    table = tables["reference"]
    atlas, rng = table.atlas, np.random.default_rng(chart)
    level = rng.integers(0, 256, (60, 2))  # V, U
    members = np.flatnonzero(atlas.chart == chart)
    triangles = np.concatenate([atlas.face_uv[members], np.zeros((len(members), 3, 1))], axis=2)
    for v, u in level:
        place = np.array([u / 255, v / 255, 0.0])
        expected = np.linalg.norm(closest_point(triangles, np.tile(place, (len(members), 1))) - place, axis=1).min()
        face, weight = table.face[chart, v, u], table.weights[chart, v, u]
        assert atlas.chart[face] == chart
        assert weight.min() > -1e-6
        uv = (weight[:, None] * atlas.face_uv[face]).sum(axis=0)
        assert np.linalg.norm(uv - place[:2]) == pytest.approx(expected, abs=1e-9)


def test_corners_come_back_as_vertices(tables: dict[str, SurfaceTable], body: BodyModel) -> None:
    atlas = reference_atlas()
    level = np.round(atlas.corner_uv * 255).astype(np.uint8)
    chart = np.zeros(len(level), np.uint8)
    chart[atlas.corner_faces] = atlas.chart[:, None]
    iuv = np.stack([chart, level[:, 0], level[:, 1]])[:, None]  # (3, 1, C)
    place = tables["reference"].locate(iuv).of(body.v_template)[0]
    off = np.linalg.norm(place - body.v_template[atlas.corner_vertices], axis=1)
    assert off.mean() < 1e-3
    assert off.max() < 6e-3


def test_one_face_by_hand() -> None:
    corners = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    one = np.ones(1, np.uint8)
    atlas = Atlas(
        "one",
        np.arange(3, dtype=np.int32),
        corners,
        np.arange(3, dtype=np.int32)[None],
        np.zeros(1, np.int32),
        one,
        False,
    )
    table = SurfaceTable(atlas)
    iuv = np.array([[1, 1, 1, 0], [0, 51, 255, 9], [0, 102, 255, 9]], np.uint8)[:, None]
    vertices = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 5]], np.float32)
    place = table.positions(iuv[None], vertices[None])[0, :, 0].T
    np.testing.assert_allclose(place[:3], [[0, 0, 0], [2, 4, 2], [5, 5, 2.5]], atol=1e-5)  # (1, 1) falls onto the edge
    assert np.isnan(place[3]).all()


def test_errors(tables: dict[str, SurfaceTable]) -> None:
    iuv = np.zeros((1, 3, 2, 2), np.uint8)
    with pytest.raises(InputError, match=r"expected uint8 \(\.\.\., 3, H, W\), got float64"):
        tables["reference"].locate(iuv.astype(float))
    with pytest.raises(InputError, match="has chart 25, expected 0 to 24"):
        tables["reference"].locate(iuv + np.uint8(25))
    with pytest.raises(InputError, match="has chart 2, which atlas 'onepiece' does not have"):
        tables["onepiece"].locate(iuv + np.uint8(2))
    with pytest.raises(InputError, match=r"expected shape \(1, V, 3\), got \(2, 6890, 3\)"):
        tables["reference"].positions(iuv, np.zeros((2, 6890, 3)))
    with pytest.raises(InputError, match="is of a body with 6890 vertices, got 10"):
        tables["reference"].positions(iuv, np.zeros((1, 10, 3)))

"""OBJ files as exporters write them, all made from the packaged layouts, and what comes back from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.reference import makehuman_uv_arrays
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.atlas import Atlas, onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.charts import CHART_NAMES
from hmrtk.toolkit.maps.iuv import render_iuv
from hmrtk.toolkit.maps.obj_atlas import BuiltAtlas, ObjConfig, build_atlas, chart_numbers, uv_islands
from hmrtk.toolkit.maps.obj_match import match_mesh
from hmrtk.toolkit.maps.projection import project_vertices

Ints, Floats = NDArray[np.int64], NDArray[np.float64]


class Exporter:
    """An OBJ file in the making: positions, coordinates, and polygons as lists of (vertex, coordinate)."""

    def __init__(self, body: BodyModel, atlas: Atlas) -> None:
        self.vertices: Floats = body.v_template.astype(np.float64)
        self.coordinates: Floats = atlas.corner_uv.astype(np.float64)
        pairs = np.stack([atlas.vertices_faces, atlas.corner_faces], axis=-1)
        self.polygons: list[list[tuple[int, int]]] = [[tuple(c) for c in f] for f in pairs.tolist()]
        self.before: dict[int, str] = {}

    def renumber(self, seed: int) -> None:
        """Vertices in another order."""
        order = np.random.default_rng(seed).permutation(len(self.vertices))
        place = np.argsort(order)
        self.vertices = self.vertices[order]
        self.polygons = [[(int(place[v]), t) for v, t in polygon] for polygon in self.polygons]

    def split(self) -> None:
        """One vertex per texture coordinate, as trimesh and three.js write."""
        vertex_of = {t: v for polygon in self.polygons for v, t in polygon}
        self.vertices = self.vertices[[vertex_of[t] for t in range(len(self.coordinates))]]
        self.polygons = [[(t, t) for _, t in polygon] for polygon in self.polygons]

    def append(self) -> None:
        """The body's vertices, then one more for every further texture coordinate."""
        first: dict[int, int] = {}
        copies: list[int] = []
        place: dict[int, int] = {}
        for v, t in (corner for polygon in self.polygons for corner in polygon):
            if first.setdefault(v, t) != t and t not in place:
                place[t] = len(self.vertices) + len(copies)
                copies.append(v)
        self.vertices = self.vertices[[*range(len(self.vertices)), *copies]]
        self.polygons = [[(place.get(t, v), t) for v, t in polygon] for polygon in self.polygons]

    def shuffle(self, seed: int) -> None:
        """Faces in another order, each from another corner."""
        rng = np.random.default_rng(seed)
        order, turn = rng.permutation(len(self.polygons)), rng.integers(0, 3, len(self.polygons))
        self.polygons = [self.polygons[i][k:] + self.polygons[i][:k] for i, k in zip(order, turn, strict=True)]

    def write(self, path: Path, digits: int = 9) -> Path:
        lines = ["v " + " ".join(f"{x:.{digits}g}" for x in row) for row in self.vertices.tolist()]
        lines += ["vt " + " ".join(f"{x:.{digits}g}" for x in row) for row in self.coordinates.tolist()]
        for number, polygon in enumerate(self.polygons):
            lines += [self.before[number]] if number in self.before else []
            lines.append("f " + " ".join(f"{v + 1}/{t + 1}" for v, t in polygon))
        path.write_text("\n".join(lines) + "\n")
        return path


Build = Callable[..., BuiltAtlas]


@pytest.fixture
def build(tmp_path: Path, body: BodyModel) -> Build:
    def call(exporter: Exporter, template: bool = True, digits: int = 9, **config: Any) -> BuiltAtlas:
        path = exporter.write(tmp_path / "body.obj", digits)
        return build_atlas(path, body.faces, body.v_template if template else None, ObjConfig(**config))

    return call


def same_surface(atlas: Atlas, expected: Atlas) -> None:
    """Equal faces, charts and coordinates, face by face and corner by corner."""
    np.testing.assert_array_equal(atlas.vertices_faces, expected.vertices_faces)
    np.testing.assert_array_equal(atlas.face_index, expected.face_index)
    np.testing.assert_array_equal(atlas.chart, expected.chart)
    np.testing.assert_array_equal(atlas.face_uv, expected.face_uv)
    assert len(atlas.corner_vertices) == len(expected.corner_vertices)
    assert atlas.symmetric == expected.symmetric


def test_a_plain_export_comes_back(build: Build, body: BodyModel) -> None:
    built = build(Exporter(body, onepiece_atlas()))
    same_surface(built.atlas, onepiece_atlas())
    assert built.facts["matched_by"] == "numbers"
    assert built.charts == {1: "whole body"}
    assert built.atlas.name == "body"


def test_split_renumbered_and_shuffled_vertices_are_found_by_their_place(build: Build, body: BodyModel) -> None:
    exporter = Exporter(body, onepiece_atlas())
    for change in (exporter.split, lambda: exporter.renumber(1), lambda: exporter.shuffle(2)):
        change()
        built = build(exporter)
        same_surface(built.atlas, onepiece_atlas())
        assert built.facts["matched_by"] == "positions"
        assert built.facts["file_vertices"] == 7374


@pytest.mark.parametrize(("unit", "offset"), [(100.0, 0.0), (1000.0, 250.0), (1.0, 1.2)])
def test_other_units_and_a_moved_body(build: Build, body: BodyModel, unit: float, offset: float) -> None:
    exporter = Exporter(body, onepiece_atlas())
    exporter.renumber(3)
    exporter.shuffle(4)
    exporter.vertices = unit * exporter.vertices + [0, offset, 0]
    built = build(exporter)
    same_surface(built.atlas, onepiece_atlas())
    assert built.facts["unit_m"] == pytest.approx(1 / unit)


def test_a_posed_body_is_found_by_merging_or_by_its_faces(build: Build, body: BodyModel) -> None:
    exporter = Exporter(body, onepiece_atlas())
    exporter.append()
    exporter.vertices = exporter.vertices * [0.8, 1.3, 1.1]
    built = build(exporter)
    same_surface(built.atlas, onepiece_atlas())
    assert built.facts["matched_by"] == "first appearance"
    exporter.renumber(5)
    built = build(exporter)
    same_surface(built.atlas, onepiece_atlas())
    assert built.facts["matched_by"] == "face order"
    exporter.shuffle(6)
    with pytest.raises(InputError, match=r"of 13776 faces are not faces of the body \(the first in line \d+\)"):
        build(exporter)


def test_quads_are_cut_along_the_body_s_diagonals(build: Build, body: BodyModel) -> None:
    exporter = Exporter(body, onepiece_atlas())
    exporter.polygons = paired(exporter.polygons)
    sizes = np.bincount([len(polygon) for polygon in exporter.polygons])
    assert sizes[4] > 5000
    # Start every quad at another corner: a fan from the first corner would take the wrong diagonal half the time.
    exporter.polygons = [polygon[i % 2 :] + polygon[: i % 2] for i, polygon in enumerate(exporter.polygons)]
    same_surface(build(exporter).atlas, onepiece_atlas())
    exporter.renumber(7)
    exporter.shuffle(8)
    same_surface(build(exporter).atlas, onepiece_atlas())


def paired(triangles: list[list[tuple[int, int]]]) -> list[list[tuple[int, int]]]:
    """Triangles joined to quads over an edge that both see alike, as far as each has a free neighbour."""
    open_edges: dict[frozenset[tuple[int, int]], int] = {}
    joined: dict[int, list[tuple[int, int]]] = {}
    used: set[int] = set()
    for number, triangle in enumerate(triangles):
        for k in range(3):
            edge = frozenset((triangle[k], triangle[(k + 1) % 3]))
            other = open_edges.get(edge)
            if other is not None and not {other, number} & used:
                tip = next(c for c in triangles[other] if c not in edge)
                joined[other] = [triangle[k], tip, triangle[(k + 1) % 3], triangle[(k + 2) % 3]]
                used |= {other, number}
            open_edges.setdefault(edge, number)
    return [joined.get(i, t) for i, t in enumerate(triangles) if i in joined or i not in used]


def test_polygons_of_more_corners_are_cut_the_same_way_every_time(body: BodyModel, tmp_path: Path) -> None:
    path = tmp_path / "fan.obj"
    corners = [(0, 0), (2, 0), (3, 1), (2, 2), (0, 2)]
    path.write_text("".join(f"v {x} {y} 0\nvt {x / 3} {y / 2}\n" for x, y in corners) + "f 1/1 2/2 3/3 4/4 5/5\n")
    for faces in (
        [[0, 1, 2], [0, 2, 3], [0, 3, 4]],
        [[1, 2, 3], [1, 3, 4], [1, 4, 0]],
        [[4, 0, 1], [4, 1, 3], [1, 2, 3]],
    ):
        built = build_atlas(path, np.array(faces))
        np.testing.assert_array_equal(built.atlas.vertices_faces, faces)
        np.testing.assert_allclose(built.atlas.face_uv[0], np.array(corners)[faces[0]] / [3, 2], atol=1e-7)


def test_winding_is_the_body_s(build: Build, body: BodyModel, facing: NDArray[np.float32]) -> None:
    exporter = Exporter(body, reference_atlas())
    exporter.polygons = [polygon[::-1] for polygon in exporter.polygons]
    exporter.before = {int(i): f"g chart {c}" for i, c in enumerate(reference_atlas().chart)}
    atlas = build(exporter, charts="groups").atlas
    same_surface(atlas, reference_atlas())
    px = project_vertices(facing[None], np.array([[0.9, 0.0, -0.28]]), 56)
    np.testing.assert_array_equal(render_iuv(px, atlas, 56), render_iuv(px, reference_atlas(), 56))


@pytest.mark.parametrize("kind", ["groups", "materials"])
def test_charts_from_names(build: Build, body: BodyModel, kind: str) -> None:
    keyword = {"groups": "o", "materials": "usemtl"}[kind]
    exporter = Exporter(body, reference_atlas())
    exporter.before = {
        i: f"{keyword} {CHART_NAMES[c].title().replace(' ', '_')}" for i, c in enumerate(reference_atlas().chart)
    }
    built = build(exporter, charts=kind)
    same_surface(built.atlas, reference_atlas())
    assert built.charts[3] == "Right_Hand"


def test_chart_numbers() -> None:
    assert chart_numbers(("torso-front", "Torso back")) == [2, 1]
    assert chart_numbers(("part.007", "part.003")) == [7, 3]
    assert chart_numbers(("skin", "cloth")) == [1, 2]
    assert chart_numbers(("a1", "b1")) == [1, 2]
    assert chart_numbers(("a0", "a25")) == [1, 2]


def test_islands_and_tiles(build: Build, body: BodyModel) -> None:
    exporter = Exporter(body, onepiece_atlas())
    arrays = makehuman_uv_arrays()
    exporter.coordinates = arrays["vt"].astype(np.float64)
    exporter.polygons = [
        list(zip(f, t, strict=True)) for f, t in zip(body.faces.tolist(), arrays["ft"].tolist(), strict=True)
    ]
    islands = build(exporter, charts="islands")
    assert list(islands.charts) == list(range(1, 10))
    assert islands.charts[1] == "island 1"
    uv = islands.atlas.face_uv
    np.testing.assert_array_equal(uv_islands(body.faces, uv) + 1, islands.atlas.chart)
    filled = build(exporter, charts="islands", fill=True).atlas
    for chart in range(1, 10):
        small, large = uv[islands.atlas.chart == chart], filled.face_uv[filled.chart == chart]
        assert (large.min(), large.max()) == (pytest.approx(0, abs=1e-6), pytest.approx(1))
        scale = 1 / np.ptp(small, axis=(0, 1)).max()
        np.testing.assert_allclose(large - large[0, 0], scale * (small - small[0, 0]), atol=1e-5)
    # The same islands, each in a tile of its own.
    label = islands.atlas.chart.astype(int) - 1
    shift = np.zeros((len(exporter.coordinates), 2))
    shift[arrays["ft"].ravel(), 0] = np.repeat(label, 3)
    exporter.coordinates = exporter.coordinates + shift
    with pytest.raises(
        InputError, match=r"lies in 9 UDIM tiles: 1001, 1002, .*, … \(make each a chart: --charts tiles\)"
    ):
        build(exporter)
    tiles = build(exporter, charts="tiles")
    np.testing.assert_array_equal(tiles.atlas.chart, islands.atlas.chart)
    np.testing.assert_allclose(tiles.atlas.face_uv, uv, atol=1e-6)
    assert tiles.charts == {n: str(1000 + n) for n in range(1, 10)}
    assert tiles.facts["charts_moved"] == {str(n): str(1000 + n) for n in range(2, 10)}


def test_too_many_charts(build: Build, body: BodyModel) -> None:
    exporter = Exporter(body, onepiece_atlas())
    exporter.before = {i: f"g g{i}x" for i in range(30)}
    with pytest.raises(InputError, match=r"has 30 groups, an IUV map has at most 24 charts \(try --charts one\)"):
        build(exporter, charts="groups")
    with pytest.raises(UnknownNameError, match="unknown kind of chart 'island'; known: islands, "):
        build(exporter, charts="island")


def test_v_may_count_downwards(build: Build, body: BodyModel) -> None:
    exporter = Exporter(body, onepiece_atlas())
    own = onepiece_atlas().face_uv
    for v in (1 - exporter.coordinates[:, 1], -exporter.coordinates[:, 1]):
        flipped = Exporter(body, onepiece_atlas())
        flipped.coordinates = np.stack([exporter.coordinates[:, 0], v], axis=1)
        np.testing.assert_allclose(build(flipped, flip_v=True).atlas.face_uv, own, atol=1e-6)
        upright = build(flipped)
        np.testing.assert_allclose(upright.atlas.face_uv[..., 1], 1 - own[..., 1], atol=1e-6)
    assert upright.facts["charts_moved"] == {"1": "(0, -1)"}


def test_repeating_textures_are_refused_and_rounding_is_not(build: Build, body: BodyModel) -> None:
    exporter = Exporter(body, onepiece_atlas())
    exporter.coordinates = exporter.coordinates * 1.00005
    assert build(exporter).atlas.corner_uv.max() == 1
    exporter.coordinates = exporter.coordinates * 2.5 - 0.5
    with pytest.raises(
        InputError, match=r"chart 1 runs from -0\.\d+ to 2 in U and .* in V, expected 0 to 1 \(a texture"
    ):
        build(exporter)


def test_missing_strange_repeated_and_flat_faces(build: Build, body: BodyModel) -> None:
    exporter = Exporter(body, onepiece_atlas())
    whole = exporter.polygons
    exporter.polygons = whole[2:]
    built = build(exporter)
    assert built.facts["faces_missing"] == 2
    assert built.facts["faces_missing_first"] == [0, 1]
    np.testing.assert_array_equal(built.atlas.face_index, np.arange(2, 13776))
    exporter.polygons = whole[200:]
    with pytest.raises(InputError, match=r"has 13576 faces of the body, expected 13776 \(at most 1 % may be missing\)"):
        build(exporter)
    assert build(exporter, partial=True).facts["faces_missing"] == 200
    exporter.polygons = [*whole, [whole[0][0], whole[500][0], whole[900][0]]]
    with pytest.raises(InputError, match=r"1 of 13777 faces are not faces of the body \(the first in line 28041\)"):
        build(exporter)
    kept = build(exporter, partial=True)
    same_surface(kept.atlas, onepiece_atlas())
    assert kept.facts["faces_left_out"] == 1
    exporter.polygons = [*whole, whole[7]]
    with pytest.raises(InputError, match=r"1 of 13777 faces are there twice \(the first in line 28041\)"):
        build(exporter)
    same_surface(build(exporter, partial=True).atlas, onepiece_atlas())
    exporter.polygons = [*whole, [whole[0][0], whole[0][0], whole[0][1]]]
    same_surface(build(exporter).atlas, onepiece_atlas())


def test_another_body_is_refused(build: Build, body: BodyModel, tmp_path: Path) -> None:
    path = tmp_path / "cube.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\nf 1/1 2/2 4/3\n")
    with pytest.raises(InputError, match=r"1 of 2 faces are not faces of the body \(the first in line 9\)"):
        build_atlas(path, body.faces, body.v_template)
    exporter = Exporter(body, onepiece_atlas())
    exporter.renumber(9)
    exporter.shuffle(9)
    exporter.vertices[5] += 0.01
    with pytest.raises(InputError, match="; 1 of its vertices are none of the body's"):
        build(exporter)


def test_few_digits_are_enough(build: Build, body: BodyModel) -> None:
    exporter = Exporter(body, onepiece_atlas())
    exporter.split()
    exporter.renumber(10)
    atlas = build(exporter, digits=4).atlas
    np.testing.assert_array_equal(atlas.vertices_faces, body.faces)
    assert np.abs(atlas.face_uv - onepiece_atlas().face_uv).max() < 6e-5
    assert atlas.symmetric


def test_without_a_template_positions_are_not_used(body: BodyModel, tmp_path: Path) -> None:
    from hmrtk.toolkit.maps.obj_file import read_obj

    exporter = Exporter(body, onepiece_atlas())
    exporter.split()
    mesh = read_obj(exporter.write(tmp_path / "body.obj"))
    assert match_mesh(mesh, body.faces).how == "face order"

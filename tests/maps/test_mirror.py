"""Mirrored IUV maps: arithmetic on symmetric atlases, DensePose's tables, and tables from the surface.

What tables lose is measured on the body: the distance between the surface point that the mirrored map names and the
mirror image of the one that the map names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from hmrtk.toolkit.body.mirror import POINT_SIGNS
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas, onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.charts import MIRROR_CHART
from hmrtk.toolkit.maps.iuv import render_iuv
from hmrtk.toolkit.maps.mirror import MirrorTables, mirror_iuv, mirror_tables, read_mirror_tables
from hmrtk.toolkit.maps.projection import project_vertices
from hmrtk.toolkit.maps.surface import SurfaceTable

Draw = Callable[[int, int], BodyParameters]
BOTH = pytest.mark.parametrize("atlas", [reference_atlas(), onepiece_atlas()], ids=lambda a: a.name)


@pytest.fixture
def iuv() -> NDArray[np.uint8]:
    """(4, 3, 9, 9) coded maps with every chart and level in them."""
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 256, (4, 3, 9, 9)).astype(np.uint8)
    maps[:, 0] = rng.integers(0, 25, (4, 9, 9))
    return np.where(maps[:, :1] > 0, maps, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def rendered(body: BodyModel, random_parameters: Draw) -> Callable[[Atlas], NDArray[np.uint8]]:
    """(3, 3, 112, 112) maps of random bodies on an atlas."""
    posed = body.pose(random_parameters(3, 8))
    centred = posed.vertices - posed.joints[:, :1]
    px = project_vertices(centred, np.tile([[0.9, 0.0, 0.0]], (3, 1)), 112)
    return lambda atlas: render_iuv(px, atlas, 112)


def test_mirror_twice_is_the_identity(iuv: NDArray[np.uint8]) -> None:
    atlas = reference_atlas()
    np.testing.assert_array_equal(mirror_iuv(mirror_iuv(iuv, atlas), atlas), iuv)
    one = np.zeros((3, 1, 3), np.uint8)
    one[:, 0, 0] = 3, 10, 20
    np.testing.assert_array_equal(mirror_iuv(one, atlas)[:, 0], [[0, 0, 4], [0, 0, 245], [0, 0, 20]])


def test_an_atlas_without_symmetry_needs_tables() -> None:
    odd = replace(reference_atlas(), symmetric=False)
    with pytest.raises(InputError, match=r"is not left-right symmetric in U.*give mirror tables: mirror_tables\(atlas"):
        mirror_iuv(np.zeros((3, 2, 2), np.uint8), odd)
    tables = MirrorTables(*(np.zeros((25, 256, 256), np.uint8) for _ in range(3)))
    for given in (None, tables):
        with pytest.raises(InputError, match="has chart 25, expected 0 to 24"):
            mirror_iuv(np.full((3, 2, 2), 25, np.uint8), reference_atlas(), given)


def test_tables_by_hand() -> None:
    tables = MirrorTables(*(np.zeros((25, 256, 256), np.uint8) for _ in range(3)))
    tables.chart[3, 20, 10], tables.u[3, 20, 10], tables.v[3, 20, 10] = 4, 50, 60
    one = np.zeros((3, 1, 3), np.uint8)
    one[:, 0, 0] = 3, 10, 20
    np.testing.assert_array_equal(mirror_iuv(one, onepiece_atlas(), tables)[:, 0], [[0, 0, 4], [0, 0, 50], [0, 0, 60]])


def official_tables() -> dict[str, NDArray[Any]]:
    """Cells as in DensePose's file, for an atlas with U → 1 − U."""
    level = np.arange(256) / 255
    cells = {key: np.empty((1, 24), object) for key in ("U_transforms", "V_transforms")}
    for chart in range(24):
        cells["U_transforms"][0, chart] = np.tile(1 - level, (256, 1))
        cells["V_transforms"][0, chart] = np.tile(level[:, None], (1, 256))
    return cells


def test_densepose_s_file_does_what_the_arithmetic_does(
    tmp_path: Path, iuv: NDArray[np.uint8], rendered: Callable[[Atlas], NDArray[np.uint8]]
) -> None:
    savemat(tmp_path / "UV_symmetry_transforms.mat", official_tables())
    tables = read_mirror_tables(tmp_path / "UV_symmetry_transforms.mat")
    np.testing.assert_array_equal(tables.chart[:, 7, 9], MIRROR_CHART)
    lopsided = replace(reference_atlas(), symmetric=False)
    for maps in (iuv, rendered(lopsided)):
        expected = mirror_iuv(maps, reference_atlas())
        np.testing.assert_array_equal(mirror_iuv(maps, lopsided, tables), expected)
        np.testing.assert_array_equal(mirror_iuv(expected, lopsided, tables), maps)


def test_densepose_s_file_is_indexed_by_v_then_u(tmp_path: Path) -> None:
    cells = official_tables()
    cells["U_transforms"][0, 2][20, 10], cells["V_transforms"][0, 2][20, 10] = 0.2, 0.4
    savemat(tmp_path / "t.mat", cells, do_compression=True)
    tables = read_mirror_tables(tmp_path / "t.mat")
    assert (tables.chart[3, 20, 10], tables.u[3, 20, 10], tables.v[3, 20, 10]) == (4, 51, 102)


def cells_with(change: Callable[[NDArray[Any]], Any]) -> dict[str, Any]:
    tables = official_tables()
    tables["V_transforms"][0, 4] = change(tables["V_transforms"][0, 4])
    return tables


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"U_transforms": official_tables()["U_transforms"]}, "has no variable V_transforms"),
        (official_tables() | {"U_transforms": np.zeros((1, 24))}, r"U_transforms: expected 24 cells, got .*\(1, 24\)"),
        ({k: v[:, :23] for k, v in official_tables().items()}, r"expected 24 cells, got object \(1, 23\)"),
        (cells_with(lambda t: t[:200]), r"V_transforms\{5\}: expected numbers \(256, 256\), got float64 \(200, 256\)"),
        (cells_with(lambda t: "text"), r"V_transforms\{5\}: expected numbers"),
        (cells_with(lambda t: t * np.nan), r"V_transforms\{5\}: has values outside \[0, 1\] or NaN"),
        (cells_with(lambda t: t * 2), r"V_transforms\{5\}: has values outside"),
    ],
)
def test_refused_tables(tmp_path: Path, variables: dict[str, Any], message: str) -> None:
    savemat(tmp_path / "UV_symmetry_transforms.mat", variables)
    with pytest.raises(InputError, match=message):
        read_mirror_tables(tmp_path / "UV_symmetry_transforms.mat")


def test_damaged_table_files(tmp_path: Path) -> None:
    path = tmp_path / "UV_symmetry_transforms.mat"
    with pytest.raises(InputError, match=r"no such file \(expected UV_symmetry_transforms.mat of densepose_uv_data"):
        read_mirror_tables(path)
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises(InputError, match="is not a readable MATLAB 5 file"):
        read_mirror_tables(path)
    savemat(path, official_tables(), do_compression=True)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="is not a readable MATLAB 5 file"):
        read_mirror_tables(path)


@BOTH
def test_tables_from_the_surface_equal_the_arithmetic(
    atlas: Atlas, body: BodyModel, rendered: Callable[[Atlas], NDArray[np.uint8]]
) -> None:
    tables = mirror_tables(replace(atlas, symmetric=False), body)
    maps = rendered(atlas)
    expected = mirror_iuv(maps, atlas)
    got = tables.mirror(maps)
    assert (np.abs(got.astype(int) - expected) <= 1).all()
    assert (got == expected).mean() > 0.9999
    assert (tables.mirror(got) == maps).mean() > 0.9999
    assert not tables.chart[0].any()
    if atlas.name == "onepiece":
        assert not tables.chart[2:].any()


def lopsided(atlas: Atlas) -> Atlas:
    """An atlas with no symmetry: even charts are bent, and every other of them has U and V exchanged."""
    uv = atlas.corner_uv.astype(np.float64)
    chart = np.zeros(len(uv), int)
    chart[atlas.corner_faces] = atlas.chart[:, None]
    bent = np.stack([uv[:, 0] ** 1.3, 0.1 + 0.8 * uv[:, 1]], axis=1)
    bent = np.where((chart % 4 == 0)[:, None], bent[:, ::-1], bent)
    uv = np.where((chart % 2 == 0)[:, None] | (chart.max() == 1), bent, uv)
    return replace(atlas, corner_uv=uv.astype(np.float32), symmetric=False, name="lopsided")


def surface_points(atlas: Atlas, body: BodyModel, iuv: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, H, W, 3) metres on the body at rest, NaN on the background."""
    rest = np.broadcast_to(body.v_template, (len(iuv), *body.v_template.shape))
    return SurfaceTable(atlas).positions(iuv, rest).transpose(0, 2, 3, 1).astype(np.float64)


@pytest.mark.parametrize(
    ("source", "mean_mm", "largest_mm", "back_mean_mm", "back_largest_mm", "equal"),
    [(reference_atlas(), 0.7, 4, 0.3, 5, 0.85), (onepiece_atlas(), 2, 30, 1.0, 40, 0.8)],
    ids=["charts", "onepiece"],
)
def test_tables_of_a_lopsided_atlas_lose_about_a_level(
    source: Atlas, mean_mm: float, largest_mm: float, back_mean_mm: float, back_largest_mm: float, equal: float,
    body: BodyModel, rendered: Callable[[Atlas], NDArray[np.uint8]],
) -> None:  # fmt: skip
    atlas = lopsided(source)
    tables = mirror_tables(atlas, body)
    maps = rendered(atlas)
    seen = maps[:, 0] > 0
    mirrored = mirror_iuv(maps, atlas, tables)
    np.testing.assert_array_equal(
        mirrored[:, 0], MIRROR_CHART[maps[:, 0, :, ::-1]] if source.chart.max() > 1 else seen[..., ::-1]
    )
    error = 1000 * np.linalg.norm(
        surface_points(atlas, body, mirrored)[:, :, ::-1] - surface_points(atlas, body, maps) * POINT_SIGNS, axis=-1
    )
    assert np.nanmean(error) < mean_mm
    assert np.nanmax(error) < largest_mm
    back = mirror_iuv(mirrored, atlas, tables)
    np.testing.assert_array_equal(back[:, 0], maps[:, 0])
    error = 1000 * np.linalg.norm(surface_points(atlas, body, back) - surface_points(atlas, body, maps), axis=-1)
    assert np.nanmean(error) < back_mean_mm
    assert np.nanmax(error) < back_largest_mm
    assert (back == maps).all(axis=1)[seen].mean() > equal
    apart = np.abs(back.astype(int) - maps)[:, 1:].max(axis=1)[seen]
    assert np.percentile(apart, 99.5) <= 1


def turned_diagonals(atlas: Atlas) -> tuple[Atlas, NDArray[np.int32]]:
    """The atlas with the shared edge of some pairs of triangles of the left side turned, and the body's new faces."""
    corners = atlas.corner_faces.copy()
    edge_of: dict[tuple[int, int], int] = {}
    changed: set[int] = set()
    for number, face in enumerate(atlas.corner_faces.tolist()):
        for k in range(3):
            a, b, c = face[k], face[(k + 1) % 3], face[(k + 2) % 3]
            other = edge_of.setdefault((b, a), number) if (b, a) in edge_of else None
            edge_of[a, b] = number
            if other is None or {other, number} & changed or number % 5:
                continue
            tip = next(x for x in corners[other].tolist() if x not in (a, b))
            corners[number], corners[other] = [c, a, tip], [tip, b, c]
            changed |= {other, number}
    assert len(changed) > 1000
    turned = replace(atlas, corner_faces=corners, symmetric=False)
    return turned, turned.vertices_faces


def test_a_mesh_without_mirrored_faces_uses_the_nearest_surface(
    body: BodyModel, rendered: Callable[[Atlas], NDArray[np.uint8]]
) -> None:
    atlas, faces = turned_diagonals(reference_atlas())
    other: Any = SimpleNamespace(faces=faces, v_template=body.v_template, place="turned")
    tables = mirror_tables(atlas, other)
    maps = rendered(reference_atlas())
    expected = mirror_iuv(maps, reference_atlas())
    got = tables.mirror(maps)
    assert (got[:, 0] == expected[:, 0]).mean() > 0.999
    same = got[:, 0] == expected[:, 0]
    apart = np.abs(got.astype(int) - expected)[:, 1:].max(axis=1)[same & (got[:, 0] > 0)]
    assert apart.mean() < 0.5
    assert np.percentile(apart, 99) <= 4


def test_bodies_that_do_not_fit(body: BodyModel) -> None:
    leaning: Any = SimpleNamespace(
        faces=body.faces, v_template=body.v_template + body.v_template[:, 1:2] * [0.1, 0, 0], place="leaning.npz"
    )
    with pytest.raises(
        InputError, match=r"leaning.npz: is not left-right symmetric: mirrored, its vertices lie \d+\.\d mm"
    ):
        mirror_tables(reference_atlas(), leaning)
    small: Any = SimpleNamespace(faces=body.faces[:10], v_template=body.v_template[:100], place="small")
    with pytest.raises(InputError, match="is of a body with 6890 vertices, got 100"):
        mirror_tables(reference_atlas(), small)

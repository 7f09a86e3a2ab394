from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas, onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.atlas_check import check_atlas, read_back_error, read_back_mm
from hmrtk.toolkit.maps.atlas_choice import named_atlas
from hmrtk.toolkit.maps.atlas_stretch import doubled_uv_areas, measured_stretch, singular_stretches


@pytest.mark.parametrize("name", ["charts", "onepiece"])
@pytest.mark.parametrize("size", [56, 128])
def test_packaged_atlases_can_be_used(name: str, size: int, body: BodyModel) -> None:
    named = named_atlas(name, body)
    found = check_atlas(named.atlas, body, named.charts, size)
    assert found.ok
    assert found.problems == []
    assert sum(chart.faces for chart in found.charts) == found.faces == 13776
    for chart in found.charts:
        assert (chart.overlap, chart.folded, chart.flat) == (0, 0, 0)
        area = doubled_uv_areas(named.atlas.face_uv[named.atlas.chart == chart.chart]).sum() / 2
        assert chart.covered == pytest.approx(abs(area), abs=0.01)
    assert found.missing == 0
    assert found.symmetry.exact()
    assert (found.islands, len(found.charts)) == ((24, 24) if name == "charts" else (1, 1))
    assert set(found.read_back_mm) == (set() if name == "charts" else {"mean", "largest", *parts()})
    json.dumps(found.summary(), allow_nan=False)


def parts() -> tuple[str, ...]:
    return ("torso", "head", "limbs", "hand", "foot")


def square(corners: list[list[float]], faces: list[list[int]]) -> tuple[Atlas, Any]:
    """A flat body in the plane z = 0, two metres for one unit of UV, and its atlas."""
    uv = np.array(corners, np.float32)
    count = len(faces)
    atlas = Atlas(
        name="flat",
        corner_vertices=np.arange(len(uv), dtype=np.int32),
        corner_uv=uv,
        corner_faces=np.array(faces, np.int32),
        face_index=np.arange(count, dtype=np.int32),
        chart=np.ones(count, np.uint8),
        symmetric=False,
    )
    points = np.zeros((len(uv), 3), np.float32)
    points[:, :2] = 2 * uv
    weights = np.tile(np.eye(24, dtype=np.float32)[0], (len(uv), 1))
    return atlas, SimpleNamespace(v_template=points, faces=atlas.corner_faces, weights=weights)


def test_a_square_by_hand() -> None:
    atlas, body = square([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
    found = check_atlas(atlas, body, {1: "square"}, 8)
    (chart,) = found.charts
    assert (chart.name, chart.faces, chart.corners, chart.covered) == ("square", 2, 4, 1)
    # Texel centres on the diagonal lie on an edge of both: neither counts as an overlap.
    assert (chart.overlap, chart.folded, chart.flat, chart.without_texel) == (0, 0, 0, 0)
    assert chart.stretch is not None
    assert chart.stretch.l2 == pytest.approx(1)
    assert chart.stretch.largest == pytest.approx(1)
    assert chart.stretch.metres_per_unit == pytest.approx(2)
    assert chart.stretch.anisotropy == pytest.approx(1)
    assert found.ok
    assert found.seams == 0


def test_overlap_folds_and_flat_faces_are_found() -> None:
    # Two squares on the same half of UV: 32 of 32 texels are covered twice.
    low = [[0, 0], [1, 0], [1, 0.5], [0, 0.5]]
    atlas, body = square([*low, *low], [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    found = check_atlas(atlas, body, {}, 8)
    (chart,) = found.charts
    assert chart.name == "chart 1"
    assert chart.covered == 0.5
    assert chart.overlap > 0.7  # centres on the two diagonals are inside no face
    assert chart.overlap_faces == [(0, 2), (1, 3)]
    assert not found.ok
    assert found.problems[0].startswith("chart 1 (chart 1): ")
    assert "of its texels lie in several faces, at most 5% may (faces 0 and 2, 1 and 3)" in found.problems[0]
    # A face turned over its edge, and one without area.
    corners = [[0, 0], [1, 0], [1, 1], [0, 1], [0.9, 0.2], [0.5, 0.5]]
    atlas, body = square(corners, [[0, 1, 2], [0, 2, 3], [1, 4, 2], [0, 5, 2]])
    (chart,) = (found := check_atlas(atlas, body, {}, 64)).charts
    assert (chart.folded, chart.flat) == (1, 1)
    assert found.problems[-1] == "2 of 4 faces are folded over or without area in UV, at most 1% may be"


def test_missing_faces(body: BodyModel) -> None:
    atlas = reference_atlas()
    for cut, ok in ((2, True), (300, False)):
        holed = replace(
            atlas, corner_faces=atlas.corner_faces[cut:], chart=atlas.chart[cut:], face_index=atlas.face_index[cut:]
        )
        found = check_atlas(holed, body, {})
        assert found.missing == cut
        assert found.ok == ok
    assert found.problems == ["300 of the body's 13776 faces are not in it, at most 1% may be"]
    with pytest.raises(InputError, match="is of a body with 6890 vertices, got 3"):
        check_atlas(atlas, SimpleNamespace(v_template=np.zeros((3, 3)), faces=body.faces), {})  # type: ignore[arg-type]


def test_faces_without_texel(body: BodyModel) -> None:
    counts = [check_atlas(onepiece_atlas(), body, {}, size).charts[0].without_texel for size in (64, 128, 256)]
    assert counts == sorted(counts, reverse=True)
    assert counts[1] == 4962


def test_singular_values_against_numpy() -> None:
    rng = np.random.default_rng(0)
    uv, points = rng.uniform(size=(50, 3, 2)), rng.normal(size=(50, 3, 3))
    large, small = singular_stretches(uv, points)
    for t in range(50):
        sides = uv[t, 1:] - uv[t, 0]  # rows
        jacobian = np.linalg.solve(sides, points[t, 1:] - points[t, 0]).T  # (3, 2)
        np.testing.assert_allclose(np.linalg.svd(jacobian, compute_uv=False), [large[t], small[t]], rtol=1e-7)
    whole = measured_stretch(uv, points)
    assert whole is not None
    area = np.linalg.norm(np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]), axis=1) / 2
    scale = np.sqrt(area.sum() / (np.abs(doubled_uv_areas(uv)) / 2).sum())
    assert whole.l2 == pytest.approx(np.sqrt(np.average((large**2 + small**2) / 2, weights=area)) / scale)
    assert whole.largest == pytest.approx(large.max() / scale)
    assert whole.anisotropy == pytest.approx(np.average(large / small, weights=area))
    assert whole.largest_anisotropy == pytest.approx((large / small).max())


def test_stretch_is_one_for_similar_triangles_and_grows_otherwise() -> None:
    uv = np.array([[[0, 0], [1, 0], [0, 1]]], np.float64)
    flat: NDArray[np.float64] = np.concatenate([uv, np.zeros((1, 3, 1))], axis=2)
    same, wide = measured_stretch(uv, 3 * flat), measured_stretch(uv, flat * [4, 1, 1])
    assert same is not None
    assert wide is not None
    assert (same.l2, same.metres_per_unit) == (pytest.approx(1), pytest.approx(3))
    # Γ = 4, γ = 1, both over the root of the area ratio, 2.
    assert wide.l2 == pytest.approx(np.sqrt(17 / 2) / 2)
    assert (wide.largest, wide.anisotropy) == (pytest.approx(2), pytest.approx(4))
    assert measured_stretch(uv * 0, flat) is None
    assert measured_stretch(uv, flat * 0) is None


def test_read_back_error(body: BodyModel) -> None:
    error = read_back_error(onepiece_atlas(), body, 128)
    assert error.shape == (6890,)
    found = read_back_mm(onepiece_atlas(), body, 128)
    assert found["mean"] == pytest.approx(1000 * error.mean())
    assert found["mean"] < 2
    assert found["largest"] == pytest.approx(1000 * error.max())
    with pytest.raises(InputError, match="has several charts"):
        read_back_error(reference_atlas(), body, 64)

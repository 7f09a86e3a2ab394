"""The packaged atlases: every chart a disc without overlaps, the layouts exactly left-right symmetric."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

mesh = pytest.importorskip("bake.reference_body.mesh", reason="the bake scripts are not in this installation")
chart_labels = pytest.importorskip("bake.reference_body.chart_labels")
charts = pytest.importorskip("bake.reference_body.charts")


def boundary_loop(triangles: np.ndarray) -> np.ndarray:
    """The one boundary loop of a disc; fails if there are more."""
    edges, counts = mesh.undirected_edges(triangles)
    around: dict[int, list[int]] = {}
    for a, b in edges[counts == 1].tolist():
        around.setdefault(a, []).append(b)
        around.setdefault(b, []).append(a)
    assert all(len(near) == 2 for near in around.values())
    start = min(around)
    loop, step = [start], around[start][0]
    while step != start:
        loop.append(step)
        step = next(corner for corner in around[loop[-1]] if corner != loop[-2])
    assert len(loop) == len(around)
    return np.array(loop)


def crossings(loop: np.ndarray) -> int:
    """How many pairs of sides of a polygon (m, 2) cross."""
    start, end = loop, np.roll(loop, -1, 0)
    i, j = np.triu_indices(len(loop), 2)

    def side(a: np.ndarray, b: np.ndarray, p: np.ndarray) -> np.ndarray:
        return np.asarray(mesh.cross2(b - a, p - a))

    one = side(start[i], end[i], start[j]) * side(start[i], end[i], end[j]) < 0
    other = side(start[j], end[j], start[i]) * side(start[j], end[j], end[i]) < 0
    return int((one & other).sum())


def assert_injective(uv: np.ndarray, triangles: np.ndarray) -> float:
    """A disc with unfolded triangles and a boundary that does not cross itself overlaps nowhere; returns its area."""
    uv = uv.astype(np.float64)
    areas = mesh.signed_areas(uv, triangles)
    assert (areas > 0).all() or (areas < 0).all()
    assert mesh.euler_characteristic(triangles) == 1
    assert crossings(uv[boundary_loop(triangles)]) == 0
    return float(np.abs(areas).sum())


def assert_symmetric(faces: np.ndarray, mirror: np.ndarray, uv: np.ndarray, triangles: np.ndarray) -> None:
    """The mirror image of every corner has u → 1 - u, exactly."""
    partner = mesh.mirrored_faces(faces, mirror)
    for face, other in enumerate(partner):
        at = dict(zip(faces[other].tolist(), triangles[other].tolist(), strict=True))
        images = [at[vertex] for vertex in mirror[faces[face]].tolist()]
        np.testing.assert_array_equal(np.float32(1) - uv[triangles[face], 0], uv[images, 0])
        np.testing.assert_array_equal(uv[triangles[face], 1], uv[images, 1])


def test_crossings_sees_a_bow_tie() -> None:
    assert crossings(np.array([[0, 0], [1, 1], [1, 0], [0, 1.0]])) == 1
    assert crossings(np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])) == 0


@pytest.mark.parametrize("chart", range(1, 25))
def test_chart_is_a_disc_that_fills_its_square(body: dict[str, np.ndarray], chart: int) -> None:
    triangles = body["dp_faces"].astype(int)[body["part"] == chart]
    used, local = np.unique(triangles, return_inverse=True)
    uv = body["dp_uv"][used]
    assert assert_injective(uv, local.reshape(-1, 3)) > 0.35  # a hand is the emptiest: its fingers stand apart
    assert uv.min(0).tolist() == [0, 0]
    assert uv.max(0).tolist() == [1, 1]


def test_charts_are_symmetric(body: dict[str, np.ndarray]) -> None:
    faces, mirror, part = body["faces"].astype(int), body["mirror"].astype(int), body["part"].astype(int)
    np.testing.assert_array_equal(part[mesh.mirrored_faces(faces, mirror)], chart_labels.MIRROR_CHART[part])
    assert_symmetric(faces, mirror, body["dp_uv"], body["dp_faces"].astype(int))
    np.testing.assert_array_equal(body["dp_vertices"][body["dp_faces"]], body["faces"])


def test_onepiece_is_one_symmetric_disc(body: dict[str, np.ndarray], onepiece: dict[str, np.ndarray]) -> None:
    triangles = onepiece["ft"].astype(int)
    np.testing.assert_array_equal(onepiece["vt2v"][triangles], body["faces"])
    assert assert_injective(onepiece["vt"], triangles) > 0.95
    assert onepiece["vt"].min() >= 0
    assert onepiece["vt"].max() <= 1
    assert_symmetric(body["faces"].astype(int), body["mirror"].astype(int), onepiece["vt"], triangles)


def test_person_left_lies_at_low_u(body: dict[str, np.ndarray], onepiece: dict[str, np.ndarray]) -> None:
    x = body["v_template_neutral"][onepiece["vt2v"], 0]
    assert onepiece["vt"][x > 1e-3, 0].max() < 0.5
    head = body["v_template_neutral"][onepiece["vt2v"], 1] > 0.4
    assert onepiece["vt"][head, 1].mean() > 0.7


def strip(count: int) -> np.ndarray:
    """Triangles in a row, each an edge neighbour of the next."""
    return np.stack([np.arange(count), np.arange(count) + 1, np.arange(count) + 2], 1)


def test_majority_smooths_single_faces_only_inside_the_mask() -> None:
    graph = chart_labels.FaceGraph(strip(7))
    labels = np.array([1, 1, 2, 1, 1, 1, 3])
    inside = np.array([True] * 6 + [False])
    assert graph.majority(labels, inside).tolist() == [1, 1, 1, 1, 1, 1, 3]
    assert graph.majority(labels, ~inside).tolist() == labels.tolist()


def test_smaller_pieces_go_to_their_neighbour() -> None:
    labels = np.array([1, 1, 1, 2, 2, 1])
    padded = np.concatenate([labels, np.arange(3, 25)])
    faces = np.concatenate([strip(6), strip(22 * 3)[::3] + 100])
    chart_labels.FaceGraph(faces).keep_largest_pieces(padded)
    assert padded[:6].tolist() == [1, 1, 1, 2, 2, 2]


def test_front_of_a_limb() -> None:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rings = [np.stack([np.cos(angle), np.full(40, y), np.sin(angle) + 3 * y], 1) for y in np.linspace(0, 1, 30)]
    points = np.concatenate(rings)
    front = chart_labels.in_front_of_limb(points, points[:, 1])
    expected = points[:, 2] > 3 * points[:, 1]
    assert (front == expected).mean() > 0.9  # a bent limb: its own middle line, not a plane, divides it


def test_chart_stage_gives_the_packaged_charts(body: dict[str, np.ndarray], baked: Any) -> None:
    atlas = charts.build_atlas(baked)
    np.testing.assert_array_equal(atlas.chart, body["part"])
    np.testing.assert_array_equal(atlas.faces, body["dp_faces"])
    np.testing.assert_allclose(atlas.uv, body["dp_uv"], atol=1e-5)

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import reference_atlas
from hmrtk.toolkit.maps.iuv import render_iuv_open
from hmrtk.toolkit.maps.projection import Projection, project, project_vertices
from hmrtk.toolkit.maps.raster import barycentric, rasterize

Draw = Callable[[int, int], BodyParameters]


def brute_force(points: NDArray[np.float64], faces: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """Every face against every pixel of a window one pixel wider than the face, by solving for affine coordinates."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    with np.errstate(all="ignore"):
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        front = (area < 0) & (np.stack([a, b, c])[..., 2] > 0).all(axis=0)
    kept = np.flatnonzero(front)
    a, b, c, area = a[kept], b[kept], c[kept], area[kept]
    corners = np.stack([a, b, c])[..., :2]  # (3, F, 2)
    low = np.clip(np.floor(corners.min(axis=0)) - 1, 0, size).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, size).astype(int)
    width, height = np.maximum(high - low, 0).T
    face = np.repeat(np.arange(len(kept)), width * height)
    rank = np.arange(len(face)) - np.repeat(np.cumsum(width * height) - width * height, width * height)
    col, row = low[face, 0] + rank % width[face], low[face, 1] + rank // width[face]
    px, py = col + 0.5 - a[face, 0], row + 0.5 - a[face, 1]
    ab, ac = (b - a)[face], (c - a)[face]
    lb = (px * ac[:, 1] - py * ac[:, 0]) / area[face]
    lc = (ab[:, 0] * py - ab[:, 1] * px) / area[face]
    la = 1 - lb - lc
    inverse = la / a[face, 2] + lb / b[face, 2] + lc / c[face, 2]
    hit = (la >= 0) & (lb >= 0) & (lc >= 0)
    pixel, inverse, number = (row * size + col)[hit], inverse[hit], kept[face[hit]]
    best = np.zeros(size * size)
    np.maximum.at(best, pixel, inverse)
    winner = np.full(size * size, len(faces))
    tied = inverse >= best[pixel] * (1 - 1e-9)
    np.minimum.at(winner, pixel[tied], number[tied])
    return np.where(winner == len(faces), -1, winner).reshape(size, size).astype(np.int32)


def scenes(body: BodyModel, draw: Draw, count: int, size: int, seed: int) -> NDArray[np.float64]:
    """Projected random bodies: crops (half of them cut by the frame), and cameras among the limbs (z ≤ 0 occurs)."""
    rng = np.random.default_rng(seed)
    vertices = body.pose(draw(count, seed)).vertices
    crops = rng.uniform([0.4, -0.8, -0.8], [1.6, 0.8, 0.8], (count, 3))
    points = project_vertices(vertices, crops, size)
    close = np.arange(count) % 4 == 3
    shifted = vertices[close] + rng.uniform([-0.5, -0.5, -0.3], [0.5, 0.5, 1.5], (close.sum(), 1, 3))
    focal = rng.uniform(0.5, 2, (close.sum(), 1)) * [[size, size]]
    points[close] = project(shifted, Projection.perspective(focal, np.full((close.sum(), 2), size / 2)))
    return points


@pytest.mark.parametrize(("count", "size"), [(12, 56), (4, 224)])
def test_equals_brute_force(body: BodyModel, random_parameters: Draw, count: int, size: int) -> None:
    points = scenes(body, random_parameters, count, size, seed=size)
    face_id = rasterize(points, body.faces, size)
    assert (face_id >= 0).any(axis=(1, 2)).sum() >= count - 2
    for n in range(count):
        np.testing.assert_array_equal(face_id[n], brute_force(points[n], body.faces, size), err_msg=f"body {n}")


def brute_force_uv(
    points: NDArray[np.float64], face_id: NDArray[np.int32], faces: NDArray[np.int32], face_uv: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(P, 2) U and V of the P pixels that see a face: a linear system each for the point of the face's plane there."""
    rows, cols = np.nonzero(face_id >= 0)
    corners = points[faces[face_id[rows, cols]]]  # (P, 3, 3)
    # λ with Σ λ (x/z, y/z, 1/z)-weighted corners on the pixel's ray: [x·w, y·w, w] is linear in the plane for w = 1/z.
    w = 1 / corners[..., 2]
    system = np.stack([corners[..., 0], corners[..., 1], np.ones_like(w)], axis=1)  # (P, 3, 3)
    affine = np.linalg.solve(system, np.stack([cols + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)[..., None])[..., 0]
    weights = affine * w / (affine * w).sum(axis=1, keepdims=True)
    return (weights[..., None] * face_uv[face_id[rows, cols]]).sum(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("size", [56, 224])
def test_equals_brute_force_on_1000_bodies(body: BodyModel, random_parameters: Draw, size: int) -> None:
    atlas, cut, behind, off, conditioned = reference_atlas(), 0, 0, 0.0, 0
    for first in range(0, 1000, 50):
        points = scenes(body, random_parameters, 50, size, seed=1000 * size + first)
        face_id = rasterize(points, body.faces, size)
        chart, uv = render_iuv_open(points, atlas, size)
        for n in range(50):
            expected = brute_force(points[n], body.faces, size)
            np.testing.assert_array_equal(face_id[n], expected, err_msg=f"body {first + n}")
            seen = expected >= 0
            np.testing.assert_array_equal(chart[n], np.where(seen, atlas.chart[expected], 0))
            difference = np.abs(
                np.moveaxis(uv[n], 0, -1)[seen] - brute_force_uv(points[n], expected, body.faces, atlas.face_uv)
            )
            off, conditioned = max(off, difference.max(initial=0)), conditioned + int(seen.sum())
        border = np.concatenate([face_id[:, 0], face_id[:, -1], face_id[:, :, 0], face_id[:, :, -1]], axis=1)
        cut += int((border >= 0).any(axis=1).sum())
        behind += int((points[..., 2] <= 0).any(axis=1).sum())
    assert off < 1e-6
    # The scenes must contain the hard cases: bodies cut by the frame, and vertices behind the camera.
    assert conditioned > 50 * size * size
    assert cut > 200
    assert behind > 50


@pytest.mark.parametrize("width", [0.0, 1e-12, 1e-3])
def test_edge_on_and_flattened_bodies_equal_brute_force(body: BodyModel, random_parameters: Draw, width: float) -> None:
    """Bodies pressed flat towards a plane that the camera looks along, and with collapsed faces."""
    vertices = body.pose(random_parameters(4, 31)).vertices
    vertices[:2] *= np.array([width, 1, 1], np.float32)
    vertices[2:, ::3] = vertices[2:, 1::3][:, : len(vertices[0, ::3])]
    points = project_vertices(vertices, np.tile([[0.9, 0.0, 0.1]], (4, 1)), 96)
    face_id = rasterize(points, body.faces, 96)
    for n in range(4):
        np.testing.assert_array_equal(face_id[n], brute_force(points[n], body.faces, 96), err_msg=f"body {n}")
    assert (face_id[2:] >= 0).sum() > 1000


def triangle(*corners: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.array(corners)


def test_hand_computed_triangle_and_culling() -> None:
    # Right angle at (0, 0), legs of 2 px: the centres (0.5, 0.5), (1.5, 0.5) and (0.5, 1.5) lie inside or on the edge.
    points = triangle((0, 0, 1), (0, 2, 1), (2, 0, 1))
    expected = np.array([[0, 0, -1], [0, -1, -1], [-1, -1, -1]])
    np.testing.assert_array_equal(rasterize(points, np.array([[0, 1, 2]]), 3), expected)
    assert (rasterize(points, np.array([[0, 2, 1]]), 3) == -1).all()  # seen from behind


def test_front_of_the_body_is_seen(body: BodyModel, facing: NDArray[np.float32]) -> None:
    points = project_vertices(facing[None], [[0.9, 0.0, -0.28]], 224)
    seen = body.faces[np.unique(rasterize(points, body.faces, 224)[0])[1:]]
    head = body.v_template[:, 1] > 0.35
    centre = body.v_template[seen].mean(axis=1)
    assert centre[head[seen].all(axis=1), 2].mean() > body.v_template[head, 2].mean() + 0.03  # z is to the front
    behind = project_vertices(facing[None] * np.array([-1, 1, -1], np.float32), [[0.9, 0.0, -0.28]], 224)
    seen = body.faces[np.unique(rasterize(behind, body.faces, 224)[0])[1:]]
    centre = body.v_template[seen].mean(axis=1)
    assert centre[head[seen].all(axis=1), 2].mean() < body.v_template[head, 2].mean() - 0.03


def test_shared_edges_and_equal_depths_go_to_the_lowest_face() -> None:
    square = triangle((0.5, 0.5, 2), (0.5, 3.5, 2), (3.5, 3.5, 2), (3.5, 0.5, 2))
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    expected = np.where(np.tri(4, dtype=bool), 0, 1)  # the diagonal belongs to both
    np.testing.assert_array_equal(rasterize(square, faces, 4), expected)
    np.testing.assert_array_equal(rasterize(square, faces[::-1], 4), np.where(np.tri(4, dtype=bool).T, 0, 1))
    twice = np.concatenate([faces, faces])
    assert rasterize(square, twice, 4).max() == 1


def test_no_cracks_between_neighbours() -> None:
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(np.arange(9), np.arange(9)), axis=-1) * 4.0
    grid[1:-1, 1:-1] += rng.uniform(-1.2, 1.2, (7, 7, 2))
    points = np.concatenate([grid.reshape(-1, 2), rng.uniform(1, 9, (81, 1))], axis=1)
    corner = (np.arange(8)[:, None] * 9 + np.arange(8)).reshape(-1, 1)
    faces = np.concatenate([np.add(corner, [0, 9, 10]), np.add(corner, [0, 10, 1])])
    assert (rasterize(points, faces, 32) >= 0).all()


def test_depth_is_perspective() -> None:
    # Halfway along the face in the picture its depth is 2/(1/1 + 1/9) = 1.8, not 5: it hides a wall at 2.
    slope = triangle((0, 0, 1), (0, 8, 1), (8, 8, 9), (8, 0, 9))
    wall = triangle((0, 0, 2), (0, 8, 2), (8, 8, 2), (8, 0, 2))
    faces = np.array([[4, 5, 6], [4, 6, 7], [0, 1, 2], [0, 2, 3]])
    face_id = rasterize(np.concatenate([slope, wall]), faces, 8)
    np.testing.assert_array_equal((face_id >= 2).all(axis=0), np.arange(8) + 0.5 < 4.5)


@pytest.mark.parametrize("z", [0.0, -1.0, np.nan])
def test_faces_behind_the_camera_are_dropped_whole(z: float) -> None:
    points = triangle((0, 0, 1), (0, 8, 1), (8, 0, z))
    assert (rasterize(points, np.array([[0, 1, 2]]), 8) == -1).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_degenerate_faces_are_never_hit(bad: float) -> None:
    line = triangle((0.5, 0.5, 1), (2.5, 2.5, 1), (4.5, 4.5, 1))
    point = triangle((1.5, 1.5, 1), (1.5, 1.5, 1), (1.5, 1.5, 1))
    broken = triangle((0, 0, 1), (0, bad, 1), (8, 0, 1))
    faces = np.arange(9).reshape(3, 3)
    assert (rasterize(np.concatenate([line, point, broken]), faces, 8) == -1).all()
    assert (rasterize(np.concatenate([line, point, broken]), faces[:, ::-1], 8) == -1).all()


def test_barycentric_recovers_the_surface_point(body: BodyModel, random_parameters: Draw) -> None:
    vertices = body.pose(random_parameters(2, 3)).vertices.astype(np.float64)
    camera = np.array([[0.9, 0.0, 0.0], [1.1, 0.1, 0.1]])
    points = project_vertices(vertices, camera, 96)
    face_id = rasterize(points, body.faces, 96)
    weights = barycentric(points, body.faces, face_id)
    seen = face_id >= 0
    np.testing.assert_allclose(weights[seen].sum(axis=-1), 1, atol=1e-12)
    assert weights[seen].min() > -1e-9
    assert (weights[~seen] == 0).all()
    for n in range(2):
        rows, cols = np.nonzero(seen[n])
        surface = (weights[n, rows, cols, :, None] * vertices[n][body.faces[face_id[n, rows, cols]]]).sum(axis=1)
        back = project_vertices(surface[None], camera[n : n + 1], 96)[0]  # its picture is the pixel's centre
        np.testing.assert_allclose(back[:, :2], np.stack([cols + 0.5, rows + 0.5], axis=1), atol=1e-6)


def test_leading_dimensions_and_threads_do_not_change_the_picture(body: BodyModel, random_parameters: Draw) -> None:
    points = scenes(body, random_parameters, 6, 32, seed=8)
    one = rasterize(points, body.faces, 32, threads=1)
    np.testing.assert_array_equal(
        rasterize(points.reshape(2, 3, -1, 3), body.faces, 32, threads=3).reshape(one.shape), one
    )
    np.testing.assert_array_equal(rasterize(points[0], body.faces, (32, 32)), one[0])
    assert rasterize(points[:0], body.faces, 32).shape == (0, 32, 32)


def test_errors_name_expected_and_got() -> None:
    points, faces = np.zeros((2, 3, 3)), np.array([[0, 1, 2]])
    with pytest.raises(InputError, match=r"expected shape \(\.\.\., V, 3\), got \(3, 2\)"):
        rasterize(np.zeros((3, 2)), faces, 4)
    with pytest.raises(InputError, match=r"expected shape \(F, 3\), got \(3,\)"):
        rasterize(points, faces[0], 4)
    with pytest.raises(InputError, match="name vertices 0 to 3, the body has 3"):
        rasterize(points, np.array([[0, 1, 3]]), 4)
    with pytest.raises(InputError, match="sides of 1 to 32767 px, got 0 x 4"):
        rasterize(points, faces, (0, 4))
    with pytest.raises(InputError, match=r"expected leading shape \(2,\), got \(1,\)"):
        barycentric(points, faces, np.zeros((1, 4, 4), np.int32))

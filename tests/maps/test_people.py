from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.geometry.camera import crop_to_full_camera
from hmrtk.toolkit.maps.atlas import Atlas, reference_atlas
from hmrtk.toolkit.maps.iuv import render_iuv
from hmrtk.toolkit.maps.people import moved_nearer, render_people
from hmrtk.toolkit.maps.projection import Projection, project, project_vertices
from tests.maps.test_raster import brute_force

Draw = Callable[[int, int], BodyParameters]


def crowd(body: BodyModel, draw: Draw, count: int, size: int, seed: int) -> NDArray[np.float64]:
    """Projected bodies within arm's reach of each other, seen by one camera 4 m away."""
    rng = np.random.default_rng(seed)
    vertices = body.pose(draw(count, seed)).vertices + rng.uniform([-0.5, -0.3, 3.5], [0.5, 0.3, 4.5], (count, 1, 3))
    focal, principal = np.full((count, 2), 1.6 * size), np.full((count, 2), size / 2)
    return project(vertices, Projection.perspective(focal, principal))


@pytest.mark.parametrize(("count", "size"), [(2, 56), (2, 224), (5, 120)])
def test_equals_brute_force_over_everybodys_faces(
    body: BodyModel, random_parameters: Draw, count: int, size: int
) -> None:
    atlas = reference_atlas()
    points = crowd(body, random_parameters, count, size, seed=size + count)
    seen = render_people(points, atlas, size)
    faces = np.concatenate([body.faces + p * len(body.v_template) for p in range(count)])
    face_id = brute_force(points.reshape(-1, 3), faces, size)
    np.testing.assert_array_equal(seen.person, np.where(face_id >= 0, face_id // len(body.faces), -1))
    np.testing.assert_array_equal(seen.iuv[0], np.where(face_id >= 0, atlas.chart[face_id % len(body.faces)], 0))
    alone = render_iuv(points, atlas, size)
    hidden = 0
    for p in range(count):
        mine = seen.of(p)
        np.testing.assert_array_equal(mine, np.where(seen.person == p, alone[p], 0))
        hidden += int(((alone[p, 0] > 0) & (mine[0] == 0)).sum())
    assert hidden > size  # they do hide each other


def test_one_person_is_the_plain_map_in_both_textures(body: BodyModel, facing: NDArray[np.float32]) -> None:
    points = project_vertices(facing[None], [[0.9, 0.0, -0.28]], 96)
    for texture in ("vertex", "face"):
        seen = render_people(points, reference_atlas(), 96, texture, threads=3)
        np.testing.assert_array_equal(seen.iuv, render_iuv(points, reference_atlas(), 96, texture)[0])
        np.testing.assert_array_equal(seen.person == 0, seen.iuv[0] > 0)


def test_two_squares_by_hand() -> None:
    square = np.array([(0, 0, 2), (0, 4, 2), (4, 4, 2), (4, 0, 2)], float)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    uv = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float32)
    atlas = Atlas(
        "square",
        np.arange(4, dtype=np.int32),
        uv,
        faces,
        np.arange(2, dtype=np.int32),
        np.array([3, 4], np.uint8),
        False,
    )
    nearer = square * [0.5, 0.5, 0.5]  # the left upper quarter, at 1 m
    seen = render_people(np.stack([square, nearer]), atlas, (4, 6))
    expected = np.full((4, 6), -1)
    expected[:, :4] = 0
    expected[:2, :2] = 1
    np.testing.assert_array_equal(seen.person, expected)
    np.testing.assert_array_equal(
        seen.iuv[0, :4, :4],
        np.where(np.tri(4, dtype=bool), 3, 4) * (expected[:, :4] == 0)
        + np.pad(np.where(np.tri(2, dtype=bool), 3, 4), (0, 2)),
    )
    assert seen.iuv[1, 0, 0] == round(255 * 0.25)
    twice = render_people(np.stack([square, square]), atlas, 4)
    assert (twice.person == 0).all()  # equally near: the lower person


def test_rows_may_be_shared_among_threads(body: BodyModel, random_parameters: Draw) -> None:
    points = crowd(body, random_parameters, 3, 90, seed=4)
    one, many = (render_people(points, reference_atlas(), (70, 90), threads=threads) for threads in (1, 4))
    np.testing.assert_array_equal(one.iuv, many.iuv)
    np.testing.assert_array_equal(one.person, many.person)


def test_nobody_in_the_picture(body: BodyModel) -> None:
    seen = render_people(np.zeros((0, 6890, 3)), reference_atlas(), 8)
    assert (seen.person == -1).all()
    assert not seen.iuv.any()


def test_crop_cameras_are_put_in_one_depth_order(body: BodyModel, facing: NDArray[np.float32]) -> None:
    """A child near by and an adult behind, each alone in a crop: the nearer one hides the other, and nobody moves."""
    image, focal = np.array([480.0, 640.0]), 800.0
    near, far = np.array([0.1, 0.3, 3.0]), np.array([0.0, 0.3, 5.0])
    side, centre = np.array([420.0, 260.0]), np.array([[320.0 + 800 * 0.1 / 3, 240.0], [320.0, 240.0]])
    depth = np.array([near[2], far[2]])
    scale = 2 * focal / (side * depth)
    tx = np.stack([near, far])[:, :2] - (centre - image[::-1] / 2) * depth[:, None] / focal
    camera = np.column_stack([scale, tx])
    full = crop_to_full_camera(camera, centre, side, image, np.array([focal, focal]))
    np.testing.assert_allclose(full[:, 2], depth)
    zoom = side / 224
    matrix = np.array([[[5000 * z, 0, c[0]], [0, 5000 * z, c[1]]] for z, c in zip(zoom, centre, strict=True)])
    crop = Projection.crop(camera)
    points = project(np.stack([facing, facing]), Projection(matrix, crop.translation))
    moved = moved_nearer(points, full[:, 2] - crop.translation[:, 2])
    np.testing.assert_array_equal(moved[..., :2], points[..., :2])
    np.testing.assert_allclose(moved[..., 2], facing[:, 2] + depth[:, None], atol=1e-5)
    seen = render_people(moved, reference_atlas(), (480, 640))
    alone = [render_iuv(points[p : p + 1], reference_atlas(), (480, 640))[0] for p in range(2)]
    np.testing.assert_array_equal(seen.of(0)[0], alone[0][0])
    assert np.abs(seen.of(0).astype(int) - alone[0]).max() <= 1  # U and V follow the perspective of the depths
    both = (alone[0][0] > 0) & (alone[1][0] > 0)
    assert both.sum() > 1000
    assert (seen.person[both] == 0).all()


def test_errors(body: BodyModel, facing: NDArray[np.float32]) -> None:
    points = facing[None].astype(float)
    with pytest.raises(InputError, match=r"expected shape \(N, V, 3\), got \(6890, 3\)"):
        render_people(points[0], reference_atlas(), 8)
    with pytest.raises(UnknownNameError, match="unknown texture 'smooth'"):
        render_people(points, reference_atlas(), 8, "smooth")
    with pytest.raises(InputError, match="is of a body with 6890 vertices, got 10"):
        render_people(points[:, :10], reference_atlas(), 8)
    with pytest.raises(InputError, match=r"one depth each, got \(1, 6890, 3\), \(2,\)"):
        moved_nearer(points, np.ones(2))

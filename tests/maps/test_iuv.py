from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.reference import mirror_vertices
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.atlas import Atlas, onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.iuv import render_iuv, render_iuv_bodies, render_iuv_projected
from hmrtk.toolkit.maps.mirror import mirror_iuv
from hmrtk.toolkit.maps.projection import Projection, project_vertices
from hmrtk.toolkit.maps.raster import barycentric, rasterize

Draw = Callable[[int, int], BodyParameters]
CAMERA = np.array([[0.9, 0.0, -0.28]])


def test_charts_are_where_densepose_has_them(body: BodyModel, facing: NDArray[np.float32]) -> None:
    """A person who faces the camera in the T-pose has their right hand at the left edge of the picture, and so on."""
    front = render_iuv(project_vertices(facing[None], CAMERA, 224), reference_atlas(), 224)[0, 0]
    turned = facing[None] * np.array([-1, 1, -1], np.float32)
    rear = render_iuv(project_vertices(turned, CAMERA, 224), reference_atlas(), 224)[0, 0]
    joints = body.joints(BodyParameters.zeros(1)) * np.array([1, -1, -1], np.float32)
    points = project_vertices(joints, CAMERA, 224)[0, :, :2].astype(int)

    def chart(picture: NDArray[np.uint8], joint: int, right: int = 0, down: int = 0) -> int:
        col, row = points[joint]
        col = 223 - col if picture is rear else col
        return int(picture[row + down, col + right])

    left_hip, right_hip, spine, left_knee, right_knee, left_foot, right_foot, head = 1, 2, 6, 4, 5, 10, 11, 15
    left_elbow, right_elbow, left_hand, right_hand = 18, 19, 22, 23
    assert chart(front, spine) == 2
    assert chart(rear, spine) == 1
    assert [chart(front, right_hand, -3), chart(front, left_hand, 3)] == [3, 4]
    assert [chart(rear, right_hand, 3), chart(rear, left_hand, -3)] == [3, 4]
    assert [chart(front, left_foot), chart(front, right_foot)] == [5, 6]
    assert [chart(rear, right_hip, down=25), chart(rear, left_hip, down=25)] == [7, 8]
    assert [chart(front, right_hip, down=25), chart(front, left_hip, down=25)] == [9, 10]
    assert [chart(rear, right_knee, down=25), chart(rear, left_knee, down=25)] == [11, 12]
    assert [chart(front, right_knee, down=25), chart(front, left_knee, down=25)] == [13, 14]
    assert [chart(front, left_elbow, -10), chart(front, right_elbow, 10)] == [15, 16]
    assert [chart(rear, left_elbow, 10), chart(rear, right_elbow, -10)] == [17, 18]
    assert [chart(front, left_elbow, 10), chart(front, right_elbow, -10)] == [19, 20]
    assert [chart(rear, left_elbow, -10), chart(rear, right_elbow, 10)] == [21, 22]
    assert [chart(front, head, -4), chart(front, head, 4)] == [23, 24]


def test_against_a_plain_numpy_rendering(body: BodyModel, random_parameters: Draw) -> None:
    atlas, size = reference_atlas(), 80
    vertices = body.pose(random_parameters(3, 11)).vertices
    points = project_vertices(vertices, np.repeat([[0.8, 0.05, 0.0]], 3, axis=0), size)
    face_id = rasterize(points, atlas.vertices_faces, size)
    weights = barycentric(points, atlas.vertices_faces, face_id)
    corners = atlas.corner_uv[atlas.corner_faces].astype(np.float64)
    seen = face_id >= 0
    for texture, uv in (
        ("vertex", (weights[..., None] * corners[face_id]).sum(axis=-2)),
        ("face", corners.mean(axis=1)[face_id]),
    ):
        iuv = render_iuv(points, atlas, size, texture)
        np.testing.assert_array_equal(iuv[:, 0], np.where(seen, atlas.chart[face_id], 0))
        off = np.moveaxis(iuv[:, 1:], 1, -1) - np.where(seen[..., None], uv * 255, 0)
        assert np.abs(off).max() <= 0.5 + 1e-9


def test_interpolated_coordinates_meet_the_flat_ones(facing: NDArray[np.float32]) -> None:
    points = project_vertices(facing[None], CAMERA, 224)
    vertex, face = (render_iuv(points, reference_atlas(), 224, t)[0].astype(int) for t in ("vertex", "face"))
    np.testing.assert_array_equal(vertex[0], face[0])
    assert 0 < np.abs(vertex - face)[1:].mean() < 3
    colours = np.unique(face.reshape(3, -1), axis=1).shape[1]
    assert colours < np.unique(vertex.reshape(3, -1), axis=1).shape[1]


@pytest.mark.parametrize("atlas", [reference_atlas(), onepiece_atlas()], ids=lambda a: a.name)
def test_mirrored_body_gives_the_mirrored_map(atlas: Atlas, body: BodyModel, random_parameters: Draw) -> None:
    vertices = body.pose(random_parameters(8, 2)).vertices
    reflected = vertices[:, mirror_vertices()] * np.array([-1, 1, 1], np.float32)
    camera = np.repeat([[0.8, 0.13, -0.1]], 8, axis=0)
    plain = render_iuv(project_vertices(vertices, camera, 112), atlas, 112)
    other = render_iuv(project_vertices(reflected, camera * [1, -1, 1], 112), atlas, 112)
    expected = mirror_iuv(plain, atlas)
    # Only rounding can differ: none of these pixel centres lies on an edge, U·255 may be half way between two levels.
    np.testing.assert_array_equal(other[:, 0], expected[:, 0])
    assert np.abs(other.astype(int) - expected).max() <= 1
    assert (other != expected).mean() < 1e-4
    np.testing.assert_array_equal(mirror_iuv(expected, atlas), plain)


@pytest.mark.parametrize("texture", ["vertex", "face"])
@pytest.mark.parametrize("atlas", [reference_atlas(), onepiece_atlas()], ids=lambda a: a.name)
def test_symmetric_template_is_its_own_mirror_image(
    atlas: Atlas, texture: str, body: BodyModel, facing: NDArray[np.float32]
) -> None:
    """On the symmetric template mirroring and rendering commute bit for bit, U and V included."""
    reflected = facing[None, mirror_vertices()] * np.array([-1, 1, 1], np.float32)
    np.testing.assert_array_equal(reflected[0], facing)
    for size, shift in ((56, 0.0), (224, 0.0), (224, 0.013)):
        camera = CAMERA + np.array([0, shift, 0])
        plain = render_iuv(project_vertices(facing[None], camera, size), atlas, size, texture)
        other = render_iuv(project_vertices(reflected, camera * [1, -1, 1], size), atlas, size, texture)
        np.testing.assert_array_equal(other, mirror_iuv(plain, atlas))
        np.testing.assert_array_equal(mirror_iuv(other, atlas), plain)


def test_crop_map_is_the_224_frame_scaled(facing: NDArray[np.float32]) -> None:
    large, small = (project_vertices(facing[None], CAMERA, size) for size in (224, 56))
    np.testing.assert_allclose(small[..., :2] * 4, large[..., :2], atol=1e-9)
    x, y, z = facing[100].astype(float) + np.array([0, -0.28, 2 * 5000 / (224 * 0.9)])
    np.testing.assert_allclose(large[0, 100], [5000 * x / z + 112, 5000 * y / z + 112, z], rtol=1e-6)


def test_region_camera_equals_project_then_affine(facing: NDArray[np.float32]) -> None:
    cam = np.add(facing[None], [0.1, 0.2, 4.0])
    focal, principal = np.array([[1100.0, 1000.0]]), np.array([[500.0, 480.0]])
    affine = np.array([[0.2, 0.03, -40.0], [-0.03, 0.2, -20.0]])
    got = render_iuv_projected(cam, Projection.perspective(focal, principal, affine), reference_atlas(), (120, 100))
    pixels = cam[..., :2] / cam[..., 2:] * focal + principal
    points = np.concatenate([pixels @ affine[:, :2].T + affine[:, 2], cam[..., 2:]], axis=-1)
    expected = render_iuv(points, reference_atlas(), (120, 100))
    assert got.shape == (1, 3, 120, 100)
    assert (got[:, 0] > 0).sum() > 500
    assert (got != expected).sum() <= 2
    per_body = Projection.perspective(focal, principal, affine[None])
    np.testing.assert_array_equal(render_iuv_projected(cam, per_body, reference_atlas(), (120, 100)), got)


def test_fused_bodies_equal_the_steps(body: BodyModel, random_parameters: Draw) -> None:
    parameters = random_parameters(10, 4).replaced(transl=np.full((10, 3), 5.0))
    camera = np.random.default_rng(1).uniform([0.7, -0.2, -0.2], [1.1, 0.2, 0.2], (10, 3))
    told: list[tuple[int, int]] = []
    parts = list(
        render_iuv_bodies(
            parameters,
            camera,
            body,
            reference_atlas(),
            size=40,
            chunk=4,
            progress=lambda stage, done, total, note="": told.append((done, total)),
        )
    )
    assert [rows for rows, _ in parts] == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert told == [(4, 10), (8, 10), (10, 10)]
    still = body.pose(parameters.replaced(transl=np.zeros((10, 3)))).vertices  # the crop camera places the body
    expected = render_iuv(project_vertices(still, camera, 40), reference_atlas(), 40)
    np.testing.assert_array_equal(np.concatenate([iuv for _, iuv in parts]), expected)


def test_errors_come_before_the_work(body: BodyModel, facing: NDArray[np.float32]) -> None:
    points = project_vertices(facing[None], CAMERA, 56)
    with pytest.raises(UnknownNameError, match="unknown texture 'smooth'; known: "):
        render_iuv(points, reference_atlas(), 56, "smooth")
    with pytest.raises(InputError, match=r"expected shape \(N, V, 3\), got \(6890, 3\)"):
        render_iuv(points[0], reference_atlas(), 56)
    with pytest.raises(InputError, match="is of a body with 6890 vertices, got 100"):
        render_iuv(points[:, :100], reference_atlas(), 56)
    with pytest.raises(InputError, match=r"camera: has 2 rows, expected one per body \(3\)"):
        render_iuv_bodies(BodyParameters.zeros(3), np.ones((2, 3)), body, reference_atlas())
    with pytest.raises(UnknownNameError):
        render_iuv_bodies(BodyParameters.zeros(1), CAMERA, body, reference_atlas(), texture="smooth")
    with pytest.raises(InputError, match=r"crop_camera row 1: scale is -1.0, expected a positive number"):
        project_vertices(np.repeat(facing[None], 2, axis=0), [[1, 0, 0], [-1, 0, 0]], 56)
    with pytest.raises(InputError, match=r"crop_camera: expected shape \(N, 3\), got \(3,\)"):
        project_vertices(facing[None], CAMERA[0], 56)
    with pytest.raises(InputError, match=r"vertices: expected shape \(2, V, 3\), got \(1, 6890, 3\)"):
        project_vertices(facing[None], np.ones((2, 3)), 56)
    with pytest.raises(InputError, match=r"expected focal and principal \(N, 2\), got \(2,\)"):
        Projection.perspective([1.0, 1.0], [0.0, 0.0])
    with pytest.raises(InputError, match=r"affine: expected shape \(2, 3\) or \(1, 2, 3\), got \(3, 3\)"):
        Projection.perspective([[1.0, 1.0]], [[0.0, 0.0]], np.eye(3))

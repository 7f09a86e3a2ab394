from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.assignment import assigned_joints, joint_map, joints_from_map, part_assignment
from hmrtk.toolkit.maps.atlas import onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.iuv import render_iuv
from hmrtk.toolkit.maps.location import UVSpace
from hmrtk.toolkit.maps.projection import project_vertices
from hmrtk.toolkit.maps.raster import barycentric, rasterize
from hmrtk.toolkit.maps.warp import dense_maps, image_to_uv, sample_uv

Draw = Callable[[int, int], BodyParameters]
SIZE = 112


@pytest.fixture(scope="module")
def space() -> UVSpace:
    return UVSpace(onepiece_atlas(), 128)


@pytest.fixture(scope="module")
def posed(body: BodyModel, random_parameters: Draw) -> Body:
    return body.pose(random_parameters(3, 9))


@pytest.fixture(scope="module")
def points(posed: Body) -> NDArray[np.float64]:
    return project_vertices(posed.vertices, np.repeat([[0.9, 0.0, 0.0]], 3, axis=0), SIZE)


@pytest.fixture(scope="module")
def iuv(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    return render_iuv(points, onepiece_atlas(), SIZE)


def test_dense_maps_show_the_surface_that_each_pixel_sees(
    body: BodyModel, space: UVSpace, posed: Body, points: NDArray[np.float64], iuv: NDArray[np.uint8]
) -> None:
    root, label = posed.joints[:, 0], part_assignment(body, space)
    location = space.location(posed.vertices, root)
    joint = joint_map(assigned_joints(body, posed), root, label)
    got = dense_maps(location, joint, iuv, space)
    face_id = rasterize(points, body.faces, SIZE)
    weights = barycentric(points, body.faces, face_id)
    for n in range(3):
        seen = face_id[n] >= 0
        surface = (weights[n][seen][..., None] * posed.vertices[n][body.faces[face_id[n][seen]]]).sum(axis=1) - root[n]
        error = np.linalg.norm(got.location[n][:, seen].T - surface, axis=1)
        # 8-bit U, V and 128 texels; the hands are squeezed most. Measured: 3.1 mm median, 3.6 mm mean.
        assert np.median(error) < 0.004
        assert error.mean() < 0.005
        assert (got.location[n][:, ~seen] == 0).all()
        known = {tuple(row) for row in (assigned_joints(body, posed)[n] - root[n]).round(5)}
        assert {tuple(row) for row in got.joint[n][:, seen].T.round(5)} <= known
    np.testing.assert_array_equal(got.displacement, got.location - got.joint)


def test_sampling_by_hand(space: UVSpace) -> None:
    iuv = np.zeros((1, 3, 1, 3), np.uint8)
    iuv[0, :, 0, 1] = 1, 128, 100
    iuv[0, :, 0, 2] = 1, 64, 200
    rows, cols = np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5, indexing="ij")
    maps = np.stack([cols, rows])[None] / 128  # each texel holds its own (u, v)
    got = sample_uv(maps, iuv, space)
    np.testing.assert_allclose(got[0, :, 0], [[0, 128 / 255, 64 / 255], [0, 100 / 255, 200 / 255]], atol=1e-6)
    near = sample_uv(maps, iuv, space, nearest=True)
    assert np.abs(near - got).max() <= 0.5 / 128 + 1e-6
    assert set(np.unique(near[0, 0] * 128 % 1)) <= {0.0, 0.5}


def test_scatter_takes_the_mean_and_marks_what_was_seen() -> None:
    iuv = np.zeros((1, 3, 2, 2), np.uint8)
    iuv[0, :, 0, 0] = iuv[0, :, 0, 1] = 1, 255, 0
    iuv[0, :, 1, 1] = 1, 0, 255
    values = np.array([[[[2.0, 4.0], [9.0, 7.0]]]])
    maps, visible = image_to_uv(values, iuv, 3)
    np.testing.assert_array_equal(maps[0, 0], [[0, 0, 3], [0, 0, 0], [7, 0, 0]])
    np.testing.assert_array_equal(visible[0], maps[0, 0] > 0)


def test_there_and_back(space: UVSpace, posed: Body, iuv: NDArray[np.uint8]) -> None:
    location = space.location(posed.vertices, posed.joints[:, 0])
    maps, visible = image_to_uv(sample_uv(location, iuv, space), iuv, 128)
    assert 0.03 < visible.mean() < 0.6
    off = np.linalg.norm(maps - location, axis=1)[visible & space.mask]
    assert np.median(off) < 0.008


def test_joints_from_what_the_image_shows(body: BodyModel, space: UVSpace, posed: Body, iuv: NDArray[np.uint8]) -> None:
    """Best of Both §3.2: image-space joint map → UV space → joints, for joints with enough visible texels."""
    label, root = part_assignment(body, space), posed.joints[:, 0]
    joints = assigned_joints(body, posed)
    seen, visible = image_to_uv(sample_uv(joint_map(joints, root, label), iuv, space, nearest=True), iuv, 128)
    back, texels = joints_from_map(seen, label, 14, visible)
    error = np.linalg.norm(back - (joints - root[:, None]), axis=-1)
    assert (texels > 30).sum() > 20
    assert error[texels > 30].max() < 0.05


def test_errors(space: UVSpace, iuv: NDArray[np.uint8], points: NDArray[np.float64]) -> None:
    maps = np.zeros((3, 3, 128, 128), np.float32)
    charts = render_iuv(points, reference_atlas(), SIZE)
    with pytest.raises(InputError, match=r"has chart 24 \(render it with the one-piece atlas\)"):
        sample_uv(maps, charts, space)
    with pytest.raises(InputError, match=r"expected \(3, C, 128, 128\), got \(3, 3, 64, 64\)"):
        sample_uv(maps[..., :64, :64], iuv, space)
    with pytest.raises(InputError, match=r"expected uint8 \(N, 3, H, W\), got float64"):
        image_to_uv(maps, np.zeros((3, 3, 8, 8)), 8)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"values: expected \(3, C, 112, 112\), got \(3, 3, 128, 128\)"):
        image_to_uv(maps, iuv, 8)
    with pytest.raises(InputError, match="expected at least 1 texel, got 0"):
        image_to_uv(np.zeros((3, 1, SIZE, SIZE)), iuv, 0)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from scipy.sparse import csr_array

from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas, onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.location import PRIOR, UVSpace, bilinear_taps

Draw = Callable[[int, int], BodyParameters]


@pytest.fixture(scope="module")
def posed(body: BodyModel, random_parameters: Draw) -> Body:
    return body.pose(random_parameters(3, 21).replaced(transl=np.full((3, 3), 2.0)))


def square_atlas() -> Atlas:
    """Four vertices, one square that fills UV space, two faces."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    faces, ids = np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.arange(4, dtype=np.int32)
    return Atlas("square", ids, corners, faces, ids[:2], np.ones(2, np.uint8), symmetric=True)


def test_hand_computed_square() -> None:
    space = UVSpace(square_atlas(), 4)
    vertices = np.array([[[0, 0, 5], [8, 0, 5], [8, 8, 5], [0, 8, 5]]], np.float32)
    maps = space.location(vertices, [[1.0, 2.0, 3.0]])
    centres = (np.arange(4) + 0.5) * 2
    assert space.mask.all()
    np.testing.assert_allclose(maps[0, 0], np.tile(centres - 1, (4, 1)), atol=1e-6)  # u runs along the columns
    np.testing.assert_allclose(maps[0, 1], np.tile(centres[:, None] - 2, (1, 4)), atol=1e-6)
    np.testing.assert_array_equal(maps[0, 2], np.full((4, 4), 2.0))


def test_against_a_sparse_matrix_in_float64(posed: Body) -> None:
    space = UVSpace(onepiece_atlas(), 96)
    maps = space.location(posed.vertices, posed.joints[:, 0])
    rows = np.repeat(np.flatnonzero(space.mask), 3)
    columns, weights = space.vertices_of_texel[space.mask].ravel(), space.weights[space.mask].ravel()
    matrix = csr_array((weights.astype(np.float64), (rows, columns)), shape=(96 * 96, 6890))
    for n in range(3):
        expected = np.zeros((96 * 96, 3))
        expected[space.mask.ravel()] = (matrix @ posed.vertices[n].astype(np.float64))[space.mask.ravel()]
        expected[space.mask.ravel()] -= posed.joints[n, 0]
        np.testing.assert_allclose(maps[n].reshape(3, -1).T, expected, atol=2e-6)
    one = space.location(posed.vertices, posed.joints[:, 0], out=np.ones_like(maps), threads=1)
    np.testing.assert_array_equal(one, maps)


def test_texels_lie_in_their_faces() -> None:
    atlas = onepiece_atlas()
    space = UVSpace(atlas, 64)
    rows, cols = np.nonzero(space.mask)
    triangles = atlas.corner_uv[atlas.corner_faces[space.face[rows, cols]]].astype(np.float64)
    # The weights may be in another order than the atlas's corners: compare by vertex.
    vertices = atlas.vertices_faces[space.face[rows, cols]]
    order = (vertices[:, None, :] == space.vertices_of_texel[rows, cols][:, :, None]).argmax(axis=2)
    uv = (np.take_along_axis(triangles, order[..., None], axis=1) * space.weights[rows, cols][..., None]).sum(axis=1)
    np.testing.assert_allclose(uv, np.column_stack([cols + 0.5, rows + 0.5]) / 64, atol=1e-6)
    assert space.weights[rows, cols].min() >= -1e-6


@pytest.mark.parametrize("size", [63, 64, 128])
def test_symmetric_atlas_gives_a_symmetric_space(size: int, body: BodyModel) -> None:
    space = UVSpace(onepiece_atlas(), size)
    np.testing.assert_array_equal(space.mask, space.mask[:, ::-1])
    maps = space.location(body.v_template[None], np.zeros((1, 3)))
    reflected = maps[..., ::-1] * np.array([-1, 1, 1], np.float32)[:, None, None]
    np.testing.assert_allclose(maps, reflected, atol=1e-5)


@pytest.mark.parametrize(("size", "mean_mm", "max_mm"), [(56, 5, 80), (64, 4.5, 70), (128, 2.2, 45), (256, 1.2, 25)])
def test_vertices_read_back(posed: Body, size: int, mean_mm: float, max_mm: float) -> None:
    """Measured on embedded bodies: 4.3, 3.8, 1.7 and 0.8 mm on average and 54, 48, 28 and 16 at most."""
    space = UVSpace(onepiece_atlas(), size)
    read = space.vertices(space.location(posed.vertices, posed.joints[:, 0])) + posed.joints[:, :1]
    error = np.linalg.norm(read - posed.vertices, axis=-1) * 1000
    assert error.mean() < mean_mm
    assert error.max() < max_mm
    assert np.median(error) < mean_mm / 1.5


def test_constant_maps_are_read_back_without_their_empty_texels() -> None:
    space = UVSpace(onepiece_atlas(), 64)
    constant = np.where(space.mask, 3.0, 99.0)[None, None].repeat(3, axis=1)
    np.testing.assert_allclose(space.vertices(constant), 3.0, rtol=1e-5)
    np.testing.assert_allclose(space.fitted_vertices(constant), 3.0, rtol=1e-5)


@pytest.mark.parametrize(("size", "share"), [(56, 0.8), (128, 0.4), (256, 0.15)])
def test_least_squares_reads_better(posed: Body, size: int, share: float) -> None:
    space = UVSpace(onepiece_atlas(), size)
    maps = space.location(posed.vertices, posed.joints[:, 0])
    target = posed.vertices - posed.joints[:, :1]
    read, fitted = (np.linalg.norm(v - target, axis=-1) for v in (space.vertices(maps), space.fitted_vertices(maps)))
    assert fitted.mean() < share * read.mean()
    assert fitted.max() <= read.max() + 1e-3
    again = space.location(space.fitted_vertices(maps), np.zeros((3, 3)))
    assert (
        np.abs(again - maps).mean() < np.abs(space.location(space.vertices(maps), np.zeros((3, 3))) - maps).mean() / 10
    )


def test_least_squares_against_a_dense_solver() -> None:
    space = UVSpace(square_atlas(), 5)
    maps = np.random.default_rng(2).normal(size=(1, 3, 5, 5)).astype(np.float32)
    design = np.zeros((25, 4))
    for i, (row, column) in enumerate(np.ndindex(5, 5)):
        np.add.at(design[i], space.vertices_of_texel[row, column], space.weights[row, column])
    stacked = np.vstack([design, np.sqrt(PRIOR) * np.eye(4)])
    target = np.vstack([maps[0].reshape(3, 25).T, np.sqrt(PRIOR) * space.vertices(maps)[0]])
    expected = np.linalg.lstsq(stacked, target, rcond=None)[0]
    np.testing.assert_allclose(space.fitted_vertices(maps)[0], expected, atol=1e-5)


def test_bilinear_taps_against_scipy() -> None:
    rng = np.random.default_rng(0)
    image, uv = rng.normal(size=(16, 16)), rng.uniform(0.05, 0.95, (200, 2))
    texels, weights = bilinear_taps(uv, np.ones((16, 16), bool))
    centres = (np.arange(16) + 0.5) / 16
    expected = RegularGridInterpolator((centres, centres), image)(uv[:, ::-1])
    np.testing.assert_allclose((image.ravel()[texels] * weights).sum(axis=1), expected, atol=1e-12)


def test_bilinear_taps_leave_empty_texels_alone() -> None:
    filled = np.zeros((6, 6), bool)
    filled[2, 2:4] = True
    texels, weights = bilinear_taps(np.random.default_rng(1).uniform(size=(300, 2)), filled)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert filled.ravel()[texels[weights > 0]].all()
    texels, weights = bilinear_taps(np.array([[0.99, 0.99]]), filled)
    assert texels[0, weights[0] == 1] == [2 * 6 + 3]


def test_dilation_fills_the_neighbours_of_seams(posed: Body) -> None:
    plain, grown = UVSpace(onepiece_atlas(), 48), UVSpace(onepiece_atlas(), 48, dilate=2)
    np.testing.assert_array_equal(plain.mask, grown.mask)
    assert grown.filled.sum() > plain.filled.sum()
    near = np.zeros_like(plain.mask)
    rows, cols = np.nonzero(plain.mask)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            if dx * dx + dy * dy < 2.5**2:
                near[np.clip(rows + dy, 0, 47), np.clip(cols + dx, 0, 47)] = True
    np.testing.assert_array_equal(grown.filled, near)
    a, b = (s.location(posed.vertices, posed.joints[:, 0]) for s in (plain, grown))
    np.testing.assert_array_equal(a[..., plain.mask], b[..., plain.mask])
    assert (np.abs(b[..., grown.filled]).sum(axis=1) > 0).all()
    assert (b[..., ~grown.filled] == 0).all()


def test_errors(posed: Body) -> None:
    with pytest.raises(InputError, match="atlas 'reference': has several charts"):
        UVSpace(reference_atlas(), 64)
    with pytest.raises(InputError, match="expected size >= 2 and dilate >= 0, got 1 and 0"):
        UVSpace(onepiece_atlas(), 1)
    space = UVSpace(onepiece_atlas(), 16)
    with pytest.raises(InputError, match=r"expected vertices \(N, V, 3\) and root \(N, 3\), got .* and \(2, 3\)"):
        space.location(posed.vertices, np.zeros((2, 3)))
    with pytest.raises(InputError, match="is of a body with 6890 vertices, got 10"):
        space.location(posed.vertices[:, :10], posed.joints[:, 0])
    wrong: Any = np.zeros((3, 3, 16, 16))
    with pytest.raises(InputError, match=r"out: expected contiguous float32 \(3, 3, 16, 16\), got float64"):
        space.location(posed.vertices, posed.joints[:, 0], out=wrong)
    with pytest.raises(InputError, match=r"expected \(N, 3, 16, 16\), got \(3, 16, 16\)"):
        space.vertices(np.zeros((3, 16, 16)))


def test_faces_smaller_than_a_texel_lose_no_vertex() -> None:
    space = UVSpace(onepiece_atlas(), 24)
    rows: NDArray[np.float32] = np.asarray(space.read_matrix.sum(axis=1)).ravel()
    np.testing.assert_allclose(rows, 1, rtol=1e-5)
    assert len(rows) == 6890
    upside_down = replace(onepiece_atlas(), corner_faces=onepiece_atlas().corner_faces[:, ::-1])
    np.testing.assert_array_equal(UVSpace(upside_down, 24).mask, space.mask)


def test_no_bodies_no_maps(posed: Body) -> None:
    space = UVSpace(onepiece_atlas(), 16)
    assert space.location(posed.vertices[:0], posed.joints[:0, 0]).shape == (0, 3, 16, 16)

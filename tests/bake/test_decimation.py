from __future__ import annotations

from typing import Any

import numpy as np
import pytest

decimation = pytest.importorskip(
    "bake.reference_body.decimation", reason="the bake scripts are not in this installation"
)
mesh = pytest.importorskip("bake.reference_body.mesh")
edge_flips = pytest.importorskip("bake.reference_body.edge_flips")

SIDE = 9


def half_mesh(seam: bool = False, bump: float = 0.0) -> Any:
    """A square sheet of SIDE x SIDE vertices whose edge x = 0 lies on the mirror plane, in two shapes.

    With ``seam``, the texture is cut along the middle row: the faces above it have corners of their own.
    """
    y, x = np.meshgrid(np.arange(SIDE, dtype=float), np.arange(SIDE, dtype=float), indexing="ij")
    sheet = np.stack([x.ravel(), y.ravel(), bump * (x * y).ravel() / SIDE**2], 1)
    first = (np.arange(SIDE - 1)[:, None] * SIDE + np.arange(SIDE - 1)).ravel()
    faces = np.concatenate(
        [np.stack([first, first + 1, first + SIDE + 1], 1), np.stack([first, first + SIDE + 1, first + SIDE], 1)]
    )
    uv, corners = sheet[:, :2].copy(), faces.copy()
    if seam:
        above = sheet[faces].mean(1)[:, 1] > SIDE // 2
        corners[above] += len(uv)
        uv = np.concatenate([uv, uv + np.array([0, 100.0])])
    edge = (sheet[:, :2] == 0) | (sheet[:, :2] == SIDE - 1)
    # decimation treats the border of the half mesh as the mirror plane; a closed body has no other border
    return decimation.HalfMesh(
        positions=np.stack([sheet, sheet * [1.0, 1.3, 2.0]]),
        faces=faces,
        corners=corners,
        uv=uv,
        on_plane=edge.any(1),
        fixed=edge.all(1),
        region=np.full(len(sheet), "sheet"),
        copies=np.ones(len(sheet)),
    )


def test_quota_is_reached_without_folds() -> None:
    half = half_mesh(bump=1.0)
    faces, corners = decimation.decimate(half, {"sheet": 40})
    assert len(np.unique(faces)) == 40
    assert mesh.euler_characteristic(faces) == 1
    for shape in half.positions:
        assert mesh.signed_areas(shape[:, :2], faces).min() > 0
    np.testing.assert_array_equal(faces, corners)  # the texture was the sheet itself, so corners follow vertices


def test_border_fixed_vertices_and_input_stay() -> None:
    half = half_mesh()
    before = half.faces.copy()
    faces, _ = decimation.decimate(half, {"sheet": 12})
    kept = np.unique(faces)
    np.testing.assert_array_equal(half.faces, before)
    assert set(np.flatnonzero(half.fixed)) <= set(kept)
    assert mesh.signed_areas(half.positions[0, :, :2], faces).sum() == pytest.approx((SIDE - 1) ** 2)


def test_seams_shrink_only_along_themselves() -> None:
    half = half_mesh(seam=True)
    faces, corners = decimation.decimate(half, {"sheet": 30})
    areas = mesh.signed_areas(half.uv, corners)
    assert areas.min() > 0
    assert areas.sum() == pytest.approx((SIDE - 1) ** 2)
    np.testing.assert_allclose(half.uv[corners] % 100, half.positions[0][faces][:, :, :2])


def test_quota_counts_copies_of_vertices() -> None:
    half = half_mesh()
    object.__setattr__(half, "copies", np.where(half.on_plane, 1.0, 2.0))
    faces, _ = decimation.decimate(half, {"sheet": 60})
    assert half.copies[np.unique(faces)].sum() in (60, 61)


def test_plane_quadrics_measure_squared_distance() -> None:
    points = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]])
    quadric = decimation.plane_quadrics(points, np.array([[0, 1, 2]]))[0, 0]
    above = np.array([5.0, -3, 2, 1])
    assert above @ quadric @ above == pytest.approx(0.5 * 2**2)  # area times squared height


def sliver_pair(height: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles joined along their long diagonal; ``height`` lifts one corner."""
    points = np.array([[-2, 0, 0], [2, 0, 0], [0, -0.3, 0], [0, 0.3, height]])
    return points, np.array([[0, 2, 1], [0, 1, 3]])


def test_flip_takes_the_shorter_diagonal() -> None:
    points, faces = sliver_pair()
    flipped, corners = edge_flips.flip_edges(points, faces, faces, points[:, :2])
    assert all({2, 3} <= set(face) for face in flipped.tolist())
    np.testing.assert_array_equal(flipped, corners)
    assert mesh.signed_areas(points[:, :2], flipped).min() > 0


def test_no_flip_across_a_crease_or_a_seam() -> None:
    points, faces = sliver_pair(height=1.0)
    kept, _ = edge_flips.flip_edges(points, faces, faces, points[:, :2])
    np.testing.assert_array_equal(kept, faces)
    points, faces = sliver_pair()
    cut = faces + np.array([[0], [4]])
    kept, _ = edge_flips.flip_edges(points, faces, cut, np.tile(points[:, :2], (2, 1)))
    np.testing.assert_array_equal(kept, faces)

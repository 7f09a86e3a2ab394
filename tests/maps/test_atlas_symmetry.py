from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.reference import mirror_vertices
from hmrtk.toolkit.maps.atlas import Atlas, mirror_faces, onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.atlas_seams import atlas_seams, seams_length
from hmrtk.toolkit.maps.atlas_symmetry import body_mirror, measured_symmetry, partner_corners, partner_faces

BOTH = pytest.mark.parametrize("atlas", [reference_atlas(), onepiece_atlas()], ids=lambda a: a.name)


def test_partners_from_the_table_and_from_the_template(body: BodyModel) -> None:
    np.testing.assert_array_equal(body_mirror(body.faces, body.v_template), mirror_vertices())
    other = np.roll(body.faces, 1, axis=0)
    np.testing.assert_array_equal(body_mirror(other, body.v_template), mirror_vertices())
    dented = body.v_template.copy()
    left = int(np.argmax(dented[:, 0]))
    dented[left, 2] += 0.05
    found = body_mirror(other, dented)
    assert found[left] == -1
    kept = found >= 0
    np.testing.assert_array_equal(found[found[kept]], np.flatnonzero(kept))


def test_partner_faces_are_those_of_the_mirror(body: BodyModel) -> None:
    mirror = mirror_vertices().astype(np.int64)
    partner = partner_faces(body.faces, mirror)
    np.testing.assert_array_equal(partner, mirror_faces(body.faces, mirror))
    corner = partner_corners(body.faces, mirror, partner)
    np.testing.assert_array_equal(np.take_along_axis(body.faces[partner], corner, axis=1), mirror[body.faces])
    mirror[body.faces[0, 0]] = -1
    assert partner_faces(body.faces, mirror)[0] == -1


@BOTH
def test_packaged_atlases_are_symmetric(atlas: Atlas) -> None:
    found = measured_symmetry(atlas, mirror_vertices())
    assert (found.deviation, found.compared, found.other_charts, found.lonely_seams) == (0, 1, 0, 0)
    assert found.exact()


@BOTH
def test_a_shift_of_one_side_is_measured(atlas: Atlas, body: BodyModel) -> None:
    left = body.v_template[atlas.corner_vertices, 0] > 0.3
    moved = replace(atlas, corner_uv=atlas.corner_uv + np.where(left, 0.01, 0).astype(np.float32)[:, None])
    found = measured_symmetry(moved, mirror_vertices())
    assert found.deviation == pytest.approx(0.01, abs=1e-6)
    assert not found.exact()
    assert found.exact(tolerance=0.02)


def test_other_charts_and_holes_are_counted(body: BodyModel) -> None:
    atlas = reference_atlas()
    one = replace(atlas, chart=np.where(atlas.chart == 3, 4, atlas.chart).astype(np.uint8))
    found = measured_symmetry(one, mirror_vertices())
    assert found.other_charts == 2 * 1358
    assert not found.exact()
    holed = replace(atlas, corner_faces=atlas.corner_faces[7:], chart=atlas.chart[7:], face_index=atlas.face_index[7:])
    found = measured_symmetry(holed, mirror_vertices())
    assert found.compared == pytest.approx(1 - 7 / 13769, abs=1e-6)
    assert found.exact()
    half = body.v_template[body.faces].mean(axis=1)[:, 0] > 0
    kept = replace(atlas, corner_faces=atlas.corner_faces[half], chart=atlas.chart[half])
    assert not measured_symmetry(kept, mirror_vertices()).exact()


def test_seams_by_hand() -> None:
    """Two triangles of a square: sewn, cut along the diagonal, and alone."""
    points = np.array([[0, 0, 0], [3, 0, 0], [3, 4, 0], [0, 4, 0]])

    def atlas(corner_vertices: list[int], corner_faces: list[list[int]]) -> Atlas:
        count = len(corner_faces)
        return Atlas(
            name="square",
            corner_vertices=np.array(corner_vertices, np.int32),
            corner_uv=np.zeros((len(corner_vertices), 2), np.float32),
            corner_faces=np.array(corner_faces, np.int32),
            face_index=np.arange(count, dtype=np.int32),
            chart=np.ones(count, np.uint8),
            symmetric=False,
        )

    sewn = atlas_seams(atlas([0, 1, 2, 3], [[0, 1, 2], [0, 2, 3]]))
    assert len(sewn.cuts) == 0
    assert seams_length(sewn.rims, points) == 14
    np.testing.assert_array_equal(sewn.outlines, [[0, 1], [0, 3], [1, 2], [2, 3]])
    cut = atlas_seams(atlas([0, 1, 2, 3, 0, 2], [[0, 1, 2], [4, 5, 3]]))
    np.testing.assert_array_equal(cut.cuts, [[0, 2]])
    assert seams_length(cut.cuts, points) == 5
    np.testing.assert_array_equal(cut.outlines, [[0, 1], [0, 2], [1, 2], [4, 3], [4, 5], [5, 3]])


def test_seams_of_the_packaged_atlases(body: BodyModel) -> None:
    for atlas, cuts, metres in ((reference_atlas(), 995, 16.94), (onepiece_atlas(), 485, 7.15)):
        seams = atlas_seams(atlas)
        assert (len(seams.cuts), len(seams.rims), len(seams.outlines)) == (cuts, 0, 2 * cuts)
        assert seams_length(seams.cuts, body.v_template) == pytest.approx(metres, abs=0.01)

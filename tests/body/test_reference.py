"""The embedded reference body: sizes, symmetry, and left and right where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body import reference
from hmrtk.toolkit.body.arrays import GENDERS
from hmrtk.toolkit.body.joints import COCO17_NAMES, EXTRA9_NAMES, H36M17_NAMES, PARENTS, SMPL_FLIP, SMPL_NAMES
from hmrtk.toolkit.errors import UnknownNameError


@pytest.mark.parametrize("gender", GENDERS)
def test_arrays(gender: str) -> None:
    arrays = reference.reference_arrays(gender)
    assert arrays.v_template.shape == (6890, 3)
    assert arrays.posedirs.dtype == arrays.shapedirs.dtype == np.float32
    assert tuple(arrays.parents) == PARENTS
    np.testing.assert_allclose(arrays.weights.sum(axis=1), 1, atol=1e-6)
    assert (arrays.weights > 0).sum(axis=1).max() <= 5
    assert not arrays.v_template.flags.writeable
    assert 1.5 < np.ptp(arrays.v_template[:, 1]) < 2


def test_genders_differ_and_unknown_ones_are_refused() -> None:
    prints = {reference.reference_arrays(gender).fingerprint() for gender in GENDERS}
    assert len(prints) == 3
    with pytest.raises(UnknownNameError, match=r"unknown gender 'mal'; known: male"):
        reference.reference_arrays("mal")


@pytest.mark.parametrize(
    ("name", "names"), [("smpl24", SMPL_NAMES), ("extra9", EXTRA9_NAMES), ("h36m17", H36M17_NAMES)]
)
@pytest.mark.parametrize("gender", GENDERS)
def test_regressed_joints_lie_on_the_side_their_name_says(name: str, names: tuple[str, ...], gender: str) -> None:
    matrix = reference.reference_regressor(name)
    np.testing.assert_allclose(np.asarray(matrix.sum(axis=1)).ravel(), 1, atol=1e-6)
    x = (matrix @ reference.reference_arrays(gender).v_template)[:, 0]
    assert len(x) == len(names)
    for value, joint in zip(x, names, strict=True):
        side = 1 if joint.startswith("left") else -1 if joint.startswith("right") else 0
        assert value * side > 0.03 if side else abs(value) < 1e-3, joint


def test_unknown_regressor() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown regressor 'h36m'; known: h36m17"):
        reference.reference_regressor("h36m")


def test_the_mesh_is_closed_and_faces_outwards() -> None:
    faces = reference.reference_faces()
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all()
    assert len(counts) == 6890 + len(faces) - 2  # Euler: genus 0
    a, b, c = np.moveaxis(reference.reference_arrays().v_template[faces], 1, 0)
    assert (np.cross(b - a, c - a) * (a + b + c)).sum() > 0


def test_mirror_table() -> None:
    mirror = reference.mirror_vertices()
    arrays = reference.reference_arrays()
    assert np.array_equal(mirror[mirror], np.arange(6890))
    assert np.array_equal(arrays.v_template[mirror] * [-1, 1, 1], arrays.v_template)
    assert np.array_equal(arrays.weights[mirror][:, list(SMPL_FLIP)], arrays.weights)
    for left, right in [(2800, 6260), (583, 4071)]:
        assert mirror[left] == right


def test_face_vertices_that_tools_hard_code() -> None:
    assert COCO17_NAMES[0] == "nose"
    v = reference.reference_arrays().v_template
    assert v[332, 2] == v[(v[:, 1] > 0.35), 2].max()  # the nose is the foremost point of the head
    assert v[411, 1] == v[:, 1].max()  # and 411 its top
    assert v[2800, 0] > 0 > v[6260, 0]


def test_atlases() -> None:
    atlas = reference.reference_atlas_arrays()
    faces = reference.reference_faces()
    assert np.array_equal(atlas["dp_vertices"][atlas["dp_faces"]], faces)
    assert set(np.unique(atlas["part"])) == set(range(1, 25))
    assert atlas["dp_uv"].min() >= 0
    assert atlas["dp_uv"].max() <= 1
    one = reference.onepiece_uv_arrays()
    assert np.array_equal(one["vt2v"][one["ft"]], faces)
    assert one["vt"].min() >= 0
    assert one["vt"].max() <= 1
    many = reference.makehuman_uv_arrays()
    assert many["ft"].shape == faces.shape
    assert many["ft"].max() == len(many["vt"]) - 1
    assert not one["vt"].flags.writeable

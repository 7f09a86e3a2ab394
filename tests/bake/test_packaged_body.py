"""What the bake promises of the packaged body: counts, closed surface, exact left-right symmetry, landmarks."""

from __future__ import annotations

import numpy as np
import pytest

mesh = pytest.importorskip("bake.reference_body.mesh", reason="the bake scripts are not in this installation")
smpl_format = pytest.importorskip("bake.reference_body.smpl_format")


def test_counts_and_surface(body: dict[str, np.ndarray]) -> None:
    faces = body["faces"].astype(int)
    assert faces.shape == (smpl_format.FACE_COUNT, 3)
    assert np.unique(faces).size == smpl_format.VERTEX_COUNT
    mesh.assert_closed_sphere(faces)
    np.testing.assert_array_equal(body["parents"], smpl_format.PARENTS)


def test_mirror_is_an_involution_that_keeps_the_surface(body: dict[str, np.ndarray]) -> None:
    mirror, faces = body["mirror"].astype(int), body["faces"].astype(int)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
    partner = mesh.mirrored_faces(faces, mirror)
    np.testing.assert_array_equal(np.sort(partner), np.arange(len(faces)))


@pytest.mark.parametrize("gender", smpl_format.GENDERS)
def test_shapes_are_exactly_symmetric(body: dict[str, np.ndarray], gender: str) -> None:
    mirror = body["mirror"].astype(int)
    template, shapes = body[f"v_template_{gender}"], body[f"shapedirs_{gender}"]
    np.testing.assert_array_equal(template[mirror] * smpl_format.MIRROR, template)
    np.testing.assert_array_equal(shapes[mirror] * smpl_format.MIRROR[:, None], shapes)


@pytest.mark.parametrize("gender", smpl_format.GENDERS)
def test_signs_of_the_shape_components(body: dict[str, np.ndarray], gender: str) -> None:
    shapes = body[f"shapedirs_{gender}"].astype(np.float64)
    crown, heel = (smpl_format.LANDMARK_SLOTS[name] for name in ("crown", "left_heel"))
    assert shapes[crown, 1, 0] > shapes[heel, 1, 0]
    faces, template = body["faces"].astype(int), body[f"v_template_{gender}"].astype(np.float64)
    growth = np.einsum("fc,fck->k", mesh.face_cross(template, faces), shapes[faces].mean(1))
    assert (growth[1:] > 0).all()


def test_weights(body: dict[str, np.ndarray]) -> None:
    weights, mirror = body["weights"], body["mirror"].astype(int)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert weights.min() >= 0
    assert np.count_nonzero(weights, axis=1).max() <= 5
    np.testing.assert_array_equal(weights[mirror][:, smpl_format.MIRROR_JOINTS], weights)


def test_landmarks_lie_where_their_names_say(body: dict[str, np.ndarray]) -> None:
    points, slots = body["v_template_neutral"], smpl_format.LANDMARK_SLOTS
    mirror = body["mirror"].astype(int)
    for name, vertex in slots.items():
        if name.startswith("left_"):
            assert points[vertex, 0] > 0, name
            assert mirror[vertex] == slots[name.replace("left_", "right_")]
    assert points[slots["crown"], 1] == points[:, 1].max()
    assert abs(points[slots["nose"], 0]) < 1e-6
    tips = [points[slots[f"left_{finger}"], 0] for finger in ("thumb", "index", "middle")]
    assert tips == sorted(tips)  # the middle finger reaches farthest in the T-pose
    big, small, heel = (points[slots[f"left_{name}"]] for name in ("big_toe", "small_toe", "heel"))
    assert big[0] < small[0]  # the big toe on the inner side
    assert heel[2] < small[2] < big[2]

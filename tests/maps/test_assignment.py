from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import joint_set
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.assignment import (
    OUTSIDE,
    assigned_joints,
    displacement_map,
    joint_map,
    joints_from_map,
    part_assignment,
)
from hmrtk.toolkit.maps.atlas import onepiece_atlas
from hmrtk.toolkit.maps.location import UVSpace

Draw = Callable[[int, int], BodyParameters]
SETS = pytest.mark.parametrize("name", ["lsp14", "smpl24"])


@pytest.fixture(scope="module")
def space() -> UVSpace:
    return UVSpace(onepiece_atlas(), 128)


@pytest.fixture(scope="module")
def posed(body: BodyModel, random_parameters: Draw) -> Body:
    return body.pose(random_parameters(4, 6))


@SETS
def test_every_texel_belongs_to_a_near_joint(name: str, body: BodyModel, space: UVSpace) -> None:
    label = part_assignment(body, space, name)
    assert label.shape == (128, 128)
    np.testing.assert_array_equal(label == OUTSIDE, ~space.mask)
    rest = body.pose(BodyParameters.zeros(1))
    joints = assigned_joints(body, rest, name)[0]
    points = space.location(rest.vertices, np.zeros((1, 3)))[0][:, space.mask].T  # (T, 3)
    distance = np.linalg.norm(points[:, None] - joints, axis=-1)
    own = distance[np.arange(len(points)), label[space.mask]]
    # Labels come from interpolated vertices: along a border between two joints they may differ by about a face.
    assert (own - distance.min(axis=1)).max() < 0.06
    assert (own == distance.min(axis=1)).mean() > 0.9
    assert set(np.unique(label[space.mask])) >= set(range(14)) - ({13} if name == "smpl24" else set())


@SETS
@pytest.mark.parametrize("size", [63, 64, 128])
def test_labels_are_symmetric(name: str, size: int, body: BodyModel) -> None:
    label = part_assignment(body, UVSpace(onepiece_atlas(), size), name)
    flip = np.append(np.array(joint_set(name).flip), np.full(256 - len(joint_set(name)), OUTSIDE))
    half = size // 2
    np.testing.assert_array_equal(label[:, size - half :][:, ::-1], flip[label[:, :half]])
    assert {int(x) for x in np.unique(flip[label])} == {int(x) for x in np.unique(label)}


def test_joint_map_holds_the_joints_and_gives_them_back(body: BodyModel, space: UVSpace, posed: Body) -> None:
    label = part_assignment(body, space)
    joints = assigned_joints(body, posed)
    np.testing.assert_allclose(joints, body.spin24(posed)[:, :14])
    root = posed.joints[:, 0]
    maps = joint_map(joints, root, label)
    assert maps.shape == (4, 3, 128, 128)
    assert maps.dtype == np.float32
    row, col = np.argwhere(label == 7)[0]
    np.testing.assert_array_equal(maps[2, :, row, col], joints[2, 7] - root[2])
    assert (maps[..., label == OUTSIDE] == 0).all()
    back, texels = joints_from_map(maps, label, 14)
    np.testing.assert_allclose(back, joints - root[:, None], atol=1e-6)
    np.testing.assert_array_equal(texels, np.tile(np.bincount(label[label < 14], minlength=14), (4, 1)))


def test_joints_are_averaged_over_valid_texels_only(body: BodyModel, space: UVSpace) -> None:
    label = part_assignment(body, space)
    rng = np.random.default_rng(0)
    maps, valid = rng.normal(size=(3, 3, 128, 128)), rng.uniform(size=(3, 128, 128)) < 0.3
    valid[1, label == 5] = False
    back, texels = joints_from_map(maps, label, 14, valid)
    for n in range(3):
        for j in range(14):
            chosen = (label == j) & valid[n]
            assert texels[n, j] == chosen.sum()
            if chosen.any():
                np.testing.assert_allclose(back[n, j], maps[n][:, chosen].mean(axis=1), atol=1e-9)
    assert np.isnan(back[1, 5]).all()


def test_displacement_is_location_minus_joint_and_equal_on_both_sides(
    body: BodyModel, space: UVSpace, posed: Body
) -> None:
    label = part_assignment(body, space)
    root = posed.joints[:, 0]
    location, joint = space.location(posed.vertices, root), joint_map(assigned_joints(body, posed), root, label)
    shift = displacement_map(location, joint, label)
    np.testing.assert_array_equal(shift[..., space.mask], (location - joint)[..., space.mask])
    assert (shift[..., ~space.mask] == 0).all()
    # Best of Both, Eq. 7: on a symmetric pose the magnitudes of UV_d mirror each other (here: the T-pose).
    rest = body.pose(BodyParameters.zeros(1))
    rest_joint = joint_map(assigned_joints(body, rest), rest.joints[:, 0], label)
    size = np.linalg.norm(
        displacement_map(space.location(rest.vertices, rest.joints[:, 0]), rest_joint, label)[0], axis=0
    )
    assert np.abs(size - size[:, ::-1]).max() < 2e-3
    assert 0.03 < size[space.mask].mean() < 0.2


def test_errors(body: BodyModel, space: UVSpace, posed: Body) -> None:
    label = part_assignment(body, space)
    joints, root = assigned_joints(body, posed), posed.joints[:, 0]
    with pytest.raises(UnknownNameError, match="joint set of a part assignment 'coco17'; known: "):
        part_assignment(body, space, "coco17")
    lopsided = UVSpace(replace(onepiece_atlas(), symmetric=False), 16)
    with pytest.raises(InputError, match="is not left-right symmetric, a part assignment must be"):
        part_assignment(body, lopsided)
    with pytest.raises(InputError, match=r"expected joints \(N, >= 14, 3\) and root \(N, 3\), got \(4, 13, 3\)"):
        joint_map(joints[:, :13], root, label)
    with pytest.raises(InputError, match=r"expected uint8 \(S, S\), got int64"):
        joint_map(joints, root, label.astype(np.int64))  # type: ignore[arg-type]
    maps: NDArray[np.float32] = joint_map(joints, root, label)
    with pytest.raises(InputError, match=r"displacement map: expected maps of \(128, 128\)"):
        displacement_map(maps[..., :64], maps[..., :64], label)
    with pytest.raises(InputError, match="and <= 13 joints"):
        joints_from_map(maps, label, 13)
    with pytest.raises(InputError, match=r"valid: expected \(4, 128, 128\), got \(128, 128\)"):
        joints_from_map(maps, label, 14, np.ones((128, 128), bool))

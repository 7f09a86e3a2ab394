from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

correctives = pytest.importorskip(
    "bake.reference_body.pose_correctives", reason="the bake scripts are not in this installation"
)
target = pytest.importorskip("bake.reference_body.skinning_target")
smpl_format = pytest.importorskip("bake.reference_body.smpl_format")


def test_limits_are_mirror_images() -> None:
    limits = correctives.joint_limits()
    assert limits[0].tolist() == [[0, 0]] * 3
    assert (limits[1:, :, 0] < limits[1:, :, 1]).all()
    mirrored = limits[smpl_format.MIRROR_JOINTS].copy()
    mirrored[:, 1:] = -mirrored[:, 1:, ::-1]
    np.testing.assert_array_equal(mirrored, limits)
    assert limits[smpl_format.JOINT["right_elbow"], 1].tolist() == [0, 145]


def test_random_pose_stays_inside_the_limits() -> None:
    limits = correctives.joint_limits()
    pose = correctives.random_pose([4, 18], limits, np.random.default_rng(0))
    turned = np.degrees(Rotation.from_matrix(pose).as_rotvec())
    assert np.flatnonzero(np.abs(turned).sum(1)).tolist() == [4, 18]
    for joint in (4, 18):
        assert (limits[joint, :, 0] <= turned[joint]).all()
        assert (turned[joint] <= limits[joint, :, 1]).all()


def test_features_vanish_at_rest() -> None:
    assert not correctives.pose_features(np.tile(np.eye(3), (24, 1, 1))).any()


def test_quaternion_product_against_scipy() -> None:
    a, b = Rotation.random(5, random_state=0), Rotation.random(5, random_state=1)
    product = target.quaternion_product(a.as_quat(), b.as_quat())
    np.testing.assert_allclose(Rotation.from_quat(product).as_matrix(), (a * b).as_matrix(), atol=1e-12)


def test_ridge_recovers_a_linear_law_and_respects_the_mask() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 207))
    listens = np.zeros((24, smpl_format.VERTEX_COUNT), bool)
    listens[5, 10] = True
    law = rng.normal(size=(3, 9))
    offsets = np.zeros((4000, smpl_format.VERTEX_COUNT, 3), np.float32)
    offsets[:, 10] = features[:, 36:45] @ law.T
    offsets[:, 11] = offsets[:, 10]
    bases = correctives.fit_bases(features, offsets, listens)
    np.testing.assert_allclose(bases[10, :, 36:45], law, atol=0.02)
    assert not bases[11].any()
    assert not bases[10, :, :36].any()


def test_packaged_correctives_are_symmetric(body: dict[str, np.ndarray]) -> None:
    """The corrective of a mirrored pose is the mirrored corrective."""
    rng = np.random.default_rng(4)
    axis_angle = rng.normal(scale=0.4, size=(24, 3))
    mirrored = axis_angle[smpl_format.MIRROR_JOINTS] * [1, -1, -1]
    bases = body["posedirs"].astype(np.float64)

    def offsets(pose: Any) -> Any:
        return bases @ correctives.pose_features(Rotation.from_rotvec(pose).as_matrix())

    mirror = body["mirror"].astype(int)
    np.testing.assert_allclose(offsets(mirrored), offsets(axis_angle)[mirror] * [-1, 1, 1], atol=1e-6)


def test_symmetrise_leaves_the_packaged_bases_alone(body: dict[str, np.ndarray]) -> None:
    bases = body["posedirs"].astype(np.float64)
    np.testing.assert_allclose(correctives.symmetrise(bases, body["mirror"].astype(int)), bases, atol=1e-6)

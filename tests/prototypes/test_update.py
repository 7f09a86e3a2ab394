"""Centres: scipy's rotation mean as the oracle, empty clusters, first centres, the singular prototype's root."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.prototypes.certificate import Assignment
from hmrtk.toolkit.prototypes.statistics import Statistics, block_statistics, centres_from, quaternion_planes
from hmrtk.toolkit.prototypes.update import FACING_CAMERA, initial_rows, reseed_empty, singular_parameters

from .conftest import heading


def statistics(parameters: BodyParameters, label: list[int], lower: list[float], k: int) -> Statistics:
    far, found = np.array(lower, np.float64), np.array(label, np.int32)
    counts = np.bincount(found, minlength=k)
    assignment = Assignment(found, far, far, np.full(len(far), 0.01), 0, 0, counts)
    return block_statistics(parameters, quaternion_planes(parameters), assignment, slice(0, len(far)))


def means(parameters: BodyParameters, label: NDArray[np.integer], fallback: BodyParameters) -> BodyParameters:
    far = [0.0] * len(label)
    return centres_from(statistics(parameters, label.tolist(), far, len(fallback)), fallback)


def test_centres_are_scipys_mean_rotations_and_mean_betas(bodies: BodyParameters) -> None:
    label = np.random.default_rng(0).integers(0, 6, len(bodies))
    mean = means(bodies, label, bodies[np.arange(6)])
    for k in range(6):
        np.testing.assert_allclose(mean.betas[k], bodies.betas[label == k].mean(axis=0), atol=1e-6)
        for joint in range(1, 24):
            oracle = Rotation.from_rotvec(bodies.pose[label == k, joint].astype(np.float64)).mean()
            got = Rotation.from_rotvec(mean.pose[k, joint].astype(np.float64))
            assert (oracle.inv() * got).magnitude() < 2e-5


def test_empty_cluster_keeps_its_centre_and_never_becomes_a_half_turn(bodies: BodyParameters) -> None:
    label = np.zeros(len(bodies), np.int64)
    mean = means(bodies, label, bodies[np.arange(3)])
    for row in (1, 2):
        np.testing.assert_array_equal(mean.pose[row], bodies.pose[row])
        np.testing.assert_array_equal(mean.betas[row], bodies.betas[row])


def test_half_way_between_two_headings() -> None:
    pair = heading([0.2, 0.6])
    mean = means(pair, np.zeros(2, np.int64), pair[[0]])
    np.testing.assert_allclose(mean.global_orient, [[0, 0.4, 0]], atol=1e-6)


def test_empty_clusters_move_to_the_farthest_distinct_bodies(bodies: BodyParameters) -> None:
    twins = bodies[np.array([0, 1, 2, 2, 3])]
    found = statistics(twins, [0, 0, 0, 0, 0], [0, 1, 9, 9, 5], k=3)
    moved, count = reseed_empty(bodies[np.array([10, 11, 12])], found)
    assert count == 2
    np.testing.assert_array_equal(moved.betas, bodies.betas[[10, 2, 3]])


def test_nothing_is_reseeded_when_every_body_sits_on_its_centre(bodies: BodyParameters) -> None:
    centres = bodies[np.array([0, 0])]
    moved, count = reseed_empty(centres, statistics(bodies[:3], [0, 0, 0], [0, 0.005, 0], k=2))
    assert count == 0
    np.testing.assert_array_equal(moved.pose, centres.pose)


def test_singular_prototype_faces_the_camera_when_headings_go_all_round() -> None:
    mean, root = singular_parameters(heading(list(np.linspace(0, 2 * np.pi, 36, endpoint=False))))
    assert root == "facing-camera"
    np.testing.assert_allclose(mean.global_orient[0], FACING_CAMERA, rtol=1e-6)
    mean, root = singular_parameters(heading([0.1, 0.2, 0.3]))
    assert root == "markley"
    np.testing.assert_allclose(mean.global_orient[0], [0, 0.2, 0], atol=1e-5)


@pytest.mark.parametrize("init", ["random", "k-means++"])
def test_first_centres_are_distinct_rows_and_follow_the_seed(init: str) -> None:
    points = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    rows = initial_rows(points, 60, init, np.random.default_rng(5))
    assert sorted(rows) == list(range(60))
    again, other = (initial_rows(points, 9, init, np.random.default_rng(s)) for s in (5, 6))
    np.testing.assert_array_equal(initial_rows(points, 9, init, np.random.default_rng(5)), again)
    assert (again != other).any()


def test_kmeans_plus_plus_visits_every_far_group_and_survives_duplicates() -> None:
    groups: NDArray[np.float32] = np.repeat(np.eye(4, dtype=np.float32) * 1000, 25, axis=0)
    rows = initial_rows(groups, 4, "k-means++", np.random.default_rng(0))
    assert sorted(row // 25 for row in rows) == [0, 1, 2, 3]
    assert len(set(initial_rows(groups, 7, "k-means++", np.random.default_rng(0)))) == 7


def test_unknown_initialisation_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="unknown initialisation 'kmeans'; known: k-means\\+\\+, random"):
        initial_rows(5, 2, "kmeans", np.random.default_rng(0))

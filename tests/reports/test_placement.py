"""Pictures on a map: apart, inside, beside their cluster rather than on it."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist

from hmrtk.reports.placement import beside

SIZE, REACH = 2.0, 12.0
MIDDLE = np.zeros(2)


def test_a_lone_cluster_is_not_covered_by_its_picture() -> None:
    points = 0.3 * np.random.default_rng(0).normal(size=(200, 2))
    spot = beside([0], points, np.zeros(200, int), np.zeros((1, 2)), [0], SIZE, MIDDLE, REACH)[0]
    assert (np.linalg.norm(points - spot, axis=1) > SIZE / 2).mean() > 0.95
    assert np.linalg.norm(spot) < 2 * SIZE


def test_pictures_of_clusters_in_one_place_keep_apart_and_inside() -> None:
    rng = np.random.default_rng(1)
    points, centres = rng.normal(size=(300, 2)), 0.1 * rng.normal(size=(12, 2))
    spots = beside(range(12), points, rng.integers(0, 12, 300), centres, range(12), SIZE, MIDDLE, REACH)
    assert pdist(spots).min() >= SIZE
    assert np.abs(spots).max() <= REACH + 1e-9


def test_a_centre_on_the_edge_stays_inside() -> None:
    corner = np.array([[REACH, REACH]])
    spots = beside([0], corner, np.zeros(1, int), corner, [0], SIZE, MIDDLE, REACH)
    assert np.abs(spots).max() <= REACH + 1e-9


def test_a_number_of_another_cluster_is_left_free() -> None:
    far = np.array([[100.0, 100.0]])
    centres = np.array([[0.0, 0.0], [0.9, 0.0]])
    spots = [beside([0], far, np.zeros(1, int), centres, n, SIZE, MIDDLE, REACH)[0] for n in ([0, 1], [0])]
    assert np.linalg.norm(spots[0] - centres[1]) >= 0.6 * SIZE
    np.testing.assert_array_equal(spots[1], centres[0])


def test_a_cluster_without_samples_lies_on_its_centre() -> None:
    far = np.array([[9.0, 9.0]])
    spots = beside([1], far, np.zeros(1, int), np.array([[9.0, 9.0], [0.0, 0.0]]), [0, 1], SIZE, MIDDLE, REACH)
    np.testing.assert_array_equal(spots, [[0.0, 0.0]])

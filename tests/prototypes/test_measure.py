"""Distances of bodies to prototypes, and labels of bodies that were not clustered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.prototypes.kmeans import METHODS, PrototypeConfig, fit_prototypes
from hmrtk.toolkit.prototypes.measure import assign, distances_to
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet


@pytest.fixture(scope="module")
def prototypes(body: BodyModel, bodies: BodyParameters) -> PrototypeSet:
    return fit_prototypes(bodies, body, PrototypeConfig(k=12)).prototypes


def mean_metres(body: BodyModel, a: BodyParameters, b: BodyParameters) -> NDArray[np.float64]:
    pair = [body.pose(p.replaced(transl=np.zeros((len(p), 3)))).vertices.astype(np.float64) for p in (a, b)]
    return np.linalg.norm(pair[0] - pair[1], axis=-1).mean(axis=1)


def test_distances_are_mean_vertex_distances(body: BodyModel, bodies: BodyParameters, prototypes: PrototypeSet) -> None:
    labels = assign(bodies[:60], prototypes, body)
    expected = mean_metres(body, bodies[:60], prototypes.parameters[labels.label])
    np.testing.assert_allclose(labels.distance, expected, rtol=1e-5)
    singular = mean_metres(body, bodies[:60], prototypes.singular[np.zeros(60, int)])
    np.testing.assert_allclose(labels.distance_to_singular, singular, rtol=1e-5)
    np.testing.assert_array_equal(distances_to(bodies[:60], prototypes, body), labels.distance)
    np.testing.assert_array_equal(
        distances_to(bodies[:60], prototypes.singular_set(), body), labels.distance_to_singular
    )


def test_distances_to_chosen_prototypes(body: BodyModel, bodies: BodyParameters, prototypes: PrototypeSet) -> None:
    label = np.arange(12)
    expected = mean_metres(body, bodies[:12], prototypes.parameters)
    np.testing.assert_allclose(distances_to(bodies[:12], prototypes, body, label), expected, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_assigning_the_clustered_bodies_again_gives_their_labels(
    body: BodyModel, bodies: BodyParameters, method: str
) -> None:
    fit = fit_prototypes(bodies[:200], body, PrototypeConfig(k=12, method=method))
    labels = assign(bodies[:200], fit.prototypes, body)
    for name in ("label", "distance", "distance_to_singular", "weighted_distance"):
        np.testing.assert_array_equal(getattr(labels, name), getattr(fit.labels, name))


def test_new_bodies_go_to_the_brute_force_prototype(
    body: BodyModel,
    people: BodyParameters,
    prototypes: PrototypeSet,
    weights: NDArray[np.float64],
    brute_force: Callable[..., Any],
) -> None:
    new = people[400:900]
    gamma = brute_force(body, new, prototypes.parameters, weights)
    labels = assign(new, prototypes, body)
    np.testing.assert_array_equal(labels.label, gamma.argmin(axis=1))
    np.testing.assert_allclose(labels.weighted_distance, gamma.min(axis=1), rtol=1e-6)


def test_ties_go_to_the_lowest_index(body: BodyModel, bodies: BodyParameters) -> None:
    twins = PrototypeSet.of(bodies[[4, 4, 9]], {"method": "p3dh"}, singular=bodies[[0]])
    assert set(assign(bodies[:50], twins, body).label) <= {0, 2}


def test_another_body_is_refused(bodies: BodyParameters, prototypes: PrototypeSet) -> None:
    male = load_body(gender="male")
    for call in (assign, distances_to):
        with pytest.raises(BodyMismatchError, match="was made with body"):
            call(bodies[:3], prototypes, male)
    with pytest.raises(BodyMismatchError, match="was made with body"):
        distances_to(bodies[:3], prototypes, male, np.zeros(3, int))


def test_bad_input(body: BodyModel, bodies: BodyParameters, prototypes: PrototypeSet) -> None:
    with pytest.raises(InputError, match="bodies: there are none"):
        assign(bodies[:0], prototypes, body)
    betas = bodies.betas[:3].copy()
    betas[1, 0] = np.inf
    with pytest.raises(InputError, match="bodies row 1: betas has NaN or infinite"):
        assign(bodies[:3].replaced(betas=betas), prototypes, body)
    with pytest.raises(InputError, match="labels: expected 3 labels, got shape \\(2,\\)"):
        distances_to(bodies[:3], prototypes, body, np.zeros(2, int))
    with pytest.raises(InputError, match=r"labels row 2: label 12 is outside 0\.\.11"):
        distances_to(bodies[:3], prototypes, body, np.array([0, 11, 12]))

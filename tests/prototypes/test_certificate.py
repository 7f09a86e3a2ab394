"""Exact assignment: against brute force in all coordinates, at every iteration, whatever the number of directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.prototypes import certificate, features
from hmrtk.toolkit.prototypes.certificate import Assignment, ExactAssigner
from hmrtk.toolkit.prototypes.lloyd import run_lloyd
from hmrtk.toolkit.prototypes.population import LocalPopulation
from hmrtk.toolkit.prototypes.projection import fit_space
from hmrtk.toolkit.sources.embedded import embedded_records


def assigner(
    body: BodyModel, parameters: BodyParameters, weights: NDArray[np.float64], dims: int | None = None, chunk: int = 256
) -> ExactAssigner:
    space = fit_space(body, parameters, weights, np.random.default_rng(3), dims)
    return ExactAssigner(space, parameters, space.project(parameters, chunk), "cpu", chunk)


@pytest.fixture(scope="module")
def usual(body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64]) -> ExactAssigner:
    """The 400 bodies with directions chosen from the data."""
    return assigner(body, bodies, weights)


@pytest.mark.parametrize("dims", [2, 24, None])
def test_every_label_of_every_iteration_is_the_brute_force_one(
    body: BodyModel,
    people: BodyParameters,
    weights: NDArray[np.float64],
    brute_force: Callable[..., Any],
    mistakes: Callable[..., int],
    dims: int | None,
) -> None:
    wrong: list[int] = []

    class Checked(ExactAssigner):
        def assign(self, centres: BodyParameters) -> Assignment:
            found = super().assign(centres)
            wrong.append(mistakes(brute_force(body, people, centres, weights), found.label))
            assert found.certified + found.rechecked == len(people)
            return found

    made = assigner(body, people, weights, dims)
    checked = Checked(made.space, people, made.coordinates, "cpu")
    run = run_lloyd(LocalPopulation(checked, people), people[np.arange(12)], max_iter=6, tol=0)
    assert wrong == [0] * len(run.history)
    assert len(run.history) == 7
    shares = [entry["rechecked"] / len(people) for entry in run.history]
    assert max(shares) < 0.02 if dims is None else max(shares) > 0


def test_bounds_hold_and_full_comparison_closes_them(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64], brute_force: Callable[..., Any]
) -> None:
    centres = bodies[np.arange(0, 400, 40)]
    found = assigner(body, bodies, weights, dims=12).assign(centres)
    gamma = brute_force(body, bodies, centres, weights)[np.arange(400), found.label]
    assert (found.lower - found.rounding <= gamma).all()
    assert (gamma <= found.upper + found.rounding).all()
    closed = found.lower == found.upper
    assert found.rechecked > 0
    np.testing.assert_allclose(found.lower[closed], gamma[closed], rtol=1e-6, atol=1e-6)


def test_labels_do_not_depend_on_directions_chunks_or_threads(
    body: BodyModel,
    bodies: BodyParameters,
    weights: NDArray[np.float64],
    usual: ExactAssigner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    centres = bodies[np.arange(20)]
    expected = usual.assign(centres).label
    for dims, chunk, threads in ((5, 256, 1), (20, 33, 3)):
        monkeypatch.setattr(features, "processors", lambda n=threads: n)
        np.testing.assert_array_equal(assigner(body, bodies, weights, dims, chunk).assign(centres).label, expected)


def test_equal_centres_go_to_the_lowest_index(bodies: BodyParameters, usual: ExactAssigner) -> None:
    centres = bodies[np.array([5, 7, 5, 7, 5])]
    found = usual.assign(centres)
    assert set(found.label) == {0, 1}
    assert found.rechecked == 400  # no bound can decide between equals
    assert found.counts.tolist() == [(found.label == 0).sum(), (found.label == 1).sum(), 0, 0, 0]


def test_a_centre_that_is_a_sample_is_at_distance_zero_from_it(bodies: BodyParameters, usual: ExactAssigner) -> None:
    found = usual.assign(bodies[np.arange(30)])
    np.testing.assert_array_equal(found.label[:30], np.arange(30))
    assert (found.lower[:30] <= found.rounding[:30]).all()


def test_one_centre_takes_all_without_a_second_look(bodies: BodyParameters, usual: ExactAssigner) -> None:
    found = usual.assign(bodies[[3]])
    assert (found.label == 0).all()
    assert found.certified == 400


def test_translation_is_left_out(bodies: BodyParameters, usual: ExactAssigner) -> None:
    moved = bodies.replaced(transl=np.random.default_rng(0).normal(size=(400, 3)) * 5)
    centres = moved[np.arange(15)]
    np.testing.assert_array_equal(usual.space.project(moved), usual.coordinates)
    found = ExactAssigner(usual.space, moved, usual.coordinates, "cpu").assign(centres)
    np.testing.assert_array_equal(found.label, usual.assign(bodies[np.arange(15)]).label)


@pytest.mark.slow
def test_a_thousand_centres(
    body: BodyModel, weights: NDArray[np.float64], brute_force: Callable[..., Any], mistakes: Callable[..., int]
) -> None:
    """Two updates of 1000 centres over 2000 bodies: many empty clusters at first, every label the brute force's."""
    crowd = embedded_records("train", body, 2000).parameters()
    made = assigner(body, crowd, weights)
    population = LocalPopulation(made, crowd)
    centres = crowd[np.r_[0:900, np.zeros(100, int)]]
    run = run_lloyd(population, centres, max_iter=2, tol=0)
    assert run.history[0]["empty"] >= 100
    assert run.history[0]["reseeded"] == run.history[0]["empty"]
    for these in (centres, run.centres):
        label = population.labels(these)
        assert mistakes(brute_force(body, crowd, these, weights), label) == 0
    assert run.history[-1]["rechecked"] < 0.02 * len(crowd)


def test_more_bodies_waiting_than_fit_are_compared_in_turns(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two directions prove little: nearly all bodies are compared in full, a few at a time."""
    centres = bodies[np.arange(0, 400, 20)]
    expected = assigner(body, bodies, weights, dims=2).assign(centres)
    assert expected.rechecked > 200
    monkeypatch.setattr(certificate, "PENDING_ENTRIES", 100)
    monkeypatch.setattr(features, "BLOCK", 64)
    found = assigner(body, bodies, weights, dims=2).assign(centres)
    np.testing.assert_array_equal(found.label, expected.label)
    assert found.rechecked == expected.rechecked


def test_faiss_gives_the_same_labels(
    body: BodyModel, bodies: BodyParameters, usual: ExactAssigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for on the CPU. It is the way of GPUs, too: all rows at once."""
    for centres in (bodies[np.arange(0, 400, 10)], bodies[:1]):
        expected = usual.assign(centres)
        there = ExactAssigner(usual.space, bodies, usual.coordinates, "cpu", by_faiss=True)
        asked: list[int] = []
        search = there.search.nearest

        def nearest(*given: Any, search: Any = search, asked: list[int] = asked) -> Any:
            asked.append(len(given[1]))
            return search(*given)

        monkeypatch.setattr(there.search, "nearest", nearest)
        found = there.assign(centres)
        assert asked == [400]
        np.testing.assert_array_equal(found.label, expected.label)
        np.testing.assert_allclose(found.lower, expected.lower, rtol=1e-4, atol=float(expected.rounding.max()))

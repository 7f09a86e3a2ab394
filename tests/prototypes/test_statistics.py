"""Sums over blocks: NumPy as the oracle, merging, and the same bits whatever the chunks, threads and machines."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.prototypes import features
from hmrtk.toolkit.prototypes.certificate import Assignment, ExactAssigner
from hmrtk.toolkit.prototypes.lloyd import run_lloyd
from hmrtk.toolkit.prototypes.population import LocalPopulation
from hmrtk.toolkit.prototypes.projection import VertexSpace, fit_space
from hmrtk.toolkit.prototypes.statistics import (
    Statistics,
    block_statistics,
    body_digest,
    merge,
    quaternion_planes,
    scatter_of,
)


@pytest.fixture(scope="module")
def space(body: BodyModel, people: BodyParameters, weights: NDArray[np.float64]) -> VertexSpace:
    return fit_space(body, people, weights, np.random.default_rng(0), dims=24)


def bits(value: Statistics) -> list[bytes]:
    arrays = [np.asarray(getattr(value, f.name)) for f in fields(value) if f.name != "far_bodies"]
    return [a.tobytes() for a in [*arrays, value.far_bodies.pose, value.far_bodies.betas]]


def test_sums_are_numpys(people: BodyParameters, space: VertexSpace) -> None:
    found = ExactAssigner(space, people, space.project(people), "cpu").assign(people[:7])
    before = np.zeros(len(people), np.int32)
    got = block_statistics(people, quaternion_planes(people), found, slice(0, len(people)), before)
    quats = np.swapaxes(quaternion_planes(people), 1, 2).astype(np.float64)
    for k in range(7):
        mine = found.label == k
        np.testing.assert_allclose(
            scatter_of(got.products)[k], np.einsum("nji,njk->jik", quats[mine], quats[mine]), atol=1e-9
        )
        np.testing.assert_allclose(got.betas[k], people.betas[mine].sum(axis=0, dtype=np.float64), atol=1e-9)
    np.testing.assert_array_equal(got.counts, np.bincount(found.label, minlength=7))
    assert got.total == len(people)
    assert got.changed == (found.label != 0).sum()
    assert (got.certified, got.rechecked) == (found.certified, found.rechecked)
    assert got.mean == pytest.approx(found.mean, rel=1e-12)


def test_blocks_of_a_part_are_the_blocks_of_the_whole(
    people: BodyParameters, space: VertexSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A remote engine that holds some whole blocks sends the very bits that one process would have found."""
    monkeypatch.setattr(features, "BLOCK", 256)
    centres = people[:5]

    def parts(rows: slice) -> list[Statistics]:
        bodies = people[rows]
        found = ExactAssigner(space, bodies, space.project(bodies, chunk=100), "cpu").assign(centres)
        planes = quaternion_planes(bodies)
        blocks = features.blocks(len(bodies))
        return [block_statistics(bodies, planes, found, block, first_row=rows.start) for block in blocks]

    whole = merge(parts(slice(0, 1500)))
    split = merge(parts(slice(0, 512)) + parts(slice(512, 768)) + parts(slice(768, 1500)))
    assert bits(whole) == bits(split)


@pytest.mark.parametrize(("chunk", "threads"), [(64, 1), (100, 3), (1024, 5)])
def test_a_run_is_the_same_to_the_bit_whatever_the_chunk_and_the_threads(
    people: BodyParameters, space: VertexSpace, monkeypatch: pytest.MonkeyPatch, chunk: int, threads: int
) -> None:
    monkeypatch.setattr(features, "BLOCK", 200)

    def run(chunk: int) -> tuple[bytes, ...]:
        assigner = ExactAssigner(space, people, space.project(people, chunk), "cpu", chunk)
        population = LocalPopulation(assigner, people)
        found = run_lloyd(population, people[:9], 4, 0.0)
        return (
            population.labels(found.centres).tobytes(),
            found.centres.pose.tobytes(),
            str(found.history).encode(),
            str(found.mean).encode(),
        )

    expected = run(512)
    monkeypatch.setattr(features, "processors", lambda: threads)
    assert run(chunk) == expected


def test_the_farthest_distinct_bodies_of_a_block_come_first(bodies: BodyParameters) -> None:
    crowd = bodies[np.array([0, 1, 1, 1, 1, 2, 3])]
    far = np.array([0, 9, 9, 9, 9, 3, 5], np.float64)
    found = Assignment(np.zeros(7, np.int32), far, far, np.full(7, 0.1), 7, 0, np.array([7, 0, 0]))
    got = block_statistics(crowd, quaternion_planes(crowd), found, slice(0, 7), first_row=100)
    assert got.far_row.tolist() == [101, 106]
    assert got.far_gamma.tolist() == [9, 5]
    np.testing.assert_array_equal(got.far_bodies.betas, bodies.betas[[1, 3]])


def test_a_block_without_empty_clusters_names_nobody(bodies: BodyParameters) -> None:
    far = np.ones(4)
    found = Assignment(np.array([0, 1, 0, 1], np.int32), far, far, np.zeros(4), 4, 0, np.array([2, 2]))
    assert not len(block_statistics(bodies[:4], quaternion_planes(bodies[:4]), found, slice(0, 4)).far_row)


def test_equal_bodies_have_equal_digests_and_others_do_not(bodies: BodyParameters) -> None:
    moved = bodies.replaced(transl=bodies.transl + 1)
    np.testing.assert_array_equal(body_digest(bodies), body_digest(moved))
    distinct = np.unique(np.concatenate([bodies.pose.reshape(-1, 72), bodies.betas], axis=1), axis=0)
    assert len(np.unique(body_digest(bodies))) == len(distinct)

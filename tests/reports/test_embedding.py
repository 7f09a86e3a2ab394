"""The map's places: labels are exact, neighbours in 3D are neighbours on the map, odd input is refused or survives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hmrtk.reports.embedding import Embedding, embed
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def prototypes(body: BodyModel) -> PrototypeSet:
    """Upright, lying, and with the arms up."""
    pose = np.zeros((3, 23, 3))
    pose[2, 15, 2], pose[2, 16, 2] = 1.2, -1.2
    bodies = BodyParameters.of([[np.pi, 0, 0], [np.pi / 2, 0, 0], [np.pi, 0, 0]], pose)
    return PrototypeSet.of(bodies, {"body": body.fingerprint, "method": "p3dh"}, singular=bodies[[0]])


@pytest.fixture(scope="module")
def samples(prototypes: PrototypeSet) -> BodyParameters:
    """20 slightly varied copies of each prototype."""
    rows = np.repeat(np.arange(3), 20)
    near = prototypes.parameters[rows]
    return near.replaced(body_pose=near.body_pose + 0.03 * np.random.default_rng(0).normal(size=(60, 23, 3)))


@pytest.fixture(scope="module")
def embedding(samples: BodyParameters, prototypes: PrototypeSet, body: BodyModel) -> Embedding:
    return embed(samples, prototypes, body, samples=45, seed=3)


def test_labels_are_those_of_the_clustering(
    embedding: Embedding, samples: BodyParameters, prototypes: PrototypeSet, body: BodyModel
) -> None:
    assert len(np.unique(embedding.rows)) == 45
    np.testing.assert_array_equal(embedding.label, embedding.rows // 20)
    np.testing.assert_array_equal(embedding.label, assign(samples[embedding.rows], prototypes, body).label)


def test_each_sample_lies_nearest_to_its_own_prototype(embedding: Embedding) -> None:
    gaps = np.linalg.norm(embedding.points[:, None] - embedding.centres, axis=-1)
    assert embedding.points.shape == (45, 2)
    assert (gaps.argmin(axis=1) == embedding.label).mean() > 0.95


def test_the_draw_depends_on_the_seed_only(
    embedding: Embedding, samples: BodyParameters, prototypes: PrototypeSet, body: BodyModel
) -> None:
    again = embed(samples, prototypes, body, samples=45, seed=3)
    np.testing.assert_array_equal(again.rows, embedding.rows)
    np.testing.assert_allclose(again.points, embedding.points)
    other = embed(samples, prototypes, body, samples=45, seed=4)
    assert not np.array_equal(other.rows, embedding.rows)


def test_fewer_samples_than_asked_for_are_all_drawn(
    samples: BodyParameters, prototypes: PrototypeSet, body: BodyModel
) -> None:
    few = embed(samples[:6], prototypes, body, samples=6000)
    np.testing.assert_array_equal(few.rows, np.arange(6))
    assert few.perplexity < len(few.rows)
    assert np.isfinite(few.points).all()


def test_equal_bodies_have_a_map_too(prototypes: PrototypeSet, body: BodyModel) -> None:
    one = PrototypeSet.of(prototypes.parameters[[0]], prototypes.metadata)
    same = embed(one.parameters[np.zeros(12, int)], one, body)
    assert np.isfinite(same.points).all()
    np.testing.assert_array_equal(same.label, 0)


def test_3dh_is_laid_out_without_weights(
    samples: BodyParameters, prototypes: PrototypeSet, body: BodyModel, embedding: Embedding
) -> None:
    plain = replace(prototypes, metadata={**prototypes.metadata, "method": "3dh"})
    assert not np.allclose(embed(samples, plain, body, samples=45, seed=3).points, embedding.points)


def test_too_few_bodies_and_another_body_are_refused(
    samples: BodyParameters, prototypes: PrototypeSet, body: BodyModel
) -> None:
    with pytest.raises(InputError, match="t-SNE: 2 samples and 3 prototypes, expected at least 8 together"):
        embed(samples, prototypes, body, samples=2)
    strange = replace(prototypes, metadata={"body": "f" * 16})
    with pytest.raises(BodyMismatchError):
        embed(samples, strange, body)

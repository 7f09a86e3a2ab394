"""Labels of a few bodies equal those of a full float64 search, ties included."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from hmrtk.toolkit.body.mirror import mirror_parameters
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, vertex_weights
from hmrtk.toolkit.errors import BodyMismatchError
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.shards.nearest import NearestPrototype


@pytest.fixture(scope="module")
def bodies(records):
    """The records' bodies, and again mirrored and turned."""
    known = records.parameters()
    turned = known.replaced(global_orient=known.global_orient + np.float32([0, 0, 0.4]))
    return BodyParameters.concatenate([known, mirror_parameters(known), turned])


def prototypes_of(body, bodies, rows, **metadata):
    return PrototypeSet.of(bodies[rows], {"body": body.fingerprint, **metadata}, singular=bodies[:1])


def brute_force(body, bodies, prototypes, weights):
    """label and γ in float64, from the whole table of differences."""
    posed, centres = (body.pose(p.replaced(transl=np.zeros((len(p), 3)))).vertices for p in (bodies, prototypes))
    gamma = [[((v.astype(float) - c) * weights[:, None]).ravel() for c in centres] for v in posed]
    squares = np.array([[d @ d for d in row] for row in gamma])
    return squares.argmin(axis=1), squares


def test_labels_are_those_of_brute_force(body, bodies):
    prototypes = prototypes_of(body, bodies, slice(None, None, 5), method="p3dh")
    found = NearestPrototype(prototypes, body)(bodies)
    expected, _ = brute_force(body, bodies, prototypes.parameters, vertex_weights(body, P3DH_WEIGHTS))
    assert np.array_equal(found.label, expected)
    assert len(set(expected.tolist())) > 5


@pytest.mark.parametrize("method", ["p3dh", "3dh", "naive"])
def test_it_is_assign(body, bodies, method):
    weights = {name: 1.0 + 2 * (name == "limbs") for name in P3DH_WEIGHTS}
    prototypes = prototypes_of(body, bodies, slice(1, None, 7), method=method, weights=weights)
    found, expected = NearestPrototype(prototypes, body)(bodies), assign(bodies, prototypes, body)
    assert np.array_equal(found.label, expected.label)
    assert np.array_equal(found.distance, expected.distance)
    assert np.array_equal(found.distance_to_singular, expected.distance_to_singular)


def test_ties_go_to_the_lowest_index(body, bodies):
    """Prototypes of equal bodies, and of bodies that float32 sums cannot tell apart."""
    close = bodies[[4, 4, 9, 9]]
    close = close.replaced(body_pose=close.body_pose + np.float32(1e-7) * np.arange(4, dtype=np.float32)[:, None, None])
    prototypes = PrototypeSet.of(close, {"body": body.fingerprint}, singular=bodies[:1])
    found = NearestPrototype(prototypes, body)(bodies)
    assert np.array_equal(found.label, assign(bodies, prototypes, body).label)
    twice = replace(prototypes, parameters=bodies[[4, 9, 4, 9]])
    assert set(NearestPrototype(twice, body)(bodies).label.tolist()) <= {0, 1}


def test_place_and_company_do_not_matter(body, bodies):
    nearest = NearestPrototype(prototypes_of(body, bodies, slice(None, None, 5)), body)
    whole = nearest(bodies)
    moved = nearest(bodies.replaced(transl=np.ones((len(bodies), 3))))
    other = pickle.loads(pickle.dumps(nearest))  # noqa: S301 - made here
    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(lambda start: other(bodies[start : start + 9]), range(0, len(bodies), 9)))
    for name in whole._fields:
        assert np.array_equal(getattr(whole, name), getattr(moved, name))
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))


def test_prototypes_of_another_body_are_refused(body, bodies):
    with pytest.raises(BodyMismatchError, match="feedfeedfeedfeed"):
        NearestPrototype(PrototypeSet.of(bodies[:1], {"body": "feedfeedfeedfeed"}), body)

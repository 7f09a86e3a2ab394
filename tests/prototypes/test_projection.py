"""Projection: the two-sided bound, the basis, and how many directions are taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.prototypes.features import Threads
from hmrtk.toolkit.prototypes.projection import TARGET_RESIDUAL, fit_space, principal_directions


def rows(body: BodyModel, parameters: BodyParameters, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    still = parameters.replaced(transl=np.zeros((len(parameters), 3)))
    return (body.pose(still).vertices * weights[:, None]).reshape(len(parameters), -1)


def test_distances_lie_between_the_bounds(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64]
) -> None:
    space = fit_space(body, bodies, weights, np.random.default_rng(0), dims=20)
    z = space.project(bodies).astype(np.float64)
    x = rows(body, bodies, weights)
    true = ((x[:50, None] - x[None, 50:60]) ** 2).sum(-1)
    lower = ((z[:50, None] - z[None, 50:60]) ** 2).sum(-1)
    upper = lower + 4 * z[:50, None, -1] * z[None, 50:60, -1]
    assert (lower <= true * (1 + 1e-6)).all()
    assert (true <= upper * (1 + 1e-6)).all()
    assert (lower < 0.999 * true).any()


def test_coordinates_are_those_of_the_basis(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64]
) -> None:
    space = fit_space(body, bodies, weights, np.random.default_rng(0), dims=10)
    offset = rows(body, bodies[:8], weights) - space.mean
    z = offset @ space.basis
    got = space.project(bodies[:8])
    np.testing.assert_allclose(got[:, :-1], z, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(got[:, -1], np.linalg.norm(offset - z @ space.basis.T, axis=1), rtol=1e-5)


def test_basis_is_orthonormal_and_as_good_as_an_svd() -> None:
    rng = np.random.default_rng(1)
    data = (rng.normal(size=(200, 40)) * 0.8 ** np.arange(40) @ rng.normal(size=(40, 300))).astype(np.float32)
    data -= data.mean(axis=0)
    with Threads() as threads:
        basis = principal_directions(threads, data, 12, rng)
    np.testing.assert_allclose(basis.T @ basis, np.eye(12), atol=1e-12)
    singular = np.linalg.svd(data.astype(np.float64), compute_uv=False)
    assert np.square(data @ basis).sum() > 0.995 * np.square(singular[:12]).sum()


def test_directions_are_chosen_from_the_data(
    body: BodyModel, people: BodyParameters, weights: NDArray[np.float64]
) -> None:
    space = fit_space(body, people, weights, np.random.default_rng(0))
    fewer = fit_space(body, people, weights, np.random.default_rng(0), dims=space.dims - 16)
    assert space.residual <= TARGET_RESIDUAL < fewer.residual
    assert space.dims % 16 == 0


def test_one_distinct_pose_has_no_directions_but_a_basis(body: BodyModel, weights: NDArray[np.float64]) -> None:
    space = fit_space(body, BodyParameters.zeros(6), weights, np.random.default_rng(0))
    np.testing.assert_allclose(space.basis.T @ space.basis, np.eye(space.dims), atol=1e-12)
    assert np.abs(space.project(BodyParameters.zeros(6))).max() < 1e-3

"""Bodies to cluster and the brute force that every exact answer is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, vertex_weights
from hmrtk.toolkit.sources.embedded import embedded_records


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="session")
def weights(body: BodyModel) -> NDArray[np.float64]:
    return vertex_weights(body, P3DH_WEIGHTS).astype(np.float64)


@pytest.fixture(scope="session")
def bodies(body: BodyModel) -> BodyParameters:
    """400 bodies of the embedded dataset."""
    return embedded_records("train", body, 400).parameters()


@pytest.fixture(scope="session")
def people(body: BodyModel) -> BodyParameters:
    """1500 bodies of the embedded dataset."""
    return embedded_records("train", body, 1500).parameters()


def full_distances(
    body: BodyModel, parameters: BodyParameters, centres: BodyParameters, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """γ (N, K) of every body to every centre in all 20 670 coordinates, float64, from the published formula."""
    still = [p.replaced(transl=np.zeros((len(p), 3))) for p in (parameters, centres)]
    mean = body.v_template.astype(np.float64)
    b = ((body.pose(still[1]).vertices - mean) * weights[:, None]).reshape(len(centres), -1)
    gamma = np.empty((len(parameters), len(centres)))
    for start in range(0, len(parameters), 250):
        rows = slice(start, start + 250)
        a = ((body.pose(still[0][rows]).vertices - mean) * weights[:, None]).reshape(-1, b.shape[1])
        gamma[rows] = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return gamma


def wrong_labels(gamma: NDArray[np.float64], label: NDArray[Any]) -> int:
    """Rows whose label is not the brute force's; distances equal to 12 digits count as a tie that either may win."""
    own = np.take_along_axis(gamma, label[:, None].astype(np.int64), 1)[:, 0]
    return int((own > gamma.min(axis=1) + 1e-12 * gamma.max()).sum())


@pytest.fixture(scope="session")
def brute_force() -> Callable[..., NDArray[np.float64]]:
    return full_distances


@pytest.fixture(scope="session")
def mistakes() -> Callable[..., int]:
    return wrong_labels


def heading(angles: list[float]) -> BodyParameters:
    """T-posed bodies turned about the vertical by so many radians."""
    turned = np.zeros((len(angles), 3))
    turned[:, 1] = angles
    return BodyParameters.of(turned, None)

"""Bodies and cameras that the map tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="session")
def facing(body: BodyModel) -> NDArray[np.float32]:
    """(6890, 3) the T-pose, facing the camera, in a camera-oriented frame: an exact half turn, free of rounding."""
    return body.v_template * np.array([1, -1, -1], np.float32)


@pytest.fixture(scope="session")
def random_parameters() -> Callable[[int, int], BodyParameters]:
    """(count, seed) → bodies of random shape and pose, turned every way."""

    def draw(count: int, seed: int) -> BodyParameters:
        rng = np.random.default_rng(seed)
        axis = rng.normal(size=(count, 3))
        axis *= rng.uniform(0, np.pi, (count, 1)) / np.linalg.norm(axis, axis=1, keepdims=True)
        return BodyParameters.of(axis, rng.normal(0, 0.3, (count, 23, 3)), rng.normal(0, 1, (count, 10)))

    return draw

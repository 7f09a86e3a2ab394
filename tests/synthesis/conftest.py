"""A posed body in front of a camera, shared by the synthesis tests."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="session")
def standing(body: BodyModel) -> np.ndarray:
    """(6890, 3) camera frame: a person 6 m away, arms lowered, turned a little."""
    pose = np.zeros((1, 23, 3))
    pose[0, 16 - 1, 2], pose[0, 17 - 1, 2] = -1.1, 1.1
    pose[0, 4 - 1, 0] = 0.4
    # half a turn about an axis in the x-z plane: upright, facing the camera, heading 0.6 rad
    orient = np.pi * np.array([[np.cos(0.3), 0.0, np.sin(0.3)]])
    return body.pose(BodyParameters.of(orient, pose, None, [[0.05, 0.0, 6.0]])).vertices[0]

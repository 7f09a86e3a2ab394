"""Bodies and cameras that the map tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.projection import derived_columns


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


@pytest.fixture(scope="session")
def crowd_records(body: BodyModel) -> RecordTable:
    """Four people 3 to 4.5 m before one camera, in 240 x 320 px, overlapping each other."""
    rng = np.random.default_rng(12)
    orient = np.array([[np.pi, 0, 0]] * 4) + rng.normal(0, 0.1, (4, 3))
    transl = np.array([[-0.2, 0.1, 3.0], [0.1, 0.0, 3.6], [0.0, 0.0, 4.0], [0.5, 0.1, 4.5]])
    people = BodyParameters.of(orient, rng.normal(0, 0.15, (4, 23, 3)), rng.normal(0, 1, (4, 10)), transl)
    focal, principal = np.full((4, 2), 300, np.float32), np.tile(np.float32([160, 120]), (4, 1))
    size = np.tile(np.int32([240, 320]), (4, 1))
    columns = {
        "sample_id": [f"person-{n}" for n in range(4)],
        "dataset": "crowd",
        "split": "train",
        "image_path": ["street.jpg", "street.jpg", "yard.jpg", "street.jpg"],
        "image_size": size,
        **{name: getattr(people, name) for name in ("global_orient", "body_pose", "betas", "transl")},
        **{"focal": focal, "principal": principal},
        **derived_columns(people, body, focal, principal, size),
    }
    return RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint))

"""A few posed bodies and records of them."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable

COUNT = 9


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body()


@pytest.fixture
def parameters() -> BodyParameters:
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.4, (COUNT, 24, 3))
    return BodyParameters.of(pose[:, 0], pose[:, 1:], rng.normal(0, 1, (COUNT, 10)), rng.normal(0, 3, (COUNT, 3)))


@pytest.fixture
def records(parameters: BodyParameters, body: BodyModel) -> RecordTable:
    columns = {
        "sample_id": [f"s{i}" for i in range(COUNT)],
        "dataset": "tiny",
        "split": "test",
        "gender": ["male", "female", "neutral"] * 3,
        "global_orient": parameters.global_orient,
        "body_pose": parameters.body_pose,
        "betas": parameters.betas,
        "transl": parameters.transl,
    }
    return RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint))

"""A few posed bodies and records of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.evaluation.protocols import Protocol
from hmrtk.toolkit.records.record import BODY_COLUMNS, RecordMetadata
from hmrtk.toolkit.records.table import RecordTable

COUNT = 9
TOLERANCE_MM = 1e-6
H36M17_SLOTS = (14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6)
"""Rows of SPIN's Human3.6M regressor → rows of ``spin24``."""


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body()


@pytest.fixture
def parameters() -> BodyParameters:
    rng = np.random.default_rng(0)
    pose = rng.normal(0, 0.4, (COUNT, 24, 3))
    return BodyParameters.of(pose[:, 0], pose[:, 1:], rng.normal(0, 1, (COUNT, 10)), rng.normal(0, 3, (COUNT, 3)))


@pytest.fixture
def noisy(parameters: BodyParameters) -> BodyParameters:
    """The bodies with seeded noise on pose and shape."""
    rng = np.random.default_rng(5)
    return parameters.replaced(
        global_orient=parameters.global_orient + rng.normal(0, 0.2, parameters.global_orient.shape),
        body_pose=parameters.body_pose + rng.normal(0, 0.2, parameters.body_pose.shape),
        betas=parameters.betas + rng.normal(0, 1, parameters.betas.shape),
    )


@pytest.fixture
def records(parameters: BodyParameters, body: BodyModel) -> RecordTable:
    columns = {
        "sample_id": [f"s{i}" for i in range(COUNT)],
        "dataset": "tiny",
        "split": "test",
        "sequence": ["film"] * COUNT,
        "frame": list(range(0, 5 * COUNT, 5)),
        "camera_id": ["60457274"] * COUNT,
        "action": ["Walking", "Walking_1", "Eating"] * 3,
        "gender": ["male", "female", "neutral"] * 3,
        "global_orient": parameters.global_orient,
        "body_pose": parameters.body_pose,
        "betas": parameters.betas,
        "transl": parameters.transl,
    }
    return RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint))


def of_system(parameters: BodyParameters, body: BodyModel, system: str = "test") -> Predictions:
    """Predictions for ``records``."""
    metadata = PredictionsMetadata(system=system, body=body.fingerprint)
    return Predictions([f"s{i}" for i in range(len(parameters))], parameters, metadata)


def with_joints(records: RecordTable, joints: NDArray[Any]) -> RecordTable:
    """The records with other annotated joints: (N, 24, 3 or 4), confidence 1 where there is none."""
    joints = np.asarray(joints)
    if joints.shape[-1] == 3:
        joints = np.concatenate([joints, np.ones((*joints.shape[:2], 1))], axis=-1)
    columns = {name: records.array(name) for name in BODY_COLUMNS}
    texts = ("sample_id", "dataset", "split", "sequence", "camera_id", "action", "gender", "frame")
    columns |= {name: records.table[name].to_pylist() for name in texts}
    return RecordTable.from_columns({**columns, "joints3d": joints}, records.metadata)


def annotation_of(protocol: Protocol, parameters: BodyParameters, body: BodyModel) -> NDArray[np.float32]:
    """(N, 24, 3) ``spin24`` joints of the bodies as the protocol regresses them; those it does not use are zeros."""
    posed = body.pose(parameters)
    joints = np.zeros((len(parameters), 24, 3), np.float32)
    if protocol.regressor == "spin24":
        joints[:] = body.spin24(posed)
    else:
        joints[:, list(H36M17_SLOTS)] = body.regress(posed.vertices, "h36m17")
    return joints


def numpy_pa(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Umeyama 1991, one sample at a time: (J, 3) each → (J,) metres."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a / len(a))
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * np.diag(flip)).sum() / (a**2).sum(1).mean()
    return np.linalg.norm(scale * a @ (u @ flip @ vt).T - b, axis=1)

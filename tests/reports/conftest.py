"""A tiny data set whose distances are made up by hand, systems on it, and reports of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.reports.distances import Distances
from hmrtk.reports.measured import Measurement, measure_systems
from hmrtk.reports.significance import Groups
from hmrtk.reports.tail import build_tail_report
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.evaluation.protocols import DEFAULT
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable

PROVENANCE = {"command": "tail-report", "seed": 0}
COUNT = 20
ACTIONS = ("walk", "walk", "run", "<script>", None)


@dataclass(frozen=True, eq=False)
class Tiny:
    """What ``build_tail_report`` takes."""

    records: RecordTable
    prototypes: PrototypeSet
    singular: PrototypeSet
    labels: Labels
    body: BodyModel

    def predictions(self, name: str, noise: float) -> Predictions:
        """The truth with Gaussian noise (radians) on every joint."""
        truth = self.records.parameters()
        rng = np.random.default_rng(9)
        pose = truth.body_pose + noise * rng.normal(size=truth.body_pose.shape)
        metadata = PredictionsMetadata(system=name, body=self.body.fingerprint)
        return Predictions(self.records.sample_ids, truth.replaced(body_pose=pose), metadata)


def tiny_records(body: BodyModel, dataset: str = "tiny", **changes: Any) -> RecordTable:
    rng = np.random.default_rng(0)
    orient = np.tile([np.pi, 0, 0], (COUNT, 1)) + rng.normal(0, 0.1, (COUNT, 3))
    columns = {
        "sample_id": [f"s{i:02d}" for i in range(COUNT)],
        "dataset": dataset,
        "split": "test",
        "action": [ACTIONS[i % 5] for i in range(COUNT)],
        "sequence": [f"take{i % 4}" for i in range(COUNT)],
        "global_orient": orient,
        "body_pose": rng.normal(0, 0.3, (COUNT, 23, 3)),
        "betas": rng.normal(0, 1, (COUNT, 10)),
    }
    return RecordTable.from_columns({**columns, **changes}, RecordMetadata(body=body.fingerprint))


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="session")
def tiny(body: BodyModel) -> Tiny:
    records = tiny_records(body)
    parameters = records.parameters()
    meta = {"body": body.fingerprint, "method": "p3dh"}
    one = BodyParameters.of([[np.pi, 0, 0]], None)
    prototypes = PrototypeSet.of(parameters[[0, 5, 9]], meta, counts=np.array([7, 9, 4]), singular=one)
    label = np.array([i % 2 for i in range(COUNT)], np.int32)  # prototype 2 stays empty
    singular = np.linspace(0.1, 1.05, COUNT).astype(np.float32)
    labels = Labels(label, (singular / 2).astype(np.float32), singular, np.ones(COUNT))
    return Tiny(records, prototypes, PrototypeSet.of(one, {**meta, "method": "mean"}), labels, body)


def build(tiny: Tiny, out: Path, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"rarest": 4, "provenance": PROVENANCE, "tails": (10, 25), **changes}
    records = options.pop("records", tiny.records)
    labels = options.pop("labels", tiny.labels)
    singular = options.pop("singular", tiny.singular)
    return build_tail_report(records, tiny.prototypes, singular, labels, tiny.body, out, **options)


@pytest.fixture(scope="session")
def plain_report(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("plain") / "report"
    return out, build(tiny, out)


@pytest.fixture(scope="session")
def full_report(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("full") / "report"
    systems = {"base": tiny.predictions("base", 0.3), "better": tiny.predictions("better", 0.1)}
    return out, build(tiny, out, predictions=systems, baseline="base")


def measurement(tiny: Tiny, systems: dict[str, Predictions], **changes: Any) -> Measurement:
    """What ``build_tail_report`` makes its tables of, without writing a report."""
    options: dict[str, Any] = {"records": tiny.records, "baseline": None, "protocol": DEFAULT, "seed": 0, **changes}
    records, labels = options["records"], tiny.labels
    far, near, actions = labels.distance_to_singular, labels.distance, records.array("action")
    distances = Distances.of(far, near, labels.label, actions, (10, 25), 3, far[::-1])
    name = distances.narrowest
    tail = (name, distances.tails[name])
    found = measure_systems(records, systems, tiny.body, options["protocol"], tail)
    return Measurement(distances=distances, systems=found, groups=Groups.of(records), **options)

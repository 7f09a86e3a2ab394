"""Systems measured for the report: each one's errors on all samples, and over the body's surface.

In: records, and predictions by system. Out: ``Measured`` per system, all in the records' order. Called by ``tail``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.distances import Distances
from hmrtk.reports.significance import Groups
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.evaluation.metrics import BodyOfGender, Errors, evaluate
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.evaluation.protocols import Protocol
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.table import RecordTable

PARTS = ("pve_s", "pve_p")
PART_ROWS = 2500
"""PVE-S and PVE-P are means over at most so many samples, spread evenly: they cost two more bodies each."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One system.

    Attributes:
        predictions: N, in the records' order.
        errors: of all N; its surface too.
        parts: PVE-S and PVE-P of ``part_rows``; NaN for systems without parameters.
        part_rows: (n,) the samples that PVE-S and PVE-P were measured on.
        surfaces: subset → (V,) mm, mean error of each vertex: ``Full`` and the narrowest tail.
    """

    predictions: Predictions
    errors: Errors
    parts: dict[str, float]
    part_rows: NDArray[np.int64]
    surfaces: dict[str, NDArray[np.float64]]

    def identity(self) -> dict[str, Any]:
        """Where the predictions came from, for ``report.json``: fingerprints of them, their network and its memory."""
        metadata = self.predictions.metadata
        origin = metadata.provenance
        return {
            "place": self.predictions.place,
            "fingerprint": self.predictions.fingerprint,
            "system": metadata.system,
            "body": metadata.body,
            "checkpoint": origin.get("checkpoint"),
            "prototypes": origin.get("prototypes"),
            "provenance": dict(origin),
        }


def measure_systems(
    records: RecordTable,
    systems: Mapping[str, Predictions],
    body: BodyModel,
    protocol: Protocol,
    tail: tuple[str, NDArray[np.int64]],
    body_of_gender: BodyOfGender | None = None,
    progress: Progress = silent,
) -> dict[str, Measured]:
    """Measure every system.

    Args:
        records: N rows with bodies.
        systems: name → predictions, one for each record, in any order.
        tail: name and rows of the subset whose surface errors are kept apart.

    Raises:
        BodyMismatchError, InputError: as ``evaluation.metrics.evaluate``.
    """

    def judge(chosen: RecordTable, predictions: Predictions, *extra: str) -> Errors:
        return evaluate(chosen, predictions, body, protocol, body_of_gender, progress, extra)

    return {name: _measured(records, system, tail, judge) for name, system in systems.items()}


def _measured(
    records: RecordTable, system: Predictions, tail: tuple[str, NDArray[np.int64]], judge: Callable[..., Errors]
) -> Measured:
    predictions = system.take(system.match(records))
    few = len(records) <= PART_ROWS
    errors = judge(records, predictions, "surface", *(PARTS if few else ()))
    name, index = tail
    rare = judge(records.take(index), predictions.take(index), "surface")
    rows = np.unique(np.linspace(0, len(records) - 1, min(len(records), PART_ROWS)).round().astype(np.int64))
    parts = dict.fromkeys(PARTS, float("nan"))
    if predictions.parameters is not None:
        some = errors if few else judge(records.take(rows), predictions.take(rows), *PARTS)
        parts = some.summary(metrics=PARTS)
    return Measured(predictions, errors, parts, rows, {"Full": _surface(errors), name: _surface(rare)})


def _surface(errors: Errors) -> NDArray[np.float64]:
    assert errors.surface is not None  # asked for above
    return errors.surface.mean()


@dataclass(frozen=True, eq=False)
class Measurement:
    """All that tables and charts of errors are made of.

    Attributes:
        records: N rows with bodies.
        distances: of them.
        systems: name → what was measured.
        groups: what the bootstrap draws whole.
        baseline: name of the system that the others are compared with, or None.
        protocol: of all errors.
        seed: of the bootstrap.
    """

    records: RecordTable
    distances: Distances
    systems: dict[str, Measured]
    groups: Groups
    baseline: str | None
    protocol: Protocol
    seed: int

    @property
    def errors(self) -> dict[str, Errors]:
        """name → errors of all samples."""
        return {name: system.errors for name, system in self.systems.items()}

    @property
    def how(self) -> str:
        """The protocol in a sentence, for captions."""
        return self.protocol.describe()

    @property
    def interval(self) -> str:
        """What intervals are, for captions."""
        return f"95 % bootstrap interval, {self.groups.describe()}"

    @property
    def rivals(self) -> list[str]:
        """The systems that are compared with the baseline; none without one."""
        return [] if self.baseline is None else [name for name in self.systems if name != self.baseline]

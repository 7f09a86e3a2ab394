"""Which predictions belong to the records that are measured, and what is said about the others.

In: predictions, the records with bodies, and all records. Out: the predictions that count, and ``Coverage``. Called by
``tail``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.wording import counted


@dataclass(frozen=True)
class Coverage:
    """What became of one system's predictions.

    Attributes:
        measured: records that are measured, each with a prediction.
        passed_over: predictions for records that are not: those without a body, or that the protocol does not count.
        matching: how results were matched to records when they were imported; empty when they were not.
    """

    measured: int
    passed_over: int
    matching: dict[str, Any]

    def to_json(self) -> dict[str, int]:
        """For ``report.json``, which has the matching from the predictions themselves."""
        return {"measured": self.measured, "passed_over": self.passed_over}

    def sentence(self, name: str) -> str:
        """For the page; empty when there is nothing to say."""
        parts = []
        if self.passed_over:
            more = counted(self.passed_over, "prediction is", "predictions are")
            parts.append(f"{more} passed over, for records without a body or that the protocol does not count")
        if self.matching:
            parts.append(_matched(self.matching))
        return f"{name}: {counted(self.measured, 'sample')} measured; {'; '.join(parts)}." if parts else ""


def covered(
    predictions: Predictions, records: RecordTable, everything: RecordTable | None = None
) -> tuple[Predictions, Coverage]:
    """The predictions of the records that are measured, in their order.

    Args:
        predictions: of these records, perhaps of more.
        records: those that are measured.
        everything: records among which every prediction has to be; None: ``records``.

    Raises:
        InputError: a measured record has no prediction, or a prediction is for a sample that is nowhere.
    """
    known = everything or records
    ids = set(known.sample_ids)
    strange = [name for name in predictions.sample_ids if name not in ids]
    if strange:
        many = counted(len(strange), "prediction is", "predictions are")
        problem = f"{many} for samples not in {known.place}, the first is {strange[0]!r}"
        raise InputError(predictions.place, problem, "pass the record table that was predicted")
    rows = predictions.match(records, unknown="ignore")
    matching = predictions.metadata.provenance.get("matching") or {}
    return predictions.take(rows), Coverage(len(rows), len(predictions) - len(rows), dict(matching))


def _matched(matching: dict[str, Any]) -> str:
    """What the import said."""
    without = matching.get("records_without_result", {}).get("count", 0)
    unused = matching.get("results_without_record", {}).get("count", 0)
    text = f"imported, matched by {matching.get('matched_by', '?')}"
    if "results" in matching and "records" in matching:
        text += f": {counted(matching['results'], 'result')}, {counted(matching['records'], 'record')}"
    text += f", {counted(without, 'record')} without a result" if without else ""
    return text + (f", {counted(unused, 'result')} without a record" if unused else "")

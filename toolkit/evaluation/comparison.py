"""The same predictions under several protocols: what each convention alone changes about a system's numbers.

In: records and predictions; out: ``Errors`` per protocol, or why one cannot be applied. ``hmrtk evaluate --protocol
all`` prints it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.metrics import BodyOfGender, Errors, evaluate
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.evaluation.protocols import PROTOCOLS, Protocol
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.table import RecordTable


@dataclass(frozen=True)
class Judged:
    """Predictions under one protocol.

    Attributes:
        protocol: which.
        records: the rows that count; None where the protocol cannot be applied.
        errors: of these rows, or None.
        reason: why it cannot be applied, or "".
    """

    protocol: Protocol
    records: RecordTable | None
    errors: Errors | None
    reason: str = ""


def judge(
    records: RecordTable,
    predictions: Predictions,
    body: BodyModel,
    protocol: Protocol,
    body_of_gender: BodyOfGender | None = None,
    progress: Progress = silent,
    extra: Collection[str] = (),
    device: str = "cpu",
) -> Judged:
    """``evaluate`` on the rows that the protocol counts; predictions of the other rows are passed over.

    Raises:
        InputError: no row counts, or whatever ``evaluate`` refuses.
    """
    counted = records.take(protocol.rows(records))
    rows = predictions.match(counted, unknown="ignore" if len(counted) < len(records) else "refuse")
    chosen = predictions.take(rows)
    errors = evaluate(counted, chosen, body, protocol, body_of_gender, progress, extra, device)
    return Judged(protocol, counted, errors)


def compare_protocols(
    records: RecordTable,
    predictions: Predictions,
    body: BodyModel,
    protocols: Iterable[Protocol] = tuple(PROTOCOLS.values()),
    body_of_gender: BodyOfGender | None = None,
    progress: Progress = silent,
    device: str = "cpu",
) -> list[Judged]:
    """The same predictions under each protocol.

    Protocols that the records have not the ground truth or the camera for, or whose gendered body is missing, come
    back with the reason.

    Raises:
        BodyMismatchError: records or predictions were made with another body.
        InputError: no protocol can be applied; gives the first one's reason.
    """
    found = []
    for each in protocols:
        try:
            found.append(judge(records, predictions, body, each, body_of_gender, progress, device=device))
        except InputError as error:
            found.append(Judged(each, None, None, str(error)))
    if all(judged.errors is None for judged in found):
        raise InputError(predictions.place, f"cannot be judged under any protocol: {found[0].reason}")
    return found

"""Record tables with bad values in some rows: the sound rows, and which were left out and why.

``RecordTable.read`` refuses such a table. ``pipeline.load_records`` calls this instead where the user said so
(``--on-error skip``).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import MAX_ABS_BETA
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import read_parquet
from hmrtk.toolkit.records.record import KIND, RECORD_SCHEMA, SCHEMA_VERSION, RecordMetadata
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.wording import counted

NAMED = 5
"""So many rows that were left out are named."""


def read_sound(path: str | Place, left_out: list[str]) -> RecordTable:
    """Read a record table without the rows that have NaN, infinity or absurd betas; they are added to ``left_out``.

    A duplicate id, an empty box or a path that leaves its root is refused as ever: such a table was made wrongly.

    Args:
        left_out: receives ``<path> row <i>: <why>`` for every row left out.

    Raises:
        InputError: as ``RecordTable.read``, but for these values; also when no sound row is left.
    """
    table, metadata = read_parquet(path, KIND, SCHEMA_VERSION)
    records = RecordTable(table, RecordMetadata.from_json(metadata), str(path))
    reasons = bad_rows(records)
    left_out.extend(f"{path} row {row}: {why}" for row, why in reasons.items())
    if reasons:
        keep = np.ones(len(records), bool)
        keep[list(reasons)] = False
        if not keep.any():
            raise InputError(path, f"has no sound row among {len(records)}", f"row 0: {reasons[0]}")
        records = records.take(keep)
    records.validate()
    return records


def bad_rows(records: RecordTable) -> dict[int, str]:
    """Row → what is wrong with it, in the order of the rows."""
    reasons: dict[int, str] = {}
    for field in RECORD_SCHEMA:
        kind = field.type
        if not isinstance(kind, pa.FixedShapeTensorType) or not pa.types.is_floating(kind.value_type):
            continue
        filled = records.has(field.name)
        values = records.array(field.name).reshape(len(records), -1)
        _note(reasons, filled & ~np.isfinite(values).all(axis=1), f"{field.name} has NaN or infinite values")
        if field.name == "betas":
            absurd = filled & (np.abs(np.nan_to_num(values)).max(axis=1) > MAX_ABS_BETA)
            _note(reasons, absurd, f"|betas| beyond {MAX_ABS_BETA:.0f}")
    return dict(sorted(reasons.items()))


def some_of(left_out: list[str]) -> str:
    """The first few, for a message: ``3 rows left out: a row 1: …; …``."""
    more = f"; and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    return f"{counted(len(left_out), 'row')} left out: {'; '.join(left_out[:NAMED])}{more}"


def _note(reasons: dict[int, str], bad: NDArray[np.bool_], why: str) -> None:
    for row in np.flatnonzero(bad):
        reasons.setdefault(int(row), why)

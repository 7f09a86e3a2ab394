"""Tables with bad rows: which are left out, what is said of them, and what is refused all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import write_parquet
from hmrtk.toolkit.records.record import KIND, RECORD_SCHEMA, SCHEMA_VERSION
from hmrtk.toolkit.records.salvage import bad_rows, read_sound, some_of
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.embedded import embedded_records


@pytest.fixture(scope="module")
def records() -> RecordTable:
    return embedded_records("train", load_body(), 30)


def spoilt(records: RecordTable, column: str, values: dict[int, float]) -> RecordTable:
    """The records with the first value of ``column`` replaced in some rows."""
    kind = RECORD_SCHEMA.field(column).type
    array = records.array(column).copy().reshape(len(records), -1)
    for row, value in values.items():
        array[row, 0] = value
    storage = pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])
    where = RECORD_SCHEMA.get_field_index(column)
    table = records.table.set_column(where, RECORD_SCHEMA.field(column), pa.ExtensionArray.from_storage(kind, storage))
    return RecordTable(table, records.metadata, records.place)


def saved(records: RecordTable, path: Path) -> Path:
    write_parquet(path, records.table, KIND, SCHEMA_VERSION, records.metadata.to_json())
    return path


def test_bad_rows_are_left_out_and_named(records: RecordTable, tmp_path: Path) -> None:
    bad = spoilt(spoilt(records, "betas", {3: 31.0, 7: np.nan}), "body_pose", {7: np.nan, 12: np.inf})
    path = saved(bad, tmp_path / "bad.parquet")
    left_out: list[str] = []
    sound = read_sound(path, left_out)
    kept = [i for i in range(30) if i not in (3, 7, 12)]
    assert sound.sample_ids == [records.sample_ids[i] for i in kept]
    np.testing.assert_array_equal(sound.array("betas"), records.array("betas")[kept])
    assert left_out == [
        f"{path} row 3: |betas| beyond 20",
        f"{path} row 7: body_pose has NaN or infinite values",
        f"{path} row 12: body_pose has NaN or infinite values",
    ]
    with pytest.raises(InputError, match="row 7"):
        RecordTable.read(path)


def test_a_sound_table_is_read_as_ever(records: RecordTable, tmp_path: Path) -> None:
    left_out: list[str] = []
    sound = read_sound(saved(records, tmp_path / "good.parquet"), left_out)
    assert left_out == []
    assert sound.fingerprint == records.fingerprint
    assert bad_rows(records) == {}


def test_no_sound_row_at_all(records: RecordTable, tmp_path: Path) -> None:
    path = saved(spoilt(records, "betas", dict.fromkeys(range(30), np.nan)), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match="has no sound row among 30 \\(row 0: betas has NaN"):
        read_sound(path, [])


def test_a_duplicate_id_is_still_refused(records: RecordTable, tmp_path: Path) -> None:
    twice = RecordTable(pa.concat_tables([records.table, records.table]), records.metadata)
    with pytest.raises(InputError, match="is already in row 0"):
        read_sound(saved(twice, tmp_path / "twice.parquet"), [])


def test_a_message_names_the_first_few() -> None:
    rows = [f"t row {i}: bad" for i in range(7)]
    assert some_of(rows[:2]) == "2 rows left out: t row 0: bad; t row 1: bad"
    assert some_of(rows).endswith("t row 4: bad; and 2 more")

"""The label artefact: round trip and bad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.prototypes.labels import KIND, LABEL_SCHEMA, Labels, read_labels, write_labels
from hmrtk.toolkit.records.artefact import write_parquet


def labels(**changes: Any) -> Labels:
    arrays = {
        "label": np.array([2, 0, 1], np.int32),
        "distance": np.array([0.1, 0.2, 0.3], np.float32),
        "distance_to_singular": np.array([0.4, 0.5, 0.6], np.float32),
        "weighted_distance": np.array([10.0, 20.0, 30.0]),
    }
    return Labels(**{**arrays, **changes})


def test_round_trip(tmp_path: Path) -> None:
    write_labels(tmp_path / "l.parquet", ["a", "b", "c"], labels(), {"prototypes": "123", "body": "4"})
    names, back, metadata = read_labels(tmp_path / "l.parquet")
    assert names == ["a", "b", "c"]
    assert (metadata["prototypes"], metadata["body"], metadata["kind"]) == ("123", "4", KIND)
    for field in LABEL_SCHEMA.names[1:]:
        np.testing.assert_array_equal(getattr(back, field), getattr(labels(), field))
        assert getattr(back, field).dtype == getattr(labels(), field).dtype
    assert len(back) == 3


def test_ids_must_match_and_be_unique(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one sample_id per label, got 2 for 3 labels"):
        write_labels(tmp_path / "l", ["a", "b"], labels(), {})
    with pytest.raises(InputError, match="row 2: sample_id 'a' is already in row 0"):
        write_labels(tmp_path / "l", ["a", "b", "a"], labels(), {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": np.array([0, -1, 0], np.int32)}, "row 1: label is -1, expected a finite value of at least 0"),
        ({"distance": np.array([0.1, 0.1, np.nan], np.float32)}, "row 2: distance is nan"),
        ({"weighted_distance": np.array([np.inf, 1, 1])}, "row 0: weighted_distance is inf"),
    ],
)
def test_bad_values_are_named_by_row(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_labels(tmp_path / "l.parquet", ["a", "b", "c"], labels(**changes), {})
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / "l.parquet")


def test_foreign_tables(tmp_path: Path) -> None:
    path = tmp_path / "l.parquet"
    table = pa.table({"sample_id": ["a", "a"], "label": pa.array([1, 2], pa.int64())})
    write_parquet(path, table, KIND, 1, {})
    with pytest.raises(InputError, match="has no column distance, distance_to_singular, weighted_distance"):
        read_labels(path)
    columns = [pa.array(["a", "a"]), pa.array([1, 2], pa.int64()), *[pa.array([1.0, 1.0], pa.float64())] * 3]
    write_parquet(path, pa.Table.from_arrays(columns, LABEL_SCHEMA.names), KIND, 1, {})
    with pytest.raises(InputError, match="column label has type int64, expected int32"):
        read_labels(path)
    columns = [pa.array([None, "a", "b"], pa.string())]
    columns += [pa.array(getattr(labels(), f.name), f.type) for f in list(LABEL_SCHEMA)[1:]]
    write_parquet(path, pa.Table.from_arrays(columns, LABEL_SCHEMA.names), KIND, 1, {})
    with pytest.raises(InputError, match="column sample_id has 1 null values"):
        read_labels(path)
    write_parquet(path, table, "hmrtk.records", 1, {})
    with pytest.raises(InputError, match=r"got hmrtk\.records"):
        read_labels(path)
    with pytest.raises(InputError, match="no such file"):
        read_labels(tmp_path / "none.parquet")

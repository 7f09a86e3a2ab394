"""Predictions: round trip, matching to records, and every way a file can be wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError, OutputError
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.records.table import RecordTable

N = 9
META = PredictionsMetadata(system="spin", body="0123456789abcdef", provenance={"seed": 3})


def _predictions(parameters: BodyParameters | None, **changes: object) -> Predictions:
    rng = np.random.default_rng(1)
    base = Predictions(
        [f"s{i}" for i in range(N)],
        parameters,
        META,
        rng.normal(size=(N, 3)).astype(np.float32),
        rng.normal(size=(N, 24, 3)).astype(np.float16),
        rng.normal(size=(N, 6890, 3)).astype(np.float16),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_round_trip_keeps_every_bit(parameters: BodyParameters, tmp_path: Path) -> None:
    before = _predictions(parameters)
    before.camera[4] = np.nan  # type: ignore[index]
    before.write(tmp_path / "p.parquet")
    after = Predictions.read(tmp_path / "p.parquet")
    assert after.sample_ids == before.sample_ids
    assert after.metadata == META
    for name in ("global_orient", "body_pose", "betas"):
        np.testing.assert_array_equal(getattr(after.parameters, name), getattr(parameters, name))
    for name in ("camera", "joints3d", "vertices"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert getattr(after, name).dtype == getattr(before, name).dtype


def test_optional_columns_may_be_absent(parameters: BodyParameters, tmp_path: Path) -> None:
    _predictions(parameters, camera=None, joints3d=None, vertices=None).write(tmp_path / "p.parquet")
    after = Predictions.read(tmp_path / "p.parquet")
    assert after.camera is None
    assert after.joints3d is None
    assert after.vertices is None


def test_vertices_without_parameters(tmp_path: Path) -> None:
    _predictions(None).write(tmp_path / "p.parquet")
    assert Predictions.read(tmp_path / "p.parquet").parameters is None


def test_many_row_groups_and_null_cameras(parameters: BodyParameters, tmp_path: Path) -> None:
    _predictions(parameters).write(tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    kind = table.schema.field("camera").type
    storage = pa.array([None, *([[1, 2, 3]] * (N - 1))], kind.storage_type)
    table = table.set_column(
        table.schema.get_field_index("camera"), "camera", pa.ExtensionArray.from_storage(kind, storage)
    )
    pq.write_table(table, tmp_path / "q.parquet", row_group_size=2)
    camera = Predictions.read(tmp_path / "q.parquet").camera
    assert camera is not None
    assert np.isnan(camera[0]).all()
    np.testing.assert_array_equal(camera[1:], np.tile([1, 2, 3], (N - 1, 1)))


def test_match_orders_by_record(parameters: BodyParameters, records: RecordTable) -> None:
    shuffled = np.random.default_rng(2).permutation(N)
    mixed = _predictions(parameters).take(shuffled)
    rows = mixed.match(records)
    assert mixed.take(rows).sample_ids == records.sample_ids
    np.testing.assert_array_equal(mixed.take(rows).parameters.betas, parameters.betas)  # type: ignore[union-attr]


def test_match_refuses_missing_and_unknown_ids(parameters: BodyParameters, records: RecordTable) -> None:
    predictions = _predictions(parameters)
    with pytest.raises(InputError, match="predictions: 2 of 9 records have no prediction, the first is 's7'"):
        predictions.take(np.arange(7)).match(records)
    with pytest.raises(InputError, match="3 predictions are for samples not in records, the first is 's6'"):
        predictions.match(records.head(6))
    assert predictions.match(records.head(6), unknown="ignore").tolist() == list(range(6))


def test_body_is_checked(parameters: BodyParameters) -> None:
    with pytest.raises(BodyMismatchError, match="was made with body 0123456789abcdef, but the active body is ffff"):
        _predictions(parameters).require_body("ffff")


def test_bad_values_name_their_row(parameters: BodyParameters) -> None:
    def refused(match: str, **changes: object) -> None:
        with pytest.raises(InputError, match=match):
            replace(_predictions(parameters), **changes).validate()  # type: ignore[arg-type]

    refused("predictions row 4: sample_id 's1' is already in row 1", sample_ids=["s0", "s1", "s2", "s3", "s1", *"abcd"])
    refused("predictions: has no rows", sample_ids=[])
    refused("has neither body parameters nor vertices", parameters=None, vertices=None)
    refused(r"camera has shape \(9, 4\), expected \(9, 3\)", camera=np.zeros((N, 4), np.float32))
    joints = np.zeros((N, 24, 3), np.float16)
    joints[5, 2, 1] = np.inf
    refused("row 5: joints3d has NaN or infinite values", joints3d=joints)
    refused(r"global_orient has shape \(8, 3\), expected \(9, 3\)", parameters=parameters[np.arange(8)])
    betas = parameters.betas.copy()
    betas[3, 0] = 50
    refused(r"predictions row 3: \|betas\| reaches 50.0", parameters=parameters.replaced(betas=betas))
    refused(r"vertices has shape \(9, 7, 3\)", vertices=np.zeros((N, 7, 3), np.float16))


def test_bad_files_are_refused(parameters: BodyParameters, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with pytest.raises(InputError, match="no such file"):
        Predictions.read(path)
    path.write_bytes(b"not parquet")
    with pytest.raises(InputError, match="is not a readable Parquet file"):
        Predictions.read(path)
    pq.write_table(pa.table({"sample_id": ["a"]}), path)
    with pytest.raises(InputError, match=r"expected hmrtk\.predictions, got a Parquet file that hmrtk did not write"):
        Predictions.read(path)
    _predictions(parameters, vertices=None).write(path)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["betas", "camera"]), path)
    with pytest.raises(InputError, match="has no column betas, camera"):
        Predictions.read(path)
    column = table.schema.get_field_index("betas")
    pq.write_table(table.set_column(column, "betas", pa.array(np.zeros(N))), path)
    with pytest.raises(InputError, match="column betas has type double, expected extension"):
        Predictions.read(path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        _predictions(parameters).write(blocked / "p.parquet")


def test_chosen_prototypes_travel_with_the_rows(parameters: BodyParameters, tmp_path: Path) -> None:
    chosen = np.arange(N, dtype=np.int32)[::-1].copy()
    before = _predictions(parameters, prototype=chosen, vertices=None)
    before.write(tmp_path / "p.parquet")
    after = Predictions.read(tmp_path / "p.parquet")
    np.testing.assert_array_equal(after.prototype, chosen)
    assert after.take(np.array([2, 0])).prototype.tolist() == [6, 8]  # type: ignore[union-attr]
    assert after.fingerprint == before.fingerprint
    assert replace(before, prototype=None).fingerprint != before.fingerprint


def test_chosen_prototypes_that_cannot_be(parameters: BodyParameters, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"prototype has shape \(2,\), expected \(9,\)"):
        _predictions(parameters, prototype=np.zeros(2, np.int32)).validate()
    with pytest.raises(InputError, match="row 3: prototype is -1, expected 0 or more"):
        _predictions(parameters, prototype=np.where(np.arange(N) == 3, -1, 0).astype(np.int32)).validate()
    path = tmp_path / "p.parquet"
    _predictions(parameters, vertices=None, prototype=np.zeros(N, np.int32)).write(path)
    table = pq.read_table(path)
    place = table.column_names.index("prototype")
    for column, found in (([None, *[0] * 8], "1 empty rows"), ([0.5] * N, "type float")):
        kind = pa.int32() if column[0] is None else pa.float32()
        pq.write_table(table.set_column(place, "prototype", pa.array(column, kind)), path)
        with pytest.raises(InputError, match=f"column prototype has {found}.*expected int32 in every row"):
            Predictions.read(path)

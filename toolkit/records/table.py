"""``RecordTable``: reading, checking, slicing and writing record tables.

Sources make them, every later stage reads them. Heavy columns become NumPy arrays only when asked for.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import MEND, BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.records.artefact import read_parquet, write_parquet
from hmrtk.toolkit.records.dense import DenseTable
from hmrtk.toolkit.records.record import (
    BODY_COLUMNS,
    GENDERED,
    KIND,
    NEUTRAL,
    PER_RECORD,
    RECORD_SCHEMA,
    SCHEMA_VERSION,
    RecordMetadata,
)
from hmrtk.toolkit.records.remote import Place

_MEND = "mend the row or leave it out"
_PATHS = "write paths relative to the folder that --images names"
_UNIQUE = "give every row an id of its own"
_INGEST = "make the table with hmrtk ingest or RecordTable.from_columns"


class RecordTable:
    """Rows of ``RECORD_SCHEMA`` in memory, with their conventions.

    Attributes:
        table: the pyarrow table; columns exactly those of ``RECORD_SCHEMA``, in that order.
        metadata: joint set, regressor, frames, units, gender, body fingerprint, provenance. Its gender is ``record``
            as soon as a row has one, whatever the table was made or written with.
        place: where the rows came from, for error messages.
        dense: side table of the rows, as the reader of raw files made it; rows taken from this table have none.
    """

    dense: DenseTable | None = None

    def __init__(self, table: pa.Table, metadata: RecordMetadata, place: str = "records") -> None:
        self.table, self.place = _conform(table, place), place
        self.metadata = _told_gender(metadata, self.table)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any], metadata: RecordMetadata, place: str = "records") -> RecordTable:
        """Build from a mapping of column name → array-like of N rows (or one scalar for all; or None for null).

        A tensor column takes an (N, …) array; rows that are entirely NaN become null. Columns left out are null.
        ``sample_id``, ``dataset`` and ``split`` are required. The result is validated.
        """
        n = len(columns["sample_id"])
        unknown = sorted(set(columns) - set(RECORD_SCHEMA.names))
        if unknown:
            raise InputError(place, f"has columns that are not in the record schema: {', '.join(unknown)}")
        arrays = [_to_arrow(columns.get(f.name), f, n, place) for f in RECORD_SCHEMA]
        records = cls(pa.Table.from_arrays(arrays, schema=RECORD_SCHEMA), metadata, place)
        records.validate()
        return records

    @classmethod
    def read(cls, path: str | Place) -> RecordTable:
        """Read and validate one record table.

        Raises:
            InputError: missing, damaged or foreign file; missing column; NaN; absurd shape; duplicate ``sample_id``.
        """
        table, metadata = read_parquet(path, KIND, SCHEMA_VERSION)
        records = cls(table, RecordMetadata.from_json(metadata), str(path))
        records.validate()
        return records

    @classmethod
    def concatenate(cls, tables: Sequence[RecordTable]) -> RecordTable:
        """All rows of several tables; they must share their body and, but for the gender, their conventions.

        Raises:
            BodyMismatchError: the tables were made with different bodies.
            InputError: different conventions, or a ``sample_id`` that occurs twice.
        """
        first = tables[0]
        for other in tables[1:]:
            if other.metadata.body != first.metadata.body:
                raise BodyMismatchError(other.place, first.metadata.body, other.metadata.body)
            if _shared(other.metadata) != _shared(first.metadata):
                raise InputError(other.place, f"follows other conventions than {first.place}", "ingest both again")
        joined = pa.concat_tables([t.table for t in tables])
        per_record = any(t.metadata.gender == PER_RECORD for t in tables)
        metadata = replace(first.metadata, gender=PER_RECORD) if per_record else first.metadata
        records = cls(joined, metadata, ", ".join(t.place for t in tables))
        records.validate()
        return records

    def write(self, path: str | Place) -> None:
        """Validate and write atomically."""
        self.validate()
        write_parquet(path, self.table, KIND, SCHEMA_VERSION, self.metadata.to_json())

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def sample_ids(self) -> list[str]:
        return self.table["sample_id"].to_pylist()

    @functools.cached_property
    def fingerprint(self) -> str:
        """First 16 hex digits of sha256 over the rows' values and the body: equal rows, equal fingerprint."""
        digest = hashlib.sha256(self.metadata.body.encode())
        for field in RECORD_SCHEMA:
            digest.update(f"\n{field.name}:".encode())
            if isinstance(field.type, pa.FixedShapeTensorType):
                digest.update(np.ascontiguousarray(self.array(field.name)).tobytes())
            else:
                digest.update(json.dumps(self.table[field.name].to_pylist(), ensure_ascii=False).encode())
        return digest.hexdigest()[:16]

    def has(self, *columns: str) -> NDArray[np.bool_]:
        """(N,) true where all the given columns are filled."""
        keep = np.ones(len(self), bool)
        for name in columns:
            keep &= np.asarray(self.table[name].is_valid().to_numpy(zero_copy_only=False))
        return keep

    def array(self, column: str) -> NDArray[Any]:
        """A column as NumPy: tensors (N, …) with NaN (0 for integers) in null rows; strings as object arrays."""
        kind = RECORD_SCHEMA.field(column).type
        data = self.table[column].combine_chunks()
        if not isinstance(kind, pa.FixedShapeTensorType):
            return np.asarray(data.to_numpy(zero_copy_only=False))
        if isinstance(data, pa.ChunkedArray):
            data = data.chunk(0) if data.num_chunks else pa.array([], kind)
        storage = data.storage
        width = int(np.prod(kind.shape))
        values = storage.values.to_numpy(zero_copy_only=False)
        values = values[storage.offset * width : (storage.offset + len(storage)) * width].reshape(-1, *kind.shape)
        if storage.null_count:
            values = values.copy()
            values[~np.asarray(storage.is_valid())] = 0 if pa.types.is_integer(kind.value_type) else np.nan
        return values

    def parameters(self) -> BodyParameters:
        """The bodies of all rows; ``transl`` is zero where it is null.

        Raises:
            InputError: a row has no body (select ``has(*BODY_COLUMNS)`` first).
        """
        have = self.has(*BODY_COLUMNS)
        if not have.all():
            raise InputError(f"{self.place} row {int((~have).argmax())}", "has no body parameters")
        transl = np.nan_to_num(self.array("transl"), nan=0.0)
        orient, pose, betas = (self.array(c) for c in BODY_COLUMNS)
        return BodyParameters.of(orient, pose, betas, transl)

    def take(self, index: NDArray[Any] | Sequence[int]) -> RecordTable:
        """The rows of an integer index or boolean mask, in that order."""
        index = np.asarray(index)
        rows = np.flatnonzero(index) if index.dtype == bool else index
        first, last = (int(rows.min()), int(rows.max())) if len(rows) else (0, -1)
        near = self.table.slice(first, last - first + 1)  # take costs as much as the table has chunks
        return RecordTable(near.take(pa.array(rows - first, pa.int64())), self.metadata, self.place)

    def head(self, limit: int | None) -> RecordTable:
        """The first ``limit`` rows (all when None)."""
        return self if limit is None else RecordTable(self.table.slice(0, limit), self.metadata, self.place)

    def require_body(self, fingerprint: str) -> None:
        """Refuse when these records were made with another body than the active one."""
        if self.metadata.body != fingerprint:
            raise BodyMismatchError(self.place, fingerprint, self.metadata.body)

    def validate(self) -> None:
        """Check ids, paths, boxes, sizes and parameters; the first bad row is named."""
        if not len(self):
            raise InputError(self.place, "has no rows")
        _check_ids(self)
        _check_paths(self)
        _check_finite(self)
        _check_boxes(self)
        with_body = self.has(*BODY_COLUMNS)
        if with_body.any():
            rows = np.flatnonzero(with_body)
            try:
                self.take(rows).parameters().check(self.place)
            except InputError as error:
                raise _renumbered(error, rows, self.place) from None


def _shared(metadata: RecordMetadata) -> RecordMetadata:
    """What tables must have in common to be joined: each row says its own gender, so that may differ."""
    return replace(metadata, provenance={}, gender=NEUTRAL)


def _told_gender(metadata: RecordMetadata, table: pa.Table) -> RecordMetadata:
    """The metadata with the gender that the rows have: files of the first versions say neutral of all."""
    if metadata.gender != NEUTRAL or not pc.any(pc.is_in(table["gender"], pa.array(GENDERED))).as_py():
        return metadata
    return replace(metadata, gender=PER_RECORD)


def _conform(table: pa.Table, place: str) -> pa.Table:
    missing = [n for n in RECORD_SCHEMA.names if n not in table.column_names]
    if missing:
        raise InputError(place, f"has no column {', '.join(missing)}", _INGEST)
    table = table.select(RECORD_SCHEMA.names)
    for found, expected in zip(table.schema, RECORD_SCHEMA, strict=True):
        if found.type != expected.type:
            raise InputError(place, f"column {found.name} has type {found.type}, expected {expected.type}")
        nulls = table[expected.name].null_count
        if nulls and not expected.nullable:
            raise InputError(place, f"{expected.name} is null in {nulls} rows")
    return table.cast(RECORD_SCHEMA).replace_schema_metadata(None)


def _to_arrow(value: Any, field: pa.Field, n: int, place: str) -> pa.Array:
    kind = field.type
    if value is None:
        return pa.nulls(n, kind)
    if not isinstance(kind, pa.FixedShapeTensorType):
        values = [value] * n if isinstance(value, str | int) else list(value)
        return pa.array(values, kind)
    array = np.asarray(value, kind.value_type.to_pandas_dtype())
    if array.shape == tuple(kind.shape):
        array = np.broadcast_to(array, (n, *kind.shape))
    if array.shape != (n, *kind.shape):
        raise InputError(place, f"{field.name} has shape {array.shape}, expected {(n, *kind.shape)}")
    flat = np.ascontiguousarray(array).reshape(n, int(np.prod(kind.shape)))
    null = np.isnan(flat).all(axis=1) if flat.dtype.kind == "f" else np.zeros(n, bool)
    storage = pa.FixedSizeListArray.from_arrays(
        pa.array(flat.ravel()), flat.shape[1], mask=pa.array(null) if null.any() else None
    )
    return pa.ExtensionArray.from_storage(kind, storage)


def _check_ids(records: RecordTable) -> None:
    ids = records.table["sample_id"]
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    seen: dict[str, int] = {}
    for row, name in enumerate(ids.to_pylist()):
        if name in seen:
            raise InputError(
                f"{records.place} row {row}", f"sample_id {name!r} is already in row {seen[name]}", _UNIQUE
            )
        seen[name] = row


def _check_paths(records: RecordTable) -> None:
    unique = pc.unique(records.table["image_path"]).drop_null().to_pylist()
    for path in unique:
        parts = PurePosixPath(path.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            row = records.table["image_path"].to_pylist().index(path)
            raise InputError(f"{records.place} row {row}", f"image_path {path!r} leaves the image root", _PATHS)


def _check_finite(records: RecordTable) -> None:
    for name in ("bbox_xyxy", "keypoints2d", "joints3d", "transl", "focal", "principal"):
        rows = np.flatnonzero(records.has(name))
        values = records.array(name)[rows]
        bad = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if bad.any():
            raise InputError(
                f"{records.place} row {int(rows[bad.argmax()])}", f"{name} has NaN or infinite values", MEND
            )


def _check_boxes(records: RecordTable) -> None:
    rows = np.flatnonzero(records.has("bbox_xyxy"))
    box = records.array("bbox_xyxy")[rows]
    empty = (box[:, 2] <= box[:, 0]) | (box[:, 3] <= box[:, 1])
    if empty.any():
        row = int(rows[empty.argmax()])
        raise InputError(f"{records.place} row {row}", f"bbox_xyxy {box[empty.argmax()].tolist()} is empty", _MEND)
    rows = np.flatnonzero(records.has("image_size"))
    zero = (records.array("image_size")[rows] <= 0).any(axis=1)
    if zero.any():
        raise InputError(f"{records.place} row {int(rows[zero.argmax()])}", "image_size has a zero side", _MEND)


def _renumbered(error: InputError, rows: NDArray[Any], place: str) -> InputError:
    local = int(error.place.rsplit(" ", 1)[1])
    return InputError(f"{place} row {int(rows[local])}", error.problem, error.remedy)

"""Row groups read from disk, and their rows decoded to NumPy.

In: a ``ShardIndex``. Out: tables, then one dict of arrays per row. Used by the reader (which adds torch) and by
``verify_shards``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.artefact import file_fingerprint, open_parquet, read_parquet
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.codec import binary_views, column_array, decode_image
from hmrtk.toolkit.shards.index import LABELS_NAME, ShardIndex
from hmrtk.toolkit.shards.lists import read_lists
from hmrtk.toolkit.shards.order import Piece
from hmrtk.toolkit.shards.pages import PageError
from hmrtk.toolkit.shards.ranges import ByteRanges
from hmrtk.toolkit.shards.schema import (
    KIND,
    LABEL_COLUMNS,
    LABELS_KIND,
    LABELS_VERSION,
    SCHEMA_VERSION,
    array_shape,
    label_schema,
    shard_schema,
)

NO_LABEL = -1
WIDE = 512
"""Lists of at least this many numbers are read without their levels."""


def open_shard(path: Place) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """Open a shard and its metadata.

    Raises:
        InputError: missing, foreign, newer, or damaged, be it in the metadata.
    """
    return open_parquet(path, KIND, SCHEMA_VERSION)


def read_shard_labels(index: ShardIndex) -> pa.Table:
    """The label file of a folder, one row per row of the index, in its order.

    Raises:
        InputError: it is missing, damaged, or not the one that the index names.
    """
    place = index.root / LABELS_NAME
    if file_fingerprint(place) != index.labels:
        raise InputError(place, "sha256 differs from the index", "run build-shards again")
    table, _ = read_parquet(place, LABELS_KIND, LABELS_VERSION, label_schema().names)
    if table.num_rows != index.rows:
        raise InputError(place, f"has {table.num_rows} rows, the index says {index.rows}", "run build-shards again")
    return table.combine_chunks()


class Chunk(NamedTuple):
    """A column of a row group as it lies in the file.

    Attributes:
        data: its bytes.
        codec: of its pages; None: not compressed.
        levels: its largest definition level.
        start: place of the first byte in the file.
    """

    data: memoryview
    codec: pa.Codec | None
    levels: int
    start: int


class RowGroups:
    """The row groups of a split, numbered from 0 in file order.

    Attributes:
        sizes: rows of each row group.
        rows: their sum.
    """

    def __init__(self, index: ShardIndex, split: str | None) -> None:
        entries = index.entries(split)
        self.index, self.root = index, index.root
        self.places = [(entry.path, g) for entry in entries for g in range(len(entry.row_groups))]
        self.sizes = [rows for entry in entries for rows in entry.row_groups]
        self.rows = sum(self.sizes)
        self._ends = np.cumsum(self.sizes)
        self.ranges = ByteRanges()
        self._labels: pa.Table | None = None
        self._own = threading.local()  # every thread opens files of its own

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_own"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _own=threading.local())

    def locate(self, position: int) -> tuple[int, int]:
        """Row group and row inside it of a position in file order."""
        group = int(np.searchsorted(self._ends, position, side="right"))
        return group, position - int(self._ends[group] - self.sizes[group])

    def name(self, group: int) -> str:
        """``<file> row group <number>``, for messages."""
        path, number = self.places[group]
        return f"{self.root / path} row group {number}"

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """The columns of a row group; page checksums are verified.

        Raises:
            InputError: the file is missing or foreign, or the row group is damaged.
        """
        path, number = self.places[group]
        try:
            table = self._file(path).read_row_group(number, columns=list(columns), use_threads=False)
        except (pa.ArrowException, OSError, IndexError) as error:
            reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
            raise InputError(self.name(group), f"is damaged: {reason}", "run verify-shards, then build again") from None
        if table.num_rows != self.sizes[group]:
            raise InputError(self.name(group), f"has {table.num_rows} rows, the index says {self.sizes[group]}")
        return table if self.index.labels is None else self._with_labels(table, group)

    def _with_labels(self, table: pa.Table, group: int) -> pa.Table:
        """The label columns from the file beside the shards."""
        wanted = [name for name in LABEL_COLUMNS if name in table.column_names]
        if not wanted:
            return table
        if self._labels is None:
            self._labels = read_shard_labels(self.index)
        part = self._labels.slice(self._first_row(group), self.sizes[group])
        for name in wanted:
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(name), part[name])
        return table

    def _first_row(self, group: int) -> int:
        """The row of the whole folder that a row group begins with."""
        path, number = self.places[group]
        first = 0
        for entry in self.index.shards:
            if entry.path == path:
                return first + sum(entry.row_groups[:number])
            first += entry.rows
        raise LookupError(path)

    def lists(self, group: int, field: pa.Field) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
        """A column of wide lists as ((N, width) values, (N,) validity), read without its levels; null rows hold 0.

        Returns:
            None where the file is written otherwise or damaged: pyarrow then reads it, or says what is wrong.
        """
        dtype = np.dtype(field.type.value_type.to_pandas_dtype())
        out: NDArray[Any] = np.empty((self.sizes[group], field.type.list_size), dtype)
        try:
            chunk = self.chunk(group, f"{field.name}.list.element")
            stored = np.dtype(np.int32) if dtype.kind in "iu" and dtype.itemsize < 4 else dtype
            return out, read_lists(chunk.data, chunk.codec, out, stored, chunk.levels)
        except (PageError, LookupError):
            return None

    def chunk(self, group: int, column: str) -> Chunk:
        """The bytes of a row group's column.

        Args:
            column: its path in the Parquet schema, e.g. ``"image.bytes"``.

        Raises:
            InputError: the file is missing or shorter. LookupError: no such row group or column, another codec.
        """
        path, number = self.places[group]
        file, places = self._file(path), self._own.opened[3]
        place = places[column]
        if number >= file.num_row_groups:
            raise LookupError(number)
        about = file.metadata.row_group(number).column(place)
        start = about.dictionary_page_offset or about.data_page_offset
        codec = {"UNCOMPRESSED": None, "ZSTD": pa.Codec("zstd")}[about.compression]
        data = self.ranges.read(self.root / path, start, about.total_compressed_size)
        return Chunk(memoryview(data), codec, file.schema.column(place).max_definition_level, start)

    def _file(self, path: str) -> pq.ParquetFile:
        opened = getattr(self._own, "opened", None)
        if opened is None or opened[:2] != (os.getpid(), path):
            file, _ = open_shard(self.root / path)
            self._own.opened = opened = (os.getpid(), path, file, _columns(file))
        return opened[2]


def _columns(file: pq.ParquetFile) -> dict[str, int]:
    """Path in the Parquet schema → number of the column."""
    return {file.schema.column(i).path: i for i in range(len(file.schema))}


class RowDecoder:
    """Turns rows of shard tables into dicts of NumPy arrays; pictures are decoded one row at a time.

    Args:
        index: says the sizes of the maps.
        columns: those wanted; None wants all.

    Raises:
        UnknownNameError: a column that shards do not have.
    """

    def __init__(self, index: ShardIndex, columns: Sequence[str] | None = None) -> None:
        self.schema = shard_schema(int(index.config["iuv_px"]), int(index.config["uv_px"]))
        self.region_px = int(index.config["region_px"])
        self.columns = list(self.schema.names if columns is None else columns)
        for name in self.columns:
            if name not in self.schema.names:
                raise UnknownNameError("shard column", name, self.schema.names)

    @property
    def wide(self) -> list[str]:
        """Those of ``columns`` that are wide lists: the maps."""
        types = {name: self.schema.field(name).type for name in self.columns}
        return [name for name, t in types.items() if pa.types.is_fixed_size_list(t) and t.list_size >= WIDE]

    def load(self, groups: RowGroups, piece: Piece) -> dict[str, Any]:
        """Read the wanted columns of a piece of a row group, and no others; as ``batch``.

        Raises:
            InputError: the file is missing, or the row group is damaged.
        """
        found = {name: groups.lists(piece.group, self.schema.field(name)) for name in self.wide}
        rest = [name for name in self.columns if found.get(name) is None]
        batch = self.batch(groups.read(piece.group, rest), piece, groups.name(piece.group))
        for name, lists in found.items():
            if lists is not None:
                values, valid = (array[piece.first : piece.last] for array in lists)
                if values.dtype.kind == "f":
                    values[~valid] = np.nan
                batch[name] = values.reshape(len(piece), *(array_shape(self.schema.field(name)) or ()))
        return batch

    def batch(self, table: pa.Table, piece: Piece, place: str) -> dict[str, Any]:
        """The wanted columns of a piece of a row group: arrays (N, …), lists of text, encoded pictures.

        Only those that ``table`` has.
        """
        table = table.slice(piece.first, len(piece))
        batch: dict[str, Any] = {"": (place, piece.first)}
        for name in table.column_names:
            field, column = self.schema.field(name), table[name]
            if name == "image":
                batch[name] = binary_views(pc.struct_field(column.combine_chunks(), "bytes"))
            elif pa.types.is_string(field.type):
                batch[name] = column.to_pylist()
            else:
                values, valid = column_array(column, field)
                batch[name] = np.where(valid, values, NO_LABEL) if name == "label" else values
        return batch

    def row(self, batch: dict[str, Any], number: int) -> dict[str, Any]:
        """One row of ``batch``: arrays as views, text ("" for null), the picture (H, W, 3) uint8 and ``has_image``.

        Raises:
            InputError: the picture is damaged; the row is named.
        """
        row: dict[str, Any] = {}
        for name in self.columns:
            value = batch[name][number]
            if name == "image":
                row["has_image"] = np.bool_(value is not None)
                row[name] = self._picture(value, batch[""], number)
            else:
                row[name] = "" if value is None else value
        return row

    def _picture(self, value: memoryview | None, place: tuple[str, int], number: int) -> np.ndarray:
        if value is None:
            return np.zeros((self.region_px, self.region_px, 3), np.uint8)
        return decode_image(value, f"{place[0]} row {place[1] + number}")

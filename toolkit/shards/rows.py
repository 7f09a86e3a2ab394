"""Row groups read from disk, and their rows decoded to NumPy.

In: a ``ShardIndex``. Out: tables, then one dict of arrays per row. Used by the reader (which adds torch) and by
``verify_shards``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.artefact import open_parquet
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.codec import column_array, decode_image
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.order import Piece
from hmrtk.toolkit.shards.schema import KIND, SCHEMA_VERSION, shard_schema

NO_LABEL = -1


def open_shard(path: Place) -> tuple[pq.ParquetFile, dict[str, Any]]:
    """Open a shard and its metadata.

    Raises:
        InputError: missing, foreign, newer, or damaged, be it in the metadata.
    """
    return open_parquet(path, KIND, SCHEMA_VERSION)


class RowGroups:
    """The row groups of a split, numbered from 0 in file order.

    Attributes:
        sizes: rows of each row group.
        rows: their sum.
    """

    def __init__(self, index: ShardIndex, split: str | None) -> None:
        entries = index.entries(split)
        self.root = index.root
        self.places = [(entry.path, g) for entry in entries for g in range(len(entry.row_groups))]
        self.sizes = [rows for entry in entries for rows in entry.row_groups]
        self.rows = sum(self.sizes)
        self._ends = np.cumsum(self.sizes)
        self._opened: tuple[int, str, pq.ParquetFile] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

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
        return table

    def _file(self, path: str) -> pq.ParquetFile:
        if self._opened is None or self._opened[:2] != (os.getpid(), path):
            file, _ = open_shard(self.root / path)
            self._opened = (os.getpid(), path, file)
        return self._opened[2]


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

    def batch(self, table: pa.Table, piece: Piece, place: str) -> dict[str, Any]:
        """The wanted columns of a piece of a row group: arrays (N, …), lists of text, encoded pictures."""
        table = table.slice(piece.first, len(piece))
        batch: dict[str, Any] = {"": (place, piece.first)}
        for name in self.columns:
            field, column = self.schema.field(name), table[name]
            if name == "image":
                batch[name] = pc.struct_field(column.combine_chunks(), "bytes")
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
                row["has_image"] = np.bool_(value.is_valid)
                row[name] = self._picture(value, batch[""], number)
            else:
                row[name] = "" if value is None else value
        return row

    def _picture(self, value: pa.Scalar, place: tuple[str, int], number: int) -> np.ndarray:
        if not value.is_valid:
            return np.zeros((self.region_px, self.region_px, 3), np.uint8)
        return decode_image(value.as_py(), f"{place[0]} row {place[1] + number}")

"""``NpzFile``: the arrays of an ``.npz`` with one row per person, one at a time and only the rows that are needed.

In: a path that a user gave (untrusted); out: checked arrays, or a one-line error that names file, key and row. Nothing
in a file is run. The readers of annotation and of results in npz files call it; ``fields.npz_fields`` reads small files
whole.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hmrtk.toolkit.body.unpickler import plain_value, read_object
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.fields import as_text

BLOCK = 4096
"""Rows that are read at once, so that float64 files never lie in memory beside their float32 copy."""

_DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, SyntaxError)


class NpzFile:
    """An ``.npz`` of arrays with N rows each; a context manager.

    Args:
        path: the file.
        count: the key that every such file has, whose length is N.
        limit: read at most so many rows.

    Attributes:
        keys: names of all arrays, in the file's order.
        total: N. rows: how many of them are read.

    Raises:
        InputError: missing, truncated or foreign file, or no such key.
    """

    def __init__(self, path: Path, count: str = "imgname", limit: int | None = None) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(path, "no such file")
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(path, "is not a readable .npz", f"truncated or corrupt: {_first_line(error)}") from None
        names = self._archive.namelist()
        self.keys = tuple(name.removesuffix(".npy") for name in names if name.endswith(".npy"))
        try:
            self.total = self._length(count)
        except InputError:
            self._archive.close()
            raise
        self.rows = self.total if limit is None else min(self.total, limit)

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._archive.close()

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    def numbers(self, key: str, *shape: int, finite: bool = True) -> NDArray[np.float32]:
        """The first rows of an array of numbers.

        Args:
            key: its name.
            shape: of one row; an array whose rows have as many numbers in another shape is reshaped.
            finite: refuse NaN and infinity.

        Returns:
            (rows, *shape) float32.

        Raises:
            InputError: no such key, no numbers, another shape, or a value that is not finite (its row is named).
        """
        return _shaped(self._read(key, "bfiu"), shape, key, self.path, self.total, finite)

    def integers(self, key: str) -> NDArray[np.int64]:
        """(rows,) whole numbers, as ids are, exact to 2⁵³; errors as in ``numbers``."""
        values = _shaped(self._read(key, "iuf", np.float64), (), key, self.path, self.total)
        return values.astype(np.int64)

    def flags(self, key: str) -> NDArray[np.bool_] | None:
        """(rows,) true where ``key`` is not 0; None without it."""
        return self.numbers(key) > 0 if key in self else None

    def texts(self, key: str) -> list[str]:
        """The first rows of an array of strings: Unicode, UTF-8 bytes, or Python strings as other writers store them.

        Raises:
            InputError: no such key, or no strings, one per row.
        """
        values = self._read(key, "USO")
        if len(values) != np.size(values):
            raise InputError(self.path, f"{key} has shape {self._shape(key)}, expected ({self.total},)")
        if values.dtype.kind == "S":
            return [item.decode("utf-8", "replace") for item in values.ravel().tolist()]
        return [as_text(item, key, f"{self.path} row {row}") for row, item in enumerate(values.ravel().tolist())]

    def objects(self, key: str) -> list[Any]:
        """The first rows of an array of Python objects: dictionaries, lists, numbers and text, nothing that would run.

        Raises:
            InputError: no such key, no objects, or one of another kind.
        """
        return list(self._read(key, "O"))

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of an array, all N rows counted, without reading it.

        Raises:
            InputError: no such key, or a damaged one.
        """
        return self._shape(key)

    def _length(self, key: str) -> int:
        shape = self._shape(key)
        if not shape or not shape[0]:
            raise InputError(self.path, f"{key} is empty")
        return int(shape[0])

    def _shape(self, key: str) -> tuple[int, ...]:
        with self._open(key) as stream:
            return _header(stream, f"{self.path}: {key}")[0]

    def _open(self, key: str) -> IO[bytes]:
        if key not in self.keys:
            raise InputError(self.path, f"has no {key}", f"it has {', '.join(self.keys) or 'nothing'}")
        try:
            return self._archive.open(f"{key}.npy")
        except _DAMAGED as error:
            raise InputError(self.path, f"{key} is damaged: {_first_line(error)}") from None

    def _read(self, key: str, kinds: str, kept: type = np.float32) -> NDArray[Any]:
        """The first rows, numbers as ``kept``."""
        with self._open(key) as stream:
            shape, fortran, dtype = _header(stream, f"{self.path}: {key}")
            if dtype.kind not in kinds:
                raise InputError(
                    self.path, f"{key} is of type {dtype}, expected {'text' if 'U' in kinds else 'numbers'}"
                )
            if not shape or shape[0] != self.total:
                raise InputError(self.path, f"{key} has shape {shape}, expected {self.total} rows")
            if dtype.kind == "O":
                return self._objects(stream, key)
            try:
                return _rows(stream, shape, fortran, dtype, self.rows, kept)
            except (*_DAMAGED, MemoryError) as error:
                raise InputError(self.path, f"{key} is damaged: {_first_line(error)}") from None

    def _objects(self, stream: IO[bytes], key: str) -> NDArray[Any]:
        """(rows,) Python objects without what would run something."""
        place = str(self.path)
        items = plain_value(read_object(stream, place, f"text in {key}"), key, place)
        if not isinstance(items, list) or len(items) != self.total:
            raise InputError(place, f"{key} is damaged: expected {self.total} objects")
        values = np.empty(self.rows, object)
        values[:] = items[: self.rows]
        return values


class NpyFile:
    """An ``.npy`` of numbers with one row per person; a context manager.

    Args:
        path: the file.
        limit: read at most so many rows.

    Attributes:
        total: how many rows it has. rows: how many of them are read.

    Raises:
        InputError: missing, damaged or foreign file, or one that does not hold numbers.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self.path = path
        if not path.is_file():
            raise InputError(path, "no such file")
        self._stream = path.open("rb")
        try:
            self._shape, self._fortran, self._dtype = _header(self._stream, str(path))
            if self._dtype.kind not in "bfiu" or not self._shape or not self._shape[0]:
                raise InputError(path, f"holds {self._dtype} of shape {self._shape}, expected rows of numbers")
        except InputError:
            self._stream.close()
            raise
        self.total = int(self._shape[0])
        self.rows = self.total if limit is None else min(self.total, limit)

    def __enter__(self) -> NpyFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stream.close()

    def numbers(self, *shape: int) -> NDArray[np.float32]:
        """(rows, *shape) float32 and finite; to be asked for once.

        Raises:
            InputError: another shape, a truncated file, or a value that is not finite (its row is named).
        """
        try:
            values = _rows(self._stream, self._shape, self._fortran, self._dtype, self.rows)
        except (*_DAMAGED, MemoryError) as error:
            raise InputError(self.path, f"is damaged: {_first_line(error)}") from None
        return _shaped(values, shape, "the array", self.path, self.total)


def _shaped(
    values: NDArray[Any], shape: tuple[int, ...], key: str, path: Path, total: int, finite: bool = True
) -> NDArray[Any]:
    """The values with rows of a shape, when they have as many numbers and are finite."""
    rows, width = len(values), int(np.prod(shape, dtype=np.int64))
    if int(np.prod(values.shape[1:], dtype=np.int64)) != width:
        raise InputError(path, f"{key} has shape {(total, *values.shape[1:])}, expected {(total, *shape)}")
    bad = ~np.isfinite(values).reshape(rows, width).all(axis=1) if finite else np.zeros(rows, bool)
    if bad.any():
        raise InputError(f"{path} row {int(bad.argmax())}", f"{key} has NaN or infinite values")
    return values.reshape(rows, *shape)


def _header(stream: IO[bytes], place: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an ``.npy`` stream, which then stands at the first value."""
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(stream)
    except Exception as error:  # a damaged header can raise nearly anything
        raise InputError(place, f"is damaged: {_first_line(error)}") from None
    return tuple(shape), fortran, dtype


def _rows(
    stream: IO[bytes],
    shape: Sequence[int],
    fortran: bool,
    dtype: np.dtype[Any],
    rows: int,
    number: type = np.float32,
) -> NDArray[Any]:
    width = int(np.prod(shape[1:], dtype=np.int64))
    kept = np.dtype(number) if dtype.kind in "bfiu" else dtype
    if fortran and len(shape) > 1:  # its rows do not lie together
        data = _exactly(stream, shape[0] * width * dtype.itemsize)
        whole = np.frombuffer(data, dtype).reshape(tuple(shape), order="F")
        return np.ascontiguousarray(whole[:rows]).astype(kept)
    blocks = [np.empty((0, width), kept)]
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        data = _exactly(stream, count * width * dtype.itemsize)
        blocks.append(np.frombuffer(data, dtype).reshape(count, width).astype(kept))
    return np.concatenate(blocks).reshape(rows, *shape[1:])


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("it ends too early")
    return data


def _first_line(error: BaseException) -> str:
    return (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]

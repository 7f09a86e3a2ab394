"""Wide lists read from Parquet without their levels, and where each picture's bytes lie.

In: the bytes of one column chunk, as our writer makes them (zstd or raw; PLAIN or dictionary). Out: arrays, or byte
ranges. Used by ``RowGroups``, which asks pyarrow instead wherever this refuses, and by the offset index.

Why. A list column carries a repetition and a definition level for every element, and pyarrow builds each row from them:
60 to 290 MB/s. All our lists have one width and no null inside, so the levels tell nothing but which rows are null, and
they are run-length encoded: a page holds a handful of runs. Read as runs, the values behind them move in one piece.

Source: the Apache Parquet format, ``Encodings.md``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.shards.pages import PageError, page_bytes, pages, varint

_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY = 0, 2, 8  # Encoding
NULL = -1
"""Start of a picture that is not there."""


def read_lists(
    chunk: memoryview, codec: pa.Codec | None, out: NDArray[Any], stored: np.dtype[Any], levels: int
) -> NDArray[np.bool_]:
    """Fill ``out`` (rows, width) from a chunk of fixed-size lists; null rows hold zeros.

    Args:
        stored: how Parquet stores a value: int32 for all short integers.
        levels: the column's largest definition level, that of a value.

    Returns:
        (rows,) which rows are not null.

    Raises:
        PageError: damage, a null inside a list, another layout.
    """
    runs: list[tuple[int, int]] = []
    dictionary: NDArray[Any] | None = None
    values, filled = out.reshape(-1), 0
    for page in pages(chunk):
        data = page_bytes(chunk, page, codec)
        if page.dictionary:
            dictionary = np.frombuffer(data, stored, page.values).astype(out.dtype)
            continue
        place = _after_levels(data, 0)  # repetition: follows from the width
        after = _after_levels(data, place)
        of_page = list(level_runs(data[place + 4 : after], levels.bit_length(), page.values))
        count = sum(number for level, number in of_page if level == levels)
        if filled + count > len(values):
            raise PageError("more values than rows")
        _read_values(data[after:], page.encoding, dictionary, stored, values[filled : filled + count])
        runs, filled = runs + of_page, filled + count
    valid = _valid_rows(runs, levels, *out.shape)
    if filled != valid.sum() * out.shape[1]:
        raise PageError("a list of another width")
    _spread(out, valid)
    return valid


def _read_values(
    data: memoryview, encoding: int, dictionary: NDArray[Any] | None, stored: np.dtype[Any], out: NDArray[Any]
) -> None:
    if encoding == _PLAIN:
        if len(data) < len(out) * stored.itemsize:
            raise PageError("a page is too short")
        out[:] = np.frombuffer(data, stored, len(out))
    elif encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY) and dictionary is not None and len(data):
        bits = np.dtype(f"u{out.itemsize}")  # numba knows no float16
        if not _look_up(np.frombuffer(data, np.uint8)[1:], data[0], dictionary.view(bits), out.view(bits)):
            raise PageError("a page of dictionary indices is damaged")
    else:
        raise PageError(f"encoding {encoding}")


def _valid_rows(runs: list[tuple[int, int]], levels: int, rows: int, width: int) -> NDArray[np.bool_]:
    """Which rows are not null, from the runs (level, count) of the definition levels."""
    valid: list[bool] = []
    pending = 0
    for level, count in runs:
        if len(valid) + count > rows * width:
            raise PageError("more values than rows")
        if level == levels:
            pending += count
        elif level == 0 and pending % width == 0:
            valid += [True] * (pending // width) + [False] * count
            pending = 0
        else:
            raise PageError("a null inside a list")
    valid += [True] * (pending // width)
    if len(valid) != rows or pending % width:
        raise PageError("another number of rows")
    return np.array(valid, bool)


def _spread(out: NDArray[Any], valid: NDArray[np.bool_]) -> None:
    """Move the leading rows of ``out`` to the valid places, in order, and zero the others."""
    if not valid.all():
        dense = out[: int(valid.sum())].copy()
        out[~valid] = 0
        out[valid] = dense


def picture_ranges(chunk: memoryview, levels: int, rows: int) -> NDArray[np.int64]:
    """(rows, 2) start in the chunk and length of each value of a raw, PLAIN column of bytes; start −1 for null.

    Raises:
        PageError: damage or another layout.
    """
    found: list[tuple[int, int]] = []
    for page in pages(chunk):
        if page.dictionary or page.encoding != _PLAIN or page.stored != page.full:
            raise PageError("pictures are not stored raw")
        data = page_bytes(chunk, page, None)
        place = _after_levels(data, 0)
        for level, count in level_runs(data[4:place], levels.bit_length(), page.values):
            if len(found) + count > rows:
                raise PageError("more values than rows")
            for _ in range(count):
                if level < levels:
                    found.append((NULL, 0))
                    continue
                (length,) = struct.unpack_from("<I", data, place) if place + 4 <= len(data) else (len(data),)
                if place + 4 + length > len(data):
                    raise PageError("a picture leaves its page")
                found.append((page.start + place + 4, length))
                place += 4 + length
    if len(found) != rows:
        raise PageError("another number of rows")
    return np.array(found, np.int64).reshape(-1, 2)


def level_runs(data: memoryview, bits: int, values: int) -> Iterator[tuple[int, int]]:
    """The runs (level, count) of Parquet's hybrid of run lengths and bit-packed groups of eight.

    Raises:
        PageError: fewer than ``values``, or levels of more than 8 bits.
    """
    place, size = 0, (bits + 7) // 8
    while values > 0 and place < len(data):
        try:
            head, place = varint(data, place)
            if head & 1:
                packed = np.frombuffer(data[place : place + (head >> 1) * bits], np.uint8)
                levels = np.unpackbits(packed, bitorder="little").reshape(-1, bits) @ (1 << np.arange(bits))
                place += (head >> 1) * bits
                yield from ((int(level), 1) for level in levels[:values])
                values -= len(levels)
            else:
                yield data[place] if size else 0, min(head >> 1, values)
                values, place = values - (head >> 1), place + size
        except (IndexError, ValueError) as error:
            raise PageError(f"levels: {error}") from None
    if values > 0 or size > 1:
        raise PageError("levels end too early")


def _after_levels(data: memoryview, place: int) -> int:
    """Where the levels that begin at ``place`` with their length end."""
    if place + 4 > len(data):
        raise PageError("a page is too short")
    end = place + 4 + int(struct.unpack_from("<I", data, place)[0])
    if end > len(data):
        raise PageError("levels leave their page")
    return end


@njit(cache=True, nogil=True)
def _look_up(data: NDArray[np.uint8], bits: int, dictionary: NDArray[Any], out: NDArray[Any]) -> bool:
    """Fill ``out`` with the dictionary's values at the hybrid-encoded indices; False where they are damaged."""
    place, done, size, mask = 0, 0, (bits + 7) // 8, (1 << bits) - 1
    while done < len(out):
        head, shift = 0, 0
        while place < len(data) and shift < 35:
            byte = int(data[place])
            place += 1
            head |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if head < 2:
            return False
        count = min((head >> 1) * (8 if head & 1 else 1), len(out) - done)
        if head & 1:
            length = (head >> 1) * bits
            if place + (count * bits + 7) // 8 > len(data):
                return False
            held, word, at = 0, 0, place
            for i in range(count):
                while held < bits:
                    word |= int(data[at]) << held
                    held += 8
                    at += 1
                index = word & mask
                word >>= bits
                held -= bits
                if index >= len(dictionary):
                    return False
                out[done + i] = dictionary[index]
            place += length
        else:
            index = 0
            if place + size > len(data):
                return False
            for i in range(size):
                index |= int(data[place + i]) << (8 * i)
            place += size
            if index >= len(dictionary):
                return False
            out[done : done + count] = dictionary[index]
        done += count
    return True

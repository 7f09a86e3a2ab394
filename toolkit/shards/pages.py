"""The pages of a Parquet column chunk: their headers, checksums and bytes.

In: the bytes of one column chunk of a row group (data pages of version 1). Out: pages. Used by ``lists``.

Source: the Apache Parquet format, ``parquet.thrift``; the compact protocol of Apache Thrift.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

_DATA, _DICTIONARY = 0, 2  # PageType
_TRUE, _FALSE, _BYTE, _BINARY, _STRUCT = 1, 2, 3, 8, 12  # types of the compact protocol
MAX_PAGE = 1 << 28
"""Bytes of the longest page; a damaged header may ask for more memory than there is."""


class PageError(ValueError):
    """The bytes are not what our writer makes, or are damaged."""


@dataclass(frozen=True)
class Page:
    """One page of a column chunk.

    Attributes:
        dictionary: whether it holds the dictionary rather than data.
        start, stored: where its bytes lie in the chunk.
        full: their length without compression.
        values: number of values, nulls included.
        encoding: of the values.
        crc: CRC-32 of the stored bytes; None where there is none.
    """

    dictionary: bool
    start: int
    stored: int
    full: int
    values: int
    encoding: int
    crc: int | None


def pages(chunk: memoryview) -> Iterator[Page]:
    """The pages of a column chunk, in order.

    Raises:
        PageError: something else lies there.
    """
    place = 0
    while place < len(chunk):
        try:
            header, start = _struct(chunk, place)
            kind, full, stored = header[1], header[2], header[3]
            own = header[5] if kind == _DATA else header[7]
            page = Page(kind == _DICTIONARY, start, stored, full, own[1], own[2], header.get(4))
        except (KeyError, IndexError, TypeError) as error:
            raise PageError(f"page header at byte {place}: {error!r}") from None
        if kind not in (_DATA, _DICTIONARY) or not 0 <= stored <= len(chunk) - start or not 0 <= full < MAX_PAGE:
            raise PageError(f"page at byte {place} has another layout")
        yield page
        place = start + stored


def page_bytes(chunk: memoryview, page: Page, codec: pa.Codec | None) -> memoryview:
    """The bytes of a page without compression.

    Raises:
        PageError: its checksum or its length is wrong.
    """
    data = chunk[page.start : page.start + page.stored]
    if page.crc is not None and zlib.crc32(data) != page.crc & 0xFFFFFFFF:
        raise PageError("a page has another checksum")
    if codec is None:
        return data
    try:
        return memoryview(codec.decompress(pa.py_buffer(data), decompressed_size=page.full)).cast("B")
    except (pa.ArrowException, OSError) as error:
        raise PageError(str(error)) from None


def _struct(data: memoryview, place: int) -> tuple[dict[int, Any], int]:
    """A struct of Thrift's compact protocol as field number → value, and the place after it."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[place]:
        place += 1
        if head >> 4:
            number += head >> 4
        else:
            number, place = _zigzag(data, place)
        fields[number], place = _value(data, place, head & 15)
    return fields, place + 1


def _value(data: memoryview, place: int, kind: int) -> tuple[Any, int]:
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, place
    if kind == _BYTE:
        return data[place], place + 1
    if _BYTE < kind < 7:  # i16, i32, i64
        return _zigzag(data, place)
    if kind == _BINARY:
        length, place = varint(data, place)
        return bytes(data[place : place + length]), place + length
    if kind == _STRUCT:
        return _struct(data, place)
    raise PageError(f"thrift type {kind}")


def _zigzag(data: memoryview, place: int) -> tuple[int, int]:
    value, place = varint(data, place)
    return (value >> 1) ^ -(value & 1), place


def varint(data: memoryview, place: int) -> tuple[int, int]:
    """An unsigned number in groups of 7 bits, the lowest first, and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise PageError("a number is too long")

"""The elements of a long list in a JSON file, one after the other, without the whole file in memory.

In: a path that a user gave (untrusted) to an object like ``{"ver": 0.1, "data": [{…}, {…}, …]}``; out: the elements of
one of its lists. Readers of fitted bodies in JSON call it: EFT's larger file has 79,051 people with 500 numbers each.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input

CHUNK = 1 << 20
"""Bytes read at once; an element may be longer."""


def json_items(path: Path, key: str) -> Iterator[Any]:
    """The elements of the list under ``key`` of the object that a JSON file holds.

    Args:
        path: the file.
        key: of the top-level object; what stands before it is read and dropped, what stands after the list is not read.

    Raises:
        InputError: missing, not JSON, truncated, no such key, or no list there. Elements before a damaged one are
            yielded first.
    """
    with open_input(path) as stream:
        text = _Text(stream, path)
        text.take("{")
        while True:
            found = text.value()
            text.take(":")
            if found == key:
                break
            text.value()
            if text.peek() == "}":
                raise InputError(path, f"has no {key}")
            text.take(",")
        if text.peek() != "[":
            raise InputError(path, f"{key} is no list")
        text.take("[")
        if text.peek() == "]":
            return
        while True:
            yield text.value()
            if text.peek() == "]":
                return
            text.take(",")


class _Text:
    """A window on a file's text that grows while a value does not end in it."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._window, self._at, self._ended = "", 0, False
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is no white space, which stays."""
        while True:
            while self._at < len(self._window) and self._window[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._more(CHUNK):
                raise self._damaged("it ends too early")

    def take(self, expected: str) -> None:
        """Go past a character that has to come."""
        found = self.peek()
        if found != expected:
            raise self._damaged(f"expected {expected!r}, got {found!r}")
        self._at += 1

    def value(self) -> Any:
        """The next value."""
        self.peek()
        size = CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
                length, follows = end - self._at, self._window[end : end + 1]
                if (follows and follows in " \t\r\n,:]}") or not self._more(CHUNK):  # 12 may go on as 12.5
                    self._at += length
                    return value
            except RecursionError:
                raise self._damaged("it is nested too deep") from None
            except json.JSONDecodeError as error:
                if not self._more(size):
                    raise self._damaged(error.msg) from None
                size *= 2  # so that a long value is not parsed again for every chunk

    def _more(self, size: int) -> bool:
        """Read on; False at the end. What was read before the position is dropped."""
        if self._ended:
            return False
        data = self._stream.read(size)
        self._ended = not data
        try:
            self._window = self._window[self._at :] + self._decode(data, self._ended)
        except UnicodeDecodeError:
            raise self._damaged("it is no UTF-8 text") from None
        self._at = 0
        return not self._ended

    def _damaged(self, why: str) -> InputError:
        return InputError(self._path, f"is not valid JSON: {why}", "the file may be truncated")

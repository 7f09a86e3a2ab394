"""``ByteRanges``: bytes from the middle of files, in a folder or an object store, from any thread or process.

In: a place, a start and a length. Out: bytes. Used by ``RowGroups`` and ``ShardMap``.

Local files are read with ``pread`` rather than mapped: a file that another process shortens is then an error in one
line, not the end of the process, and the copy costs 3 µs of a picture's 800.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.remote import Place, RemotePath

MAX_OPEN = 32
"""Files that a thread keeps open."""


class ByteRanges:
    """Reads byte ranges; every thread of every process has open files of its own."""

    def __init__(self) -> None:
        self._own = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._own = threading.local()

    def read(self, place: Place, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``; from an object store with one request.

        Raises:
            InputError: the file is missing, unreadable or shorter.
        """
        if isinstance(place, RemotePath):
            data = _requested(place, start, length)
        else:
            try:
                data = os.pread(self._file(place).fileno(), length, start)
            except OSError as error:
                raise InputError(place, f"cannot be read: {error.strerror}") from None
        if len(data) != length:
            raise InputError(place, f"ends before byte {start + length}", "run verify-shards, then build again")
        return data

    def read_many(self, wanted: Sequence[tuple[Place, int, int]]) -> list[bytes]:
        """Several ranges (place, start, length); from an object store with requests side by side.

        Raises:
            InputError: as ``read``.
        """
        if len(wanted) < 2 or not all(isinstance(place, RemotePath) for place, _, _ in wanted):
            return [self.read(*one) for one in wanted]
        starts, ends = [start for _, start, _ in wanted], [start + length for _, start, length in wanted]
        places = [place for place, _, _ in wanted if isinstance(place, RemotePath)]
        try:
            found = places[0].read_ranges(places, starts, ends)
        except FileNotFoundError:
            return [self.read(*one) for one in wanted]  # says which
        for (place, start, length), data in zip(wanted, found, strict=True):
            if len(data) != length:
                raise InputError(place, f"ends before byte {start + length}", "run verify-shards, then build again")
        return found

    def _file(self, place: Path) -> Any:
        if getattr(self._own, "process", None) != os.getpid():
            self._own.process, self._own.files = os.getpid(), OrderedDict()
        files = self._own.files
        if place not in files:
            with open_input(place):  # says what is wrong
                pass
            files[place] = open(place, "rb", buffering=0)  # noqa: SIM115 - closed when it leaves the cache
            if len(files) > MAX_OPEN:
                files.popitem(last=False)[1].close()
        files.move_to_end(place)
        return files[place]


def _requested(place: RemotePath, start: int, length: int) -> bytes:
    try:
        return bytes(place.read_range(start, length))
    except FileNotFoundError:
        raise InputError(place, "no such file") from None

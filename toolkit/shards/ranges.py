"""``ByteRanges``: bytes from the middle of files, in a folder or an object store, from any thread or process.

In: a place, a start and a length. Out: bytes. Used by ``RowGroups`` and ``ShardMap``.

Row groups of local files are read with ``pread``: a file that another process shortens is then an error in one line.
Single pictures are slices of the mapped file, which cost nothing; a file shortened while it is mapped ends the process,
as the kernel has it, but our own writer never shortens one: it renames a new file into place.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.remote import Place, RemotePath

MAX_OPEN = 16
"""Files that a thread keeps open."""
MAX_MAPPED = 256
"""Files that a process keeps mapped."""


class ByteRanges:
    """Reads byte ranges; every thread of every process has open files of its own."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._mapped: OrderedDict[Path, memoryview] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"version": 1}  # an empty state would not be set

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

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

    def whole(self, place: Path) -> memoryview:
        """All bytes of a local file, without a copy.

        Raises:
            InputError: as ``read``.
        """
        return self._map(place)

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
            files[place] = _opened(place)
            if len(files) > MAX_OPEN:
                files.popitem(last=False)[1].close()
        files.move_to_end(place)
        return files[place]

    def _map(self, place: Path) -> memoryview:
        with self._lock:
            if place not in self._mapped:
                with _opened(place) as file:
                    empty = not os.fstat(file.fileno()).st_size
                    self._mapped[place] = memoryview(b"" if empty else _whole(file))
                if len(self._mapped) > MAX_MAPPED:
                    self._mapped.popitem(last=False)  # views of it live on
            self._mapped.move_to_end(place)
            return self._mapped[place]


def _opened(place: Path) -> Any:
    with open_input(place):  # says what is wrong
        pass
    return open(place, "rb", buffering=0)


def _whole(file: Any) -> mmap.mmap:
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _requested(place: RemotePath, start: int, length: int) -> bytes:
    try:
        return bytes(place.read_range(start, length))
    except FileNotFoundError:
        raise InputError(place, "no such file") from None

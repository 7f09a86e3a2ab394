"""``Archive``: the files inside a zip or tar archive, read one at a time without unpacking it.

In: a place, local or in an object store. Out: names, and the bytes of a file. Used by ``picture_files``.

An archive is indexed once per process: a zip by its central directory, a tar by walking its headers. Reading then opens
the file anew at a known offset and shares nothing, so that threads and forked or spawned processes cannot disturb each
other. The indexes kept have ``MAX_NAMES`` names at most, about 300 bytes each. A tar inside gzip is decompressed once
to be indexed, and for every read again from one of many places: slower, but it works.
"""

from __future__ import annotations

import io
import os
import struct
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.gzip_ranges import GZIP_MAGIC, GzipRanges
from hmrtk.toolkit.records.remote import Place, RemotePath

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_NAMES = 500_000
"""Of all indexes a process keeps: COCO's largest archive has 123 404."""
WHOLE_AGAIN = "truncated or corrupt: copy or download it again"

_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError, NotImplementedError, zlib.error)
"""What Python's readers raise on damaged archives."""
_WHOLE = {b"BZh": "bzip2", b"\xfd7z": "xz"}
_STORED, _DEFLATED, _ENCRYPTED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, -1
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_HEADER_SLACK = 512
"""Bytes read beyond a zip member's fixed header for its name and extra fields, to need one request and not two."""
_NO_CRC = -1


class Archive:
    """The index of one archive.

    Args:
        place: the file.

    Raises:
        InputError: missing, not an archive, truncated, or compressed as a whole in a way that cannot be read.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._gzip: GzipRanges | None = None
        try:
            with open_input(place) as stream:
                members = list(self._members(stream))
        except _DAMAGE as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(place, f"is not a readable archive: {reason}", WHOLE_AGAIN) from None
        self._rows = {name: row for row, (name, _) in enumerate(members)}
        self._table = np.array([values for _, values in members], np.int64).reshape(-1, 5)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def names(self) -> list[str]:
        """The files in it, in its order, with forward slashes."""
        return list(self._rows)

    def read(self, name: str) -> bytes:
        """The bytes of a file in it.

        Raises:
            InputError: no such file; it is encrypted, cut short, or its checksum differs.
        """
        row = self._rows.get(name)
        if row is None:
            raise InputError(self.place, f"has no such file among its {len(self)}: {name}", "check --images")
        start, packed, size, method, crc = self._table[row].tolist()
        if method == _ENCRYPTED:
            raise InputError(self.place, f"{name} is encrypted", "unpack it with its password")
        if method not in (_STORED, _DEFLATED):
            raise InputError(self.place, f"{name} is compressed by zip method {method}", "unpack it, or zip it anew")
        data = self._range(start, packed) if crc == _NO_CRC else self._zipped(name, start, packed)
        if method == _DEFLATED:
            data = _inflated(data, size)
        if len(data) != size:
            raise InputError(self.place, f"{name} is damaged: {len(data)} of {size} bytes are there", WHOLE_AGAIN)
        if crc != _NO_CRC and zlib.crc32(data) != crc:
            raise InputError(self.place, f"{name} is damaged: its checksum differs", WHOLE_AGAIN)
        return data

    def _members(self, stream: io.BufferedReader) -> Iterator[tuple[str, tuple[int, ...]]]:
        magic = stream.read(4)
        stream.seek(0)
        if magic[:2] == b"PK" or self.place.name.lower().endswith(".zip"):
            yield from _zip_members(stream)
            return
        if magic[:3] in _WHOLE:
            remedy = "unpack it to a plain .tar"
            raise InputError(self.place, f"is compressed as a whole by {_WHOLE[magic[:3]]}", remedy)
        if magic[:2] != GZIP_MAGIC:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                yield from _tar_members(tar)
            return
        self._gzip = GzipRanges(self.place)
        content: Any = self._gzip.first_pass(stream)
        with tarfile.open(fileobj=content, mode="r|") as tar:
            yield from _tar_members(tar)

    def _range(self, start: int, length: int) -> bytes:
        """So many bytes of the archive; of what it is inside gzip. Fewer where it ends."""
        if self._gzip is not None:
            return self._gzip.read(start, length)
        if isinstance(self.place, RemotePath):
            try:
                return self.place.read_range(start, length)
            except FileNotFoundError:
                raise InputError(self.place, "no such file") from None
        with open_input(self.place) as stream:
            stream.seek(start)
            return bytes(stream.read(length))

    def _zipped(self, name: str, header: int, packed: int) -> bytes:
        """A zip member's bytes as packed; its own header says where they begin."""
        data = self._range(header, _LOCAL_HEADER.size + _HEADER_SLACK + packed)
        if data[:4] != b"PK\x03\x04" or len(data) < _LOCAL_HEADER.size:
            raise InputError(self.place, f"{name} is not where the directory of the zip says", WHOLE_AGAIN)
        start = _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack_from(data)[1:])
        if start > _LOCAL_HEADER.size + _HEADER_SLACK:
            return self._range(header + start, packed)
        return data[start : start + packed]


class _Indexes:
    """The archives that this process has indexed, the latest of them."""

    def __init__(self) -> None:
        self._process, self._lock = os.getpid(), threading.Lock()
        self._kept: OrderedDict[tuple[object, ...], Archive | InputError] = OrderedDict()

    def get(self, place: Place) -> Archive:
        if self._process != os.getpid():
            self.__init__()  # type: ignore[misc]  # forked: the lock may be held by a thread that is not here
        key = (str(place), *_state(place))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _opened(place)
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(map(_names, self._kept.values())) > MAX_NAMES:
                self._kept.popitem(last=False)
            found = self._kept[key]
        if isinstance(found, InputError):
            raise InputError(found.place, found.problem, found.remedy)
        return found


def _opened(place: Place) -> Archive | InputError:
    """An archive, or what is wrong with it: a large one is not to be searched again for each of its rows."""
    try:
        return Archive(place)
    except InputError as error:
        if isinstance(place, RemotePath):
            raise  # the next request may go better
        return error


def _names(held: Archive | InputError) -> int:
    return len(held) if isinstance(held, Archive) else 1


_indexes = _Indexes()


def archive(place: Place) -> Archive:
    """The archive at a place, indexed now or kept from before; a local one that has changed is indexed again.

    Raises:
        InputError: as ``Archive``.
    """
    return _indexes.get(place)


def is_archive_name(name: str) -> bool:
    """Whether a file is called as archives are."""
    return name.lower().endswith(SUFFIXES)


def archive_stem(name: str) -> str:
    """A file name without its archive suffix: ``train2014.zip`` → ``train2014``."""
    suffix = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)]


def _state(place: Place) -> tuple[int, ...]:
    """What changes when a local file is written anew."""
    if not isinstance(place, Path) or not place.exists():
        return ()  # an archive in an object store is taken to stay as it is
    found = place.stat()
    return (found.st_mtime_ns, found.st_size)


def _zip_members(stream: io.BufferedReader) -> Iterator[tuple[str, tuple[int, ...]]]:
    with zipfile.ZipFile(stream) as file:
        for info in file.infolist():
            method = _ENCRYPTED if info.flag_bits & 1 else info.compress_type
            if not info.is_dir():
                values = (info.header_offset, info.compress_size, info.file_size, method, info.CRC)
                yield info.filename.replace("\\", "/"), values


def _tar_members(tar: tarfile.TarFile) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Regular files, and hard links as the files they stand for; a name that comes twice is its last one."""
    found: dict[str, tuple[int, ...]] = {}
    while (info := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # tarfile keeps them all, 1 KB each
        name = info.name.removeprefix("./")
        if info.isreg() and not info.issparse():
            found[name] = (info.offset_data, info.size, info.size, _STORED, _NO_CRC)
        elif info.islnk() and info.linkname.removeprefix("./") in found:
            found[name] = found[info.linkname.removeprefix("./")]
    yield from found.items()


def _inflated(data: bytes, size: int) -> bytes:
    """Deflated bytes unpacked, not far beyond the size they should have; nothing where they are damaged."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
    except zlib.error:
        return b""

"""Does a file end as its format ends? What a broken copy shows without being read.

In: a path; out: yes or no. Called by ``copy_check`` and ``picture_check``. Only the tail is read, of a MATLAB file also
the lengths of its variables. A file of another format than its name says is not whole either.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

TAIL = 4096
"""Bytes at the end of a picture among which its end is looked for: some programs add a little behind it."""
TAR_BLOCK, TAR_END = 512, 1024
"""Bytes of a tar's blocks, and of the zeros that close it (POSIX pax, "Archive file format")."""
_MAT_HEADER, _MAT_COMPRESSED = 128, 15


def is_whole(path: Path) -> bool:
    """Whether a file has the end of its format; of a format that is not known here, whether it has a byte.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        if not stream.seek(0, os.SEEK_END):
            return False
        ends = _ENDS.get(path.suffix.lower())
        return ends is None or ends(stream)


def _tail(stream: IO[bytes], count: int = TAIL) -> bytes:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - count))
    return stream.read()


def _json_ends(stream: IO[bytes]) -> bool:
    """Whether the bracket that opens the text closes it."""
    stream.seek(0)
    opening = stream.read(TAIL).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return _tail(stream).rstrip()[-1:] == {b"{": b"}", b"[": b"]"}.get(opening, b"?")


def _mat_ends(stream: IO[bytes]) -> bool:
    """Whether the variables of a MATLAB 5 file fill it. MATLAB 7.3 is HDF5, whose library sees a missing end."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(_MAT_HEADER)
    if not head.startswith(b"MATLAB 5.0"):
        return len(head) == _MAT_HEADER
    order, at = ">" if head[126:] == b"MI" else "<", _MAT_HEADER
    while at < size:
        stream.seek(at)
        tag = stream.read(8)
        if len(tag) < 8:
            return False
        kind, length = struct.unpack(f"{order}II", tag)
        at += 8 + length + (0 if kind == _MAT_COMPRESSED else -length % 8)
    return at == size


_ENDS: dict[str, Callable[[IO[bytes]], bool]] = {
    ".png": lambda stream: b"IEND\xaeB`\x82" in _tail(stream),
    ".jpg": lambda stream: b"\xff\xd9" in _tail(stream),
    ".jpeg": lambda stream: b"\xff\xd9" in _tail(stream),
    ".json": _json_ends,
    ".pkl": lambda stream: _tail(stream, 1) == b".",
    ".npz": zipfile.is_zipfile,
    ".zip": zipfile.is_zipfile,
    ".tar": lambda stream: not stream.tell() % TAR_BLOCK and not any(_tail(stream, TAR_END)),
    ".mat": _mat_ends,
}
"""Suffix → whether a stream, at its end, ends so. Pickles end with STOP, a zip and an npz with their directory."""

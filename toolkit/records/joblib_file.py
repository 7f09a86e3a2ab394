"""Files of ``joblib.dump``, read without joblib and without running anything in them.

In: a path (untrusted), plain or compressed by zlib, gzip, bz2, lzma or xz; out: ``Fields`` of plain values. joblib
writes a pickle in which a ``NumpyArrayWrapper`` (shape, order, dtype) stands for each array, and the array's bytes
directly **behind** the wrapper, in the middle of the pickle; since version 1.2 a byte with a length and so much padding
lie between. The restricted pickle machine of ``body.unpickler`` records the wrappers and takes the bytes as numbers. An
array of objects is a whole pickle at that place, and read as restrictedly. Importers of results (VIBE, PyMAF, WHAM)
call this.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from hmrtk.toolkit.body.unpickler import Recorded, RecordingUnpickler, plain_value
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.fields import Fields

BLOCK = 1 << 20
"""Bytes that are decompressed or skipped at once."""

_WRAPPER = re.compile(r"(sklearn\.externals\.)?joblib\.numpy_pickle\.NumpyArrayWrapper")
_OLD_WRAPPER = re.compile(r"(sklearn\.externals\.)?joblib\.numpy_pickle(_compat)?\.Z?NDArrayWrapper")
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x78": lambda stream: io.BufferedReader(_ZlibStream(stream), BLOCK),
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZ": bz2.BZ2File,
    b"\x5d\x00": lzma.LZMAFile,
    b"\xfd\x37\x7a\x58\x5a": lzma.LZMAFile,
}
"""First bytes of a compressed file → how it is read."""
_LZ4 = b"\x04\x22\x4d\x18"
_AGAIN = "write it again: joblib.dump(joblib.load(FILE), NEW), on the machine that made it"

Unread = Callable[[tuple[int, ...]], bool]


def nothing_unread(shape: tuple[int, ...]) -> bool:
    """Read every array."""
    return False


def joblib_fields(path: Path, expected: str, unread: Unread = nothing_unread) -> Fields:
    """The dictionary of a joblib file (a plain pickle is one, too).

    Args:
        path: the file.
        expected: what it should be, for error messages, e.g. ``results of VIBE``.
        unread: of a shape (n, …), whether such an array is skipped: it then has the shape (0, …).

    Raises:
        InputError: a missing, truncated or damaged file, one that names a class which is not of numbers, a format that
            cannot be read here (lz4, joblib before 0.10), or no dictionary.
    """
    try:
        with path.open("rb") as raw:
            content = _content(raw, path, expected, unread)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror or error}") from None
    if not isinstance(content, dict):
        raise InputError(path, f"holds a {type(content).__name__}, expected a dictionary", f"expected {expected}")
    keys = {str(plain_value(key, "a key", str(path))): value for key, value in content.items()}
    return Fields(keys, str(path), plain_value)


def _content(raw: IO[bytes], path: Path, expected: str, unread: Unread) -> Any:
    start = raw.read(6)
    raw.seek(0)
    if start.startswith(_LZ4):
        raise InputError(path, "is compressed by lz4, which hmrtk does not read", f"{_AGAIN}, without compress")
    opener = next((opens for prefix, opens in _OPENERS.items() if start.startswith(prefix)), None)
    stream = _Exact(raw if opener is None else opener(raw))
    try:
        return _JoblibUnpickler(stream, str(path), expected, unread).load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle or archive can raise nearly anything
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(path, f"is not a readable joblib file: {first}") from None


class _Exact:
    """A stream without ``peek``: the pickle machine then takes no byte that it does not need.

    So the stream stands at an array's first byte when the machine meets the array's wrapper.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.readline = stream.readline

    def read(self, size: int) -> bytes:
        return self._stream.read(size)

    def exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise EOFError("it ends too early")
        return data

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.exactly(min(size, BLOCK)))


class _ZlibStream(io.RawIOBase):
    """The content of a zlib stream; the standard library has such a reader for gzip only."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._inflate, self._rest = stream, zlib.decompressobj(), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        while not self._inflate.eof:
            compressed = self._rest or self._stream.read(BLOCK)
            data = self._inflate.decompress(compressed, len(view))
            self._rest = self._inflate.unconsumed_tail
            if data:
                view[: len(data)] = data
                return len(data)
            if not compressed:
                raise EOFError("it ends too early")
        return 0


class _JoblibUnpickler(RecordingUnpickler):
    """The restricted machine that also knows where arrays lie."""

    def __init__(self, stream: _Exact, place: str, expected: str, unread: Unread) -> None:
        super().__init__(stream, place, expected)
        self._old = InputError(place, "is of joblib before 0.10, with arrays in files of their own", _AGAIN)
        self._wrapper = _wrapper_class(stream, lambda: _JoblibUnpickler(stream, place, expected, unread), unread)

    def find_class(self, module: str, name: str) -> Any:
        origin = f"{module}.{name}"
        if _OLD_WRAPPER.fullmatch(origin):
            raise self._old
        return self._wrapper if _WRAPPER.fullmatch(origin) else super().find_class(module, name)


def _wrapper_class(stream: _Exact, nested: Callable[[], RecordingUnpickler], unread: Unread) -> type[Recorded]:
    """A recorded class that, once it has its state, takes the array's bytes from the stream.

    Its instances look like a recorded ``numpy.core.multiarray._reconstruct``, so ``plain_value`` makes arrays of them.
    """

    class EmbeddedArray(Recorded):
        origin = "numpy.core.multiarray._reconstruct"

        def __setstate__(self, state: Any) -> None:
            dtype = state["dtype"]
            if str(dtype.args[0]).lstrip("|=").startswith("O"):
                self.state = nested().load().state
                return
            if state.get("numpy_array_alignment_bytes") is not None:
                stream.skip(stream.exactly(1)[0])
            shape = tuple(int(n) for n in state["shape"])
            size = _bytes_of(shape, dtype)
            if unread(shape):
                stream.skip(size)
                shape, data = (0, *shape[1:]), b""
            else:
                data = stream.exactly(size)
            self.state = (1, shape, dtype, state["order"] == "F", data)

    return EmbeddedArray


def _bytes_of(shape: tuple[int, ...], dtype: Recorded) -> int:
    """How many bytes an array takes."""
    kind = re.fullmatch(r"[<>|=]?([a-zA-Z])([0-9]{1,5})", str(dtype.args[0]))
    if kind is None or min(shape, default=0) < 0:
        raise ValueError(f"an array of {str(dtype.args[0])[:40]!r} and shape {shape}")
    count = 1
    for n in shape:
        count *= n
    return count * int(kind[2]) * (4 if kind[1] == "U" else 1)

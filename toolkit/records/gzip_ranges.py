"""``GzipRanges``: bytes from the middle of what a gzip file holds, without unpacking it.

In: a gzip file, local or in an object store. Out: byte ranges of its content. Used by ``archives``.

Deflate can only be read from the front. While the content passes for the first time, copies of the decompressor's state
are kept, ``STATES`` at most and 45 KB each; a read starts from the nearest one before it.
"""

from __future__ import annotations

import bisect
import zlib
from typing import Any

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.remote import Place, byte_size

GZIP_MAGIC = b"\x1f\x8b"
STATES = 1000
CLOSEST = 1 << 20
"""Bytes of the file between two states, at least."""
_BLOCK = 1 << 16
_GZIP_BITS = 16 + zlib.MAX_WBITS


class GzipRanges:
    """The content of a gzip file by byte ranges; first read it through ``first_pass``.

    Args:
        place: the file.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._step = max(CLOSEST, byte_size(place) // STATES)
        self._starts: list[int] = []  # of the content, per state
        self._states: list[tuple[int, Any]] = []  # byte of the file, decompressor

    def first_pass(self, stream: Any) -> _Content:
        """The content from the front, for a reader that goes to its end; states are kept on the way.

        Args:
            stream: the open file, at its beginning.
        """
        return _Content(stream, 0, zlib.decompressobj(_GZIP_BITS), self._keep)

    def read(self, start: int, length: int) -> bytes:
        """Bytes of the content; fewer where it ends.

        Raises:
            InputError: the file has been damaged since.
        """
        nearest = bisect.bisect_right(self._starts, start) - 1
        at, state = self._states[nearest]
        with open_input(self.place) as stream:
            stream.seek(at)
            content = _Content(stream, at, state.copy())
            try:
                content.skip(start - self._starts[nearest])
                return content.read(length)
            except (zlib.error, EOFError) as error:
                raise InputError(self.place, f"is no longer readable: {error}", "was it written anew?") from None

    def _keep(self, content: int, file: int, state: Any) -> None:
        if not self._states or file - self._states[-1][0] >= self._step:
            self._starts.append(content)
            self._states.append((file, state.copy()))


class _Content:
    """Reads the content forward; tells ``keep`` the state before each block of the file."""

    def __init__(self, stream: Any, file: int, state: Any, keep: Any = None) -> None:
        self._stream, self._file, self._state, self._keep = stream, file, state, keep
        self._buffer, self._passed, self._ended = bytearray(), 0, False

    def read(self, length: int) -> bytes:
        """So many bytes; fewer at the end.

        Raises:
            EOFError, zlib.error: the file is cut short or damaged.
        """
        while len(self._buffer) < length and not self._ended:
            self._fill()
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data

    def skip(self, length: int) -> None:
        """Pass over bytes."""
        while length:
            passed = len(self.read(min(length, _BLOCK)))
            length = length - passed if passed else 0

    def _fill(self) -> None:
        if self._keep is not None:
            self._keep(self._passed, self._file, self._state)
        block = self._stream.read(_BLOCK)
        if not block:
            raise EOFError("it ends in the middle of its content")
        self._file += len(block)
        data = self._state.decompress(block)
        while self._state.eof:  # another part may follow, as bgzip and cat make them
            block = self._state.unused_data or self._stream.read(_BLOCK)
            self._file += 0 if self._state.unused_data else len(block)
            if block[:2] != GZIP_MAGIC:
                self._ended = True
                break
            self._state = zlib.decompressobj(_GZIP_BITS)
            data += self._state.decompress(block)
        self._buffer += data
        self._passed += len(data)

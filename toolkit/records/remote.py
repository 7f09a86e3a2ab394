"""``RemotePath``: a file or folder in an object store (``s3://``, ``gs://``, any fsspec URL), used like a ``Path``.

``located`` turns what a user wrote into a ``Path`` or a ``RemotePath``; artefacts are read and written through both.
It has only those methods of ``pathlib.Path`` that hmrtk uses. An object store has no folders: one exists when something
lies below it. A failure of the store becomes an ``InputError`` in one line.
"""

from __future__ import annotations

import contextlib
import glob
import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from hmrtk.toolkit.errors import HmrtkError, InputError

EXTRAS = {"s3": "s3", "s3a": "s3"}
"""Protocol → the extra of hmrtk that brings its package; others need the package that fsspec names."""


class RemotePath:
    """A place named by an fsspec URL.

    Args:
        url: ``protocol://…``; empty parts and a trailing slash are dropped.

    Raises:
        InputError: a part of it is ``..``.
    """

    def __init__(self, url: str) -> None:
        protocol, _, rest = url.partition("://")
        parts = tuple(part for part in rest.split("/") if part)
        if ".." in parts:
            raise InputError(url, "a URL cannot have the part ..")
        self.protocol, self._pure = protocol.lower(), PurePosixPath(*parts)

    def __str__(self) -> str:
        return f"{self.protocol}://{'' if self._pure == PurePosixPath() else self._pure}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: RemotePath) -> bool:
        return str(self) < str(other)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self}/{name}")

    @property
    def name(self) -> str:
        return self._pure.name

    @property
    def stem(self) -> str:
        return self._pure.stem

    @property
    def suffix(self) -> str:
        return self._pure.suffix

    @property
    def parent(self) -> RemotePath:
        return RemotePath(f"{self.protocol}://{self._pure.parent if len(self._pure.parts) > 1 else ''}")

    def with_suffix(self, suffix: str) -> RemotePath:
        return RemotePath(f"{self.protocol}://{self._pure.with_suffix(suffix)}")

    @property
    def store(self) -> Any:
        """The fsspec file system.

        Raises:
            InputError: the protocol is unknown, or its package is not installed.
        """
        fsspec = importlib.import_module("fsspec")
        try:
            return fsspec.filesystem(self.protocol, use_listings_cache=False)  # other processes write there, too
        except ImportError as error:
            extra = EXTRAS.get(self.protocol)
            remedy = f'pip install "hmrtk[{extra}]"' if extra else str(error).splitlines()[0]
            raise InputError(self, f"{self.protocol}:// needs a package that is not installed", remedy) from None
        except ValueError:
            raise InputError(
                self, f"unknown protocol {self.protocol}://", "s3://, gs:// and others of fsspec"
            ) from None

    def exists(self) -> bool:
        return bool(self._ask(lambda store: store.exists(str(self))))

    def is_file(self) -> bool:
        return bool(self._ask(lambda store: store.isfile(str(self))))

    def is_dir(self) -> bool:
        return bool(self._ask(lambda store: store.isdir(str(self))))

    def size(self) -> int:
        """Bytes of the file."""
        return int(self._ask(lambda store: store.size(str(self))))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """The files whose path below here fits ``pattern``, in order; none where nothing is."""
        wanted = f"{glob.escape(str(self))}/{pattern}"
        found = self._ask(lambda store: [store.unstrip_protocol(name) for name in store.glob(wanted)])
        yield from sorted(map(RemotePath, found))

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file."""
        with contextlib.nullcontext() if not missing_ok else contextlib.suppress(FileNotFoundError):
            self._ask(lambda store: store.rm_file(str(self)))

    def open(self, buffered: bool = True) -> Any:
        """Open for reading bytes.

        Args:
            buffered: read ahead; otherwise every read is one request for just those bytes (Parquet plans its own).

        Raises:
            FileNotFoundError, IsADirectoryError: as for a ``Path``.
        """
        options = {} if buffered else {"cache_type": "none"}
        stream = self._ask(lambda store: store.open(str(self), "rb", **options))
        if not stream.size and self.is_dir():  # S3 opens a folder as an empty file
            raise IsADirectoryError(str(self))
        return stream

    def read_range(self, start: int, length: int) -> bytes:
        """Bytes from the middle of the file, with one request; fewer where it ends.

        Raises:
            FileNotFoundError: it is not there.
        """
        return bytes(self._ask(lambda store: store.cat_file(str(self), start=start, end=start + length)))

    def read_ranges(self, places: Sequence[RemotePath], starts: Sequence[int], ends: Sequence[int]) -> list[bytes]:
        """Ranges of files of this store, requested side by side.

        Raises:
            FileNotFoundError: one is not there.
        """
        names = [str(place) for place in places]
        return list(self._ask(lambda store: store.cat_ranges(names, list(starts), list(ends), on_error="raise")))

    def upload(self, file: Path) -> None:
        """Put a finished local file here; it appears all at once or not at all."""
        self._ask(lambda store: store.put_file(str(file), str(self)))

    def create(self, data: bytes) -> None:
        """Make a small file that must not be there yet.

        Raises:
            FileExistsError: it is.
        """
        self._ask(lambda store: store.pipe_file(str(self), data, mode="create"))

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        """What the store answers; missing and existing files are the caller's to judge, all else is an error."""
        store = self.store
        try:
            return question(store)
        except (FileNotFoundError, FileExistsError, IsADirectoryError, HmrtkError):
            raise
        except Exception as error:  # every store has errors of its own, not all of them OSErrors
            reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
            raise InputError(self, f"the object store refuses: {reason}", "check its address and credentials") from None


Place = Path | RemotePath
"""Where an artefact lies."""


def located(path: str | Place) -> Place:
    """A URL as ``RemotePath``, all else as ``Path``; ``file://`` is local.

    Raises:
        InputError: a URL with the part ``..``.
    """
    if isinstance(path, Path | RemotePath):
        return path
    if path.startswith("file://"):
        return Path(path.removeprefix("file://"))
    return RemotePath(path) if "://" in path else Path(path)


def byte_size(place: Place) -> int:
    """Length of a file, bytes."""
    return place.size() if isinstance(place, RemotePath) else place.stat().st_size


def files_in(folder: Place, pattern: str) -> list[Place]:
    """What lies in a folder and fits the pattern, in order of the names; nothing where there is no folder."""
    found: list[Place] = []
    found += list(folder.glob(pattern)) if isinstance(folder, RemotePath) else sorted(folder.glob(pattern))
    return found


def below(place: Place, folder: Place) -> str:
    """The path of something that lies below a folder, relative to it, with forward slashes."""
    root, path = (str(p) if isinstance(p, RemotePath) else p.as_posix() for p in (folder, place))
    return path.removeprefix(root.rstrip("/") + "/")

"""Archives of datasets, zip and tar, unpacked so that nothing leaves the folder and an interrupted run goes on.

In: an archive and the folder its members belong in; out: how many files are in each folder. Called by
``dataset_download``. Each file is written under another name and renamed, so one that is there is whole: it is left as
it is when its size (and, in a zip, its checksum) is the archive's. An archive is a stranger's file: names that lead
out of the folder, links and devices are refused.
"""

from __future__ import annotations

import functools
import gzip
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.http_transfer import MegabyteBar
from hmrtk.toolkit.records.receipt import OWN, part_path, receipt_path
from hmrtk.toolkit.wording import sized

SKIPPED = "__MACOSX"
"""Top folder that macOS adds to zips: no part of the data."""
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, RuntimeError)
_ANEW = "remove it and download it again"
_SPACE = "what was unpacked is kept: free some space and run again to go on"
_STRANGE = "an archive of this dataset has no such member: do not trust it"


@dataclass(frozen=True)
class Member:
    """A file in an archive. ``crc`` is None in a tar; ``at`` is how many of the archive's bytes lie before its end."""

    name: str
    size: int
    crc: int | None
    opened: Callable[[], IO[bytes]]
    at: int


def unpack(archive: Path, folder: Path, strip: str = "", progress: Progress = silent) -> dict[str, int]:
    """Unpack every file of an archive.

    Args:
        archive: a zip, a tar, or a tar in gzip; told apart by their bytes.
        folder: where the members go.
        strip: a folder at the head of their names that is left out.
        progress: stage ``unpack <archive>``, in megabytes of the archive.

    Returns:
        Folder below ``folder`` (``.`` for that itself) → files in it.

    Raises:
        InputError: no archive, a damaged one, or a member that leaves the folder or is no plain file.
        OutputError: the disk is full or a place cannot be written; what was unpacked stays.
    """
    counts: Counter[str] = Counter()
    bar, at = MegabyteBar(progress, f"unpack {archive.name}", archive.stat().st_size), 0
    inside = _Inside(archive, folder)
    try:
        for member in _members(archive, folder, strip):
            place = _place(archive, member.name, strip)
            if place.parts[0] != SKIPPED:
                _write(member, inside.target(place), archive)
                counts[place.parent.as_posix()] += 1
            bar.add(member.at - at)
            at = member.at
    except _DAMAGE as error:
        raise InputError(archive, f"is damaged: {error or type(error).__name__}", _ANEW) from None
    bar.end()
    return dict(counts)


def counted_below(folder: Path, names: Any) -> dict[str, int]:
    """Files in each of some folders below ``folder``; 0 where there is no such folder. Downloads do not count."""
    return {name: _files_in(folder / name) for name in names}


def _files_in(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    with os.scandir(folder) as entries:
        names = {entry.name for entry in entries if entry.is_file()}
    return sum(not name.endswith(OWN) and receipt_path(Path(name)).name not in names for name in names)


# -- members ----------------------------------------------------------------------------------------------------------


def _members(archive: Path, folder: Path, strip: str) -> Iterator[Member]:
    with archive.open("rb") as stream:
        head = stream.read(2)
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive, folder, strip)
    elif head == b"PK":
        raise InputError(archive, "is a damaged or truncated zip file", _ANEW)
    else:
        yield from _tar_members(archive, packed=head == b"\x1f\x8b")


def _zip_members(archive: Path, folder: Path, strip: str) -> Iterator[Member]:
    at = 0
    with zipfile.ZipFile(archive) as file:
        files = [info for info in file.infolist() if not info.is_dir()]
        places = [_place(archive, info.filename, strip) for info in files]
        for info in files:
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                raise InputError(f"{archive} {info.filename}", "is a link or a device, expected a plain file", _STRANGE)
        _require_space(folder, zip(places, (info.file_size for info in files), strict=True))
        for info in files:
            at += info.compress_size
            yield Member(info.filename, info.file_size, info.CRC, functools.partial(file.open, info), at)


def _tar_members(archive: Path, packed: bool) -> Iterator[Member]:
    with archive.open("rb") as raw:
        stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        with tarfile.open(fileobj=stream, mode="r|") as file:
            for info in file:
                if info.isdir():
                    continue
                if not info.isreg():
                    raise InputError(f"{archive} {info.name}", "is a link or a device, expected a plain file", _STRANGE)
                yield Member(info.name, info.size, None, functools.partial(_extracted, file, info), raw.tell())
        while stream.read(1 << 20):  # to the end, where gzip's checksum is
            pass


def _extracted(file: tarfile.TarFile, info: tarfile.TarInfo) -> Any:
    return file.extractfile(info)


def _require_space(folder: Path, wanted: Iterator[tuple[PurePosixPath, int]]) -> None:
    """Refuse before the first file is written what would not fit."""
    needed = sum(size for place, size in wanted if _size(folder / place) != size)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(f"{folder}: unpacking needs {sized(needed)}, {sized(free)} are free (free some space)")


# -- places -----------------------------------------------------------------------------------------------------------


def _place(archive: Path, name: str, strip: str) -> PurePosixPath:
    """Where a member belongs below the folder.

    Raises:
        InputError: it would leave the folder.
    """
    place = PurePosixPath(name.replace("\\", "/"))
    drive = bool(place.parts) and place.parts[0].endswith(":")
    if not place.parts or place.is_absolute() or ".." in place.parts or drive or "\0" in name:
        raise InputError(f"{archive} {name!r}", "leads out of the folder", _STRANGE)
    head = PurePosixPath(strip)
    return place.relative_to(head) if strip and head in place.parents else place


class _Inside:
    """Makes folders for members, and sees that none of them leads out through a link that was there before."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive, self._folder, self._root, self._made = archive, folder, folder.resolve(), set[Path]()

    def target(self, place: PurePosixPath) -> Path:
        target = self._folder / place
        if target.parent not in self._made:
            self._make(target.parent)
            self._made.add(target.parent)
        return target

    def _make(self, parent: Path) -> None:
        resolved = parent.resolve()
        if resolved != self._root and self._root not in resolved.parents:
            raise InputError(parent, "is a link that leads out of the folder", "remove it, or pass another --out")
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{parent}: cannot be written: {error.strerror}") from None


# -- files ------------------------------------------------------------------------------------------------------------


def _write(member: Member, target: Path, archive: Path) -> None:
    """Write a member unless it is there."""
    if _size(target) == member.size and (member.crc is None or _crc(target) == member.crc):
        return
    part = part_path(target)
    try:
        source = member.opened()
        with source, open(part, "wb") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
        if part.stat().st_size != member.size:
            raise InputError(f"{archive} {member.name}", "is shorter than the archive says", _ANEW)
        os.replace(part, target)
    except OSError as error:
        if isinstance(error, _DAMAGE):
            raise
        raise OutputError(f"{target}: cannot be written: {error.strerror or error} ({_SPACE})") from None


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def _size(path: Path) -> int:
    """Bytes of a plain file; -1 where there is none."""
    return path.stat().st_size if path.is_file() and not path.is_symlink() else -1

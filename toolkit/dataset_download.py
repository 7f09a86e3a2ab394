"""Data sets that may be had without registration, from the network to the layout that readers expect.

In: a data set's name, a folder, and which parts of it; out: the files, unpacked, and a report. Called by ``datasets
download``. Run again it goes on: with a file where it stopped, with an archive where unpacking stopped, and what is
there and right is left alone. ``records.download`` gets one file, ``records.unpacking`` one archive.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hmrtk.toolkit.errors import OutputError, UnknownNameError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.download import Fetched, fetch
from hmrtk.toolkit.records.folder_lock import held
from hmrtk.toolkit.records.http_transfer import Patience
from hmrtk.toolkit.records.manifest import Download, Manifest
from hmrtk.toolkit.records.receipt import Receipt, part_path, read_receipt
from hmrtk.toolkit.records.unpacking import counted_below, unpack
from hmrtk.toolkit.wording import counted, sized

LOCK, DOING = ".download.lock", "downloading into it"


@dataclass(frozen=True)
class Obtained:
    """What became of one file.

    Attributes:
        file: below the data set's folder.
        part: of the manifest.
        state: ``downloaded``, ``there`` (and right), ``replaced`` (what was there was not), or ``unpacked before``,
            when the archive itself is no longer there.
        bytes, sha256: of the file.
        published: whether the manifest knows a hash, so that it is the one that its owners or many users have.
        files: unpacked from it; None where it is no archive or was not to be unpacked.
    """

    file: str
    part: str
    state: str
    bytes: int | None
    sha256: str
    published: bool
    files: int | None

    def line(self) -> str:
        """The same for a person."""
        known = "as in the manifest" if self.published else "recorded; nobody published one to compare it with"
        size = f", {sized(self.bytes)}" if self.bytes else ""
        held = "" if self.files is None else f", {counted(self.files, 'file')} unpacked"
        return f"{self.file}: {self.state}{size}{held}, sha256 {self.sha256[:16]}… ({known})"


def chosen(manifest: Manifest, parts: Sequence[str]) -> tuple[Download, ...]:
    """The downloads of some parts; of all but the optional ones when none is named.

    Raises:
        UnknownNameError: no such part.
    """
    for part in parts:
        if part not in manifest.parts:
            raise UnknownNameError(f"part of {manifest.name}", part, manifest.parts)
    return tuple(d for d in manifest.downloads if d.part in parts or not (parts or d.optional))


def download_dataset(
    downloads: Sequence[Download],
    folder: Path,
    *,
    unpacked: bool = True,
    keep: bool = True,
    progress: Progress = silent,
    patience: Patience | None = None,
) -> list[Obtained]:
    """Get files and unpack the archives among them.

    Args:
        downloads: of one manifest.
        folder: of the data set; it is made.
        unpacked: unpack archives; readers of pictures find them in a zip as well.
        keep: keep archives that are unpacked; False removes each as soon as its last file is there.
        progress: stages ``download``, ``check`` and ``unpack`` of each file.
        patience: with servers.

    Raises:
        InputError: a server does not have a file, or it arrived damaged or as another one.
        OutputError: not enough space, or the folder cannot be written or is another process's.
    """
    with held(folder, DOING, LOCK):
        _require_space(downloads, folder, unpacked)
        return [_obtained(each, folder, unpacked, keep, progress, patience) for each in downloads]


def _obtained(
    download: Download, folder: Path, unpacked: bool, keep: bool, progress: Progress, patience: Patience | None
) -> Obtained:
    file, archive = folder / download.file, bool(download.unpack)
    known = read_receipt(file)
    if archive and known is not None and not file.exists() and is_unpacked(known, folder):
        fetched = Fetched(file, known, "unpacked before")
    else:
        fetched = fetch(download, folder, progress, patience)
    receipt = fetched.receipt
    if archive and unpacked and not is_unpacked(receipt, folder):
        receipt = _unpack(download, file, folder, receipt, progress)
    if archive and receipt.folders and not keep:
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
    return Obtained(
        download.file,
        download.part,
        fetched.state,
        receipt.bytes,
        receipt.sha256,
        bool(download.sha256 or download.md5),
        sum(receipt.folders.values()) if archive and receipt.folders else None,
    )


def is_unpacked(receipt: Receipt, folder: Path) -> bool:
    """Whether an archive was unpacked to its end and no file of it is gone: by the number of files in each folder."""
    there = counted_below(folder, receipt.folders)
    return bool(receipt.folders) and all(there[name] >= count for name, count in receipt.folders.items())


def _unpack(download: Download, file: Path, folder: Path, receipt: Receipt, progress: Progress) -> Receipt:
    target = folder / download.unpack
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from None
    folders = unpack(file, target, download.strip, progress)
    named = {(target / name).relative_to(folder).as_posix(): count for name, count in folders.items()}
    receipt = replace(receipt, folders=named)
    receipt.save(file)
    return receipt


def _require_space(downloads: Sequence[Download], folder: Path, unpacked: bool) -> None:
    """Refuse before the first byte what would not fit."""
    needed = sum(_needed(download, folder, unpacked) for download in downloads)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder}: about {sized(needed)} are needed, {sized(free)} are free (free some space, pass another --out, "
            f"or fewer parts)"
        )


def _needed(download: Download, folder: Path, unpacked: bool) -> int:
    file, receipt = folder / download.file, read_receipt(folder / download.file)
    if receipt is not None and is_unpacked(receipt, folder):
        return 0
    size = download.bytes or (receipt.bytes if receipt else None) or 0
    part = part_path(file)
    here = file.stat().st_size if file.exists() else part.stat().st_size if part.exists() else 0
    return max(0, size - here) + (download.unpacked or size if download.unpack and unpacked else 0)


def summary(manifest: Manifest, folder: Path, obtained: Sequence[Obtained]) -> dict[str, Any]:
    """Plain JSON values: what was obtained, or how to where nothing can be."""
    about = {
        "dataset": manifest.name, "title": manifest.title, "homepage": manifest.homepage, "licence": manifest.licence,
    }  # fmt: skip
    if not manifest.downloads:
        return {**about, "downloads": [], "obtain": list(manifest.obtain)}
    return {**about, "out": str(folder), "downloads": [asdict(each) for each in obtained]}


def lines(manifest: Manifest, folder: Path, obtained: Sequence[Obtained]) -> list[str]:
    """The same for a person."""
    if manifest.packaged:
        return [f"{manifest.title} ships with hmrtk: there is nothing to download."]
    if not manifest.downloads:
        return [
            f"{manifest.title}: hmrtk cannot download this; its owners hand it out themselves, or it is yours.",
            f"Homepage: {manifest.homepage}",
            f"Licence: {manifest.licence}",
            *manifest.obtain_lines(),
        ]
    return [*(each.line() for each in obtained), f"next: hmrtk datasets verify {manifest.name} --root {folder}"]

"""One file of a dataset from the network: gone on with where it stopped, checked, and only then under its name.

In: a ``Download`` of a manifest and its dataset's folder; out: the file and its ``Receipt``. Called by
``dataset_download``. ``http_transfer`` brings the bytes.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.http_transfer import MegabyteBar, Patience, receive
from hmrtk.toolkit.records.manifest import Download
from hmrtk.toolkit.records.receipt import Receipt, bad_path, part_path, read_receipt, receipt_path


@dataclass(frozen=True)
class Fetched:
    """A file that is there. ``state``: ``there`` (nothing was done), ``downloaded``, or ``replaced`` (it was bad)."""

    file: Path
    receipt: Receipt
    state: str


def fetch(download: Download, folder: Path, progress: Progress = silent, patience: Patience | None = None) -> Fetched:
    """See to it that a file is there and right.

    A file that is there is compared with the manifest's hash, or with the one that was recorded when it arrived; one
    that differs is set aside as ``<file>.bad`` and comes anew.

    Args:
        download: what to get.
        folder: the dataset's; the file's place below it is ``download.file``.
        progress: stages ``download <file>`` and ``check <file>``, in megabytes.
        patience: with the server; the default where None.

    Raises:
        InputError: the server does not have it, has another size, or stays away; what arrived has another hash.
        OutputError: the disk is full or the place cannot be written; what has arrived stays.
    """
    file, state = folder / download.file, "downloaded"
    if file.exists():
        receipt = _compared(download, file, progress)
        if receipt is not None:
            return Fetched(file, receipt, "there")
        _replace(file, bad_path(file))
        state = "replaced"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{file.parent}: cannot be written: {error.strerror}") from None
    receive(download, file, progress, patience or Patience())
    return Fetched(file, _settled(download, file, progress), state)


def _compared(download: Download, file: Path, progress: Progress) -> Receipt | None:
    """The receipt of a file that is what it should be; None of one that is not."""
    known = read_receipt(file) or Receipt(download.url)
    size = file.stat().st_size
    if size != (download.bytes or known.bytes or size):
        return None
    found = digests(file, progress)
    if hash_difference(download, known, found):
        return None
    receipt = replace(known, url=download.url, bytes=size, sha256=found["sha256"])
    if receipt != known:
        receipt.save(file)
    return receipt


def digests(file: Path, progress: Progress = silent, stage: str = "") -> dict[str, str]:
    """``sha256`` and ``md5`` of a file, hex, in one reading."""
    kinds = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    bar = MegabyteBar(progress, stage or f"check {file.name}", file.stat().st_size)
    with open_input(file) as stream:
        while block := stream.read(1 << 20):
            for digest in kinds.values():
                digest.update(block)
            bar.add(len(block))
    bar.end()
    return {name: digest.hexdigest() for name, digest in kinds.items()}


def hash_difference(download: Download, receipt: Receipt | None, found: dict[str, str]) -> str:
    """What is wrong with a file's hashes: by the manifest, else by its receipt; empty when nothing is."""
    for kind, expected in (("sha256", download.sha256), ("md5", download.md5)):
        if expected and found[kind] != expected:
            return f"{kind} is {found[kind]}, the manifest says {expected}"
    published = download.sha256 or download.md5
    if receipt is not None and receipt.sha256 and not published and found["sha256"] != receipt.sha256:
        return f"sha256 is {found['sha256']}, it was {receipt.sha256} when it was downloaded"
    return ""


def _settled(download: Download, file: Path, progress: Progress) -> Receipt:
    """Check what has arrived and give it its name."""
    part, known = part_path(file), read_receipt(file) or Receipt(download.url)
    found, size = digests(part, progress, f"check {file.name}"), part.stat().st_size
    wrong = hash_difference(download, None, found)
    if download.bytes and size != download.bytes:
        wrong = f"has {size} bytes, the manifest says {download.bytes}"
    if wrong:
        _replace(part, bad_path(file))
        receipt_path(file).unlink(missing_ok=True)
        raise InputError(file, wrong, f"what arrived is kept as {bad_path(file).name}; run again to download it anew")
    receipt = replace(known, bytes=size, sha256=found["sha256"], folders={})
    receipt.save(file)
    _replace(part, file)
    return receipt


def _replace(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from None

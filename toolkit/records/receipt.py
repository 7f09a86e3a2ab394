"""What is known of a downloaded file: ``<file>.download``, a JSON beside it, written before its first byte arrives.

In and out: a ``Receipt``. ``download`` goes on with a file and compares it by its receipt, ``unpacking`` leaves there
what it unpacked, and ``copy_check`` reads it. While the file arrives its bytes are in ``<file>.part``; a file that is
not what it should be is set aside as ``<file>.bad``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import read_json, write_json

OWN = (".download", ".part", ".bad", ".lock")
"""Endings of the files that downloading leaves beside those of a dataset."""


@dataclass(frozen=True)
class Receipt:
    """One download.

    Attributes:
        url: where it came from.
        bytes: its size; None where the server does not say, until it is whole.
        etag, last_modified: the server's name for this version of it; empty where it has none.
        sha256: of the whole file, hex; empty until it is whole.
        folders: folder below the dataset's → files unpacked into it; empty until all are.
    """

    url: str
    bytes: int | None = None
    etag: str = ""
    last_modified: str = ""
    sha256: str = ""
    folders: Mapping[str, int] = field(default_factory=dict)

    @property
    def validator(self) -> str:
        """What goes into ``If-Range`` (RFC 9110, 13.1.5): a strong ETag, else the date, else nothing."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def save(self, file: Path) -> None:
        """Write it beside ``file``."""
        write_json(receipt_path(file), asdict(self))


def read_receipt(file: Path) -> Receipt | None:
    """The receipt beside ``file``; None where there is none, or none that can be understood."""
    try:
        value = read_json(receipt_path(file))
        receipt = Receipt(**value)
        whole = receipt.bytes is None or isinstance(receipt.bytes, int)
        texts = (receipt.url, receipt.etag, receipt.last_modified, receipt.sha256)
        known = all(isinstance(text, str) for text in texts) and isinstance(receipt.folders, dict)
        return receipt if whole and known else None
    except (InputError, TypeError):
        return None


def receipt_path(file: Path) -> Path:
    """Where the receipt of ``file`` is."""
    return file.with_name(file.name + ".download")


def part_path(file: Path) -> Path:
    """Where ``file`` is while it arrives."""
    return file.with_name(file.name + ".part")


def bad_path(file: Path) -> Path:
    """Where a ``file`` goes that is not what it should be."""
    return file.with_name(file.name + ".bad")

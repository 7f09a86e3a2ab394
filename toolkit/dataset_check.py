"""Is a copy of a data set whole? Called by ``datasets verify``.

In: a data set's name and the folder of its raw files. Out: a report whose problems name the first differences from its
manifest: places that are missing, files that the reader refuses (truncated, renamed inside, of another version), splits
with another number of rows than is known. Files are read as ``ingest`` reads them; nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.manifest import Manifest, load_manifest
from hmrtk.toolkit.sources.registry import is_readable, open_source
from hmrtk.toolkit.wording import counted


@dataclass(frozen=True)
class DatasetReport:
    """What was found.

    Attributes:
        dataset, root, format: what was checked.
        rows: split → rows that were read.
        problems: one line each; empty when all is well.
        notes: what could not be checked.
    """

    dataset: str
    root: str
    format: str
    rows: Mapping[str, int]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def summary(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "dataset": self.dataset,
            "root": self.root,
            "format": self.format,
            "ok": self.ok,
            "rows": dict(self.rows),
            "problems": list(self.problems),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The same for a person."""
        found = ", ".join(f"{split} {rows}" for split, rows in self.rows.items()) or "no rows"
        verdict = "all well" if self.ok else counted(len(self.problems), "problem")
        return [*self.problems, *self.notes, f"{self.dataset} in {self.root} ({self.format}): {verdict}; {found}"]


def verify_dataset(
    dataset: str, fmt: str | None, root: Path | None, body: BodyModel, progress: Progress = silent
) -> DatasetReport:
    """Compare a copy with its manifest.

    Args:
        dataset: name of a manifest.
        fmt: one of its formats; None takes the one that seems to be there.
        root: folder of the raw data; None only for what ships in the package.
        body: given to the reader.
        progress: of the reader.

    Raises:
        UnknownNameError: no such data set or format. InputError: no root, or no such folder.
    """
    manifest = load_manifest(dataset)
    if root is None and not manifest.packaged:
        raise InputError(f"dataset {dataset}", "the raw data's folder is not given", "pass --root DIR")
    if root is not None and not root.exists():
        raise InputError(root, "no such file or directory")
    chosen = fmt or _likely_format(manifest, root)
    problems = [] if root is None or root.is_file() else _missing(manifest, root, chosen)
    rows, notes = dict[str, int](), list[str]()
    if not is_readable(dataset, chosen):
        notes.append(f"format {chosen} has no reader in this version: contents were not checked")
    elif not problems:
        try:
            tables = open_source(dataset, chosen).ingest(root, body, progress=progress)
            rows = {split: len(table) for split, table in tables.items()}
            problems += _counts(manifest, rows)
        except InputError as error:
            problems.append(str(error))
    place = "the package" if root is None else str(root)
    return DatasetReport(dataset, place, chosen, rows, tuple(problems), tuple(notes))


def _likely_format(manifest: Manifest, root: Path | None) -> str:
    """The first format of which least is missing among those of which something is there; else the usual one."""
    gone = {fmt: len(manifest.missing(root, fmt)) for fmt in manifest.formats}
    begun = [fmt for fmt in manifest.formats if gone[fmt] < len(manifest.missing(None, fmt))]
    return min(begun or manifest.formats[:1], key=lambda fmt: gone[fmt])


def _missing(manifest: Manifest, root: Path, fmt: str) -> list[str]:
    return [f"{root / entry.path}: missing ({entry.meaning})" for entry in manifest.missing(root, fmt)]


def _counts(manifest: Manifest, rows: Mapping[str, int]) -> list[str]:
    """Splits with another number of rows than the manifest knows."""
    known = {split: facts.count for split, facts in manifest.splits.items() if facts.count is not None}
    return [
        f"split {split}: {rows[split]} rows, the manifest says {count} ({manifest.splits[split].meaning})"
        for split, count in known.items()
        if split in rows and rows[split] != count
    ]

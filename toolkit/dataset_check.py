"""Is a copy of a data set whole? Called by ``datasets verify``.

In: a data set's name and the folder of its raw files. Out: a report whose problems name the first differences from its
manifest: places that are missing or hold another number of files, downloads that are not whole, files that the reader
refuses (truncated, renamed inside, of another version), splits with another number of rows than is known, pictures that
are listed and not there. Files are read as ``ingest`` reads them, or not at all; nothing is written.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.copy_check import Findings, download_findings, layout_findings
from hmrtk.toolkit.records.manifest import Manifest, load_manifest
from hmrtk.toolkit.records.picture_check import naming_findings, picture_findings
from hmrtk.toolkit.records.table import RecordTable
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
    dataset: str,
    fmt: str | None,
    root: Path | None,
    body: BodyModel | None,
    progress: Progress = silent,
    *,
    quick: bool = False,
) -> DatasetReport:
    """Compare a copy with its manifest.

    Args:
        dataset: name of a manifest.
        fmt: one of its formats; None takes the one that seems to be there.
        root: folder of the raw data; None only for what ships in the package.
        body: given to the reader; may be None when ``quick``.
        progress: of the reader.
        quick: names, numbers, sizes and ends only; nothing is read through.

    Raises:
        UnknownNameError: no such data set or format. InputError: no root, or no such folder.
    """
    manifest = load_manifest(dataset)
    if root is None and not manifest.packaged:
        raise InputError(f"dataset {dataset}", "the raw data's folder is not given", "pass --root DIR")
    if root is not None and not root.exists():
        raise InputError(root, "no such file or directory")
    if fmt is not None and fmt not in manifest.formats:
        raise UnknownNameError(f"format of {dataset}", fmt, manifest.formats)
    formats = [fmt] if fmt else _likely_formats(manifest, root)
    used, fetched = None if quick else body, Findings()
    if root is not None and root.is_dir():
        fetched = download_findings(manifest, root, used is None, progress)
    reports = (_checked(manifest, each, root, used, fetched, progress) for each in formats)
    first = next(reports)
    return first if first.rows or used is None else next((report for report in reports if report.rows), first)


def _checked(
    manifest: Manifest, fmt: str, root: Path | None, body: BodyModel | None, fetched: Findings, progress: Progress
) -> DatasetReport:
    """The report of one format, with what is known of downloads; without a body nothing is read."""
    folder = root if root is not None and root.is_dir() else None
    findings = fetched if folder is None else layout_findings(manifest, folder, fmt) + fetched
    rows: dict[str, int] = {}
    if body is None:
        findings += Findings(notes=("only names, numbers, sizes and ends were looked at: nothing was read through",))
    elif not is_readable(manifest.name, fmt):
        findings += Findings(notes=(f"format {fmt} has no reader in this version: contents were not checked",))
    elif folder is None or not manifest.missing(folder, fmt):
        rows, found = _read(manifest, fmt, root, body, progress)
        findings += found
    place = "the package" if root is None else str(root)
    return DatasetReport(manifest.name, place, fmt, rows, findings.problems, findings.notes)


def _read(
    manifest: Manifest, fmt: str, root: Path | None, body: BodyModel, progress: Progress
) -> tuple[dict[str, int], Findings]:
    """Rows of each split, and what the contents show."""
    try:
        tables = open_source(manifest.name, fmt).ingest(root, body, progress=progress)
    except InputError as error:
        return {}, Findings((str(error),))
    rows = {split: len(table) for split, table in tables.items()}
    findings = Findings((*_counts(manifest, rows), *_twins(tables)))
    if root is not None:
        findings += naming_findings(manifest, fmt, tables)
    if root is not None and root.is_dir():
        findings += picture_findings(tables, root)
    return rows, findings


def _likely_formats(manifest: Manifest, root: Path | None) -> list[str]:
    """Formats of which least is missing, among those of which something is there; else the usual one.

    Several have the same names: the first whose reader understands the files is the one.
    """
    gone = {fmt: len(manifest.missing(root, fmt)) for fmt in manifest.formats}
    begun = [fmt for fmt in manifest.formats if gone[fmt] < len(manifest.missing(None, fmt))]
    least = min((gone[fmt] for fmt in begun), default=0)
    return [fmt for fmt in begun if gone[fmt] == least] or list(manifest.formats[:1])


def _counts(manifest: Manifest, rows: Mapping[str, int]) -> list[str]:
    """Splits with another number of rows than the manifest knows."""
    known = {split: facts.count for split, facts in manifest.splits.items() if facts.count is not None}
    return [
        f"split {split}: {rows[split]} rows, the manifest says {count} ({manifest.splits[split].meaning})"
        for split, count in known.items()
        if split in rows and rows[split] != count
    ]


def _twins(tables: Mapping[str, RecordTable]) -> list[str]:
    """Files of different splits that are one and the same under two names."""
    problems = []
    inputs = [table.metadata.provenance["inputs"] for table in tables.values()]
    for first, second in itertools.combinations(inputs, 2):
        known = {fingerprint: name for name, fingerprint in first.items()}
        for name, fingerprint in second.items():
            other = known.get(fingerprint)
            if other is not None and other not in second and name not in first:
                problems.append(f"{name}: has the same content as {other} of another split")
    return problems

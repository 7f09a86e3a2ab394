"""Are the files of a dataset all there? By names, numbers, sizes and ends; only what was downloaded is read.

In: a manifest and the folder of a copy; out: ``Findings``, one line each, that name the file. Called by
``dataset_check`` before it reads the files, or instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.download import digests, hash_difference
from hmrtk.toolkit.records.file_ends import is_whole
from hmrtk.toolkit.records.manifest import Download, LayoutEntry, Manifest
from hmrtk.toolkit.records.receipt import OWN, part_path, read_receipt
from hmrtk.toolkit.records.unpacking import counted_below
from hmrtk.toolkit.wording import counted, sized

NAMED = 3
"""Files of one kind that get a line of their own; the others are counted."""
_ALIKE = 0.5


@dataclass(frozen=True)
class Findings:
    """``problems``: what is wrong. ``notes``: what could not be checked, or is good to know. One line each."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Findings) -> Findings:
        return Findings(self.problems + other.problems, self.notes + other.notes)


def layout_findings(manifest: Manifest, root: Path, fmt: str) -> Findings:
    """Places that are missing, with what may be the file under another name; numbers of files; files without an end.

    Args:
        manifest: of the dataset.
        root: folder of the copy.
        fmt: the format that is there.
    """
    problems = [_missing_line(manifest, root, fmt, entry) for entry in manifest.missing(root, fmt)]
    entries = manifest.entries(fmt)
    for entry in entries:
        if entry.count is not None and (found := len(entry.files(root))) not in (0, entry.count):
            problems.append(f"{root / entry.path}: {counted(found, 'file')}, the manifest says {entry.count}")
    problems += _first(_unpaired(entries, root), "missing file")
    problems += _first(_short(entries, root), "damaged file")
    return Findings(tuple(problems))


def _missing_line(manifest: Manifest, root: Path, fmt: str, entry: LayoutEntry) -> str:
    other = _alike(manifest, root, fmt, entry)
    hint = f"; is it {other}, renamed?" if other else ""
    return f"{root / entry.path}: missing ({entry.meaning}{hint})"


def _alike(manifest: Manifest, root: Path, fmt: str, entry: LayoutEntry) -> str:
    """The file that most looks like a missing one, where it should be, among those that no place expects."""
    wanted = Path(entry.path).name
    below = "**/" if entry.path.startswith("**/") else f"{Path(entry.path).parent.as_posix()}/"
    expected = {path for each in manifest.entries(fmt) for path in each.files(root)}
    there = (p.relative_to(root).as_posix() for p in root.glob(f"{below}*") if p.is_file())
    names = {Path(path).name: path for path in there if path not in expected and not path.endswith(OWN)}
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=_ALIKE)
    longer = [name for name in sorted(names) if f"{Path(wanted).suffix}." in name]  # x.npz.bak
    return next((names[name] for name in (*close, *longer)), "")


def _unpaired(entries: tuple[LayoutEntry, ...], root: Path) -> Iterator[str]:
    """Files that a group lacks of a name that it has. Places without any file are missing as a whole already."""
    for group in sorted({entry.group for entry in entries} - {""}):
        members = [(entry, entry.names(root)) for entry in entries if entry.group == group]
        there = {name: path for _, names in reversed(members) for name, path in names.items()}
        for name, path in sorted(there.items()):
            for entry, names in members:
                if names and name not in names:
                    yield f"{root / entry.named(name)}: missing ({entry.meaning}); there is {path}"


def _short(entries: tuple[LayoutEntry, ...], root: Path) -> Iterator[str]:
    """Files that have no byte, or not the end of their format; pictures are looked at where they are listed."""
    for file in dict.fromkeys(root / path for entry in entries if not entry.pictures for path in entry.files(root)):
        try:
            if file.is_file() and not is_whole(file):
                yield f"{file}: {'is cut off, or another kind of file' if file.stat().st_size else 'is empty'}"
        except OSError as error:
            yield f"{file}: cannot be read: {error.strerror}"


def _first(lines: Iterator[str], noun: str) -> list[str]:
    every = list(lines)
    rest = len(every) - NAMED
    return every[:NAMED] + ([f"and {counted(rest, noun)} more"] if rest > 0 else [])


# -- what was downloaded ----------------------------------------------------------------------------------------------


def download_findings(manifest: Manifest, root: Path, quick: bool, progress: Progress = silent) -> Findings:
    """What ``datasets download`` left there: parts of files, other sizes and hashes, pictures that are gone again.

    Args:
        manifest: of the dataset.
        root: folder of the copy.
        quick: believe sizes; else files are read and their hashes compared.
        progress: stages ``check <file>``.
    """
    findings = Findings()
    for download in manifest.downloads:
        findings += _download(download, manifest.name, root, quick, progress)
    return findings


def _download(download: Download, name: str, root: Path, quick: bool, progress: Progress) -> Findings:
    file, receipt = root / download.file, read_receipt(root / download.file)
    go_on, problems, notes = f"hmrtk datasets download {name} --out {root}", [], []
    if part_path(file).exists():
        here, whole = part_path(file).stat().st_size, download.bytes or (receipt.bytes if receipt else None)
        of = f"{sized(here)} of {sized(whole)}" if whole else sized(here)
        problems.append(f"{part_path(file)}: only {of} of the download has arrived (to go on: {go_on})")
    if file.exists():
        size, expected = file.stat().st_size, download.bytes or (receipt.bytes if receipt else None)
        wrong = f"has {size} bytes, expected {expected}" if expected and size != expected else ""
        if not wrong and not quick:
            wrong = hash_difference(download, receipt, digests(file, progress))
        if wrong:
            problems.append(f"{file}: {wrong} (to get it anew: {go_on})")
        else:
            notes.append(f"{file}: downloaded, {sized(size)}{'' if quick else ', its hash is right'}")
    if receipt is not None and receipt.folders:
        there = counted_below(root, receipt.folders)
        problems += [
            f"{root / folder}: {counted(there[folder], 'file')}, {count} were unpacked from {file.name} "
            f"(to mend it: {go_on})"
            for folder, count in receipt.folders.items()
            if there[folder] < count
        ]
    elif download.unpack and file.exists() and not problems:
        notes.append(f"{file}: not unpacked, or not to the end")
    return Findings(tuple(problems), tuple(notes))

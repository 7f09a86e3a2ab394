"""Are the pictures there that an annotation lists? By the listings of their folders and archives, each read once.

In: record tables and the folder of a copy; out: ``Findings``. Called by ``dataset_check``. A copy without any picture
is no fault, annotation alone is enough for much; one that lacks some is. Pictures are looked for as ``shards`` looks
for them (``picture_files``): a zip may stand for its folder.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import pyarrow.compute as pc

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.copy_check import Findings
from hmrtk.toolkit.records.file_ends import is_whole
from hmrtk.toolkit.records.manifest import Manifest
from hmrtk.toolkit.records.picture_files import PictureFolder
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.wording import counted

SAMPLED = 64
"""Pictures by which the folder is found that the paths are relative to."""
CONTAINERS = (".tar", ".zip", ".gz", ".tgz", ".mp4", ".avi")
"""Suffixes of archives and videos, in which pictures may be named like files of a folder."""


def picture_findings(tables: Mapping[str, RecordTable], root: Path) -> Findings:
    """Pictures that are listed and not there, or there and cut off: how many, and the first.

    Args:
        tables: split → records.
        root: folder of the copy; the pictures lie in it or in one of its folders.
    """
    paths = listed(tables.values())
    if not paths:
        return Findings(notes=("no picture is listed: none was looked for",))
    try:
        base = _base(root, paths)
        if base is None:
            return Findings(notes=(f"{root}: has none of the {counted(len(paths), 'picture')} listed: not checked",))
        missing, short = _faults(base, paths)
    except InputError as error:
        return Findings((str(error),))
    return Findings(
        tuple(
            f"{base / found[0]}: {what}; so {'is' if len(found) == 1 else 'are'} {len(found)} of {len(paths)} pictures"
            for found, what in ((missing, "listed in the annotation and missing"), (short, "is cut off"))
            if found
        )
    )


def _faults(base: Path, paths: list[str]) -> tuple[list[str], list[str]]:
    """Paths that are missing, and those of files in folders that have no end."""
    pictures, folders = PictureFolder(base), dict[str, set[str] | None]()
    missing, short = list[str](), list[str]()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            folders[folder] = _names(base / folder) if (base / folder).is_dir() else None
        names = folders[folder]
        if not (pictures.find(path, path).exists() if names is None else name in names):
            missing.append(path)
        elif names is not None and not is_whole(base / path):
            short.append(path)
    return missing, short


def listed(tables: Iterable[RecordTable]) -> list[str]:
    """The different pictures of some tables, in their order."""
    columns = (pc.unique(table.table["image_path"]).drop_null().to_pylist() for table in tables)
    return list(dict.fromkeys(path for column in columns for path in column))


def naming_findings(manifest: Manifest, fmt: str, tables: Mapping[str, RecordTable]) -> Findings:
    """Splits of which not one picture is named as the dataset's are: their file is another dataset's.

    Args:
        manifest: its places of pictures say how they are named.
        fmt: the format that was read.
        tables: split → records.
    """
    patterns = [entry.path for entry in manifest.entries(fmt) if entry.pictures]
    names = [PurePosixPath(pattern).name for pattern in patterns]
    problems = []
    for split, table in tables.items():
        paths = [path for path in listed([table]) if not _is_contained(path)]
        if names and paths and not any(_is_named(path, names) for path in paths):
            files = ", ".join(table.metadata.provenance["inputs"])
            expected = " or ".join(patterns)
            problems.append(f"{files} ({split}): lists pictures like {paths[0]!r}, this dataset's are {expected}")
    return Findings(tuple(problems))


def _is_contained(path: str) -> bool:
    return any(parent.suffix.lower() in CONTAINERS for parent in PurePosixPath(path).parents)


def _is_named(path: str, names: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(PurePosixPath(path).name, name) for name in names)


def _base(root: Path, paths: list[str]) -> Path | None:
    """The folder below which most of some pictures are: ``root`` or one in it; None when it has none of them."""
    sample = paths[:: max(1, len(paths) // SAMPLED)]
    places = [root, *sorted(p for p in root.iterdir() if p.is_dir())]
    found = {place: _count(place, sample) for place in places}
    best = max(places, key=lambda place: found[place])
    if found[best]:
        return best
    folders = {path.rpartition("/")[0] for path in sample} - {""}
    return next((place for place in places if any(_names(place / folder) for folder in folders)), None)


def _count(place: Path, paths: list[str]) -> int:
    pictures = PictureFolder(place)
    return sum(pictures.find(path, path).exists() for path in paths)


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return set()

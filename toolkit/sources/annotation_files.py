"""``AnnotationFiles``: what readers of annotation in files do alike, so that each of them is its layout and no more.

In: a reader that says which files make which split, and what the columns of one file are. Out: one record table per
split, with the provenance of the files that were read. One file is open at a time, and none beyond the limit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.dense import DENSE_COLUMNS, DenseTable, has_any
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.annotation import gathered
from hmrtk.toolkit.sources.picture_table import checked_root, record_table


@dataclass(frozen=True)
class SplitFile:
    """A file of a split. ``name``: its path below the root, with forward slashes."""

    path: Path
    name: str
    split: str


class AnnotationFiles(ABC):
    """A ``Source`` of files that hold rows of one split each. Readers are dataclasses; their fields are its options.

    Attributes:
        dataset: first part of every ``sample_id``.
        format: its name for ``--format``. regressor: that gives a body's joints where the files have their own.
        nobody: what is said of a split without a row.
    """

    dataset: str
    format: ClassVar[str] = "raw"
    regressor: ClassVar[str] = "smpl24+extra9"
    nobody: ClassVar[str] = "has no row that can be used"

    @abstractmethod
    def files(self, root: Path) -> Mapping[str, Sequence[Path]]:
        """Split → its files, in the order of its rows.

        Args:
            root: an existing folder or file.

        Raises:
            InputError: none of the files is there, or two hold the same rows.
        """

    @abstractmethod
    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """Columns of ``RECORD_SCHEMA``, and of ``DENSE_SCHEMA`` where it has such, from one file.

        Args:
            part: one of ``files``.
            body: the active body.
            limit: at most so many rows, at least 1; no more of the file need be read.

        Raises:
            InputError: a file that cannot be read or has nothing that can be used; file and row are named.
        """

    def inputs(self, part: SplitFile, columns: Mapping[str, Any]) -> Sequence[Path]:
        """The files that the columns of a part came from, below the root."""
        return [part.path]

    def ingest(
        self,
        root: Path | None,
        body: BodyModel,
        *,
        seed: int = 0,
        limit: int | None = None,
        progress: Progress = silent,
    ) -> dict[str, RecordTable]:
        """Records in the order of the files.

        Args:
            root: the folder that holds the files, or one of them.
            body: the active body; its fingerprint is noted.
            seed: unused, nothing here is random.
            limit: at most so many records per split.

        Raises:
            InputError: no such place, no known file in it, or one that cannot be read; rows are named.
        """
        root = checked_root(root, self.dataset, limit)
        base = root if root.is_dir() else root.parent
        splits = self.files(root)
        total, done = sum(len(paths) for paths in splits.values()), 0
        tables = {}
        for split, paths in splits.items():
            parts: list[dict[str, Any]] = []
            inputs: dict[str, Path] = {}
            for path in paths:
                left = None if limit is None else limit - sum(len(part["sample_id"]) for part in parts)
                if left is None or left > 0:
                    part = SplitFile(path, path.relative_to(base).as_posix(), split)
                    columns = self.columns(part, body, left)
                    inputs |= {each.relative_to(base).as_posix(): each for each in self.inputs(part, columns)}
                    parts += [columns] if len(columns["sample_id"]) else []
                done += 1
                progress("read", done, total, path.name)
            if not parts:
                raise InputError(paths[0] if len(paths) == 1 else paths[0].parent, self.nobody)
            columns = parts[0] if len(parts) == 1 else gathered(filled(parts))
            dense = {name: columns.pop(name) for name in DENSE_COLUMNS if name in columns}
            table = record_table(self.dataset, split, columns, body, inputs, settings(self, limit), self.regressor)
            if has_any(dense):
                origin = {"provenance": table.metadata.provenance}
                table.dense = DenseTable.from_columns(table.sample_ids, dense, origin, table.place)
            tables[split] = table
        return tables


def settings(source: Any, limit: int | None) -> dict[str, Any]:
    """How a reader is set, as plain JSON values: what goes into the provenance of its records."""
    options = {field.name: getattr(source, field.name) for field in fields(source) if field.name != "dataset"}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    return {"format": source.format, "limit": limit, **plain}


def filled(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts without the columns that are null in one of them: a column of whole numbers has no null rows."""
    null = {name for part in parts for name, value in part.items() if value is None}
    return [{name: value for name, value in part.items() if name not in null} for part in parts]

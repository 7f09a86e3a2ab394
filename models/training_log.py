"""``TrainingLog``: the curves of a run as CSV, and for TensorBoard where that is installed.

Rows are appended and flushed as they come. A run that goes on from a checkpoint first drops the rows written after it,
so the file is the one that an uninterrupted run writes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmrtk.toolkit.errors import OutputError
from hmrtk.toolkit.records.artefact import write_bytes


class TrainingLog:
    """One CSV file of numbers per step.

    Args:
        path: of the CSV file; TensorBoard's events go into ``tensorboard`` beside it.
        name: prefix of TensorBoard's tags, such as ``train``.
        step: rows of this step and later are dropped.
    """

    def __init__(self, path: Path, name: str, step: int = 0) -> None:
        self.path, self.name = path, name
        self._columns: list[str] = []
        self._board = _board(path.parent / "tensorboard" / name, step)
        if path.is_file():
            self._keep(step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row.

        Raises:
            OutputError: the file cannot be written.
        """
        row = {"step": str(step), **{name: repr(float(value)) for name, value in values.items()}}
        try:
            self._grow(list(row))
            with open(self.path, "a", newline="", encoding="utf-8") as stream:
                csv.DictWriter(stream, self._columns, restval="").writerow(row)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from None
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{self.name}/{name}", value, step)

    def close(self) -> None:
        """Write out what TensorBoard holds back."""
        if self._board is not None:
            self._board.close()

    def _grow(self, names: list[str]) -> None:
        """Make sure the file has these columns."""
        new = [name for name in names if name not in self._columns]
        if not new:
            return
        rows = read_log(self.path) if self._columns else []
        self._columns += new
        self._rewrite(rows)

    def _keep(self, step: int) -> None:
        rows = [row for row in read_log(self.path) if int(row["step"]) < step]
        self._columns = list(rows[0]) if rows else []
        if rows:
            self._rewrite(rows)
        else:
            self.path.unlink()

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        lines = [",".join(self._columns)] + [",".join(row.get(name, "") for name in self._columns) for row in rows]
        write_bytes(self.path, ("\r\n".join(lines) + "\r\n").encode())


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a log; a last line that was cut off by a kill is left out."""
    text = path.read_bytes().decode("utf-8", "replace")
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [row for row in csv.DictReader(whole) if None not in row.values() and row["step"]]


def _board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step or None)

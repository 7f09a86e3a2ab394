"""Numbers that papers published, to stand beside measured ones; never mixed with them without the mark "published".

In: ``published/*.toml`` (one file per paper); out: tables as they were printed. Called by ``paper_tables``, ``tail``
and ``sweep``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from hmrtk.reports.tables import Column, Table

DATASET_NAMES = {
    "h36m": "Human3.6M", "3dpw": "3DPW", "up3d": "UP-3D", "mpi_inf_3dhp": "MPI-INF-3DHP", "3doh": "3DOH",
    "coco": "COCO", "lsp": "LSP",
}  # fmt: skip
"""Name of a data set in records → its name in print."""

METRIC_NAMES = {
    "pve": "MPVPE", "mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE",
    "ap": "AP", "ap50": "AP50", "ap75": "AP75", "ap_medium": "AP M", "ap_large": "AP L",
    "foreground_accuracy": "FB accuracy", "foreground_f1": "FB F1",
    "part_accuracy": "part accuracy", "part_f1": "part F1",
}  # fmt: skip
MILLIMETRES = ("pve", "mpjpe", "pa_mpjpe")
"""The metrics in mm; the others are in per cent."""

EVERY_ACTION = "*"
"""In the place of an action: the mean of the actions' means."""


@dataclass(frozen=True)
class PublishedColumn:
    """What a column of a printed table holds.

    Attributes:
        dataset, metric: as records and ``METRIC_NAMES`` call them.
        subset: ``Full`` or ``T-5%`` …
        action: of one action alone, or ``EVERY_ACTION``; empty: of all samples of the subset.
    """

    dataset: str
    subset: str
    metric: str
    action: str = ""

    def to_column(self, key: str) -> Column:
        """The same as a column of a report's table."""
        subset = "" if self.subset == "Full" else f" {self.subset}"
        action = {"": "", EVERY_ACTION: " mean of actions"}.get(self.action, f" {self.action}")
        unit = "mm" if self.metric in MILLIMETRES else "%"
        label = f"{DATASET_NAMES.get(self.dataset, self.dataset)}{subset}{action} {METRIC_NAMES[self.metric]}"
        return Column(key, label, unit, 2 if self.metric.endswith("accuracy") else 1)


@dataclass(frozen=True)
class PublishedTable:
    """One table of one paper as it was printed.

    Attributes:
        paper: its short name.
        number: the table's.
        source: the paper's title and the table's number, and what the table holds.
        columns: what they hold.
        rows: ``{"system": name, "values": one per column}``; NaN where the paper has no number.
        subject: what rows are: ``systems``, or ``settings`` of one system.
    """

    paper: str
    number: str
    source: str
    columns: Sequence[PublishedColumn]
    rows: Sequence[dict[str, Any]]
    subject: str = "systems"

    @property
    def name(self) -> str:
        """File name without ending, e.g. ``pmnet_table_iv``."""
        return f"{self.paper}_table_{self.number}".lower().replace("-", "").replace(" ", "_")

    def to_table(self) -> Table:
        """As printed, for the page."""
        columns = [Column("system", "System" if self.subject == "systems" else "Setting")]
        columns += [column.to_column(f"v{index}") for index, column in enumerate(self.columns)]
        rows = [{"system": row["system"], **{f"v{i}": v for i, v in enumerate(row["values"])}} for row in self.rows]
        title = f"{self.paper}, Table {self.number} (published)"
        return Table(f"published_{self.name}", title, f"Published, not measured here: {self.source}", columns, rows)


def published_tables(subject: str = "systems") -> list[PublishedTable]:
    """All packaged tables of ``systems`` (or of ``settings``), PM-Net's first, then by paper and number."""
    tables = []
    folder = resources.files("hmrtk.reports") / "published"
    for file in sorted(folder.iterdir(), key=lambda f: (not f.name.startswith("pmnet"), f.name)):
        if file.name.endswith(".toml"):
            content = tomllib.loads(file.read_text("utf-8"))
            paper = content["paper"]
            tables += [_table(paper["short"], paper["title"], table) for table in content["table"]]
    return [table for table in tables if table.subject == subject]


def _table(short: str, title: str, table: dict[str, Any]) -> PublishedTable:
    source = f"{title}, Table {table['number']}. {table['caption']}"
    columns = [PublishedColumn(**column) for column in table["columns"]]
    return PublishedTable(short, table["number"], source, columns, table["rows"], table.get("subject", "systems"))

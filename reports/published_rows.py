"""Numbers that papers published, to stand beside measured ones; never mixed with them without the mark "published".

In: ``published/*.toml`` (one file per paper); out: tables, and rows that fit a data set. Called by ``tail``
and ``sweep``.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from hmrtk.reports.tables import Column, Table

DATASET_NAMES = {"h36m": "Human3.6M", "3dpw": "3DPW", "up3d": "UP-3D", "mpi_inf_3dhp": "MPI-INF-3DHP"}
METRIC_NAMES = {"pve": "MPVPE", "mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE"}


@dataclass(frozen=True)
class PublishedValue:
    """One number of one paper: millimetres."""

    paper: str
    table: str
    system: str
    dataset: str
    subset: str
    metric: str
    value: float


@dataclass(frozen=True)
class PublishedTable:
    """One table of one paper as it was printed; its rows are ``systems``, or ``settings`` of one system."""

    paper: str
    number: str
    caption: str
    columns: Sequence[dict[str, str]]
    rows: Sequence[dict[str, Any]]
    subject: str = "systems"

    def values(self) -> list[PublishedValue]:
        """All printed numbers, one by one; cells that the paper leaves empty are left out."""
        found = []
        for row in self.rows:
            for column, value in zip(self.columns, row["values"], strict=True):
                if not math.isnan(value):
                    where = (column["dataset"], column["subset"], column["metric"])
                    found.append(PublishedValue(self.paper, self.number, row["system"], *where, float(value)))
        return found

    def to_table(self) -> Table:
        """As printed, for the page."""
        columns = [Column("system", "System" if self.subject == "systems" else "Setting")]
        for index, column in enumerate(self.columns):
            subset = "" if column["subset"] == "Full" else f" {column['subset']}"
            label = f"{DATASET_NAMES[column['dataset']]}{subset} {METRIC_NAMES[column['metric']]}"
            columns.append(Column(f"v{index}", label, "mm", 1))
        rows = [{"system": row["system"], **{f"v{i}": v for i, v in enumerate(row["values"])}} for row in self.rows]
        name = f"published_{self.paper}_table_{self.number}".lower().replace("-", "")
        return Table(name, f"{self.paper}, Table {self.number} (published)", self.caption, columns, rows)


def published_tables(subject: str = "systems") -> list[PublishedTable]:
    """All tables of ``systems`` (or of ``settings``) that are packaged, in the order of papers and numbers."""
    tables = []
    folder = resources.files("hmrtk.reports") / "published"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            content = tomllib.loads(file.read_text("utf-8"))
            paper = content["paper"]["short"]
            for table in content["table"]:
                source = f"{content['paper']['title']}, Table {table['number']}"
                caption = f"Published, not measured here: {source}. {table['caption']}"
                about = table.get("subject", "systems")
                tables.append(PublishedTable(paper, table["number"], caption, table["columns"], table["rows"], about))
    return [table for table in tables if table.subject == subject]


def published_for(dataset: str) -> list[PublishedValue]:
    """Published numbers on one data set, e.g. ``"3dpw"``; each (system, subset, metric) once, from its first table."""
    seen: dict[tuple[str, str, str], PublishedValue] = {}
    for table in published_tables():
        for value in table.values():
            if value.dataset == dataset:
                seen.setdefault((value.system, value.subset, value.metric), value)
    return list(seen.values())

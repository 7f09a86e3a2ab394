"""Measured systems in the layout of the papers' tables; published rows stand beside them where the data set is theirs.

In: a ``Measurement``; out: tables. PM-Net's Tables II to V, DaNet's per action (Table 2), and the other papers'. Called
by ``error_sections``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.measured import Measurement
from hmrtk.reports.published_rows import (
    DATASET_NAMES,
    EVERY_ACTION,
    MILLIMETRES,
    PublishedColumn,
    PublishedTable,
    published_tables,
)
from hmrtk.reports.tables import Column, Table
from hmrtk.toolkit.evaluation.groups import average_of_groups, group_names, grouped
from hmrtk.toolkit.evaluation.metrics import Errors
from hmrtk.toolkit.evaluation.tail import tail_subset

MEASURED = "measured"
HELD_OUT = ("test", "test_p2", "val")
"""Splits that papers evaluate on; published rows stand beside no other."""

Array = NDArray[Any]
PlaneValues = Mapping[str, Mapping[str, float]]
"""system → metric of the picture's plane → per cent, as ``plane`` measures them."""


def paper_tables(measured: Measurement, plane: PlaneValues | None = None) -> list[Table]:
    """Every packaged table that has a column of these records' data sets, ours and the published rows in it."""
    names = paper_datasets(measured)
    tables = []
    for subject in ("systems", "settings"):
        for table in published_tables(subject):
            chosen = [i for i, column in enumerate(table.columns) if column.dataset in names]
            if chosen:
                tables.append(_beside(table, chosen, measured, plane or {}))
    return [table for table in tables if table is not None]


def paper_datasets(measured: Measurement) -> list[str]:
    """The data sets of the records that papers report on, held-out rows only."""
    table = measured.records.table
    splits: dict[str, set[str]] = {}
    for name, split in zip(table["dataset"].to_pylist(), table["split"].to_pylist(), strict=True):
        splits.setdefault(name, set()).add(split)
    return [name for name, found in splits.items() if name in DATASET_NAMES and found <= set(HELD_OUT)]


def own_tables(measured: Measurement) -> list[Table]:
    """The systems in the form of PM-Net's Tables III and IV: a row each, columns by data set."""
    found = dict.fromkeys(measured.records.table["dataset"].to_pylist())
    overall = [PublishedColumn(name, "Full", metric) for name in found for metric in MILLIMETRES]
    tails = [PublishedColumn(name, subset, "pve") for name in found for subset in measured.distances.tails]
    how = measured.how, f"{measured.how} T-x% of each data set by itself."
    return [
        _own("overall", "All samples, in the form of PM-Net's Table III", how[0], overall, measured),
        _own("tails_by_system", "The tail, in the form of PM-Net's Table IV", how[1], tails, measured),
    ]


def _own(name: str, title: str, caption: str, columns: Sequence[PublishedColumn], measured: Measurement) -> Table:
    shown = [Column("system", "System"), *(column.to_column(f"v{i}") for i, column in enumerate(columns))]
    return Table(name, title, caption, shown, _our_rows(columns, measured, {}, source=False))


def _beside(table: PublishedTable, chosen: list[int], measured: Measurement, plane: PlaneValues) -> Table | None:
    columns = [table.columns[i] for i in chosen]
    ours = _our_rows(columns, measured, plane)
    if all(math.isnan(v) for row in ours for key, v in row.items() if key.startswith("v")):
        return None
    rows = []
    for row in table.rows:
        values = {f"v{n}": row["values"][i] for n, i in enumerate(chosen)}
        if not all(math.isnan(v) for v in values.values()):
            rows.append({"system": row["system"], "source": f"published: {table.paper}", **values})
    shown = [
        Column("system", "System" if table.subject == "systems" else "Setting or system"),
        Column("source", "Source"),
    ]
    shown += [column.to_column(f"v{n}") for n, column in enumerate(columns)]
    tails = any(column.subset != "Full" for column in columns)
    rare = " Their T-x% is by distance to the singular prototype of this report." if tails else ""
    caption = (
        f"Rows marked “{MEASURED}” are the systems of this report: {measured.how}{rare} Rows marked “published” are "
        f"copied and follow the paper's own protocol: {table.source}"
    )
    return Table(f"beside_{table.name}", f"{table.paper}, Table {table.number}", caption, shown, [*rows, *ours])


def _our_rows(
    columns: Sequence[PublishedColumn], measured: Measurement, plane: PlaneValues, source: bool = True
) -> list[dict[str, Any]]:
    rows = []
    for name, error in measured.errors.items():
        values = [_value(column, measured, error, plane.get(name, {})) for column in columns]
        cells = {f"v{i}": value for i, value in enumerate(values)}
        rows.append({"system": name, **({"source": MEASURED} if source else {}), **cells})
    return rows


def _value(column: PublishedColumn, measured: Measurement, error: Errors, plane: Mapping[str, float]) -> float:
    """Our number for a column; NaN where there is none."""
    if column.metric not in MILLIMETRES:
        return plane.get(column.metric, math.nan)
    rows = subset_rows(measured, column.dataset, column.subset)
    if not column.action:
        return error.summary(rows, (column.metric,))[column.metric]
    if not any(measured.records.table["action"].to_pylist()):
        return math.nan
    actions = np.array(group_names(measured.records, "action"), object)[rows]
    if column.action == EVERY_ACTION:
        picked = {f: getattr(error, f)[rows] for f in ("mpjpe", "pa_mpjpe", "pve", "joints", "pa_joints")}
        return average_of_groups(grouped(Errors(error.protocol, **picked), actions, (column.metric,)))[column.metric]
    return error.summary(rows[actions == column.action], (column.metric,))[column.metric]


def subset_rows(measured: Measurement, dataset: str, subset: str) -> NDArray[np.int64]:
    """The rows of one data set, or of its own T-x%."""
    rows = np.flatnonzero(measured.records.array("dataset") == dataset)
    if subset == "Full":
        return rows
    return rows[tail_subset(measured.distances.singular[rows], float(subset.removeprefix("T-").removesuffix("%")))]

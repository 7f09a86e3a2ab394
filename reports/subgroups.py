"""Errors of parts of the samples: per action (DaNet Table 2) and per prototype.

In: a ``Measurement``; out: tables and a chart. Called by ``error_sections``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.distances import NO_ACTION
from hmrtk.reports.figures import Chart, dots
from hmrtk.reports.measured import Measurement
from hmrtk.reports.systems import METRIC_NAMES
from hmrtk.reports.tables import Column, Table
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.groups import average_of_groups, group_names, grouped

EVERY = "mean of actions"
MOST_DRAWN = 40
"""Actions that a chart can name."""

Array = NDArray[Any]


def action_errors_table(measured: Measurement) -> Table:
    """Each system's errors per action, farthest actions first, and the mean over actions (DaNet Table 2)."""
    names = _actions(measured)
    distances = measured.distances.singular
    columns = [
        Column("action", "Action"),
        Column("samples", "Samples"),
        Column("singular", "Distance to singular", "mm", 1),
    ]
    rows = _counted(names, "action", distances)
    rows.append({"action": EVERY, "samples": len(distances), "singular": _average(rows)})
    for system, error in measured.errors.items():
        groups = grouped(error, names, tuple(METRIC_NAMES))
        means = {group.name: group.means for group in groups} | {EVERY: average_of_groups(groups)}
        for metric, label in METRIC_NAMES.items():
            columns.append(Column(f"{metric} {system}", f"{system} {label}", "mm", 1))
            for row in rows:
                row[f"{metric} {system}"] = means[row["action"]][metric]
    rows = [*sorted(rows[:-1], key=lambda row: -row["singular"]), rows[-1]]
    caption = (
        f"{measured.how} Farthest actions first; recordings of one action count together. The last row is the mean of "
        "the actions' means, however many samples each has (as DaNet Table 2)."
    )
    return Table("errors_per_action", "Errors per action", caption, columns, rows)


def action_chart(measured: Measurement) -> Chart | None:
    """MPVPE of each action, a colour per system; None where there are too many or too few to draw (DaNet Fig. 13)."""
    names = _actions(measured)
    distances = _counted(names, "action", measured.distances.singular)
    order = [row["action"] for row in sorted(distances, key=lambda row: -row["singular"])]
    if not 1 < len(order) <= MOST_DRAWN:
        return None
    values = {}
    for system, error in measured.errors.items():
        means = {group.name: group.means["pve"] for group in grouped(error, names, ("pve",))}
        values[system] = np.array([means[name] for name in order])
    caption = f"MPVPE of each action, the farthest from the singular prototype on top. {measured.how}"
    return dots(order, values, "action_errors", "Error per action", caption, "MPVPE (mm)")


def prototype_errors_table(measured: Measurement) -> Table:
    """Each system's MPVPE per prototype, those with the most samples first."""
    labels = measured.distances.label
    filled, counts = np.unique(labels, return_counts=True)
    columns = [
        Column("prototype", "Prototype"),
        Column("samples", "Samples"),
        Column("share", "Of all", "%", 1),
        Column("assigned", "Samples' mean distance", "mm", 1),
        Column("singular", "Their distance to singular", "mm", 1),
    ]
    columns += [Column(f"pve {name}", f"{name} MPVPE", "mm", 1) for name in measured.systems]
    columns += [Column(f"reduction {name}", f"{name}: reduction", "mm", 1) for name in measured.rivals]
    rows = []
    for index, count in zip(filled.tolist(), counts.tolist(), strict=True):
        mine = np.flatnonzero(labels == index)
        row = {"prototype": index, "samples": count, "share": 100 * count / len(labels)}
        row |= {"assigned": float(measured.distances.assigned[mine].mean())}
        row |= {"singular": float(measured.distances.singular[mine].mean())}
        row |= {f"pve {name}": float(error.pve[mine].mean()) for name, error in measured.errors.items()}
        base = row.get(f"pve {measured.baseline}")
        row |= {f"reduction {name}": base - row[f"pve {name}"] for name in measured.rivals}
        rows.append(row)
    rows.sort(key=lambda row: -row["samples"])
    against = f" Reduction: MPVPE of {measured.baseline} minus the system's." if measured.rivals else ""
    caption = f"Samples by the prototype that their true body is assigned to.{against} {measured.how}"
    return Table("errors_per_prototype", "Errors per prototype", caption, columns, rows)


def _actions(measured: Measurement) -> Array:
    """(N,) names without the number of their recording."""
    try:
        return np.array(group_names(measured.records, "action"), object)
    except InputError:  # no record names one
        return np.full(len(measured.records), NO_ACTION, object)


def _counted(names: Array, key: str, distances: Array) -> list[dict[str, Any]]:
    known, index = np.unique(names.astype(str), return_inverse=True)
    counts = np.bincount(index)
    far = np.bincount(index, distances) / counts
    return [{key: str(n), "samples": int(c), "singular": float(d)} for n, c, d in zip(known, counts, far, strict=True)]


def _average(rows: Sequence[dict[str, Any]]) -> float:
    return float(np.mean([row["singular"] for row in rows]))

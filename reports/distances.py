"""The data set's tail without any predictions: how far samples are from one prototype and from many.

In: actions, labels and distances, one per sample; out: tables. Called by ``tail``. Distances come in metres
and are shown in millimetres: the mean over 6890 vertices of the Euclidean distance, translation left out, no alignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.tables import Column, Table
from hmrtk.toolkit.evaluation.tail import tail_subset

MM = 1000.0
QUANTILES = (50, 90, 95, 99)
NO_ACTION = "(none)"
UNTURNED = " by pose"
"""Ending of the names of tails by distance without orientation."""

Array = NDArray[Any]

HOW = "Distances are means over the 6890 vertices, in mm, with the translation left out and nothing aligned."


@dataclass(frozen=True, eq=False)
class Distances:
    """N samples on the rarity axis.

    Attributes:
        singular, assigned: (N,) float64 mm to the singular and to the assigned prototype.
        label: (N,) index of the assigned prototype.
        action: (N,) names; ``(none)`` where the record has none.
        tails: name → rows of each T-x%, farthest first; widest first. ``Full`` is not among them.
        k: number of prototypes.
        unturned: (N,) mm to the singular prototype if every sample had that one's orientation; empty: not measured.
        unturned_tails: name → rows of each T-x% by ``unturned``, as ``tails``.
    """

    singular: NDArray[np.float64]
    assigned: NDArray[np.float64]
    label: NDArray[np.int64]
    action: NDArray[Any]
    tails: dict[str, NDArray[np.int64]]
    k: int
    unturned: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    unturned_tails: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        singular_m: Array,
        assigned_m: Array,
        label: Array,
        action: Array,
        tails: Sequence[float],
        k: int,
        unturned_m: Array | None = None,
    ) -> Distances:
        """From metres; ``tails`` are percentages."""
        singular, percents = MM * np.asarray(singular_m, np.float64), sorted(set(tails), reverse=True)
        names = np.array([str(a) if a is not None and a == a else NO_ACTION for a in action], object)
        subsets = {tail_name(x): tail_subset(singular, x) for x in percents}
        unturned = MM * np.asarray(() if unturned_m is None else unturned_m, np.float64)
        posed = {tail_name(x) + UNTURNED: tail_subset(unturned, x) for x in percents if len(unturned)}
        assigned = MM * np.asarray(assigned_m, np.float64)
        return cls(singular, assigned, np.asarray(label, np.int64), names, subsets, k, unturned, posed)

    def __len__(self) -> int:
        return len(self.singular)

    @property
    def subsets(self) -> dict[str, NDArray[np.int64]]:
        """``Full``, then every T-x%, widest first."""
        return {"Full": np.arange(len(self)), **self.tails}

    @property
    def every_subset(self) -> dict[str, NDArray[np.int64]]:
        """``subsets``, then every T-x% by distances without orientation."""
        return {**self.subsets, **self.unturned_tails}

    @property
    def narrowest(self) -> str:
        """Name of the smallest T-x%."""
        return list(self.tails)[-1]


def tail_name(percent: float) -> str:
    """``5`` → ``"T-5%"``, as PM-Net writes it."""
    return f"T-{percent:g}%"


def reduction(before: float, after: float) -> float:
    """How much smaller ``after`` is, in percent of ``before``; NaN when ``before`` is 0."""
    return 100 * (1 - after / before) if before > 0 else float("nan")


def saved(before: float, after: float) -> str:
    """``reduction`` in words: ``"51 % less"``, ``"3 % more"``."""
    if before <= 0 or before == after:
        return "no less"
    percent = reduction(before, after)
    return f"{abs(percent):.0f} % {'less' if percent > 0 else 'more'}"


def distance_table(distances: Distances) -> Table:
    """Mean and quantiles of both distances."""
    columns = [Column("to", "Distance to"), Column("mean", "Mean", "mm", 1)]
    columns += [Column(f"q{q}", "Median" if q == 50 else f"{q} % within", "mm", 1) for q in QUANTILES]
    columns += [Column("max", "Largest", "mm", 1)]
    rows = []
    for name, values in (
        ("the singular prototype", distances.singular),
        (assigned_name(distances.k), distances.assigned),
    ):
        quantiles = {f"q{q}": float(np.percentile(values, q)) for q in QUANTILES}
        rows.append({"to": name, "mean": float(values.mean()), **quantiles, "max": float(values.max())})
    return Table("distances", "Distances over the data set", HOW, columns, rows)


def assigned_name(k: int) -> str:
    """How captions call the assigned prototype."""
    return f"the nearest of {k} prototypes" if k > 1 else "the only prototype"


def tail_table(distances: Distances) -> Table:
    """One row per subset: how many, from which distance on, and what many prototypes save."""
    columns = [
        Column("subset", "Subset"),
        Column("samples", "Samples"),
        Column("threshold", "From distance", "mm", 1),
        Column("singular", "To singular, mean", "mm", 1),
        Column("assigned", "To assigned, mean", "mm", 1),
        Column("reduction", "Reduction", "%", 1),
        Column("prototypes", "Prototypes used"),
        Column("actions", "Actions"),
    ]
    rows: list[dict[str, Any]] = []
    for name, index in distances.subsets.items():
        singular, assigned = distances.singular[index], distances.assigned[index]
        means = float(singular.mean()), float(assigned.mean())
        rows.append(
            {
                "subset": name,
                "samples": len(index),
                "threshold": float(singular.min()),
                "singular": means[0],
                "assigned": means[1],
                "reduction": reduction(*means),
                "prototypes": len(np.unique(distances.label[index])),
                "actions": len(np.unique(distances.action[index])),
            }
        )
    caption = (
        "T-x%: the x % of samples farthest from the singular prototype, floor(N·x/100) of them but at least one. "
        f"Reduction: how much nearer the assigned prototype is than the singular one, on average. {HOW}"
    )
    return Table("tails", "T-x% subsets", caption, columns, rows)


def orientation_table(distances: Distances) -> Table:
    """The tail by distance with and without orientation: thresholds, and how many samples are in both."""
    columns = [
        Column("subset", "Subset"),
        Column("samples", "Samples"),
        Column("with", "From distance", "mm", 1),
        Column("without", "From distance without orientation", "mm", 1),
        Column("shared", "In both tails", "%", 1),
    ]
    rows: list[dict[str, Any]] = []
    for name, index in distances.tails.items():
        posed = distances.unturned_tails[name + UNTURNED]
        ends = {"with": distances.singular[index].min(), "without": distances.unturned[posed].min()}
        shared = 100 * len(np.intersect1d(index, posed)) / len(index)
        rows.append({"subset": name, "samples": len(index), **ends, "shared": shared})
    caption = (
        "Without orientation: every sample is first turned as the singular prototype is, so that only pose and shape "
        "make it rare. “In both tails” says how much of T-x% is rare for its pose, and not for the view alone. "
        f"Tables call these tails “T-x%{UNTURNED}”. {HOW}"
    )
    return Table("orientation", "The tail with and without orientation", caption, columns, rows)


def action_table(distances: Distances) -> Table:
    """One row per action: share of the whole, share of each tail, and the ratio of both; rarest poses first."""
    names, index = np.unique(distances.action, return_inverse=True)
    whole = np.bincount(index, minlength=len(names))
    columns = [Column("action", "Action"), Column("samples", "Samples"), Column("share", "Of all", "%", 1)]
    rows = [
        {"action": str(n), "samples": int(c), "share": 100 * c / len(distances)}
        for n, c in zip(names, whole, strict=True)
    ]
    for key, values, label in (
        ("singular", distances.singular, "To singular"),
        ("assigned", distances.assigned, "To assigned"),
    ):
        columns.append(Column(key, label, "mm", 1))
        for row, mean in zip(rows, np.bincount(index, values, len(names)) / whole, strict=True):
            row[key] = float(mean)
    for tail, subset in distances.tails.items():
        columns += [Column(f"share {tail}", f"Of {tail}", "%", 1), Column(f"ratio {tail}", f"{tail} ÷ all", "×", 2)]
        counts = np.bincount(index[subset], minlength=len(names))
        for row, count in zip(rows, counts, strict=True):
            row[f"share {tail}"] = 100 * float(count) / len(subset)
            row[f"ratio {tail}"] = row[f"share {tail}"] / row["share"]
    rows.sort(key=lambda row: -row[f"share {distances.narrowest}"] * 1e6 - row["singular"])
    caption = (
        "Which actions make up the tail. A ratio above 1 means that an action is more common in the tail than in the "
        f"whole data set. Means over the action's samples. {HOW}"
    )
    return Table("actions", "Actions in the whole set and in the tail", caption, columns, rows)


def prototype_table(distances: Distances, trained_counts: Array) -> Table:
    """One row per prototype, largest cluster first; ``trained_counts`` (K,) are its samples when it was made."""
    counts = np.bincount(distances.label, minlength=distances.k)
    rows = []
    for rank, index in enumerate(np.argsort(-counts, kind="stable")):
        mine = distances.label == index
        actions, tally = np.unique(distances.action[mine], return_counts=True)
        filled = bool(mine.any())
        rows.append(
            {
                "rank": rank + 1,
                "prototype": int(index),
                "samples": int(counts[index]),
                "share": 100 * counts[index] / len(distances),
                "trained": int(trained_counts[index]),
                "assigned": float(distances.assigned[mine].mean()) if filled else None,
                "singular": float(distances.singular[mine].mean()) if filled else None,
                "action": str(actions[tally.argmax()]) if filled else None,
                "action_share": 100 * float(tally.max()) / counts[index] if filled else None,
            }
        )
    columns = [
        Column("rank", "Rank"),
        Column("prototype", "Prototype"),
        Column("samples", "Samples"),
        Column("share", "Of all", "%", 1),
        Column("trained", "Samples when made"),
        Column("assigned", "Samples' mean distance", "mm", 1),
        Column("singular", "Their distance to singular", "mm", 1),
        Column("action", "Most common action"),
        Column("action_share", "Its share", "%", 0),
    ]
    caption = f"All prototypes, those with the most samples of this data set first. {HOW}"
    return Table("prototypes", "Prototypes", caption, columns, rows)


def rarest_table(distances: Distances, sample_ids: Sequence[str], rarest: int) -> Table:
    """The ``rarest`` samples, farthest from the singular prototype first."""
    order = tail_subset(distances.singular, 100)[:rarest]
    columns = [
        Column("rank", "Rank"),
        Column("sample_id", "Sample"),
        Column("action", "Action"),
        Column("singular", "To singular", "mm", 1),
        Column("assigned", "To assigned", "mm", 1),
        Column("reduction", "Reduction", "%", 0),
        Column("prototype", "Prototype"),
        Column("row", "Row"),
    ]
    rows: list[dict[str, Any]] = []
    for rank, row in enumerate(order):
        before, after = float(distances.singular[row]), float(distances.assigned[row])
        rows.append(
            {
                "rank": rank + 1,
                "sample_id": sample_ids[row],
                "action": str(distances.action[row]),
                "singular": before,
                "assigned": after,
                "reduction": reduction(before, after),
                "prototype": int(distances.label[row]),
                "row": int(row),
            }
        )
    return Table("rarest", "The rarest samples", f"Farthest from the singular prototype first. {HOW}", columns, rows)

"""The settings of a sweep as rows, tables and charts.

In: the outcomes of ``prototypes.sweep``, distances in metres; shown in millimetres, means over the seeds. Called by
``sweep``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.distances import HOW, MM, reduction
from hmrtk.reports.figures import Chart, curves, ranked_sizes
from hmrtk.reports.tables import Column, Table
from hmrtk.toolkit.prototypes.sweep import FULL, Outcome, Split, Sweep

SWEEPS = {"k": "number of prototypes K", "limbs": "weight of the limbs"}
"""The two sweeps, and what they vary."""


def column_name(split: str, subset: str) -> str:
    """``("test", "T-5%")`` → ``"test_t5"``."""
    return f"{split}_{subset.lower().replace('-', '').replace('%', '')}"


def setting_row(outcome: Outcome, splits: Sequence[Split]) -> dict[str, Any]:
    """One row with everything known about a setting: means over the seeds, and the spread of the distances."""
    sizes, setting = outcome.sizes(), outcome.setting
    row: dict[str, Any] = {
        "sweep": "+".join(setting.sweeps), "k": setting.k, "limbs": setting.limbs, "seeds": len(outcome.runs)
    }  # fmt: skip
    for split in splits:
        for subset in split.subsets:
            key, distance = column_name(split.name, subset), MM * outcome.distance(split.name, subset)
            row |= {f"{key}_mm": distance.mean(), f"{key}_low_mm": distance.min(), f"{key}_high_mm": distance.max()}
            row[f"{key}_reduction"] = reduction(MM * outcome.singular(split.name, subset), float(distance.mean()))
        row[f"{split.name}_gamma"] = outcome.gamma(split.name).mean()
    return row | {
        "smallest": min(int(s.min()) for s in sizes),
        "median": float(np.mean([np.median(s) for s in sizes])),
        "largest": max(int(s.max()) for s in sizes),
        "empty": max(int((s == 0).sum()) for s in sizes),
        "ari": float(np.mean(outcome.agreement)) if outcome.agreement else None,
        "ari_low": min(outcome.agreement, default=None),
        "ari_high": max(outcome.agreement, default=None),
        "iterations": outcome.values("iterations").mean(),
        "seconds": outcome.values("seconds").mean(),
    }


def full_table(sweep: Sweep, splits: Sequence[Split]) -> Table:
    """Every setting with every number: ``sweep.csv``."""
    columns = [Column("sweep", "Sweep"), Column("k", "K"), Column("limbs", "Limb weight", "", 1)]
    columns.append(Column("seeds", "Seeds"))
    for split in splits:
        for subset in split.subsets:
            key, label = column_name(split.name, subset), f"{split.name} {subset}"
            columns += [
                Column(f"{key}_mm", label, "mm", 1),
                Column(f"{key}_low_mm", f"{label}, best seed", "mm", 1),
                Column(f"{key}_high_mm", f"{label}, worst seed", "mm", 1),
                Column(f"{key}_reduction", f"{label}, reduction", "%", 1),
            ]
        columns.append(Column(f"{split.name}_gamma", f"{split.name} γ", "m²", 1))
    columns += _cluster_columns()
    columns += [Column("ari_low", "Lowest ARI", "", 3), Column("ari_high", "Highest ARI", "", 3)]
    rows = [setting_row(outcome, splits) for outcome in sweep.outcomes]
    return Table("sweep", "All settings", f"Means over the seeds. {HOW}", columns, rows)


def _cluster_columns() -> list[Column]:
    return [
        Column("smallest", "Smallest"),
        Column("median", "Median", "", 0),
        Column("largest", "Largest"),
        Column("empty", "Empty"),
        Column("ari", "Seeds agree", "ARI", 2),
        Column("iterations", "Iterations", "", 0),
        Column("seconds", "One fit", "s", 1),
    ]


def sweep_table(sweep: Sweep, name: str, splits: Sequence[Split], shown: Split) -> Table:
    """The settings of one sweep, in brief."""
    columns = [Column("k", "K")] if name == "k" else [Column("limbs", "Limb weight", "", 1)]
    for subset in shown.subsets:
        key = column_name(shown.name, subset)
        columns.append(Column(f"{key}_mm", f"{shown.name} {subset}", "mm", 1))
        columns.append(Column(f"{key}_reduction", "Reduction", "%", 1))
    if shown is not splits[0]:
        columns.append(Column(f"{column_name(splits[0].name, FULL)}_mm", f"{splits[0].name} {FULL}", "mm", 1))
    columns += [Column(f"{shown.name}_gamma", f"{shown.name} γ", "m²", 1), *_cluster_columns()]
    caption = (
        f"Mean distance to the assigned prototype, means over {sweep.config.seeds} seeds. Reduction: against the "
        "singular prototype. γ: to the nearest prototype under PM-Net's weights (limbs 5), the same measure in every "
        "row. Smallest, median, largest, empty: samples per cluster when made; smallest, largest and empty over all "
        "seeds. Seeds agree: mean adjusted Rand index of the training labels of two seeds, 1 is the same clusters. "
        f"One fit: time as measured. {HOW}"
    )
    rows = [setting_row(outcome, splits) for outcome in sweep.of(name)]
    return Table(f"sweep_{name}", f"By {SWEEPS[name]}", caption, columns, rows)


def _x(outcomes: Sequence[Outcome], name: str) -> NDArray[np.float64]:
    return np.array([getattr(o.setting, name) for o in outcomes], np.float64)


def distance_chart(outcomes: Sequence[Outcome], name: str, splits: Sequence[Split], shown: Split) -> Chart:
    """Mean distance of every subset of the shown split, and of all training samples, with the spread of the seeds."""
    lines = {f"{shown.name} {subset}": (shown.name, subset) for subset in shown.subsets}
    if shown is not splits[0]:
        lines[f"{splits[0].name} {FULL}"] = (splits[0].name, FULL)
    values = {label: [MM * o.distance(*where) for o in outcomes] for label, where in lines.items()}
    singular = "; ".join(f"{label} {MM * outcomes[0].singular(*where):.0f} mm" for label, where in lines.items())
    return curves(
        _x(outcomes, name),
        {label: np.array([v.mean() for v in found]) for label, found in values.items()},
        f"distance_by_{name}",
        f"Distance to the assigned prototype by {SWEEPS[name]}",
        f"Means; the bands span the seeds. To the singular prototype: {singular}.",
        (SWEEPS[name], "mean per-vertex distance (mm)"),
        list(values),
        {label: (np.array([v.min() for v in f]), np.array([v.max() for v in f])) for label, f in values.items()},
        log=name == "k",
        ylim=(0, None),
    )


def agreement_chart(outcomes: Sequence[Outcome], name: str) -> Chart:
    """Adjusted Rand index between seeds: mean and spread over their pairs."""
    label, found = "two seeds", [np.array(o.agreement or [np.nan]) for o in outcomes]
    return curves(
        _x(outcomes, name),
        {label: np.array([f.mean() for f in found])},
        f"agreement_by_{name}",
        f"Do two seeds find the same clusters, by {SWEEPS[name]}",
        "Adjusted Rand index of the training labels; 1: the same clusters, 0: no more alike than by chance. The band "
        "spans all pairs of seeds." + ("" if outcomes[0].agreement else " One seed has no pairs: nothing to show."),
        (SWEEPS[name], "adjusted Rand index"),
        [label],
        {label: (np.array([f.min() for f in found]), np.array([f.max() for f in found]))},
        log=name == "k",
        ylim=(min(0.0, *(float(f.min()) for f in found)) if outcomes[0].agreement else 0.0, 1.0),
    )


def sizes_chart(outcomes: Sequence[Outcome], name: str) -> Chart:
    """Cluster sizes of each setting's first seed, largest first."""
    first = {f"K = {o.setting.k}" if name == "k" else f"limbs {o.setting.limbs:g}": o.sizes()[0] for o in outcomes}
    return ranked_sizes(
        first,
        "cluster_sizes",
        "Samples per cluster",
        f"Clusters of the first seed (seed {outcomes[0].runs[0]['seed']}) in falling order, both axes logarithmic. "
        "Empty clusters are not drawn.",
        ("rank of the cluster", "samples"),
    )

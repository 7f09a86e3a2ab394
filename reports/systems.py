"""Systems on the rarity axis: errors on Full and T-x%, over distance, per action, and against a baseline.

In: ``Distances`` and one ``Errors`` per system; out: tables and charts. Called by ``tail`` when there are predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.distances import Distances, reduction
from hmrtk.reports.figures import Chart, curves
from hmrtk.reports.published_rows import PublishedValue
from hmrtk.reports.tables import Column, Table
from hmrtk.toolkit.evaluation.metrics import Errors
from hmrtk.toolkit.evaluation.tail import Bins, balanced_mean, bootstrap_mean, equal_count_bins

DISTANCE_BINS = 10
MEASURED = "measured"
_INTERVAL = "95 % bootstrap interval, whole sequences drawn"

Array = NDArray[Any]


def result_table(
    distances: Distances,
    errors: Mapping[str, Errors],
    groups: Array,
    seed: int,
    protocol: str,
    published: Sequence[PublishedValue] = (),
) -> Table:
    """One row per system and subset; ``groups`` (N,) are the sequences that the bootstrap draws whole."""
    columns = [
        Column("system", "System"),
        Column("source", "Source"),
        Column("subset", "Subset"),
        Column("samples", "Samples"),
        Column("pve", "MPVPE", "mm", 1),
        Column("low", "from", "mm", 1),
        Column("high", "to", "mm", 1),
        Column("mpjpe", "MPJPE", "mm", 1),
        Column("pa_mpjpe", "PA-MPJPE", "mm", 1),
        Column("balanced", "Balanced MPVPE", "mm", 1),
    ]
    rows: list[dict[str, Any]] = []
    for subset, index in distances.subsets.items():
        for system, error in errors.items():
            _, low, high = bootstrap_mean(error.pve[index], seed, groups[index])
            balanced = balanced_mean(error.pve, distances.singular) if subset == "Full" else None
            place = {"system": system, "source": MEASURED, "subset": subset, "samples": len(index)}
            rows.append({**place, **error.summary(index), "low": low, "high": high, "balanced": balanced})
        rows += _published_rows(published, subset)
    caption = (
        f"{protocol} MPVPE (= PVE) with its {_INTERVAL}. Balanced: mean over 100 equally wide bins of distance to the "
        "singular prototype, so that rare poses count as much as common ones."
    )
    if published:
        caption += (
            " Rows marked “published” are copied from the named paper, not measured here, and follow its protocol."
        )
    return Table("results", "Errors on all samples and on the tail", caption, columns, rows)


def _published_rows(published: Sequence[PublishedValue], subset: str) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for value in published:
        if value.subset == subset:
            row = {"system": value.system, "source": f"published: {value.paper}", "subset": subset}
            rows.setdefault(value.system, row)[value.metric] = value.value
    return list(rows.values())


def difference_table(
    distances: Distances, errors: Mapping[str, Errors], baseline: str, groups: Array, seed: int, protocol: str
) -> Table:
    """How much lower each system's MPVPE is than the baseline's, sample by sample."""
    columns = [
        Column("system", "System"),
        Column("subset", "Subset"),
        Column("baseline", f"{baseline} MPVPE", "mm", 1),
        Column("pve", "MPVPE", "mm", 1),
        Column("reduction", "Error reduction", "mm", 1),
        Column("low", "from", "mm", 1),
        Column("high", "to", "mm", 1),
        Column("percent", "Reduction", "%", 1),
    ]
    rows: list[dict[str, Any]] = []
    base = errors[baseline].pve
    for subset, index in distances.subsets.items():
        for system, error in errors.items():
            if system != baseline:
                mean, low, high = bootstrap_mean((base - error.pve)[index], seed, groups[index])
                before, after = float(base[index].mean()), float(error.pve[index].mean())
                place = {"system": system, "subset": subset, "baseline": before, "pve": after}
                rows.append({**place, "reduction": mean, "low": low, "high": high, "percent": reduction(before, after)})
    caption = f"{protocol} Positive: better than {baseline}. Paired by sample, with the {_INTERVAL}."
    return Table("differences", f"Error reduction against {baseline}", caption, columns, rows)


def curve_table(distances: Distances, errors: Mapping[str, Errors], protocol: str) -> Table:
    """MPVPE of each system per bin of distance to the singular prototype (PM-Net Fig. 1 (b))."""
    bins = equal_count_bins(distances.singular, DISTANCE_BINS)
    columns = [
        Column("bin", "Bin"),
        Column("from", "From", "mm", 1),
        Column("to", "To", "mm", 1),
        Column("samples", "Samples"),
        Column("distance", "Mean distance", "mm", 1),
    ]
    columns += [Column(f"pve {system}", system, "mm", 1) for system in errors]
    centre = bins.means(distances.singular)
    means = {system: bins.means(error.pve) for system, error in errors.items()}
    rows = []
    for b, count in enumerate(bins.count):
        row = {
            "bin": b + 1,
            "from": bins.edges[b],
            "to": bins.edges[b + 1],
            "samples": int(count),
            "distance": centre[b],
        }
        rows.append({**row, **{f"pve {system}": mean[b] for system, mean in means.items()}})
    caption = f"MPVPE per bin of distance to the singular prototype; bins of equal count. {protocol}"
    return Table("error_over_distance", "Error over distance", caption, columns, rows)


def per_action_table(distances: Distances, errors: Mapping[str, Errors], protocol: str) -> Table:
    """MPVPE and MPJPE of each system per action, farthest actions first."""
    names, index = np.unique(distances.action, return_inverse=True)
    counts = np.bincount(index)
    columns = [
        Column("action", "Action"),
        Column("samples", "Samples"),
        Column("singular", "Distance to singular", "mm", 1),
    ]
    far = np.bincount(index, distances.singular) / counts
    rows: list[dict[str, Any]] = [
        {"action": str(n), "samples": int(c), "singular": d} for n, c, d in zip(names, counts, far, strict=True)
    ]
    for system, error in errors.items():
        for metric, label in (("pve", "MPVPE"), ("mpjpe", "MPJPE")):
            columns.append(Column(f"{metric} {system}", f"{system} {label}", "mm", 1))
            for row, mean in zip(rows, np.bincount(index, getattr(error, metric)) / counts, strict=True):
                row[f"{metric} {system}"] = mean
    rows.sort(key=lambda row: -row["singular"])
    return Table("errors_per_action", "Errors per action", f"{protocol} Farthest actions first.", columns, rows)


def system_charts(
    distances: Distances, errors: Mapping[str, Errors], baseline: str | None, groups: Array, seed: int, protocol: str
) -> list[Chart]:
    """Error over distance; with a baseline also the error reduction over distance (PM-Net Fig. 5)."""
    bins = equal_count_bins(distances.singular, DISTANCE_BINS)
    centre = bins.means(distances.singular)
    charts = [
        curves(
            centre,
            {system: bins.means(error.pve) for system, error in errors.items()},
            "error_over_distance",
            "Error over distance to the singular prototype",
            f"MPVPE per bin of distance (bins of equal count; as PM-Net Fig. 1 (b)). Bands: {_INTERVAL}. {protocol}",
            ("mean per-vertex distance to the singular prototype (mm)", "MPVPE (mm)"),
            list(errors),
            {system: _interval(bins, error.pve, groups, seed) for system, error in errors.items()},
        )
    ]
    if baseline is not None and len(errors) > 1:
        gains = {system: errors[baseline].pve - error.pve for system, error in errors.items() if system != baseline}
        charts.append(
            curves(
                centre,
                {system: bins.means(gain) for system, gain in gains.items()},
                "error_reduction",
                f"Error reduction against {baseline}",
                f"MPVPE of {baseline} minus MPVPE of the system, per bin of distance (as PM-Net Fig. 5); above 0 is "
                f"better. Bands: {_INTERVAL}, paired by sample. {protocol}",
                ("mean per-vertex distance to the singular prototype (mm)", "error reduction (mm)"),
                list(errors),
                {system: _interval(bins, gain, groups, seed) for system, gain in gains.items()},
                zero=True,
            )
        )
    return charts


def _interval(bins: Bins, values: Array, groups: Array, seed: int) -> tuple[Array, Array]:
    rows = [np.flatnonzero(bins.index == b) for b in range(len(bins.count))]
    intervals = [bootstrap_mean(values[r], seed, groups[r], resamples=300)[1:] for r in rows]
    low, high = np.array(intervals).T
    return low, high

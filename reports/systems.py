"""Systems on the rarity axis: errors on Full and T-x%, against a baseline, and over distance (PM-Net Fig. 1 b, Fig. 5).

In: a ``Measurement``; out: tables and charts. Called by ``error_sections`` when there are predictions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.distances import reduction
from hmrtk.reports.figures import Chart, curves
from hmrtk.reports.measured import Measurement
from hmrtk.reports.significance import LEVEL, compare, holm, verdict
from hmrtk.reports.tables import Column, Table
from hmrtk.toolkit.evaluation.tail import Bins, balanced_mean, bootstrap_mean, equal_count_bins, equal_width_bins

DISTANCE_BINS = 10
FEWEST = 5
"""Samples below which a bin has no interval: means of so few say nothing."""
METRIC_NAMES = {"pve": "MPVPE", "mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE"}
_AXIS = "mean per-vertex distance to the singular prototype (mm)"

Array = NDArray[Any]


def result_table(measured: Measurement) -> Table:
    """One row per system and subset."""
    columns = [
        Column("system", "System"),
        Column("subset", "Subset"),
        Column("samples", "Samples"),
        Column("pve", "MPVPE", "mm", 1),
        Column("low", "from", "mm", 1),
        Column("high", "to", "mm", 1),
        Column("mpjpe", "MPJPE", "mm", 1),
        Column("pa_mpjpe", "PA-MPJPE", "mm", 1),
        Column("balanced", "Balanced MPVPE", "mm", 1),
        Column("pve_s", "PVE-S", "mm", 1),
        Column("pve_p", "PVE-P", "mm", 1),
    ]
    rows: list[dict[str, Any]] = []
    for subset, index in measured.distances.every_subset.items():
        for name, system in measured.systems.items():
            pve = system.errors.pve
            _, low, high = bootstrap_mean(pve[index], measured.seed, measured.groups.index[index])
            whole = {"balanced": balanced_mean(pve, measured.distances.singular), **system.parts}
            place = {"system": name, "subset": subset, "samples": len(index)}
            means = system.errors.summary(index)
            rows.append({**place, **means, "low": low, "high": high, **(whole if subset == "Full" else {})})
    return Table("results", "Errors on all samples and on the tail", _result_caption(measured), columns, rows)


def _result_caption(measured: Measurement) -> str:
    some = max((len(system.part_rows) for system in measured.systems.values()), default=0)
    drawn = f" PVE-S and PVE-P: over {some:,} samples, spread evenly." if some < len(measured.records) else ""
    return (
        f"{measured.how} MPVPE (= PVE) with its {measured.interval}. Balanced: mean over 100 equally wide bins of "
        "distance to the singular prototype, so that rare poses count as much as common ones. PVE-S: shapes alone, in "
        f"the rest pose; PVE-P: poses alone, with the mean shape; roots as in the protocol (DaNet §5.2).{drawn}"
    )


def difference_table(measured: Measurement) -> Table:
    """How much lower each system's errors are than the baseline's, sample by sample, and whether that is chance."""
    columns = [
        Column("system", "System"),
        Column("subset", "Subset"),
        Column("metric", "Metric"),
        Column("baseline", f"{measured.baseline}", "mm", 1),
        Column("value", "System's", "mm", 1),
        Column("reduction", "Error reduction", "mm", 1),
        Column("low", "from", "mm", 1),
        Column("high", "to", "mm", 1),
        Column("percent", "Reduction", "%", 1),
        Column("p", "p", "", 4),
        Column("corrected", "p, corrected", "", 4),
        Column("verdict", "Verdict"),
    ]
    rows = [
        _difference(measured, name, subset, metric)
        for subset in measured.distances.every_subset
        for name in measured.rivals
        for metric in METRIC_NAMES
    ]
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row |= {"corrected": p, "verdict": verdict(row["reduction"], p)}
    caption = (
        f"{measured.how} Positive: better than {measured.baseline}. Paired by sample, with the {measured.interval}. "
        "p: two-sided sign-flip test in which each of these changes its sign as a whole; corrected after Holm for the "
        f"{len(rows)} comparisons of this table. Better or worse: corrected p below {LEVEL:g}."
    )
    return Table("differences", f"Error reduction against {measured.baseline}", caption, columns, rows)


def _difference(measured: Measurement, name: str, subset: str, metric: str) -> dict[str, Any]:
    index = measured.distances.every_subset[subset]
    before, after = (getattr(measured.errors[n], metric)[index] for n in (str(measured.baseline), name))
    found = compare(before, after, measured.groups.index[index], measured.seed)
    means = float(before.mean()), float(after.mean())
    place = {"system": name, "subset": subset, "metric": METRIC_NAMES[metric], "baseline": means[0], "value": means[1]}
    interval = {"reduction": found.mean, "low": found.low, "high": found.high, "percent": reduction(*means)}
    return {**place, **interval, "p": found.p, "sequences": found.groups}


def distance_bins(measured: Measurement, equal: str) -> Bins:
    """Samples by distance to the singular prototype; ``equal`` is ``count`` or ``width``."""
    make = equal_count_bins if equal == "count" else equal_width_bins
    return make(measured.distances.singular, DISTANCE_BINS)


def curve_table(measured: Measurement, equal: str) -> Table:
    """MPVPE of each system per bin of distance (PM-Net Fig. 1 b), and what it is lower than the baseline's (Fig. 5)."""
    bins = distance_bins(measured, equal)
    columns = [
        Column("bin", "Bin"),
        Column("from", "From", "mm", 1),
        Column("to", "To", "mm", 1),
        Column("samples", "Samples"),
        Column("distance", "Mean distance", "mm", 1),
    ]
    columns += [Column(f"pve {name}", name, "mm", 1) for name in measured.systems]
    columns += [Column(f"reduction {name}", f"{name}: reduction", "mm", 1) for name in measured.rivals]
    means = {name: bins.means(error.pve) for name, error in measured.errors.items()}
    centre, rows = bins.means(measured.distances.singular), []
    for b, count in enumerate(bins.count):
        edges = {"from": bins.edges[b], "to": bins.edges[b + 1], "samples": int(count), "distance": centre[b]}
        gains = {f"reduction {name}": means[str(measured.baseline)][b] - means[name][b] for name in measured.rivals}
        rows.append({"bin": b + 1, **edges, **{f"pve {name}": mean[b] for name, mean in means.items()}, **gains})
    against = f" Reduction: MPVPE of {measured.baseline} minus the system's." if measured.rivals else ""
    caption = f"MPVPE per bin of distance to the singular prototype; bins of equal {equal}.{against} {measured.how}"
    name = "error_over_distance" + _ending(equal)
    return Table(name, f"Error over distance, bins of equal {equal}", caption, columns, rows)


def distance_chart(measured: Measurement, equal: str) -> Chart:
    """Error against distance, a line per system (PM-Net Fig. 1 b)."""
    values = {name: error.pve for name, error in measured.errors.items()}
    caption = (
        f"MPVPE per bin of distance (bins of equal {equal}; as PM-Net Fig. 1 (b)). Bands: {measured.interval}. "
        f"{measured.how}"
    )
    title = "Error over distance to the singular prototype"
    return _curves(measured, equal, values, ("error_over_distance", title, caption, "MPVPE (mm)"), zero=False)


def reduction_chart(measured: Measurement, equal: str) -> Chart:
    """Error reduction against the baseline over distance, a line per other system (PM-Net Fig. 5)."""
    base = measured.errors[str(measured.baseline)].pve
    values = {name: base - measured.errors[name].pve for name in measured.rivals}
    caption = (
        f"MPVPE of {measured.baseline} minus MPVPE of the system, per bin of distance (bins of equal {equal}; as "
        f"PM-Net Fig. 5); above 0 is better. Bands: {measured.interval}, paired by sample. {measured.how}"
    )
    title = f"Error reduction against {measured.baseline}"
    return _curves(measured, equal, values, ("error_reduction", title, caption, "error reduction (mm)"), zero=True)


def _curves(
    measured: Measurement, equal: str, values: dict[str, Array], words: tuple[str, str, str, str], zero: bool
) -> Chart:
    bins = distance_bins(measured, equal)
    filled = np.flatnonzero(bins.count)
    name, title, caption, label = words
    return curves(
        bins.means(measured.distances.singular)[filled],
        {system: bins.means(value)[filled] for system, value in values.items()},
        name + _ending(equal),
        f"{title}, bins of equal {equal}",
        caption,
        (_AXIS, label),
        list(measured.systems),
        {system: _intervals(measured, bins, filled, value) for system, value in values.items()},
        zero=zero,
    )


def _ending(equal: str) -> str:
    return "" if equal == "count" else f"_{equal}"


def _intervals(measured: Measurement, bins: Bins, filled: Array, values: Array) -> tuple[Array, Array]:
    """Low and high of each filled bin's mean; NaN for bins with few samples."""
    found = []
    for b in filled:
        rows = np.flatnonzero(bins.index == b)
        few = len(rows) < FEWEST
        groups = measured.groups.index[rows]
        found.append(
            (np.nan, np.nan) if few else bootstrap_mean(values[rows], measured.seed, groups, resamples=300)[1:]
        )
    low, high = np.array(found, np.float64).T
    return low, high

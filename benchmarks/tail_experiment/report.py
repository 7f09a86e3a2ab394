"""The tables and figures of the experiment, from the rows that ``run.py`` wrote. Trains nothing.

Run ``python benchmarks/tail_experiment/report.py``. It reads ``reports/results/tail_experiment/seed*.parquet`` and
writes ``tables.md``, ``summary.json`` and figures beside them. Of the attempts to make the memory pay, the one with the
least error on the validation rows' T-10 % is chosen, and only its test numbers are written.

Differences are paired by row and seed. Intervals: whole clips are drawn (10 000 times), and within each draw whole
seeds, so they hold what changes with the clip and with the seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from arms import ARMS, AUXILIARY, BASELINE, HEADLINE, MEAN_BODY, STAGE_ONE
from numpy.typing import NDArray
from run import RESULTS, ROWS

from hmrtk.reports.figures import curves
from hmrtk.reports.published_rows import published_tables
from hmrtk.toolkit.evaluation.tail import balanced_mean, equal_count_bins, tail_subset
from hmrtk.toolkit.records.artefact import write_bytes

Array = NDArray[Any]
DRAWS = 10_000
BINS = 12
TAILS = (5.0, 10.0)
PAPER_TABLES = (
    ("II", "kinds of memory, K = 10", {BASELINE: "SPIN", "naive-10": "Naive K-Means", "random-10": "Random Select",
                                       "3dh-10": "3DH K-Means", "p3dh-10": "P3DH K-Means"}, ("full",)),
    ("IV", "tail classes", {BASELINE: "SPIN", "p3dh-10": "PM-Net"}, ("T 5", "T 10")),
    ("V", "number of prototypes", {"p3dh-10": "K = 10", "p3dh-50": "K = 50"}, ("full", "T 5", "T 10")),
)  # fmt: skip
"""Number, title, arm → the paper's row, subsets. Its rows of other limb weights were not trained."""


class Results:
    """All seeds of one split: columns by name, and errors as (seeds, rows)."""

    def __init__(self, folder: Path, split: str) -> None:
        paths = sorted(folder.glob("seed*.parquet"))
        if not paths:
            raise SystemExit(f"{folder}: no seed*.parquet; run run.py first")
        inside = np.array(pq.read_table(folder / ROWS)["split"].to_pylist()) == split
        self.rows = columns_of(folder / ROWS, inside)
        self.columns = [columns_of(path, inside) for path in paths]
        self.distance, self.clip = self.rows["distance"], self.rows["clip"]

    def seeds(self, *arms: str) -> list[int]:
        """Seeds for which all these arms are done; the mean body is the same for all, and counts as one."""
        if arms == (MEAN_BODY,):
            return [0]
        return [s for s, c in enumerate(self.columns) if all(f"{arm}.pve" in c for arm in arms)]

    def errors(self, arm: str, seeds: list[int], metric: str = "pve") -> Array:
        """(seeds, rows) mm."""
        if arm == MEAN_BODY:
            return self.rows[f"{arm}.{metric}"].astype(np.float64)[None]
        return np.stack([self.columns[s][f"{arm}.{metric}"].astype(np.float64) for s in seeds])

    def subset(self, which: str) -> Array:
        """Rows of ``full``, of ``T-x`` by one of the two distances, or of ``head``, which are not among the T-10 %."""
        if which == "full":
            return np.arange(len(self.distance))
        if which == "head":
            return np.setdiff1d(np.arange(len(self.distance)), self.subset("T 10"))
        name, _, percent = which.partition(" ")
        axis = self.rows["distance_without_orientation"] if name == "pose" else self.distance
        return tail_subset(axis, float(percent))

    def accuracy(self, arm: str, rows: Array) -> float | None:
        """Share of rows whose chosen prototype is the nearest one, over all seeds."""
        found = [c for c in self.columns if f"{arm}.prototype" in c]
        if not found:
            return None
        return float(np.mean([(c[f"{arm}.prototype"] == c[f"{arm}.label"])[rows].mean() for c in found]))


def columns_of(path: Path, inside: Array) -> dict[str, Array]:
    """A file's columns, of some rows."""
    table = pq.read_table(path)
    return {name: np.asarray(table[name].to_pylist())[inside] for name in table.column_names}


ALIGNED = ("full", "T 10")
"""Subsets whose PA-MPJPE is shown, which orientation does not enter."""
SUBSETS = ("full", *(f"T {x:g}" for x in TAILS), *(f"pose {x:g}" for x in TAILS[1:]))
NAMES = {"full": "Full", "T 5": "T-5%", "T 10": "T-10%", "pose 10": "T-10% without orientation"}


def difference(
    results: Results, arm: str, against: str, rows: Array, metric: str = "pve", seed: int = 0
) -> dict[str, float] | None:
    """Mean difference in mm (negative: ``arm`` is better), its sd over seeds, and the 95 % interval."""
    seeds = results.seeds(arm, against)
    if not seeds:
        return None
    delta = (results.errors(arm, seeds, metric) - results.errors(against, seeds, metric))[:, rows]  # (S, R)
    _, clip = np.unique(results.clip[rows], return_inverse=True)
    sums = np.stack([np.bincount(clip, row, clip.max() + 1) for row in delta])  # (S, clips)
    sizes = np.bincount(clip).astype(float)
    rng = np.random.default_rng(seed)
    draws = np.empty(DRAWS)
    for number in range(DRAWS):
        some = rng.integers(0, len(sizes), len(sizes))
        which = rng.integers(0, len(seeds), len(seeds))
        draws[number] = sums[which][:, some].sum() / (len(seeds) * sizes[some].sum())
    low, high = np.quantile(draws, [0.025, 0.975])
    spread = float(delta.mean(axis=1).std(ddof=1)) if len(seeds) > 1 else float("nan")
    return {"mean": float(delta.mean()), "sd": spread, "low": float(low), "high": float(high), "seeds": len(seeds)}


def arm_row(results: Results, arm: str) -> dict[str, Any]:
    """One arm's numbers."""
    seeds = results.seeds(arm)
    row: dict[str, Any] = {"arm": arm, "meaning": meaning(arm), "seeds": len(seeds)}
    for which in SUBSETS:
        rows = results.subset(which)
        row[which] = spread(results.errors(arm, seeds)[:, rows])
        row[f"{which} PA-MPJPE"] = spread(results.errors(arm, seeds, "pa_mpjpe")[:, rows])
        if arm in ARMS:
            for against in {BASELINE, AUXILIARY} - {arm}:
                row[f"{which} against {against}"] = difference(results, arm, against, rows)
                aligned = difference(results, arm, against, rows, "pa_mpjpe")
                row[f"{which} PA-MPJPE against {against}"] = aligned
    row["balanced"] = float(np.mean([balanced_mean(e, results.distance) for e in results.errors(arm, seeds)]))
    row["accuracy on the head"] = results.accuracy(arm, results.subset("head"))
    row["accuracy on T-10%"] = results.accuracy(arm, results.subset("T 10"))
    if arm in ARMS and ARMS[arm].memory:
        row["distance to the nearest prototype"] = 1000 * float(results.rows[f"assigned.{ARMS[arm].prototypes}"].mean())
    return row


def meaning(arm: str) -> str:
    """What an arm is, for tables."""
    return {STAGE_ONE: "stage one alone", MEAN_BODY: "always the mean body"}.get(arm) or ARMS[arm].meaning


def spread(errors: Array) -> dict[str, float]:
    """Mean over rows and seeds, and the seeds' standard deviation, of (S, R)."""
    means = errors.mean(axis=1)
    return {"mean": float(means.mean()), "sd": float(means.std(ddof=1)) if len(means) > 1 else float("nan")}


def chosen(validation: Results) -> str | None:
    """The attempt with the least error on validation's T-10 %, among those that every seed has."""
    rows = validation.subset("T 10")
    done = [a for a in ARMS if ARMS[a].kind == "attempt" and validation.seeds(a)]
    most = max((len(validation.seeds(a)) for a in done), default=0)
    whole = [a for a in done if len(validation.seeds(a)) == most]
    return min(whole, key=lambda a: validation.errors(a, validation.seeds(a))[:, rows].mean(), default=None)


def shown(value: Any, digits: int = 1) -> str:
    """A number for a table."""
    if value is None:
        return "–"
    if isinstance(value, dict) and "low" in value:
        return f"{value['mean']:+.{digits}f} [{value['low']:+.{digits}f}, {value['high']:+.{digits}f}]"
    if isinstance(value, dict):
        return f"{value['mean']:.{digits}f}" + ("" if np.isnan(value["sd"]) else f" ± {value['sd']:.{digits}f}")
    return f"{value:.2f}" if 0 <= value <= 1 else f"{value:.{digits}f}"


def tables(test: Results, validation: Results) -> tuple[str, dict[str, Any]]:
    """The page and the numbers behind it."""
    winner = chosen(validation)
    shown_arms = [a for a in (MEAN_BODY, STAGE_ONE, *ARMS) if test.seeds(a) and (a not in ARMS or not attempt(a))]
    rows = {arm: arm_row(test, arm) for arm in [*shown_arms, *([winner] if winner else [])]}
    parts = [overview(rows), *(differences(rows, against) for against in (BASELINE, AUXILIARY))]
    headline = {f"{arm} against {other}": difference(test, arm, other, test.subset("T 10")) for arm, other in HEADLINE}
    parts.append(section("Headline comparisons, fixed beforehand: T-10%, mm", ["comparison", "difference"],
                         [[name, shown(value)] for name, value in headline.items()]))  # fmt: skip
    parts += [paper_table(rows, *table) for table in PAPER_TABLES]
    parts.append(attempts_table(validation))
    parts.append(f"Chosen there: {meaning(winner) if winner else 'none yet'}.\n")
    return "\n".join(parts), {"arms": rows, "headline": headline, "chosen": winner}


def attempt(arm: str) -> bool:
    return ARMS[arm].kind == "attempt"


def overview(rows: dict[str, Any]) -> str:
    """All arms that may be shown on test rows."""
    head = ["arm", "seeds", *(NAMES[s] for s in SUBSETS), "balanced", *(f"PA-MPJPE {NAMES[s]}" for s in ALIGNED),
            "right prototype (head / T-10%)", "mm to the assigned prototype"]  # fmt: skip
    lines = [
        [r["meaning"], str(r["seeds"]), *(shown(r[s]) for s in SUBSETS), shown(r["balanced"]),
         *(shown(r[f"{s} PA-MPJPE"]) for s in ALIGNED),
         f"{shown(r['accuracy on the head'])} / {shown(r['accuracy on T-10%'])}",
         shown(r.get("distance to the nearest prototype"))]
        for r in rows.values()
    ]  # fmt: skip
    return section("MPVPE on the test clips, mm, mean over seeds ± sd", head, lines)


def differences(rows: dict[str, Any], against: str) -> str:
    """Every arm against one."""
    lines = [
        [r["meaning"], *(shown(r[f"{s} against {against}"]) for s in SUBSETS),
         *(shown(r[f"{s} PA-MPJPE against {against}"]) for s in ALIGNED)]
        for r in rows.values()
        if r.get(f"full against {against}")
    ]  # fmt: skip
    title = f"Difference in MPVPE against “{meaning(against)}”, mm (negative: better), 95 % interval"
    return section(title, ["arm", *(NAMES[s] for s in SUBSETS), *(f"PA-MPJPE {NAMES[s]}" for s in ALIGNED)], lines)


def paper_table(
    rows: dict[str, Any], number: str, title: str, systems: dict[str, str], subsets: tuple[str, ...]
) -> str:
    """A table of PM-Net in its form, with what it prints for Human3.6M beside."""
    table = next(t for kind in ("systems", "settings") for t in published_tables(kind)
                 if (t.paper, t.number) == ("PM-Net", number))  # fmt: skip
    where = [
        next(i for i, c in enumerate(table.columns) if (c.dataset, c.subset, c.metric) == ("h36m", NAMES[s], "pve"))
        for s in subsets
    ]
    printed = {row["system"]: [f"{row['values'][i]:.1f}" for i in where] for row in table.rows}
    head = ["", *(NAMES[s] for s in subsets), *(f"published, Human3.6M {NAMES[s]}" for s in subsets)]
    lines = [
        [meaning(arm), *(shown(rows[arm][s]) for s in subsets), *printed[system]]
        for arm, system in systems.items()
        if arm in rows
    ]
    return section(f"As PM-Net's Table {number}: {title}, MPVPE in mm", head, lines)


def attempts_table(validation: Results) -> str:
    """What was tried to make the memory pay, on the rows on which one was chosen."""
    lines = []
    for arm in (BASELINE, AUXILIARY, "p3dh-10", "p3dh-50", *filter(attempt, ARMS)):
        if seeds := validation.seeds(arm):
            means = [validation.errors(arm, seeds)[:, validation.subset(s)].mean() for s in SUBSETS]
            means += [validation.errors(arm, seeds, "pa_mpjpe")[:, validation.subset(s)].mean() for s in ALIGNED]
            right = [validation.accuracy(arm, validation.subset(s)) for s in ("head", "T 10")]
            words = " / ".join(shown(value) for value in right)
            lines.append([meaning(arm), str(len(seeds)), *(f"{mean:.1f}" for mean in means), words])
    head = ["arm", "seeds", *(NAMES[s] for s in SUBSETS), *(f"PA-MPJPE {NAMES[s]}" for s in ALIGNED),
            "right prototype (head / T-10%)"]  # fmt: skip
    return section("Attempts to make the memory pay: MPVPE on the validation clips, mm", head, lines)


def section(title: str, header: list[str], rows: list[list[str]]) -> str:
    """A heading and a table."""
    lines = [header, ["---"] * len(header), *rows]
    return f"### {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def figures(test: Results, folder: Path) -> None:
    """PM-Net's Fig. 1(b) and Fig. 5 for these arms; the bands are the seeds' standard deviations."""
    bins = equal_count_bins(test.distance, BINS)
    x = 1000 * np.array([test.distance[bins.index == b].mean() for b in range(BINS)])

    def drawn(arms: list[str], values: Callable[[str], Array], zero: bool, *words: str) -> None:
        per_seed = {ARMS[a].meaning: np.stack([bins.means(row) for row in values(a)]) for a in arms}
        lines = {name: rows.mean(axis=0) for name, rows in per_seed.items()}
        bands = {n: (lines[n] - rows.std(axis=0), lines[n] + rows.std(axis=0)) for n, rows in per_seed.items()}
        name, title, label = words
        chart = curves(x, lines, name, title, "", ("mm to the mean body", label), list(lines), bands, zero=zero)
        write_bytes(folder / f"{chart.name}.png", chart.png)

    some = [a for a in (BASELINE, "p3dh-10", "p3dh-50", "label-10") if test.seeds(a)]
    words = ("error_by_distance", "Error against distance to the mean body", "MPVPE, mm")
    drawn(some, lambda a: test.errors(a, test.seeds(a)), False, *words)
    memories = [a for a in ("p3dh-10", "3dh-10", "random-10", "naive-10") if test.seeds(a, BASELINE)]

    def reduction(arm: str) -> Array:
        seeds = test.seeds(arm, BASELINE)
        return test.errors(BASELINE, seeds) - test.errors(arm, seeds)

    if memories:
        words = ("reduction_by_distance", "Error reduction against the single prototype", "mm less than the baseline")
        drawn(memories, reduction, True, *words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    folder = parser.parse_args().results
    test, validation = Results(folder, "test"), Results(folder, "val")
    page, summary = tables(test, validation)
    write_bytes(folder / "tables.md", page.encode())
    write_bytes(folder / "summary.json", json.dumps(summary, indent=2).encode())
    figures(test, folder)
    print(page)


if __name__ == "__main__":
    main()

"""The report's sentences: what its numbers say, in words. Called by ``tail``."""

from __future__ import annotations

from hmrtk.reports.distances import HOW, Distances, assigned_name, saved
from hmrtk.reports.measured import Measurement
from hmrtk.reports.tables import Table
from hmrtk.toolkit.evaluation.metrics import Errors
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet


def method_of(prototypes: PrototypeSet) -> str:
    """How a set was made; ``given`` when it does not say."""
    return str(prototypes.metadata.get("method", "given"))


def distance_sentences(distances: Distances) -> list[str]:
    """How far one prototype and many are from all samples and from each tail."""
    whole = float(distances.singular.mean()), float(distances.assigned.mean())
    lines = [
        f"A regressor that starts from one mean body has {whole[0]:.0f} mm to go on average; from "
        f"{assigned_name(distances.k)} it has {whole[1]:.0f} mm ({saved(*whole)}). {HOW}"
    ]
    for name, rows in distances.tails.items():
        before, after = float(distances.singular[rows].mean()), float(distances.assigned[rows].mean())
        times = f", {before / whole[0]:.1f} times that of all samples" if whole[0] > 0 else ""
        lines.append(
            f"{name}: {len(rows):,} samples, all at least {distances.singular[rows].min():.0f} mm from the singular "
            f"prototype. Mean distance {before:.0f} mm{times}; to the assigned prototype {after:.0f} mm "
            f"({saved(before, after)})."
        )
    return lines


def action_sentences(distances: Distances, actions: Table) -> list[str]:
    """Which actions the narrowest tail has more of, and how many it lacks."""
    tail = distances.narrowest
    over = sorted((r for r in actions.rows if r[f"ratio {tail}"] > 1), key=lambda r: -r[f"ratio {tail}"])[:3]
    absent = [r["action"] for r in actions.rows if r[f"share {tail}"] == 0]
    lines = []
    if over:
        named = ", ".join(f"{r['action']} ({r[f'ratio {tail}']:.1f} times)" for r in over)
        lines.append(f"Most over-represented in {tail}, compared with their share of all samples: {named}.")
    if absent:
        lines.append(f"{len(absent)} of {len(actions.rows)} actions have no sample in {tail}.")
    return lines


def cluster_sentences(clusters: Table, prototypes: PrototypeSet) -> list[str]:
    """How the prototypes were made and how evenly they are used."""
    largest = clusters.rows[0]
    empty = sum(row["samples"] == 0 for row in clusters.rows)
    text = f"Method: {method_of(prototypes)}. The largest cluster holds {largest['share']:.1f} % of the samples."
    return [text + (f" {empty} prototypes have no sample of this data set." if empty else "")]


def error_sentence(name: str, error: Errors, distances: Distances) -> str:
    """How much larger one system's error is on the narrowest tail."""
    tail = distances.narrowest
    whole, rare = float(error.pve.mean()), float(error.pve[distances.tails[tail]].mean())
    change = f", {100 * (rare / whole - 1):+.0f} %" if whole > 0 else ""
    return f"{name}: MPVPE {whole:.1f} mm on all samples, {rare:.1f} mm on {tail}{change}."


def difference_sentences(differences: Table, measured: Measurement) -> list[str]:
    """What each system gains on all samples and on the narrowest tail, and whether that is more than chance."""
    lines = []
    for name in measured.rivals:
        parts = []
        for subset in ("Full", measured.distances.narrowest):
            row = next(
                r for r in differences.rows if (r["system"], r["subset"], r["metric"]) == (name, subset, "MPVPE")
            )
            way = "lower" if row["reduction"] >= 0 else "higher"
            interval = f"{row['low']:+.1f} to {row['high']:+.1f}"
            parts.append(
                f"{abs(row['reduction']):.1f} mm {way} on {'all samples' if subset == 'Full' else subset} "
                f"(reduction {interval} mm; {row['verdict']})"
            )
        lines.append(f"{name} against {measured.baseline}: MPVPE {', '.join(parts)}.")
    return lines

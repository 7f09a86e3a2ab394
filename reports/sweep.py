"""``build_sweep_report``: how far samples are from their prototypes for each K and each limb weight, as a page, tables,
pictures and JSON.

In: a finished ``prototypes.sweep.Sweep``; out: a folder with ``index.html``, ``sweep.csv``, ``sweep.md``,
``sweep.json``, ``tables/`` and ``figures/``. PM-Net's Table V stands beside it, marked as published. ``cli.sweep``
calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.reports.distances import HOW, MM, reduction, saved
from hmrtk.reports.document import Document, Section
from hmrtk.reports.figures import Chart, curves, ranked_sizes
from hmrtk.reports.published_rows import published_tables
from hmrtk.reports.tables import Column, Table, plain
from hmrtk.toolkit.prototypes.sweep import FULL, Outcome, Split, Sweep
from hmrtk.toolkit.records.artefact import write_bytes, write_json

KIND = "hmrtk.sweep"
SCHEMA_VERSION = 1

SWEEPS = {"k": "number of prototypes K", "limbs": "weight of the limbs"}


def build_sweep_report(
    sweep: Sweep, splits: Sequence[Split], dataset: str, out: Path, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the report of one sweep.

    Args:
        sweep: its outcomes.
        splits: what was measured: the training bodies, then those held out.
        dataset: name for the title.
        out: folder; finished fits below ``runs/`` are left alone.
        provenance: of the artefact (``records.artefact.provenance``).

    Returns:
        What ``sweep.json`` holds: every number on the page.

    Raises:
        OutputError: the folder cannot be written.
    """
    shown = shown_split(splits)
    table = full_table(sweep, splits)
    sections = [_sweep_section(sweep, name, splits, shown) for name in SWEEPS if sweep.of(name)]
    sections.append(_clusters_section(sweep))
    sections.append(_published_section())
    document = Document(
        f"Prototype sweep: {dataset}",
        _lead(sweep, splits),
        _facts(sweep, shown),
        sections,
        {**_details(sweep, splits), "Provenance": dict(provenance)},
        "sweep.json",
    )
    document.write(out)
    write_bytes(out / "sweep.csv", table.to_csv().encode())
    write_bytes(out / "sweep.md", _markdown(document, sweep).encode())
    report = plain(
        {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "dataset": dataset,
            "shown_split": shown.name,
            "splits": {s.name: {"samples": len(s.parameters), "records": s.fingerprint} for s in splits},
            "config": sweep.config.to_json(),
            "notes": list(sweep.notes),
            "fitted": sweep.fitted,
            "reused": sweep.reused,
            "settings": list(table.rows),
            "provenance": dict(provenance),
            **document.to_json(),
        }
    )
    write_json(out / "sweep.json", report)
    return report


def shown_split(splits: Sequence[Split]) -> Split:
    """The split that charts and sentences are about: ``test``, else ``val``, else another held out, else training."""
    held_out = {split.name: split for split in splits[1:]}
    return held_out.get("test") or held_out.get("val") or next(iter(held_out.values()), splits[0])


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
        Column("smallest", "Smallest cluster"),
        Column("median", "Median cluster", "", 0),
        Column("largest", "Largest cluster"),
        Column("empty", "Empty"),
        Column("ari", "Agreement of seeds", "ARI", 2),
        Column("iterations", "Iterations", "", 0),
        Column("seconds", "Time of one fit", "s", 1),
    ]


def _sweep_table(sweep: Sweep, name: str, splits: Sequence[Split], shown: Split) -> Table:
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
        "row. Clusters: samples when made; smallest, largest and empty over all seeds. Agreement: mean adjusted Rand "
        f"index of the training labels of two seeds, 1 is the same clusters. Time: as measured, one fit. {HOW}"
    )
    rows = [setting_row(outcome, splits) for outcome in sweep.of(name)]
    return Table(f"sweep_{name}", f"By {SWEEPS[name]}", caption, columns, rows)


def _sweep_section(sweep: Sweep, name: str, splits: Sequence[Split], shown: Split) -> Section:
    outcomes = sweep.of(name)
    text = [_change(outcomes, name, shown)]
    if name == "k":
        text.append(
            "Distances fall with every prototype that is added, so they alone never say stop. What speaks against a "
            "large K is below: clusters with too few samples to train a regressor on (PM-Net IV-D), and clusters that "
            "change with the seed."
        )
    else:
        text.append(
            "Both measures have a favourite: plain distances count all vertices alike and favour a limb weight near "
            "the other weights, γ counts limbs five times before squaring and favours 5. PM-Net chose 5 by the error "
            "of the trained network."
        )
    return Section(
        name, f"By {SWEEPS[name]}", text,
        [_distance_chart(outcomes, name, splits, shown), _agreement_chart(outcomes, name),
         _sweep_table(sweep, name, splits, shown)],
    )  # fmt: skip


def _change(outcomes: Sequence[Outcome], name: str, shown: Split) -> str:
    """First against last setting, on every subset."""
    parts = []
    for subset in shown.subsets:
        before, after = (MM * float(o.distance(shown.name, subset).mean()) for o in (outcomes[0], outcomes[-1]))
        singular = MM * outcomes[0].singular(shown.name, subset)
        parts.append(f"{subset}: {singular:.0f} mm to the singular prototype, {before:.0f} → {after:.0f} mm")
    first, last = (getattr(o.setting, name) for o in (outcomes[0], outcomes[-1]))
    what = f"K = {first} → {last}" if name == "k" else f"Limb weight {first:g} → {last:g}"
    return f"{what}, {shown.name} split. {'; '.join(parts)}."


def _x(outcomes: Sequence[Outcome], name: str) -> np.ndarray:
    return np.array([getattr(o.setting, name) for o in outcomes], np.float64)


def _axis(name: str) -> str:
    return "number of prototypes K" if name == "k" else "weight of the limbs"


def _distance_chart(outcomes: Sequence[Outcome], name: str, splits: Sequence[Split], shown: Split) -> Chart:
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
        (_axis(name), "mean per-vertex distance (mm)"),
        list(values),
        {label: (np.array([v.min() for v in f]), np.array([v.max() for v in f])) for label, f in values.items()},
        log=name == "k",
        ylim=(0, None),
    )


def _agreement_chart(outcomes: Sequence[Outcome], name: str) -> Chart:
    label, found = "two seeds", [np.array(o.agreement or [np.nan]) for o in outcomes]
    return curves(
        _x(outcomes, name),
        {label: np.array([f.mean() for f in found])},
        f"agreement_by_{name}",
        f"Do two seeds find the same clusters, by {SWEEPS[name]}",
        "Adjusted Rand index of the training labels; 1: the same clusters, 0: no more alike than by chance. The band "
        "spans all pairs of seeds." + ("" if outcomes[0].agreement else " One seed has no pairs: nothing to show."),
        (_axis(name), "adjusted Rand index"),
        [label],
        {label: (np.array([f.min() for f in found]), np.array([f.max() for f in found]))},
        log=name == "k",
        ylim=(min(0.0, *(float(f.min()) for f in found)) if outcomes[0].agreement else 0.0, 1.0),
    )


def _clusters_section(sweep: Sweep) -> Section:
    name = "k" if sweep.of("k") else "limbs"
    outcomes = sweep.of(name)
    sizes = {(f"K = {o.setting.k}" if name == "k" else f"limbs {o.setting.limbs:g}"): o.sizes()[0] for o in outcomes}
    last = outcomes[-1]
    first_seed = last.sizes()[0]
    few = int((first_seed < FEW).sum())
    text = [
        f"At {list(sizes)[-1]}, {few} of {len(first_seed)} clusters hold fewer than {FEW} samples; the median cluster "
        f"holds {np.median(first_seed):.0f}, the largest {first_seed.max()}."
    ]
    chart = ranked_sizes(
        sizes,
        "cluster_sizes",
        "Samples per cluster",
        f"Clusters of the first seed (seed {last.runs[0]['seed']}) in falling order, both axes logarithmic. Empty "
        "clusters are not drawn.",
        ("rank of the cluster", "samples"),
    )
    return Section("clusters", "How samples spread over the clusters", text, [chart])


FEW = 20
"""Samples below which a cluster is called small in the text."""


def _published_section() -> Section:
    text = [
        "Copied from the paper, for orientation: errors of the trained network on other data, not distances to "
        "prototypes, so the rows cannot be compared number by number. None of these numbers was measured here."
    ]
    tables = [table.to_table() for table in published_tables("settings")]
    return Section("published", "PM-Net's Table V (published, not measured here)", text, tables)


def _lead(sweep: Sweep, splits: Sequence[Split]) -> str:
    train = splits[0]
    held_out = ", ".join(f"{len(s.parameters):,} ({s.name})" for s in splits[1:])
    fits = sum(len(o.runs) for o in sweep.outcomes)
    return (
        f"{len(sweep.outcomes)} settings of {sweep.config.base.method} on {len(train.parameters):,} samples "
        f"({train.name}), {fits} fits; {'measured also on ' + held_out if held_out else 'nothing held out'}."
    )


def _facts(sweep: Sweep, shown: Split) -> list[tuple[str, str]]:
    outcomes = sweep.of("k") or sweep.of("limbs")
    default = next((o for o in outcomes if o.setting.k == sweep.config.limb_k), outcomes[-1])
    tail = list(shown.subsets)[-1]
    facts = []
    for subset in dict.fromkeys((FULL, tail)):
        before = MM * default.singular(shown.name, subset)
        after = MM * float(default.distance(shown.name, subset).mean())
        facts.append((f"{before:.0f} mm", f"{shown.name} {subset}: to the singular prototype"))
        facts.append((f"{after:.0f} mm", f"{shown.name} {subset}: to the nearest of {default.setting.k} prototypes "
                      f"({saved(before, after)})"))  # fmt: skip
    if default.agreement:
        facts.append((f"{np.mean(default.agreement):.2f}", f"agreement of two seeds at K = {default.setting.k} (ARI)"))
    return facts


def _details(sweep: Sweep, splits: Sequence[Split]) -> dict[str, Any]:
    base = sweep.config.base
    return {
        **{f"Records, {s.name}": f"{len(s.parameters):,} rows, {s.fingerprint}" for s in splits},
        "Method": f"{base.method}, {base.init} start, tol {base.tol:g}, at most {base.max_iter} iterations",
        "Other part weights": {name: w for name, w in base.weights.items() if name != "limbs"},
        "Seeds": f"{sweep.config.seeds}, from {base.seed}",
        "T-x%": "the x % of a split's samples farthest from the singular prototype, the mean of the training bodies",
        "Distance": HOW,
        **({"Left out": "; ".join(sweep.notes)} if sweep.notes else {}),
    }


def _markdown(document: Document, sweep: Sweep) -> str:
    """All tables of the page, one after the other."""
    parts = [f"# {document.title}", document.lead, *(f"Note: {note}." for note in sweep.notes)]
    return "\n\n".join([*parts, *(table.to_markdown().strip() for table in document.blocks(Table))]) + "\n"

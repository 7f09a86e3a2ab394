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

from hmrtk.reports.distances import HOW, MM, saved
from hmrtk.reports.document import Document, Section
from hmrtk.reports.published_rows import published_tables
from hmrtk.reports.settings import SWEEPS, agreement_chart, distance_chart, full_table, sizes_chart, sweep_table
from hmrtk.reports.tables import Table, plain
from hmrtk.toolkit.prototypes.sweep import FULL, Outcome, Split, Sweep
from hmrtk.toolkit.records.artefact import write_bytes, write_json

KIND = "hmrtk.sweep"
SCHEMA_VERSION = 1

FEW = 20
"""Samples below which a cluster is called small in the text."""


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


def _sweep_section(sweep: Sweep, name: str, splits: Sequence[Split], shown: Split) -> Section:
    outcomes = sweep.of(name)
    text = [_change(outcomes, name, shown), *(_k_text if name == "k" else _limbs_text)(outcomes, splits, shown)]
    return Section(
        name, f"By {SWEEPS[name]}", text,
        [distance_chart(outcomes, name, splits, shown), agreement_chart(outcomes, name),
         sweep_table(sweep, name, splits, shown)],
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


def _k_text(outcomes: Sequence[Outcome], splits: Sequence[Split], shown: Split) -> list[str]:
    """What distances do not say about K."""
    text = [
        "Distances fall with every prototype that is added, so they alone never say stop. What speaks against a large "
        "K is below: clusters with too few samples to train a regressor on (PM-Net IV-D), and clusters that change "
        "with the seed."
    ]
    if shown is not splits[0] and len(outcomes) > 1:
        gaps = [
            MM * float((o.distance(shown.name, FULL) - o.distance(splits[0].name, FULL)).mean())
            for o in (outcomes[0], outcomes[-1])
        ]
        text.append(
            f"From the first K to the last, the {shown.name} split goes from {gaps[0]:.0f} to {gaps[1]:.0f} mm farther "
            "from its prototypes than the samples they were made of: a growing gap is what many prototypes gain on "
            "their own samples only."
        )
    return text


def _limbs_text(outcomes: Sequence[Outcome], splits: Sequence[Split], shown: Split) -> list[str]:
    """Whether the weight matters more than the seed, and what no distance can decide."""
    subset = list(shown.subsets)[-1]
    found = [MM * o.distance(shown.name, subset) for o in outcomes]
    between, within = np.ptp([f.mean() for f in found]), max(np.ptp(f) for f in found)
    compared = f"; the seed alone moves it by up to {within:.1f} mm" if len(found[0]) > 1 else ""
    return [
        f"Over all weights the mean distance of {subset} moves by {between:.1f} mm{compared}.",
        "No distance can choose the weight: plain distances count all vertices alike, and γ counts limbs as much as "
        "it was told to. PM-Net chose 5 by the error of the trained network.",
    ]


def _clusters_section(sweep: Sweep) -> Section:
    name = "k" if sweep.of("k") else "limbs"
    outcomes = sweep.of(name)
    setting, sizes = outcomes[-1].setting, outcomes[-1].sizes()[0]
    what = f"K = {setting.k}" if name == "k" else f"limb weight {setting.limbs:g}"
    text = [
        f"At {what}, {(sizes < FEW).sum()} of {len(sizes)} clusters hold fewer than {FEW} samples; the median cluster "
        f"holds {np.median(sizes):.0f}, the largest {sizes.max()}."
    ]
    return Section("clusters", "How samples spread over the clusters", text, [sizes_chart(outcomes, name)])


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
    assigned = f"to the assigned one of {default.setting.k} prototypes"
    facts = []
    for subset in dict.fromkeys((FULL, tail)):
        before = MM * default.singular(shown.name, subset)
        after = MM * float(default.distance(shown.name, subset).mean())
        facts.append((f"{before:.0f} mm", f"{shown.name} {subset}: to the singular prototype"))
        facts.append((f"{after:.0f} mm", f"{shown.name} {subset}: {assigned} ({saved(before, after)})"))
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

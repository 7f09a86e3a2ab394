"""The report's three galleries: samples at growing distance, all prototypes, the rarest samples.

In: what to draw and its numbers; out: ``Gallery``. Called by ``tail`` and ``prototypes``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hmrtk.reports.distances import Distances
from hmrtk.reports.gallery import (
    PROTOTYPE_COLOUR,
    SAMPLE_COLOUR,
    Card,
    Gallery,
    draw_bodies,
    encode_png,
    sheet_of,
)
from hmrtk.reports.tables import Table
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

LADDER = (0, 50, 75, 90, 95, 99, 100)
"""Percentiles of the distance to the singular prototype that are drawn."""


def ladder_gallery(
    distances: Distances,
    parameters: BodyParameters,
    singular: PrototypeSet,
    ids: Sequence[str],
    body: BodyModel,
    progress: Progress = silent,
) -> Gallery:
    """The singular prototype and samples at growing distance from it (PM-Net Fig. 1 (a) and (c))."""
    order = np.argsort(distances.singular, kind="stable")
    rows = [int(order[round(p / 100 * (len(order) - 1))]) for p in LADDER]
    bodies = BodyParameters.concatenate([singular.parameters, parameters[rows]])
    pictures = draw_bodies(bodies, body, SAMPLE_COLOUR, "draw the distances", progress)
    cards = [
        Card([("singular prototype", encode_png(pictures[0]))], "Singular prototype", ["0 mm"], {"distance_mm": 0.0})
    ]
    for percent, row, picture in zip(LADDER, rows, pictures[1:], strict=True):
        name = {0: "Nearest", 50: "Median", 100: "Farthest"}.get(percent, f"Farther than {percent} %")
        facts = {"percentile": percent, "sample_id": ids[row], "distance_mm": distances.singular[row]}
        lines = [f"{distances.singular[row]:.0f} mm", str(distances.action[row])]
        cards.append(Card([("sample", encode_png(picture))], name, lines, facts))
    caption = (
        "The singular prototype, then samples at growing distance from it, all at one scale, as their cameras see them."
    )
    sheet = sheet_of([[p] for p in pictures], [f"{c.title}: {c.lines[0]}" for c in cards], 4)
    return Gallery("distance_ladder", "From common to rare", caption, cards, sheet)


def prototype_gallery(
    clusters: Table,
    prototypes: PrototypeSet,
    body: BodyModel,
    progress: Progress = silent,
    errors: Table | None = None,
) -> Gallery:
    """All prototypes in the order of the table; its column ``action`` (most common action) may be missing.

    Args:
        errors: with a column ``pve NAME`` per system and a row per prototype with samples; None: no systems.
    """
    order = [row["prototype"] for row in clusters.rows]
    pictures = draw_bodies(prototypes.parameters[order], body, PROTOTYPE_COLOUR, "draw the prototypes", progress)
    cards, measured = [], _errors_by_prototype(errors)
    for row, picture in zip(clusters.rows, pictures, strict=True):
        lines = [f"{row['samples']:,} ({row['share']:.1f} %)"]
        if row["samples"]:
            lines += [f"{row['assigned']:.0f} mm", *([str(row["action"])] if "action" in row else [])]
        keys = ("rank", "prototype", "samples", "assigned", "singular", "action")
        facts = {key: row[key] for key in keys if key in row}
        found = measured.get(row["prototype"], {})
        lines += [f"{name}: {value:.0f} mm" for name, value in found.items()]
        facts |= {"pve": found} if found else {}
        cards.append(Card([("prototype", encode_png(picture))], f"Prototype {row['prototype']}", lines, facts))
    listed = ["its samples (share of all)", "their mean per-vertex distance to it"]
    listed += ["their most common action"] if any("action" in row for row in clusters.rows) else []
    listed += ["the MPVPE of each system on them"] if measured else []
    order_told = f"Those with the most samples first. Under each: {', '.join(listed)}."
    caption = f"{order_told} All at one scale, as the camera sees them."
    sheet = sheet_of([[p] for p in pictures], ["\n".join([c.title, *c.lines[:2]]) for c in cards], 10)
    return Gallery("prototype_gallery", "All prototypes", caption, cards, sheet)


def _errors_by_prototype(errors: Table | None) -> dict[int, dict[str, float]]:
    """prototype → system → mm."""
    rows = [] if errors is None else errors.rows
    return {r["prototype"]: {k.removeprefix("pve "): v for k, v in r.items() if k.startswith("pve ")} for r in rows}


def rarest_gallery(
    rare: Table, parameters: BodyParameters, prototypes: PrototypeSet, body: BodyModel, progress: Progress = silent
) -> Gallery:
    """The rarest samples, each beside its assigned prototype."""
    rows, labels = [r["row"] for r in rare.rows], [r["prototype"] for r in rare.rows]
    samples = draw_bodies(parameters[rows], body, SAMPLE_COLOUR, "draw the rarest samples", progress)
    used = sorted(set(labels))
    drawn = draw_bodies(prototypes.parameters[used], body, PROTOTYPE_COLOUR, "draw their prototypes", progress)
    beside = [drawn[used.index(label)] for label in labels]
    cards = []
    for row, sample, prototype in zip(rare.rows, samples, beside, strict=True):
        pictures = [("sample", encode_png(sample)), (f"prototype {row['prototype']}", encode_png(prototype))]
        lines = [
            row["sample_id"],
            f"{row['singular']:.0f} mm to the singular, {row['assigned']:.0f} mm to its prototype",
        ]
        cards.append(Card(pictures, f"{row['rank']} · {row['action']}", lines, dict(row)))
    caption = "Left: the sample. Right, in blue: the prototype it is assigned to. Distances: mean per vertex, mm."
    sheet = sheet_of(
        [[a, b] for a, b in zip(samples, beside, strict=True)],
        [f"{c.title}, {c.data['singular']:.0f} mm" for c in cards],
        6,
    )
    return Gallery("rarest_gallery", "Farthest from the singular prototype", caption, cards, sheet)

"""``show_prototypes``: a set of prototypes as a page with turnable meshes, a gallery, a map and the part groups.

In: a ``PrototypeSet`` and its body; for the map, bodies to draw samples from. Out: a folder. ``cli`` calls it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.reports.distances import HOW, MM
from hmrtk.reports.document import Document, Section
from hmrtk.reports.embedding import SAMPLES, Embedding, embed
from hmrtk.reports.exhibits import prototype_gallery
from hmrtk.reports.figures import NUMBERED, Chart, cluster_map, pictures_with_key
from hmrtk.reports.gallery import PROTOTYPE_COLOUR, SAMPLE_COLOUR, Card, draw_bodies, encode_png
from hmrtk.reports.sentences import method_of
from hmrtk.reports.tables import Column, Table, plain
from hmrtk.reports.viewer import MESHES, Viewer
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, PART_GROUPS, vertex_groups
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.export import y_up_vertices
from hmrtk.toolkit.prototypes.measure import distances_to
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import write_json
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.synthesis.figure import render_figure

KIND = "hmrtk.prototype_page"
SCHEMA_VERSION = 1

PICTURED = 12
"""Clusters, the largest, whose prototypes are drawn on the map; more would cover it."""
PART_COLOURS = {
    "torso": (0.33, 0.53, 0.75),
    "head": (0.93, 0.72, 0.30),
    "limbs": (0.80, 0.36, 0.31),
    "hand": (0.42, 0.66, 0.47),
    "foot": (0.60, 0.46, 0.70),
}
PART_NAMES = {"torso": "torso", "head": "head", "limbs": "limbs (arms, legs)", "hand": "hands", "foot": "feet"}
_PART_PX = (720, 700)


@dataclass(frozen=True, eq=False)
class MapSamples:
    """What the map draws from.

    Attributes:
        records: rows with bodies.
        count: samples to draw.
        seed: of the draw and of t-SNE.
    """

    records: RecordTable
    count: int = SAMPLES
    seed: int = 0


def show_prototypes(
    prototypes: PrototypeSet,
    body: BodyModel,
    out: Path,
    *,
    samples: MapSamples | None,
    provenance: Mapping[str, Any],
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write the page of one set.

    Args:
        prototypes: K prototypes; their counts and distances are those of the samples they were made of.
        body: the body they were made with.
        out: folder; gets ``index.html``, ``tables/``, ``figures/``, ``report.json``.
        samples: what the t-SNE map draws from; None leaves the map out.
        provenance: of the artefact (``records.artefact.provenance``).

    Returns:
        What ``report.json`` holds: every number on the page.

    Raises:
        BodyMismatchError: the set was made with another body.
        InputError: too few samples for a map.
        OutputError: the folder cannot be written.
    """
    prototypes.check_body(body)
    clusters = cluster_table(prototypes, body)
    viewer = prototype_viewer(clusters, prototypes, body, progress)
    how = f"{prototypes.metadata.get('samples', int(prototypes.counts.sum())):,} samples"
    sections = [Section("prototypes", "The prototypes", _reading(prototypes), [viewer, clusters])]
    if samples is not None:
        parameters = samples.records.parameters()
        embedding = embed(parameters, prototypes, body, samples.count, samples.seed, progress)
        chart = map_chart(embedding, clusters, prototypes, body, samples, progress)
        sections.append(Section("map", "Where they lie among the samples", [], [chart]))
    sections.append(Section("parts", "What the distance weighs", [], [part_chart(prototypes, body)]))
    title = f"{len(prototypes)} prototypes" if len(prototypes) > 1 else "One prototype"
    lead = f"Made from {how} by method {method_of(prototypes)}: what they look like and how much each stands for."
    document = Document(title, lead, _facts(clusters, prototypes), sections, _details(prototypes, body, provenance))
    document.write(out)
    report = plain(
        {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "body": body.fingerprint,
            "prototypes": {"fingerprint": prototypes.fingerprint, "k": len(prototypes), "place": prototypes.place},
            "provenance": dict(provenance),
            **document.to_json(),
        }
    )
    write_json(out / "report.json", report)
    return report


def cluster_table(prototypes: PrototypeSet, body: BodyModel) -> Table:
    """One row per prototype, largest cluster first, from what the set itself knows."""
    counts, total = prototypes.counts, max(int(prototypes.counts.sum()), 1)
    away = distances_to(prototypes.parameters, prototypes.singular_set(), body)
    rows: list[dict[str, Any]] = [
        {
            "rank": rank + 1,
            "prototype": int(index),
            "samples": int(counts[index]),
            "share": 100 * int(counts[index]) / total,
            "assigned": MM * float(prototypes.mean_distance[index]) if counts[index] else None,
            "singular": MM * float(away[index]),
        }
        for rank, index in enumerate(np.argsort(-counts, kind="stable"))
    ]
    columns = [
        Column("rank", "Rank"),
        Column("prototype", "Prototype"),
        Column("samples", "Samples"),
        Column("share", "Of all", "%", 1),
        Column("assigned", "Samples' mean distance", "mm", 1),
        Column("singular", "Its distance to singular", "mm", 1),
    ]
    caption = (
        "All prototypes, largest cluster first. Prototype is the index in the file and the label of its samples. "
        f"Samples are those the set was made of. {HOW}"
    )
    return Table("prototypes", "Prototypes", caption, columns, rows)


def prototype_viewer(clusters: Table, prototypes: PrototypeSet, body: BodyModel, progress: Progress = silent) -> Viewer:
    """The gallery of all prototypes with their meshes, and after them the singular prototype (when K > 1)."""
    gallery = prototype_gallery(clusters, prototypes, body, progress)
    shown = prototypes.parameters[[row["prototype"] for row in clusters.rows]]
    cards, notes = list(gallery.cards), [_note(row) for row in clusters.rows]
    if len(prototypes) > 1:
        picture = draw_bodies(prototypes.singular, body, SAMPLE_COLOUR, "draw the singular prototype", progress)[0]
        pictures = [("singular prototype", encode_png(picture))]
        cards.append(Card(pictures, "Singular prototype", ["the mean of all samples"], {"prototype": "singular"}))
        notes.append("the mean of all samples")
        shown = BodyParameters.concatenate([shown, prototypes.singular])
    whole = type(gallery)(gallery.name, gallery.title, gallery.caption, cards, gallery.sheet)
    return Viewer.of(whole, notes, y_up_vertices(shown, body), body.faces)


def map_chart(
    embedding: Embedding,
    clusters: Table,
    prototypes: PrototypeSet,
    body: BodyModel,
    samples: MapSamples,
    progress: Progress = silent,
) -> Chart:
    """The samples coloured by cluster, the prototypes of the largest clusters drawn on them (PM-Net Fig. 4)."""
    largest = [row["prototype"] for row in clusters.rows[:PICTURED]]
    drawn = draw_bodies(prototypes.parameters[largest], body, PROTOTYPE_COLOUR, "draw the map's prototypes", progress)
    records, n, k = samples.records, len(embedding.rows), len(prototypes)
    names = ", ".join(sorted(set(records.table["dataset"].to_pylist())))
    which = "all are drawn" if k <= PICTURED else f"those of the {PICTURED} largest clusters are drawn"
    which += ", all are numbered" if PICTURED < k <= NUMBERED else ""
    caption = (
        f"{n:,} of {len(records):,} samples ({names}), drawn at random, and the {k} prototypes, laid out together "
        f"by t-SNE (perplexity {embedding.perplexity:.0f}, PCA start, seed {samples.seed}) from {embedding.dims} "
        "principal coordinates of their weighted vertices: the space that the clustering measures in. Colour: assigned "
        f"prototype. Prototypes: {which}; a line leads from a picture to its place. After PM-Net Fig. 4. t-SNE keeps "
        "neighbours together; the size of a group and the gaps between groups mean nothing."
    )
    ids = np.array(records.sample_ids, object)[embedding.rows]
    data = {
        "sample_id": ids,
        "label": embedding.label,
        "x": embedding.points[:, 0].round(3),
        "y": embedding.points[:, 1].round(3),
        "prototype_x": embedding.centres[:, 0].round(3),
        "prototype_y": embedding.centres[:, 1].round(3),
        "perplexity": embedding.perplexity,
        "dims": embedding.dims,
    }
    pictures = dict(zip(largest, drawn, strict=True))
    points, centres = embedding.points, embedding.centres
    return cluster_map(points, embedding.label, centres, pictures, "cluster_map", "Map of the clusters", caption, data)


def part_chart(prototypes: PrototypeSet, body: BodyModel) -> Chart:
    """The five part groups coloured on the body, with the set's weights (PM-Net Fig. 3)."""
    weights = prototypes.metadata.get("weights") or P3DH_WEIGHTS
    groups = vertex_groups(body)
    colours = np.array([PART_COLOURS[name] for name in PART_GROUPS])[groups]
    rest = body.pose(BodyParameters.zeros(1)).vertices[0]
    views = {
        view: render_figure(rest, body, _PART_PX, view, colour=colours, background="transparent", margin=0.02)
        for view in ("front", "back")
    }
    sizes = dict(zip(PART_GROUPS, np.bincount(groups, minlength=len(PART_GROUPS)).tolist(), strict=True))
    order = sorted(PART_GROUPS, key=lambda name: -weights[name])
    key = [(f"{PART_NAMES[n]}\nweight {weights[n]:g}, {sizes[n]:,} vertices", PART_COLOURS[n]) for n in order]
    used = method_of(prototypes) in ("p3dh", "random")
    caption = (
        "Each vertex belongs to the group whose joints hold most of its skinning weight. The weights multiply "
        "coordinate differences before they are squared (PM-Net §III-C, Algorithm 1), so a weight of 5 counts 25 times "
        "in the squared distance. After PM-Net Fig. 3."
        + ("" if used else f" Method {method_of(prototypes)} does not use them to find the clusters.")
    )
    data = {name: {"weight": weights[name], "vertices": sizes[name]} for name in PART_GROUPS}
    return pictures_with_key(views, key, "part_groups", "Part groups and their weights", caption, data)


def _note(row: Mapping[str, Any]) -> str:
    own = f", on average {row['assigned']:.0f} mm from it" if row["samples"] else ""
    return (
        f"{row['samples']:,} samples ({row['share']:.1f} %){own} · {row['singular']:.0f} mm to the singular prototype"
    )


def _reading(prototypes: PrototypeSet) -> list[str]:
    more = ", and after them the singular prototype, the mean of all samples" if len(prototypes) > 1 else ""
    return [
        f"Largest cluster first{more}. Choose one, drag to turn it, scroll or pinch to zoom, drag with Shift or two "
        "fingers to move it. The front view is how its camera sees it: prototypes contain the view."
        + (f" The {MESHES} largest clusters have meshes, the others pictures." if len(prototypes) > MESHES else "")
    ]


def _facts(clusters: Table, prototypes: PrototypeSet) -> list[tuple[str, str]]:
    counts = prototypes.counts
    facts = [(f"{len(prototypes)}", "prototypes" if len(prototypes) > 1 else "prototype")]
    if counts.sum():
        mean = MM * float(np.average(prototypes.mean_distance, weights=counts))
        facts += [
            (f"{counts.sum():,}", "samples they were made of"),
            (f"{mean:.0f} mm", "mean distance of a sample to its prototype"),
        ]
    if len(prototypes) == 1:
        return facts
    if counts.sum():
        facts.append((f"{counts.min():,} – {counts.max():,}", "samples in the smallest and the largest cluster"))
    farthest = max(float(row["singular"]) for row in clusters.rows)
    return [*facts, (f"{farthest:.0f} mm", "distance of the farthest prototype to the singular one")]


def _details(prototypes: PrototypeSet, body: BodyModel, provenance: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("method", "metric", "weights", "seed", "iterations", "stopped", "certified", "rechecked")
    known = {key: prototypes.metadata[key] for key in keys if prototypes.metadata.get(key) is not None}
    return {
        "Prototypes": f"{prototypes.place}, fingerprint {prototypes.fingerprint}",
        "Clustering": plain(known),
        "Body": f"{body.fingerprint} ({body.gender})",
        "Distance": HOW,
        "Made from": dict(prototypes.metadata.get("provenance") or {}),
        "Provenance": dict(provenance),
    }

"""``build_tail_report``: what happens on rare poses, as a page, tables, pictures and one JSON file.

In: records, prototypes and labels; optionally predictions of any number of systems. Out: a folder. Without predictions
the report describes the data set's own tail; with them it also measures errors on it. ``cli`` and ``pipeline`` call it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.reports.coverage import covered
from hmrtk.reports.distance_charts import distance_charts
from hmrtk.reports.distances import (
    Distances,
    action_table,
    distance_table,
    orientation_table,
    prototype_table,
    rarest_table,
    tail_table,
)
from hmrtk.reports.document import Document, Section
from hmrtk.reports.error_sections import Extras, error_sections
from hmrtk.reports.exhibits import ladder_gallery, prototype_gallery, rarest_gallery
from hmrtk.reports.measured import Measured, Measurement, measure_systems
from hmrtk.reports.particulars import details, facts
from hmrtk.reports.photographs import Photographs
from hmrtk.reports.picture_plane import measure_plane
from hmrtk.reports.published_rows import DATASET_NAMES, published_tables
from hmrtk.reports.sentences import (
    action_sentences,
    cluster_sentences,
    distance_sentences,
)
from hmrtk.reports.significance import Groups
from hmrtk.reports.subgroups import prototype_errors_table
from hmrtk.reports.tables import Table, plain
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.evaluation.metrics import BodyOfGender
from hmrtk.toolkit.evaluation.picture_plane import PlaneTruth
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.evaluation.protocols import DEFAULT, Protocol
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.measure import distances_to
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import write_json
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.wording import counted

KIND = "hmrtk.tail_report"
SCHEMA_VERSION = 1
BOOTSTRAP_SEED = 0


def build_tail_report(
    records: RecordTable,
    prototypes: PrototypeSet,
    singular: PrototypeSet,
    labels: Labels,
    body: BodyModel,
    out: Path,
    *,
    predictions: Mapping[str, Predictions] | None = None,
    baseline: str | None = None,
    tails: Sequence[float] = (5, 10),
    protocol: Protocol = DEFAULT,
    rarest: int = 24,
    provenance: Mapping[str, Any],
    progress: Progress = silent,
    body_of_gender: BodyOfGender | None = None,
    everything: RecordTable | None = None,
    plane: PlaneTruth | None = None,
    photographs: Photographs | None = None,
) -> dict[str, Any]:
    """Write the report of one data set.

    Args:
        records: N rows with bodies.
        prototypes: K prototypes.
        singular: K = 1, the body that rarity is measured from (PM-Net: SPIN's mean parameters).
        labels: of exactly these records, in their order.
        body: the active body; everything must have been made with it.
        out: folder; gets ``index.html``, ``tables/``, ``figures/``, ``report.json``.
        predictions: system's name → its predictions, one for each record, perhaps more of ``everything``.
        baseline: the system that the others are compared with.
        tails: percentages x of T-x%.
        protocol: of the errors.
        rarest: how many of the farthest samples are drawn, and at most how many of the best and worst.
        provenance: of the artefact (``records.artefact.provenance``).
        body_of_gender: bodies for protocols with gendered ground truth.
        everything: the records and those without a body, for metrics of the picture's plane; None: the records.
        plane: truth of these metrics; None measures what boxes and keypoints allow.
        photographs: where galleries take pictures of the people from.

    Returns:
        What ``report.json`` holds: every number on the page.

    Raises:
        BodyMismatchError: something was made with another body.
        InputError: labels of other records, a wrong percentage, predictions that do not fit the records.
        UnknownNameError: the baseline is not among the systems.
        OutputError: the folder cannot be written.
    """
    given = dict(predictions or {})
    _check(records, prototypes, singular, labels, body, given, baseline, tails, rarest)
    fitting = {name: covered(system, records, everything) for name, system in given.items()}
    distances = _distances(records, prototypes, singular, labels, body, tails)
    rare = rarest_table(distances, records.sample_ids, rarest)
    sections: list[Section] = []
    systems: dict[str, Measured] = {}
    per_prototype = None
    if given:
        tail = (distances.narrowest, distances.tails[distances.narrowest])
        chosen = {name: system for name, (system, _) in fitting.items()}
        systems = measure_systems(records, chosen, body, protocol, tail, body_of_gender, progress)
        measured = Measurement(records, distances, systems, Groups.of(records), baseline, protocol, BOOTSTRAP_SEED)
        flat = measure_plane(everything or records, given, body, plane or PlaneTruth(), progress)
        sentences = [line for name, (_, found) in fitting.items() if (line := found.sentence(name))]
        extras = Extras(prototypes, [row["row"] for row in rare.rows], flat, photographs, sentences)
        sections = error_sections(measured, body, extras, progress)
        per_prototype = prototype_errors_table(measured)
    sections += _dataset_sections(records, prototypes, singular, body, distances, rare, per_prototype, progress)
    sections.append(_published_section())
    document = Document(
        f"Tail report: {_names(records, 'dataset')}",
        _subtitle(records, prototypes, systems),
        facts(distances, systems),
        sections,
        details(records, prototypes, singular, body, protocol, systems, BOOTSTRAP_SEED, provenance),
    )
    document.write(out)
    identities = {name: system.identity() | fitting[name][1].to_json() for name, system in systems.items()}
    report = plain(
        {
            **_inputs_json(records, prototypes, singular, body, protocol),
            "systems": list(systems),
            "predictions": identities,
            "baseline": baseline,
            "tails": [float(x) for x in sorted(set(tails), reverse=True)],
            "provenance": dict(provenance),
            **document.to_json(),
        }
    )
    write_json(out / "report.json", report)
    return report


def _names(records: RecordTable, column: str) -> str:
    return ", ".join(sorted(set(records.table[column].to_pylist())))


def _subtitle(records: RecordTable, prototypes: PrototypeSet, systems: Mapping[str, Measured]) -> str:
    text = f"{len(records):,} samples ({_names(records, 'split')}), {len(prototypes)} prototypes"
    return f"{text}, {counted(len(systems), 'system')}: {', '.join(systems)}." if systems else f"{text}."


def _inputs_json(
    records: RecordTable, prototypes: PrototypeSet, singular: PrototypeSet, body: BodyModel, protocol: Protocol
) -> dict[str, Any]:
    """The head of ``report.json``: what it is, and what it was made from."""
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "dataset": _names(records, "dataset"),
        "samples": len(records),
        "records": {"place": records.place, "fingerprint": records.fingerprint, "body": records.metadata.body},
        "body": body.fingerprint,
        "prototypes": {"fingerprint": prototypes.fingerprint, "k": len(prototypes), "place": prototypes.place},
        "singular": {"fingerprint": singular.fingerprint, "place": singular.place},
        "protocol": {**protocol.to_json(), "description": protocol.describe()},
    }


def _distances(
    records: RecordTable,
    prototypes: PrototypeSet,
    singular: PrototypeSet,
    labels: Labels,
    body: BodyModel,
    tails: Sequence[float],
) -> Distances:
    """Both distances of the labels, and those to the singular prototype when every sample is turned as it is."""
    parameters = records.parameters()
    turned = parameters.replaced(global_orient=np.tile(singular.parameters.global_orient, (len(records), 1)))
    unturned = distances_to(turned, singular, body)
    actions = records.array("action")
    far = labels.distance_to_singular, labels.distance
    return Distances.of(*far, labels.label, actions, tails, len(prototypes), unturned)


def _check(
    records: RecordTable,
    prototypes: PrototypeSet,
    singular: PrototypeSet,
    labels: Labels,
    body: BodyModel,
    systems: Mapping[str, Predictions],
    baseline: str | None,
    tails: Sequence[float],
    rarest: int,
) -> None:
    records.require_body(body.fingerprint)
    prototypes.check_body(body)
    singular.check_body(body)
    if len(labels) != len(records):
        raise InputError(
            "labels", f"expected one per record ({len(records)}), got {len(labels)}", "label these records"
        )
    if labels.label.max() >= len(prototypes):
        raise InputError("labels", f"name prototype {labels.label.max()}, but there are {len(prototypes)}")
    if len(singular) != 1:
        raise InputError(singular.place, f"expected one singular prototype, got {len(singular)}")
    if not tails:
        raise InputError("tails", "expected at least one percentage, e.g. 5")
    if rarest < 1:
        raise InputError("rarest", f"expected at least 1, got {rarest}")
    if baseline is not None and baseline not in systems:
        raise UnknownNameError("baseline", baseline, systems)


def _dataset_sections(
    records: RecordTable,
    prototypes: PrototypeSet,
    singular: PrototypeSet,
    body: BodyModel,
    distances: Distances,
    rare: Table,
    errors: Table | None,
    progress: Progress,
) -> list[Section]:
    ids = records.sample_ids
    tail, actions = tail_table(distances), action_table(distances)
    clusters = prototype_table(distances, prototypes.counts)
    histogram, cumulative, make_up, share = distance_charts(distances, actions, clusters)
    parameters = records.parameters()
    ladder = ladder_gallery(distances, parameters, singular, ids, body, progress)
    gallery = prototype_gallery(clusters, prototypes, body, progress, errors)
    exhibits = rarest_gallery(rare, parameters, prototypes, body, progress)
    return [
        Section(
            "distance",
            "One prototype is far from the tail",
            distance_sentences(distances),
            [ladder, histogram, cumulative, distance_table(distances)],
        ),
        Section(
            "tail",
            "What the tail is made of",
            action_sentences(distances, actions),
            [tail, orientation_table(distances), make_up, share, actions],
        ),
        Section(
            "prototypes",
            f"The {len(prototypes)} prototypes",
            cluster_sentences(clusters, prototypes),
            [gallery, clusters],
        ),
        Section(
            "rarest",
            f"The {len(rare.rows)} rarest samples",
            ["Each sample as its camera sees it, and beside it the prototype that it is assigned to."],
            [exhibits, rare],
        ),
    ]


def _published_section() -> Section:
    names = ", ".join(DATASET_NAMES.values())
    text = [
        f"Copied from the papers, for orientation: other data ({names}), other bodies, the papers' own protocols. "
        "None of these numbers was measured here."
    ]
    tables = [table.to_table() for table in published_tables()]
    return Section("published", "Published results (not measured here)", text, tables, folded=True)

"""The report's sections about systems: errors, over distance, on the body, in groups, in the papers' tables, drawn.

In: a ``Measurement`` and what goes with it; out: ``Section``s in reading order. Called by ``tail``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hmrtk.reports.body_errors import joint_chart, joint_table, part_table, surface_gallery
from hmrtk.reports.choices import choice_table
from hmrtk.reports.document import Block, Section
from hmrtk.reports.measured import Measurement
from hmrtk.reports.paper_tables import own_tables, paper_datasets, paper_tables
from hmrtk.reports.photographs import Photographs
from hmrtk.reports.picture_plane import Plane
from hmrtk.reports.published_rows import DATASET_NAMES
from hmrtk.reports.sentences import difference_sentences, error_sentence
from hmrtk.reports.showcase import SHOWN, Showcase
from hmrtk.reports.subgroups import action_chart, action_errors_table, prototype_errors_table
from hmrtk.reports.systems import curve_table, difference_table, distance_chart, reduction_chart, result_table
from hmrtk.reports.tables import Table
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

EQUAL = ("count", "width")
"""How bins of distance are made."""


@dataclass(frozen=True)
class Extras:
    """What sections are made of beside the measurement.

    Attributes:
        prototypes: of the report.
        rarest: rows to draw, rarest first.
        plane: what was measured in the picture's plane, or None.
        photographs: pictures of the people, or None.
        coverage: sentences about predictions that were passed over.
    """

    prototypes: PrototypeSet
    rarest: Sequence[int]
    plane: Plane | None = None
    photographs: Photographs | None = None
    coverage: Sequence[str] = field(default_factory=list)


def error_sections(
    measured: Measurement, body: BodyModel, extras: Extras, progress: Progress = silent
) -> list[Section]:
    """All sections about systems."""
    return [
        _results(measured, extras),
        _over_distance(measured),
        _on_the_body(measured, body),
        _groups(measured, body, extras),
        _papers(measured, extras),
        _shown(measured, body, extras, progress),
    ]


def _results(measured: Measurement, extras: Extras) -> Section:
    text = [measured.how, *(error_sentence(name, error, measured.distances) for name, error in measured.errors.items())]
    blocks: list[Block] = [result_table(measured)]
    if measured.rivals:
        differences = difference_table(measured)
        text += difference_sentences(differences, measured)
        blocks.append(differences)
    elif len(measured.systems) > 1:
        text.append("No baseline was named, so these systems stand side by side and are not compared sample by sample.")
    plane = extras.plane.table() if extras.plane else None
    blocks += [plane] if plane else []
    text += [*extras.coverage, *(extras.plane.notes if extras.plane else [])]
    return Section("errors", "Errors on all samples and on the tail", text, blocks)


def _over_distance(measured: Measurement) -> Section:
    charts: list[Block] = [distance_chart(measured, equal) for equal in EQUAL]
    if measured.rivals:
        charts += [reduction_chart(measured, equal) for equal in EQUAL]
    tables = [curve_table(measured, equal) for equal in EQUAL]
    text = [
        "Bins of equal count have equally sure means; bins of equal width show the far end of the axis, where samples "
        "are few."
    ]
    return Section("over_distance", "Errors over the distance to the singular prototype", text, [*charts, *tables])


def _on_the_body(measured: Measurement, body: BodyModel) -> Section:
    blocks: list[Block] = [surface_gallery(measured, body)]
    blocks += [joint_chart(measured, subset) for subset in ("Full", measured.distances.narrowest)]
    blocks += [joint_table(measured), part_table(measured, body)]
    return Section("on_the_body", "Where on the body the errors are", [], blocks)


def _groups(measured: Measurement, body: BodyModel, extras: Extras) -> Section:
    choices, left_out = choice_table(measured, extras.prototypes, body)
    chart = action_chart(measured)
    blocks: list[Block] = [action_errors_table(measured), prototype_errors_table(measured)]
    blocks = [*([chart] if chart else []), *blocks, *([choices] if choices else [])]
    text = left_out
    if choices is None and not left_out:
        text = ["No system says which prototype it started from, so there is no accuracy of that choice."]
    return Section("groups", "Errors per action and per prototype", text, blocks)


def _papers(measured: Measurement, extras: Extras) -> Section:
    names = paper_datasets(measured)
    tables: list[Table] = paper_tables(measured, extras.plane.values if extras.plane else None)
    if tables:
        known = ", ".join(DATASET_NAMES[name] for name in names)
        text = [f"Published rows stand beside measured ones only on the papers' own test data: {known}."]
    else:
        text = ["No paper reports on these data, so no published row stands beside ours."]
    return Section("papers", "In the papers' tables", text, [*own_tables(measured), *tables])


def _shown(measured: Measurement, body: BodyModel, extras: Extras, progress: Progress) -> Section:
    show = Showcase(measured, body, extras.photographs, min(SHOWN, len(extras.rarest)))
    galleries: list[Block] = [show.rarest(extras.rarest, progress)]
    for name in show.systems:
        galleries += [show.worst(name, progress), show.best(name, progress)]
    left = len(measured.systems) - len(show.systems)
    text = [f"{left} more systems are not drawn."] if left else []
    return Section("shown", "Predictions beside the truth", text, galleries)

"""Where on the body systems err: per joint, per body part, and per point of the surface (DaNet Fig. 14).

In: a ``Measurement`` and the body; out: tables, a chart, and a gallery of heat maps. Called by ``error_sections``.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.figures import Chart, dots, heat_bar, heat_colours
from hmrtk.reports.gallery import Card, Gallery, encode_png, sheet_of
from hmrtk.reports.measured import Measurement
from hmrtk.reports.tables import Column, Table
from hmrtk.toolkit.body.joints import joint_set
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.synthesis.figure import render_figure

HEAT_PX = 300
"""Side of each view of a heat map."""
VIEWS = ("front", "back")
_TOP_SHARE = 99.0
"""Percentile of all vertices' errors that reaches the end of the colour scale."""

Array = NDArray[Any]


def joint_table(measured: Measurement) -> Table:
    """Each joint's error, of all samples and of the narrowest tail."""
    tail = measured.distances.narrowest
    columns = [Column("joint", "Joint")]
    names = measured.protocol.joint_names.joints
    rows: list[dict[str, Any]] = [{"joint": name} for name in names]
    for system, error in measured.errors.items():
        columns += [
            Column(f"mpjpe {system}", f"{system}: MPJPE", "mm", 1),
            Column(f"pa_mpjpe {system}", "PA-MPJPE", "mm", 1),
            Column(f"mpjpe {tail} {system}", f"{tail} MPJPE", "mm", 1),
        ]
        whole, rare = error.per_joint(), error.per_joint(measured.distances.tails[tail])
        for row in rows:
            plain, aligned = whole[row["joint"]]
            far = rare[row["joint"]][0]
            row |= {f"mpjpe {system}": plain, f"pa_mpjpe {system}": aligned, f"mpjpe {tail} {system}": far}
    caption = (
        f"{measured.how} Left and right are the person's own. Two limbs that are exchanged show as large errors of "
        "both sides' joints while the trunk's stay small."
    )
    return Table("errors_per_joint", "Errors per joint", caption, columns, rows)


def joint_chart(measured: Measurement, subset: str) -> Chart:
    """MPJPE of each joint over the samples of a subset, a colour per system."""
    names, rows = measured.protocol.joint_names.joints, measured.distances.subsets[subset]
    values = {system: error.joints[rows].mean(axis=0) for system, error in measured.errors.items()}
    where, ending = ("all samples", "") if subset == "Full" else (subset, "_tail")
    caption = f"MPJPE of each joint over {where}. {measured.how}"
    return dots(list(names), values, f"joint_errors{ending}", f"Error per joint, {where}", caption, "MPJPE (mm)")


def part_table(measured: Measurement, body: BodyModel) -> Table:
    """Mean error of the vertices of each of the 24 parts."""
    part, names = body.weights.argmax(axis=1), joint_set("smpl24").joints
    counts = np.bincount(part, minlength=len(names))
    columns = [Column("part", "Part (by skinning)"), Column("vertices", "Vertices")]
    rows: list[dict[str, Any]] = [
        {"part": name, "vertices": int(count)} for name, count in zip(names, counts, strict=True)
    ]
    for system, found in measured.systems.items():
        for subset, surface in found.surfaces.items():
            columns.append(Column(f"{subset} {system}", f"{system}: {subset}", "mm", 1))
            means = np.bincount(part, surface, len(names)) / np.maximum(counts, 1)
            for row, mean, count in zip(rows, means, counts, strict=True):
                row[f"{subset} {system}"] = float(mean) if count else None
    caption = f"Mean per-vertex error of the vertices that each joint holds most of. {measured.how}"
    return Table("errors_per_part", "Errors per body part", caption, columns, rows)


def surface_gallery(measured: Measurement, body: BodyModel) -> Gallery:
    """The mean error of every vertex on the rest pose, front and back; one scale for all (DaNet Fig. 14)."""
    top = scale_top([s for system in measured.systems.values() for s in system.surfaces.values()])
    cards, pictures = [], []
    for system, found in measured.systems.items():
        for subset, surface in found.surfaces.items():
            picture = heat_picture(surface, body, top)
            title = f"{system}, {subset}" if subset != "Full" else f"{system}, all samples"
            facts = {"system": system, "subset": subset, "mean_mm": float(surface.mean()), "scale_mm": top}
            lines = [f"mean {surface.mean():.1f} mm, largest {surface.max():.1f} mm"]
            facts["largest_mm"] = float(surface.max())
            cards.append(Card([("error of every vertex, front and back", encode_png(picture))], title, lines, facts))
            pictures.append([picture])
    caption = (
        "Mean error of every vertex, drawn on the rest pose from the front and from the back: pale is 0, dark red "
        f"{top:.0f} mm or more; one scale for all. As DaNet Fig. 14. {measured.how}"
    )
    sheet = sheet_of(pictures, [card.title for card in cards], min(2, len(cards)))
    return Gallery("surface_errors", "Errors over the body's surface", caption, cards, sheet, wide=True)


def scale_top(surfaces: list[Array]) -> float:
    """End of a common colour scale, mm: nearly all vertices lie below; a round number, never 0."""
    top = max((float(np.percentile(surface, _TOP_SHARE)) for surface in surfaces), default=0.0)
    step = 10.0 ** np.floor(np.log10(max(top, 1e-3))) / 2
    return float(max(step * np.ceil(top / step - 1e-9), 1e-3))


def heat_picture(surface: Array, body: BodyModel, top: float) -> NDArray[np.uint8]:
    """(H, W, 4) uint8: a body coloured by (V,) mm from front and back, over its colour scale."""
    colours = heat_colours(surface / top)
    views = [
        render_figure(body.v_template, body, HEAT_PX, view, colour=colours, background="transparent") for view in VIEWS
    ]
    bodies = np.concatenate(views, axis=1)
    bar = heat_bar(top, bodies.shape[1])
    return np.concatenate([bodies, cv2.resize(bar, (bodies.shape[1], bar.shape[0]))], axis=0).astype(np.uint8)

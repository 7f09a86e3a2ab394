"""Galleries of a system's best and worst samples and of the rarest: truth and predictions side by side.

In: a ``Measurement`` and the body, perhaps photographs; out: galleries. Called by ``error_sections``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.figures import PALETTE
from hmrtk.reports.gallery import FIGURE_PX, SAMPLE_COLOUR, Card, Gallery, encode_jpeg, encode_png, sheet_of
from hmrtk.reports.measured import Measurement
from hmrtk.reports.photographs import Photographs
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.synthesis.figure import render_figure

SHOWN = 6
"""Cards of each gallery of best and of worst samples, at most."""
MOST_SYSTEMS = 4
"""Systems that are drawn, the first ones: pages with more would be too large."""
PHOTO = "photo"
_LIGHT = 0.55
"""How far a system's colour is mixed with white on its bodies."""
_MARGIN_M = 0.1

Array = NDArray[Any]
Picture = NDArray[np.uint8]


class Showcase:
    """Draws samples with their predictions.

    Args:
        measured: systems, all in the order of the records.
        body: the active body.
        photographs: where pictures of the people are, or None.
        shown: cards of the best and of the worst.
    """

    def __init__(
        self, measured: Measurement, body: BodyModel, photographs: Photographs | None = None, shown: int = SHOWN
    ) -> None:
        self.measured, self.body, self.photographs, self.shown = measured, body, photographs, shown
        self.systems = list(measured.systems)[:MOST_SYSTEMS]
        self.names = file_names(self.systems)
        self.parameters = measured.records.parameters()
        self.ids = measured.records.sample_ids

    def best(self, system: str, progress: Progress = silent) -> Gallery:
        """The samples with the smallest MPVPE."""
        order = np.argsort(self.measured.errors[system].pve, kind="stable")[: self.shown]
        return self._ranked(system, "best", "smallest", order, progress)

    def worst(self, system: str, progress: Progress = silent) -> Gallery:
        """The samples with the largest MPVPE."""
        order = np.argsort(-self.measured.errors[system].pve, kind="stable")[: self.shown]
        return self._ranked(system, "worst", "largest", order, progress)

    def rarest(self, rows: Sequence[int], progress: Progress = silent) -> Gallery:
        """Some samples and what every system makes of them, as the camera sees them."""
        cards, pictures = [], []
        for done, row in enumerate(rows):
            cells = [*self._photo(row), *self._bodies(row, self.systems, ("camera",))]
            distance = self.measured.distances.singular[row]
            errors = {name: float(self.measured.errors[name].pve[row]) for name in self.systems}
            lines = [self.ids[row], f"{distance:.0f} mm to the singular prototype"]
            lines += [f"{name}: {error:.0f} mm" for name, error in errors.items()]
            facts = {"row": int(row), "sample_id": self.ids[row], "singular": float(distance), "pve": errors}
            cards.append(_card(cells, f"{done + 1} · {self.measured.distances.action[row]}", lines, facts))
            pictures.append([picture for _, picture in cells])
            progress("draw the rarest predictions", done + 1, len(rows))
        caption = (
            "The samples farthest from the singular prototype: the truth, then each system's body, as the camera sees "
            f"them. Errors: MPVPE. {self.measured.how}"
        )
        sheet = sheet_of(pictures, [c.title for c in cards], 2)
        return Gallery("rarest_predictions", "Predictions for the rarest samples", caption, cards, sheet)

    def _ranked(self, system: str, name: str, which: str, order: Array, progress: Progress) -> Gallery:
        cards, pictures = [], []
        for rank, row in enumerate(order.tolist()):
            cells = [*self._photo(row), *self._bodies(row, [system], ("camera", "side"))]
            error, distance = float(self.measured.errors[system].pve[row]), float(self.measured.distances.singular[row])
            lines = [self.ids[row], f"MPVPE {error:.0f} mm, {distance:.0f} mm from the singular prototype"]
            facts = {"row": row, "sample_id": self.ids[row], "pve": error, "singular": distance}
            cards.append(_card(cells, f"{rank + 1} · {self.measured.distances.action[row]}", lines, facts))
            pictures.append([picture for _, picture in cells])
            progress(f"draw the {name} of {system}", rank + 1, len(order))
        caption = (
            f"The samples with the {which} MPVPE of {system}. Truth and prediction as the camera sees them, then both "
            f"turned by 90 degrees, where errors in depth show. {self.measured.how}"
        )
        title = f"{system}: {name} samples"
        return Gallery(
            f"{name}_{self.names[system]}", title, caption, cards, sheet_of(pictures, [c.title for c in cards], 2)
        )

    def _photo(self, row: int) -> list[tuple[str, Picture]]:
        picture = None if self.photographs is None else self.photographs.crop(self.measured.records, row)
        return [] if picture is None else [(PHOTO, picture)]

    def _bodies(self, row: int, systems: Sequence[str], views: Sequence[str]) -> list[tuple[str, Picture]]:
        """Truth and predictions in each view, all at one scale."""
        one = np.array([row])
        truth = self.parameters[one]
        bodies = [self.body.pose(truth.replaced(transl=np.zeros((1, 3)))).vertices[0]]
        bodies += [self.measured.systems[name].predictions.take(one).posed(self.body).vertices[0] for name in systems]
        colours = [SAMPLE_COLOUR, *(system_colour(list(self.measured.systems).index(name)) for name in systems)]
        extent = max(float(np.ptp(points, axis=0).max()) for points in bodies) + _MARGIN_M
        cells = []
        for view in views:
            ending = "" if view == "camera" else ", side"
            for label, points, colour in zip(("truth", *systems), bodies, colours, strict=True):
                picture = render_figure(
                    points, self.body, FIGURE_PX, view, "camera", colour, "transparent", extent=extent
                )
                cells.append((label + ending, picture))
        return cells


def system_colour(index: int) -> tuple[float, float, float]:
    """The pale form of a system's colour in charts, sRGB 0..1."""
    code = PALETTE[index % len(PALETTE)].lstrip("#")
    red, green, blue = (int(code[i : i + 2], 16) / 255 * (1 - _LIGHT) + _LIGHT for i in (0, 2, 4))
    return red, green, blue


def _card(cells: Sequence[tuple[str, Picture]], title: str, lines: Sequence[str], facts: dict[str, Any]) -> Card:
    pictures = [(label, encode_jpeg(p) if label == PHOTO else encode_png(p)) for label, p in cells]
    return Card(pictures, title, lines, facts)


def file_names(systems: Sequence[str]) -> dict[str, str]:
    """system → part of a file's name: letters, digits, - and _; no two alike."""
    found: dict[str, str] = {}
    for number, system in enumerate(systems):
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in system)
        found[system] = f"{plain}_{number}" if plain in found.values() else plain
    return found

"""Charts. The only file of hmrtk that imports matplotlib.

In: arrays; out: ``Chart`` (an SVG that follows the page's colours, a PNG for slides, and the plotted numbers). Called
by ``distances`` and ``systems``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[Any]

PALETTE = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe and Ito's colours: told apart by colour-blind readers, readable on light and dark."""

SINGULAR, ASSIGNED = PALETTE[0], PALETTE[1]

_INK, _GRID = "#1a1b1c", "#d7d8d9"
"""Placeholders: in the page's SVG they become the theme's text and line colours."""

_STYLE = {
    "axes.edgecolor": _GRID,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "svg.fonttype": "none",
    "text.color": _INK,
    "xtick.color": _INK,
    "xtick.labelcolor": _INK,
    "ytick.color": _INK,
    "ytick.labelcolor": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.axisbelow": True,
}


@dataclass(frozen=True)
class Chart:
    """A drawn chart.

    Attributes:
        name: file name without ending.
        title, caption: for people; the caption says what is shown, units and protocol.
        svg: for the page: no outside references, text and grid in the theme's colours.
        svg_file: a stand-alone SVG file.
        png: 200 dpi on white.
        data: the plotted numbers.
    """

    name: str
    title: str
    caption: str
    svg: str
    svg_file: bytes
    png: bytes
    data: dict[str, Any] = field(default_factory=dict)


def histogram(distances: Mapping[str, Array], name: str, title: str, caption: str, marks: Mapping[str, float]) -> Chart:
    """Histograms of several distances (mm) over the same bins; ``marks`` are labelled vertical lines (mm)."""
    top = max(float(values.max()) for values in distances.values())
    edges = np.linspace(0, top * 1.001 + 1e-9, 61)
    counts = {label: np.histogram(values, edges)[0] for label, values in distances.items()}

    def draw(axes: Axes) -> None:
        for colour, (label, count) in zip(PALETTE, counts.items(), strict=False):
            axes.stairs(count, edges, fill=True, alpha=0.35, color=colour)
            axes.stairs(count, edges, color=colour, label=label, linewidth=1.5)
        for row, (label, place) in enumerate(sorted(marks.items(), key=lambda m: m[1])):
            axes.axvline(place, color=_INK, linewidth=1, linestyle=(0, (4, 3)))
            spot = (place, 0.93 - 0.09 * row)  # one below the other: thresholds can be close
            axes.annotate(label, spot, (3, 0), ("data", "axes fraction"), "offset points", fontsize=9)
        axes.set(xlabel="mean per-vertex distance (mm)", ylabel="samples", xlim=(0, None))
        _legend(axes)

    data = {"edges_mm": edges, "counts": counts, "marks_mm": dict(marks)}
    return _chart(draw, name, title, caption, data)


def cumulative(distances: Mapping[str, Array], name: str, title: str, caption: str) -> Chart:
    """Share of samples (%) within a distance (mm)."""
    share = np.linspace(0, 100, 101)
    curves = {label: np.percentile(values, share) for label, values in distances.items()}

    def draw(axes: Axes) -> None:
        for colour, (label, curve) in zip(PALETTE, curves.items(), strict=False):
            axes.plot(curve, share, color=colour, label=label)
        axes.set(xlabel="mean per-vertex distance (mm)", ylabel="samples within (%)", xlim=(0, None), ylim=(0, 100))
        _legend(axes)

    return _chart(draw, name, title, caption, {"share_percent": share, "distance_mm": curves})


def ranked_bars(values: Array, name: str, title: str, caption: str, labels: tuple[str, str]) -> Chart:
    """Bars in the given order, numbered from 1; ``labels`` name the x and the y axis."""

    def draw(axes: Axes) -> None:
        axes.bar(np.arange(1, len(values) + 1), values, color=ASSIGNED, width=0.8)
        axes.grid(visible=False, axis="x")
        axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(0.3, len(values) + 0.7))

    return _chart(draw, name, title, caption, {"values": values})


def dumbbells(names: Sequence[str], before: Array, after: Array, name: str, title: str, caption: str,
              legend: tuple[str, str], label: str) -> Chart:  # fmt: skip
    """Two values per name, joined by a line; the first name on top."""
    rows = np.arange(len(names))[::-1]

    def draw(axes: Axes) -> None:
        axes.hlines(rows, before, after, color=_GRID, linewidth=3)
        axes.plot(before, rows, "o", color=ASSIGNED, label=legend[0], clip_on=False)
        axes.plot(after, rows, "o", color=SINGULAR, label=legend[1], clip_on=False)
        axes.set_yticks(rows, names)
        axes.grid(visible=False, axis="y")
        axes.set(xlabel=label, xlim=(0, None), ylim=(-0.7, len(names) - 0.3))
        _legend(axes)

    data = {"names": list(names), legend[0]: before, legend[1]: after}
    return _chart(draw, name, title, caption, data, height=max(3.2, 0.26 * len(names) + 1))


def curves(x: Array, lines: Mapping[str, Array], name: str, title: str, caption: str, labels: tuple[str, str],
           systems: Sequence[str], bands: Mapping[str, tuple[Array, Array]], zero: bool = False,
           log: bool = False, ylim: tuple[float | None, float | None] = (None, None)) -> Chart:  # fmt: skip
    """Lines with markers over common x.

    Args:
        systems: all systems of the report; a system has the same colour in every chart.
        bands: low and high around each line.
        zero: draw the line y = 0.
        log: x is logarithmic, with a tick at every point.
        ylim: ends of the y axis; None leaves them to the data.
    """

    def draw(axes: Axes) -> None:
        if zero:
            axes.axhline(0, color=_INK, linewidth=1)
        for label, line in lines.items():
            colour = PALETTE[systems.index(label) % len(PALETTE)]
            axes.plot(x, line, "o-", color=colour, label=label, markersize=4)
            axes.fill_between(x, *bands[label], color=colour, alpha=0.18, linewidth=0)
        axes.set(xlabel=labels[0], ylabel=labels[1], ylim=ylim, xscale="log" if log else "linear")
        if log:
            axes.set_xticks(x, [f"{value:g}" for value in x])
            axes.minorticks_off()
        _legend(axes)

    intervals = {label: {"low": low, "high": high} for label, (low, high) in bands.items()}
    data = {"x": x, "y": dict(lines), "interval": intervals}
    return _chart(draw, name, title, caption, data)


def ranked_sizes(sizes: Mapping[str, Array], name: str, title: str, caption: str, labels: tuple[str, str]) -> Chart:
    """Sizes in falling order against their rank, both logarithmic, one line per name; sizes of 0 are not drawn."""

    def draw(axes: Axes) -> None:
        for index, (label, values) in enumerate(sizes.items()):
            shown = values[values > 0]
            colour = PALETTE[index % len(PALETTE)]
            axes.plot(np.arange(1, len(shown) + 1), shown, color=colour, label=label)
        axes.set(xlabel=labels[0], ylabel=labels[1], xscale="log", yscale="log")
        _legend(axes)

    return _chart(draw, name, title, caption, {"sizes": dict(sizes)})


def _chart(draw: Callable[[Axes], None], name: str, title: str, caption: str, data: dict[str, Any],
           height: float = 3.3) -> Chart:  # fmt: skip
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.4, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return Chart(
        name, title, caption, _for_page(svg.getvalue().decode(), name, title), svg.getvalue(), png.getvalue(), data
    )


def _legend(axes: Axes) -> None:
    """Above the axes, where it covers nothing."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=2,
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.2,
        fontsize=9,
    )


def _for_page(svg: str, name: str, title: str) -> str:
    """Inline form: no header, no name spaces, own ids, theme colours, a size that follows the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'\s(?:xmlns(?::xlink)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg).replace("xlink:href", "href")
    for index, colour in enumerate(PALETTE):
        svg = svg.replace(colour, f"var(--c{index})")
    svg = svg.replace("url(#", f"url(#{name}-").replace(_INK, "currentColor").replace(_GRID, "var(--line)")
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)

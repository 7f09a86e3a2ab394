"""Charts. The only file of hmrtk that imports matplotlib.

In: arrays; out: ``Chart`` (an SVG that follows the page's colours, a PNG for slides, and the plotted numbers). Called
by ``distances``, ``systems`` and ``prototypes``.
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
from matplotlib.patches import Circle, Patch
from numpy.typing import NDArray

from hmrtk.reports.placement import beside

Array = NDArray[Any]

PALETTE = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe and Ito's colours: told apart by colour-blind readers, readable on light and dark."""

SINGULAR, ASSIGNED = PALETTE[0], PALETTE[1]

NUMBERED = 100
"""Clusters on a map up to which all carry their number; more would cover each other."""

_INK, _GRID, _PAPER = "#1a1b1c", "#d7d8d9", "#fefdfc"
"""Placeholders: in the page's SVG they become the theme's text, line and ground colours."""

_MIDDLE_GREY = "#808488"
"""Readable on light and on dark, in pictures that cannot follow the theme."""

_HEAT = "YlOrRd"

_LEGEND_LETTERS = 66
"""So many fit above the axes in one row; a marker takes the room of six."""

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
        wide: takes the page's whole width.
    """

    name: str
    title: str
    caption: str
    svg: str
    svg_file: bytes
    png: bytes
    data: dict[str, Any] = field(default_factory=dict)
    wide: bool = False


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


def dots(names: Sequence[str], values: Mapping[str, Array], name: str, title: str, caption: str,
         label: str) -> Chart:  # fmt: skip
    """One row per name, one dot per system; the first name on top."""
    rows = np.arange(len(names))[::-1]

    def draw(axes: Axes) -> None:
        for index, (system, places) in enumerate(values.items()):
            axes.plot(places, rows, "o", color=PALETTE[index % len(PALETTE)], label=system, clip_on=False)
        axes.set_yticks(rows, names)
        axes.set(xlabel=label, xlim=(0, None), ylim=(-0.7, len(names) - 0.3))
        _legend(axes)

    data = {"names": list(names), "values": dict(values)}
    return _chart(draw, name, title, caption, data, height=max(3.2, 0.2 * len(names) + 1))


def heat_colours(share: Array) -> Array:
    """(…) shares of the scale, 0..1 and clipped → (…, 3) sRGB 0..1: pale yellow to dark red, lightness falling."""
    return np.asarray(mpl.colormaps[_HEAT](np.clip(share, 0, 1)))[..., :3]


def heat_bar(top: float, width: int) -> Array:
    """The scale of ``heat_colours`` from 0 to ``top`` mm: (H, W, 4) uint8 on a transparent ground, about ``width``."""
    figure = Figure(figsize=(width / 100, 0.5), dpi=100)
    canvas = FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    axes = figure.add_axes((0.12, 0.62, 0.76, 0.26))
    axes.imshow(heat_colours(np.linspace(0, 1, 256))[None], extent=(0, top, 0, 1), aspect="auto")
    axes.set_yticks([])
    axes.tick_params(axis="x", colors=_MIDDLE_GREY, labelsize=9, length=2)
    axes.set_xticks(np.linspace(0, top, 5), [f"{v:g}" for v in np.linspace(0, top, 5)[:-1]] + [f"{top:g} mm"])
    for spine in axes.spines.values():
        spine.set_visible(False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


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


def cluster_map(points: Array, label: Array, centres: Array, pictures: Mapping[int, Array], name: str, title: str,
                caption: str, data: dict[str, Any]) -> Chart:  # fmt: skip
    """Samples in the plane, coloured by cluster, with the centres' pictures and numbers (PM-Net Fig. 4).

    Args:
        points, label: (n, 2) and (n,) samples and their clusters.
        centres: (K, 2); every cluster is numbered, at its picture or where its centre lies (above 100 clusters: only
            those with a picture).
        pictures: cluster → (H, W, 4) uint8; each lies near its centre, where it covers little.
    """
    colours = cluster_colours(len(centres))
    places = np.concatenate([points, centres])
    middle, reach = (places.min(axis=0) + places.max(axis=0)) / 2, 0.58 * float(np.ptp(places, axis=0).max() or 1.0)
    size = reach * (0.23 if len(centres) <= 12 else 0.19)
    drawn = list(pictures)
    numbered = list(range(len(centres))) if len(centres) <= NUMBERED else drawn
    spots = beside(drawn, points, label, centres, numbered, size, middle, reach - 0.55 * size)

    def draw(axes: Axes) -> None:
        axes.scatter(points[:, 0], points[:, 1], s=9, c=colours[label], alpha=0.75, linewidths=0, rasterized=True)
        axes.scatter(centres[:, 0], centres[:, 1], s=34, c=colours, edgecolors=_PAPER, linewidths=1, zorder=3)
        for cluster, spot in zip(drawn, spots, strict=True):
            _medallion(axes, pictures[cluster], centres[cluster], spot, size, colours[cluster])
        heights = dict(zip(drawn, spots - (0, 0.5 * size), strict=True))
        for cluster in numbered:
            spot = heights.get(cluster, centres[cluster])
            box = {"boxstyle": "round,pad=0.15", "facecolor": _PAPER, "edgecolor": "none", "alpha": 0.85}
            axes.text(spot[0], spot[1], str(cluster), ha="center", va="center", fontsize=8, zorder=6, bbox=box)
        axes.set(xlim=middle[0] + reach * np.array([-1, 1]), ylim=middle[1] + reach * np.array([-1, 1]), aspect=1)
        axes.set_axis_off()

    return _chart(draw, name, title, caption, data, height=8, width=8, wide=True)


def cluster_colours(k: int) -> Array:
    """(K, 3) RGB 0..1: the ten colours of matplotlib's default cycle, then hues a golden angle apart."""
    if k <= 10:
        return np.array(mpl.colormaps["tab10"](np.arange(k)))[:, :3]
    turns = np.arange(k) * (np.sqrt(5) - 1) / 2 % 1
    shade = np.stack([turns, np.tile([0.85, 0.55, 0.7], k)[:k], np.tile([0.75, 0.9, 0.55, 0.82], k)[:k]], axis=1)
    return mpl.colors.hsv_to_rgb(shade)


def _medallion(axes: Axes, picture: Array, centre: Array, spot: Array, size: float, colour: Array) -> None:
    """A picture on a disc with the cluster's colour around it, tied to the centre it belongs to."""
    axes.plot(*np.stack([centre, spot]).T, color=colour, linewidth=1.2, zorder=3)
    disc = Circle(tuple(spot), size / 2, facecolor=_PAPER, alpha=0.8, zorder=4)
    axes.add_patch(disc)
    axes.add_patch(Circle(tuple(spot), size / 2, facecolor="none", edgecolor=colour, linewidth=1.6, zorder=4))
    half = 0.5 * size
    axes.imshow(picture, extent=(spot[0] - half, spot[0] + half, spot[1] - half, spot[1] + half), zorder=5)


def pictures_with_key(pictures: Mapping[str, Array], key: Sequence[tuple[str, Any]], name: str, title: str,
                      caption: str, data: dict[str, Any]) -> Chart:  # fmt: skip
    """Pictures (H, W, 4) uint8 side by side under their names, beside a key of (text, RGB 0..1)."""

    def draw(axes: Axes) -> None:
        left = 0.0
        for label, picture in pictures.items():
            width = picture.shape[1] / picture.shape[0]
            axes.imshow(picture, extent=(left, left + width, 0, 1))
            axes.text(left + width / 2, -0.03, label, ha="center", va="top")
            left += width
        axes.set(xlim=(0, left + 0.84), ylim=(-0.1, 1), aspect=1)
        axes.set_axis_off()
        patches = [Patch(color=colour, label=text) for text, colour in key]
        axes.legend(handles=patches, loc="center right", fontsize=10, labelspacing=0.9, handlelength=1.2)

    return _chart(draw, name, title, caption, data, width=9, wide=True)


def _chart(draw: Callable[[Axes], None], name: str, title: str, caption: str, data: dict[str, Any],
           height: float = 3.3, width: float = 5.4, wide: bool = False) -> Chart:  # fmt: skip
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
        figure.savefig(svg, format="svg", dpi=200, metadata={"Date": None, "Creator": None}, transparent=True)
    inline = _for_page(svg.getvalue().decode(), name, title)
    return Chart(name, title, caption, inline, svg.getvalue(), png.getvalue(), data, wide)


def _legend(axes: Axes) -> None:
    """Above the axes, where it covers nothing: in one row where the names are short."""
    names = axes.get_legend_handles_labels()[1]
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=len(names) if sum(map(len, names)) <= _LEGEND_LETTERS - 6 * len(names) else 2,
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
    svg = svg.replace(_PAPER, "var(--ground)")
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)

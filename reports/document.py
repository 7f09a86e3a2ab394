"""The page: title, sections of text, tables, charts and galleries → one HTML file that needs nothing else.

Style, script and pictures are inside the file, so it opens without a network, on a phone, in light and in dark. Called
by ``tail`` and ``prototypes``, which also write the same content as files and JSON.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from hmrtk.reports.figures import Chart
from hmrtk.reports.gallery import Gallery
from hmrtk.reports.tables import Column, Table, is_published, plain, shown
from hmrtk.reports.viewer import Viewer
from hmrtk.toolkit.records.artefact import write_bytes

Block = Table | Chart | Gallery


@dataclass(frozen=True)
class Section:
    """A heading, sentences, and what follows them. ``folded`` sections are closed until the reader opens them."""

    name: str
    title: str
    text: Sequence[str]
    blocks: Sequence[Block]
    folded: bool = False


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title, lead: heading and one sentence under it.
        facts: (value, what it is) for the row of large numbers.
        sections: in reading order.
        details: name → value, the provenance at the end.
        numbers: the file beside the page that holds every number on it.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    details: dict[str, Any] = field(default_factory=dict)
    numbers: str = "report.json"

    def blocks(self, kind: type) -> list[Any]:
        """All tables, charts or galleries, in order."""
        return [block for section in self.sections for block in section.blocks if isinstance(block, kind)]

    def to_html(self) -> str:
        """The page."""
        environment = jinja2.Environment(
            loader=jinja2.FunctionLoader(_template), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )  # fmt: skip
        environment.filters |= {"shown": shown, "picture": _data_url, "pixels": _pixels}
        environment.tests |= {
            "published": is_published,
            "table": _is(Table),
            "chart": _is(Chart),
            "gallery": _is(Gallery),
            "viewer": _is(Viewer),
        }
        template = environment.get_template("report.html")
        scripts = ["sort.js", *(["viewer.js"] if self.blocks(Viewer) else [])]
        style, script = Markup(_template("style.css")), Markup("\n".join(map(_template, scripts)))
        return template.render(document=self, style=style, script=script, markup=Markup, sort_value=_sort_value)

    def to_json(self) -> dict[str, Any]:
        """Everything the page shows except the drawn pictures, as plain JSON values."""
        return {
            "title": self.title,
            "lead": self.lead,
            "facts": [{"value": value, "meaning": meaning} for value, meaning in self.facts],
            "sections": [{"name": s.name, "title": s.title, "text": list(s.text)} for s in self.sections],
            "tables": {t.name: t.to_json() for t in self.blocks(Table)},
            "figures": {
                c.name: {"title": c.title, "caption": c.caption, "data": plain(c.data)} for c in self.blocks(Chart)
            },
            "galleries": {
                g.name: {
                    "title": g.title,
                    "caption": g.caption,
                    "cards": [{"title": c.title, "lines": list(c.lines), **plain(c.data)} for c in g.cards],
                }
                for g in self.blocks(Gallery)
            },
            "details": plain(self.details),
        }

    def write(self, out: Path) -> None:
        """Write ``index.html``, ``tables/*.csv|*.md|*.tex`` and ``figures/*.png|*.svg`` into a folder, each atomically.

        Raises:
            OutputError: the folder cannot be written.
        """
        for table in self.blocks(Table):
            write_bytes(out / "tables" / f"{table.name}.csv", table.to_csv().encode())
            write_bytes(out / "tables" / f"{table.name}.md", table.to_markdown().encode())
            write_bytes(out / "tables" / f"{table.name}.tex", table.to_latex().encode())
        for chart in self.blocks(Chart):
            write_bytes(out / "figures" / f"{chart.name}.png", chart.png)
            write_bytes(out / "figures" / f"{chart.name}.svg", chart.svg_file)
        for gallery in self.blocks(Gallery):
            write_bytes(out / "figures" / f"{gallery.name}.png", gallery.sheet)
        write_bytes(out / "index.html", self.to_html().encode())


def _template(name: str) -> str:
    return (resources.files("hmrtk.reports") / "templates" / name).read_text("utf-8")


def _data_url(picture: bytes) -> str:
    """Of a PNG or a JPEG."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()


def _pixels(picture: bytes) -> Markup:
    """The attributes that keep a picture's place before it is decoded."""
    width, height = Image.open(io.BytesIO(picture)).size
    return Markup('width="{}" height="{}"').format(width, height)


def _is(kind: type) -> Any:
    return lambda block: isinstance(block, kind)


def _sort_value(row: dict[str, Any], column: Column) -> str:
    value = plain(row.get(column.key))
    return "" if value is None else str(value)

"""``Table``: named columns with units and digits, written as CSV, Markdown, LaTeX, JSON and HTML from the same rows.

Made by the modules of ``reports``; drawn and written by ``document``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "→": r"$\to$", "−": "$-$",
    "×": r"$\times$", "÷": r"$\div$", "·": r"$\cdot$", "–": "--", "“": "``", "”": "''", "²": "$^2$", "<": "$<$",
    ">": "$>$", "≤": r"$\leq$", "…": r"\ldots{}", "§": r"\S{}",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: name in rows, CSV and JSON.
        label: heading for people.
        unit: e.g. ``"mm"``; empty for counts and names.
        digits: decimals shown; None for text and whole numbers. CSV and JSON keep full precision.
    """

    key: str
    label: str
    unit: str = ""
    digits: int | None = None

    @property
    def heading(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True)
class Table:
    """Rows of values under columns.

    Attributes:
        name: file name without ending.
        title: heading.
        caption: what is shown, units and protocol, in sentences.
        columns: in order.
        rows: one mapping per row; a missing value, None or NaN is shown as a dash.
    """

    name: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[dict[str, Any]] = field(default_factory=list)

    def to_csv(self) -> str:
        """The rows with full precision; empty where there is no value."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([c.key for c in self.columns])
        for row in self.rows:
            values = [plain(row.get(c.key)) for c in self.columns]
            writer.writerow(["" if value is None else value for value in values])
        return stream.getvalue()

    def to_markdown(self) -> str:
        """A pipe table with rounded values, under its title and above its caption."""
        lines = [f"### {self.title}", ""]
        lines.append("| " + " | ".join(c.heading for c in self.columns) + " |")
        lines.append("|" + "|".join("---" if self.is_text(c) else "---:" for c in self.columns) + "|")
        for row in self.rows:
            lines.append(
                "| " + " | ".join(shown(row.get(c.key), c.digits).replace("|", "\\|") for c in self.columns) + " |"
            )
        return "\n".join([*lines, "", self.caption, ""])

    def to_latex(self) -> str:
        """A ``table`` with ``booktabs`` rules, rounded as on the page; published rows in italics."""
        head = " & ".join(latex(c.heading) for c in self.columns)
        body = [self._latex_row(row) for row in self.rows]
        return "\n".join([
            "% needs \\usepackage{booktabs}",
            "\\begin{table}", "  \\centering",
            f"  \\caption{{{latex(self.title)}. {latex(self.caption)}}}",
            f"  \\label{{tab:{self.name}}}",
            f"  \\begin{{tabular}}{{{''.join('l' if self.is_text(c) else 'r' for c in self.columns)}}}",
            "    \\toprule", f"    {head} \\\\", "    \\midrule", *body, "    \\bottomrule",
            "  \\end{tabular}", "\\end{table}", "",
        ])  # fmt: skip

    def _latex_row(self, row: dict[str, Any]) -> str:
        cells = [latex(shown(row.get(c.key), c.digits)) for c in self.columns]
        if is_published(row):
            cells = [f"\\textit{{{cell}}}" for cell in cells]
        return f"    {' & '.join(cells)} \\\\"

    def to_json(self) -> dict[str, Any]:
        """Title, caption, columns and rows as plain JSON values."""
        return {
            "title": self.title,
            "caption": self.caption,
            "columns": [{"key": c.key, "label": c.label, "unit": c.unit} for c in self.columns],
            "rows": [{c.key: plain(row.get(c.key)) for c in self.columns} for row in self.rows],
        }

    def is_text(self, column: Column) -> bool:
        """Whether a column holds names (left-aligned) rather than numbers."""
        return any(isinstance(row.get(column.key), str) for row in self.rows)


def is_published(row: dict[str, Any]) -> bool:
    """Whether a row was copied from a paper."""
    return str(row.get("source", "")).startswith("published")


def latex(text: str) -> str:
    """Text as LaTeX (pdfLaTeX, UTF-8) sets it."""
    return "".join(_LATEX.get(character, character) for character in text)


def plain(value: Any) -> Any:
    """A JSON value: NumPy scalars and arrays unwrapped, NaN and infinity become None, keys become strings."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def shown(value: Any, digits: int | None) -> str:
    """A value as text for people: rounded, thousands separated, a dash where there is none."""
    value = plain(value)
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.{1 if digits is None else digits}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)

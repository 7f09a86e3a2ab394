"""Tables: the same rows as CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import io

import numpy as np

from hmrtk.reports.tables import Column, Table, plain, shown

TABLE = Table(
    "t",
    "Title",
    "Caption.",
    [Column("name", "Name"), Column("n", "Count"), Column("e", "Error", "mm", 1)],
    [{"name": "a|b, c", "n": 1234, "e": np.float64(1 / 3)}, {"name": "d", "n": np.int64(5), "e": float("nan")}],
)


def test_csv_keeps_full_precision() -> None:
    rows = list(csv.reader(io.StringIO(TABLE.to_csv())))
    assert rows == [["name", "n", "e"], ["a|b, c", "1234", repr(1 / 3)], ["d", "5", ""]]


def test_markdown_is_rounded_and_escaped() -> None:
    lines = TABLE.to_markdown().splitlines()
    assert lines[2:4] == ["| Name | Count | Error (mm) |", "|---|---:|---:|"]
    assert lines[4:] == ["| a\\|b, c | 1,234 | 0.3 |", "| d | 5 | – |", "", "Caption."]


def test_json_has_no_numpy_and_no_nan() -> None:
    rows = TABLE.to_json()["rows"]
    assert rows == [{"name": "a|b, c", "n": 1234, "e": 1 / 3}, {"name": "d", "n": 5, "e": None}]
    assert type(rows[1]["n"]) is int


def test_plain_values() -> None:
    assert plain({1: np.array([1.0, np.inf]), "t": (np.float32(0.5), None)}) == {"1": [1.0, None], "t": [0.5, None]}


def test_shown_values() -> None:
    assert [shown(1234.56, 1), shown(7, None), shown(None, 1), shown("x", None), shown(2.0, 0)] == [
        "1,234.6",
        "7",
        "–",
        "x",
        "2",
    ]


def test_latex_is_rounded_escaped_and_marks_what_was_published() -> None:
    rows = [{"name": "a_b & 5%", "n": 1, "e": 0.26, "source": "published: X"}, {"name": "c", "n": 2, "e": None}]
    text = Table("t_1", "Title", "T-5% → all.", TABLE.columns, rows).to_latex()
    lines = text.splitlines()
    assert r"  \caption{Title. T-5\% $\to$ all.}" in lines
    assert r"  \begin{tabular}{lrr}" in lines
    assert r"    Name & Count & Error (mm) \\" in lines
    assert r"    \textit{a\_b \& 5\%} & \textit{1} & \textit{0.3} \\" in lines
    assert r"    c & 2 & -- \\" in lines
    assert text.count("{") == text.count("}")

"""The packaged numbers of papers: they are the printed ones, and are found by data set."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from hmrtk.reports.published_rows import published_for, published_tables


def test_tables_two_three_and_four_of_pmnet() -> None:
    tables = published_tables()
    assert [(t.paper, t.number, len(t.rows)) for t in tables] == [
        ("PM-Net", "II", 5),
        ("PM-Net", "III", 10),
        ("PM-Net", "IV", 4),
    ]
    assert all(len(row["values"]) == len(t.columns) for t in tables for row in t.rows)


def test_rows_equal_the_paper(shared_dir: Path) -> None:
    text = (shared_dir / "papers" / "pmnet.txt").read_text()
    printed = [re.split(r"\t", line) for line in text.splitlines() if line.count("\t") >= 3]
    wanted = [
        ["-" if math.isnan(v) else f"{v:.1f}" for v in row["values"]] for t in published_tables() for row in t.rows
    ]
    numbers = [cells[1:] for cells in printed]
    assert all(row in numbers for row in wanted)


def test_numbers_of_one_data_set() -> None:
    values = {(v.system, v.subset, v.metric): v.value for v in published_for("3dpw")}
    assert values["PM-Net", "T-5%", "pve"] == 124.9
    assert values["SPIN", "Full", "mpjpe"] == 98.3
    assert ("DenseRac", "Full", "pa_mpjpe") not in values
    assert published_for("tiny") == []


def test_a_shown_table_says_that_it_is_published() -> None:
    table = published_tables()[2].to_table()
    assert table.name == "published_pmnet_table_iv"
    assert "published" in table.title
    assert table.caption.startswith("Published, not measured here")
    assert table.columns[1].heading == "Human3.6M T-5% MPVPE (mm)"
    assert table.rows[2]["v0"] == pytest.approx(89.0)

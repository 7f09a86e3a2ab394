"""The packaged numbers of papers: they are the printed ones, and are shown as published."""

from __future__ import annotations

import html
import math
import re
from pathlib import Path

import pytest

from hmrtk.reports.published_rows import DATASET_NAMES, METRIC_NAMES, PublishedTable, published_tables

FILES = {
    "PM-Net": "pmnet",
    "DaNet": "danet",
    "PyMAF": "pymaf",
    "Multi-Crop HMR": "multicrop",
    "Best of Both": "best_of_both",
}


def every_table() -> list[PublishedTable]:
    return [*published_tables(), *published_tables("settings")]


def test_tables_of_five_papers() -> None:
    found = {(t.paper, t.number): len(t.rows) for t in every_table()}
    assert found == {
        ("PM-Net", "II"): 5, ("PM-Net", "III"): 10, ("PM-Net", "IV"): 4, ("PM-Net", "V"): 11,
        ("DaNet", "1"): 16, ("DaNet", "2"): 9, ("DaNet", "3"): 7, ("DaNet", "4"): 12, ("DaNet", "5"): 12,
        ("PyMAF", "1"): 19, ("PyMAF", "2"): 13, ("PyMAF", "3"): 8,
        ("Multi-Crop HMR", "1"): 24, ("Best of Both", "2"): 12, ("Best of Both", "3"): 9,
    }  # fmt: skip
    assert len({t.name for t in every_table()}) == len(found)


@pytest.mark.parametrize("table", every_table(), ids=lambda t: t.name)
def test_columns_and_rows_fit(table: PublishedTable) -> None:
    assert all(len(row["values"]) == len(table.columns) for row in table.rows)
    assert all(any(not math.isnan(v) for v in row["values"]) for row in table.rows)
    assert {c.dataset for c in table.columns} <= set(DATASET_NAMES)
    assert {c.metric for c in table.columns} <= set(METRIC_NAMES)


@pytest.mark.parametrize("table", every_table(), ids=lambda t: t.name)
def test_rows_equal_the_paper(table: PublishedTable, shared_dir: Path) -> None:
    """Each row's numbers follow each other in a line (or a table's row) of the paper."""
    text = (shared_dir / "papers" / f"{FILES[table.paper]}.txt").read_text()
    lines = [re.sub(r"<[^>]+>", " ", html.unescape(part)) for part in re.split(r"</tr>|\n(?!<t)", text)]
    printed = [[float(n) for n in re.findall(r"(?<![\w.\[])\d+\.\d+", line)] for line in lines]
    for row in table.rows:
        wanted = [v for v in row["values"] if not math.isnan(v)]
        if (table.paper, table.number) == ("PyMAF", "2"):  # F1 is printed as a share
            wanted = [v / 100 if i % 2 else v for i, v in enumerate(wanted)]
        assert any(_holds(numbers, wanted) for numbers in printed), (row["system"], wanted)


def _holds(numbers: list[float], wanted: list[float]) -> bool:
    span = len(wanted)
    return any(numbers[i : i + span] == pytest.approx(wanted, abs=1e-9) for i in range(len(numbers) - span + 1))


def test_a_shown_table_says_that_it_is_published() -> None:
    table = published_tables()[2].to_table()
    assert table.name == "published_pmnet_table_iv"
    assert "published" in table.title
    assert table.caption.startswith("Published, not measured here")
    assert table.columns[1].heading == "Human3.6M T-5% MPVPE (mm)"
    assert table.rows[2]["v0"] == pytest.approx(89.0)


def test_actions_and_per_cent_are_named() -> None:
    tables = {t.name: t.to_table() for t in published_tables()}
    actions = [c.heading for c in tables["danet_table_2"].columns]
    assert actions[1] == "Human3.6M Directions PA-MPJPE (mm)"
    assert actions[-1] == "Human3.6M mean of actions PA-MPJPE (mm)"
    assert [c.unit for c in tables["pymaf_table_2"].columns[1:]] == ["%"] * 4

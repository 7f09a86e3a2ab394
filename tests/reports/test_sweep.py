"""The page of a sweep, from made-up runs: rows, files, sentences, and PM-Net's Table V as it was printed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.reports.published_rows import published_tables
from hmrtk.reports.settings import setting_row
from hmrtk.reports.sweep import build_sweep_report, shown_split
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import OutputError
from hmrtk.toolkit.prototypes.sweep import Outcome, Setting, Split, Sweep, SweepConfig

PROVENANCE = {"command": "sweep-prototypes", "seed": 0}


def split(name: str, count: int = 40) -> Split:
    return Split(name, BodyParameters.zeros(count), name[0] * 16, {"T-10%": np.arange(4), "T-5%": np.arange(2)})


def run(k: int, limbs: float, seed: int, metres: float) -> dict[str, Any]:
    """Distances fall as the subset widens; 40 samples, one empty cluster when K is above 2."""
    subsets = {
        name: {"samples": n, "distance": metres * times, "singular": 0.4 * times}
        for name, n, times in (("Full", 40, 1.0), ("T-10%", 4, 2.0), ("T-5%", 2, 3.0))
    }
    sizes = [40 - 2 * (k - 1) + 2, *[2] * (k - 2), 0] if k > 2 else [30, 10]
    return {
        "k": k, "limbs": limbs, "seed": seed, "iterations": 5 + seed, "seconds": 1.5, "sizes": sizes,
        "splits": {"train": subsets, "test": subsets}, "gamma": {"train": 10 * metres, "test": 20 * metres},
    }  # fmt: skip


@pytest.fixture
def splits() -> list[Split]:
    return [split("train"), split("test")]


@pytest.fixture
def sweep() -> Sweep:
    config = SweepConfig((2, 5), (1.0, 5.0), 5, 2)
    settings = [Setting(2, 5.0, ("k",)), Setting(5, 5.0, ("k", "limbs")), Setting(5, 1.0, ("limbs",))]
    outcomes = [
        Outcome(s, [run(s.k, s.limbs, seed, metres + 0.02 * seed) for seed in (0, 1)], [0.5])
        for s, metres in zip(settings, (0.3, 0.2, 0.19), strict=True)
    ]
    return Sweep(config, outcomes, ["K = 100 is left out: there are only 40 samples to cluster"], 6, 0)


def test_a_row_is_the_mean_and_the_spread_over_seeds(sweep: Sweep, splits: list[Split]) -> None:
    row = setting_row(sweep.outcomes[1], splits)
    assert row["sweep"] == "k+limbs"
    assert row["test_full_mm"] == pytest.approx(210)
    assert (row["test_full_low_mm"], row["test_full_high_mm"]) == pytest.approx((200, 220))
    assert row["test_t5_mm"] == pytest.approx(630)
    assert row["test_t5_reduction"] == pytest.approx(100 * (1 - 630 / 1200))
    assert row["test_gamma"] == pytest.approx(4.2)
    assert (row["smallest"], row["median"], row["largest"], row["empty"]) == (0, 2, 34, 1)
    assert (row["ari"], row["iterations"], row["seconds"]) == pytest.approx((0.5, 5.5, 1.5))


def test_files_of_a_report(sweep: Sweep, splits: list[Split], tmp_path: Path) -> None:
    report = build_sweep_report(sweep, splits, "tiny", tmp_path, PROVENANCE)
    assert json.loads((tmp_path / "sweep.json").read_text()) == report
    assert report["kind"] == "hmrtk.sweep"
    assert report["notes"] == list(sweep.notes)
    rows = list(csv.DictReader((tmp_path / "sweep.csv").open()))
    assert [(row["sweep"], row["k"], row["limbs"]) for row in rows] == [
        ("k", "2", "5.0"),
        ("k+limbs", "5", "5.0"),
        ("limbs", "5", "1.0"),
    ]
    per_subset = ("_mm", "_low_mm", "_high_mm", "_reduction")
    measured = {
        name
        for split in ("train", "test")
        for name in (*(f"{split}_{s}{end}" for s in ("full", "t10", "t5") for end in per_subset), f"{split}_gamma")
    }
    clusters = {"smallest", "median", "largest", "empty", "ari", "ari_low", "ari_high", "iterations", "seconds"}
    assert set(rows[0]) == {"sweep", "k", "limbs", "seeds"} | measured | clusters
    assert float(rows[0]["test_full_mm"]) == pytest.approx(310)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    charts = ("distance_by_k", "distance_by_limbs", "agreement_by_k", "agreement_by_limbs", "cluster_sizes")
    assert names == {f"{chart}.{ending}" for chart in charts for ending in ("png", "svg")}
    text = (tmp_path / "sweep.md").read_text()
    assert "Note: K = 100 is left out" in text
    assert "### By number of prototypes K" in text
    assert "PM-Net, Table V (published)" in text


def test_the_page_needs_nothing_else_and_marks_what_is_published(
    sweep: Sweep, splits: list[Split], tmp_path: Path
) -> None:
    build_sweep_report(sweep, splits, "<b>tiny", tmp_path, PROVENANCE)
    page = (tmp_path / "index.html").read_text()
    assert "https://" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<b>tiny" not in page
    assert "sweep.json" in page
    assert "report.json" not in page
    assert "published, not measured here" in page
    assert "there are only 40 samples" in page
    assert "K = 2 → 5, test split. Full: 400 mm to the singular prototype, 310 → 210 mm" in page


def test_one_seed_one_split_and_no_weights(sweep: Sweep, tmp_path: Path) -> None:
    alone = [Outcome(Setting(2, 5.0, ("k",)), [run(2, 5.0, 0, 0.3)], [])]
    single = Sweep(SweepConfig((2,), (), 50, 1), alone, [], 1, 0)
    report = build_sweep_report(single, [split("train")], "tiny", tmp_path, PROVENANCE)
    assert report["shown_split"] == "train"
    assert report["settings"][0]["ari"] is None
    assert "One seed has no pairs" in (tmp_path / "index.html").read_text()
    assert "nothing held out" in report["lead"]
    assert not (tmp_path / "figures" / "distance_by_limbs.png").exists()


@pytest.mark.parametrize(
    ("names", "shown"),
    [(["train"], "train"), (["train", "test", "val"], "test"), (["train", "val"], "val"), (["train", "x"], "x")],
)
def test_charts_show_the_held_out_split(names: list[str], shown: str) -> None:
    assert shown_split([split(name) for name in names]).name == shown


def test_a_folder_that_cannot_be_written(sweep: Sweep, splits: list[Split], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        build_sweep_report(sweep, splits, "tiny", tmp_path / "file", PROVENANCE)


# -- Table V ----------------------------------------------------------------------------------------------------------


def printed_table_five(text: str) -> dict[str, list[float]]:
    """Setting → printed numbers, read from the paper's text."""
    lines = text[text.index("TABLE V:") : text.index("REFERENCES")].splitlines()
    rows, half = {}, ""
    for line in lines:
        if line.startswith("Influence of"):
            half = "K = " if "Clusters" in line else "limbs "
        elif half and len(cells := line.split("\t")) == 11:
            rows[half + cells[0]] = [float(cell) for cell in cells[1:]]
    return rows


def test_table_five_equals_the_paper(shared_dir: Path) -> None:
    text = (shared_dir / "papers" / "pmnet.txt").read_text()
    (table,) = published_tables("settings")
    assert {row["system"]: row["values"] for row in table.rows} == printed_table_five(text)
    assert "We use MPJPE to evaluate MPI-INF-3DHP [10] and MPVPE for other datasets." in text
    assert [c.metric for c in table.columns] == ["pve"] * 9 + ["mpjpe"]
    subsets = ["Full", "T-5%", "T-10%"] * 2 + ["Full", "T-10%", "T-20%", "Full"]
    assert [c.subset for c in table.columns] == subsets


def test_settings_of_one_system_are_not_systems() -> None:
    (table,) = published_tables("settings")
    assert (table.number, len(table.rows), len(table.columns)) == ("V", 11, 10)
    assert table.to_table().columns[0].heading == "Setting"
    assert table not in published_tables()
    systems = {row["system"] for other in published_tables() for row in other.rows}
    assert not systems & {row["system"] for row in table.rows}

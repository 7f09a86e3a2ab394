"""``sweep-prototypes`` as a user calls it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hmrtk.cli.sweep import default_k, measured_splits
from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.embedded import embedded_records

from .conftest import Hmrtk

Failing = Callable[..., str]
SMALL = ("--limbs", "1,5", "--limbs-k", 3, "--seeds", 2, "--tail", "10,20")


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A folder with 60 training and 30 test rows."""
    body = load_body()
    for split, rows in (("train", 60), ("test", 30)):
        embedded_records(split, body, rows).write(tmp_path / "records" / f"{split}.parquet")
    return tmp_path / "records"


def test_a_tiny_sweep_end_to_end(hmrtk: Hmrtk, records: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    arguments = ("sweep-prototypes", "--records", records, "--k", "2,3,100", *SMALL, "--out", out)
    done = hmrtk(*arguments, "--json")
    assert done.code == 0, done
    report = done.json
    assert report == json.loads((out / "sweep.json").read_text())
    assert report["notes"] == ["K = 100 is left out: there are only 60 samples to cluster"]
    assert {name: split["samples"] for name, split in report["splits"].items()} == {"train": 60, "test": 30}
    assert (report["fitted"], report["reused"]) == (6, 0)
    assert [(row["k"], row["limbs"]) for row in csv.DictReader((out / "sweep.csv").open())] == [
        ("2", "5.0"),
        ("3", "5.0"),
        ("3", "1.0"),
    ]
    assert {row["train_full_mm"] > 0 and row["test_t10_mm"] > row["test_full_mm"] for row in report["settings"]} == {
        True
    }
    again = hmrtk(*arguments)
    assert "0 fits, 6 kept from before" in again.out
    assert "note: K = 100 is left out" in again.out
    assert again.out.rstrip().endswith(f"open {out / 'index.html'}")


def test_the_default_place_and_the_embedded_dataset(hmrtk: Hmrtk, tmp_path: Path) -> None:
    done = hmrtk(
        "sweep-prototypes", "--limit", 40, "--k", "2", "--limbs", "", "--seeds", 1, "--method", "naive", "--json"
    )
    assert done.code == 0, done
    assert {split["samples"] for split in done.json["splits"].values()} == {40}
    assert done.json["shown_split"] == "test"
    assert (tmp_path / "ws/sweeps/embedded-naive/index.html").exists()


def test_rows_that_are_all_of_one_split_are_the_training_rows() -> None:
    body = load_body()
    (split,) = measured_splits(embedded_records("test", body, 20), body, (10.0,))
    assert (split.name, len(split.parameters), len(split.tails["T-10%"])) == ("test", 20, 2)


def test_the_tail_is_farthest_from_the_mean_of_the_training_rows() -> None:
    body = load_body()
    records = RecordTable.concatenate([embedded_records(s, body, 40) for s in ("val", "train")])
    train, held_out = measured_splits(records, body, (5.0, 10.0))
    assert (train.name, held_out.name) == ("train", "val")
    assert list(held_out.subsets) == ["Full", "T-10%", "T-5%"]
    assert [len(rows) for rows in held_out.subsets.values()] == [40, 4, 2]
    assert set(held_out.tails["T-5%"]) <= set(held_out.tails["T-10%"])


@pytest.mark.parametrize(("dataset", "k"), [("3dpw", 10), ("h36m", 50), ("mine", 50)])
def test_the_k_of_a_dataset(dataset: str, k: int) -> None:
    assert default_k(dataset) == k


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--k", "5,x"), "is not a list of numbers"),
        (("--k", "0"), "every number has to be above 0"),
        (("--limbs", "inf"), "every number has to be above 0"),
        (("--tail", "5,101"), "above 0 and at most 100"),
        (("--tail", ""), "expected at least one number"),
        (("--method", "mean"), "Invalid value for '--method'"),
    ],
)
def test_wrong_usage(hmrtk: Hmrtk, arguments: tuple[str, ...], message: str) -> None:
    done = hmrtk("sweep-prototypes", *arguments)
    assert done.code == 2
    assert message in done.err


def test_nothing_to_try(failing: Failing, records: Path) -> None:
    message = failing("sweep-prototypes", "--records", records, "--k", "", "--limbs", "")
    assert message == "sweep: there is nothing to try (name a K or a limb weight)"


def test_the_help_says_how_long_it_takes(hmrtk: Hmrtk) -> None:
    done = hmrtk("sweep-prototypes", "--help")
    assert "minutes on 2 cores" in " ".join(done.out.split())

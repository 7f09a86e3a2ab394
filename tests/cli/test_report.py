"""``tail-report``, ``doctor`` and ``quickstart`` as a user calls them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet, to_spin_mean_params
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.embedded import embedded_records

from .conftest import Hmrtk

Failing = Callable[..., str]
ROWS = 60


def predictions(path: Path, noise: float, rows: int = ROWS) -> Path:
    """Predictions for the first test rows: the truth with seeded noise on the pose."""
    body = load_body()
    records = embedded_records("test", body, rows)
    truth = records.parameters()
    rng = np.random.default_rng(0)
    guess = truth.replaced(body_pose=truth.body_pose + noise * rng.normal(size=truth.body_pose.shape))
    meta = PredictionsMetadata(system=path.stem, body=body.fingerprint)
    Predictions(records.sample_ids, guess, meta).write(path)
    return path


def test_report_without_predictions(hmrtk: Hmrtk, tmp_path: Path) -> None:
    done = hmrtk("tail-report", "--limit", ROWS, "--k", 4, "--tail", "10,25", "--rarest", 3, "--json")
    assert done.code == 0
    out = tmp_path / "ws/reports/embedded-test"
    assert json.loads((out / "report.json").read_text()) == done.json
    rows = list(csv.DictReader((out / "tables/tails.csv").open()))
    assert [int(float(row["samples"])) for row in map(lower_keys, rows)] == [60, 15, 6]
    page = (out / "index.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "T-10%" in page


def lower_keys(row: dict[str, str]) -> dict[str, str]:
    return {key.split()[0].lower(): value for key, value in row.items()}


def test_report_with_two_systems(hmrtk: Hmrtk, tmp_path: Path) -> None:
    good, bad = predictions(tmp_path / "good.parquet", 0.02), predictions(tmp_path / "bad.parquet", 0.2, 2 * ROWS)
    arguments = ("tail-report", "--limit", ROWS, "--k", 4, "--rarest", 2, "--baseline", "bad")
    done = hmrtk(*arguments, "--predictions", f"good={good}", "--predictions", f"bad={bad}", "--json")
    assert done.json["systems"] == ["good", "bad"]
    assert done.json["baseline"] == "bad"
    text = json.dumps(done.json["tables"])
    assert "MPVPE" in text
    assert "PA-MPJPE" in text
    assert {about["measured"] for about in done.json["predictions"].values()} == {ROWS}
    gain = done.json["tables"]["differences"]["rows"][0]
    assert (gain["system"], gain["verdict"]) == ("good", "better")


def test_predictions_for_records_without_a_body_are_passed_over(hmrtk: Hmrtk, tmp_path: Path) -> None:
    """As ``evaluate`` does; samples that are in no record are refused by both."""
    path = predictions(tmp_path / "a.parquet", 0.1)
    records = embedded_records("test", load_body(), ROWS)
    columns = {name: records.array(name) for name in ("sample_id", "dataset", "split", "betas", "global_orient")}
    bare = np.full((ROWS, 23, 3), np.nan, np.float32)
    bare[2:] = records.array("body_pose")[2:]
    RecordTable.from_columns({**columns, "body_pose": bare}, records.metadata).write(tmp_path / "records.parquet")
    arguments = ("--records", "records.parquet", "--predictions")
    done = hmrtk("tail-report", *arguments, f"a={path}", "--k", 3, "--rarest", 1, "--out", "report")
    assert done.code == 0, done.err
    assert "a: 2 predictions are passed over, for records that are not measured" in done.out
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert (report["samples"], report["predictions"]["a"]["passed_over"]) == (ROWS - 2, 2)
    assert hmrtk("evaluate", *arguments, path, "--json").json["n"] == ROWS - 2
    more = predictions(tmp_path / "more.parquet", 0.1, ROWS + 1)
    refused = hmrtk("tail-report", *arguments, f"a={more}", "--k", 3, "--rarest", 1)
    assert refused.code == 1
    assert "1 prediction is for samples not in" in refused.err


def test_two_sources_of_pictures_are_refused(hmrtk: Hmrtk) -> None:
    done = hmrtk("tail-report", "--images", "a", "--shards", "b")
    assert done.code == 2
    assert "--images and --shards are two sources of the same pictures: give one" in done.err


def test_rarity_can_be_measured_from_given_mean_parameters(hmrtk: Hmrtk, tmp_path: Path) -> None:
    built = hmrtk("build-prototypes", "--limit", ROWS, "--k", 3, "--json").json["out"]
    to_spin_mean_params(PrototypeSet.load(built), tmp_path / "smpl_mean_params.npz")
    arguments = ("tail-report", "--limit", ROWS, "--prototypes", built, "--rarest", 2, "--json")
    own = hmrtk(*arguments).json
    given = hmrtk(*arguments, "--singular", "smpl_mean_params.npz").json
    for mine, theirs in zip(own["facts"], given["facts"], strict=True):
        assert mine == theirs


def test_unknown_baseline_and_broken_predictions(failing: Failing, tmp_path: Path) -> None:
    path = predictions(tmp_path / "a.parquet", 0.1)
    few = ("tail-report", "--limit", ROWS, "--k", 3, "--rarest", 2, "--predictions", f"a={path}")
    assert "unknown baseline 'b'; known: a" in failing(*few, "--baseline", "b")
    path.write_bytes(path.read_bytes()[:-30])
    assert "a.parquet: is not a readable Parquet file" in failing(*few)


def test_doctor_names_everything(hmrtk: Hmrtk) -> None:
    found = hmrtk("doctor", "--json").json
    assert found["packages"]["numpy"]
    assert found["body"]["fingerprint"] == load_body().fingerprint
    assert found["datasets"]["embedded"].startswith("ready")
    assert "hmrtk datasets show h36m" in found["datasets"]["h36m"]
    assert "no such file" in hmrtk("doctor", "--body", "nobody.pkl").out


@pytest.mark.slow
def test_quickstart_leaves_everything_it_names(hmrtk: Hmrtk) -> None:
    done = hmrtk("quickstart", "--limit", 80, "--k", 5, "--pictures", 30, "--steps", 6, "--json")
    assert done.code == 0, done.err
    assert all(Path(place).exists() for place in done.json["places"].values())
    assert done.json["shards"]["rows"] == 30
    again = hmrtk("quickstart", "--limit", 80, "--k", 5, "--pictures", 30, "--steps", 6, "--json")
    assert again.json["prototypes"]["fingerprint"] == done.json["prototypes"]["fingerprint"]

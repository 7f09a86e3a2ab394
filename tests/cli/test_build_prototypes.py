"""``build-prototypes`` at scale: killed and run again, several starts, a given start, rows with bad values."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.prototypes.labels import read_labels
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.sources.embedded import embedded_records
from tests.records.test_salvage import saved, spoilt

from .conftest import Hmrtk

Failing = Callable[..., str]
SMALL = ("--limit", 60, "--k", 4)


def test_a_given_start_and_several_starts(hmrtk: Hmrtk, tmp_path: Path) -> None:
    first = hmrtk("build-prototypes", *SMALL, "--n-init", 3, "--dims", 16, "--tol", 0, "--json").json
    metadata = PrototypeSet.load(first["out"]).metadata
    assert len(metadata["starts"]) == 3
    assert metadata["dims"] == 16
    assert not list(tmp_path.rglob("*.checkpoint"))
    kept = Path(first["out"]).rename(tmp_path / "start.safetensors")
    again = hmrtk("build-prototypes", "--limit", 60, "--init", kept, "--tol", 0, "--json").json
    assert (again["k"], again["stopped"]) == (4, "labels")
    assert again["iterations"] <= 1
    labels = [read_labels(value["labels"])[1].label for value in (first, again)]
    np.testing.assert_array_equal(*labels)


def test_a_start_that_is_nowhere(failing: Failing) -> None:
    message = failing("build-prototypes", *SMALL, "--init", "k-meens++")
    assert message.startswith("unknown initialisation or file 'k-meens++'; known: ")


def test_bad_rows_are_refused_or_left_out(hmrtk: Hmrtk, failing: Failing, tmp_path: Path) -> None:
    records = embedded_records("train", load_body(), 50)
    path = saved(spoilt(records, "betas", {4: np.nan, 9: 99.0}), tmp_path / "bad.parquet")
    assert "bad.parquet row 4: betas has NaN" in failing("build-prototypes", "--records", path, "--k", 3)
    done = hmrtk("build-prototypes", "--records", path, "--k", 3, "--on-error", "skip")
    assert (
        f"2 rows left out: {path} row 4: betas has NaN or infinite values; {path} row 9: |betas| beyond 20" in done.out
    )
    value = hmrtk("build-prototypes", "--records", path, "--k", 3, "--on-error", "skip", "--json").json
    assert value["samples"] == 48
    assert value["left_out"]["rows"] == 2
    ids, _, _ = read_labels(value["labels"])
    assert ids == [name for i, name in enumerate(records.sample_ids) if i not in (4, 9)]


def command(folder: Path) -> subprocess.Popen[str]:
    """The command as users run it, on the 12 000 bodies of the embedded training split, telling every step."""
    line = [sys.executable, "-m", "hmrtk.cli", "-v", "build-prototypes"]
    line += ["--k", "50", "--tol", "0", "--max-iter", "15", "--out", "out.safetensors"]
    environment = {**os.environ, "HMRTK_WORKSPACE": str(folder)}
    return subprocess.Popen(
        line, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stderr is not None
    yield from process.stderr


def results(folder: Path) -> list[bytes]:
    return [(folder / f"out.{kind}").read_bytes() for kind in ("safetensors", "labels.parquet")]


@pytest.mark.slow
def test_killed_while_posing_and_in_iteration_7_the_result_is_the_same(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    assert command(whole).communicate()[0]
    for moment, checkpoint in (("posing and projecting bodies: 1024/", False), ("K-Means: 7/", True)):
        process = command(killed)
        assert any(line.startswith(moment) for line in lines(process))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert (killed / "out.checkpoint").exists() == checkpoint
        assert not (killed / "out.safetensors").exists()
    process = command(killed)
    seen = [line.split("/")[0] for line in lines(process) if line.startswith("K-Means: ")]
    process.communicate()
    assert process.returncode == 0
    assert int(seen[0].removeprefix("K-Means: ")) in (7, 8)  # it went on, not anew
    assert results(killed) == results(whole)
    assert sorted(file.name for file in killed.iterdir()) == ["out.labels.parquet", "out.safetensors"]

"""The curves: appended row by row, wider when new numbers come, and cut back to where a run goes on."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from hmrtk.models.training_log import TrainingLog, read_log
from hmrtk.toolkit.errors import OutputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "train.csv"


def _write(file: Path, steps: range, first: int = 0) -> None:
    log = TrainingLog(file, "train", first)
    for step in steps:
        log.write(step, {"total": step / 7, "pose": 1e-30 * step})
    log.close()


def test_rows_as_they_come(file: Path) -> None:
    log = TrainingLog(file, "train")
    log.write(0, {"total": 1.5, "pose": 0.1})
    assert file.read_bytes() == b"step,total,pose\r\n0,1.5,0.1\r\n"  # on disk at once
    log.write(10, {"total": 1 / 3, "pose": math.inf})
    assert file.read_bytes().endswith(b"10,0.3333333333333333,inf\r\n")
    with open(file, newline="") as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["0", "10"]
    assert float(read_log(file)[1]["total"]) == 1 / 3


def test_new_columns_come_last(file: Path) -> None:
    log = TrainingLog(file, "train")
    log.write(0, {"b": 1})
    log.write(1, {"a": 2, "b": 3})
    log.write(2, {"b": 4})
    assert file.read_text().split() == ["step,b,a", "0,1.0,", "1,3.0,2.0", "2,4.0,"]
    again = TrainingLog(file, "train", 2)
    again.write(2, {"b": 4})
    assert file.read_text().split() == ["step,b,a", "0,1.0,", "1,3.0,2.0", "2,4.0,"]


@pytest.mark.parametrize("kept", [0, 1, 4, 9, 20])
def test_a_run_that_goes_on_writes_the_same_file(tmp_path: Path, kept: int) -> None:
    _write(tmp_path / "whole" / "train.csv", range(10))
    _write(tmp_path / "cut" / "train.csv", range(10))
    _write(tmp_path / "cut" / "train.csv", range(kept, 10), kept)
    assert (tmp_path / "cut" / "train.csv").read_bytes() == (tmp_path / "whole" / "train.csv").read_bytes()


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_torn_last_line_is_left_out(file: Path, cut: int) -> None:
    """Also one that lacks nothing but digits of its last number."""
    _write(file, range(4))
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    steps = [int(row["step"]) for row in read_log(file)]
    assert steps == [0, 1, 2]
    _write(file, range(3, 4), 3)
    assert file.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"ste", b"step,total"])
def test_a_torn_header(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    _write(file, range(2))
    assert [row["step"] for row in read_log(file)] == ["0", "1"]


def test_tensorboard_has_the_same_numbers(file: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _write(file, range(3))
    events = EventAccumulator(str(file.parent / "tensorboard" / "train")).Reload()
    found = [(event.step, event.value) for event in events.Scalars("train/total")]
    assert found == [(step, pytest.approx(step / 7)) for step in range(3)]


def test_cannot_be_written(file: Path) -> None:
    log = TrainingLog(file, "train")
    log.write(0, {"a": 1})
    file.unlink()
    file.mkdir()
    with pytest.raises(OutputError, match=r"train\.csv: cannot be written: Is a directory"):
        log.write(1, {"a": 1})

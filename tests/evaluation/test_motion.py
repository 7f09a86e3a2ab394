"""Acceleration error over records: order, gaps, cameras, people, and films that cannot be told apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from hmrtk.toolkit.evaluation.formulas import acceleration_errors
from hmrtk.toolkit.evaluation.motion import acceleration_of
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable


def _films(**columns: Any) -> RecordTable:
    n = len(columns["frame"])
    ids = {"sample_id": [f"s{i}" for i in range(n)], "dataset": "tiny", "split": "test"}
    return RecordTable.from_columns({**ids, **columns}, RecordMetadata(body="b"))


def test_films_are_put_in_order_and_kept_apart() -> None:
    records = _films(sequence=["a", "b"] * 5, frame=[40, 1, 0, 0, 10, 2, 30, 3, 20, 4])
    offsets = np.random.default_rng(0).normal(size=(10, 2, 3))
    found = acceleration_of(records, offsets)
    a, b = [2, 4, 8, 6, 0], [3, 1, 5, 7, 9]
    for film in (a, b):
        np.testing.assert_allclose(found[film[1:-1]], acceleration_errors(offsets[film]))
        assert np.isnan(found[[film[0], film[-1]]]).all()


def test_a_gap_has_no_acceleration() -> None:
    offsets = np.random.default_rng(1).normal(size=(7, 2, 3))
    found = acceleration_of(_films(sequence=["a"] * 7, frame=[0, 5, 10, 15, 25, 30, 35]), offsets)
    assert np.flatnonzero(np.isfinite(found)).tolist() == [1, 2, 5]


def test_people_and_cameras_are_different_films() -> None:
    frames = {"sequence": ["a"] * 6, "frame": [0, 1, 2] * 2}
    offsets = np.random.default_rng(2).normal(size=(6, 2, 3))
    for column in ("subject", "camera_id"):
        found = acceleration_of(_films(**frames, **{column: ["x"] * 3 + ["y"] * 3}), offsets)
        assert np.flatnonzero(np.isfinite(found)).tolist() == [1, 4]
    assert np.isnan(acceleration_of(_films(**frames), offsets)).all()  # two people, told apart by nothing


def test_rows_without_a_film() -> None:
    offsets = np.zeros((4, 2, 3))
    some = _films(sequence=["a", None, "a", "a"], frame=[0, 1, 1, 2])
    assert np.flatnonzero(np.isfinite(acceleration_of(some, offsets))).tolist() == [2]
    none = _films(sequence=[None] * 4, frame=[0, 1, 2, 3])
    assert np.isnan(acceleration_of(none, offsets)).all()

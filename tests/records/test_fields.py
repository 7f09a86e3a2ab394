"""Untrusted files: what is read, what is refused, and that nothing in them runs."""

from __future__ import annotations

import json
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.fields import (
    as_gender,
    as_text,
    first_betas,
    json_fields,
    npz_fields,
    pickle_fields,
    rotation_vectors,
)

CONTENT: dict[str, Any] = {
    "poses": [np.arange(12.0).reshape(2, 6), np.ones((3, 6), np.float32, order="F")],
    "names": np.array(["männlich", "f"]),
    "raw": np.array([b"ab", b"c"]),
    "count": np.int64(3),
    "share": np.float32(0.5),
    "flag": np.bool_(True),
    "big": np.array([1, 258], ">i2"),
    "mixed": np.array([{"a": 1, "b": np.zeros(2)}, None, "x"], object),
    "one": np.array({"K": np.eye(3)}, object),
    "pair": (1, [2.5, b"bytes"]),
    "empty": np.zeros((0, 3)),
}


class Runs:
    """Unpickling this with ``pickle`` would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_comes_back_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    fields = pickle_fields(path, "a test")
    for mine, theirs in zip(fields.items("poses"), CONTENT["poses"], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert fields.value("names").tolist() == ["männlich", "f"]
    assert fields.value("raw").tolist() == [b"ab", b"c"]
    assert (fields.value("count"), fields.value("share"), fields.value("flag")) == (3, 0.5, True)
    np.testing.assert_array_equal(fields.array("big", 2), [1, 258])
    first, *rest = fields.value("mixed")
    assert (first["a"], rest) == (1, [None, "x"])
    np.testing.assert_array_equal(fields.inner("one").array("K", 3, 3), np.eye(3))
    assert fields.value("pair") == [1, [2.5, b"bytes"]]
    assert fields.array("empty", None, 3).shape == (0, 3)


def test_objects_in_an_npz(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, plain=np.arange(3), smpl={"betas": np.ones((2, 10))}, cams=CONTENT["mixed"])
    fields = npz_fields(path, ("plain", "smpl", "cams", "absent"))
    np.testing.assert_array_equal(fields.array("plain", 3), [0, 1, 2])
    np.testing.assert_array_equal(fields.inner("smpl").array("betas", None, 10), np.ones((2, 10)))
    assert fields.items("cams")[0]["a"] == 1
    assert "absent" not in fields


def test_nothing_in_a_file_runs(tmp_path: Path) -> None:
    mark, pkl, npz = tmp_path / "mark", tmp_path / "x.pkl", tmp_path / "x.npz"
    pkl.write_bytes(pickle.dumps({"a": Runs(mark)}))
    np.savez(npz, a=np.array(Runs(mark), object))
    for read in (lambda: pickle_fields(pkl, "a 3DPW sequence"), lambda: npz_fields(npz, ("a",))):
        with pytest.raises(InputError, match=r"holds a .*, which hmrtk does not load \(expected (a 3DPW|plain values)"):
            read()
    assert not mark.exists()


def test_shared_parts_stay_small_and_cycles_are_refused(tmp_path: Path) -> None:
    many: Any = [1.0]
    for _ in range(14):
        many = [many] * 10
    loop: dict[str, Any] = {}
    loop["self"] = loop
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"many": many, "loop": loop}))
    fields = pickle_fields(path, "a test")
    start = time.monotonic()
    assert len(fields.items("many")) == 10
    assert time.monotonic() - start < 60  # 10 to the power of 14 without sharing
    with pytest.raises(InputError, match=r"x\.pkl: loop holds a structure that is nested too deep"):
        fields.value("loop")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f.value("no"), r"x\.json: has no no \(its keys: a, text, nan, ragged, d\)"),
        (lambda f: f.array("a", 3, 3), r"x\.json: a has shape \(2, 3\), expected \(3, 3\)"),
        (lambda f: f.array("a", None), r"x\.json: a has shape \(2, 3\), expected \(any\)"),
        (lambda f: f.array("text", 1), r"x\.json: text is not an array of numbers"),
        (lambda f: f.array("ragged", 2), r"x\.json: ragged is not an array of numbers"),
        (lambda f: f.array("nan", 3), r"x\.json row 2: nan has NaN or infinite values"),
        (lambda f: f.number("a"), r"x\.json: a has shape \(2, 3\), expected a single number"),
        (lambda f: f.text("a"), r"x\.json: a is a list, expected text"),
        (lambda f: f.items("d"), r"x\.json: d is a dict, expected a list"),
        (lambda f: f.inner("a"), r"x\.json: a is a list, expected a dictionary"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, call: Any, message: str) -> None:
    path = tmp_path / "x.json"
    content = {"a": [[1, 2, 3]] * 2, "text": "x", "nan": [0, 1, float("nan")], "ragged": [[1], [1, 2]], "d": {}}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        call(json_fields(path))


@pytest.mark.parametrize("read", [lambda p: pickle_fields(p, "x"), json_fields, lambda p: npz_fields(p, ("a",))])
def test_missing_and_damaged_files(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "x"
    with pytest.raises(InputError, match="No such file"):
        read(path)
    whole = tmp_path / "whole.npz"
    np.savez(whole, a=np.zeros(1000))
    for data in (b"", b"\x80\x04\x95", whole.read_bytes()[:700], b"[1]"):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"is not (a readable|valid)|holds a list, expected"):
            read(path)


def test_texts() -> None:
    for value in ("male", b"male", np.array("male"), np.array(b"male"), np.array(["male"]), "b'male'"):
        assert as_text(value, "gender", "x") == "male"


def test_genders() -> None:
    given = {"m": "male", b"F": "female", "b'Male'": "male", "neutral": "neutral", "n": "neutral"}
    for value, name in given.items():
        assert as_gender(value, "gender", "x") == name
    with pytest.raises(InputError, match=r"x: gender is 'other', expected one of neutral, male, female"):
        as_gender("other", "gender", "x")


def test_shapes_of_people() -> None:
    np.testing.assert_array_equal(first_betas(np.arange(16)[None], "betas", "x"), np.arange(10))
    for value, message in (
        (np.zeros(9), "betas has 9 values, expected at least 10"),
        (np.full(10, 1e3), "betas reaches 1000.0, expected at most 20"),
        (np.full(10, np.nan), "betas has NaN"),
    ):
        with pytest.raises(InputError, match=message):
            first_betas(value, "betas", "x")


def test_rotation_matrices() -> None:
    vectors = np.random.default_rng(0).normal(0, 0.6, (2, 3, 3))
    matrices = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(2, 3, 3, 3)
    np.testing.assert_allclose(rotation_vectors(matrices, "pose", "x"), vectors, atol=1e-12)
    matrices[1, 2] *= -1
    with pytest.raises(InputError, match=r"^x row 1: pose is no rotation at joint 2$"):
        rotation_vectors(matrices, "pose", "x")

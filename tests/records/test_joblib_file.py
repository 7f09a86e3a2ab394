"""Files of joblib: every way of writing them gives the same values back, and nothing in them is run."""

from __future__ import annotations

import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.joblib_file import joblib_fields
from tests.records.hostile import Hostile

WAYS = [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)]


def people() -> dict[Any, dict[str, Any]]:
    """What results hold: arrays of all kinds by the number of a track, some numbers being NumPy's."""
    rng = np.random.default_rng(0)
    found: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
    for key in (1, np.int64(7)):
        found[key] = {
            "float": rng.normal(size=(5, 3)).astype(np.float32),
            "fortran": np.asfortranarray(rng.normal(size=(4, 3, 2))),
            "integer": np.arange(5),
            "empty": np.zeros((0, 3)),
            "single": np.array(3.5),
            "scalar": np.float32(0.25),
            "text": np.array(["a", "bc"]),
            "objects": np.array([{"x": np.arange(3)}, None], object),
            "vertices": np.zeros((5, 6890, 3), np.float32),
            "none": None,
        }
    return found


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("compress", WAYS, ids=str)
def test_every_way_of_writing_is_read(compress: Any, protocol: int, tmp_path: Path) -> None:
    written = people()
    path = tmp_path / "x.pkl"
    joblib.dump(written, path, compress=compress, protocol=protocol)
    fields = joblib_fields(path, "results", unread=lambda shape: shape[-2:] == (6890, 3))
    assert list(fields.values) == ["1", "7"]
    for key, person in written.items():
        found = fields.inner(str(key))
        for name in ("float", "fortran", "integer", "empty", "single"):
            np.testing.assert_array_equal(found.value(name), person[name])
            assert found.value(name).dtype == person[name].dtype
        assert found.value("vertices").shape == (0, 6890, 3)
        assert found.value("scalar") == 0.25
        assert found.value("text").tolist() == ["a", "bc"]
        assert found.value("objects")[0]["x"].tolist() == [0, 1, 2]
        assert found.value("none") is None


def test_joblib_before_1_2_wrote_no_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblib.numpy_pickle.NumpyArrayWrapper, "__getstate__", _without_alignment, raising=False)
    monkeypatch.setattr(
        joblib.numpy_pickle.NumpyArrayWrapper, "safe_get_numpy_array_alignment_bytes", lambda self: None
    )
    joblib.dump({"a": np.arange(7.0), "b": np.arange(3)}, tmp_path / "x.pkl")
    fields = joblib_fields(tmp_path / "x.pkl", "results")
    assert fields.value("a").tolist() == list(range(7))
    assert fields.value("b").tolist() == [0, 1, 2]


def _without_alignment(self: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(self).items() if name != "numpy_array_alignment_bytes"}


def test_a_plain_pickle_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({3: {"a": np.arange(4)}}))
    assert joblib_fields(tmp_path / "x.pkl", "results").inner("3").value("a").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("place", ["beside arrays", "in an array of objects"])
@pytest.mark.parametrize("compress", [0, ("zlib", 3)], ids=str)
def test_nothing_is_run(place: str, compress: Any, tmp_path: Path) -> None:
    hostile: Any = Hostile(tmp_path / "ran")
    content = hostile if place == "beside arrays" else np.array([hostile, None], object)
    joblib.dump({"a": np.arange(3), "b": content}, tmp_path / "x.pkl", compress=compress)
    with pytest.raises(
        InputError, match=r"x\.pkl: holds a posix\.system, which hmrtk does not load \(expected results"
    ):
        joblib_fields(tmp_path / "x.pkl", "results").value("b")
    assert not (tmp_path / "ran").exists()
    joblib.load(tmp_path / "x.pkl")
    assert (tmp_path / "ran").exists(), "the file would have run something"


@pytest.mark.parametrize("compress", WAYS, ids=str)
def test_a_truncated_file_is_refused(compress: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    joblib.dump({"a": np.random.default_rng(0).normal(size=500)}, path, compress=compress)
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(InputError, match=r"x\.pkl: is not a readable joblib file: \w+"):
        joblib_fields(path, "results")


def test_other_files_are_refused(tmp_path: Path) -> None:
    def refused(match: str, content: bytes | None = None) -> None:
        path = tmp_path / "x.pkl"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=match):
            joblib_fields(path, "results of VIBE")

    refused("x.pkl: cannot be read: No such file or directory")
    refused("x.pkl: is not a readable joblib file: Ran out of input", b"")
    refused("is compressed by lz4, which hmrtk does not read .write it again", b"\x04\x22\x4d\x18rest")
    refused("holds a list, expected a dictionary .expected results of VIBE", pickle.dumps([1]))
    old = b"\x80\x02cjoblib.numpy_pickle\nNDArrayWrapper\n)\x81."
    refused(r"is of joblib before 0\.10, with arrays in files of their own .write it again", old)


def test_a_wrapper_that_lies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    joblib.dump({"a": np.arange(300.0)}, path)
    data = path.read_bytes()
    assert data.count(b"M,\x01") == 1  # 300
    for replacement in (b"M\xff\xff", b"J\xff\xff\xff\xff"):  # 65535, -1
        path.write_bytes(data.replace(b"M,\x01", replacement))
        with pytest.raises(InputError, match="is not a readable joblib file"):
            joblib_fields(path, "results")

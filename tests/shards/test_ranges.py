"""Byte ranges are read from the middle of files, and a file that is too short is named."""

from __future__ import annotations

import pickle

import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import write_bytes
from hmrtk.toolkit.records.remote import RemotePath
from hmrtk.toolkit.shards import ranges
from hmrtk.toolkit.shards.ranges import ByteRanges


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    """A file of ten bytes."""
    found = tmp_path / "f" if request.param == "local" else RemotePath("memory://ranges/f")
    write_bytes(found, b"0123456789")
    yield found
    if request.param == "memory":
        RemotePath("memory://").store.store.clear()


def test_a_range_is_read(place):
    assert ByteRanges().read(place, 3, 4) == b"3456"
    assert ByteRanges().read_many([(place, 3, 4), (place, 0, 1)]) == [b"3456", b"0"]
    assert pickle.loads(pickle.dumps(ByteRanges())).read(place, 0, 1) == b"0"  # noqa: S301 - made here


def test_a_short_or_missing_file_is_named(place):
    with pytest.raises(InputError, match=r"f: ends before byte 12 \(run verify-shards"):
        ByteRanges().read(place, 8, 4)
    with pytest.raises(InputError, match=r"f: ends before byte 12"):
        ByteRanges().read_many([(place, 8, 4), (place, 8, 4)])
    place.unlink()
    with pytest.raises(InputError, match=r"f: no such file"):
        ByteRanges().read(place, 0, 1)


def test_few_files_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(ranges, "MAX_OPEN", 2)
    monkeypatch.setattr(ranges, "MAX_MAPPED", 3)
    reader = ByteRanges()
    for turn in range(2):
        for name in "abcd":
            (tmp_path / name).write_text(name)
            assert reader.read(tmp_path / name, 0, 1) == name.encode(), turn
            assert reader.whole(tmp_path / name) == name.encode(), turn
    assert len(reader._own.files) == 2
    assert len(reader._mapped) == 3


def test_a_whole_file_may_be_empty_or_missing(tmp_path):
    (tmp_path / "f").touch()
    assert ByteRanges().whole(tmp_path / "f") == b""
    with pytest.raises(InputError, match=r"g: no such file"):
        ByteRanges().whole(tmp_path / "g")

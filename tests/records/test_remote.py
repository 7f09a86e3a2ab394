"""Artefacts in an object store: a real S3 server on loopback, and fsspec's memory for what is quick."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records import artefact
from hmrtk.toolkit.records.remote import RemotePath, below, byte_size, files_in, located

TABLE = pa.table({"x": list(range(1000))})


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.slow)])
def folder(request: pytest.FixtureRequest) -> Iterator[RemotePath]:
    """A folder of its own in either store."""
    if request.param == "s3":
        yield RemotePath(f"{request.getfixturevalue('s3_bucket')}/remote/{request.node.name}")
        return
    yield RemotePath(f"memory://remote/{request.node.name}")
    RemotePath("memory://").store.store.clear()


@pytest.mark.parametrize(
    ("written", "kind", "kept"),
    [
        ("s3://bucket/a/b.parquet", RemotePath, "s3://bucket/a/b.parquet"),
        ("S3://bucket//a/", RemotePath, "s3://bucket/a"),
        ("gs://bucket", RemotePath, "gs://bucket"),
        ("memory://", RemotePath, "memory://"),
        ("file:///tmp/x", Path, "/tmp/x"),
        ("a/b", Path, "a/b"),
    ],
)
def test_a_url_keeps_its_slashes_and_a_path_stays_a_path(written: str, kind: type, kept: str) -> None:
    place = located(written)
    assert isinstance(place, kind)
    assert str(place) == kept
    assert located(place) is place


def test_parts_of_a_url() -> None:
    place = RemotePath("s3://bucket/a/b.tar.parquet")
    assert (place.name, place.stem, place.suffix) == ("b.tar.parquet", "b.tar", ".parquet")
    assert (place.parent, place.parent.parent.parent) == (RemotePath("s3://bucket/a"), RemotePath("s3://"))
    assert str(place.with_suffix(".labels.parquet")) == "s3://bucket/a/b.tar.labels.parquet"
    assert str(RemotePath("s3://bucket") / "c" / "d") == "s3://bucket/c/d"
    assert pickle.loads(pickle.dumps(place)) == place  # noqa: S301 - our own
    assert len({place, RemotePath(str(place))}) == 1
    assert repr(place) == "RemotePath('s3://bucket/a/b.tar.parquet')"
    assert below(place, RemotePath("s3://bucket/")) == "a/b.tar.parquet"
    assert below(Path("/x/y/z"), Path("/x")) == "y/z"


def test_a_url_cannot_climb() -> None:
    with pytest.raises(InputError, match=r"s3://bucket/\.\./x: a URL cannot have the part \.\."):
        located("s3://bucket/../x")


def test_round_trip(folder: RemotePath) -> None:
    path = folder / "a.parquet"
    artefact.write_parquet(path, TABLE, "hmrtk.test", 1, {"colour": "red"})
    table, metadata = artefact.read_parquet(str(path), "hmrtk.test", 1, ["x"])
    assert table.equals(TABLE)
    assert metadata["colour"] == "red"
    artefact.write_json(folder / "b.json", {"k": [1, 2]})
    assert artefact.read_json(folder / "b.json") == {"k": [1, 2]}
    assert files_in(folder, "*.parquet") == [path]
    assert files_in(folder / "nowhere", "*") == []
    assert artefact.file_fingerprint(path) == _local_fingerprint(path)


def _local_fingerprint(path: RemotePath) -> str:
    with artefact.local_copy(path) as local:
        assert byte_size(local) == byte_size(path)
        return artefact.file_fingerprint(local)


def test_files_and_folders(folder: RemotePath) -> None:
    assert not folder.exists()
    artefact.write_bytes(folder / "deep" / "a", b"abc")
    deep = folder / "deep"
    assert (deep.exists(), deep.is_dir(), deep.is_file()) == (True, True, False)
    assert ((deep / "a").exists(), (deep / "a").is_dir(), (deep / "a").is_file()) == (True, False, True)
    assert (deep / "a").size() == 3
    with pytest.raises(FileExistsError):
        (deep / "a").create(b"again")
    (deep / "a").unlink()
    assert not (deep / "a").exists()


def test_removing_what_is_not_there(folder: RemotePath) -> None:
    (folder / "a").unlink(missing_ok=True)
    artefact.write_bytes(folder / "b", b"")
    assert (folder / "b").size() == 0


def test_a_failed_write_keeps_the_old_file(folder: RemotePath) -> None:
    artefact.write_bytes(folder / "a", b"old")
    with pytest.raises(ZeroDivisionError), artefact.atomic_path(folder / "a") as temporary:
        temporary.write_bytes(b"new") and 1 / 0
    with artefact.open_input(folder / "a") as stream:
        assert stream.read() == b"old"


def test_missing_and_damaged_files_are_named(folder: RemotePath) -> None:
    with pytest.raises(InputError) as caught:
        artefact.read_parquet(folder / "a.parquet", "hmrtk.test", 1)
    assert str(caught.value) == f"{folder}/a.parquet: no such file"
    artefact.write_bytes(folder / "b.parquet", b"PAR1 nonsense PAR1")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        artefact.read_parquet(folder / "b.parquet", "hmrtk.test", 1)
    with pytest.raises(InputError, match="is a directory, expected a file"):
        artefact.read_json(folder)


def test_a_protocol_nobody_knows() -> None:
    with pytest.raises(InputError, match=r"^nope://x: unknown protocol nope://"):
        artefact.read_json("nope://x")


def test_a_package_that_is_not_there_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = pytest.importorskip("fsspec.registry")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(registry._registry, "s3", raising=False)
    with pytest.raises(InputError) as caught:
        artefact.read_json("s3://bucket/x")
    expected = 's3://bucket/x: s3:// needs a package that is not installed (pip install "hmrtk[s3]")'
    assert str(caught.value) == expected
    with pytest.raises(OutputError, match=r"s3://bucket/x: cannot be written: s3:// needs a package"):
        artefact.write_bytes("s3://bucket/x", b"")


@pytest.mark.slow
def test_a_bucket_that_is_not_there(s3_bucket: str) -> None:
    with pytest.raises(OutputError, match=r"^s3://no-such-bucket/x: cannot be written: .*bucket does not exist"):
        artefact.write_bytes("s3://no-such-bucket/x", b"")
    with pytest.raises(InputError, match="s3://no-such-bucket/x: no such file"):
        artefact.read_json("s3://no-such-bucket/x")


def test_what_the_store_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def exists(self, path: str) -> bool:
            raise RuntimeError("no route\nto host")

    monkeypatch.setattr(RemotePath, "store", Broken())
    with pytest.raises(InputError, match=r"^s3://b/x: the object store refuses: no route \(check its address"):
        RemotePath("s3://b/x").exists()

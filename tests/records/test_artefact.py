"""Atomic writes, kinds, versions and the errors of damaged artefacts."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records import artefact

TABLE = pa.table({"x": [1, 2, 3]})


def test_round_trip_keeps_values_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.parquet"
    artefact.write_parquet(path, TABLE, "hmrtk.test", 3, {"colour": "red"})
    table, metadata = artefact.read_parquet(path, "hmrtk.test", 3)
    assert table.to_pydict() == {"x": [1, 2, 3]}
    assert metadata == {"kind": "hmrtk.test", "schema_version": 3, "colour": "red"}
    assert [p.name for p in path.parent.iterdir()] == ["a.parquet"]


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        artefact.write_parquet(tmp_path / name, TABLE, "hmrtk.test", 1, {"z": 1, "a": [2]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    artefact.write_json(path, {"old": 1})
    with pytest.raises(ZeroDivisionError), artefact.atomic_path(path) as temporary:
        temporary.write_bytes(b"new") and 1 / 0
    assert json.loads(path.read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written: ") as caught:
        artefact.write_json(tmp_path / "file" / "a.json", {})
    assert "\n" not in str(caught.value)


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A file-size limit stands in for a full disk: the kernel refuses the bytes in the same call."""
    path = tmp_path / "a.bin"
    artefact.write_bytes(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
        with pytest.raises(OutputError, match="cannot be written"):
            artefact.write_bytes(path, bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    artefact.write_bytes(path, b"old")
    code = (
        "import os, signal, sys\n"
        "from hmrtk.toolkit.records.artefact import atomic_path\n"
        "with atomic_path(sys.argv[1]) as p:\n"
        "    p.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        artefact.write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.mkdir(), "is a directory"),
        (lambda p: p.write_bytes(b""), "not a readable Parquet file"),
        (lambda p: p.write_bytes(b"PAR1 nonsense PAR1"), "not a readable Parquet file"),
        (lambda p: pq.write_table(TABLE, p), "a Parquet file that hmrtk did not write"),
        (lambda p: pq.write_table(TABLE.replace_schema_metadata({b"hmrtk": b"[1"}), p), "has damaged metadata"),
        (lambda p: pq.write_table(TABLE.replace_schema_metadata({b"hmrtk": b"\xff"}), p), "has damaged metadata"),
        (lambda p: pq.write_table(TABLE.replace_schema_metadata({b"hmrtk": b"[1]"}), p), "has damaged metadata"),
        (lambda p: pq.write_table(TABLE.replace_schema_metadata({b"hmrtk": b'{"kind": "a"}'}), p), "damaged metadata"),
        (lambda p: artefact.write_parquet(p, TABLE, "hmrtk.other", 1, {}), "expected hmrtk.test, got hmrtk.other"),
        (lambda p: artefact.write_parquet(p, TABLE, "hmrtk.test", 9, {}), "schema version 9.*up to 1.*upgrade"),
    ],
)
def test_unusable_file_is_named(tmp_path: Path, make: object, message: str) -> None:
    path = tmp_path / "a.parquet"
    make(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=message) as caught:
        artefact.read_parquet(path, "hmrtk.test", 1)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    artefact.write_parquet(path, pa.table({"x": list(range(10000))}), "hmrtk.test", 1, {})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="truncated or corrupt"):
        artefact.read_parquet(path, "hmrtk.test", 1)


def test_damaged_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    artefact.write_parquet(path, pa.table({"x": [f"word {i * 7919}" for i in range(10000)]}), "hmrtk.test", 1, {})
    data = bytearray(path.read_bytes())
    data[100:400] = bytes(300)
    path.write_bytes(data)
    with pytest.raises(InputError, match="is damaged"):
        artefact.read_parquet(path, "hmrtk.test", 1)


def test_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    artefact.write_parquet(path, TABLE, "hmrtk.test", 1, {})
    with pytest.raises(InputError, match="has no column y"):
        artefact.read_parquet(path, "hmrtk.test", 1, ["x", "y"])


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1,\n "b": \n')
    with pytest.raises(InputError, match=r"a\.json line 3: is not valid JSON"):
        artefact.read_json(path)


def test_file_fingerprint_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert artefact.file_fingerprint(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_provenance_names_everything() -> None:
    block = artefact.provenance("build-prototypes", {"k": 5}, "ff", {"records": "aa"}, 3)
    assert block["command"] == "build-prototypes"
    assert block["config"] == {"k": 5}
    assert block["body"] == "ff"
    assert block["inputs"] == {"records": "aa"}
    assert block["seed"] == 3
    assert block["package"] == artefact.package_version()


def test_devices_pipes_and_folders_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, kind in (("pipe", "device or pipe"), ("folder", "folder")):
        with pytest.raises(OutputError, match=f"{name}: cannot be written: it is a {kind}, expected a file"):
            artefact.write_bytes(tmp_path / name, b"x")
    assert (tmp_path / "pipe").is_fifo()


def test_a_place_is_tried_without_leaving_anything(tmp_path: Path) -> None:
    artefact.require_writable(tmp_path / "new" / "file")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "taken").write_text("here")
    artefact.require_writable(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "here"
    with pytest.raises(OutputError, match="taken/file: cannot be written"):
        artefact.require_writable(tmp_path / "taken" / "file")

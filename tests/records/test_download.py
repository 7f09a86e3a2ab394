"""One file over HTTP: every way in which a server, a network, a disk or a process can fail in the middle."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records import http_transfer
from hmrtk.toolkit.records.download import fetch
from hmrtk.toolkit.records.http_transfer import Patience
from hmrtk.toolkit.records.manifest import Download
from hmrtk.toolkit.records.receipt import part_path, read_receipt, receipt_path

from .file_server import Served, serving

DATA = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
HASTY = Patience(attempts=3, first_wait=0.01, longest_wait=0.02, timeout=5)


@pytest.fixture
def server() -> Iterator[Served]:
    with serving(Served({"/a.bin": DATA}, {"/a.bin": '"one"'})) as served:
        yield served


def wanted(server: Served, **changes: Any) -> Download:
    values = {"url": f"{server.url}/a.bin", "file": "sub/a.bin", "meaning": "noise", "part": "a"}
    return Download(**{**values, **changes})


def got(server: Served, folder: Path, **changes: Any) -> bytes:
    return fetch(wanted(server, **changes), folder, patience=HASTY).file.read_bytes()


def test_a_file_arrives_with_its_receipt(server: Served, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    fetched = fetch(
        wanted(server), tmp_path, lambda stage, done, total, note="": told.append((stage, done, total)), HASTY
    )
    assert fetched.state == "downloaded"
    assert fetched.file.read_bytes() == DATA
    assert (fetched.receipt.bytes, fetched.receipt.sha256, fetched.receipt.etag) == (len(DATA), SHA256, '"one"')
    assert read_receipt(fetched.file) == fetched.receipt
    assert sorted(p.name for p in fetched.file.parent.iterdir()) == ["a.bin", "a.bin.download"]
    assert told[-1] == ("check a.bin", 1, 1)
    assert ("download a.bin", 1, 1) in told


def test_what_is_there_and_right_is_left_alone(server: Served, tmp_path: Path) -> None:
    got(server, tmp_path)
    asked = len(server.asked)
    assert fetch(wanted(server), tmp_path, patience=HASTY).state == "there"
    assert len(server.asked) == asked


@pytest.mark.parametrize("published", [True, False])
def test_what_is_there_and_wrong_is_set_aside(server: Served, tmp_path: Path, published: bool) -> None:
    known = {"sha256": SHA256} if published else {}
    got(server, tmp_path, **known)
    file = tmp_path / "sub" / "a.bin"
    file.write_bytes(DATA[:-1] + b"\0")
    assert fetch(wanted(server, **known), tmp_path, patience=HASTY).state == "replaced"
    assert file.read_bytes() == DATA
    assert (file.parent / "a.bin.bad").read_bytes() == DATA[:-1] + b"\0"
    file.write_bytes(DATA[:1000])
    assert fetch(wanted(server, **known), tmp_path, patience=HASTY).state == "replaced"


def test_a_broken_connection_is_gone_on_with(server: Served, tmp_path: Path) -> None:
    server.cut = [100_000, 1, 50_000]
    assert got(server, tmp_path) == DATA
    assert [ranged for _, ranged, _ in server.asked] == [None, "bytes=100000-", "bytes=100001-", "bytes=150001-"]
    assert server.asked[1][2] == '"one"'


def test_a_server_without_ranges_starts_again(server: Served, tmp_path: Path) -> None:
    server.cut, server.ranges = [100_000], False
    assert got(server, tmp_path) == DATA
    server.cut = [200_000] * 9
    with pytest.raises(
        InputError, match=r"the connection ended after 200000 of 300000 bytes; given up after 3 attempt"
    ):
        got(server, tmp_path / "other")
    assert part_path(tmp_path / "other/sub/a.bin").read_bytes() == DATA[:200_000]


def test_a_file_that_was_changed_meanwhile_comes_whole(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed, server.cut = DATA[::-1], [100_000]

    def between(_seconds: float) -> None:
        server.files["/a.bin"], server.etags["/a.bin"] = changed, '"two"'

    monkeypatch.setattr(http_transfer.time, "sleep", between)
    assert got(server, tmp_path) == changed
    assert read_receipt(tmp_path / "sub/a.bin").etag == '"two"'  # type: ignore[union-attr]
    assert [condition for _, _, condition in server.asked] == [None, '"one"']


def test_without_a_validator_only_a_known_hash_lets_it_go_on(server: Served, tmp_path: Path) -> None:
    server.etags.clear()
    server.cut = [100_000]
    assert got(server, tmp_path) == DATA
    assert [ranged for _, ranged, _ in server.asked] == [None, None]
    server.asked.clear()
    server.cut = [100_000]
    assert got(server, tmp_path / "b", sha256=SHA256) == DATA
    assert [ranged for _, ranged, _ in server.asked] == [None, "bytes=100000-"]


def test_a_weak_etag_is_no_validator(server: Served, tmp_path: Path) -> None:
    server.etags["/a.bin"] = 'W/"one"'
    server.cut = [100_000]
    assert got(server, tmp_path) == DATA
    assert [ranged for _, ranged, _ in server.asked] == [None, None]


def test_a_busy_server_is_asked_again(server: Served, tmp_path: Path) -> None:
    server.statuses = [503, 500]
    assert got(server, tmp_path) == DATA
    server.statuses = [503] * 9
    with pytest.raises(
        InputError, match=r"a\.bin: the server says 503 .*; given up after 3 attempts \(run again later"
    ):
        got(server, tmp_path / "b")


def test_a_server_says_when_to_ask_again(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    told: list[str] = []
    monkeypatch.setattr(http_transfer.time, "sleep", waited.append)
    server.statuses, server.retry_after = [503, 503, 500], "7"
    patience = Patience(attempts=9, first_wait=1, longest_wait=30)
    fetch(wanted(server), tmp_path, lambda stage, done, total, note="": told.append(note), patience)
    server.statuses, server.retry_after = [503, 429], "Wed, 21 Oct 2026 07:28:00 GMT"
    fetch(wanted(server), tmp_path / "b", patience=patience)
    assert waited == [7, 7, 8, 2, 4]
    assert any(note.startswith("MB; the server says 503 ") and note.endswith("; again in 7 s") for note in told)


def test_refusals_of_a_server_are_final(server: Served, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"b\.bin: the server says 404 Not Found \(the file may have moved: see the"):
        got(server, tmp_path, url=f"{server.url}/b.bin")
    assert len(server.asked) == 1
    with pytest.raises(InputError, match=r"cannot be reached: .*refused; given up after 3 attempts"):
        got(server, tmp_path, url="http://127.0.0.1:9/a.bin")


def test_redirects_lead_to_http_only(server: Served, tmp_path: Path) -> None:
    server.redirects = {"/moved": f"{server.url}/a.bin", "/trap": f"file://{__file__}", "/ftp": "ftp://127.0.0.1:9/x"}
    assert got(server, tmp_path, url=f"{server.url}/moved") == DATA
    for trap in ("trap", "ftp"):
        with pytest.raises(InputError):
            got(server, tmp_path / trap, url=f"{server.url}/{trap}")
        assert not (tmp_path / trap / "sub/a.bin").exists()


def test_a_length_that_is_a_lie(server: Served, tmp_path: Path) -> None:
    server.claimed = len(DATA) + 50
    with pytest.raises(InputError, match=r"given up after 3 attempts"):
        got(server, tmp_path)
    assert not (tmp_path / "sub/a.bin").exists()
    server.claimed = len(DATA) - 50  # shorter: only the manifest can tell
    with pytest.raises(InputError, match=r"the server has a file of 299950 bytes, the manifest says 300000"):
        got(server, tmp_path / "b", bytes=len(DATA))
    with pytest.raises(InputError, match=r"sub/a\.bin: sha256 is .*, the manifest says"):
        got(server, tmp_path / "c", sha256=SHA256)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_another_hash_is_refused_and_kept_aside(server: Served, tmp_path: Path, kind: str) -> None:
    zeros = "0" * (64 if kind == "sha256" else 32)
    with pytest.raises(InputError, match=rf"a\.bin: {kind} is .*, the manifest says {zeros} \(what arrived is kept as"):
        got(server, tmp_path, **{kind: zeros})
    assert sorted(p.name for p in (tmp_path / "sub").iterdir()) == ["a.bin.bad"]
    assert got(server, tmp_path, **{kind: hashlib.new(kind, DATA).hexdigest()}) == DATA


def test_a_part_that_is_already_whole_is_not_asked_for(server: Served, tmp_path: Path) -> None:
    file = tmp_path / "sub" / "a.bin"
    got(server, tmp_path)
    os.replace(file, part_path(file))  # killed before the file got its name
    server.asked.clear()
    assert got(server, tmp_path) == DATA
    assert not server.asked


def test_a_part_longer_than_the_file_starts_again(server: Served, tmp_path: Path) -> None:
    file = tmp_path / "sub" / "a.bin"
    got(server, tmp_path)
    part_path(file).write_bytes(DATA + b"more")
    file.unlink()
    assert got(server, tmp_path) == DATA
    part_path(file).write_bytes(DATA + b"more")
    receipt_path(file).write_text("not JSON")
    file.unlink()
    assert got(server, tmp_path) == DATA


def test_a_full_disk_is_one_line_and_keeps_what_arrived(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = http_transfer._written, [120_000]

    def full(stream: Any, view: memoryview, part: Path) -> int:
        class Full:
            def write(self, data: memoryview) -> int:
                if not left[0]:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                count = min(left[0], len(data))
                left[0] -= count
                return int(stream.write(data[:count]))

        return real(Full(), view, part)  # type: ignore[arg-type]

    monkeypatch.setattr(http_transfer, "_written", full)
    with pytest.raises(OutputError, match=r"a\.bin\.part: cannot be written: No space left on device \(what has arr"):
        got(server, tmp_path)
    assert part_path(tmp_path / "sub/a.bin").read_bytes() == DATA[:120_000]
    monkeypatch.undo()
    assert got(server, tmp_path) == DATA
    assert server.asked[-1][1] == "bytes=120000-"


def test_too_little_space_is_known_when_the_server_says_the_size(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 200_000

    monkeypatch.setattr(http_transfer.shutil, "disk_usage", lambda folder: Usage)
    with pytest.raises(
        OutputError, match=r"a\.bin\.part: 300 kB more are needed, 200 kB are free \(free some space, or"
    ):
        got(server, tmp_path)
    assert not part_path(tmp_path / "sub/a.bin").exists()


def test_a_place_that_cannot_be_written(server: Served, tmp_path: Path) -> None:
    (tmp_path / "sub").write_text("a file")
    with pytest.raises(OutputError, match=r"sub: cannot be written: "):
        got(server, tmp_path)


CHILD = """
import sys
from pathlib import Path
from hmrtk.toolkit.records.download import fetch
from hmrtk.toolkit.records.manifest import Download
fetch(Download(url=sys.argv[1], file="sub/a.bin", meaning="noise", part="a"), Path(sys.argv[2]))
"""


def test_a_killed_process_is_gone_on_with(server: Served, tmp_path: Path) -> None:
    server.pause = 0.01
    part = part_path(tmp_path / "sub" / "a.bin")
    child = subprocess.Popen([sys.executable, "-c", CHILD, f"{server.url}/a.bin", str(tmp_path)])
    deadline = time.monotonic() + 60
    while (not part.exists() or part.stat().st_size < 40_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    arrived = part.stat().st_size
    assert 40_000 <= arrived < len(DATA)
    server.pause = 0
    assert got(server, tmp_path) == DATA
    assert server.asked[-1][1] == f"bytes={arrived}-"

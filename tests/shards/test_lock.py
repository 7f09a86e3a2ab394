"""One builder at a time, in a folder and in an object store."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hmrtk.toolkit.errors import OutputError
from hmrtk.toolkit.records.remote import RemotePath
from hmrtk.toolkit.shards.lock import exclusive


def test_a_second_builder_is_refused_with_one_line(tmp_path):
    with (
        exclusive(tmp_path),
        pytest.raises(OutputError, match="another process is building these shards"),
        exclusive(tmp_path),
    ):
        pytest.fail("got in")
    with exclusive(tmp_path):
        assert (tmp_path / ".lock").exists()  # a lock file that is left over holds nobody up


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = f"""if True:
        import os, signal
        from pathlib import Path
        from hmrtk.toolkit.shards.lock import exclusive
        with exclusive(Path({str(tmp_path)!r})):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with exclusive(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), exclusive(Path(tmp_path / "file" / "out")):
        pytest.fail("got in")


@pytest.fixture
def store(request) -> RemotePath:
    """An empty folder of an object store in this process's memory."""
    pytest.importorskip("fsspec")
    root = RemotePath(f"memory://locks/{request.node.name}")
    yield root
    root.store.store.clear()


def test_an_object_store_is_locked_by_an_object_that_says_who(store):
    with exclusive(store):
        owner = json.loads((store / ".lock").open().read())
        assert (owner["host"], owner["process"]) == (socket.gethostname(), os.getpid())
        message = rf"another process is building these shards: process {os.getpid()} on .* since 20.*remove .*\.lock"
        with pytest.raises(OutputError, match=message), exclusive(store):
            pytest.fail("got in")
        assert (store / ".lock").exists()  # the one who was refused took nothing away
    assert not (store / ".lock").exists()


def test_the_lock_object_of_a_process_that_is_gone_is_replaced(store):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (store / ".lock").create(json.dumps({"host": socket.gethostname(), "process": gone.pid}).encode())
    with exclusive(store):
        assert json.loads((store / ".lock").open().read())["process"] == os.getpid()


@pytest.mark.parametrize("data", [b'{"host": "elsewhere", "process": 1, "since": "noon"}', b"[1]", b"{"])
def test_the_lock_object_of_another_machine_stays(store, data):
    (store / ".lock").create(data)
    who = "process 1 on elsewhere since noon" if b"elsewhere" in data else r"process \? on \?"
    with pytest.raises(OutputError, match=who), exclusive(store):
        pytest.fail("got in")
    assert (store / ".lock").open().read() == data

"""What happens to builders and readers in the field: kills, a full disk, a read-only folder, damage, a store that goes.

Nothing is lost, nothing is there twice, every failure is one line. ``benchmarks/stress.py`` kills more often.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records.remote import RemotePath
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.reader import ShardDataset
from hmrtk.toolkit.shards.shard_map import ShardMap
from hmrtk.toolkit.shards.verify import verify_shards

pytestmark = pytest.mark.slow
STRESS = Path(__file__).resolve().parents[2] / "benchmarks" / "stress.py"


@pytest.fixture(scope="module")
def stress() -> ModuleType:
    """The script of the benchmarks."""
    if not STRESS.is_file():
        pytest.skip("benchmarks/stress.py is not beside these tests")
    spec = importlib.util.spec_from_file_location("shard_stress", STRESS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, 1 MB; ``mount(options)`` mounts it anew with others."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str, *more: str) -> None:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, *more, "tmpfs", place], capture_output=True)
        if done.returncode:
            pytest.skip("this user may not mount a tmpfs")

    with contextlib.suppress(FileNotFoundError):
        mount("size=1m")
        yield place, lambda options: mount(f"remount,{options}")
        subprocess.run(["umount", place], check=True)
        return
    pytest.skip("there is no mount command")


def hmrtk(*arguments: object) -> tuple[int, str]:
    """Exit code of the command in a process of its own, and the last line of what it says."""
    command = [sys.executable, "-m", "hmrtk.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, (done.stderr + done.stdout).strip().splitlines()[-1]


def test_kills_lose_nothing(stress, tmp_path):
    assert "1 builders killed" in stress.kill_builders(tmp_path, 1, seed=3)
    assert "1 readers killed" in stress.kill_readers(tmp_path / "whole", tmp_path, 1, seed=3)


def test_of_two_builders_the_second_is_refused_at_once(tmp_path):
    out = tmp_path / "out"
    build = ("build-shards", "--split", "val", "--limit", "60", "--out", str(out))
    first = subprocess.Popen([sys.executable, "-m", "hmrtk.cli", "-v", *build], stderr=subprocess.PIPE, text=True)
    assert first.stderr.readline().startswith("shards: 0/60")
    first.send_signal(signal.SIGSTOP)  # so that it cannot be through before the second comes
    code, line = hmrtk(*build)
    assert code == 1
    assert line == f"hmrtk: error: {out}: another process is building these shards (wait for it, or stop it)"
    first.kill()
    first.communicate()
    assert hmrtk(*build)[0] == 0  # the lock of a killed builder holds nobody up
    assert verify_shards(out).ok


def test_a_full_disk_keeps_what_is_finished(fakes, built, records, body, small, small_disk, tmp_path):
    disk, remount = small_disk
    out, ballast = disk / "out", disk / "ballast"
    ballast.write_bytes(b"x" * (1_000_000 - sum(p.stat().st_size for p in built.rglob("*.parquet")) * 2 // 3))
    code, line = hmrtk("build-shards", "--split", "val", "--limit", 40, "--out", disk / "by-hand")
    assert code == 1
    assert line.startswith("hmrtk: error: ")
    assert "No space left on device" in line
    with pytest.raises(OutputError, match=r"cannot be written: .*No space left on device") as caught:
        build_shards(records, body, out, small, workers=1)
    assert "\n" not in str(caught.value)
    finished = {p.name: p.read_bytes() for p in (out / "val").glob("shard-*")}
    assert finished
    assert not list(out.rglob("*.tmp"))
    remount("size=64m")
    build_shards(records, body, out, small, workers=1)
    assert {name: (out / "val" / name).read_bytes() for name in finished} == finished
    assert fakes.folder_hashes(out) == fakes.folder_hashes(built)


def test_a_read_only_folder_is_read_and_never_written(fakes, records, body, small, small_disk):
    disk, remount = small_disk
    remount("size=64m")
    build_shards(records.head(14), body, disk / "out", small, workers=1)
    before = fakes.folder_hashes(disk / "out")
    remount("ro")
    try:
        for place in (disk / "out", disk / "new"):
            with pytest.raises(OutputError, match="cannot be written: Read-only file system") as caught:
                build_shards(records, body, place, small, workers=1, append=True)
            assert "\n" not in str(caught.value)
        assert len(list(ShardDataset(disk / "out", "val"))) == 14
        assert ShardMap(disk / "out", "val")[3]["has_image"]
        assert verify_shards(disk / "out").ok
        assert fakes.folder_hashes(disk / "out") == before
    finally:
        remount("rw")


def test_a_corrupt_row_is_named_by_everybody_who_meets_it(built, records, body, small, tmp_path, fakes):
    out = tmp_path / "out"
    build_shards(records, body, out, small, workers=1)
    shard = out / "val/shard-00001.parquet"
    data = bytearray(shard.read_bytes())
    picture = bytes(ShardMap(out, "val").encoded([8])[0])
    data[bytes(data).index(picture) + len(picture) // 2] ^= 1
    shard.write_bytes(data)
    problems = "\n".join(verify_shards(out).problems)
    assert f"{shard}: sha256 differs from the index" in problems
    assert f"{shard} row group 0 (rows 0-3): is damaged" in problems
    with pytest.raises(InputError, match=r"shard-00001\.parquet row group 0 row 2: its picture has another checksum"):
        ShardMap(out, "val")[8]
    seen = []
    with pytest.raises(InputError, match=r"shard-00001\.parquet row group 0: is damaged: .* \(run verify-shards"):
        seen.extend(row["sample_id"] for row in ShardDataset(out, "val", shuffle=False, buffer=1))
    assert len(ShardMap(out, "val", ["sample_id"])) == 14
    build_shards(records, body, out, small, workers=1)
    assert fakes.folder_hashes(out) == fakes.folder_hashes(built)


@pytest.fixture
def store_server():
    """``start()`` starts an S3 server on one port of loopback, empty; ``stop()`` kills it."""
    pytest.importorskip("s3fs", reason="needs s3fs")
    if importlib.util.find_spec("moto") is None:
        pytest.skip("needs moto[server]")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        while running[-1].poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            time.sleep(0.05)
        pytest.fail("the S3 server ended")

    def stop() -> None:
        while running:
            server = running.pop()
            server.kill()
            server.wait()

    settings = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    settings |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_MAX_ATTEMPTS": "2"}
    settings |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    with pytest.MonkeyPatch.context() as environment:
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        for name, value in settings.items():
            environment.setenv(name, value)
        try:
            yield begin, stop
        finally:
            stop()
            s3fs.S3FileSystem.clear_instance_cache()


def filled(folder: Path, store: RemotePath) -> None:
    store.store.mkdir(str(store.parent))
    for file in folder.rglob("*"):
        if file.is_file() and file.name != ".lock":
            target = store
            for part in file.relative_to(folder).parts:
                target = target / part
            target.upload(file)


def test_a_store_that_goes_and_comes_back(folder, store_server):
    begin, stop = store_server
    begin()
    store = RemotePath("s3://restarted/shards")
    filled(folder, store)
    near = [row["sample_id"] for row in ShardDataset(folder, "train", ["sample_id", "image"], buffer=4, seed=2)]
    dataset = ShardDataset(str(store), "train", ["sample_id", "image"], buffer=4, seed=2)
    rows, seen = iter(dataset), []
    for _ in range(9):
        seen.append(next(rows)["sample_id"])
    stop()
    with pytest.raises(InputError, match=r"s3://restarted/shards/train/shard-.*: ") as caught:
        seen.extend(row["sample_id"] for row in rows)
    assert "\n" not in str(caught.value)
    state = dataset.state_dict()
    begin()
    filled(folder, store)
    dataset.load_state_dict(state)
    seen += [row["sample_id"] for row in dataset]
    assert seen == near
    assert ShardIndex.read(str(store)).rows == 47

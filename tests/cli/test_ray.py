"""``--engine ray`` from the command line, with a worker killed from outside."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray")

HMRTK = [sys.executable, "-m", "hmrtk.cli"]
SMALL = ["--limit", "70", "--split", "val"]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Run ``hmrtk`` in a folder, without any cluster of the environment."""
    environment = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "HMRTK_BODY")}
    folder.mkdir(exist_ok=True)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*HMRTK, *arguments], cwd=folder, env=environment, **pipes)


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it printed, once it has ended well."""
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out, err


def workers_of(driver: int) -> list[int]:
    """Process ids of the Ray workers below a driver that are at work."""
    parents, named = {}, []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if b"_RayWorker.work" in (entry / "cmdline").read_bytes():
                named.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return [pid for pid in named if driver in ancestors(pid, parents)]


def ancestors(pid: int, parents: dict[int, int]) -> list[int]:
    """Parent, grandparent, …"""
    found = []
    while pid := parents.get(pid, 0):
        found.append(pid)
    return found


def kill_a_worker(driver: subprocess.Popen[str], after: str = "") -> bool:
    """SIGKILL a worker of a running command as soon as one works; False when the command ended before.

    Args:
        after: wait for a line with this text on stderr first.
    """
    while after and after not in driver.stderr.readline():
        assert driver.poll() is None
    while driver.poll() is None:
        found = workers_of(driver.pid)
        if found:
            os.kill(found[0], signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


def hashes(folder: Path) -> dict[str, str]:
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.mark.slow
def test_shards_built_on_ray_are_those_built_here_though_a_worker_is_killed(tmp_path: Path) -> None:
    finish(start(tmp_path / "here", "build-shards", *SMALL, "--out", "shards"))
    running = start(tmp_path / "ray", "build-shards", *SMALL, "--out", "shards", "--engine", "ray", "--workers", "2")
    assert kill_a_worker(running)
    out, err = finish(running)
    assert hashes(tmp_path / "ray" / "shards") == hashes(tmp_path / "here" / "shards")
    assert out.startswith("70 rows (val 70) in 1 shard")
    assert [line.split(":")[0] for line in err.splitlines()] == ["shards"]


@pytest.mark.slow
def test_prototypes_built_on_ray_are_those_built_here_though_a_worker_is_killed(tmp_path: Path) -> None:
    command = (
        "-v",
        "build-prototypes",
        "--limit",
        "4200",
        "--k",
        "8",
        "--max-iter",
        "6",
        "--tol",
        "0",
        "--out",
        "p.safetensors",
    )
    finish(start(tmp_path / "here", *command))
    running = start(tmp_path / "ray", *command, "--engine", "ray", "--workers", "2")
    assert kill_a_worker(running, after="K-Means: 1/6")
    out, _ = finish(running)
    assert hashes(tmp_path / "ray") == hashes(tmp_path / "here")
    assert "8 prototypes of 4200 bodies, 6 iterations (max_iter)" in out

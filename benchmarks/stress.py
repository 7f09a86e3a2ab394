"""SIGKILL at random moments, of a builder and of a reader: nothing lost, nothing twice.

Run ``python benchmarks/stress.py [--kills 20] [--seed 0]``; it takes about four minutes and exits 1 when something is
wrong. A child builds a split and appends another, or reads rows and notes after each batch what it has and where it is;
it is killed after a random time and started again, until it is through. ``tests/shards/test_stress.py`` runs the same
with fewer kills.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve()
ROWS = {"val": 60, "test": 40}
BATCH = 5


def build(out: Path) -> None:
    """What the killed builder does: one split, then another appended."""
    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.shards.builder import build_shards
    from hmrtk.toolkit.shards.plan import ShardConfig
    from hmrtk.toolkit.sources.embedded import embedded_records

    body = load_body()
    config = ShardConfig(synthesise=True, region_px=96, iuv_px=24, uv_px=64, rows_per_shard=12, rows_per_group=4)
    for split, rows in ROWS.items():
        build_shards(embedded_records(split, body, limit=rows), body, out, config, workers=2, append=True)


def read(root: Path, log: Path) -> None:
    """What the killed reader does: a line per batch, with its rows and the point after it."""
    from hmrtk.toolkit.shards.reader import ShardDataset

    dataset = ShardDataset(root, None, ["sample_id", "image"], buffer=16, seed=1)
    lines = whole_lines(log)
    if lines:
        dataset.load_state_dict(lines[-1]["state"])
    names: list[str] = []
    with log.open("ab") as file:
        file.truncate(sum(len(json.dumps(line)) + 1 for line in lines))
        for row in dataset:
            names.append(row["sample_id"])
            if len(names) == BATCH:
                file.write(json.dumps({"rows": names, "state": dataset.state_dict()}).encode() + b"\n")
                file.flush()
                names = []
                time.sleep(0.01)


def whole_lines(log: Path) -> list[dict]:
    """The lines that were finished."""
    data = log.read_bytes() if log.exists() else b""
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def start(command: str, *arguments: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(HERE), command, *map(str, arguments)])


def run(command: str, *arguments: Path) -> float:
    """Seconds of a child that nobody kills."""
    begun = time.monotonic()
    if start(command, *arguments).wait() != 0:
        raise AssertionError(f"{command} failed")
    return time.monotonic() - begun


def killed(rng: np.random.Generator, begin: float, end: float, command: str, *arguments: Path) -> bool:
    """Kill a child after a random time; False when it was through before."""
    child = start(command, *arguments)
    try:
        code = child.wait(rng.uniform(begin, end))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return True
    if code != 0:
        raise AssertionError(f"{command} failed after a kill")
    return False


def hashes(root: Path) -> dict[str, str]:
    """sha256 of every file but the lock."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def kill_builders(folder: Path, kills: int, seed: int) -> str:
    """Kill builders, a few per folder, look at what is there each time, then let the last one finish and compare."""
    from hmrtk.toolkit.shards.verify import verify_shards

    rng, whole = np.random.default_rng(seed), folder / "whole"
    duration = run("build", whole)
    expected = hashes(whole)
    done = rounds = 0
    while done < kills:
        rounds, out = rounds + 1, folder / f"out-{rounds}"
        for _ in range(4):
            if done == kills or not killed(rng, 0.3 * duration, duration, "build", out):
                break
            done += 1
            check_in_between(out, expected)
        run("build", out)
        assert hashes(out) == expected, "another byte than without kills"
        report = verify_shards(out)
        assert report.ok, report.problems
    return f"{done} builders killed in {rounds} folders: every file as without kills"


def check_in_between(out: Path, expected: dict[str, str]) -> None:
    """After a kill: what has its name is whole, and a folder with an index can be read through."""
    for path in out.glob("*/shard-*.parquet"):
        name = str(path.relative_to(out))
        assert hashlib.sha256(path.read_bytes()).hexdigest() == expected[name], f"{name} is not whole"
    if (out / "index.json").exists():
        from hmrtk.toolkit.shards.reader import ShardDataset

        names = [row["sample_id"] for row in ShardDataset(out, None, ["sample_id"])]
        assert len(set(names)) == len(names) in (ROWS["val"], sum(ROWS.values()))


def kill_readers(root: Path, folder: Path, kills: int, seed: int) -> str:
    """Kill readers, go on from the last noted point, and count the rows."""
    rng, log = np.random.default_rng(seed), folder / "log"
    expected = sum(ROWS.values())
    duration = run("read", root, folder / "whole-log")
    done = rounds = 0
    while done < kills:
        rounds += 1
        log.unlink(missing_ok=True)
        while done < kills and killed(rng, 0.5 * duration, duration, "read", root, log):
            done += 1
        run("read", root, log)
        assert whole_lines(log) == whole_lines(folder / "whole-log"), "another order than without kills"
        counts = Counter(name for line in whole_lines(log) for name in line["rows"])
        assert len(counts) == expected, f"{expected - len(counts)} rows lost"
        assert set(counts.values()) == {1}, "rows read twice"
    return f"{done} readers killed in {rounds} epochs: every row once, in the order without kills"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hmrtk-stress-") as name:
        folder = Path(name)
        print(kill_builders(folder, options.kills - options.kills // 3, options.seed), flush=True)
        print(kill_readers(folder / "whole", folder, options.kills // 3, options.seed))


if __name__ == "__main__":
    if sys.argv[1:2] in (["build"], ["read"]):
        {"build": build, "read": read}[sys.argv[1]](*map(Path, sys.argv[2:]))
    else:
        main()

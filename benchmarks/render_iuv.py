"""``hmrtk render-iuv`` on real poses, as a user runs it: maps per second, memory, and what a killed run is worth.

Run ``python benchmarks/render_iuv.py``; it needs ``shared/motion`` beside the checkout and writes
``results/render_iuv.md``. Every run is the command in a process of its own, with everything that belongs to it: start,
compiled kernels from the cache, reading records, solving cameras, posing, drawing, writing, contact sheet.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from kmeans import busy_seconds
from kmeans_scale import bodies
from rounds import RESULTS, machine

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.projection import derived_columns

IMAGE = (1000, 1000)
FOCAL = 1150.0
"""px, like Human3.6M's cameras."""


def write_records(count: int, path: Path) -> None:
    """Real poses 3 to 6 m before a camera of 1000 x 1000 px."""
    body, parameters, rng = load_body(), bodies(count), np.random.default_rng(1)
    transl = rng.uniform([-0.5, -0.2, 3], [0.5, 0.4, 6], (count, 3)).astype(np.float32)
    parameters = parameters.replaced(transl=transl)
    focal, principal = np.full((count, 2), FOCAL, np.float32), np.full((count, 2), IMAGE[0] / 2, np.float32)
    size = np.tile(np.int32(IMAGE), (count, 1))
    columns = {
        "sample_id": [f"pose-{n:06d}" for n in range(count)],
        "dataset": "motion",
        "split": "train",
        "image_size": size,
        **{name: getattr(parameters, name) for name in ("global_orient", "body_pose", "betas", "transl")},
        **{"focal": focal, "principal": principal},
        **derived_columns(parameters, body, focal, principal, size),
    }
    RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint)).write(path)


def command(records: Path, out: Path, options: list[str]) -> list[str]:
    return [
        sys.executable,
        "-m",
        "hmrtk.cli",
        "-q",
        "render-iuv",
        "--records",
        str(records),
        "--out",
        str(out),
        *options,
    ]


def measured(arguments: list[str]) -> tuple[float, float, float]:
    """Seconds, peak memory in GB, and processors that others used."""
    start, busy = time.perf_counter(), busy_seconds()
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(arguments)
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    assert status == 0, f"exit status {status}"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    mine = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
    return took, used.ru_maxrss * 1024 / 1e9, max(0.0, (busy_seconds() - busy - mine) / took)


def killed_and_resumed(records: Path, out: Path, options: list[str], whole: Path) -> str:
    """Kill a run when its second file is there, run it again, and compare every byte with a whole run."""
    process = subprocess.Popen(command(records, out, options))
    while len(list(out.glob("iuv-*.parquet"))) < 2 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("iuv-*.parquet")}
    took, _, _ = measured(command(records, out, options))
    files = sorted(path.name for path in whole.glob("iuv-*.parquet"))
    same = all(digest(out / name) == digest(whole / name) for name in files)
    untouched = sum((out / name).stat().st_mtime_ns == stamp for name, stamp in kept.items())
    extra = sorted(path.name for path in out.iterdir() if path.name not in [*files, "preview.png"])
    return (
        f"killed with SIGKILL when {len(kept)} of {len(files)} files were there: the next run took {took:.1f} s, kept "
        f"{untouched} of them, and all files are {'equal' if same and not extra else f'NOT equal {extra}'} to the byte"
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=25_000)
    count = parser.parse_args().count
    lines = [
        f"# `hmrtk render-iuv` on {count} real poses\n",
        f"{machine()}\n",
        "| options | seconds, all in | maps / s | peak GB | MB written | processors others used |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        records = root / "records.parquet"
        write_records(count, records)
        measured(command(records, root / "warm", ["--limit", "300"]))  # compiles the kernels
        for name, options in (
            ("", []),
            ("--preview 0", ["--preview", "0"]),
            ("--texture face", ["--texture", "face"]),
            ("--camera full", ["--camera", "full"]),
            ("--atlas onepiece", ["--atlas", "onepiece"]),
            ("--size 224", ["--size", "224"]),
        ):
            out = root / (name.replace(" ", "") or "plain")
            took, memory, others = measured(command(records, out, options))
            size = sum(path.stat().st_size for path in out.glob("iuv-*.parquet")) / 1e6
            row = f"| {name or '(none)'} | {took:.1f} | {count / took:.0f} | {memory:.2f} | {size:.0f} | {others:.2f} |"
            print(row, flush=True)
            lines.append(row)
        took, memory, others = measured(command(records, root / "plain", []))
        lines.append(f"| again, all there | {took:.1f} | | {memory:.2f} | | {others:.2f} |")
        lines.append("\nResuming: " + killed_and_resumed(records, root / "killed", [], root / "plain") + ".")
    (RESULTS / "render_iuv.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()

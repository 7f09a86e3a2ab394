"""SIGKILL at random moments loses nothing: a build that is run again equals an uninterrupted one byte for byte."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from hmrtk.toolkit.shards.verify import verify_shards

BUILD = """
import sys
from pathlib import Path
from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.engine.local import LocalEngine
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.sources.embedded import embedded_records

if __name__ == "__main__":
    body = load_body()
    config = ShardConfig(synthesise=True, region_px=96, iuv_px=24, uv_px=64, rows_per_shard=12, rows_per_group=4)
    engine = LocalEngine(2, sys.argv[2])
    records = embedded_records("val", body, limit=72)
    step = lambda *_: print("step", flush=True)
    build_shards(records, body, Path(sys.argv[1]), config, engine=engine, progress=step)
"""


def run(script, out, kind, steps=None, seconds=0.0):
    """Build; with ``steps``, kill so many steps and seconds after the start. Returns the exit status."""
    process = subprocess.Popen([sys.executable, script, out, kind], stdout=subprocess.PIPE, text=True)
    if steps is not None:
        for _ in range(steps):
            assert process.stdout.readline() == "step\n"
        time.sleep(seconds)
        process.kill()
    process.communicate()
    return process.returncode


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "kills"), [("thread", 5), ("process", 1)])
def test_kills_at_random_moments(fakes, tmp_path, kind, kills):
    script, whole, out = tmp_path / "build.py", tmp_path / "whole", tmp_path / "out"
    script.write_text(BUILD)
    assert run(script, whole, "thread") == 0
    rng = np.random.default_rng(kills)
    for steps, seconds in zip(rng.integers(1, 5, kills), rng.uniform(0, 0.1, kills), strict=True):
        assert run(script, out, kind, steps, seconds) == -9
        for shard in (out / "val").glob("shard-*.parquet"):  # what has its name is whole
            assert shard.read_bytes() == (whole / "val" / shard.name).read_bytes()
        assert not (out / "index.json").exists()
    assert run(script, out, kind) == 0
    assert fakes.folder_hashes(out) == fakes.folder_hashes(whole)
    report = verify_shards(out)
    assert report.ok, report.problems

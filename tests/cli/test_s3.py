"""The whole path through object-store URLs, against a real S3 server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.evaluation.predictions import Predictions, PredictionsMetadata
from hmrtk.toolkit.prototypes.labels import read_labels
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.remote import RemotePath
from hmrtk.toolkit.shards.reader import ShardDataset
from hmrtk.toolkit.sources.embedded import embedded_records

SMALL = ("--limit", 12)


@pytest.mark.slow
def test_every_stage_reads_and_writes_urls(hmrtk, s3_bucket: str, tmp_path: Path) -> None:
    root = f"{s3_bucket}/cli"
    records = f"{root}/records"
    assert hmrtk("ingest", *SMALL, "--out", records, "--json").json["out"] == records
    prototypes = f"{root}/p.safetensors"
    made = hmrtk("build-prototypes", "--k", 3, "--records", records, "--out", prototypes, "--json").json
    assert (made["out"], made["labels"], made["samples"]) == (prototypes, f"{root}/p.labels.parquet", 12)
    assert PrototypeSet.load(prototypes).fingerprint == made["fingerprint"]
    assert len(read_labels(made["labels"])[0]) == 12
    rendered = hmrtk(
        "render-iuv", "--records", f"{records}/val.parquet", "--size", 16, "--out", f"{root}/iuv", "--json"
    )
    assert rendered.json["preview"] == f"{root}/iuv/preview.png"
    assert RemotePath(rendered.json["preview"]).open().read(4) == b"\x89PNG"
    shown = hmrtk("show-prototypes", prototypes, "--no-tsne", "--out", "page", "--export", "npy", "--json")
    assert Path(shown.json["page"]).is_file()
    build = ("build-shards", "--records", records, "--split", "train", "--prototypes", prototypes, "--out")
    value = hmrtk(*build, f"{root}/shards", "--json").json
    assert (value["rows"], value["prototypes"], value["out"]) == (12, made["fingerprint"], f"{root}/shards")
    assert hmrtk("verify-shards", f"{root}/shards", "--json").json["ok"]
    rows = list(ShardDataset(f"{root}/shards", "train", columns=["sample_id", "label", "image"]))
    assert len({row["sample_id"] for row in rows}) == 12
    assert all(row["has_image"] for row in rows)
    assert not [p for p in tmp_path.rglob("*") if "s3" in p.name]  # nothing went into a folder named s3:


@pytest.mark.slow
def test_a_killed_build_is_continued_though_its_lock_is_left(hmrtk, s3_bucket: str, tmp_path: Path) -> None:
    build = ("build-shards", "--limit", "30", "--split", "val", "--out")
    out = RemotePath(f"{s3_bucket}/killed")
    process = subprocess.Popen([sys.executable, "-m", "hmrtk.cli", *build, str(out)], cwd=tmp_path)
    while not (out / "plan.json").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert json.loads((out / ".lock").open().read())["process"] == process.pid
    assert not (out / "index.json").exists()
    assert hmrtk(*build, out).code == 0
    assert hmrtk(*build, "here").code == 0
    assert not (out / ".lock").exists()
    for name in ("plan.json", "index.json", "val/shard-00000.parquet"):
        assert (out / name).open().read() == Path("here", name).read_bytes()


@pytest.mark.slow
def test_predictions_from_a_url_are_scored(hmrtk, s3_bucket: str) -> None:
    body = load_body()
    records = embedded_records("test", body, 12)
    path = f"{s3_bucket}/predictions/perfect.parquet"
    Predictions(records.sample_ids, records.parameters(), PredictionsMetadata("perfect", body.fingerprint)).write(path)
    done = hmrtk("evaluate", "--predictions", path, *SMALL, "--json")
    assert done.json["metrics"]["mpjpe"] == pytest.approx(0, abs=1e-3)


@pytest.mark.slow
def test_what_is_not_there_is_one_line(hmrtk, s3_bucket: str) -> None:
    done = hmrtk("build-prototypes", "--records", f"{s3_bucket}/nowhere/train.parquet")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"hmrtk: error: {s3_bucket}/nowhere/train.parquet: no such file\n"


def test_a_url_where_only_local_paths_work_is_refused(hmrtk) -> None:
    done = hmrtk("build-prototypes", "--body", "s3://bucket/SMPL.pkl")
    assert done.code == 2
    assert "'s3://bucket/SMPL.pkl' is a URL; only local paths are possible here" in done.err

"""``build-shards`` as a user meets it: adding a split, other prototypes, photographs that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.records.record import RECORD_SCHEMA
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.embedded import embedded_records

BUILD = ("build-shards", "--no-synthesise", "--maps", "", "--workers", 1, "--limit", 9, "--out", "s")


def test_a_split_is_added_and_labels_come_later(hmrtk: Any, failing: Callable[..., str], tmp_path: Path) -> None:
    hmrtk(*BUILD, "--split", "val")
    shard = (tmp_path / "s/val/shard-00000.parquet").stat()
    message = failing(*BUILD, "--split", "test")
    assert "rows: val 9, now test 9 (choose another folder, or pass --append to keep what is there" in message
    assert hmrtk(*BUILD, "--split", "test", "--append", "--json").json["splits"] == {"val": 9, "test": 9}
    prototypes = hmrtk("build-prototypes", "--k", 2, "--split", "val", "--limit", 9, "--json").json
    value = hmrtk(*BUILD, "--split", "val", "--append", "--prototypes", prototypes["out"], "--json").json
    assert value["prototypes"] == prototypes["fingerprint"]
    assert (tmp_path / "s/val/shard-00000.parquet").stat() == shard
    assert hmrtk("verify-shards", "s").code == 0
    assert hmrtk(*BUILD, "--append", "--overwrite").code == 2


def test_photographs_that_cannot_be_read_are_skipped_when_asked(
    hmrtk: Any, failing: Callable[..., str], tmp_path: Path
) -> None:
    records = embedded_records("val", load_body(), limit=4)
    place, field = RECORD_SCHEMA.get_field_index("image_path"), RECORD_SCHEMA.field("image_path")
    names = pa.array([f"{n}.jpg" for n in range(4)], field.type)
    RecordTable(records.table.set_column(place, field, names), records.metadata).write(tmp_path / "mine.parquet")
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.full((40, 40, 3), 99, np.uint8))
    (tmp_path / "2.jpg").write_bytes((tmp_path / "2.jpg").read_bytes()[:300])
    build = ("build-shards", "--records", "mine.parquet", "--split", "val", "--maps", "", "--images", ".", "--out", "s")
    assert "mine.parquet row 2: photograph 2.jpg: is a damaged JPEG" in failing(*build)
    done = hmrtk(*build, "--on-error", "skip")
    assert f"1 row left out: {records.sample_ids[2]}: photograph 2.jpg: is a damaged JPEG" in done.out
    assert "3 rows (val 3) in 1 shard" in done.out


def test_pictures_for_small_networks(hmrtk: Any, tmp_path: Path) -> None:
    build = ("build-shards", "--maps", "", "--workers", 1, "--limit", 4, "--split", "val", "--out", "s")
    hmrtk(*build, "--scene", "clear", "--region", 128)
    config = json.loads((tmp_path / "s" / "plan.json").read_text())["config"]
    assert (config["region_px"], config["scene"]["occluder_probability"]) == (128, 0)
    pictures = pq.read_table(tmp_path / "s" / "val" / "shard-00000.parquet")["image"].to_pylist()
    assert {cv2.imdecode(np.frombuffer(jpeg["bytes"], np.uint8), cv2.IMREAD_COLOR).shape for jpeg in pictures} == {
        (128, 128, 3)
    }
    assert hmrtk(*build, "--scene", "blurred").code == 2

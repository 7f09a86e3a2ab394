"""``hmrtk shards`` as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2


def test_show_rows_of_shards(hmrtk: Callable[..., Any], failing: Callable[..., str], tmp_path: Path) -> None:
    assert "build-shards" in failing("shards", "show")
    assert hmrtk("build-shards", "--limit", 5, "--workers", 1).code == 0
    done = hmrtk("shards", "show", "--row", 3, "--json")
    assert done.code == 0, done.err
    assert done.json["rows"] == [3]
    assert done.json["out"].endswith("rows/embedded-row-3.png")
    assert cv2.imread(done.json["out"]).shape[:2] == tuple(done.json["size"])
    several = hmrtk("shards", "show", "--rows", 2, "--row", 1, "--augment", 7, "--out", tmp_path / "s.jpg", "--json")
    assert several.json["rows"] == [1, 0, 4]
    assert (tmp_path / "s.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert "look at" in hmrtk("shards", "show").out
    assert hmrtk("shards", "show", "--row", 0, "--augmentation", "none", "--json").json["augmented"]
    assert "has no row 5: expected 0 … 4" in failing("shards", "show", "--row", 5)
    assert "has no sample_id 'x'" in failing("shards", "show", "--sample-id", "x")
    assert "unknown augmentation 'wild'" in failing("shards", "show", "--augmentation", "wild")


def test_count_what_shards_hold(hmrtk: Callable[..., Any], failing: Callable[..., str]) -> None:
    prototypes = hmrtk("build-prototypes", "--k", 3, "--limit", 20, "--json").json["out"]
    assert hmrtk("build-shards", "--limit", 5, "--workers", 1, "--prototypes", prototypes).code == 0
    value = hmrtk("shards", "stats", "--seconds", 0.05, "--tail", 20, "--json").json
    assert value["total"]["rows"] == 5
    assert value["total"]["shares"]["synthesised"] == 1
    assert value["tail"]["rows"] == value["total"]["tail_rows"] == 1
    assert sum(value["labels"]["rows"]) == 5
    assert [sample["what"] for sample in value["throughput"]] == ["a network without maps", "all columns"]
    said = hmrtk("shards", "stats", "--seconds", 0).out
    assert "5 rows" in said
    assert "embedded   train" in said
    assert "displacement" in said
    assert "T-10 %: 1 row, from " in said
    assert "here and now" not in said
    assert "unknown split 'night'" in failing("shards", "stats", "--split", "night")

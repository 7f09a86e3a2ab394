"""The plan cuts splits into files, refuses another build in its folder, and the lock keeps two builders apart."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.plan import ShardConfig, ShardPlan
from hmrtk.toolkit.synthesis.scene import SceneConfig

SPLITS = ["val", "train", "val", "train", "train", "val", "train"]


def records_of(splits):
    columns = {"sample_id": [f"s{i}" for i in range(len(splits))], "dataset": "d", "split": splits}
    return RecordTable.from_columns(columns, RecordMetadata())


def plan_of(config=None, **inputs):
    return ShardPlan.make(records_of(SPLITS), config or ShardConfig(rows_per_shard=2), {"records": "r", **inputs})


def test_splits_become_files_of_so_many_rows_in_record_order():
    plan = plan_of()
    assert [(s.path, s.rows.tolist()) for s in plan.shards] == [
        ("val/shard-00000.parquet", [0, 2]),
        ("val/shard-00001.parquet", [5]),
        ("train/shard-00000.parquet", [1, 3]),
        ("train/shard-00001.parquet", [4, 6]),
    ]
    assert [g.tolist() for g in plan.shards[0].groups(1)] == [[0], [2]]


def test_the_same_plan_settles_twice(tmp_path):
    plan_of().settle(tmp_path)
    before = (tmp_path / "plan.json").read_bytes()
    plan_of().settle(tmp_path)
    assert (tmp_path / "plan.json").read_bytes() == before
    assert json.loads(before)["config"]["maps"] == ["iuv", "location", "joint", "displacement"]


@pytest.mark.parametrize(
    ("config", "inputs", "text"),
    [
        (ShardConfig(rows_per_shard=3), {}, "rows_per_shard: 2, now 3"),
        (ShardConfig(rows_per_shard=2, maps=("iuv",)), {}, r"maps: \['iuv', .*\], now \['iuv'\]"),
        (ShardConfig(rows_per_shard=2, scene=SceneConfig(supersample=1)), {}, "scene: "),
        (None, {"records": "other"}, "records: r, now other"),
        (None, {"prototypes": "p"}, "prototypes: None, now p"),
    ],
)
def test_another_build_in_the_folder_is_refused_and_the_difference_named(tmp_path, config, inputs, text):
    plan_of().settle(tmp_path)
    with pytest.raises(InputError, match=rf"holds shards built differently: {text}.*\(choose another folder"):
        plan_of(config, **inputs).settle(tmp_path)


def test_inputs_that_are_gone_are_a_difference_too(tmp_path):
    plan_of(prototypes="p").settle(tmp_path)
    with pytest.raises(InputError, match="prototypes: p, now None"):
        plan_of().settle(tmp_path)


def test_fingerprints_follow_everything_that_decides_the_bytes():
    plans = [plan_of(), plan_of(prototypes="p"), plan_of(ShardConfig(rows_per_shard=2, seed=1))]
    assert len({p.fingerprint for p in plans}) == 3
    assert plan_of().fingerprint == plans[0].fingerprint


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(InputError, match=r"has an index\.json but no plan\.json"):
        plan_of().settle(tmp_path)
    (tmp_path / "plan.json").write_text("[]")
    with pytest.raises(InputError, match=r"plan\.json is not a shard plan"):
        plan_of().settle(tmp_path)


@pytest.mark.parametrize("split", ["", "..", "a/b", "a\\b"])
def test_a_split_must_be_able_to_name_a_folder(split):
    with pytest.raises(InputError, match=r"row 1: split .* cannot name a folder"):
        ShardPlan.make(records_of(["train", split]), ShardConfig(), {})


def test_impossible_configurations_are_refused():
    with pytest.raises(UnknownNameError, match="unknown map 'uv'; known: iuv"):
        ShardConfig(maps=("uv",))
    for name in ("region_px", "iuv_px", "uv_px", "rows_per_shard", "rows_per_group"):
        with pytest.raises(InputError, match=f"{name}: expected at least 1, got 0"):
            replace(ShardConfig(), **{name: 0})

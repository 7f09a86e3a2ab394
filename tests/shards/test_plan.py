"""The plan cuts splits into files, keeps a picture's people together, and names what differs from another plan."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.artefact import write_json
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.plan import ShardConfig, ShardPlan
from hmrtk.toolkit.synthesis.scene import SceneConfig

SPLITS = ["val", "train", "val", "train", "train", "val", "train"]


def plan_of(config=None, splits=SPLITS, body="b", **columns):
    records = RecordTable.from_columns(
        {"sample_id": [f"s{i}" for i in range(len(splits))], "dataset": "d", "split": splits, **columns},
        RecordMetadata(),
    )
    return ShardPlan.make(records, config or ShardConfig(rows_per_shard=2), body)


def test_splits_become_files_of_so_many_rows_in_record_order():
    plan = plan_of(ShardConfig(rows_per_shard=2, rows_per_group=1))
    assert [(s.path, [g.tolist() for g in s.groups]) for s in plan.shards] == [
        ("val/shard-00000.parquet", [[0], [2]]),
        ("val/shard-00001.parquet", [[5]]),
        ("train/shard-00000.parquet", [[1], [3]]),
        ("train/shard-00001.parquet", [[4], [6]]),
    ]
    assert [(p.split, p.rows, p.inputs["datasets"]) for p in plan.parts] == [
        ("val", 3, {"d": 3}),
        ("train", 4, {"d": 4}),
    ]


def test_all_people_of_a_picture_lie_together_in_one_row_group():
    names = ["a", "b", "a", "c", None, "c", "b"]
    plan = plan_of(ShardConfig(rows_per_shard=4, rows_per_group=3), ["train"] * 7, image_path=names)
    assert [[g.tolist() for g in s.groups] for s in plan.shards] == [[[0, 2], [1, 6]], [[3, 5, 4]]]
    crowd = plan_of(ShardConfig(rows_per_shard=4, rows_per_group=2), ["train"] * 5, image_path=["a"] * 5)
    assert [[len(g) for g in s.groups] for s in crowd.shards] == [[2, 2], [1]]


def test_a_plan_comes_back_from_its_file(tmp_path):
    plan = plan_of()
    write_json(tmp_path / "plan.json", plan.to_json())
    again = ShardPlan.read(tmp_path)
    assert again.to_json() == plan.to_json()
    assert again.differences(plan) == []
    assert again.shards[0].groups == ()
    assert again.config["maps"] == ["iuv", "location", "joint", "displacement"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"config": ShardConfig(rows_per_shard=3)}, "rows_per_shard: 2, now 3"),
        ({"config": ShardConfig(rows_per_shard=2, maps=("iuv",))}, r"maps: \['iuv', .*\], now \['iuv'\]"),
        ({"config": ShardConfig(rows_per_shard=2, scene=SceneConfig(supersample=1))}, "scene: "),
        ({"config": ShardConfig(rows_per_shard=2, images=Path("there"))}, "images: None, now there"),
        ({"config": ShardConfig(rows_per_shard=2, synthesise=True)}, "synthesise: False, now True"),
        ({"body": "c"}, "body: b, now c"),
        ({"subject": "other"}, "records: [0-9a-f]{16}, now [0-9a-f]{16}"),
        ({"splits": ["val"] * 7}, r"rows: val 3 \+ train 4, now val 7"),
    ],
)
def test_what_differs_is_named(changes, text):
    differences = plan_of(**changes).differences(plan_of())
    assert re.match(text, "; ".join(differences)), differences


def test_a_shards_fingerprint_follows_everything_that_decides_its_content():
    plain, other = plan_of(), plan_of(subject=[*["a"] * 6, "b"])
    assert [a.content == b.content for a, b in zip(plan_of().shards, plain.shards, strict=True)] == [True] * 4
    assert [s.ids for s in other.shards] == [s.ids for s in plain.shards]
    one, two = plan_of(subject="a"), plan_of(subject=[*["a"] * 6, "b"])
    assert [a.content == b.content for a, b in zip(one.shards, two.shards, strict=True)] == [True, True, True, False]
    changed = [
        plan_of(ShardConfig(rows_per_shard=2, seed=1)),
        plan_of(ShardConfig(rows_per_shard=2, images=Path("x"))),
        plan_of(body="c"),
    ]
    assert len({plan.shards[0].content for plan in [plain, *changed]}) == 4
    skipping = plan_of(ShardConfig(rows_per_shard=2, on_error="skip"))
    assert skipping.shards[0].content == plain.shards[0].content


@pytest.mark.parametrize("text", ["[]", "{}", '{"kind": "hmrtk.shard-plan", "plan_version": 2, "parts": [{}]}'])
def test_foreign_files_are_refused(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=r"plan\.json: is not a shard plan of this version"):
        ShardPlan.read(tmp_path)


@pytest.mark.parametrize("split", ["", "..", ".offsets", "a/b", "a\\b"])
def test_a_split_must_be_able_to_name_a_folder(split):
    with pytest.raises(InputError, match=r"row 1: split .* cannot name a folder"):
        plan_of(splits=["train", split])


def test_impossible_configurations_are_refused():
    with pytest.raises(UnknownNameError, match="unknown map 'uv'; known: iuv"):
        ShardConfig(maps=("uv",))
    with pytest.raises(UnknownNameError, match="unknown way to meet errors 'ignore'; known: "):
        ShardConfig(on_error="ignore")
    for name in ("region_px", "iuv_px", "uv_px", "rows_per_shard", "rows_per_group"):
        with pytest.raises(InputError, match=f"{name}: expected at least 1, got 0"):
            replace(ShardConfig(), **{name: 0})

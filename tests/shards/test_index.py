"""The index comes back as written and refuses what is missing, foreign, newer or contradictory."""

from __future__ import annotations

import json

import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.shards.index import ShardIndex


@pytest.fixture
def copy(folder, tmp_path):
    (tmp_path / "index.json").write_bytes((folder / "index.json").read_bytes())
    return tmp_path


def changed(root, **changes):
    value = json.loads((root / "index.json").read_text()) | changes
    (root / "index.json").write_text(json.dumps(value))


def test_round_trip_and_counts(folder, tmp_path):
    index = ShardIndex.read(folder)
    assert (index.rows, index.splits) == (47, {"train": 41, "val": 6})
    assert [e.path for e in index.entries("val")] == ["val/shard-00000.parquet"]
    assert len(index.entries()) == 4
    again = ShardIndex(**{**vars(index), "root": tmp_path})
    again.write()
    assert ShardIndex.read(tmp_path) == again
    assert (tmp_path / "index.json").read_bytes() == (folder / "index.json").read_bytes()


def test_an_unknown_split_lists_those_there_are(folder):
    with pytest.raises(UnknownNameError, match="unknown split 'tain'; known: train, val"):
        ShardIndex.read(folder).entries("tain")


def test_missing_folder_and_unfinished_build(tmp_path):
    with pytest.raises(InputError, match=r"no such folder of shards \(make it with build-shards\)"):
        ShardIndex.read(tmp_path / "none")
    with pytest.raises(InputError, match=r"has no index.json: the build has not finished \(run build-shards again\)"):
        ShardIndex.read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "other"}, "expected hmrtk.shard-index"),
        ({"schema_version": 99}, r"schema version 99, this hmrtk reads up to 1 \(upgrade hmrtk\)"),
        ({"shards": [{"path": "a"}]}, "a shard entry has no split"),
    ],
)
def test_foreign_newer_and_incomplete(copy, changes, text):
    changed(copy, **changes)
    with pytest.raises(InputError, match=text):
        ShardIndex.read(copy)


def test_a_missing_key_is_named(copy):
    value = json.loads((copy / "index.json").read_text())
    del value["body"]
    (copy / "index.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match="has no body"):
        ShardIndex.read(copy)


@pytest.mark.parametrize("path", ["../shard.parquet", "/etc/passwd"])
def test_a_shard_outside_the_folder_is_refused(copy, path):
    entry = json.loads((copy / "index.json").read_text())["shards"][0]
    changed(copy, shards=[entry | {"path": path}])
    with pytest.raises(InputError, match="leaves the folder"):
        ShardIndex.read(copy)


def test_counts_that_contradict_each_other_are_refused(copy):
    entry = json.loads((copy / "index.json").read_text())["shards"][0]
    changed(copy, shards=[entry | {"rows": 99}])
    with pytest.raises(InputError, match="row groups hold 13 rows, not 99"):
        ShardIndex.read(copy)


def test_truncated_json_is_one_line(copy):
    (copy / "index.json").write_bytes((copy / "index.json").read_bytes()[:100])
    with pytest.raises(InputError, match="is not valid JSON"):
        ShardIndex.read(copy)

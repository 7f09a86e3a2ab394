"""The dataset card says what is there, under which licences, and lets Hugging Face find the splits."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.manifest import load_manifest
from hmrtk.toolkit.records.record import RECORD_SCHEMA
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.dataset_card import MARK, MEANINGS, dataset_card, write_card
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.schema import shard_schema


@pytest.fixture(scope="module")
def labelled(records, body, small, tmp_path_factory):
    """Shards with pictures and labels, of two data sets, one of them without a manifest."""
    names = pa.array(["coco"] * 14 + ["mine"] * 8)
    place = RECORD_SCHEMA.get_field_index("dataset")
    table = records.table.set_column(place, RECORD_SCHEMA.field("dataset"), names)
    parameters = records.parameters()[[0, 7]]
    prototypes = PrototypeSet.of(parameters, {"body": body.fingerprint, "method": "p3dh"}, singular=parameters[[0]])
    out = tmp_path_factory.mktemp("card")
    build_shards(RecordTable(table, records.metadata), body, out, replace(small, maps=("iuv",)), prototypes, workers=1)
    return out


def test_the_head_is_yaml_that_names_each_splits_files(labelled):
    yaml = pytest.importorskip("yaml")
    text = (labelled / "README.md").read_text()
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "other"
    assert head["size_categories"] == ["n<1K"]
    assert head["pretty_name"].startswith("COCO person keypoints, mine")
    assert head["configs"] == [
        {
            "config_name": "default",
            "data_files": [{"split": "val", "path": "val/*.parquet"}, {"split": "test", "path": "test/*.parquet"}],
        },
        {"config_name": "labels", "data_files": [{"split": "labels", "path": "labels.parquet"}]},
    ]


def test_the_text_has_counts_columns_body_and_licences(labelled):
    text, index = (labelled / "README.md").read_text(), ShardIndex.read(labelled)
    for line in (
        "| val | 14 | 3 |",
        "| coco | 14 |",
        "| mine | 8 |",
        "| `iuv` | uint8 (3, 24, 24) | chart (0 background), round(255·U), round(255·V) over the region |",
        "| `location` | float16 (3, 32, 32) | metres, root-relative: the surface point of each texel of the one-piece "
        "UV space (not made) |",
        "| `label` | int32 | index of the nearest prototype (in the configuration `labels`) |",
        f"- body: `{index.body}`",
        f"- prototypes: `{index.prototypes}`",
        "- joint set: spin24",
        f"- licence: {load_manifest('coco').licence}",
        f"- cite: {load_manifest('coco').citation}",
        "**mine**: no manifest; its licence is not known here.",
    ):
        assert line in text, line


def test_every_column_has_a_meaning():
    assert set(MEANINGS) == set(shard_schema().names)


@pytest.mark.parametrize(("split", "name"), [("train_eft", "train_eft"), ("test-p2", "test_p2"), ("a..b", "a_b")])
def test_split_names_are_those_that_hugging_face_allows(labelled, split, name):
    index = ShardIndex.read(labelled)
    named = replace(index, shards=tuple(replace(s, split=split, path=f"{split}/x.parquet") for s in index.shards))
    assert f'  - split: "{name}"\n    path: "{split}/*.parquet"' in dataset_card(named)


def test_the_card_is_made_anew_unless_it_is_somebodys_own(labelled, tmp_path):
    index = replace(ShardIndex.read(labelled), root=tmp_path)
    for text, kept in (("my own words\n", True), (f"{MARK}\nold", False)):
        (tmp_path / "README.md").write_text(text)
        write_card(index)
        assert ((tmp_path / "README.md").read_text() == text) == kept
    assert (tmp_path / "README.md").read_text() == dataset_card(index)


def test_hugging_face_opens_the_folder(labelled, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
    splits = datasets.load_dataset(str(labelled), cache_dir=str(tmp_path))
    assert {name: len(rows) for name, rows in splits.items()} == {"val": 14, "test": 8}
    assert splits["val"][0]["image"].size == (64, 64)
    labels = datasets.load_dataset(str(labelled), "labels", cache_dir=str(tmp_path))["labels"]
    assert labels["sample_id"][:14] == splits["val"]["sample_id"][:]
    assert labels[7]["label"] == 1

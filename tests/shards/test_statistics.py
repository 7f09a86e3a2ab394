"""Statistics of shards: every number against a count by pandas, the tail by hand, bytes against the files."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.statistics import ShardStatistics, shard_statistics
from hmrtk.toolkit.shards.throughput import sample_throughput
from hmrtk.toolkit.shards.writer import write_shard


def replaced(table: pa.Table, name: str, values: list) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))


@pytest.fixture(scope="module")
def mixed(fakes: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets in train, one in val; distances 0.00, 0.01, … in 20 of 24 train rows, and genders."""
    root, entries, first = tmp_path_factory.mktemp("mixed"), [], 0
    for number, (split, sizes) in enumerate((("train", (8, 8)), ("train", (8,)), ("val", (4,)))):
        tables = []
        for size in sizes:
            table, rows = fakes.group(first, size, split), range(first, first + size)
            table = replaced(table, "dataset", ["b" if row >= 12 else "a" for row in rows])
            table = replaced(table, "gender", ["male" if row % 2 else "neutral" for row in rows])
            distances = [row / 100 if row < 20 else None for row in rows]
            tables.append(replaced(table, "distance_to_singular", distances))
            first += size
        entries.append(write_shard(root, f"{split}/shard-{number:05d}.parquet", split, tables, fakes.SCHEMA, {}))
    config = {"iuv_px": fakes.IUV_PX, "uv_px": fakes.UV_PX, "region_px": fakes.REGION_PX}
    ShardIndex(root, tuple(entries), config, {"command": "test"}, "0" * 16, None, {}).write()
    return root


@pytest.fixture(scope="module")
def found(mixed: Path) -> ShardStatistics:
    return shard_statistics(mixed)


def test_rows_and_shares_are_those_that_pandas_counts(found: ShardStatistics, mixed: Path) -> None:
    frame = pq.ParquetDataset(sorted(mixed.glob("*/*.parquet"))).read().to_pandas()
    assert set(found.groups) == set(frame.groupby(["dataset", "split"]).groups)
    for (dataset, split), counts in found.groups.items():
        own = frame[(frame.dataset == dataset) & (frame.split == split)]
        assert counts.rows == len(own)
        assert counts.having["body"] == own.body_pose.notna().sum()
        assert counts.having["synthesised"] == (own.image_source == "synthesised").sum()
        assert counts.having["photo"] == 0
        assert counts.having["crop_camera"] == own.crop_camera_valid.sum()
        keypoints = [np.reshape(k, (24, 3))[:, 2] for k in own.keypoints2d.dropna()]
        seen = [k for k in keypoints if (k > 0).any()]
        assert counts.having["keypoints2d"] == len(seen)
        assert counts.mean_confidence == pytest.approx(np.mean(seen) if seen else None)
        assert dict(counts.genders) == own.gender.value_counts().to_dict()
    assert found.total.rows == len(frame) == 28


def test_the_tail_is_counted_by_hand(found: ShardStatistics) -> None:
    tail = found.tail
    assert (tail.percent, tail.rows, tail.measured) == (10, 2, 20)
    assert tail.threshold == pytest.approx(0.18)
    assert tail.quantiles[0] == 0
    assert tail.quantiles[50] == pytest.approx(0.095)
    assert tail.quantiles[100] == pytest.approx(0.19)
    assert {key: counts.tail for key, counts in found.groups.items()} == {
        ("a", "train"): 0, ("b", "train"): 2, ("b", "val"): 0
    }  # fmt: skip


def test_a_larger_tail_reaches_both_data_sets(mixed: Path) -> None:
    groups = shard_statistics(mixed, "train", tail=50).groups
    assert {key: counts.tail for key, counts in groups.items()} == {("a", "train"): 2, ("b", "train"): 8}


def test_labels_with_the_largest_first_and_the_empty_ones(found: ShardStatistics) -> None:
    assert found.labels[1] == 1
    assert found.labels.sum() == 21  # every fourth row has none
    assert found.empty_labels() == [0, 4, 8, 12, 16, 20, 24]
    assert found.ranked_labels()[0] == (1, 1)


def test_bytes_add_up_to_the_files_but_for_their_footers(found: ShardStatistics, mixed: Path) -> None:
    columns = sum(found.column_bytes.values())
    files = sum(path.stat().st_size for path in mixed.glob("*/*.parquet"))
    footers = sum(pq.read_metadata(path).serialized_size for path in mixed.glob("*/*.parquet"))
    assert 0 <= files - columns - footers < 200 * 3
    assert found.bytes_per_row()["image"] == pytest.approx(found.column_bytes["image"] / 28)


def test_the_summary_is_plain(found: ShardStatistics) -> None:
    value = json.loads(json.dumps(found.summary()))
    assert value["row_groups"] == {"count": 4, "smallest": 4, "median": 8.0, "largest": 8}
    assert value["shards"]["count"] == 3
    assert value["tail"]["threshold_mm"] == pytest.approx(180)
    assert [(g["dataset"], g["split"], g["rows"]) for g in value["groups"]] == [
        ("a", "train", 12), ("b", "train", 12), ("b", "val", 4)
    ]  # fmt: skip
    assert value["total"]["shares"]["crop_camera"] == 1.0


def test_without_distances_and_labels_there_is_no_tail(built: Path) -> None:
    found = shard_statistics(built, "val")
    assert found.tail is None
    assert found.ranked_labels() == []
    assert found.summary()["labels"] == {"rows": [], "empty": []}
    assert found.total.having["body"] == found.total.rows == 14
    assert set(found.total.body_sources) == {"mocap"}


def test_reading_is_sampled_also_from_very_few_rows(folder: Path) -> None:
    sizes = shard_statistics(folder).bytes_per_row()
    for split, columns in (("train", ("image", "label")), ("val", None)):
        sample = sample_throughput(folder, "some", columns, sizes, 0.05, split)
        assert sample.rows > 0
        assert sample.seconds >= 0.05
        stored = sum(sizes[name] for name in columns or sizes)
        assert sample.megabytes_per_second == pytest.approx(sample.rows_per_second * stored / 1e6)
        assert sample.summary()["what"] == "some"


def test_refusals(mixed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder of shards"):
        shard_statistics(tmp_path / "none")
    with pytest.raises(UnknownNameError, match="unknown split 'test'; known: train, val"):
        shard_statistics(mixed, "test")
    with pytest.raises(InputError, match="tail: expected a percentage above 0 and up to 100, got 0"):
        shard_statistics(mixed, tail=0)


def test_a_missing_shard_is_named(fakes: ModuleType, tmp_path: Path) -> None:
    fakes.write_fake(tmp_path, {"train": [[2], [2]]})
    (tmp_path / "train/shard-00001.parquet").unlink()
    with pytest.raises(InputError, match=r"shard-00001\.parquet"):
        shard_statistics(tmp_path)

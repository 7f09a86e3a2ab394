"""Any row by its number equals pyarrow's and the stream's; offset indexes are kept, checked and made again."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.remote import RemotePath
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.offsets import FOLDER, offsets_place, shard_offsets, write_offsets
from hmrtk.toolkit.shards.reader import ShardDataset
from hmrtk.toolkit.shards.shard_map import ShardMap

TRAIN = [f"train/{i:05d}" for i in range(41)]


@pytest.fixture
def root(folder, tmp_path):
    """A copy, in which offset indexes may be kept."""
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def assert_rows_equal(ours, theirs):
    assert ours.keys() == theirs.keys() - {"cursor"}
    for name, value in ours.items():
        if isinstance(value, str):
            assert value == theirs[name]
        else:
            assert value.dtype == theirs[name].dtype
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=0, equal_nan=True)


def test_every_row_equals_that_of_the_stream(root):
    rows = ShardMap(root)
    assert len(rows) == 41
    for position, expected in enumerate(ShardDataset(root, shuffle=False)):
        assert_rows_equal(rows[position], expected)


def test_ranges_are_those_of_the_pictures_that_pyarrow_reads(root):
    index = ShardIndex.read(root)
    for entry in index.shards:
        data = (root / entry.path).read_bytes()
        pictures = pq.read_table(root / entry.path, columns=["image"])["image"].to_pylist()
        offsets = shard_offsets(index, entry)
        assert len(offsets.ranges) == entry.rows
        for (start, length), picture in zip(offsets.ranges, pictures, strict=True):
            assert (start == -1) == (picture is None)
            assert picture is None or data[start : start + length] == picture["bytes"]


def test_pictures_as_they_are_stored(fakes, root):
    assert ShardMap(root).encoded([6, 5, -1]) == [fakes.encode_jpeg(fakes.picture(6)), None, None]


def test_without_verifying_a_damaged_picture_is_given(fakes, root):
    write_offsets(root)
    shard = root / "train/shard-00000.parquet"
    data = bytearray(shard.read_bytes())
    data[bytes(data).index(fakes.encode_jpeg(fakes.picture(6))) + 300] ^= 1
    shard.write_bytes(data)
    assert ShardMap(root, verify=False).encoded([6]) != [fakes.encode_jpeg(fakes.picture(6))]


def test_rows_are_given_in_the_order_asked_for(root):
    rows = ShardMap(root, columns=["sample_id"])
    wanted = np.random.default_rng(0).permutation(41).tolist()
    assert [row["sample_id"] for row in rows.__getitems__(wanted)] == [TRAIN[i] for i in wanted]
    assert rows[-1]["sample_id"] == TRAIN[40]
    assert ShardMap(root, None, ["sample_id"])[46]["sample_id"] == "val/00005"
    for position in (41, -42):
        with pytest.raises(IndexError, match=rf"has no row {position}: expected 0 … 40"):
            rows[position]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_a_dataloader_reads_every_row_once(root, workers):
    rows = ShardMap(root, columns=["image", "sample_id"])
    loader = DataLoader(rows, 4, shuffle=True, num_workers=workers, generator=torch.Generator().manual_seed(0))
    assert sorted(i for batch in loader for i in batch["sample_id"]) == TRAIN


def test_only_some_row_groups_are_kept_and_pictures_need_none(root, monkeypatch):
    rows = ShardMap(root, columns=["label"], kept_groups=2)
    rows.__getitems__(range(41))
    assert len(rows._kept) == 2
    pictures = ShardMap(root, columns=["image"])
    monkeypatch.setattr(pictures.groups, "read", None)
    assert pictures[1]["has_image"]
    assert not pictures[0]["has_image"]
    assert pictures[0]["image"].sum() == 0


def test_an_opened_map_travels_to_another_process(root):
    rows = ShardMap(root, columns=["image", "sample_id"])
    assert rows[3]["sample_id"] == TRAIN[3]
    assert pickle.loads(pickle.dumps(rows))[4]["sample_id"] == TRAIN[4]  # noqa: S301 - made here


def test_offset_indexes_are_kept_once(root):
    assert write_offsets(root) == 4
    assert write_offsets(root) == 0
    index = ShardIndex.read(root)
    kept = shard_offsets(index, index.shards[1])
    shutil.rmtree(root / FOLDER)
    made = shard_offsets(index, index.shards[1], save_new=False)
    assert not (root / FOLDER).exists()
    assert (kept.ranges == made.ranges).all()
    assert (kept.crc == made.crc).all()


@pytest.mark.parametrize("damage", ["stale", "cut", "strange"])
def test_a_stale_or_damaged_offset_index_is_made_again(fakes, root, damage):
    write_offsets(root)
    first, other = (offsets_place(root, entry) for entry in ShardIndex.read(root).shards[:2])
    if damage == "stale":
        shutil.copy(other, first)
    else:
        first.write_bytes(first.read_bytes()[:40] if damage == "cut" else b"{}")
    assert (ShardMap(root, columns=["image"])[1]["image"][0, 0, 0] - fakes.picture(1)[0, 0, 0]).abs() <= 6
    assert write_offsets(root) == 0  # it was made again


def test_a_folder_that_cannot_be_written_is_read(root, monkeypatch):
    (root / FOLDER).write_text("in the way")
    assert ShardMap(root, columns=["image"])[1]["has_image"]


def test_a_damaged_picture_names_its_row(fakes, root):
    write_offsets(root)
    shard = root / "train/shard-00000.parquet"
    data = bytearray(shard.read_bytes())
    data[bytes(data).index(fakes.encode_jpeg(fakes.picture(6))) + 300] ^= 1
    shard.write_bytes(data)
    rows = ShardMap(root, columns=["image"])
    text = r"shard-00000\.parquet row group 1 row 1: its picture has another checksum \(run verify-shards"
    with pytest.raises(InputError, match=text):
        rows[6]
    assert rows[7]["has_image"]
    shard.write_bytes(data[:2000])
    with pytest.raises(InputError, match=r"shard-00000\.parquet: ends before byte"):
        ShardMap(root, columns=["image"])[12]
    shutil.rmtree(root / FOLDER)
    with pytest.raises(InputError, match=r"shard-00000\.parquet"):
        ShardMap(root, columns=["image"])[12]


def test_a_damaged_row_group_cannot_be_indexed(fakes, root):
    shard = root / "train/shard-00000.parquet"
    data = bytearray(shard.read_bytes())
    data[bytes(data).index(fakes.encode_jpeg(fakes.picture(6))) + 300] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"shard-00000\.parquet row group 1: is damaged: a page has another checksum"):
        write_offsets(root)


def test_an_impossible_cache_is_refused(root):
    with pytest.raises(InputError, match="kept_groups: expected at least 1, got 0"):
        ShardMap(root, kept_groups=0)


@pytest.mark.parametrize("kind", ["memory", pytest.param("s3", marks=pytest.mark.slow)])
def test_rows_come_from_an_object_store(root, kind, request):
    store = RemotePath("memory://map" if kind == "memory" else f"{request.getfixturevalue('s3_bucket')}/map")
    for file in root.rglob("*"):
        if file.is_file():
            target = store
            for part in file.relative_to(root).parts:
                target = target / part
            target.upload(file)
    try:
        far, near = ShardMap(str(store)), ShardMap(root)
        wanted = [40, 1, 7, 0, 13]
        for ours, theirs in zip(far.__getitems__(wanted), near.__getitems__(wanted), strict=True):
            assert_rows_equal(ours, theirs)
        assert offsets_place(store, far.index.shards[0]).is_file()
        (store / "train" / "shard-00001.parquet").unlink()
        with pytest.raises(InputError, match=r"shard-00001\.parquet: no such file"):
            far.__getitems__([1, 14])
    finally:
        if kind == "memory":
            store.store.store.clear()

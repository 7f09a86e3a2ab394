"""The reader gives every row exactly once with any workers and ranks, repeats its order and resumes at the next row."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.shards.reader import ReaderError, ShardDataset, read_row

LIGHT = ("sample_id", "label")
TRAIN = [f"train/{i:05d}" for i in range(41)]


def dataset(folder, **options):
    return ShardDataset(folder, **{"columns": LIGHT, "buffer": 8, **options})


def ids(loader):
    return [i for batch in loader for i in batch["sample_id"]]


def loader(data, workers, batch=4):
    return DataLoader(data, batch_size=batch, num_workers=workers)


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_every_row_is_read_exactly_once(folder, workers, world):
    read = [i for rank in range(world) for i in ids(loader(dataset(folder, rank=rank, world=world), workers))]
    assert sorted(read) == TRAIN
    assert read != TRAIN


@pytest.mark.parametrize("workers", [0, 2])
def test_the_order_follows_from_seed_and_epoch(folder, workers):
    data = dataset(folder, seed=3)
    first = ids(loader(data, workers))
    assert ids(loader(dataset(folder, seed=3), workers)) == first
    assert ids(loader(dataset(folder, seed=4), workers)) != first
    data.set_epoch(1)
    second = ids(loader(data, workers))
    assert second != first
    assert sorted(second) == TRAIN


def test_persistent_workers_see_the_new_epoch(folder):
    data = dataset(folder)
    keeping = DataLoader(data, batch_size=4, num_workers=2, persistent_workers=True)
    first = ids(keeping)
    data.set_epoch(1)
    second = ids(keeping)
    fresh = dataset(folder)
    fresh.set_epoch(1)
    assert second == ids(loader(fresh, 2)) != first


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("batches", [1, 3, 4, 9])
@pytest.mark.parametrize("world", [1, 2])
def test_resuming_continues_with_the_next_batch(folder, workers, batches, world):
    whole_data = dataset(folder, rank=world - 1, world=world)
    whole_data.set_epoch(2)
    whole = [batch["sample_id"] for batch in loader(whole_data, workers)]
    stopped = dataset(folder, rank=world - 1, world=world)
    stopped.set_epoch(2)
    for used, batch in enumerate(loader(stopped, workers), start=1):
        stopped.advance(batch["cursor"])
        if used == batches:
            break
    token = json.loads(json.dumps(stopped.state_dict()))
    resumed = dataset(folder, rank=world - 1, world=world)
    resumed.load_state_dict(token)
    resumed.set_epoch(2)
    assert [batch["sample_id"] for batch in loader(resumed, workers)] == whole[batches:]


def test_resuming_twice_and_then_the_next_epoch_is_whole(folder):
    data = dataset(folder)
    whole = [row["sample_id"] for row in data]
    for start, stop in ((0, 5), (5, 17)):
        rows = iter(data)
        assert [next(rows)["sample_id"] for _ in range(stop - start)] == whole[start:stop]
        token = data.state_dict()
        data = dataset(folder)
        data.load_state_dict(token)
        assert data.state_dict() == token
    assert [row["sample_id"] for row in data] == whole[17:]
    data.set_epoch(1)
    assert sorted(row["sample_id"] for row in data) == TRAIN


def test_a_token_of_a_finished_epoch_gives_no_more_rows(folder):
    data = dataset(folder)
    list(data)
    after = dataset(folder)
    after.load_state_dict(data.state_dict())
    assert list(after) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"seed": 1}, "was made with seed 0, this reader has 1"),
        ({"split": "val"}, "was made with rows 41, this reader has 6"),
        ({"world": 2}, "was made with world 1, this reader has 2"),
        ({"buffer": 9}, "was made with buffer 8, this reader has 9"),
    ],
)
def test_a_token_of_another_reader_is_refused(folder, options, text):
    data = dataset(folder)
    next(iter(data))
    with pytest.raises(InputError, match=f"reader token: {text}"):
        dataset(folder, **options).load_state_dict(data.state_dict())


def test_a_token_of_another_number_of_workers_is_refused(folder):
    data = dataset(folder)
    next(iter(data))
    resumed = dataset(folder)
    resumed.load_state_dict(data.state_dict())
    with pytest.raises(ReaderError, match=r"^reader token: is of another rank, or not of 2 DataLoader workers$"):
        list(loader(resumed, 2))


def test_rows_are_tensors_of_the_promised_types(fakes, folder):
    row = next(iter(ShardDataset(folder, shuffle=False)))
    row1 = read_row(folder, 1)
    assert row1["image"].shape == (3, fakes.REGION_PX, fakes.REGION_PX)
    assert row1["image"].dtype == torch.uint8
    assert np.abs(row1["image"].permute(1, 2, 0).numpy().astype(int) - fakes.picture(1)).max() <= 6
    assert row1["location"].dtype == torch.float32
    assert row1["iuv"].dtype == torch.uint8
    assert row1["iuv"][:, 4, 3].tolist() == [2, 1, 5]
    assert (row1["label"].item(), row1["label"].dtype) == (1, torch.int64)
    assert row1["region_affine"].shape == (2, 3)
    assert row1["has_image"]
    assert row1["image_source"] == "synthesised"
    assert not row["has_image"]
    assert row["image"].sum() == 0
    assert row["label"] == -1
    assert torch.isnan(row["betas"]).all()
    assert row["iuv"].sum() == 0
    assert row["appearance"] == ""
    assert row["cursor"].tolist() == [0, 1, 1]


def test_batches_collate_with_every_column(folder):
    batch = next(iter(loader(ShardDataset(folder), 0)))
    assert batch["body_pose"].shape == (4, 23, 3)
    assert batch["cursor"].shape == (4, 3)
    assert len(batch["sample_id"]) == 4


def test_only_the_wanted_columns_are_given(folder):
    assert set(next(iter(dataset(folder)))) == {"sample_id", "label", "cursor"}
    with pytest.raises(UnknownNameError, match="unknown shard column 'imag'; known: image"):
        ShardDataset(folder, columns=["imag"])


def test_all_splits_at_once_and_without_shuffling(folder):
    rows = [row["sample_id"] for row in dataset(folder, split=None, shuffle=False)]
    assert rows == TRAIN + [f"val/{i:05d}" for i in range(6)]


def test_even_streams_drop_less_than_one_row_each(folder):
    read = [ids(loader(dataset(folder, rank=r, world=2, drop_uneven=True), 2, batch=1)) for r in range(2)]
    assert [len(r) for r in read] == [20, 20]
    assert len(set(read[0]) | set(read[1])) == 40


def test_read_row_finds_every_row(folder):
    for position in (0, 4, 5, 12, 13, 40):
        assert read_row(folder, position, "train", LIGHT)["sample_id"] == TRAIN[position]
    assert read_row(folder, 46, None, LIGHT)["sample_id"] == "val/00005"
    for position in (-1, 41):
        with pytest.raises(InputError, match=rf"has no row {position}: expected 0 … 40"):
            read_row(folder, position, "train", LIGHT)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"rank": 2, "world": 2}, "rank: expected 0 … 1, got 2"), ({"buffer": 0}, "buffer: expected at least 1 row")],
)
def test_impossible_options_are_refused(folder, options, text):
    with pytest.raises(InputError, match=text):
        dataset(folder, **options)


def test_damage_is_named_with_its_row_group(fakes, folder, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(folder, root)
    shard = root / "train/shard-00000.parquet"
    data = bytearray(shard.read_bytes())
    place = bytes(data).index(fakes.encode_jpeg(fakes.picture(6)))
    data[place + 300] ^= 0xFF
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"shard-00000\.parquet row group 1: is damaged: .*\(run verify-shards"):
        list(ShardDataset(root))
    shard.unlink()
    with pytest.raises(InputError, match=r"shard-00000\.parquet: no such file"):
        list(ShardDataset(root))

"""Batches equal what a DataLoader collates from the same rows, resume with the same token, and stay as they are."""

from __future__ import annotations

import json
import shutil
import threading

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.shards.batches import ShardBatches
from hmrtk.toolkit.shards.buffers import Buffers
from hmrtk.toolkit.shards.codec import decode_image_into, encode_jpeg
from hmrtk.toolkit.shards.reader import ReaderError, ShardDataset

LIGHT = ("sample_id", "label")
TRAIN = [f"train/{i:05d}" for i in range(41)]


def batches(folder, batch=4, threads=2, **options):
    return ShardBatches(ShardDataset(folder, **{"columns": LIGHT, "buffer": 8, **options}), batch, threads=threads)


def through(data, workers):
    """The batches, by this process or by DataLoader workers."""
    return DataLoader(data, batch_size=None, num_workers=workers) if workers else data


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert ours[name].dtype == value.dtype, name
            torch.testing.assert_close(ours[name], value, rtol=0, atol=0, equal_nan=True)
        else:
            assert ours[name] == value


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_batches_equal_those_of_a_dataloader(folder, workers, world):
    for rank in range(world):
        dataset = ShardDataset(folder, buffer=8, rank=rank, world=world)
        expected = list(DataLoader(dataset, batch_size=4, num_workers=workers))
        found = list(through(ShardBatches(dataset, 4, threads=2), workers))
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert_equal(ours, theirs)


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_every_row_is_given_exactly_once(folder, workers, world):
    parts = [through(batches(folder, rank=rank, world=world), workers) for rank in range(world)]
    assert sorted(i for part in parts for batch in part for i in batch["sample_id"]) == TRAIN


@pytest.mark.parametrize("workers", [0, 2, 3])
@pytest.mark.parametrize("used", [1, 4])
@pytest.mark.parametrize("world", [1, 2])
def test_resuming_continues_with_the_next_batch(folder, workers, used, world):
    options = {"rank": world - 1, "world": world, "seed": 5}
    whole = [batch["sample_id"] for batch in through(batches(folder, **options), workers)]
    stopped = batches(folder, **options)
    for number, batch in enumerate(through(stopped, workers), start=1):
        stopped.advance(batch["cursor"])
        if number == used:
            break
    token = json.loads(json.dumps(stopped.state_dict()))
    resumed = batches(folder, **options)
    resumed.load_state_dict(token)
    assert [batch["sample_id"] for batch in through(resumed, workers)] == whole[used:]


def test_a_token_serves_rows_and_batches_alike(folder):
    data = batches(folder, batch=5)
    rows = [row["sample_id"] for row in ShardDataset(folder, columns=LIGHT, buffer=8)]
    next(iter(data))
    after = ShardDataset(folder, columns=LIGHT, buffer=8)
    after.load_state_dict(data.state_dict())
    assert [row["sample_id"] for row in after] == rows[5:]


def test_epochs_differ_and_repeat(folder):
    data = batches(folder)
    first = [batch["sample_id"] for batch in data]
    assert [batch["sample_id"] for batch in data] == first
    data.set_epoch(1)
    assert data.epoch == 1
    assert [batch["sample_id"] for batch in data] != first


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [16, 16, 9]), (True, [16, 16])])
def test_the_last_batch(folder, drop_last, sizes):
    data = ShardBatches(ShardDataset(folder, columns=LIGHT), 16, drop_last=drop_last)
    assert [len(batch["sample_id"]) for batch in data] == sizes
    assert len(data) == len(sizes)


def test_a_batch_that_is_held_is_not_overwritten(folder):
    data = ShardBatches(ShardDataset(folder, columns=["image", "location"], buffer=8), 4, threads=2)
    held = [(batch, {name: value.clone() for name, value in batch.items()}) for batch in data]
    for batch, copy in held:
        assert_equal(batch, copy)


def test_buffers_are_given_again_when_nobody_holds_them():
    buffers = Buffers()
    first = torch.from_numpy(buffers.take("x", (4, 2), np.float32))
    place, view = first.data_ptr(), first[1:].T
    del first
    assert buffers.take("x", (4, 2), np.float32).ctypes.data != place
    del view
    assert place in {buffers.take("x", (4, 2), np.float32).ctypes.data for _ in range(2)}
    assert buffers.take("x", (3, 2), np.float32).shape == (3, 2)


def test_maps_may_stay_half_precision(folder):
    dataset = ShardDataset(folder, columns=["joint"], shuffle=False)
    half = next(iter(ShardBatches(dataset, 4, half=True)))["joint"]
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), next(iter(ShardBatches(dataset, 4)))["joint"], equal_nan=True)


def test_pictures_are_channels_last(folder):
    image = next(iter(ShardBatches(ShardDataset(folder, columns=["image"]), 4)))["image"]
    assert image.is_contiguous(memory_format=torch.channels_last)


def test_leaving_early_ends_the_threads(folder):
    before = {thread.name for thread in our_threads()}
    rows = iter(batches(folder))
    next(rows)
    rows.close()
    assert {thread.name for thread in our_threads()} <= before


def our_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("hmrtk-")]


@pytest.fixture
def damaged(fakes, folder, tmp_path):
    """A copy whose row 6 has a picture of another size, with its checksums in order."""
    root = tmp_path / "copy"
    shutil.copytree(folder, root)
    real, fakes.picture = fakes.picture, lambda row: real(row)[:16] if row == 6 else real(row)
    try:
        fakes.write_fake(root, {"train": [[5, 5, 3], [7, 2, 1], [6, 6, 6]], "val": [[4, 2]]})
    finally:
        fakes.picture = real
    return root


def test_a_damaged_row_is_named(damaged):
    text = r"shard-00000\.parquet row group 1 row 1: picture has shape \(16, 32, 3\), expected \(32, 32, 3\)"
    with pytest.raises(InputError, match=text):
        list(ShardBatches(ShardDataset(damaged), 4))
    with pytest.raises(ReaderError, match=text):
        list(DataLoader(ShardBatches(ShardDataset(damaged), 4), batch_size=None, num_workers=2))


def test_a_truncated_jpeg_is_named():
    data = encode_jpeg(np.full((32, 32, 3), 9, np.uint8))
    for part in (data[: len(data) // 2], data[:3]):
        with pytest.raises(InputError, match="row 3: is a damaged JPEG"):
            decode_image_into(part, np.empty((32, 32, 3), np.uint8), "row 3")


def test_pinned_batches_need_a_gpu(folder):
    if torch.cuda.is_available():
        batch = next(iter(ShardBatches(ShardDataset(folder, columns=["image", "betas"]), 4, pin=True)))
        assert batch["image"].is_pinned()
        assert batch["betas"].is_pinned()
    else:
        with pytest.raises(InputError, match="pin: page-locked memory needs a GPU, and torch finds none"):
            ShardBatches(ShardDataset(folder), pin=True)


@pytest.mark.parametrize(("options", "text"), [({"batch_size": 0}, "batch_size"), ({"threads": 0}, "threads")])
def test_impossible_sizes_are_refused(folder, options, text):
    with pytest.raises(InputError, match=f"{text}: expected at least 1, got 0"):
        ShardBatches(ShardDataset(folder), **options)

"""Every build writes its offset indexes; a flipped number in one is noticed and the index made again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.offsets import offsets_place, offsets_problem, shard_offsets, write_offsets


@pytest.fixture
def copy(built, tmp_path):
    shutil.copytree(built, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_build_leaves_none_to_be_made(built):
    index = ShardIndex.read(built)
    assert all(offsets_place(built, entry).is_file() for entry in index.shards)
    assert write_offsets(index) == 0
    assert [offsets_problem(index, entry) for entry in index.shards] == [None] * 5


def test_any_flipped_byte_is_noticed(copy):
    index = ShardIndex.read(copy)
    entry, place = index.shards[0], offsets_place(copy, index.shards[0])
    whole, rng = place.read_bytes(), np.random.default_rng(0)
    expected = shard_offsets(index, entry, save_new=False)
    for position in rng.integers(len(whole), size=40):
        data = bytearray(whole)
        data[position] ^= 1 << int(rng.integers(8))
        place.write_bytes(data)
        assert offsets_problem(index, entry) == f"{place}: is not the offset index of its shard"
        found = shard_offsets(index, entry, save_new=False)
        assert (found.ranges == expected.ranges).all()
        assert (found.crc == expected.crc).all()


def test_one_that_is_not_kept_is_no_problem(copy):
    index = ShardIndex.read(copy)
    offsets_place(copy, index.shards[0]).unlink()
    assert offsets_problem(index, index.shards[0]) is None
    assert write_offsets(copy) == 1

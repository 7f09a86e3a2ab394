"""Row groups are found by position, read with their damage named, and decoded row by row."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.order import Piece
from hmrtk.toolkit.shards.rows import NO_LABEL, RowDecoder, RowGroups, open_shard


@pytest.fixture
def index(folder):
    return ShardIndex.read(folder)


def test_positions_are_located_in_file_order(index):
    groups = RowGroups(index, "train")
    assert (groups.sizes, groups.rows) == ([5, 5, 3, 7, 2, 1, 6, 6, 6], 41)
    found = [groups.locate(i) for i in range(41)]
    assert found == [(g, r) for g, n in enumerate(groups.sizes) for r in range(n)]
    assert groups.name(3) == f"{index.root}/train/shard-00001.parquet row group 0"


def test_pieces_are_decoded_to_numpy(fakes, index):
    groups, decoder = RowGroups(index, "train"), RowDecoder(index, ["image", "label", "joint", "sample_id"])
    batch = decoder.batch(groups.read(1, decoder.columns), Piece(1, 2, 5), groups.name(1))
    row = decoder.row(batch, 1)  # row 8 of the split
    assert row["sample_id"] == "train/00008"
    assert row["label"] == NO_LABEL
    assert row["joint"].shape == (3, fakes.UV_PX, fakes.UV_PX)
    assert np.allclose(row["joint"], 0.08, atol=1e-3)
    assert row["has_image"]
    assert np.abs(row["image"].astype(int) - fakes.picture(8)).max() <= 6


def test_an_opened_reader_travels_to_another_process(index):
    groups = RowGroups(index, "train")
    groups.read(0, ["sample_id"])
    again = pickle.loads(pickle.dumps(groups))  # noqa: S301 - made here
    assert again.read(2, ["sample_id"]).num_rows == 3


def test_an_unknown_column_lists_the_known_ones(index):
    with pytest.raises(UnknownNameError, match="unknown shard column 'loction'; known: location"):
        RowDecoder(index, ["loction"])


def test_a_row_group_of_another_length_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    value = json.loads((tmp_path / "copy/index.json").read_text())
    value["shards"][0]["row_groups"] = [4, 6, 3]
    (tmp_path / "copy/index.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"row group 0: has 5 rows, the index says 4"):
        RowGroups(ShardIndex.read(tmp_path / "copy"), "train").read(0, ["sample_id"])


@pytest.mark.parametrize("blob", [b"\x82", b"[]", b'{"kind": "hmrtk.shard"}'])
def test_metadata_that_is_not_ours_is_damage(tmp_path, blob):
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({b"hmrtk": blob}), shard)
    with pytest.raises(InputError, match=r"shard\.parquet: (has damaged metadata|expected hmrtk\.shard, got)"):
        open_shard(shard)

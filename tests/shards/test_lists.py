"""Wide lists read without their levels equal pyarrow's own reading, nulls and all; anything else is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmrtk.toolkit.shards import lists
from hmrtk.toolkit.shards.codec import array_column, column_array
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.lists import NULL, level_runs, picture_ranges, read_lists
from hmrtk.toolkit.shards.pages import PageError
from hmrtk.toolkit.shards.rows import RowGroups
from hmrtk.toolkit.shards.schema import array_field, shard_schema

KINDS = {"uint8": pa.uint8(), "float16": pa.float16(), "float32": pa.float32(), "int32": pa.int32()}


def written(values, valid, kind, nullable=True, **options):
    """A Parquet file of one column of lists, in memory: (chunk, codec, levels) and pyarrow's own reading."""
    field = array_field("x", values.shape[1:], KINDS[kind], nullable)
    sink = pa.BufferOutputStream()
    column = array_column(values, field, valid)
    options = {"compression": "zstd", "write_page_checksum": True, "store_schema": True, **options}
    pq.write_table(pa.Table.from_arrays([column], schema=pa.schema([field])), sink, **options)
    data = sink.getvalue()
    file = pq.ParquetFile(pa.BufferReader(data))
    about = file.metadata.row_group(0).column(0)
    start = about.dictionary_page_offset or about.data_page_offset
    codec = None if about.compression == "UNCOMPRESSED" else pa.Codec("zstd")
    chunk = memoryview(data)[start : start + about.total_compressed_size].cast("B")
    theirs = column_array(file.read()["x"], field)
    return bytearray(chunk), codec, file.schema.column(0).max_definition_level, theirs


def ours(chunk, codec, levels, rows, width, kind):
    out = np.empty((rows, width), kind)
    stored = np.dtype(np.int32) if kind == "uint8" else np.dtype(kind)
    return out, read_lists(memoryview(chunk), codec, out, stored, levels)


@settings(max_examples=60, deadline=None)
@given(
    valid=st.lists(st.booleans(), min_size=1, max_size=40),
    width=st.integers(1, 700),
    kind=st.sampled_from(sorted(KINDS)),
    dictionary=st.booleans(),
    page=st.sampled_from([64, 1000, 1 << 20]),
    compression=st.sampled_from(["zstd", "none"]),
    distinct=st.sampled_from([1, 3, 200]),
    seed=st.integers(0, 9),
)
def test_lists_equal_those_that_pyarrow_reads(valid, width, kind, dictionary, page, compression, distinct, seed):
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.integers(0, distinct, (len(valid), width)), 3, axis=1)[:, :width].astype(kind)
    options = {"use_dictionary": dictionary, "data_page_size": page, "compression": compression}
    chunk, codec, levels, (expected, mask) = written(values, np.array(valid), kind, **options)
    out, found = ours(chunk, codec, levels, len(valid), width, kind)
    assert (found == mask).all()
    assert (out[found] == expected[found]).all()
    assert not out[~found].any()


def test_a_column_that_cannot_be_null():
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    chunk, codec, levels, (expected, _) = written(values, None, "float32", nullable=False)
    out, valid = ours(chunk, codec, levels, 4, 6, "float32")
    assert levels == 2
    assert valid.all()
    assert (out == expected).all()


def test_runs_of_levels_by_hand():
    """Format: an even head is a run of head/2; an odd one (head-1)/2 groups of eight, the lowest bits first."""
    assert list(level_runs(memoryview(b"\x08\x03\x03\xe4\xe4"), 2, 12)) == [(3, 4), *[(i % 4, 1) for i in range(8)]]
    with pytest.raises(PageError, match="levels end too early"):
        list(level_runs(memoryview(b"\x08\x03"), 2, 5))


@pytest.mark.parametrize("place", range(0, 200, 7))
def test_a_flipped_bit_is_refused_or_changes_nothing(place):
    """The checksum covers a page's bytes; of a header, only what the reading does not need may change."""
    values = np.random.default_rng(0).integers(0, 9, (6, 90)).astype(np.float16)
    chunk, codec, levels, (expected, _) = written(values, None, "float16", use_dictionary=False)
    chunk[min(place, len(chunk) - 1)] ^= 4
    try:
        out, _ = ours(chunk, codec, levels, 6, 90, "float16")
    except PageError:
        return
    assert (out == expected).all()


@pytest.mark.parametrize("kept", [0, 3, 20, 60])
def test_a_short_chunk_is_refused(kept):
    values = np.random.default_rng(0).random((6, 90)).astype(np.float16)
    chunk, codec, levels, _ = written(values, None, "float16")
    with pytest.raises(PageError):
        ours(chunk[:kept], codec, levels, 6, 90, "float16")


def test_nulls_inside_a_list_are_refused():
    sink = pa.BufferOutputStream()
    column = pa.array([[1.0, None], [2.0, 3.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"x": column}), sink, compression="none", use_dictionary=False)
    file = pq.ParquetFile(pa.BufferReader(sink.getvalue()))
    about = file.metadata.row_group(0).column(0)
    chunk = bytes(sink.getvalue())[about.data_page_offset :][: about.total_compressed_size]
    with pytest.raises(PageError, match="a null inside a list"):
        ours(chunk, None, file.schema.column(0).max_definition_level, 2, 2, "float32")


def test_the_pictures_of_a_shard_lie_where_the_ranges_say(folder):
    index = ShardIndex.read(folder)
    groups = RowGroups(index, "train")
    for group, rows in enumerate(groups.sizes):
        chunk, _, levels, _ = groups.chunk(group, "image.bytes")
        ranges = picture_ranges(chunk, levels, rows)
        expected = [row["bytes"] for row in groups.read(group, ["image"])["image"].to_pylist() if row]
        assert [bytes(chunk[a : a + n]) for a, n in ranges if a != NULL] == expected


def test_a_group_that_cannot_be_read_this_way_is_left_to_pyarrow(folder, monkeypatch):
    index = ShardIndex.read(folder)
    field = shard_schema(20, 16).field("joint")
    assert RowGroups(index, "train").lists(0, field) is not None
    monkeypatch.setattr(lists, "_PLAIN", 99)
    assert RowGroups(index, "train").lists(0, field) is None

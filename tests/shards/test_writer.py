"""Shards are written atomically, with the storage layout the design asks for, and the same bytes every time."""

from __future__ import annotations

import errno
import os
import resource

import pyarrow.parquet as pq
import pytest

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.shards.writer import write_shard


def test_row_groups_layout_and_entry(fakes, folder):
    entry = fakes.ShardIndex.read(folder).shards[0]
    file = pq.ParquetFile(folder / entry.path)
    assert (entry.rows, entry.row_groups) == (13, (5, 5, 3))
    assert [file.metadata.row_group(g).num_rows for g in range(3)] == [5, 5, 3]
    assert entry.bytes == (folder / entry.path).stat().st_size
    assert entry.sha256 == fakes.folder_hashes(folder)[entry.path]
    assert file.schema_arrow.remove_metadata() == fakes.SCHEMA.remove_metadata()


def test_pictures_are_stored_raw_and_plain_and_the_rest_with_zstd(fakes, folder):
    group = pq.ParquetFile(folder / "train/shard-00000.parquet").metadata.row_group(0)
    for column in (group.column(i) for i in range(group.num_columns)):
        picture = column.path_in_schema.startswith("image.")
        assert column.compression == ("UNCOMPRESSED" if picture else "ZSTD"), column.path_in_schema
        if picture:
            assert "RLE_DICTIONARY" not in column.encodings
    raw = (folder / "train/shard-00000.parquet").read_bytes()
    assert fakes.encode_jpeg(fakes.picture(3)) in raw  # a byte range of the file is the picture


def test_the_same_rows_give_the_same_bytes(fakes, folder, tmp_path):
    fakes.write_fake(tmp_path, {"train": [[5, 5, 3], [7, 2, 1], [6, 6, 6]], "val": [[4, 2]]})
    assert fakes.folder_hashes(tmp_path) == fakes.folder_hashes(folder)


def test_a_full_disk_leaves_nothing_behind(fakes, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"shard-00000\.parquet: cannot be written: No space left on device"):
        write_shard(tmp_path, "train/shard-00000.parquet", "train", [fakes.group(0, 2, "train")], fakes.SCHEMA, {})
    assert list((tmp_path / "train").iterdir()) == []


def test_an_error_in_the_middle_leaves_nothing_behind(fakes, tmp_path):
    def groups():
        yield fakes.group(0, 2, "train")
        raise InputError("photo.jpg", "is damaged")

    with pytest.raises(InputError, match=r"photo\.jpg"):
        write_shard(tmp_path, "train/shard-00000.parquet", "train", groups(), fakes.SCHEMA, {})
    assert list((tmp_path / "train").iterdir()) == []


def test_no_rows_are_refused(fakes, tmp_path):
    with pytest.raises(InputError, match="has no rows to write"):
        write_shard(tmp_path, "train/shard-00000.parquet", "train", [], fakes.SCHEMA, {})


def test_an_output_that_is_a_file_is_one_line(fakes, tmp_path):
    (tmp_path / "train").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_shard(tmp_path, "train/shard-00000.parquet", "train", [fakes.group(0, 2, "train")], fakes.SCHEMA, {})


def test_a_write_that_fails_in_the_middle_leaves_nothing_behind(fakes, tmp_path):
    """The kernel refuses to let the file grow, as it does on a full disk."""
    groups = (fakes.group(4 * i, 4, "train") for i in range(50))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError, match=r"shard-00000\.parquet: cannot be written: .*File too large"):
            write_shard(tmp_path, "train/shard-00000.parquet", "train", groups, fakes.SCHEMA, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "train").iterdir()) == []

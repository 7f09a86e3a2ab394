"""Shards in an object store: the same bytes as in a folder, resumable, verified, streamed row group by row group."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records import artefact
from hmrtk.toolkit.records.remote import RemotePath, below
from hmrtk.toolkit.shards import builder
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.codec import decode_image, encode_jpeg
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.iuv_set import read_iuv_set, write_iuv_set
from hmrtk.toolkit.shards.pictures import PhotoReader
from hmrtk.toolkit.shards.reader import ShardDataset, read_row
from hmrtk.toolkit.shards.verify import verify_shards


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.slow)])
def store(request):
    """An empty folder of an object store."""
    if request.param == "s3":
        yield RemotePath(f"{request.getfixturevalue('s3_bucket')}/shards/{request.node.name}")
        return
    yield RemotePath(f"memory://shards/{request.node.name}")
    RemotePath("memory://").store.store.clear()


def upload(folder, store):
    """Put a folder's files into the store."""
    for file in folder.rglob("*"):
        if file.is_file() and file.name != ".lock":
            target = store
            for part in file.relative_to(folder).parts:
                target = target / part
            target.upload(file)


def contents(store):
    """Name → bytes of everything there."""
    names = [RemotePath(store.store.unstrip_protocol(name)) for name in store.store.find(str(store))]
    return {below(name, store): name.open().read() for name in names}


def local_contents(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_a_build_has_the_same_bytes_as_in_a_folder(store, records, body, small, built):
    index = build_shards(records, body, str(store), small, workers=2)
    assert index.root == store
    assert contents(store) == local_contents(built)  # and no lock is left
    report = verify_shards(store)
    assert report.ok, report.problems
    assert report.rows == len(records)


def test_a_build_that_failed_is_continued(store, records, body, small, built, monkeypatch):
    def fail_at_the_third(root, name, *rest):
        if name == "val/shard-00002.parquet":
            raise OutputError(f"{root}/{name}: cannot be written: no route")
        return write(root, name, *rest)

    write = builder.write_shard
    monkeypatch.setattr(builder, "write_shard", fail_at_the_third)
    with pytest.raises(OutputError, match="no route"):
        build_shards(records, body, store, small, workers=1)
    assert sorted(contents(store)) == ["plan.json", "val/shard-00000.parquet", "val/shard-00001.parquet"]
    made = []
    monkeypatch.setattr(builder, "write_shard", lambda root, name, *rest: made.append(name) or write(root, name, *rest))
    build_shards(records, body, store, small, workers=1)
    assert made == ["val/shard-00002.parquet", "test/shard-00000.parquet", "test/shard-00001.parquet"]
    assert contents(store) == local_contents(built)


def test_another_build_is_refused_or_replaced(store, records, body, small, built):
    upload(built, store)
    other = type(small)(**{**vars(small), "region_px": 48})
    with pytest.raises(InputError, match=r"holds shards built differently: region_px: 64, now 48"):
        build_shards(records, body, store, other)
    build_shards(records, body, store, other, overwrite=True)
    assert ShardIndex.read(store).config["region_px"] == 48


def test_a_flipped_byte_is_found(store, built):
    upload(built, store)
    victim = store / "val" / "shard-00001.parquet"
    data = bytearray(victim.open().read())
    data[len(data) // 2] ^= 1
    artefact.write_bytes(victim, bytes(data))
    artefact.write_bytes(store / "val" / "shard-00009.parquet", b"")
    problems = "\n".join(verify_shards(store).problems)
    assert f"{victim}: sha256 differs from the index" in problems
    assert "shard-00009.parquet: is not in the index" in problems


def test_a_folder_without_shards_is_named(store):
    with pytest.raises(InputError, match="no such folder of shards"):
        ShardIndex.read(store)
    artefact.write_bytes(store / "plan.json", b"{}")
    with pytest.raises(InputError, match=r"has no index\.json"):
        ShardDataset(str(store))


def test_rows_stream_as_from_a_folder(store, folder):
    upload(folder, store)
    for near, far in zip(ShardDataset(folder, seed=3), ShardDataset(str(store), seed=3), strict=True):
        assert near.keys() == far.keys()
        for name, value in near.items():
            if isinstance(value, str):
                assert value == far[name]
            else:
                torch.testing.assert_close(far[name], value, rtol=0, atol=0, equal_nan=True)
    assert read_row(store, 7, "train")["sample_id"] == read_row(folder, 7, "train")["sample_id"]


@pytest.mark.slow
def test_forked_workers_read_every_row_once(s3_bucket, folder):
    store = RemotePath(f"{s3_bucket}/shards/workers")
    upload(folder, store)
    dataset = ShardDataset(str(store), columns=["sample_id"])
    next(iter(dataset))  # the parent has a connection of its own, which workers must not use
    names = [name for batch in DataLoader(dataset, batch_size=8, num_workers=2) for name in batch["sample_id"]]
    assert sorted(names) == [f"train/{i:05d}" for i in range(41)]


def test_iuv_sets(store):
    rng = torch.Generator().manual_seed(0)
    maps = torch.randint(0, 25, (5, 3, 8, 8), generator=rng, dtype=torch.uint8).numpy()
    ids = [f"row {i}" for i in range(5)]
    made = []

    def render(rows):
        made.append(rows)
        yield slice(0, rows.stop - rows.start), maps[rows]

    for _ in range(2):
        files = write_iuv_set(str(store), ids, torch.ones(5, 3).numpy(), render, 8, {}, rows_per_file=2)
    assert len(made) == 3  # the second time, all was there
    assert [file.name for file in files] == [f"iuv-{i:05d}.parquet" for i in range(3)]
    found = read_iuv_set(store)
    assert found.sample_ids == ids
    assert (found.iuv() == maps).all()
    write_iuv_set(store, ids[:2], torch.ones(2, 3).numpy(), render, 8, {}, rows_per_file=2)
    assert [file.name for file in read_iuv_set(store).files] == ["iuv-00000.parquet"]


def test_photographs_come_from_a_url(store):
    picture = torch.full((40, 60, 3), 200, dtype=torch.uint8).numpy()
    artefact.write_bytes(store / "a" / "b.jpg", encode_jpeg(picture))
    photos = PhotoReader(store)
    affine = torch.tensor([[0.5, 0, 0], [0, 0.5, 0]]).numpy()
    region = decode_image(photos.region("a/b.jpg", affine, 16, "row 0"), "row 0")
    assert region.shape == (16, 16, 3)
    assert abs(int(region[8, 8, 0]) - 200) <= 2
    with pytest.raises(InputError, match=r"row 1: photograph .*/a/c\.jpg: no such file"):
        photos.region("a/c.jpg", affine, 16, "row 1")

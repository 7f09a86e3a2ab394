"""Builds are whole, the same to the byte however they come about, and refuse what does not belong together."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.engine.local import LocalEngine
from hmrtk.toolkit.errors import BodyMismatchError, InputError, OutputError
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.record import RECORD_SCHEMA
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.compose import Composer
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.lock import exclusive
from hmrtk.toolkit.shards.reader import ShardDataset, read_row
from hmrtk.toolkit.shards.shard_map import ShardMap
from hmrtk.toolkit.shards.verify import verify_shards


@pytest.fixture
def composed(monkeypatch):
    """The shards whose row groups were composed, in order."""
    names, call = [], Composer.__call__
    monkeypatch.setattr(Composer, "__call__", lambda self, chunk: names.append(chunk.name) or call(self, chunk))
    return names


@pytest.fixture(scope="module")
def prototypes(records, body):
    parameters = records.parameters()[[0, 7, 20]]
    return PrototypeSet.of(parameters, {"body": body.fingerprint, "method": "p3dh"}, singular=parameters[[0]])


def with_column(records, name, values):
    column = pa.array(values, RECORD_SCHEMA.field(name).type)
    position = RECORD_SCHEMA.get_field_index(name)
    return RecordTable(records.table.set_column(position, RECORD_SCHEMA.field(name), column), records.metadata)


class Stop(Exception):
    """Raised from ``progress`` to stop a build in the middle."""


def stopping_after(calls):
    left = [calls]

    def progress(stage, done, total, note=""):
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    return progress


def test_all_rows_are_there_in_order_and_verified(built, records):
    index = ShardIndex.read(built)
    assert index.splits == {"val": 14, "test": 8}
    assert [(e.path, e.row_groups) for e in index.shards] == [
        ("val/shard-00000.parquet", (4, 2)),
        ("val/shard-00001.parquet", (4, 2)),
        ("val/shard-00002.parquet", (2,)),
        ("test/shard-00000.parquet", (4, 2)),
        ("test/shard-00001.parquet", (2,)),
    ]
    rows = ShardDataset(built, None, ["sample_id", "image", "image_source"], shuffle=False)
    read = list(rows)
    assert [r["sample_id"] for r in read] == records.sample_ids
    assert {r["image_source"] for r in read} == {"synthesised"}
    assert all(r["image"].float().std() > 5 for r in read)
    report = verify_shards(built)
    assert report.ok, report.problems
    assert (report.rows, report.pictures) == (22, 22)


def test_the_index_says_where_it_comes_from(built, records, body, small):
    index = ShardIndex.read(built)
    assert (index.body, index.prototypes) == (body.fingerprint, None)
    assert index.config == small.of_folder()
    assert index.provenance["inputs"]["body"] == body.fingerprint
    assert index.conventions["joint_set"] == "spin24"
    assert index.plan == json.loads((built / "plan.json").read_text())
    val, test = index.plan["parts"]
    assert (val["split"], val["inputs"]["datasets"], val["inputs"]["synthesise"]) == ("val", {"embedded": 14}, True)
    assert (test["split"], test["inputs"]["provenance"]["command"]) == ("test", "ingest")


@pytest.mark.parametrize(("workers", "kind"), [(1, "process"), (2, "thread"), (2, "process")])
def test_workers_do_not_change_a_byte(fakes, built, records, body, small, tmp_path, workers, kind):
    build_shards(records, body, tmp_path, small, engine=LocalEngine(workers, kind))
    assert fakes.folder_hashes(tmp_path) == fakes.folder_hashes(built)


@pytest.mark.parametrize("calls", [1, 2, 4, 7])
def test_a_stopped_build_continues_and_equals_an_uninterrupted_one(
    fakes, built, records, body, small, tmp_path, composed, calls
):
    with pytest.raises(Stop):
        build_shards(records, body, tmp_path, small, workers=1, progress=stopping_after(calls))
    assert not (tmp_path / "index.json").exists()
    assert not list(tmp_path.rglob("*.tmp"))
    there = {str(p.relative_to(tmp_path)) for p in tmp_path.glob("*/*.parquet")}
    composed.clear()
    build_shards(records, body, tmp_path, small, workers=1)
    assert not there & set(composed)
    assert fakes.folder_hashes(tmp_path) == fakes.folder_hashes(built)


def test_a_finished_build_is_not_made_again(fakes, built, records, body, small, composed):
    before = fakes.folder_hashes(built)
    build_shards(records, body, built, small, overwrite=True)
    assert composed == []
    assert fakes.folder_hashes(built) == before


def test_damaged_missing_and_foreign_shards_are_made_again(fakes, built, records, body, small, tmp_path, composed):
    out = tmp_path / "copy"
    shutil.copytree(built, out)
    data = bytearray((out / "val/shard-00000.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (out / "val/shard-00000.parquet").write_bytes(data)
    (out / "val/shard-00002.parquet").unlink()
    shutil.copy(out / "val/shard-00001.parquet", out / "test/shard-00000.parquet")
    (out / "val/.shard-00001.parquet.abc.tmp").write_text("left over by a killed build")
    build_shards(records, body, out, small, workers=1)
    assert sorted(set(composed)) == ["test/shard-00000.parquet", "val/shard-00000.parquet", "val/shard-00002.parquet"]
    assert fakes.folder_hashes(out) == fakes.folder_hashes(built)


def test_another_build_is_refused_and_can_be_overwritten(fakes, built, records, body, small, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(built, out)
    other = replace(small, rows_per_shard=5, seed=1)
    with pytest.raises(InputError, match=r"built differently: rows_per_shard: 6, now 5; seed: 0, now 1"):
        build_shards(records, body, out, other, workers=1)
    assert fakes.folder_hashes(out) == fakes.folder_hashes(built)
    build_shards(records, body, out, other, workers=1, overwrite=True)
    build_shards(records, body, tmp_path / "fresh", other, workers=1)
    assert fakes.folder_hashes(out) == fakes.folder_hashes(tmp_path / "fresh")


def test_a_picture_does_not_depend_on_order_or_shard(built, records, body, small, tmp_path):
    backwards = records.take(np.arange(len(records))[::-1])
    build_shards(backwards, body, tmp_path, replace(small, rows_per_shard=9), workers=1)
    for row in (0, 9, 21):
        one, two = read_row(built, row, None), read_row(tmp_path, 21 - row, None)
        assert one["sample_id"] == two["sample_id"]
        assert (one["image"] == two["image"]).all()
        assert one["appearance"] == two["appearance"]
    build_shards(records, body, tmp_path / "seed", replace(small, seed=5), workers=1)
    assert (read_row(tmp_path / "seed", 0, None)["image"] != read_row(built, 0, None)["image"]).any()


def test_labels_come_from_the_prototypes_or_as_given(records, body, small, tmp_path, prototypes):
    plain = replace(small, synthesise=False, maps=())
    index = build_shards(records, body, tmp_path / "a", plain, prototypes, workers=1)
    expected = assign(records.parameters(), prototypes, body)
    columns = ["label", "distance", "distance_to_singular"]
    rows = list(ShardDataset(tmp_path / "a", None, columns, shuffle=False))
    assert index.prototypes == prototypes.fingerprint
    assert [r["label"].item() for r in rows] == expected.label.tolist()
    assert np.array_equal([r["distance"].item() for r in rows], expected.distance)
    assert rows[0]["distance_to_singular"] == 0
    assert [r["label"].item() for r in ShardMap(tmp_path / "a", "test", columns)] == expected.label[14:].tolist()
    assert verify_shards(tmp_path / "a").ok
    n = len(records)
    given = Labels(np.arange(n, dtype=np.int32), np.ones(n, np.float32), np.ones(n, np.float32), np.ones(n))
    build_shards(records, body, tmp_path / "b", plain, labels=given, workers=1)
    assert [r["label"].item() for r in ShardDataset(tmp_path / "b", None, columns, shuffle=False)] == list(range(n))
    with pytest.raises(InputError, match=r"labels: expected one per record \(21\), got 22"):
        build_shards(records.head(21), body, tmp_path / "c", plain, labels=given, workers=1)


def test_photographs_are_used_where_they_are(records, body, small, tmp_path):
    photo = np.full((480, 640, 3), (10, 20, 200), np.uint8)
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/a.png"), photo)
    paths = ["a.png", "b.png"] + [None] * (len(records) - 2)
    named = with_column(records, "image_path", paths).head(3)
    config = replace(small, images=tmp_path / "photos")
    build_shards(named, body, tmp_path / "out", config, workers=1)
    rows = [read_row(tmp_path / "out", i, None) for i in range(3)]
    assert [r["image_source"] for r in rows] == ["photo", "synthesised", "synthesised"]
    assert np.abs(rows[0]["image"][:, 32, 32].numpy().astype(int) - [200, 20, 10]).max() < 6
    assert rows[0]["appearance"] == ""
    with pytest.raises(InputError, match=r"row 1: photograph .*b\.png: no such file \(check --images"):
        build_shards(named, body, tmp_path / "strict", replace(config, synthesise=False), workers=1)
    with pytest.raises(InputError, match=r"row 0: has an image_path, but no image folder is given \(pass --images"):
        build_shards(named, body, tmp_path / "none", replace(small, synthesise=False), workers=1)
    with pytest.raises(InputError, match="no such image folder"):
        build_shards(named, body, tmp_path / "gone", replace(config, images=tmp_path / "gone"), workers=1)


def test_a_damaged_photograph_stops_the_build_and_keeps_finished_shards(fakes, records, body, small, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"\xff\xd8 not a jpeg")
    named = with_column(records, "image_path", [None] * 8 + ["a.jpg"] + [None] * (len(records) - 9))
    config = replace(small, images=tmp_path / "photos")
    for workers in (1, 2):
        with pytest.raises(InputError, match=r"row 8: photograph .*a\.jpg: is a damaged JPEG"):
            build_shards(named, body, tmp_path / "out", config, workers=workers)
        assert [p.name for p in (tmp_path / "out").rglob("*.parquet")] == ["shard-00000.parquet"]
        assert not list((tmp_path / "out").rglob("*.tmp"))
    shutil.rmtree(tmp_path / "photos")
    (tmp_path / "photos").mkdir()
    build_shards(named, body, tmp_path / "out", config, workers=1)
    assert verify_shards(tmp_path / "out").ok


def test_a_full_disk_is_one_line_and_the_build_continues_later(
    fakes, built, records, body, small, tmp_path, monkeypatch
):
    sync, left = os.fsync, [4]

    def full(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="cannot be written: No space left on device"):
            build_shards(records, body, tmp_path, small, workers=1)
    assert not list(tmp_path.rglob("*.tmp"))
    build_shards(records, body, tmp_path, small, workers=1)
    assert fakes.folder_hashes(tmp_path) == fakes.folder_hashes(built)


def test_an_unwritable_output_is_one_line(records, body, small, tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        build_shards(records, body, tmp_path / "out", small, workers=1)


def test_a_second_builder_is_refused_with_one_line(records, body, small, tmp_path):
    with (
        exclusive(tmp_path),
        pytest.raises(OutputError, match="another process is building these shards") as caught,
    ):
        build_shards(records, body, tmp_path, small, workers=1)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_records_that_do_not_validate_are_refused(records, body, small, tmp_path):
    with pytest.raises(InputError, match=r"row 1: sample_id '.*' is already in row 0"):
        build_shards(records.take([0, 0]), body, tmp_path, small, workers=1)


def test_records_and_prototypes_of_another_body_are_refused(records, body, small, tmp_path, prototypes):
    with pytest.raises(BodyMismatchError):
        build_shards(records, load_body(gender="male"), tmp_path, small, workers=1)
    foreign = replace(prototypes, metadata={**prototypes.metadata, "body": "f" * 16})
    with pytest.raises(BodyMismatchError):
        build_shards(records, body, tmp_path, small, foreign, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_row_without_a_box_is_named(records, body, small, tmp_path):
    field = RECORD_SCHEMA.field("bbox_xyxy")
    boxes = [
        b if i != 3 else None for i, b in enumerate(records.table["bbox_xyxy"].combine_chunks().storage.to_pylist())
    ]
    column = pa.ExtensionArray.from_storage(field.type, pa.array(boxes, field.type.storage_type))
    table = records.table.set_column(RECORD_SCHEMA.get_field_index("bbox_xyxy"), field, column)
    with pytest.raises(InputError, match="row 3: has no bbox_xyxy"):
        build_shards(RecordTable(table, records.metadata), body, tmp_path, small, workers=1)

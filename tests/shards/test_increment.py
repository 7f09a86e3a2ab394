"""Adding to shards: what is there stays to the byte, only what changed is built, what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.record import RECORD_SCHEMA
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards import builder
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.compose import Composer
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.pictures import PhotoReader
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.shards.reader import ShardDataset
from hmrtk.toolkit.shards.standing import unfinished
from hmrtk.toolkit.shards.verify import verify_shards
from hmrtk.toolkit.sources.embedded import embedded_records

LABELS = ["sample_id", "label", "distance", "distance_to_singular"]


@pytest.fixture
def composed(monkeypatch):
    """The shards whose row groups were composed, in order."""
    names, call = [], Composer.__call__
    monkeypatch.setattr(Composer, "__call__", lambda self, chunk: names.append(chunk.name) or call(self, chunk))
    return names


@pytest.fixture
def bare(small) -> ShardConfig:
    """Without pictures and maps."""
    return replace(small, maps=(), synthesise=False)


@pytest.fixture(scope="module")
def val(records) -> RecordTable:
    return records.take(range(14))


@pytest.fixture(scope="module")
def test(records) -> RecordTable:
    return records.take(range(14, 22))


def with_column(records, name, values) -> RecordTable:
    column = pa.array(values, RECORD_SCHEMA.field(name).type)
    position = RECORD_SCHEMA.get_field_index(name)
    table = records.table.set_column(position, RECORD_SCHEMA.field(name), column)
    return RecordTable(table, records.metadata, records.place)


def prototypes_of(records, body, rows) -> PrototypeSet:
    parameters = records.parameters()[rows]
    return PrototypeSet.of(parameters, {"body": body.fingerprint, "method": "p3dh"}, singular=parameters[[0]])


def ids(root, split=None):
    return [row["sample_id"] for row in ShardDataset(root, split, ["sample_id"], shuffle=False)]


def test_a_split_is_added_and_the_folder_equals_one_built_at_once(
    fakes, built, val, test, body, small, tmp_path, composed
):
    build_shards(val, body, tmp_path, small, workers=1)
    before = fakes.folder_hashes(tmp_path)
    composed.clear()
    index = build_shards(test, body, tmp_path, small, workers=1, append=True)
    assert set(composed) == {"test/shard-00000.parquet", "test/shard-00001.parquet"}
    after = fakes.folder_hashes(tmp_path)
    assert {name: after[name] for name in before if "shard-" in name} == {
        n: h for n, h in before.items() if "shard-" in n
    }
    assert after == fakes.folder_hashes(built)
    assert index.splits == {"val": 14, "test": 8}
    composed.clear()
    for part in (val, test):  # both are there: nothing is done
        build_shards(part, body, tmp_path, small, workers=1, append=True)
    assert composed == []
    assert fakes.folder_hashes(tmp_path) == after


def test_the_first_part_may_be_appended_too(fakes, built, records, body, small, tmp_path):
    build_shards(records, body, tmp_path, small, workers=1, append=True)
    assert fakes.folder_hashes(tmp_path) == fakes.folder_hashes(built)


def test_overwriting_leaves_nothing_of_before(fakes, records, test, body, bare, tmp_path):
    build_shards(records, body, tmp_path / "a", bare, workers=1)
    (tmp_path / "a/.offsets/test/.shard-00000.safetensors.abc.tmp").write_text("left over by a killed build")
    build_shards(test, body, tmp_path / "a", replace(bare, rows_per_shard=8), workers=1, overwrite=True)
    build_shards(test, body, tmp_path / "b", replace(bare, rows_per_shard=8), workers=1)
    assert fakes.folder_hashes(tmp_path / "a") == fakes.folder_hashes(tmp_path / "b")


def test_rows_of_another_data_set_get_shards_of_their_own(val, body, bare, tmp_path, composed):
    build_shards(val, body, tmp_path, bare, workers=1)
    others = embedded_records("val", body).take(range(20, 27))
    others = with_column(with_column(others, "dataset", ["mine"] * 7), "sample_id", [f"mine/{i}" for i in range(7)])
    composed.clear()
    index = build_shards(others, body, tmp_path, bare, workers=1, append=True)
    assert sorted(set(composed)) == ["val/shard-00003.parquet", "val/shard-00004.parquet"]
    assert ids(tmp_path, "val") == val.sample_ids + others.sample_ids
    assert [part["inputs"]["datasets"] for part in index.plan["parts"]] == [{"embedded": 14}, {"mine": 7}]
    assert verify_shards(tmp_path).ok


def test_a_changed_row_makes_its_shard_anew_and_no_other(fakes, records, body, bare, tmp_path, composed):
    build_shards(records, body, tmp_path / "a", bare, workers=1)
    changed = with_column(records, "action", ["waits" if i == 7 else None for i in range(22)])
    before = with_column(records, "action", [None] * 22)
    build_shards(before, body, tmp_path / "a", bare, workers=1, overwrite=True)
    composed.clear()
    with pytest.raises(InputError, match=r"built differently: records: \w+, now \w+ \(.*pass --append to keep"):
        build_shards(changed, body, tmp_path / "a", bare, workers=1)
    build_shards(changed, body, tmp_path / "a", bare, workers=1, append=True)
    assert set(composed) == {"val/shard-00001.parquet"}
    build_shards(changed, body, tmp_path / "b", bare, workers=1)
    assert fakes.folder_hashes(tmp_path / "a") == fakes.folder_hashes(tmp_path / "b")
    composed.clear()
    build_shards(before, body, tmp_path / "a", bare, workers=1, overwrite=True)  # also only what differs
    assert set(composed) == {"val/shard-00001.parquet"}


def test_rows_at_the_end_go_into_the_last_shard_and_new_ones(records, val, test, body, bare, tmp_path, composed):
    build_shards(val, body, tmp_path, bare, workers=1)
    build_shards(test, body, tmp_path, bare, workers=1, append=True)
    more = embedded_records("val", body).take(range(1, 8))
    composed.clear()
    grown = RecordTable.concatenate([val, more])
    build_shards(grown, body, tmp_path, bare, workers=1, append=True)
    assert set(composed) == {"val/shard-00002.parquet", "val/shard-00003.parquet"}
    assert ids(tmp_path, "val") == grown.sample_ids
    assert ids(tmp_path, "test") == test.sample_ids
    with pytest.raises(InputError, match=r"has 14 rows of val, but .* holds 21 of the same records \(give all of them"):
        build_shards(val, body, tmp_path, bare, workers=1, append=True)
    assert verify_shards(tmp_path).ok


def test_what_does_not_fit_the_folder_is_refused(fakes, val, test, body, bare, tmp_path):
    build_shards(val, body, tmp_path, bare, workers=1)
    before = fakes.folder_hashes(tmp_path)
    text = r"holds shards built differently: maps: \[\], now \['iuv'\] \(one folder has one configuration"
    with pytest.raises(InputError, match=text):
        build_shards(test, body, tmp_path, replace(bare, maps=("iuv",)), workers=1, append=True)
    other = load_body(gender="male")
    foreign = RecordTable(test.table, replace(test.metadata, body=other.fingerprint))
    with pytest.raises(InputError, match=rf"body: {body.fingerprint}, now {other.fingerprint}"):
        build_shards(foreign, other, tmp_path, bare, workers=1, append=True)
    spoken = RecordTable(test.table, replace(test.metadata, root="pelvis midpoint"))
    with pytest.raises(InputError, match="root: pelvis, now pelvis midpoint"):
        build_shards(spoken, body, tmp_path, bare, workers=1, append=True)
    twice = RecordTable.concatenate([test, val.take([9])])
    with pytest.raises(
        InputError, match=r"sample_id '.*' is already in .*val/shard-00001\.parquet \(give the whole table"
    ):
        build_shards(twice, body, tmp_path, bare, workers=1, append=True)
    assert fakes.folder_hashes(tmp_path) == before


def test_a_folder_stays_readable_while_something_is_added(fakes, val, test, body, bare, tmp_path, monkeypatch):
    def full(root, name, *rest):
        raise OutputError(f"{root / name}: cannot be written: No space left on device")

    build_shards(val, body, tmp_path, bare, workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(builder, "write_shard", full)
        with pytest.raises(OutputError, match="No space left"):
            build_shards(test, body, tmp_path, bare, workers=1, append=True)
    assert ids(tmp_path) == val.sample_ids
    assert any(
        "plan.json: differs from the index: damaged, or a later build" in p for p in verify_shards(tmp_path).problems
    )
    build_shards(test, body, tmp_path, bare, workers=1, append=True)
    assert verify_shards(tmp_path).ok


def test_a_stopped_part_waits_for_its_records(fakes, built, val, test, body, small, tmp_path):
    def stop(stage, done, total, note=""):
        if note == "test/shard-00001.parquet":
            raise KeyboardInterrupt

    build_shards(val, body, tmp_path, small, workers=1)
    with pytest.raises(KeyboardInterrupt):
        build_shards(test, body, tmp_path, small, workers=1, append=True, progress=stop)
    index = build_shards(val, body, tmp_path, small, workers=1, append=True)
    assert (index.splits, unfinished(index)) == ({"val": 14}, {"test": 8})
    assert ids(tmp_path) == val.sample_ids
    more = embedded_records("val", body).take(range(1, 4))
    index = build_shards(with_column(more, "split", ["more"] * 3), body, tmp_path, small, workers=1, append=True)
    assert (index.splits, unfinished(index)) == ({"val": 14, "more": 3}, {"test": 8})
    assert (tmp_path / "test/shard-00000.parquet").exists()
    index = build_shards(test, body, tmp_path, small, workers=1, append=True)
    assert (index.splits, unfinished(index)) == ({"val": 14, "test": 8, "more": 3}, {})
    assert verify_shards(tmp_path).ok
    for path in ("val/shard-00002.parquet", "test/shard-00000.parquet", "test/shard-00001.parquet"):
        assert (tmp_path / path).read_bytes() == (built / path).read_bytes()


def test_a_damaged_shard_of_other_records_is_named(val, test, body, bare, tmp_path):
    build_shards(val, body, tmp_path, bare, workers=1)
    (tmp_path / "val/shard-00001.parquet").unlink()
    text = r"val/shard-00001\.parquet: is of other records, and not there or damaged \(give its records with --append"
    with pytest.raises(InputError, match=text):
        build_shards(test, body, tmp_path, bare, workers=1, append=True)
    build_shards(val, body, tmp_path, bare, workers=1, append=True)
    build_shards(test, body, tmp_path, bare, workers=1, append=True)
    assert verify_shards(tmp_path).ok


def test_a_damaged_plan_is_taken_from_the_index(fakes, val, test, body, bare, tmp_path):
    build_shards(val, body, tmp_path, bare, workers=1)
    before = fakes.folder_hashes(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    build_shards(val, body, tmp_path, bare, workers=1)
    assert fakes.folder_hashes(tmp_path) == before
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / "index.json").unlink()
    with pytest.raises(InputError, match=r"plan\.json: is not a shard plan of this version .*pass --overwrite"):
        build_shards(val, body, tmp_path, bare, workers=1)
    build_shards(val, body, tmp_path, bare, workers=1, overwrite=True)
    assert fakes.folder_hashes(tmp_path) == before
    (tmp_path / "plan.json").unlink()
    with pytest.raises(InputError, match=r"has an index\.json but no plan\.json \(choose another folder, or pass"):
        build_shards(val, body, tmp_path, bare, workers=1)


def test_new_prototypes_change_labels_and_nothing_else(fakes, records, body, small, tmp_path, composed):
    one, other = prototypes_of(records, body, [0, 7, 20]), prototypes_of(records, body, [3, 11])
    build_shards(records, body, tmp_path, small, workers=1)
    before = fakes.folder_hashes(tmp_path)
    composed.clear()
    for prototypes in (one, other):
        index = build_shards(records, body, tmp_path, small, prototypes, workers=1)
        expected = assign(records.parameters(), prototypes, body)
        rows = list(ShardDataset(tmp_path, None, LABELS, shuffle=False))
        assert [row["label"].item() for row in rows] == expected.label.tolist()
        assert np.array_equal([row["distance"].item() for row in rows], expected.distance)
        assert index.prototypes == index.provenance["inputs"]["prototypes"] == prototypes.fingerprint
        after = fakes.folder_hashes(tmp_path)
        assert {name: after[name] for name in before if "shard-" in name or name == "plan.json"} == {
            name: digest for name, digest in before.items() if "shard-" in name or name == "plan.json"
        }
        assert verify_shards(tmp_path).ok
    assert composed == []


def test_labels_of_shards_that_stay_are_kept(fakes, records, val, test, body, bare, tmp_path, monkeypatch):
    prototypes = prototypes_of(records, body, [0, 7, 20])
    build_shards(val, body, tmp_path / "a", bare, prototypes, workers=1)
    measured = []
    monkeypatch.setattr(
        "hmrtk.toolkit.shards.shard_labels.assign", lambda p, *rest: measured.append(len(p)) or assign(p, *rest)
    )
    with pytest.raises(InputError, match=r"has labels, and new rows would have none \(pass --prototypes as before"):
        build_shards(test, body, tmp_path / "a", bare, workers=1, append=True)
    build_shards(val, body, tmp_path / "a", bare, workers=1)  # nothing is new
    build_shards(test, body, tmp_path / "a", bare, prototypes, workers=1, append=True)
    assert measured == [8]
    build_shards(records, body, tmp_path / "b", bare, prototypes, workers=1)
    assert fakes.folder_hashes(tmp_path / "a") == fakes.folder_hashes(tmp_path / "b")
    build_shards(records, body, tmp_path / "a", bare, workers=1, overwrite=True)
    assert not (tmp_path / "a/labels.parquet").exists()
    assert ShardIndex.read(tmp_path / "a").labels is None
    assert [row["label"] for row in ShardDataset(tmp_path / "a", None, LABELS, shuffle=False)] == [-1] * 22


def test_rows_without_a_body_have_no_label(records, body, bare, tmp_path):
    field = RECORD_SCHEMA.field("betas")
    values = records.table["betas"].combine_chunks().storage.to_pylist()
    column = pa.ExtensionArray.from_storage(field.type, pa.array([None, *values[1:]], field.type.storage_type))
    table = records.table.set_column(RECORD_SCHEMA.get_field_index("betas"), field, column)
    some = RecordTable(table, records.metadata)
    build_shards(some, body, tmp_path, bare, prototypes_of(records, body, [0, 7]), workers=1)
    rows = list(ShardDataset(tmp_path, None, LABELS, shuffle=False))
    assert rows[0]["label"] == -1
    assert rows[0]["distance"].isnan()
    assert (rows[7]["label"], rows[7]["distance"]) == (1, 0)
    assert verify_shards(tmp_path).ok


@pytest.fixture
def photographed(records, tmp_path):
    """The records with eleven photographs, two people in each, far apart in the table; and their folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(11):
        cv2.imwrite(str(folder / f"{number}.jpg"), rng.integers(0, 255, (48, 64, 3), np.uint8))
    return with_column(records, "image_path", [f"{i % 11}.jpg" for i in range(22)]), folder


@pytest.mark.parametrize("workers", [1, 2])
def test_every_photograph_is_opened_once_per_split(photographed, body, bare, tmp_path, workers, monkeypatch):
    records, folder = photographed
    opened, read = [], PhotoReader._read
    monkeypatch.setattr(PhotoReader, "_read", lambda self, name, place: opened.append(name) or read(self, name, place))
    build_shards(records, body, tmp_path / "out", replace(bare, images=folder), workers=workers)
    splits = records.table["split"].to_pylist()
    wanted = {(split, f"{i % 11}.jpg") for i, split in enumerate(splits)}
    assert len(opened) == len(wanted) == 19


def test_damaged_photographs_are_left_out_and_named_when_asked(fakes, photographed, body, bare, tmp_path, composed):
    records, folder = photographed
    data = (folder / "4.jpg").read_bytes()
    (folder / "4.jpg").write_bytes(data[: len(data) // 2])
    (folder / "9.jpg").unlink()
    out, config = tmp_path / "out", replace(bare, images=folder)
    skipping = replace(config, on_error="skip")
    index = build_shards(records, body, out, skipping, workers=1)
    gone = {i for i in range(22) if i % 11 in (4, 9)}
    assert sorted(ids(out)) == sorted(name for i, name in enumerate(records.sample_ids) if i not in gone)
    assert {line.split(": ")[0] for line in index.left_out} == {records.sample_ids[i] for i in gone}
    lines = "\n".join(index.left_out)
    assert "4.jpg: is a damaged JPEG" in lines
    assert "9.jpg: no such file (check --images" in lines
    assert verify_shards(out).ok
    assert "4 rows left out" in (out / "README.md").read_text()
    assert ShardIndex.read(out).left_out == index.left_out
    before = fakes.folder_hashes(out)
    composed.clear()
    build_shards(records, body, out, skipping, workers=2)  # what was left out is known
    assert composed == []
    assert fakes.folder_hashes(out) == before
    with pytest.raises(InputError, match=r"row 4: photograph .*4\.jpg: is a damaged JPEG"):
        build_shards(records, body, out, config, workers=1)
    (folder / "4.jpg").write_bytes(data)
    shutil.copy(folder / "3.jpg", folder / "9.jpg")
    build_shards(records, body, out, config, workers=1)
    assert len(ids(out)) == 22
    build_shards(records, body, tmp_path / "whole", config, workers=1)
    assert fakes.folder_hashes(out) == fakes.folder_hashes(tmp_path / "whole")


def test_a_shard_without_one_readable_photograph_is_refused(photographed, body, bare, tmp_path):
    records, folder = photographed
    shutil.rmtree(folder)
    folder.mkdir()
    config = replace(bare, images=folder, on_error="skip")
    with pytest.raises(InputError, match=r"shard-00000\.parquet: has no rows to write \(.*0\.jpg: no such file"):
        build_shards(records, body, tmp_path / "out", config, workers=1)


def test_the_plan_is_json_that_says_what_was_given(photographed, body, bare, tmp_path):
    records, folder = photographed
    build_shards(records, body, tmp_path / "out", replace(bare, images=folder), workers=1)
    plan = json.loads((tmp_path / "out/plan.json").read_text())
    assert [part["inputs"]["images"] for part in plan["parts"]] == [str(folder)] * 2
    assert "images" not in plan["config"]

"""Every kind of damage is found and named with its file and, where there is one, its row."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import file_fingerprint, read_parquet, write_parquet
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.codec import encode_jpeg
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.reader import read_row
from hmrtk.toolkit.shards.schema import LABELS_KIND, LABELS_VERSION
from hmrtk.toolkit.shards.verify import verify_shards
from hmrtk.toolkit.shards.writer import write_shard

FIRST = "train/shard-00000.parquet"


@pytest.fixture
def copy(folder, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(folder, root)
    return root


@pytest.fixture(scope="module")
def labelled(records, body, small, tmp_path_factory):
    """Real shards with labels, without pictures and maps."""
    parameters = records.parameters()[[0, 7]]
    prototypes = PrototypeSet.of(parameters, {"body": body.fingerprint, "method": "p3dh"}, singular=parameters[[0]])
    out = tmp_path_factory.mktemp("labelled")
    build_shards(records, body, out, replace(small, maps=(), synthesise=False), prototypes, workers=1)
    return out


def rewrite(root, change, name=FIRST):
    """Exchange a shard for a changed one whose bytes the index agrees with, so that only the rows can tell."""
    index = ShardIndex.read(root)
    old = next(e for e in index.shards if e.path == name)
    with pq.ParquetFile(root / name) as file:
        groups = [file.read_row_group(g) for g in range(file.num_row_groups)]
    tables = [table.replace_schema_metadata(None) for table in change(groups)]
    new = write_shard(root, name, old.split, tables, tables[0].schema, {})
    ShardIndex(**{**vars(index), "shards": tuple(new if e is old else e for e in index.shards)}).write()


def replaced(column, row, value):
    """Groups → groups with one value of the first group exchanged."""

    def change(groups):
        table = groups[0]
        values = table[column].to_pylist()
        values[row] = value(values[row])
        position = table.column_names.index(column)
        new = pa.array(values, table.schema.field(column).type)
        return [table.set_column(position, table.schema.field(column), new), *groups[1:]]

    return change


def set_first(number):
    return lambda values: [number, *values[1:]]


def test_whole_shards_are_well(folder):
    report = verify_shards(folder)
    assert report.ok, report.problems
    assert (report.rows, report.shards, report.pictures) == (47, 4, 47 - 11)
    assert report.summary()["ok"] is True
    assert "all well: 47 rows in 4 shards, 36 pictures decoded" in report.lines()[0]


def test_progress_is_told(folder):
    told = []
    verify_shards(folder, lambda stage, done, total, note="": told.append((stage, done, total)))
    assert told[-1] == ("verify", 47, 47)


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_byte_anywhere_is_found(copy, seed):
    rng = np.random.default_rng(seed)
    shards = sorted(copy.glob("*/*.parquet"))
    path = shards[seed % len(shards)]
    data = bytearray(path.read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    report = verify_shards(copy)
    assert not report.ok
    assert any(str(path) in problem for problem in report.problems)
    assert "run build-shards again" in report.lines()[-1]


@pytest.mark.parametrize("name", ["index.json", "plan.json", "labels.parquet", ".offsets/val/shard-00001.safetensors"])
def test_a_flipped_byte_beside_the_shards_is_found(labelled, tmp_path, name):
    root = tmp_path / "copy"
    shutil.copytree(labelled, root)
    data = (root / name).read_bytes()
    rng = np.random.default_rng(len(name))
    for place in rng.integers(len(data), size=24):
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        (root / name).write_bytes(flipped)
        try:
            problems = verify_shards(root).problems
        except InputError as error:
            problems = (str(error),)
        assert any(name in problem for problem in problems), (place, problems)
        assert all("\n" not in problem for problem in problems)
    (root / name).write_bytes(data)
    assert verify_shards(root).ok


def test_labels_of_other_rows_are_found(labelled, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(labelled, root)
    table, metadata = read_parquet(root / "labels.parquet", LABELS_KIND, LABELS_VERSION)
    swapped = table.take([1, 0, *range(2, table.num_rows)])
    write_parquet(root / "labels.parquet", swapped, LABELS_KIND, LABELS_VERSION, metadata)
    index = ShardIndex.read(root)
    with pytest.raises(InputError, match=r"labels\.parquet: sha256 differs from the index \(run build-shards again\)"):
        read_row(root, 0, "val", ["label"])
    assert read_row(root, 0, "val", ["sample_id"])["sample_id"] == table["sample_id"][0].as_py()
    replace(index, labels=file_fingerprint(root / "labels.parquet")).write()
    assert any("row 0: the label file is of other rows" in problem for problem in verify_shards(root).problems)
    write_parquet(root / "labels.parquet", table.slice(1), LABELS_KIND, LABELS_VERSION, metadata)
    replace(index, labels=file_fingerprint(root / "labels.parquet")).write()
    assert any("labels.parquet: has 21 rows, the index says 22" in p for p in verify_shards(root).problems)


def test_damage_inside_a_page_names_the_rows(fakes, copy):
    data = bytearray((copy / FIRST).read_bytes())
    data[bytes(data).index(fakes.encode_jpeg(fakes.picture(6))) + 300] ^= 4
    (copy / FIRST).write_bytes(data)
    problems = verify_shards(copy).problems
    assert "sha256 differs from the index" in problems[0]
    assert "row group 1 (rows 5-9): is damaged" in problems[1]


def test_missing_truncated_and_foreign_files(copy):
    (copy / FIRST).unlink()
    second = copy / "train/shard-00001.parquet"
    second.write_bytes(second.read_bytes()[:1000])
    shutil.copy(copy / "val/shard-00000.parquet", copy / "val/shard-00009.parquet")
    pq.write_table(pa.table({"x": [1]}), copy / "train/shard-00002.parquet")
    text = "\n".join(verify_shards(copy).problems)
    assert f"{FIRST}: no such file" in text
    assert "shard-00001.parquet: sha256 differs from the index (1000 bytes, expected" in text
    assert "shard-00001.parquet: is not a readable Parquet file" in text
    assert "shard-00002.parquet: expected hmrtk.shard, got a Parquet file that hmrtk did not write" in text
    assert "shard-00009.parquet: is not in the index" in text


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("sample_id", lambda v: "val/00001", "sample_id 'val/00001' is already in"),
        ("iuv", set_first(25), "row 1: iuv has a chart beyond 24"),
        ("iuv", lambda v: [*v[:-1], 7], "row 1: iuv has U or V on the background"),
        ("location", set_first(float("nan")), "row 1: location is not finite or beyond 5 m"),
        ("displacement", set_first(9.0), "row 1: displacement is not finite or beyond 5 m"),
        ("part_visibility", set_first(1.5), "row 1: part_visibility is outside 0 … 1"),
        ("label", lambda v: -2, "row 1: label is negative"),
        ("crop_camera", set_first(float("inf")), "row 1: crop_camera has NaN or infinite values"),
        ("image_source", lambda v: None, "row 1: image_source is None, but the picture says otherwise"),
        ("image", lambda v: {"bytes": b"\xff\xd8 no", "path": None}, "row 1: picture: is a damaged JPEG"),
        ("image", lambda v: {"bytes": encode_jpeg(np.zeros((8, 8, 3), np.uint8)), "path": None},
         "row 1: picture has shape (8, 8, 3), expected (32, 32, 3)"),
    ],
)  # fmt: skip
def test_wrong_values_name_file_and_row(copy, column, value, text):
    rewrite(copy, replaced(column, 1, value))
    problems = verify_shards(copy).problems
    assert any(text in problem for problem in problems), problems
    assert all("shard-0000" in problem for problem in problems)


def test_other_row_groups_and_schemas(copy):
    rewrite(copy, lambda groups: [pa.concat_tables(groups)])
    index = ShardIndex.read(copy)
    first = replace(index.shards[0], row_groups=(5, 5, 3))
    replace(index, shards=(first, *index.shards[1:])).write()
    assert any("has row groups of [13] rows, the index says [5, 5, 3]" in p for p in verify_shards(copy).problems)
    rewrite(copy, lambda groups: [g.drop_columns(["label"]) for g in groups], "val/shard-00000.parquet")
    assert any("has another schema: column label" in p for p in verify_shards(copy).problems)


def test_an_unfinished_build_cannot_be_verified(copy):
    (copy / "index.json").unlink()
    with pytest.raises(InputError, match="the build has not finished"):
        verify_shards(copy)

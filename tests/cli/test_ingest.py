"""``ingest`` as a user runs it: options of readers, side tables, and what ``datasets show`` says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.records.dense import DenseTable
from hmrtk.toolkit.records.table import RecordTable
from tests.cli.conftest import Hmrtk
from tests.sources.test_coco import coco_document, dense_document, write
from tests.sources.test_upi_s1h import write_masks


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    document = dense_document(coco_document(load_body()))
    document["annotations"][2]["keypoints"][3 * 16 :] = [0] * 3  # no right ankle
    write(tmp_path / "coco", "person_keypoints_train2014.json", document)
    write(tmp_path / "coco", "densepose_coco_2014_minival.json", document)
    return tmp_path / "coco"


def test_options_reach_the_reader(hmrtk: Hmrtk, coco: Path) -> None:
    assert hmrtk("ingest", "--dataset", "coco", "--root", coco, "--json").json["rows"] == {"train": 6}
    told = ("--option", "limbs=yes", "--option", "min_keypoints=3")
    done = hmrtk("ingest", "--dataset", "coco", "--root", coco, "--out", "records", *told, "--json").json
    assert (done["rows"], done["dense"]) == ({"train": 5}, {})
    config = RecordTable.read(Path("records/train.parquet")).metadata.provenance["config"]
    assert config == {
        "dataset": "coco", "format": "raw", "limit": None, "min_keypoints": 3, "limbs": True, "hidden_confidence": 1.0,
    }  # fmt: skip


def test_wrong_options_are_one_line(hmrtk: Hmrtk, coco: Path) -> None:
    for option, message in (
        ("limb=yes", "unknown option of coco in format raw 'limb'"),
        ("limbs=perhaps", "option limbs: is 'perhaps', expected yes or no"),
        ("limbs", "option 'limbs': is not NAME=VALUE"),
    ):
        run = hmrtk("ingest", "--dataset", "coco", "--root", coco, "--option", option)
        assert run.code == 1
        assert message in run.err


def test_options_are_shown(hmrtk: Hmrtk) -> None:
    page = hmrtk("datasets", "show", "mpi_inf_3dhp").out
    assert "Options of format raw (ingest --option NAME=VALUE):" in page
    assert "  step: whole number [10]; every so many of the training frames that remain" in page
    value = hmrtk("datasets", "show", "h36m", "--json").json["options"]
    assert set(value["raw"]) == {"step", "cameras", "box_factor"}
    assert value["raw"]["step"]["default"] == 5


def test_side_tables_lie_beside_the_records(hmrtk: Hmrtk, coco: Path, tmp_path: Path) -> None:
    run = hmrtk("ingest", "--dataset", "densepose_coco", "--root", coco, "--out", "records")
    assert "records/dense/val.parquet: 3 rows with masks or surface points" in run.out
    table, dense = RecordTable.read(Path("records/val.parquet")), DenseTable.read(Path("records/dense/val.parquet"))
    assert [dense.points(name) is not None for name in table.sample_ids] == [True] * 3
    write_masks(tmp_path / "upi", load_body(), 3)
    done = hmrtk("ingest", "--dataset", "upi_s1h", "--root", tmp_path / "upi", "--split", "train", "--json").json
    assert (done["rows"], done["dense"]) == ({"train": 2}, {"train": 2})
    assert hmrtk("ingest", "--dataset", "coco", "--root", coco, "--out", "records").code == 0
    assert Path("records/dense/val.parquet").is_file()  # of another split
    (coco / "annotations/person_keypoints_train2014.json").rename(coco / "annotations/person_keypoints_val2014.json")
    assert hmrtk("ingest", "--dataset", "coco", "--root", coco, "--out", "records").code == 0
    assert not Path("records/dense/val.parquet").exists()  # of rows that are no more

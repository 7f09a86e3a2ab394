"""Record tables: construction, nulls, round trip, validation errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.records.artefact import write_parquet
from hmrtk.toolkit.records.record import KIND, RECORD_SCHEMA, SCHEMA_VERSION, RecordMetadata
from hmrtk.toolkit.records.table import RecordTable

META = RecordMetadata(body="0123456789abcdef")


def columns(n: int = 4, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    value = {
        "sample_id": [f"set/a/{i}" for i in range(n)],
        "dataset": "set",
        "split": "train",
        "frame": list(range(n)),
        "image_path": [f"a/{i}.jpg" for i in range(n)],
        "image_size": [480, 640],
        "bbox_xyxy": np.tile([10.0, 20, 110, 220], (n, 1)),
        "global_orient": rng.normal(size=(n, 3)),
        "body_pose": rng.normal(size=(n, 23, 3)),
        "betas": rng.normal(size=(n, 10)),
    }
    return {**value, **changes}


def make(n: int = 4, **changes: Any) -> RecordTable:
    return RecordTable.from_columns(columns(n, **changes), META, "here")


def test_round_trip(tmp_path: Path) -> None:
    records = make()
    records.write(tmp_path / "a.parquet")
    back = RecordTable.read(tmp_path / "a.parquet")
    assert back.table.equals(records.table)
    assert back.metadata == META
    np.testing.assert_array_equal(back.array("body_pose"), columns()["body_pose"].astype(np.float32))
    assert back.table.schema.names == RECORD_SCHEMA.names


def test_nan_rows_become_null_and_back() -> None:
    box = np.tile([10.0, 20, 110, 220], (4, 1))
    box[1] = np.nan
    records = make(bbox_xyxy=box)
    assert records.has("bbox_xyxy").tolist() == [True, False, True, True]
    assert np.isnan(records.array("bbox_xyxy")[1]).all()
    assert records.table["bbox_xyxy"].null_count == 1


def test_missing_columns_are_null() -> None:
    records = make()
    assert not records.has("transl").any()
    assert np.isnan(records.array("transl")).all()
    assert records.array("subject").tolist() == [None] * 4
    np.testing.assert_array_equal(records.parameters().transl, 0)


def test_slices_keep_rows_together() -> None:
    records = make(6)
    part = records.take([4, 1]).head(1)
    assert part.sample_ids == ["set/a/4"]
    np.testing.assert_array_equal(part.array("betas")[0], records.array("betas")[4])
    tail = RecordTable(records.table.slice(3), META)
    np.testing.assert_array_equal(tail.array("betas"), records.array("betas")[3:])
    mask = np.array([True, False, False, True, False, False])
    assert records.take(mask).sample_ids == ["set/a/0", "set/a/3"]


def test_concatenate_spans_chunks() -> None:
    both = RecordTable.concatenate([make(), make(sample_id=list("wxyz"))])
    assert len(both) == 8
    np.testing.assert_array_equal(both.array("betas")[4:], make().array("betas"))


def test_concatenate_refuses_other_bodies_and_conventions() -> None:
    other = RecordTable.from_columns(columns(sample_id=list("wxyz")), RecordMetadata(body="ffff"), "there")
    with pytest.raises(BodyMismatchError, match="there: was made with body ffff"):
        RecordTable.concatenate([make(), other])
    other = RecordTable.from_columns(
        columns(sample_id=list("wxyz")), RecordMetadata(body=META.body, root="hips"), "there"
    )
    with pytest.raises(InputError, match="other conventions than here"):
        RecordTable.concatenate([make(), other])


def test_the_metadata_says_whether_rows_have_a_gender(tmp_path: Path) -> None:
    assert make().metadata.gender == "neutral"
    gendered = make(sample_id=list("wxyz"), gender=["neutral", "male", None, "female"])
    assert gendered.metadata.gender == "record"
    assert gendered.take([0]).metadata.gender == "record"  # it is a convention of the table, not a count
    for order in ([make(), gendered], [gendered, make()]):
        assert RecordTable.concatenate(order).metadata.gender == "record"
    write_parquet(tmp_path / "old.parquet", gendered.table, KIND, SCHEMA_VERSION, META.to_json())
    assert RecordTable.read(tmp_path / "old.parquet").metadata.gender == "record"


def test_require_body() -> None:
    make().require_body(META.body)
    with pytest.raises(BodyMismatchError, match="active body is ffff"):
        make().require_body("ffff")


def nan_at(shape: tuple[int, ...], row: int) -> np.ndarray:
    value = np.zeros(shape)
    value[row].flat[0] = np.nan
    return value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_id": ["a", "b", "a", "c"]}, "here row 2: sample_id 'a' is already in row 0"),
        ({"sample_id": ["a", None, "b", "c"]}, "sample_id is null in 1 rows"),
        ({"image_path": ["a.jpg", "../b.jpg", "c", "d"]}, "here row 1: image_path '../b.jpg' leaves the image root"),
        ({"image_path": ["a.jpg", "b", "/etc/passwd", "d"]}, "here row 2: .*leaves the image root"),
        ({"image_path": ["a.jpg", "b", "c\\..\\..\\x", "d"]}, "here row 2: .*leaves the image root"),
        ({"bbox_xyxy": np.array([[0, 0, 1, 1]] * 3 + [[5, 5, 5, 9.0]])}, "here row 3: bbox_xyxy .* is empty"),
        ({"image_size": np.array([[4, 4]] * 2 + [[0, 4]] * 2)}, "here row 2: image_size has a zero side"),
        ({"body_pose": nan_at((4, 23, 3), 2)}, "here row 2: body_pose has NaN"),
        ({"joints3d": nan_at((4, 24, 4), 1)}, "here row 1: joints3d has NaN"),
        ({"betas": np.array([[0.0] * 10] * 3 + [[99.0] + [0] * 9])}, r"here row 3: \|betas\| reaches 99"),
        ({"betas": np.zeros((4, 11))}, r"betas has shape \(4, 11\), expected \(4, 10\)"),
        ({"colour": [1] * 4}, "not in the record schema: colour"),
    ],
)
def test_bad_rows_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


def test_bad_body_row_number_counts_all_rows() -> None:
    pose = nan_at((4, 23, 3), 3)
    pose[0] = np.nan  # a null row before it: no body there at all
    with pytest.raises(InputError, match="here row 3: body_pose has NaN"):
        make(body_pose=pose)


def test_empty_table_is_refused() -> None:
    with pytest.raises(InputError, match="has no rows"):
        make(0)


def test_missing_and_mistyped_columns_are_named() -> None:
    table = make().table
    with pytest.raises(InputError, match="has no column betas"):
        RecordTable(table.drop_columns(["betas"]), META)
    wrong = table.set_column(table.schema.get_field_index("frame"), "frame", pa.array(["x"] * 4))
    with pytest.raises(InputError, match="column frame has type string, expected int32"):
        RecordTable(wrong, META)


def test_rows_without_a_body_are_named() -> None:
    pose = columns()["body_pose"].copy()
    pose[1] = np.nan
    with pytest.raises(InputError, match="here row 1: has no body parameters"):
        make(body_pose=pose).parameters()


def test_fingerprint_follows_the_values_only(tmp_path: Path) -> None:
    box = np.tile([10.0, 20, 110, 220], (4, 1))
    box[1] = np.nan
    records = make(bbox_xyxy=box)
    records.write(tmp_path / "a.parquet")
    assert RecordTable.read(tmp_path / "a.parquet").fingerprint == records.fingerprint
    halves = [records.take([0, 1]), records.take([2, 3])]
    assert RecordTable.concatenate(halves).fingerprint == records.fingerprint
    assert records.take([1, 0, 2, 3]).fingerprint != records.fingerprint
    assert make(bbox_xyxy=np.nan_to_num(box, nan=1) + np.arange(4)).fingerprint != records.fingerprint
    other = RecordTable(records.table, RecordMetadata(body="ffff"))
    assert other.fingerprint != records.fingerprint

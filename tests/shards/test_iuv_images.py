"""DensePose's PNG files: what OpenCV reads, and what is recognised as done."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.people import PeopleMap
from hmrtk.toolkit.records.artefact import read_parquet
from hmrtk.toolkit.shards.iuv_images import (
    KIND,
    SCHEMA_VERSION,
    ImageEntry,
    image_name,
    is_written,
    read_people,
    write_index,
    write_people,
)


@pytest.fixture
def seen() -> PeopleMap:
    rng = np.random.default_rng(0)
    person = rng.integers(-1, 3, (20, 30)).astype(np.int32)
    iuv = rng.integers(0, 256, (3, 20, 30)).astype(np.uint8)
    iuv[0] = rng.integers(1, 25, (20, 30))
    return PeopleMap(np.where(person >= 0, iuv, 0).astype(np.uint8), person)


ENTRY = ImageEntry("street/0001", (20, 30), ("a", "b", "c"))


def test_opencv_reads_chart_u_v_and_persons_from_one(tmp_path: Path, seen: PeopleMap) -> None:
    write_people(tmp_path, ENTRY, seen, "print")
    iuv = cv2.imread(str(tmp_path / "street" / "0001_IUV.png"))
    np.testing.assert_array_equal(iuv.transpose(2, 0, 1), seen.iuv)
    persons = cv2.imread(str(tmp_path / "street" / "0001_INDS.png"), cv2.IMREAD_UNCHANGED)
    assert persons.dtype == np.uint8
    np.testing.assert_array_equal(persons, seen.person + 1)
    back = read_people(tmp_path, ENTRY)
    np.testing.assert_array_equal(back.iuv, seen.iuv)
    np.testing.assert_array_equal(back.person, seen.person)


def test_crowds_of_more_than_255_take_16_bits(tmp_path: Path, seen: PeopleMap) -> None:
    entry = ImageEntry("crowd", (20, 30), tuple(str(n) for n in range(300)))
    many = PeopleMap(seen.iuv, np.where(seen.person >= 0, seen.person + 290, -1).astype(np.int32))
    write_people(tmp_path, entry, many, "print")
    np.testing.assert_array_equal(read_people(tmp_path, entry).person, many.person)


def test_only_whole_files_of_the_same_inputs_count_as_written(tmp_path: Path, seen: PeopleMap) -> None:
    assert not is_written(tmp_path, ENTRY, "print")
    write_people(tmp_path, ENTRY, seen, "print")
    assert is_written(tmp_path, ENTRY, "print")
    assert not is_written(tmp_path, ENTRY, "other")
    assert not is_written(tmp_path, ImageEntry(ENTRY.name, ENTRY.size, ("a", "b")), "print")
    path = tmp_path / ENTRY.iuv
    whole = path.read_bytes()
    for damaged in (whole[:-30], whole[:40], b"", b"not a picture", whole.replace(b"hmrtk", b"xxxxx")):
        path.write_bytes(damaged)
        assert not is_written(tmp_path, ENTRY, "print")


def test_names() -> None:
    assert image_name("a/b.c/0001.jpg", "x") == "a/b.c/0001"
    assert image_name("a\\0001.png", "x") == "a/0001"
    assert image_name(None, "set/train/../7 é") == "set_train_.._7_é"
    assert image_name(None, "../up") == "_up"


def test_index(tmp_path: Path) -> None:
    write_index(tmp_path, [ENTRY], {"body": "b"})
    table, metadata = read_parquet(tmp_path / "images.parquet", KIND, SCHEMA_VERSION)
    assert table.to_pylist() == [
        {
            "name": "street/0001",
            "iuv": "street/0001_IUV.png",
            "person": "street/0001_INDS.png",
            "height": 20,
            "width": 30,
            "sample_ids": ["a", "b", "c"],
        }
    ]
    assert metadata["body"] == "b"


def test_damaged_files_are_named(tmp_path: Path, seen: PeopleMap) -> None:
    with pytest.raises(InputError, match=r"0001_IUV\.png"):
        read_people(tmp_path, ENTRY)
    write_people(tmp_path, ENTRY, seen, "print")
    with pytest.raises(InputError, match=r"is \(20, 30\) px, expected \(9, 9\) \(run render-iuv again\)"):
        read_people(tmp_path, ImageEntry(ENTRY.name, (9, 9), ENTRY.sample_ids))
    (tmp_path / ENTRY.person).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"0001_INDS\.png: is no readable PNG"):
        read_people(tmp_path, ENTRY)

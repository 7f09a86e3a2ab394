"""Results and records: every way to pair them, people who share a picture, and what does not fit."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.evaluation.importers.matching import match, square_iou
from hmrtk.toolkit.evaluation.importers.result import SystemResult

from .crowds import Crowd


def result_of(crowd: Crowd, rows: Any = slice(None), **fields: Any) -> SystemResult:
    """Results for some people, in that order, with nothing but bodies unless said."""
    chosen = np.arange(len(crowd))[rows]
    return SystemResult(crowd.parameters[chosen], "f", [f"row {row}" for row in range(len(chosen))], **fields)


def with_boxes(crowd: Crowd, rows: Any = slice(None), **fields: Any) -> SystemResult:
    chosen = np.arange(len(crowd))[rows]
    images = [crowd.images[row] for row in chosen]
    return result_of(crowd, rows, images=images, boxes=crowd.boxes[chosen], **fields)


def test_iou_of_squares_by_hand() -> None:
    tall = np.array([[4.0, 0, 6, 10]])  # its square is 0..10 in both
    np.testing.assert_allclose(square_iou(tall, np.array([[0.0, 0, 10, 10]])), [[1]])
    np.testing.assert_allclose(square_iou(tall, np.array([[5.0, 0, 15, 10]])), [[50 / 150]])
    np.testing.assert_allclose(square_iou(tall, np.array([[20.0, 0, 30, 10], [2.0, 2, 7, 7]])), [[0, 25 / 100]])


def test_auto_takes_the_strongest(crowd: Crowd) -> None:
    named = with_boxes(crowd, ids=crowd.records.sample_ids)
    assert match(named, crowd.records).how == "id"
    assert match(replace(named, ids=None), crowd.records).how == "image and box"
    framed = result_of(crowd, frames=crowd.frames, video=list(crowd.videos), boxes=crowd.boxes)
    assert match(framed, crowd.records).how == "frame and box"
    assert match(result_of(crowd), crowd.records).how == "order"
    assert match(named, crowd.records, "order").how == "order"


def test_people_of_a_picture_are_paired_by_box(crowd: Crowd) -> None:
    shuffled = np.random.default_rng(3).permutation(len(crowd))
    found = match(with_boxes(crowd, shuffled), crowd.records)
    np.testing.assert_array_equal(shuffled[found.rows], np.arange(len(crowd)))
    assert not found.reasons
    assert not found.unused


def test_the_pairing_is_the_best_one(crowd: Crowd) -> None:
    """Of the two ways to pair two people, the one with more overlap; greedy pairing would take the other."""
    one = crowd.records.take(np.arange(2))
    table = one.table.set_column(
        one.table.schema.get_field_index("bbox_xyxy"),
        "bbox_xyxy",
        type(one)
        .from_columns(
            {
                "sample_id": ["a", "b"],
                "dataset": "d",
                "split": "s",
                "bbox_xyxy": np.array([[0.0, 0, 100, 100], [40.0, 0, 140, 100]]),
            },
            one.metadata,
        )
        .table["bbox_xyxy"],
    )
    records = type(one)(table, one.metadata)
    boxes = np.array([[35.0, 0, 135, 100], [75.0, 0, 175, 100]])
    result = result_of(crowd, slice(0, 2), images=crowd.images[:2], boxes=boxes)
    overlap = square_iou(boxes, records.array("bbox_xyxy").astype(float))
    best = max(itertools.permutations(range(2)), key=lambda order: sum(overlap[order[k], k] for k in range(2)))
    assert match(result, records, min_iou=0.1).rows.tolist() == list(best)


def test_what_does_not_fit_is_listed(crowd: Crowd) -> None:
    bystander = np.array([[600.0, 10, 620, 60]])
    result = with_boxes(crowd, slice(1, 14))
    result = replace(
        result,
        parameters=crowd.parameters[np.arange(14)],
        names=[*result.names, "row 13"],
        images=[*(result.images or []), crowd.images[4]],
        boxes=np.concatenate([crowd.boxes[1:14], bystander]),
    )
    found = match(result, crowd.records)
    assert found.unused == [13]
    assert found.reasons == {
        0: "no box of its picture overlaps it enough",
        14: "its picture has no result",
        15: "its picture has no result",
    }
    np.testing.assert_array_equal(found.rows, [-1, *range(13), -1, -1])


def test_without_boxes_only_single_people_are_paired(crowd: Crowd) -> None:
    found = match(result_of(crowd, images=crowd.images), crowd.records)
    assert set(found.reasons.values()) == {"several people in its picture, and no boxes to tell them apart"}
    lone = np.arange(0, len(crowd), 2)
    images = [crowd.images[row] for row in lone]
    alone = match(result_of(crowd, lone, images=images), crowd.records.take(lone))
    np.testing.assert_array_equal(alone.rows, np.arange(len(lone)))
    assert alone.how == "image"


def test_ids_must_be_distinct(crowd: Crowd) -> None:
    ids = [*crowd.records.sample_ids[:-1], "elsewhere"]
    found = match(result_of(crowd, ids=ids), crowd.records)
    assert found.reasons == {15: "its sample_id is not in the file"}
    assert found.unused == [15]
    ids[4] = ids[2]
    with pytest.raises(InputError, match=r"^f row 4: sample_id '3dpw/test/.*/0' is already in row 2$"):
        match(result_of(crowd, ids=ids), crowd.records)


def test_order_needs_the_same_count(crowd: Crowd) -> None:
    message = "^f: cannot be matched by order: 15 results for 16 records in records$"
    with pytest.raises(InputError, match=message):
        match(result_of(crowd, slice(0, 15)), crowd.records, "order")


def test_an_order_that_fits_nothing_is_noted(crowd: Crowd) -> None:
    doubled = np.concatenate([np.arange(len(crowd)), np.arange(len(crowd))])
    other = type(crowd.records).from_columns(
        {
            "sample_id": [str(k) for k in range(32)],
            "dataset": "d",
            "split": "s",
            "global_orient": crowd.parameters.global_orient[doubled],
            "body_pose": np.random.default_rng(0).normal(0, 0.4, (32, 23, 3)),
            "betas": np.zeros((32, 10)),
        },
        crowd.records.metadata,
    )
    truth = replace(result_of(crowd, doubled), parameters=other.parameters())
    assert match(truth, other).notes == []
    rolled = replace(truth, parameters=truth.parameters[np.roll(np.arange(32), 16)])
    assert "half the table away: are they of the same pictures?" in match(rolled, other).notes[0]


def test_impossible_ways_are_refused_with_their_reason(crowd: Crowd) -> None:
    few = result_of(crowd, slice(0, 3))
    message = (
        r"^f: cannot be matched to records, by id: the file has no sample_id; by image: the file has no pictures or "
        r"frames; by order: 3 results for 16 records in records$"
    )
    with pytest.raises(InputError, match=message):
        match(few, crowd.records)
    with pytest.raises(InputError, match=r"^f: cannot be matched by id: the file has no sample_id$"):
        match(few, crowd.records, "id")
    nameless = type(crowd.records).from_columns(
        {"sample_id": ["a", "b", "c"], "dataset": "d", "split": "s"}, crowd.records.metadata
    )
    with pytest.raises(InputError, match=r"by image: the records have no image_path, or no sequence and frame$"):
        match(with_boxes(crowd, slice(0, 3)), nameless, "image")
    with pytest.raises(UnknownNameError, match="unknown way to match 'box'; known: "):
        match(few, crowd.records, "box")  # type: ignore[arg-type]

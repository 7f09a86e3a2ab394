"""The picture's plane: what is measured follows from what is given, over the rows whose camera looks somewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.evaluation.keypoints import keypoint_errors, projected_keypoints
from hmrtk.toolkit.evaluation.picture_plane import PlaneTruth, looks_somewhere, plane_scores
from hmrtk.toolkit.records.table import RecordTable

from .conftest import COUNT, of_system

CAMERAS = np.tile(np.float32([0.9, 0.05, -0.1]), (COUNT, 1))


def boxed(parameters: BodyParameters, records: RecordTable) -> RecordTable:
    columns = {name: getattr(parameters, name) for name in ("global_orient", "body_pose", "betas")}
    ids = {"sample_id": records.sample_ids, "dataset": "coco", "split": "val"}
    box = {"bbox_xyxy": np.tile([100.0, 50, 200, 250], (COUNT, 1))}
    points = np.random.default_rng(3).uniform(50, 250, (COUNT, 24, 3))
    return RecordTable.from_columns({**ids, **columns, **box, "keypoints2d": points}, records.metadata)


def test_keypoints_of_those_who_are_seen(parameters: BodyParameters, records: RecordTable, body: BodyModel) -> None:
    camera, people = CAMERAS.copy(), boxed(parameters, records)
    camera[2], camera[5, 0] = np.nan, -1
    predictions = replace(of_system(parameters, body), camera=camera)
    np.testing.assert_array_equal(np.flatnonzero(~looks_somewhere(predictions)), [2, 5])
    (scores,) = plane_scores(people, predictions, body, PlaneTruth())
    rows = np.flatnonzero(looks_somewhere(predictions))
    projected = projected_keypoints(people.take(rows), predictions.take(rows), body)
    by_hand = np.linalg.norm(projected - people.array("keypoints2d")[rows, :, :2], axis=2)
    assert scores.values["keypoints2d"] == pytest.approx(by_hand.mean())
    assert keypoint_errors(projected, people.array("keypoints2d")[rows]).shape == by_hand.shape
    side = 1.2 * 200  # of the crop about a box 100 wide and 200 high
    assert scores.values["pck2d_10"] == pytest.approx(100 * (by_hand <= 0.1 * side).mean())
    assert scores.rules == (
        "2D keypoints: every known one of 7 people; PCK within 5 and 10 % of the crop's side (4D-Humans)."
    )


def test_nothing_without_a_camera(parameters: BodyParameters, records: RecordTable, body: BodyModel) -> None:
    predictions = of_system(parameters, body)
    assert not looks_somewhere(predictions).any()
    assert plane_scores(boxed(parameters, records), predictions, body, PlaneTruth()) == []


def test_what_was_not_given_is_said() -> None:
    assert PlaneTruth().absent().count(";") == 2
    assert "AP" not in PlaneTruth(coco="person_keypoints_val2017.json").absent()

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.geometry.camera import project_perspective
from hmrtk.toolkit.geometry.crop import apply_affine
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.maps.views import record_views
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.records.table import RecordTable


def test_the_full_camera_is_the_records_own(crowd_records: RecordTable, body: BodyModel) -> None:
    crops = record_crops(crowd_records, body)
    views = record_views(crowd_records, crops, "full")
    assert views.rows.tolist() == list(range(len(crowd_records)))
    assert not views.nearer.any()
    vertices = body.pose(views.parameters).vertices
    focal, principal = (crowd_records.array(name).astype(float) for name in ("focal", "principal"))
    expected = project_perspective(vertices.astype(float), focal, principal)
    np.testing.assert_allclose(project(vertices, views.camera)[..., :2], expected, atol=1e-9)
    window = crops.region_affine(100)
    inside = project(vertices, views.through(window))[..., :2]
    np.testing.assert_allclose(inside, apply_affine(expected, window), atol=1e-9)


def test_the_crop_camera_seen_through_the_crop_is_the_plain_one(crowd_records: RecordTable, body: BodyModel) -> None:
    crops = record_crops(crowd_records, body)
    views = record_views(crowd_records, crops, "crop")
    assert not views.parameters.transl.any()
    for size in (56, 224):
        through, plain = views.through(crops.crop_affine(size)), Projection.crop(crops.camera, size)
        np.testing.assert_allclose(through.matrix, plain.matrix, rtol=1e-10, atol=1e-8)
        np.testing.assert_array_equal(through.translation, plain.translation)


def test_crop_cameras_are_as_far_as_the_true_one(crowd_records: RecordTable, body: BodyModel) -> None:
    crops = record_crops(crowd_records, body)
    views = record_views(crowd_records, crops, "crop")
    depth = views.camera.translation[:, 2] + views.nearer
    true = crowd_records.array("transl")[:, 2]
    np.testing.assert_allclose(depth, true, rtol=0.08)  # weak perspective knows the distance that well
    assert (np.argsort(depth) == np.argsort(true)).all()


def without(records: RecordTable, name: str, rows: list[int]) -> RecordTable:
    values: NDArray[np.floating] = records.array(name).copy()
    values[rows] = np.nan
    columns = {field: records.array(field) for field in ("global_orient", "body_pose", "betas", "transl", "focal")}
    columns |= {field: records.array(field) for field in ("principal", "bbox_xyxy", "keypoints2d")}
    text = {field: records.table[field].to_pylist() for field in ("sample_id", "dataset", "split")}
    return RecordTable.from_columns({**text, **columns, name: values}, records.metadata)


def test_rows_without_a_camera_are_left_out_and_auto_takes_what_there_is(
    crowd_records: RecordTable, body: BodyModel
) -> None:
    records = without(crowd_records, "focal", [1])
    crops = record_crops(records, body)
    everyone = list(range(len(records)))
    assert record_views(records, crops, "full").rows.tolist() == [n for n in everyone if n != 1]
    views = record_views(records, crops)
    assert views.rows.tolist() == everyone
    assert np.flatnonzero(views.camera.translation[:, 2]).tolist() == [1]
    assert np.flatnonzero((views.parameters.transl == 0).all(axis=1)).tolist() == [1]
    blind = without(crowd_records, "keypoints2d", [0])
    assert record_views(blind, record_crops(blind, body), "crop").rows.tolist() == everyone[1:]


def test_unknown_camera(crowd_records: RecordTable, body: BodyModel) -> None:
    with pytest.raises(UnknownNameError, match="unknown camera 'wide'; known: "):
        record_views(crowd_records, record_crops(crowd_records, body), "wide")

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.maps.atlas import reference_atlas
from hmrtk.toolkit.maps.iuv import stream_iuv
from hmrtk.toolkit.maps.occlusion import render_window, stream_occluded_iuv
from hmrtk.toolkit.maps.projection import project
from hmrtk.toolkit.maps.views import record_views
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.records.table import RecordTable
from tests.maps.test_raster import brute_force

IMAGE = np.array([0, 0, 1, 0])
"""Rows 0, 1 and 3 are in one image, row 2 in another."""


@pytest.mark.parametrize("camera", ["full", "crop"])
def test_others_hide_what_they_are_in_front_of(crowd_records: RecordTable, body: BodyModel, camera: str) -> None:
    atlas, crops = reference_atlas(), record_crops(crowd_records, body)
    views = record_views(crowd_records, crops, camera)
    windows = crops.crop_affine(56)
    maps = np.concatenate([m for _, m in stream_occluded_iuv(views, windows, IMAGE, body, atlas, 56, chunk=3)])
    plain = np.concatenate([m for _, m in stream_iuv(views.parameters, views.through(windows), body, atlas, 56)])
    np.testing.assert_array_equal(maps[2], plain[2])
    vertices = body.pose(views.parameters).vertices
    hidden = 0
    for n in (0, 1, 3):
        members = np.array([0, 1, 3])
        points = project(vertices[members], views.seen(members, windows[n]))
        points[..., 2] += views.nearer[members, None]
        faces = np.concatenate([body.faces + p * len(body.v_template) for p in range(3)])
        face_id = brute_force(points.reshape(-1, 3), faces, 56)
        mine = (face_id >= 0) & (members[face_id // len(body.faces)] == n)
        np.testing.assert_array_equal(maps[n, 0], np.where(mine, atlas.chart[face_id % len(body.faces)], 0))
        hidden += int(((plain[n, 0] > 0) & ~mine).sum())
    assert hidden > 50


def test_a_slice_of_the_rows_gives_their_maps(crowd_records: RecordTable, body: BodyModel) -> None:
    atlas, crops = reference_atlas(), record_crops(crowd_records, body)
    views, windows = record_views(crowd_records, crops), crops.crop_affine(56)
    everyone = np.concatenate([m for _, m in stream_occluded_iuv(views, windows, IMAGE, body, atlas, 56)])
    some = list(stream_occluded_iuv(views, windows, IMAGE, body, atlas, 56, rows=slice(1, 4), chunk=2))
    assert [part for part, _ in some] == [slice(0, 2), slice(2, 3)]
    np.testing.assert_array_equal(np.concatenate([m for _, m in some]), everyone[1:4])


def test_the_whole_image_and_a_window_of_it_agree(crowd_records: RecordTable, body: BodyModel) -> None:
    atlas, members = reference_atlas(), np.array([0, 1, 3])
    views = record_views(crowd_records, record_crops(crowd_records, body), "full")
    whole = render_window(views, members, np.eye(3)[:2], body, atlas, (240, 320))
    part = render_window(views, members, np.array([[1.0, 0, -100], [0, 1, -20]]), body, atlas, (200, 150))
    np.testing.assert_array_equal(part.person, whole.person[20:220, 100:250])
    assert np.abs(part.iuv.astype(int) - whole.iuv[:, 20:220, 100:250]).max() <= 1
    assert set(np.unique(whole.person)) == {-1, 0, 1, 2}

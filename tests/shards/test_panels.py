"""The sheets of all maps: every panel is there and shows what it says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.panels import CELL_PX, MapPanels, chosen_rows


def test_a_sheet_per_record_with_the_picture_first(body: BodyModel, records: RecordTable) -> None:
    sheets = dict(MapPanels(body).draw(records.take([0, 5])))
    assert list(sheets) == [records.sample_ids[0], records.sample_ids[5]]
    for sheet in sheets.values():
        assert sheet.shape[1] > 1000
        assert sheet.shape[0] > 5 * CELL_PX
        dark = (sheet.max(axis=2) < 8).mean()  # the maps' background
        assert 0.15 < dark < 0.8


def test_the_photograph_is_used_where_there_is_one(body: BodyModel, records: RecordTable, tmp_path: Path) -> None:
    height, width = (int(side) for side in records.array("image_size")[0])
    cv2.imwrite(str(tmp_path / "one.png"), np.full((height, width, 3), (30, 60, 200), np.uint8))
    names = ("sample_id", "dataset", "split", "global_orient", "body_pose", "betas", "transl")
    names += ("focal", "principal", "keypoints2d", "bbox_xyxy")
    columns = {name: records.take([0]).array(name) for name in names} | {"image_path": ["one.png"]}
    own = RecordTable.from_columns(columns, records.metadata)
    ((_, sheet),) = MapPanels(body, tmp_path).draw(own)
    assert (np.abs(sheet.astype(int) - [200, 60, 30]).max(axis=2) < 3).sum() > 0.3 * CELL_PX**2
    (tmp_path / "one.png").unlink()
    with pytest.raises(InputError, match=r"one\.png"):
        next(MapPanels(body, tmp_path).draw(own))


def test_a_missing_folder_of_photographs(body: BodyModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such image folder"):
        MapPanels(body, tmp_path / "nowhere")


def test_the_joint_sets_differ_in_the_assignment_alone(body: BodyModel, records: RecordTable) -> None:
    few, many = (MapPanels(body, joint_set=name) for name in ("lsp14", "smpl24"))
    assert len(np.unique(few.assignment)) == 15
    assert len(np.unique(many.assignment)) > 20
    assert next(few.draw(records.take([1])))[1].shape == next(many.draw(records.take([1])))[1].shape


def test_rows_are_named_or_drawn_by_seed(records: RecordTable) -> None:
    named = [records.sample_ids[7], records.sample_ids[2]]
    assert chosen_rows(records, named, 4, 0).sample_ids == named
    assert chosen_rows(records, (), 4, 1).sample_ids == chosen_rows(records, (), 4, 1).sample_ids
    assert len(chosen_rows(records, (), 400, 1)) == len(records)
    with pytest.raises(InputError, match=r"has no sample_id 'nobody' \(the nearest are "):
        chosen_rows(records, ["nobody"], 1, 0)

"""The pictures of rows: what is drawn lies where the row says, left is left, and what a row lacks is said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError, UnknownNameError
from hmrtk.toolkit.geometry.camera import CROP_SIZE, project_crop_camera
from hmrtk.toolkit.geometry.crop import apply_affine
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.records.crops import REGION_FACTOR
from hmrtk.toolkit.records.record import RECORD_SCHEMA
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.augmentation import Augmentation, Change
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.shards.row_overlays import LEFT, MIDDLE, RIGHT, drawn_keypoints, drawn_mesh, part_bars
from hmrtk.toolkit.shards.row_panels import SMALL_PX, RowPanels, RowView, described, facts

WILD = Augmentation(flip=0.5, upright=0.2, shift=0.05, noise=0)


@pytest.fixture(scope="module")
def panels(built: Path, body: BodyModel) -> RowPanels:
    return RowPanels(built, body)


def without(records: RecordTable, lacking: dict[str, list[int]]) -> RecordTable:
    """The records with some columns null in some rows."""
    table = records.table
    for name, rows in lacking.items():
        chunk = table[name].combine_chunks()
        values = [None if row in rows else value for row, value in enumerate(chunk.storage.to_pylist())]
        nulled = pa.ExtensionArray.from_storage(chunk.type, pa.array(values, chunk.storage.type))
        table = table.set_column(table.column_names.index(name), RECORD_SCHEMA.field(name), nulled)
    return RecordTable(table, records.metadata)


@pytest.fixture(scope="module")
def poor(records: RecordTable, body: BodyModel, small: ShardConfig, tmp_path_factory: pytest.TempPathFactory):
    """Rows 0 without ``transl``; 1 without a body; 2 without a body and 3D joints; 3 without anything but a box."""
    bodyless = [1, 2, 3]
    lacking = {"transl": [0, 1, 2, 3], "joints3d": [2, 3], "keypoints2d": [3]}
    lacking |= dict.fromkeys(("global_orient", "body_pose", "betas"), bodyless)
    out = tmp_path_factory.mktemp("poor")
    build_shards(without(records.take([0, 1, 2, 3]), lacking), body, out, small, workers=1)
    return RowPanels(out, body)


def seen_joints(view: RowView, body: BodyModel) -> np.ndarray:
    """The body's ``spin24`` joints through the view's camera, in shares of the picture: posed independently of it."""
    row = view.row
    known = np.isfinite(row["transl"]).all()
    transl = row["transl"][None] if known else None
    one = BodyParameters.of(row["global_orient"][None], row["body_pose"][None], row["betas"][None], transl)
    return project(body.spin24(body.pose(one)), view.camera)[0, :, :2]


def keypoints(view: RowView) -> np.ndarray:
    return apply_affine(view.row["keypoints2d"][:, :2].astype(float), view.affine)


# Where things lie


def test_the_posed_body_falls_on_the_rows_keypoints(panels: RowPanels, body: BodyModel) -> None:
    for number in range(len(panels.rows)):
        view = panels.view(number)
        assert np.abs(seen_joints(view, body) - keypoints(view)).max() < 1e-5  # shares: 0.004 px of 400


@pytest.mark.parametrize("seed", range(2))
def test_the_posed_body_falls_on_them_after_augmentation(panels: RowPanels, body: BodyModel, seed: int) -> None:
    for number in range(8):
        view = panels.view(number, WILD, seed)
        assert np.abs(seen_joints(view, body) - keypoints(view)).max() < 2e-5


def test_the_crop_camera_places_bodies_without_a_translation(poor: RowPanels, body: BodyModel) -> None:
    view, changed = poor.view(0), poor.view(0, WILD, 3)
    row = view.row
    one = BodyParameters.of(row["global_orient"][None], row["body_pose"][None], row["betas"][None])
    expected = project_crop_camera(body.spin24(body.pose(one))[0].astype(float), row["crop_camera"].astype(float))
    in_crop = ((seen_joints(view, body) - 0.5) * REGION_FACTOR + 0.5) * CROP_SIZE
    assert np.abs(in_crop - expected).max() < 2e-3  # px of 224
    assert np.abs(seen_joints(changed, body) - keypoints(changed)).max() < 0.03  # 5000 px stand in for the true camera


def test_the_mesh_covers_what_the_iuv_map_covers(panels: RowPanels, body: BodyModel) -> None:
    for number in (0, 9):
        view, fine = panels.view(number), 9 * 24
        row = view.row
        one = BodyParameters.of(*(row[n][None] for n in ("global_orient", "body_pose", "betas", "transl")))
        camera = Projection(view.camera.matrix * fine, view.camera.translation)
        drawn = drawn_mesh(np.zeros((fine, fine, 3), np.uint8), body.pose(one), camera, body, opacity=1.0)
        at_centres = drawn[4::9, 4::9].max(axis=2) > 40
        assert (at_centres != (row["iuv"][0] > 0)).sum() <= 3  # of 576 pixels; at the outline the mesh is blended


# Left and right


def test_the_persons_left_is_orange_and_their_right_blue() -> None:
    points = np.zeros((24, 3))
    points[5], points[0], points[19] = (30, 20, 1), (70, 20, 1), (50, 60, 1)  # ankles and nose
    drawn = drawn_keypoints(np.zeros((100, 100, 3), np.uint8), points)
    for place, colour in (((20, 30), LEFT), ((20, 70), RIGHT), ((60, 50), MIDDLE)):
        assert tuple(drawn[place]) == colour
    assert not drawn[70:].any()


def test_joints_without_confidence_or_place_are_left_out() -> None:
    points = np.full((24, 3), np.nan)
    points[:12] = (50, 50, 0)
    assert not drawn_keypoints(np.zeros((100, 100, 3), np.uint8), points).any()


def test_bars_of_the_left_are_to_the_right() -> None:
    seen = np.zeros(24)
    seen[3] = 0.1  # chart 4, the left hand
    bars = part_bars(seen, 260).astype(int)
    coloured = bars.max(axis=2) - bars.min(axis=2) > 60
    assert coloured[:, 170:].sum() > 500
    assert not coloured[:, :130].any()
    assert (part_bars(np.zeros(24), 260) == 255).mean() > 0.8  # nothing is seen: names alone


# What a row says and lacks


def test_a_sheet_of_one_row_and_of_several(panels: RowPanels) -> None:
    one, three = panels.sheet([2]), panels.sheet([0, 5, 9], WILD, 4)
    assert one.shape[1] > 4 * 400
    assert one.shape[0] > 2 * 400
    assert three.shape[1] > 8 * SMALL_PX
    assert three.shape[0] > 3 * SMALL_PX
    assert (one.max(axis=2) < 8).mean() < 0.3


def test_what_a_row_lacks_is_said_in_its_cell(poor: RowPanels) -> None:
    captions = [[caption for _, caption in poor.cells(poor.view(n), SMALL_PX)] for n in range(4)]
    assert [c[2] for c in captions] == ["body, crop camera", "joints3d, image's camera", "body", "body"]
    assert [c[1] for c in captions][2:] == ["keypoints2d: 24 of 24", "keypoints2d: 0 of 24"]
    empty = poor.cells(poor.view(3), SMALL_PX)
    assert len(empty) == 8
    for picture, _ in empty:
        assert np.median(picture) == 236  # a pale square
    assert poor.sheet([0, 1, 2, 3], WILD, 0).ndim == 3


def test_facts_and_changes_in_words(panels: RowPanels) -> None:
    view = panels.view(0)
    assert facts(view).startswith("embedded/val · ")
    assert facts(view).endswith("neutral · body: mocap · image: synthesised")
    row = view.row | {"label": np.int64(7), "distance": np.float32(0.0612), "distance_to_singular": np.float32(0.3)}
    assert facts(RowView(row | {"betas": np.full(10, np.nan)}, view.affine, None)).endswith(
        "no body · image: synthesised"
    )
    said = facts(RowView(row, view.affine, view.camera, changed="flipped"))
    assert "label 7 · 61 mm from its prototype · 300 mm from the singular one" in said
    assert said.endswith("\nafter augmentation: flipped")
    assert described(Change()) == "nothing changed"
    assert described(Change(flip=True, turn=np.pi / 6, scale=1.5)) == "flipped, turned +30°, scale 1.50"


def test_rows_are_found_by_sample_id_or_spread(panels: RowPanels, records: RecordTable) -> None:
    order = [panels.rows[n]["sample_id"] for n in range(len(panels.rows))]
    assert [panels.number(name) for name in records.sample_ids] == [order.index(name) for name in records.sample_ids]
    assert panels.spread(3) == [0, 10, 21] or panels.spread(3) == [0, 11, 21]
    assert panels.spread(400) == list(range(22))
    with pytest.raises(InputError, match=r"has no sample_id 'nobody' \(ids look like 'embedded/"):
        panels.number("nobody")


def test_refusals(built: Path, folder: Path, body: BodyModel, panels: RowPanels) -> None:
    with pytest.raises(InputError, match="has no row 22: expected 0 … 21"):
        panels.sheet([22])
    with pytest.raises(UnknownNameError, match="unknown split 'night'"):
        RowPanels(built, body, "night")
    with pytest.raises(BodyMismatchError, match="was made with body 0000000000000000"):
        RowPanels(folder, body)


def test_pictures_are_the_rows_own(panels: RowPanels) -> None:
    (picture, caption), *_ = panels.cells(panels.view(4), 64)
    row = panels.view(4).row
    assert caption == "picture (synthesised), its region"
    inside = np.abs(cv2.resize(row["image"], (64, 64)).astype(int) - picture).max(axis=2)
    assert (inside == 0).mean() > 0.9  # all but the outline of the crop

"""The content of a row: region, cameras and maps agree with the record and with each other."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.geometry.camera import project_crop_camera, project_perspective
from hmrtk.toolkit.geometry.crop import apply_affine
from hmrtk.toolkit.records.record import RECORD_SCHEMA
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.codec import column_array, decode_image, encode_jpeg
from hmrtk.toolkit.shards.compose import Chunk, Composer, part_visibility
from hmrtk.toolkit.shards.pictures import row_generator
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.synthesis.scene import SceneConfig, synthesise


@pytest.fixture(scope="module")
def config():
    return ShardConfig(region_px=400, iuv_px=100, uv_px=128)


@pytest.fixture(scope="module")
def composer(body, config):
    return Composer(body.arrays, config)


@pytest.fixture(scope="module")
def table(composer, records):
    return composer(Chunk(records, np.arange(len(records))))


def read(table, name):
    return column_array(table[name], table.schema.field(name))[0]


def without(records, *columns, rows):
    """The records with some columns null in some rows."""
    table, keep = records.table, pa.array(~np.isin(np.arange(len(records)), rows))
    for name in columns:
        position = table.column_names.index(name)
        chunk = table[name].combine_chunks()
        values = pa.array([v if k else None for v, k in zip(chunk.storage.to_pylist(), keep.to_pylist(), strict=True)])
        nulled = pa.ExtensionArray.from_storage(chunk.type, values.cast(chunk.storage.type))
        table = table.set_column(position, RECORD_SCHEMA.field(name), nulled)
    return RecordTable(table, records.metadata)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_record_columns_are_kept_to_the_bit(table, records):
    for field in RECORD_SCHEMA:
        if isinstance(field.type, pa.FixedShapeTensorType):
            assert np.array_equal(read(table, field.name), records.array(field.name), equal_nan=True), field.name
        else:
            assert table[field.name].to_pylist() == records.table[field.name].to_pylist()


def test_the_region_is_a_square_of_1_8_crop_boxes_around_the_person(table, records):
    box = records.array("bbox_xyxy").astype(float)
    longer = np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1])
    expected = np.column_stack([(box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2, longer * 1.2 * 1.8])
    assert np.allclose(read(table, "region"), expected, rtol=1e-5)
    corner = np.stack([expected[:, :2] - expected[:, 2:] / 2, expected[:, :2] + expected[:, 2:] / 2], axis=1)
    placed = apply_affine(corner, read(table, "region_affine").astype(float))
    assert np.allclose(placed, [[0, 0], [400, 400]], atol=0.01)


def test_the_crop_camera_puts_the_joints_on_the_keypoints(table, records, body):
    assert table["crop_camera_valid"].to_pylist() == [True] * len(records)
    still = records.parameters().replaced(transl=np.zeros((len(records), 3)))
    found = project_crop_camera(body.spin24_joints(still).astype(float), read(table, "crop_camera").astype(float))
    keypoints = records.array("keypoints2d").astype(float)
    in_region = apply_affine(keypoints[..., :2], read(table, "region_affine").astype(float))
    in_crop = (in_region - 200) * (224 * 1.8 / 400) + 112
    error = np.linalg.norm(found - in_crop, axis=-1)
    assert np.median(error) < 3  # px of 224: what the weak camera's far focal point leaves
    assert error.max() < 25


def test_the_iuv_map_lies_where_the_true_camera_sees_the_body(table, records, body):
    vertices = body.pose(records.parameters()).vertices.astype(float)
    focal, principal = records.array("focal").astype(float), records.array("principal").astype(float)
    on_image = project_perspective(vertices, focal, principal)
    px = apply_affine(on_image, read(table, "region_affine").astype(float)) / 4  # 400 px region → 100 px map
    iuv = read(table, "iuv")
    for n in range(len(records)):
        inside = np.floor(px[n]).astype(int)
        inside = inside[((inside >= 0) & (inside < 100)).all(axis=1)]
        touched = np.zeros((100, 100), bool)
        touched[inside[:, 1], inside[:, 0]] = True
        seen = iuv[n, 0] > 0
        assert (touched & seen).sum() / touched.sum() > 0.7  # outline pixels may be missed at their centre
        assert (seen & ~touched).sum() / seen.sum() < 0.2  # pixels between the vertices of near, large faces


def test_without_a_true_camera_the_crop_camera_gives_nearly_the_same_map(composer, table, records):
    blind = composer(Chunk(without(records, "focal", rows=range(len(records))), np.arange(len(records))))
    overlaps = [overlap(a > 0, b > 0) for a, b in zip(read(table, "iuv")[:, 0], read(blind, "iuv")[:, 0], strict=True)]
    assert np.median(overlaps) > 0.8
    assert min(overlaps) > 0.5


def test_the_uv_maps_hold_the_surface_and_add_up(composer, table, records, body):
    posed = body.pose(records.parameters())
    location, joint, displacement = (read(table, n).astype(float) for n in ("location", "joint", "displacement"))
    back = composer.uv_space.vertices(location)
    expected = posed.vertices - posed.joints[:, :1]
    assert np.linalg.norm(back - expected, axis=-1).mean() < 0.004
    assert np.abs(location - joint - displacement).max() < 0.002  # float16 steps
    outside = ~composer.uv_space.filled
    assert (location[:, :, outside] == 0).all()


def test_turning_the_body_turns_the_location_map(composer, records):
    turn = Rotation.from_euler("y", 40, degrees=True)
    orient = (turn * Rotation.from_rotvec(records.array("global_orient"))).as_rotvec().astype(np.float32)
    table = records.table.set_column(
        RECORD_SCHEMA.get_field_index("global_orient"),
        RECORD_SCHEMA.field("global_orient"),
        RecordTable.from_columns(
            {"sample_id": records.sample_ids, "dataset": "x", "split": "x", "global_orient": orient}, records.metadata
        ).table["global_orient"],
    )
    rows = np.arange(len(records))
    before = read(composer(Chunk(records, rows)), "location").astype(float)
    after = read(composer(Chunk(RecordTable(table, records.metadata), rows)), "location").astype(float)
    turned = np.einsum("ij,njhw->nihw", turn.as_matrix(), before)
    assert np.abs(after - turned).max() < 0.003


def test_part_visibility_is_the_share_of_pixels():
    iuv = np.zeros((2, 3, 4, 4), np.uint8)
    iuv[0, 0, 0, :] = 5
    iuv[1, 0, :2] = 24
    visible = part_visibility(iuv)
    assert visible.shape == (2, 24)
    assert visible[0, 4] == 0.25
    assert visible[1, 23] == 0.5
    assert visible.sum() == 0.75


def test_rows_without_a_body_have_null_maps_and_keep_their_neighbours(composer, table, records):
    blind = composer(Chunk(without(records, "body_pose", rows=[1, 4]), np.arange(len(records))))
    for name in ("iuv", "location", "joint", "displacement", "part_visibility"):
        valid = np.array(blind[name].is_valid().to_pylist())
        assert np.flatnonzero(~valid).tolist() == [1, 4]
        kept = [0, 2, 3, 5]
        assert (read(blind, name)[kept] == read(table, name)[kept]).all()


def test_a_chunk_without_bodies_keeps_its_rows_and_pictures(composer, records):
    """Data sets with 2D annotations only: every map is null, boxes and crop columns are there."""
    blind = composer(Chunk(without(records, "body_pose", rows=range(len(records))), np.arange(len(records))))
    assert len(blind) == len(records)
    for name in ("iuv", "location", "joint", "displacement", "part_visibility"):
        assert blind[name].null_count == len(records)
    assert blind["region"].null_count == 0


def test_rows_without_any_camera_have_no_maps_and_no_crop_camera(composer, records):
    blind = composer(Chunk(without(records, "keypoints2d", "focal", rows=[2]), np.arange(len(records))))
    assert not blind["crop_camera_valid"][2].as_py()
    assert blind["crop_camera"][2].as_py() is None
    assert not blind["iuv"][2].is_valid
    assert blind["crop_camera_valid"][3].as_py()


def test_unwanted_maps_and_pictures_are_null(body, records):
    composer = Composer(body.arrays, ShardConfig(maps=("displacement",), uv_px=16))
    table = composer(Chunk(records.head(2), np.arange(2)))
    assert [n for n in ("iuv", "part_visibility", "location", "joint", "image") if table[n].null_count != 2] == []
    assert table["displacement"].null_count == 0
    assert table["image_source"].to_pylist() == [None, None]


def test_a_row_does_not_depend_on_its_chunk_and_the_composer_travels(body, records, small):
    composer = pickle.loads(pickle.dumps(Composer(body.arrays, small)))  # noqa: S301 - made here
    whole = composer(Chunk(records, np.arange(len(records))))
    for row in (0, 5):
        alone = composer(Chunk(records.take([row]), np.array([row])))
        assert alone.equals(whole.slice(row, 1))


def test_the_synthesised_person_is_where_the_iuv_map_is(body, records):
    scene = SceneConfig(occluder_probability=0, loose_m=(0, 0))
    config = ShardConfig(synthesise=True, region_px=200, iuv_px=200, maps=("iuv",), scene=scene)
    table = Composer(body.arrays, config)(Chunk(records.head(6), np.arange(6)))
    vertices = body.pose(records.head(6).parameters()).vertices
    affine = read(table, "region_affine").astype(float)
    for n in range(6):
        focal = records.array("focal")[n] * affine[n, 0, 0]
        principal = apply_affine(records.array("principal")[n : n + 1].astype(float), affine[n])[0]
        rng = row_generator(0, records.sample_ids[n])
        own = synthesise(vertices[n], focal, principal, 200, body, rng, scene)
        kept = decode_image(table["image"][n]["bytes"].as_py(), "row").astype(int)
        assert np.abs(kept - decode_image(encode_jpeg(own.image), "row")).mean() < 0.5
        assert overlap(own.coverage > 127, read(table, "iuv")[n, 0] > 0) > 0.9
        assert json.loads(table["appearance"][n].as_py())["place"]["panorama"] == own.appearance["place"]["panorama"]

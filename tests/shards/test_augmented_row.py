"""After any change, the row's picture, keypoints, body, cameras and maps still tell of one person."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter
from scipy.spatial.transform import Rotation
from torch.utils.data import default_collate

from hmrtk.toolkit.body.joints import SPIN24_FLIP, joint_set
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import crop_to_full_camera, project_crop_camera, project_perspective
from hmrtk.toolkit.geometry.crop import apply_affine, invert_affine
from hmrtk.toolkit.maps.assignment import assigned_joints, joint_map
from hmrtk.toolkit.maps.iuv import render_iuv_projected
from hmrtk.toolkit.maps.mirror import mirror_iuv, mirror_tables
from hmrtk.toolkit.maps.projection import Projection
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.augmentation import MULTI_CROPS, Augmentation, Change, augmentation
from hmrtk.toolkit.shards.augmented_row import CropFormat, apply, multi_crops
from hmrtk.toolkit.shards.codec import column_array, decode_image
from hmrtk.toolkit.shards.compose import Chunk, Composer
from hmrtk.toolkit.shards.crop_window import Window
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.shards.reader import to_tensors

FLIP = list(SPIN24_FLIP)
WILD = Augmentation(flip=0.5, upright=0.2, shift=0.05)
"""Everything at once, more often than any preset."""


def rows_of(table: pa.Table) -> list[dict]:
    """The rows as the reader's decoder gives them."""
    rows: list[dict] = [{} for _ in range(len(table))]
    for field in table.schema:
        column = table[field.name]
        if field.name == "image":
            values = [None if v is None else decode_image(v["bytes"], "row") for v in column.to_pylist()]
        elif pa.types.is_string(field.type):
            values = column.to_pylist()
        else:
            values = column_array(column, field)[0]
        for row, value in zip(rows, values, strict=True):
            if value is not None:
                row[field.name] = value
    return rows


@pytest.fixture(scope="module")
def composer(body):
    return Composer(body.arrays, ShardConfig(uv_px=48))


@pytest.fixture(scope="module")
def rows(composer, records):
    return rows_of(composer(Chunk(records, np.arange(len(records)))))


@pytest.fixture(scope="module")
def row(rows):
    return rows[0]


@pytest.fixture(scope="module")
def form(body):
    return CropFormat.of(body)


def changes(count, seed=0, preset=WILD):
    rng = np.random.default_rng(seed)
    return [preset.draw(rng) for _ in range(count)]


def posed(body, row, transl=True):
    where = row["transl"][None] if transl else None
    return body.pose(BodyParameters.of(row["global_orient"][None], row["body_pose"][None], row["betas"][None], where))


def joints(body, row, transl=True):
    return body.spin24(posed(body, row, transl))[0].astype(float)


def through(points, matrix):
    """Camera-frame points through a camera matrix (2, 3)."""
    return points[:, :2] / points[:, 2:] @ matrix[:, :2].T.astype(float) + matrix[:, 2]


def picture(size=400, seed=0):
    """Smooth noise, so that interpolation matters little."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (3, 20, 20))
    at = np.linspace(0, 19, size)
    planes = [map_coordinates(plane, np.meshgrid(at, at, indexing="ij"), order=1) for plane in coarse]
    return np.stack(planes, axis=-1).astype(np.uint8)


# The row's own person, seen again


@pytest.mark.parametrize("seed", range(3))
def test_the_changed_body_projects_onto_the_changed_keypoints(body, rows, form, seed):
    for old, change in zip(rows, changes(len(rows), seed), strict=True):
        new = apply(old, change, form)
        again = joints(body, new)
        assert np.abs(again - new["joints3d"][:, :3]).max() < 2e-6  # metres
        assert np.abs(through(again, new["camera_matrix"]) - new["keypoints2d"][:, :2]).max() < 2e-3  # px of 224


@pytest.mark.parametrize("seed", range(3))
def test_the_changed_body_renders_the_changed_iuv_map(body, rows, form, seed):
    inner, everywhere, levels = [], [], []
    for old, change in zip(rows, changes(len(rows), seed), strict=True):
        new = apply(old, change, form)
        camera = Projection(new["camera_matrix"].astype(float)[None] / 4, np.zeros((1, 3)))
        again = render_iuv_projected(posed(body, new).vertices, camera, form.atlas, 56)[0]
        inside = (minimum_filter(again[0], 3) == maximum_filter(again[0], 3)) & (again[0] > 0)
        same = new["iuv"][0] == again[0]
        inner.append(same[inside])
        everywhere.append(same.mean())
        levels.append(np.abs(new["iuv"][1:].astype(int) - again[1:])[:, same & inside].ravel())
        assert new["part_visibility"].sum() == pytest.approx((new["iuv"][0] > 0).mean(), abs=1e-6)
    assert np.concatenate(inner).mean() > 0.995  # charts of all pixels that are not on an outline
    assert min(map(np.mean, inner)) > 0.97
    assert min(everywhere) > 0.93  # outlines move by up to a pixel of the region's map
    assert np.concatenate(levels).mean() < 7  # of 255, U and V: half a pixel of the map along the surface


def test_the_changed_body_has_the_changed_uv_maps(body, composer, rows, form):
    for old, change in zip(rows, changes(len(rows), seed=2), strict=True):
        new = apply(old, change, form)
        again = posed(body, new)
        root = again.joints[:, 0]
        location = composer.uv_space.location(again.vertices, root)[0]
        joint = joint_map(assigned_joints(body, again, "lsp14"), root, composer.assignment)[0]
        assert np.abs(new["location"] - location).max() < 1e-3  # float16 steps
        assert np.abs(new["joint"] - joint).max() < 1e-3
        assert np.abs(new["displacement"] - (new["location"] - new["joint"])).max() < 2e-3


def crop_camera_error(body, old, change, form):
    """(24, 2) px: where the new crop camera puts the joints, less where the affine map puts the old camera's."""
    new, plain = apply(old, change, form), apply(old, Change(), form)
    before = project_crop_camera(joints(body, old, False), old["crop_camera"].astype(float))
    full = apply_affine(before, invert_affine(plain["crop_affine"].astype(float)))
    moved = apply_affine(full, new["crop_affine"].astype(float))
    found = project_crop_camera(joints(body, new, False), new["crop_camera"].astype(float))
    return found - (moved[FLIP] if change.flip else moved)


def test_flips_and_turns_leave_the_crop_camera_exact(body, rows, form):
    for old in rows[:6]:
        for change in (Change(), Change(flip=True), Change(turn=1.0), Change(flip=True, turn=-0.7)):
            assert np.abs(crop_camera_error(body, old, change, form)).max() < 3e-3


def test_scales_and_shifts_are_off_by_what_the_docstring_says(body, rows, form):
    for old in rows[:6]:
        pelvis, camera = form.pelvis(old["betas"]), old["crop_camera"].astype(float)
        behind = joints(body, old, False)[:, 2] - pelvis[2]
        seen = project_crop_camera(joints(body, old, False), camera) - 112
        depth = pelvis[2] + 2 * 5000 / (224 * camera[0])
        for change in (Change(scale=0.75), Change(scale=1.25, shift=(0.1, 0)), *MULTI_CROPS):
            k, way = change.scale, 224 * np.array(change.shift)
            expected = behind / (k * (k * depth + behind)) * np.linalg.norm((1 - k) * seen - way, axis=1)
            found = np.linalg.norm(crop_camera_error(body, old, change, form), axis=1)
            assert np.abs(found - np.abs(expected)).max() < 5e-3
            assert found.max() < (2.5 if k < 0.7 else 1.5)  # px of 224, all joints of all rows


@pytest.mark.parametrize("seed", range(3))
def test_any_change_keeps_the_crop_camera_within_a_pixel(body, rows, form, seed):
    errors = [
        np.abs(crop_camera_error(body, old, change, form)).max()
        for old, change in zip(rows, changes(len(rows), seed, augmentation("spin")), strict=True)
    ]
    assert np.median(errors) < 0.3
    assert max(errors) < 1.2


def test_the_turned_square_serves_the_full_image_camera(rows, form):
    for old, change in zip(rows, changes(len(rows), seed=4), strict=True):
        new = apply(old, change, form)
        points, focal = new["joints3d"][:, :3].astype(float), old["focal"].astype(float)
        assert focal[0] == focal[1]
        full = project_perspective(points, focal, old["principal"].astype(float))
        centre, side = new["crop_square"][:2].astype(float), float(new["crop_square"][2])
        assert np.abs((full - centre) * (224 / side) + 112 - new["keypoints2d"][:, :2]).max() < 5e-3


def test_cliffs_conversion_of_the_new_crop_camera_moves_with_the_body(rows, form):
    """From the crop camera and the turned square, CLIFF §3.2 finds the same place, mirrored and turned."""
    for old, change in zip(rows, changes(len(rows), seed=5), strict=True):
        new, plain = apply(old, change, form), apply(old, Change(), form)
        size, focal = old["image_size"].astype(float), float(old["focal"][0])
        assert np.array_equal(old["principal"], size[::-1] / 2)
        place, found = (
            crop_to_full_camera(r["crop_camera"].astype(float), r["crop_square"][:2], r["crop_square"][2], size, focal)
            for r in (plain, new)
        )
        pelvis, window = form.pelvis(old["betas"]), Window.of(old, change)
        expected = window.points(place + pelvis) - pelvis
        assert np.abs(found - expected).max() < 0.005  # metres


# Left is left


@pytest.fixture(scope="module")
def waving(body, composer):
    """One person who faces the camera and raises the left arm."""
    pose = np.zeros((1, 23, 3), np.float32)
    pose[0, joint_set("smpl24").index("left_shoulder") - 1] = [0, 0, 1.2]
    one = BodyParameters.of([[np.pi, 0, 0]], pose, None, [[0.2, 0.1, 5]])
    seen, focal, centre = body.pose(one), np.array([[900.0, 900.0]]), np.array([[256.0, 256.0]])
    px = project_perspective(seen.vertices.astype(float), focal, centre)[0]
    points = body.spin24(seen)
    keypoints = np.append(project_perspective(points.astype(float), focal, centre), np.ones((1, 24, 1)), -1)
    columns = {
        "sample_id": ["waving"], "dataset": "drawn", "split": "train", "image_size": np.array([[512, 512]], np.int32),
        "bbox_xyxy": np.append(px.min(0), px.max(0))[None], "global_orient": one.global_orient, "body_pose": pose,
        "betas": one.betas, "transl": one.transl, "keypoints2d": keypoints,
        "joints3d": np.append(points, np.ones((1, 24, 1)), -1), "focal": focal, "principal": centre,
    }  # fmt: skip
    return rows_of(composer(Chunk(RecordTable.from_columns(columns, RecordMetadata()), np.arange(1))))[0]


def raised(row, composer):
    """Which side is raised, by the parameters, keypoints, 3D joints, charts and joint map."""
    smpl, spin, lsp = joint_set("smpl24"), joint_set("spin24"), joint_set("lsp14")
    sides = []
    for name in ("left", "right"):
        other = {"left": "right", "right": "left"}[name]
        bent = [np.abs(row["body_pose"][smpl.index(f"{side}_shoulder") - 1]).max() for side in (name, other)]
        wrist, head = spin.index(f"{name}_wrist"), spin.index("nose")
        hand, face = ({"left": 4, "right": 3}[name],), (23, 24)
        up = [np.argwhere(np.isin(row["iuv"][0], charts))[:, 0].mean() for charts in (hand, face)]
        texels = [composer.assignment == lsp.index(joint) for joint in (f"{name}_wrist", "head_top_lsp")]
        lift = [row["joint"][1][mask].mean() for mask in texels]
        facts = [
            bent[0] > 1 > bent[1],
            row["keypoints2d"][wrist, 1] < row["keypoints2d"][head, 1],
            row["joints3d"][wrist, 1] < row["joints3d"][head, 1],
            up[0] < up[1],
            lift[0] < lift[1] + 0.2,
        ]
        assert len({bool(fact) for fact in facts}) == 1, facts
        sides += [name] if facts[0] else []
    return sides


def test_the_raised_left_arm_is_the_right_arm_after_a_flip(waving, composer, form):
    assert raised(apply(waving, Change(), form), composer) == ["left"]
    assert raised(apply(waving, Change(flip=True), form), composer) == ["right"]
    turned = apply(waving, Change(flip=True, turn=0.2, scale=1.2), form)
    assert raised(turned, composer) == ["right"]


def test_the_raised_arm_is_where_the_picture_is_after_a_flip(waving, form):
    plain, flipped = apply(waving, Change(), form), apply(waving, Change(flip=True), form)
    left, right = joint_set("spin24").index("left_wrist"), joint_set("spin24").index("right_wrist")
    assert plain["keypoints2d"][left, 0] > 112  # who faces us has the left hand on the picture's right
    assert flipped["keypoints2d"][right, 0] == pytest.approx(224 - plain["keypoints2d"][left, 0], abs=1e-3)


def test_a_flip_is_the_mirror_image_of_everything(row, form):
    old = {**row, "image": picture()}
    plain, flipped = apply(old, Change(), form), apply(old, Change(flip=True), form)
    assert np.abs(flipped["image"][:, ::-1].astype(int) - plain["image"]).max() <= 1
    assert np.array_equal(flipped["iuv"], mirror_iuv(plain["iuv"], form.atlas))
    expected = plain["keypoints2d"][FLIP] * [-1, 1, 1] + [224, 0, 0]
    assert np.allclose(flipped["keypoints2d"], expected, atol=1e-4)
    assert np.array_equal(flipped["location"], plain["location"][:, :, ::-1] * np.reshape([-1, 1, 1], (3, 1, 1)))
    assert flipped["crop_camera"][0] == pytest.approx(plain["crop_camera"][0])


def test_flipping_twice_gives_the_row_back(row, form):
    once = apply(row, Change(flip=True), form)
    names = ("global_orient", "body_pose", "transl", "joints3d", "location", "joint", "displacement", "crop_camera")
    twice = apply({**row, **{name: once[name] for name in names}}, Change(flip=True), form)
    plain = apply(row, Change(), form)
    for name in names:
        assert np.abs(twice[name] - plain[name]).max() < 1e-6, name
    assert np.array_equal(mirror_iuv(once["iuv"], form.atlas), plain["iuv"])


def test_a_quarter_turn_by_hand(row, form):
    plain, turned = apply(row, Change(), form), apply(row, Change(turn=np.pi / 2), form)
    x, y = plain["keypoints2d"][:, 0] - 112, plain["keypoints2d"][:, 1] - 112
    assert np.allclose(turned["keypoints2d"][:, :2], np.column_stack([112 - y, 112 + x]), atol=1e-3)
    spin = Rotation.from_euler("z", 90, degrees=True)
    expected = (spin * Rotation.from_rotvec(plain["global_orient"])).as_matrix()
    assert np.abs(Rotation.from_rotvec(turned["global_orient"]).as_matrix() - expected).max() < 1e-6
    assert np.allclose(turned["location"][0], -plain["location"][1], atol=1e-6)
    assert np.array_equal(turned["iuv"], np.rot90(plain["iuv"], -1, axes=(1, 2)))


def test_the_plain_crop_keeps_the_row(row, form):
    new = apply(row, Change(), form)
    for name in ("global_orient", "body_pose", "betas", "joints3d", "sample_id", "bbox_xyxy", "label"):
        assert np.array_equal(new[name], row[name], equal_nan=not isinstance(row[name], str)), name
    assert np.allclose(new["crop_camera"], row["crop_camera"], rtol=1e-6)
    assert np.allclose(new["transl"], row["transl"], atol=1e-6)
    assert np.allclose(new["crop_square"], [*row["region"][:2], row["region"][2] / 1.8], rtol=1e-6)


# The picture


def test_the_picture_is_the_region_through_the_same_affine(row, form):
    image = picture()
    for change in changes(8, seed=5, preset=augmentation("spin")):
        new = apply({**row, "image": image}, replace(change, gains=(1, 1, 1)), form)
        centre = np.stack(np.meshgrid(np.arange(224) + 0.5, np.arange(224) + 0.5), -1).reshape(-1, 2)
        full = apply_affine(centre, invert_affine(new["crop_affine"].astype(float)))
        at = apply_affine(full, row["region_affine"].astype(float)) - 0.5
        expected = [map_coordinates(image[..., k].astype(float), at.T[::-1], order=1) for k in range(3)]
        off = np.abs(new["image"].reshape(-1, 3) - np.stack(expected, -1))
        assert off.mean() < 0.6
        assert off.max() < 4


def test_dots_at_the_keypoints_stay_at_the_keypoints(row, form):
    image = np.zeros((400, 400, 3), np.uint8)
    at = apply_affine(row["keypoints2d"][3:4, :2].astype(float), row["region_affine"].astype(float))[0]
    y, x = np.mgrid[:400, :400] + 0.5
    image[:] = (255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 18))[..., None].astype(np.uint8)
    for change in changes(8, seed=6):
        new = apply({**row, "image": image}, change, form)
        weight = new["image"][..., 0].astype(float)
        y, x = np.mgrid[:224, :224] + 0.5
        found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        assert np.abs(found - new["keypoints2d"][FLIP[3] if change.flip else 3, :2]).max() < 0.1


def test_gains_multiply_the_channels_and_clip(row, form):
    grey = np.full((400, 400, 3), 200, np.uint8)
    new = apply({**row, "image": grey}, Change(gains=(0.5, 1.1, 1.4)), form)
    assert np.array_equal(new["image"][112, 112], [100, 220, 255])


def test_outside_the_region_the_picture_is_black(row, form):
    white = np.full((400, 400, 3), 255, np.uint8)
    inside = apply({**row, "image": white}, Change(scale=1.79), form)["image"]
    outside = apply({**row, "image": white}, Change(scale=2.4), form)["image"]
    assert (inside == 255).all()
    assert (outside[112, [0, 27, 28, 195, 196, 223], 0] == [0, 0, 255, 255, 0, 0]).all()  # 224·(1 − 1.8/2.4)/2 = 28


def test_things_are_pasted_in_front_and_are_the_same_again(row, form):
    old = {**row, "image": picture()}
    plain = apply(old, Change(turn=0.3), form)
    first, again = (apply(old, Change(turn=0.3, occluder_seed=5, occluder_count=(3, 6)), form) for _ in range(2))
    assert np.array_equal(first["image"], again["image"])
    assert np.array_equal(first["covered"], again["covered"])
    assert 0.02 < first["covered"].mean() < 0.8
    assert not plain["covered"].any()
    differs = (first["image"] != plain["image"]).any(-1)
    assert (differs & first["covered"]).sum() > 0.8 * first["covered"].sum()
    assert np.array_equal(first["iuv"], plain["iuv"])


# Crops of other boxes


def test_the_upper_body_fills_its_crop(rows, form):
    upper = [i for i, name in enumerate(joint_set("spin24").joints) if "ankle" not in name and "knee" not in name]
    for old in rows:
        new, plain = apply(old, Change(upper_body=True), form), apply(old, Change(), form)
        points = new["keypoints2d"][upper, :2]
        assert points.min() > 0
        assert points.max() < 224
        assert new["crop_square"][2] <= plain["crop_square"][2] * (1 + 1e-6)
    unseen = {**rows[0], "keypoints2d": rows[0]["keypoints2d"] * [1, 1, 0]}
    assert np.array_equal(apply(unseen, Change(upper_body=True), form)["crop_affine"], apply(
        unseen, Change(), form)["crop_affine"])  # fmt: skip


def test_multi_crops_show_the_same_person_from_inside_the_region(body, rows, form):
    for old in rows[:4]:
        crops = multi_crops({**old, "image": np.full((400, 400, 3), 90, np.uint8)}, form)
        assert crops["image"].shape == (5, 224, 224, 3)
        assert (crops["image"] == 90).all()  # no border
        centre, side = old["region"][:2].astype(float), float(old["region"][2]) / 1.8
        offset = np.array([[0, 0], [0.1, 0], [-0.1, 0], [0, 0.1], [0, -0.1]])
        assert np.allclose(crops["crop_square"][:, :2], centre + offset * side, rtol=1e-5)
        assert np.allclose(crops["crop_square"][:, 2] / side, [1, 1.5, 1.25, 0.8, 0.65], rtol=1e-5)
        for affine, points in zip(crops["crop_affine"], crops["keypoints2d"], strict=True):
            expected = apply_affine(old["keypoints2d"][:, :2].astype(float), affine.astype(float))
            assert np.abs(points[:, :2] - expected).max() < 2e-3


def test_multi_crops_share_a_change(body, row, form):
    change = Change(flip=True, turn=0.5, scale=0.9)
    crops, new = multi_crops(row, form, change), apply(row, change, form)
    again = joints(body, new)
    for matrix, points in zip(crops["camera_matrix"], crops["keypoints2d"], strict=True):
        assert np.abs(through(again, matrix) - points[:, :2]).max() < 5e-3
    way = (crops["crop_square"][:, :2] - crops["crop_square"][0, :2]) / crops["crop_square"][0, 2]
    expected = [[0, 0], [0.1, 0], [-0.1, 0], [0, 0.1], [0, -0.1]]
    assert np.abs(way - expected).max() < 1e-4  # in the frame of the flipped, turned picture


# Bad and missing input


def test_what_a_row_lacks_stays_missing(row, form):
    blank = {name: np.full_like(value, np.nan) for name, value in row.items() if np.asarray(value).dtype.kind == "f"}
    bare = {**row, **blank, "region": row["region"], "iuv": np.zeros_like(row["iuv"])}
    new = apply(bare, Change(flip=True, turn=0.4, scale=1.1), form)
    for name in ("crop_camera", "global_orient", "transl", "camera_matrix", "part_visibility", "location"):
        assert np.isnan(new[name]).all(), name
    assert np.isnan(new["keypoints2d"]).all()
    assert np.isnan(new["joints3d"]).all()
    assert (new["iuv"] == 0).all()
    assert np.isfinite(new["crop_affine"]).all()


def test_only_the_columns_that_were_read_are_changed(row, form):
    new = apply({"region": row["region"], "keypoints2d": row["keypoints2d"]}, Change(turn=0.2), form)
    assert set(new) == {"region", "keypoints2d", "crop_affine", "crop_square", "camera_matrix"}
    assert np.isnan(new["crop_square"][:2]).all()
    assert np.isnan(new["camera_matrix"]).all()


def test_flips_and_turns_forget_the_nearest_prototype(row, form):
    old = {**row, "label": np.int64(4), "distance": np.float32(0.1), "distance_to_singular": np.float32(0.3)}
    for change in (Change(flip=True), Change(turn=0.5)):
        new = apply(old, change, form)
        assert new["label"] == -1
        assert np.isnan(new["distance"])
        assert new["distance_to_singular"] == np.float32(0.3)  # of the record
    kept = apply(old, Change(scale=1.1, shift=(0.1, 0), gains=(1.1, 1, 1)), form)
    assert (kept["label"], kept["distance"]) == (4, np.float32(0.1))


def test_changed_rows_make_a_batch(rows, form):
    parts = [
        to_tensors(apply({**old, "image": picture(), "label": np.int64(3)}, change, form))
        for old, change in zip(rows[:6], changes(6, preset=augmentation("best_of_both")), strict=True)
    ]
    batch = default_collate(parts)
    assert batch["image"].shape == (6, 3, 224, 224)
    assert batch["image"].dtype == torch.uint8
    assert batch["iuv"].shape == (6, 3, 56, 56)
    assert batch["covered"].dtype == torch.bool
    assert batch["label"].dtype == torch.int64
    for name in ("keypoints2d", "joints3d", "crop_camera", "transl", "crop_affine", "camera_matrix", "location"):
        assert batch[name].dtype == torch.float32, name
        assert torch.isfinite(batch[name]).all(), name


def test_the_row_is_not_changed_in_place(row, form):
    before = pickle.dumps(row)
    apply({**row, "image": picture()}, Change(flip=True, turn=0.4, gains=(1.2, 1, 1)), form)
    assert pickle.dumps(row) == before


def test_the_form_travels_to_workers(row, form):
    other = pickle.loads(pickle.dumps(form))  # noqa: S301 - made here
    change = Change(flip=True, turn=0.1)
    assert np.array_equal(apply(row, change, other)["iuv"], apply(row, change, form)["iuv"])


def test_an_atlas_that_is_not_symmetric_needs_tables(body, row, form):
    plain = {name: row[name] for name in ("region", "iuv")}
    crooked = replace(form, atlas=replace(form.atlas, symmetric=False))
    with pytest.raises(InputError, match="is not left-right symmetric in U, so its maps cannot be mirrored"):
        apply(plain, Change(flip=True), crooked)
    tables = mirror_tables(form.atlas, body)
    found = apply(plain, Change(flip=True), replace(crooked, tables=tables))["iuv"]
    assert (found[0] == apply(plain, Change(flip=True), form)["iuv"][0]).mean() > 0.99


def test_uv_maps_that_are_not_symmetric_are_not_mirrored(row, form):
    crooked = replace(form, uv_symmetric=False)
    with pytest.raises(InputError) as error:
        apply(row, Change(flip=True), crooked)
    expected = "UV maps: are of an atlas that is not left-right symmetric, so they cannot be mirrored"
    assert str(error.value) == expected
    apply(row, Change(turn=0.2), crooked)


def test_a_row_without_region_is_refused(row, form):
    with pytest.raises(InputError) as error:
        apply({"keypoints2d": row["keypoints2d"]}, Change(), form)
    assert str(error.value) == "augmentation: needs the column region (add it to the columns that are read)"

"""Every data set in every format that is read, from raw files to verified shards to the reader's rows.

The files are of the genuine layout and made from known bodies, the pictures drawn from those bodies by other means
(``pictures``). What a training loop gets must be those bodies, on those people, left on the left.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit import pipeline
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.geometry.camera import project_crop_camera
from hmrtk.toolkit.records.dense import DenseTable, dense_place
from hmrtk.toolkit.records.manifest import load_manifest, manifest_names
from hmrtk.toolkit.shards.batches import ShardBatches
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.shards.reader import ShardDataset
from hmrtk.toolkit.shards.shard_map import ShardMap
from hmrtk.toolkit.shards.verify import verify_shards
from hmrtk.toolkit.sources.registry import is_readable
from tests.sources.layouts import LAYOUTS, ROWS, Layout

PX = 160
"""Side of the picture of the region, and of the IUV map over it."""
NEAR = np.ones((5, 5), np.uint8)
"""Two pixels about."""
BRIGHT = 265
"""Sum of RGB: people are above it, the ground and what lies outside a picture below."""
LEFT_JOINTS, RIGHT_JOINTS = (3, 4, 5, 9, 10, 11), (0, 1, 2, 6, 7, 8)
"""Hips, knees, ankles, shoulders, elbows and wrists of ``spin24``."""
LEFT_CHARTS, RIGHT_CHARTS = (4, 5, 8, 10, 12, 14, 15, 17, 19, 21), (3, 6, 7, 9, 11, 13, 16, 18, 20, 22)
"""Of DensePose: hands, feet, legs and arms."""


def test_every_readable_format_is_here() -> None:
    known = {(name, fmt) for name in manifest_names() for fmt in load_manifest(name).formats if is_readable(name, fmt)}
    assert known - set(LAYOUTS) == {("embedded", "embedded")}  # in tests/shards
    assert not set(LAYOUTS) - known


@pytest.mark.parametrize("name", LAYOUTS, ids="/".join)
def test_from_raw_files_to_the_reader(
    tmp_path: Path, body: BodyModel, mocap: SimpleNamespace, name: tuple[str, str]
) -> None:
    made = LAYOUTS[name](tmp_path / "raw", body, mocap)
    tables = pipeline.ingest(*name, made.root, tmp_path / "records", body, split=made.split, limit=ROWS)
    config = ShardConfig(images=made.images, synthesise=made.images is None, region_px=PX, iuv_px=PX, uv_px=16)
    build_shards(tables[made.split], body, tmp_path / "shards", config, workers=1)
    report = verify_shards(tmp_path / "shards")
    assert report.ok, report.lines()
    dataset = ShardMap(tmp_path / "shards", made.split)
    rows = [{key: np.asarray(value) for key, value in dataset[row].items()} for row in range(len(dataset))]
    assert [str(row["sample_id"]) for row in rows] == tables[made.split].sample_ids
    assert len(rows) == ROWS
    check_bodies(rows, made, body)
    check_joints(rows, made)
    check_keypoints(rows, made)
    check_camera(rows, made, body)
    check_picture(rows, made)
    check_dense(rows, tables[made.split].dense, tmp_path / "records", made)
    batches = ShardBatches(ShardDataset(tmp_path / "shards", made.split, shuffle=False), ROWS, threads=1)
    (batch,) = list(batches)
    np.testing.assert_array_equal(batch["keypoints2d"], np.stack([row["keypoints2d"] for row in rows]))


def check_bodies(rows: list[dict[str, Any]], made: Layout, body: BodyModel) -> None:
    """The parameters, posed, are the known bodies about their pelvis."""
    orient, pose, betas = (np.stack([row[key] for row in rows]) for key in ("global_orient", "body_pose", "betas"))
    if not made.bodies:
        assert np.isnan(orient).all()
        assert np.isnan(betas).all()
        return
    joints = body.spin24_joints(BodyParameters.of(orient, pose, betas)).astype(float)
    off = np.linalg.norm(rooted(joints) - rooted(made.known.joints), axis=-1)
    assert off.max() < made.bone


def rooted(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    return joints - joints[:, 14:15]


def check_joints(rows: list[dict[str, Any]], made: Layout) -> None:
    """3D joints, where there are any, are the known ones about any of them."""
    joints = np.stack([row["joints3d"] for row in rows])
    assert np.isfinite(joints).all() == made.joints
    for row, known in zip(joints, made.known.joints, strict=True):
        sure = row[:, 3] > 0
        if made.joints:
            assert sure.sum() >= 10
            moved = row[sure, :3] - row[sure, :3].mean(axis=0)
            np.testing.assert_allclose(moved, known[sure] - known[sure].mean(axis=0), atol=max(made.bone, 1e-4))


def check_keypoints(rows: list[dict[str, Any]], made: Layout) -> None:
    """2D keypoints, moved to the region's pixels, lie where the known joints do."""
    for row, known in zip(rows, made.known.pixels, strict=True):
        keypoints = row["keypoints2d"]
        if not made.slots:
            assert np.isnan(keypoints).all()
            continue
        sure = np.flatnonzero(keypoints[:, 2] > 0)
        assert set(sure) <= set(made.slots)
        assert len(sure) >= len(made.slots) - 2
        scale = row["region_affine"][0, 0]
        off = in_region(row, keypoints[sure, :2]) - in_region(row, known[sure])
        assert np.abs(off).max() <= made.tolerance * scale + 1e-3


def in_region(row: dict[str, Any], pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Full-image px → px of the row's picture."""
    affine = row["region_affine"].astype(float)
    return np.asarray(pixels, float) @ affine[:, :2].T + affine[:, 2]


def check_camera(rows: list[dict[str, Any]], made: Layout, body: BodyModel) -> None:
    """The crop camera is there where joints in 2D and 3D are, and puts the body on the known joints."""
    for row, known in zip(rows, made.known.pixels, strict=True):
        assert bool(row["crop_camera_valid"]) == (bool(made.slots) and (made.bodies or made.joints))
        if row["crop_camera_valid"] and made.bodies:
            parameters = BodyParameters.of(row["global_orient"][None], row["body_pose"][None], row["betas"][None])
            joints = body.spin24_joints(parameters).astype(float)
            crop = project_crop_camera(joints, row["crop_camera"][None].astype(float))[0]
            middle = PX / 2
            expected = (in_region(row, known) - middle) * 1.8 * 224 / PX + 112  # the crop is the region over 1.8
            assert np.median(np.linalg.norm(crop - expected, axis=1)) < 6  # its focal length is another


def check_picture(rows: list[dict[str, Any]], made: Layout) -> None:
    """The keypoints lie on the person in the picture, the left ones on orange; so does the IUV map."""
    pictures = [row["image"].transpose(1, 2, 0) for row in rows]
    assert [str(row["image_source"]) for row in rows] == ["photo" if made.images else "synthesised"] * ROWS
    if made.images is None:
        return
    if made.slots:
        sides = np.stack([joint_sides(picture, row) for picture, row in zip(pictures, rows, strict=True)])
        told = sides != 0
        assert told.sum() >= 4 * ROWS
        expected = np.repeat([1, -1], 6)
        assert ((sides == expected)[told]).mean() > 0.85
    if made.bodies and made.slots:
        for picture, row in zip(pictures, rows, strict=True):
            check_iuv(picture, row["iuv"], made.cover)


def check_dense(rows: list[dict[str, Any]], dense: DenseTable | None, records: Path, made: Layout) -> None:
    """The side table is there where files have more than keypoints; its points lie on the person."""
    place = dense_place(records / f"{made.split}.parquet")
    assert place.is_file() == (dense is not None)
    if dense is None:
        return
    assert DenseTable.read(place).table == dense.table
    for row in rows:
        points = dense.points(str(row["sample_id"]))
        if points is not None:
            x, y = np.floor(in_region(row, points.pixels)).astype(int).T
            on = cv2.dilate(row["image"].transpose(1, 2, 0), NEAR)[y, x].astype(int).sum(axis=1) > BRIGHT
            assert on.all()


def side_of(colours: NDArray[Any]) -> NDArray[np.int64]:
    """(…, 3) RGB → 1 where orange (left), -1 where blue (right), 0 elsewhere."""
    difference = colours[..., 0].astype(int) - colours[..., 2]
    return np.where(difference > 60, 1, np.where(difference < -60, -1, 0))


def joint_sides(picture: NDArray[Any], row: dict[str, Any]) -> NDArray[np.int64]:
    """(12,) side that the picture shows at the row's left, then its right limb joints."""
    keypoints = row["keypoints2d"][list(LEFT_JOINTS + RIGHT_JOINTS)]
    index = np.floor(np.nan_to_num(in_region(row, keypoints[:, :2]))).astype(int)
    inside = (keypoints[:, 2] > 0) & ((index >= 0) & (index < PX)).all(axis=1)
    x, y = np.clip(index, 0, PX - 1).T
    return np.where(inside, side_of(picture[y, x]), 0)


def check_iuv(picture: NDArray[Any], iuv: NDArray[Any], cover: float) -> None:
    """The chart map covers the person in the picture; its left charts lie on orange, its right ones on blue."""
    colours = picture.astype(int)
    person = colours.sum(axis=2) > BRIGHT
    chart = iuv[0].astype(int)
    assert share(chart > 0, person) > cover
    assert share(person, chart > 0) > cover
    side = side_of(colours)
    assert share(np.isin(chart, LEFT_CHARTS) & (side != 0), side == 1) > 0.95
    assert share(np.isin(chart, RIGHT_CHARTS) & (side != 0), side == -1) > 0.95


def share(of: NDArray[np.bool_], near: NDArray[np.bool_]) -> float:
    """Of some pixels, how many have one of the others about them."""
    return float(cv2.dilate(near.astype(np.uint8), NEAR)[of].mean())

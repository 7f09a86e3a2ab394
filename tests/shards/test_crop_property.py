"""Whatever the seed: what the readers give is one person, seen again.

For random seeds, the rows of a shard folder go through ``ShardBatches`` with everything that augmentation has (flip,
turn, scale, shift, upper body, occlusion); then the body of each row is posed, projected and rendered again, and must
give the row's own keypoints and maps. The errors allowed are stated beside each check.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.geometry.camera import project_crop_camera
from hmrtk.toolkit.geometry.crop import apply_affine, invert_affine
from hmrtk.toolkit.maps.assignment import assigned_joints, joint_map, part_assignment
from hmrtk.toolkit.maps.atlas import atlas_for_body
from hmrtk.toolkit.maps.iuv import render_iuv_projected
from hmrtk.toolkit.maps.location import UVSpace
from hmrtk.toolkit.maps.onepiece import onepiece_for_body
from hmrtk.toolkit.maps.projection import Projection
from hmrtk.toolkit.records.crops import REGION_FACTOR
from hmrtk.toolkit.shards.augmentation import Augmentation
from hmrtk.toolkit.shards.batches import ShardBatches
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.cropper import COLUMNS, Cropper
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.shards.reader import ShardDataset

SEEDS = range(6)
UV_PX = 48
WILD = Augmentation(flip=0.5, upright=0.2, shift=0.05, occlusion=0.5, upper_body=0.2)
ALL = (*COLUMNS, "iuv", "part_visibility", "location", "joint", "displacement")


@pytest.fixture(scope="module")
def root(records, body, tmp_path_factory):
    """22 rows with pictures, and IUV maps of the usual size."""
    out = tmp_path_factory.mktemp("whole")
    build_shards(records, body, out, ShardConfig(synthesise=True, region_px=100, uv_px=UV_PX), workers=1)
    return out


def as_arrays(root, cropper, seed=0):
    """All rows in one batch, as arrays."""
    data = ShardDataset(root, None, ALL, cropper=cropper)
    data.set_epoch(seed % 3)
    (found,) = ShardBatches(data, 64, threads=2)
    return {name: value if isinstance(value, list) else value.numpy() for name, value in found.items()}


@pytest.fixture(scope="module", params=SEEDS)
def seed(request):
    return request.param


@pytest.fixture(scope="module")
def batch(seed, root, body):
    return as_arrays(root, Cropper(body, WILD, seed=seed), seed)


@pytest.fixture(scope="module")
def plain(root, body):
    """The plain crops, in the order of the row numbers."""
    found = as_arrays(root, Cropper(body))
    order = np.argsort(found["row_number"])
    return {name: np.asarray(value)[order] for name, value in found.items()}


@pytest.fixture(scope="module")
def posed(batch, body):
    """The bodies that the batch says, and those joints."""
    bodies = BodyParameters.of(*(batch[name] for name in ("global_orient", "body_pose", "betas", "transl")))
    again = body.pose(bodies)
    return again, body.spin24(again).astype(float)


def through(points, matrix):
    """Camera-frame points through camera matrices (B, 2, 3), px."""
    return points[..., :2] / points[..., 2:] @ np.swapaxes(matrix[..., :2], 1, 2) + matrix[:, None, :, 2]


def test_the_body_projects_onto_the_keypoints(batch, posed):
    assert np.abs(posed[1] - batch["joints3d"][..., :3]).max() < 2e-6  # metres
    again = through(posed[1], batch["camera_matrix"].astype(float))
    assert np.abs(again - batch["keypoints2d"][..., :2]).max() < 5e-3  # px of 224


def test_the_crop_camera_is_as_good_as_that_of_the_plain_crop(batch, plain, body):
    """It is a fit: its joints lie off the keypoints. A change adds less than 1.2 px of 224 (median: 0.3)."""
    added = _crop_camera_error(batch, body) - _crop_camera_error(plain, body)[batch["row_number"]]
    assert np.abs(added).max() < 1.2
    assert np.median(np.abs(added)) < 0.3


def _crop_camera_error(batch, body):
    """(B,) px of the plain crop, root mean square over the joints (the same joints, whichever are left or right)."""
    bodies = BodyParameters.of(*(batch[name] for name in ("global_orient", "body_pose", "betas")))
    joints = body.spin24(body.pose(bodies)).astype(float)
    found = [project_crop_camera(j, c.astype(float)) for j, c in zip(joints, batch["crop_camera"], strict=True)]
    zoom = batch["crop_square"][:, 2] / (batch["region"][:, 2] / REGION_FACTOR)
    off = (np.stack(found) - batch["keypoints2d"][..., :2]) * zoom[:, None, None]
    return np.sqrt((off**2).sum(axis=-1).mean(axis=1))


def test_the_body_renders_the_iuv_map(batch, posed, body):
    """Charts off the outlines: 99.3 % the same; all pixels: 88 % in the worst row. U and V: 8 of 255 on average."""
    camera = Projection(batch["camera_matrix"].astype(float) / 4, np.zeros((len(batch["iuv"]), 3)))
    again = render_iuv_projected(posed[0].vertices, camera, atlas_for_body(body), 56)
    inner, levels = [], []
    for found, expected in zip(batch["iuv"], again, strict=True):
        inside = (minimum_filter(expected[0], 3) == maximum_filter(expected[0], 3)) & (expected[0] > 0)
        same = found[0] == expected[0]
        assert same.mean() > 0.88
        inner.append(same[inside])
        levels.append(np.abs(found[1:].astype(int) - expected[1:])[:, same & inside].ravel())
    assert np.concatenate(inner).mean() > 0.993
    assert np.concatenate(levels).mean() < 8
    covered = (batch["iuv"][:, 0] > 0).mean(axis=(1, 2))
    assert batch["part_visibility"].sum(axis=1) == pytest.approx(covered, abs=1e-6)


def test_the_body_has_the_uv_maps(batch, posed, body):
    """Within the steps of float16: 1 mm for points and joints, 2 mm for their difference."""
    space, (again, _) = UVSpace(onepiece_for_body(body), UV_PX), posed
    assignment = part_assignment(body, space, "lsp14")
    root = again.joints[:, 0]
    location = space.location(again.vertices, root)
    joint = joint_map(assigned_joints(body, again, "lsp14"), root, assignment)
    assert np.abs(batch["location"] - location).max() < 1e-3
    assert np.abs(batch["joint"] - joint).max() < 1e-3
    assert np.abs(batch["displacement"] - (batch["location"] - batch["joint"])).max() < 2e-3


def test_the_picture_is_the_region_where_the_cameras_look(batch, root, body, seed):
    """Bilinear, in steps of 1/32 px, channels multiplied: 1.2 of 255 on average where nothing is in front."""
    regions = list(ShardDataset(root, None, ("image", "region_affine"), shuffle=False))
    cropper = Cropper(body, WILD, seed=seed)
    y, x = np.mgrid[4:224:8, 4:224:8].reshape(2, -1)
    for row, number in enumerate(batch["row_number"].tolist()):
        full = apply_affine(np.stack([x, y], 1) + 0.5, invert_affine(batch["crop_affine"][row].astype(float)))
        at = apply_affine(full, regions[number]["region_affine"].numpy().astype(float)) - 0.5
        stored = regions[number]["image"].numpy().astype(float)
        change = cropper.change((seed % 3, 0, number))
        inside = ((at > 1) & (at < 98)).all(axis=1) & (change.occluder_seed is None)
        for plane, gain, found in zip(stored, change.gains, batch["image"][row], strict=True):
            expected = np.minimum(map_coordinates(plane, at[inside].T[::-1], order=1) * gain, 255)
            assert np.abs(found[y, x][inside] - expected).sum() <= 1.2 * inside.sum()


def test_things_in_front_change_the_picture_alone(batch, root, body, seed):
    """Without them, the same seed gives the same rows, and the same pixels where they are not."""
    bare = as_arrays(root, Cropper(body, replace(WILD, occlusion=0), seed=seed), seed)
    for name in bare.keys() - {"image", "covered"}:
        assert np.array_equal(batch[name], bare[name]) or np.array_equal(batch[name], bare[name], equal_nan=True), name
    assert not bare["covered"].any()
    hidden = batch["covered"].mean(axis=(1, 2))
    assert 2 <= (hidden > 0).sum() <= 20
    assert hidden.max() < 0.85
    differs = (batch["image"] != bare["image"]).any(axis=1)
    assert differs[batch["covered"]].mean() > 0.9
    assert differs[~batch["covered"]].mean() < 0.01  # soft edges


def test_every_kind_of_change_was_met(root, body):
    """Over the seeds, each kind of change came often, so that the checks above say something."""
    changes = [Cropper(body, WILD, seed=seed).change((seed % 3, 0, number)) for seed in SEEDS for number in range(22)]
    counts = {
        "flip": sum(change.flip for change in changes),
        "turn": sum(change.turn != 0 for change in changes),
        "scale": sum(change.scale != 1 for change in changes),
        "shift": sum(change.shift != (0, 0) for change in changes),
        "occlusion": sum(change.occluder_seed is not None for change in changes),
        "upper body": sum(change.upper_body for change in changes),
        "flip and turn": sum(change.flip and change.turn != 0 for change in changes),
    }
    assert min(counts.values()) > 15, counts

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import PARENTS, SMPL_FLIP, SMPL_NAMES
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import apply_affine
from hmrtk.toolkit.maps.atlas import reference_atlas
from hmrtk.toolkit.maps.iuv import render_iuv_projected
from hmrtk.toolkit.maps.partial_charts import VISIBILITY_MASK
from hmrtk.toolkit.maps.partial_rois import (
    ALPHA,
    ALPHA_EQUAL,
    BONE_OFFSET,
    BONE_RATIO,
    Rois,
    bone_rois,
    fitted_alpha,
    foreground_extent,
    joint_rois,
)
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.sources.embedded import embedded_records

Views = tuple[NDArray[np.float64], NDArray[np.uint8]]
Make = Callable[[NDArray[np.float64], NDArray[np.uint8]], Rois]
SIZE = 56
NAMED = {name: index for index, name in enumerate(SMPL_NAMES)}


def _views(body: BodyModel, split: str, count: int) -> Views:
    """Joints (N, 24, 2) px and maps (N, 3, 56, 56) of embedded records."""
    records = embedded_records(split, body, count)
    camera = Projection.crop(record_crops(records, body).camera, SIZE)
    posed = body.pose(records.parameters().replaced(transl=np.zeros((count, 3))))
    iuv = render_iuv_projected(posed.vertices, camera, reference_atlas(), SIZE)
    return project(posed.joints, camera)[..., :2], iuv


@pytest.fixture(scope="module")
def views(body: BodyModel) -> Views:
    return _views(body, "val", 200)


@pytest.fixture
def plain() -> Views:
    """A 20 px map: torso front in rows 4..11 and columns 2..7; all joints at (5, 8), but for a bent left arm."""
    iuv = np.zeros((1, 3, 20, 20), np.uint8)
    iuv[0, 0, 4:12, 2:8] = 2
    joints = np.full((1, 24, 2), [5.0, 8.0])
    joints[0, NAMED["left_elbow"]] = 8, 12
    joints[0, NAMED["left_wrist"]] = joints[0, NAMED["left_hand"]] = 11, 12
    return joints, iuv


def test_equation_2_by_hand(plain: Views) -> None:
    rois = joint_rois(*plain, alpha=ALPHA_EQUAL)
    np.testing.assert_allclose(rois.scale, 0.5 * 8 / 20 + 0.1)
    np.testing.assert_allclose(rois.center[0, NAMED["left_wrist"]], [11 / 10 - 1, 12 / 10 - 1])
    assert rois.valid.all()
    ramp = np.arange(24) / 10
    np.testing.assert_allclose(joint_rois(*plain, alpha=ramp, delta=0.3).scale[0], ramp * 8 / 20 + 0.3)


def test_bone_lengths_by_hand(plain: Views) -> None:
    rois = bone_rois(*plain, ratio=0.5, offset=0.07)
    whole = 6 / 20  # half of the joints' box, 6 px wide on a map of 2 units per 20 px
    assert rois.scale[0, NAMED["pelvis"]] == pytest.approx(whole)
    assert rois.scale[0, NAMED["spine3"]] == pytest.approx(0.07)  # seen, all its neighbours at the same place
    for unseen in ("left_knee", "left_elbow", "left_wrist", "left_hand", "head"):
        assert rois.scale[0, NAMED[unseen]] == pytest.approx(0.8 * whole)
    joints, iuv = plain[0], plain[1].copy()
    iuv[0, 0, 11:14, 6:12] = 19
    arm = bone_rois(joints, iuv, ratio=0.5, offset=0.07).scale[0]
    assert arm[NAMED["left_elbow"]] == pytest.approx(0.5 * 0.5 + 0.07)  # the upper arm is 5 px, the lower 3
    assert arm[NAMED["left_wrist"]] == pytest.approx(0.5 * 0.3 + 0.07)
    assert arm[NAMED["left_hand"]] == pytest.approx(0.07)


def test_the_farthest_child_counts(plain: Views) -> None:
    joints, spine = plain[0].copy(), NAMED["spine3"]
    children = [child for child, parent in enumerate(PARENTS) if parent == spine]
    assert len(children) == 3
    joints[0, children] = [[5, 7], [5, 6], [7, 8]]
    assert bone_rois(joints, plain[1], ratio=1, offset=0).scale[0, spine] == pytest.approx(0.2)
    joints[0, children[1]] = np.nan
    assert bone_rois(joints, plain[1], ratio=1, offset=0).scale[0, spine] == pytest.approx(0.2)


@pytest.mark.parametrize("make", [joint_rois, bone_rois])
def test_what_cannot_be_made_is_marked_and_harms_no_other(make: Make, views: Views) -> None:
    joints, iuv = views[0][:5].copy(), views[1][:5].copy()
    clean = make(joints, iuv)
    iuv[1] = 0
    joints[2, 18, 1], joints[3, 20], joints[4, :] = np.nan, [-3, 10], np.inf
    rois = make(joints, iuv)
    expected = clean.valid.copy()
    expected[[1, 4]] = expected[2, 18] = expected[3, 20] = False
    np.testing.assert_array_equal(rois.valid, expected)
    assert np.isfinite(rois.theta).all()
    assert (rois.scale > 0).all()
    assert (rois.center[~rois.valid] == 0).all()
    assert (rois.scale[~rois.valid] == 1).all()
    np.testing.assert_array_equal(rois.theta[0], clean.theta[0])
    np.testing.assert_array_equal(rois.theta[2, :16], clean.theta[2, :16])


def test_no_maps_give_no_regions() -> None:
    for make in (joint_rois, bone_rois):
        rois = make(np.zeros((0, 24, 2)), np.zeros((0, 3, 8, 8), np.uint8))
        assert (len(rois), rois.theta.shape) == (0, (0, 24, 2, 3))


def test_affine_and_theta_are_each_other_s_inverse(views: Views) -> None:
    rois = joint_rois(*views)
    corners = np.array([[0, 0], [40, 0], [40, 40.0]])
    at = (corners / 20 - 1) @ np.swapaxes(rois.theta[..., :2], -1, -2) + rois.theta[..., None, :, 2]
    np.testing.assert_allclose(apply_affine((at + 1) / 2 * SIZE, rois.affine(SIZE, 40)), corners + 0 * at, atol=1e-9)
    np.testing.assert_array_equal(rois[3:5].theta, rois.theta[3:5])


def test_extent_of_the_foreground(views: Views) -> None:
    for value, iuv in zip(foreground_extent(views[1]), views[1], strict=True):
        rows, cols = np.nonzero(iuv[0])
        assert value == (max(np.ptp(rows), np.ptp(cols)) + 1) / SIZE
    np.testing.assert_array_equal(foreground_extent(np.zeros((2, 3, 8, 8), np.uint8)), 0)


def test_default_tables_are_symmetric_and_in_the_published_ranges() -> None:
    for table in (ALPHA, ALPHA_EQUAL, BONE_RATIO, BONE_OFFSET):
        np.testing.assert_array_equal(table[list(SMPL_FLIP)], table)
    assert ((BONE_RATIO[1:] >= 0.36) & (BONE_RATIO[1:] <= 1.60)).all()
    assert ((BONE_OFFSET[1:] >= 0.014) & (BONE_OFFSET[1:] <= 0.755)).all()


def test_default_alpha_is_that_of_real_poses(body: BodyModel) -> None:
    fitted = fitted_alpha(*_views(body, "train", 400))
    np.testing.assert_array_equal(fitted[list(SMPL_FLIP)], fitted)
    np.testing.assert_allclose(fitted, ALPHA, atol=0.02)


@pytest.mark.parametrize("make", [joint_rois, bone_rois])
def test_regions_hold_their_joint_s_charts(make: Make, views: Views) -> None:
    """Poses that the defaults were not fitted to, plain and jittered. Measured: the least share is 0.961 in both."""
    joints, iuv = views
    rois = make(joints, iuv)
    for regions, least in ((rois, 0.95), (rois.jittered(np.random.default_rng(0)), 0.93)):
        for k in range(24):
            n, row, col = np.nonzero(VISIBILITY_MASK[k][iuv[:, 0]])
            at = (np.stack([col, row], axis=1) + 0.5) * 2 / SIZE - 1
            held = (np.abs(at - regions.center[n, k]) <= regions.scale[n, k, None]).all(axis=1)
            assert held.mean() > least, SMPL_NAMES[k]


def test_fitted_alpha_by_hand(plain: Views) -> None:
    joints, iuv = np.full((1, 24, 2), [5.0, 8.0]), plain[1].copy()
    iuv[0, 0, 4:8, 2:8] = np.arange(1, 25).reshape(4, 6)
    # The farther of the head's two pixels has its centre at (7.5, 7.5): 0.25 units from the joint.
    expected = ((0.25 + 0.05) / 0.9 - 0.1) / (8 / 20)
    assert fitted_alpha(joints, iuv, covered=1)[NAMED["head"]] == pytest.approx(expected)
    near = ((0.15 + 0.05) / 0.9 - 0.1) / (8 / 20)
    assert fitted_alpha(joints, iuv, covered=0.5)[NAMED["head"]] == pytest.approx((expected + near) / 2)
    assert fitted_alpha(joints, iuv, delta=0.9, covered=1)[NAMED["head"]] == 0


def test_jitter_stays_in_its_range_and_is_repeatable(views: Views) -> None:
    rois = joint_rois(*views)
    broken = Rois(rois.center, rois.scale, rois.valid & (np.arange(24) != 7))
    first, again = (broken.jittered(np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first.theta, again.theta)
    kept = first.valid
    np.testing.assert_array_equal(kept, broken.valid)
    off, ratio = np.abs(first.center - rois.center)[kept], (first.scale / rois.scale)[kept]
    assert 0.049 < off.max() <= 0.05
    assert 0.9 <= ratio.min() < 0.901
    assert 1.099 < ratio.max() <= 1.1
    assert (first.center[:, 7] == 0).all()
    assert (first.scale[:, 7] == 1).all()
    np.testing.assert_array_equal(rois.jittered(np.random.default_rng(0), 0, 0).theta, rois.theta)


def test_mirrored_twice_is_the_same(views: Views) -> None:
    rois = joint_rois(*views)
    np.testing.assert_array_equal(rois.mirrored().mirrored().theta, rois.theta)
    mirrored = joint_rois((views[0] * [-1, 1] + [SIZE, 0])[:, list(SMPL_FLIP)], views[1][..., ::-1])
    np.testing.assert_allclose(mirrored.theta, rois.mirrored().theta, atol=1e-12)


def test_errors(views: Views) -> None:
    joints, iuv = views[0][:2], views[1][:2]
    with pytest.raises(InputError, match=r"joints: expected shape \(2, 24, 2\), got \(2, 24, 3\)"):
        joint_rois(np.zeros((2, 24, 3)), iuv)
    with pytest.raises(InputError, match=r"IUV map: expected uint8 \(N, 3, S, S\), got uint8 \(2, 3, 56, 50\)"):
        bone_rois(joints, iuv[..., :50])
    with pytest.raises(InputError, match="IUV map: has chart 25, expected 0 to 24"):
        joint_rois(joints, np.full_like(iuv, 25))
    with pytest.raises(InputError, match=r"alpha: expected one number or \(24,\), got shape \(23,\)"):
        joint_rois(joints, iuv, alpha=ALPHA[1:])
    with pytest.raises(InputError, match="ratio: is negative or not finite"):
        bone_rois(joints, iuv, ratio=-1.0)
    with pytest.raises(InputError, match=r"jitter: expected centre >= 0 and 0 <= scale < 1, got 0\.05 and 1"):
        joint_rois(joints, iuv).jittered(np.random.default_rng(0), scale=1)
    with pytest.raises(InputError, match="covered: expected a share from 0 to 1, got 95"):
        fitted_alpha(joints, iuv, covered=95)
    with pytest.raises(InputError, match="IUV maps: show no pixel of the pelvis's charts"):
        fitted_alpha(joints, np.zeros_like(iuv))

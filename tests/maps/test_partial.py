from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import SMPL_FLIP, SMPL_NAMES
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.reference import mirror_vertices
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import reference_atlas
from hmrtk.toolkit.maps.iuv import render_iuv_projected
from hmrtk.toolkit.maps.iuv_form import from_one_hot, one_hot
from hmrtk.toolkit.maps.mirror import mirror_iuv
from hmrtk.toolkit.maps.partial import (
    drawn_charts,
    drop_charts,
    from_one_hot_partial,
    joint_visibility,
    mirror_partial,
    one_hot_partial,
    partial_iuv,
    render_partial,
    simplified,
)
from hmrtk.toolkit.maps.partial_charts import KEPT_CHARTS, KEPT_MASK, VISIBILITY_CHARTS
from hmrtk.toolkit.maps.partial_rois import Rois, joint_rois
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.sources.embedded import embedded_records

SIZE = 56
NAMED = {name: index for index, name in enumerate(SMPL_NAMES)}


@dataclass(frozen=True)
class Scene:
    """Posed embedded records with their cameras, joints (N, 24, 2) px, maps and regions."""

    vertices: NDArray[np.float32]
    projection: Projection
    joints: NDArray[np.float64]
    iuv: NDArray[np.uint8]
    rois: Rois


def _scene(vertices: NDArray[np.float32], joints: NDArray[np.float32], camera: NDArray[np.float64], size: int) -> Scene:
    projection = Projection.crop(camera, size)
    iuv = render_iuv_projected(vertices, projection, reference_atlas(), size)
    points = project(joints, projection)[..., :2]
    return Scene(vertices, projection, points, iuv, joint_rois(points, iuv))


@pytest.fixture(scope="module")
def posed(body: BodyModel) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    records = embedded_records("val", body, 12)
    result = body.pose(records.parameters().replaced(transl=np.zeros((12, 3))))
    return result.vertices, result.joints, record_crops(records, body).camera


@pytest.fixture(scope="module")
def scene(posed: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]) -> Scene:
    return _scene(*posed, SIZE)


@pytest.fixture(scope="module")
def partial(scene: Scene) -> NDArray[np.uint8]:
    return partial_iuv(scene.iuv, scene.rois)


@pytest.fixture
def every_chart() -> NDArray[np.uint8]:
    """(2, 24, 3, 6, 6) coded partial maps with every chart and many levels."""
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 256, (2, 24, 3, 6, 6)).astype(np.uint8)
    maps[:, :, 0] = rng.integers(0, 25, (2, 24, 6, 6))
    return np.where(maps[:, :, :1] > 0, maps, 0).astype(np.uint8)


def _rois_of(center: float, scale: float) -> Rois:
    return Rois(np.full((1, 24, 2), center), np.full((1, 24), scale), np.ones((1, 24), np.bool_))


def test_sampling_by_hand() -> None:
    iuv = np.zeros((1, 3, 4, 4), np.uint8)
    iuv[0, 0] = np.arange(1, 17).reshape(4, 4)
    whole = partial_iuv(iuv, _rois_of(0.0, 1.0), 4)
    np.testing.assert_array_equal(whole, np.broadcast_to(iuv[:, None], (1, 24, 3, 4, 4)))
    corner = partial_iuv(iuv, _rois_of(0.5, 0.5), 4)[0, 5, 0]
    np.testing.assert_array_equal(corner, np.repeat(np.repeat([[11, 12], [15, 16]], 2, axis=0), 2, axis=1))
    beyond = partial_iuv(iuv, _rois_of(1.0, 1.0), 4)[0, 5, 0]
    np.testing.assert_array_equal(beyond, [[11, 12, 0, 0], [15, 16, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("size", [56, 31])
def test_sampling_equals_torch(scene: Scene, size: int) -> None:
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    regions = scene.rois.jittered(np.random.default_rng(1))
    count = len(regions)
    grid = affine_grid(
        torch.from_numpy(regions.theta.reshape(-1, 2, 3)), [24 * count, 3, size, size], align_corners=False
    )
    maps = torch.from_numpy(np.repeat(scene.iuv, 24, axis=0).astype(np.float64))
    expected = grid_sample(maps, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    got = partial_iuv(scene.iuv, regions, size)
    assert (got[:, :, 0] > 0).mean() > 0.1
    assert regions.valid.all()
    np.testing.assert_array_equal(got, expected.numpy().reshape(got.shape))


def test_threads_do_not_change_the_result(scene: Scene, partial: NDArray[np.uint8]) -> None:
    for threads in (1, 3):
        np.testing.assert_array_equal(partial_iuv(scene.iuv, scene.rois, threads=threads), partial)


def test_rendering_equals_the_rendered_map_where_the_region_is_the_map(scene: Scene) -> None:
    count = len(scene.iuv)
    whole = Rois(np.zeros((count, 24, 2)), np.ones((count, 24)), np.arange(24) < np.full((count, 1), 20))
    got = render_partial(scene.vertices, scene.projection, whole, reference_atlas(), SIZE)
    assert (got[:, :20] != scene.iuv[:, None]).mean() < 1e-5  # the camera is multiplied by ones and rounded anew
    assert not got[:, 20:].any()


def test_rendering_is_the_limit_of_sampling(
    scene: Scene,
    partial: NDArray[np.uint8],
    posed: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]],
) -> None:
    """Charts agree inside them, and everywhere the more, the finer the map that is sampled."""
    rendered = render_partial(scene.vertices, scene.projection, scene.rois, reference_atlas(), SIZE)
    interior, whole = _agreement(partial, rendered)
    # Measured: 0.983 and 0.823 from a 56 px map; 0.9998 and 0.974 from 448 px, with U and V one level off.
    assert interior > 0.975
    assert 0.8 < whole < 0.9
    fine = render_iuv_projected(scene.vertices, Projection.crop(posed[2], 8 * SIZE), reference_atlas(), 8 * SIZE)
    sampled = partial_iuv(fine, scene.rois)
    interior, whole = _agreement(sampled, rendered)
    assert interior > 0.999
    assert whole > 0.96
    same = (sampled[:, :, 0] == rendered[:, :, 0]) & (rendered[:, :, 0] > 0)
    off = np.abs(sampled.astype(int) - rendered)[:, :, 1:].max(axis=2)[same]
    assert np.median(off) <= 2


def _agreement(sampled: NDArray[np.uint8], rendered: NDArray[np.uint8]) -> tuple[float, float]:
    """Share of equal charts among the pixels inside a chart of ``rendered`` (their four neighbours have the same), and
    among all that are foreground in either."""
    chart, other = rendered[:, :, 0], sampled[:, :, 0]
    middle = chart[..., 1:-1, 1:-1]
    inside = middle > 0
    for rows, cols in ((0, 1), (2, 1), (1, 0), (1, 2)):
        inside &= chart[..., rows : rows + middle.shape[-2], cols : cols + middle.shape[-1]] == middle
    either = (chart > 0) | (other > 0)
    return (middle == other[..., 1:-1, 1:-1])[inside].mean(), (chart == other)[either].mean()


def test_nothing_is_shown_outside_the_map(scene: Scene) -> None:
    """A RoI half outside: the person goes on there, the global map does not."""
    joints = scene.joints.copy()
    joints[:] = [SIZE / 2, 0.9 * SIZE]
    tight = Projection(scene.projection.matrix * np.array([[[2.0], [2.0]]]), scene.projection.translation)
    regions = joint_rois(joints, scene.iuv)
    got = render_partial(scene.vertices, tight, regions, reference_atlas(), SIZE)
    sampled = partial_iuv(np.full_like(scene.iuv, 1), regions)
    assert got.any()
    assert (sampled[:, :, 0] == 0).any()
    assert not got[np.broadcast_to(sampled[:, :, :1] == 0, got.shape)].any()


def test_simplified_keeps_the_joint_s_charts_alone(every_chart: NDArray[np.uint8]) -> None:
    got = simplified(every_chart)
    for joint in range(24):
        kept = np.isin(every_chart[:, joint, 0], KEPT_CHARTS[joint])
        np.testing.assert_array_equal(got[:, joint], np.where(kept[:, None], every_chart[:, joint], 0))
    np.testing.assert_array_equal(simplified(got), got)
    np.testing.assert_array_equal(simplified(every_chart[0]), got[0])


def test_seven_channels_by_hand() -> None:
    one = np.zeros((24, 3, 1, 3), np.uint8)
    one[NAMED["left_foot"], :, 0] = np.array([[14, 5, 2], [51, 102, 9], [255, 0, 9]])
    index, u, v = (plane[NAMED["left_foot"], :, 0] for plane in one_hot_partial(one))
    # Kept charts 8, 10, 12, 14, 5, 5: the foot fills its two channels; the torso is background here.
    np.testing.assert_array_equal(index.T, [[0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1], [1, 0, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(u.T, index.T * np.array([[0.2], [0.4], [0]]), rtol=1e-6)
    np.testing.assert_allclose(v.T, index.T * np.array([[1], [0], [0]]), rtol=1e-6)


def test_seven_channels_there_and_back(every_chart: NDArray[np.uint8]) -> None:
    forms = one_hot_partial(every_chart)
    assert all(plane.shape == (2, 24, 7, 6, 6) and plane.dtype == np.float32 for plane in forms)
    np.testing.assert_array_equal(from_one_hot_partial(*forms), simplified(every_chart))
    noisy = forms[0] * 3 + np.random.default_rng(3).uniform(0, 2, forms[0].shape)
    np.testing.assert_array_equal(from_one_hot_partial(noisy, *forms[1:]), simplified(every_chart))


def test_seven_channels_are_those_of_the_full_form(every_chart: NDArray[np.uint8]) -> None:
    """The 25-channel form of the same map, its kept channels picked out (D-Net-AP keeps them all)."""
    seven, full = one_hot_partial(every_chart), one_hot(every_chart)
    for joint in range(24):
        for few, many in zip(seven, full, strict=True):
            np.testing.assert_array_equal(few[:, joint, 1:], many[:, joint, KEPT_CHARTS[joint]])
        background = full[0][:, joint, ~KEPT_MASK[joint]].sum(axis=1)
        np.testing.assert_array_equal(seven[0][:, joint, 0], background)
    np.testing.assert_array_equal(from_one_hot(*full), every_chart)


def test_part_drop_drops_the_same_charts_everywhere(scene: Scene, partial: NDArray[np.uint8]) -> None:
    dropped = drawn_charts(len(partial), np.random.default_rng(5))
    fewer = drop_charts(scene.iuv, dropped)
    for n, gone in enumerate(dropped):
        expected = np.where(np.isin(scene.iuv[n, 0], np.flatnonzero(gone)), 0, scene.iuv[n])
        np.testing.assert_array_equal(fewer[n], expected)
    assert (fewer != scene.iuv).any()
    np.testing.assert_array_equal(partial_iuv(fewer, scene.rois), drop_charts(partial, dropped))


def test_part_drop_draws_at_its_rate() -> None:
    dropped = drawn_charts(4000, np.random.default_rng(0))
    np.testing.assert_array_equal(dropped, drawn_charts(4000, np.random.default_rng(0)))
    assert not dropped[:, 0].any()
    np.testing.assert_allclose(dropped[:, 1:].mean(axis=0), 0.3, atol=0.03)
    assert not drawn_charts(3, np.random.default_rng(0), rate=0).any()
    assert drawn_charts(3, np.random.default_rng(0), rate=1)[:, 1:].all()


def test_visibility_by_hand(partial: NDArray[np.uint8]) -> None:
    maps = np.zeros((24, 3, 4, 4), np.uint8)
    maps[NAMED["left_knee"], 0, 0, 0] = 12
    maps[NAMED["right_knee"], 0, 0, 0] = 12
    maps[NAMED["left_hip"], 0, :2] = 1
    maps[NAMED["head"], 0, 1, :3] = 23
    assert [SMPL_NAMES[k] for k in np.flatnonzero(joint_visibility(maps))] == ["left_knee", "head"]
    assert [SMPL_NAMES[k] for k in np.flatnonzero(joint_visibility(maps, pixels=3))] == ["head"]
    seen = joint_visibility(partial)
    np.testing.assert_array_equal(seen, joint_visibility(simplified(partial)))
    expected = [[np.isin(view[0], VISIBILITY_CHARTS[k]).any() for k, view in enumerate(views)] for views in partial]
    np.testing.assert_array_equal(seen, expected)
    assert 0.9 < seen.mean() < 1


def test_mirrored_picture_gives_mirrored_partial_maps(
    scene: Scene, posed: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]
) -> None:
    atlas, sign = reference_atlas(), np.array([-1, 1, 1], np.float32)
    vertices, joints, camera = posed
    other = _scene(vertices[:, mirror_vertices()] * sign, joints[:, list(SMPL_FLIP)] * sign, camera * [1, -1, 1], SIZE)
    plain = partial_iuv(scene.iuv, scene.rois)
    # The mirrored map itself: bit for bit, but where a position is half way between two pixels.
    exact = partial_iuv(mirror_iuv(scene.iuv, atlas), scene.rois.mirrored())
    assert (exact != mirror_partial(plain, atlas)).mean() < 1e-4
    np.testing.assert_array_equal(mirror_partial(mirror_partial(plain, atlas), atlas), plain)
    np.testing.assert_array_equal(simplified(mirror_partial(plain, atlas)), mirror_partial(simplified(plain), atlas))
    # The mirrored body, projected and rendered anew: joints are float32, so a RoI may be a hair off.
    got = partial_iuv(other.iuv, other.rois)
    assert (got[:, :, 0] != exact[:, :, 0]).mean() < 2e-3
    np.testing.assert_array_equal(joint_visibility(got), joint_visibility(plain)[:, list(SMPL_FLIP)])
    rendered, mirrored = (render_partial(s.vertices, s.projection, s.rois, atlas, SIZE) for s in (scene, other))
    assert (mirrored[:, :, 0] != mirror_partial(rendered, atlas)[:, :, 0]).mean() < 2e-3


def test_what_is_not_valid_is_empty(scene: Scene) -> None:
    joints, iuv = scene.joints[:2].copy(), scene.iuv[:2].copy()
    iuv[1], joints[0, 4] = 0, np.nan
    rois = joint_rois(joints, iuv)
    for maps in (
        partial_iuv(iuv, rois),
        render_partial(scene.vertices[:2], scene.projection[:2], rois, reference_atlas(), SIZE),
    ):
        assert not maps[1].any()
        assert not maps[0, 4].any()
        assert maps[0, :4, 0].any(axis=(1, 2)).all()
    nothing = partial_iuv(iuv[:0], rois[:0], 8)
    assert nothing.shape == (0, 24, 3, 8, 8)
    assert simplified(nothing).shape == nothing.shape


def test_errors(scene: Scene, partial: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match=r"rois: expected centres \(12, 24, 2\), got \(3, 24, 2\)"):
        partial_iuv(scene.iuv, scene.rois[:3])
    with pytest.raises(InputError, match="size: expected a partial map of at least 1 px, got 0"):
        partial_iuv(scene.iuv, scene.rois, 0)
    with pytest.raises(InputError, match=r"IUV map: expected uint8 \(N, 3, S, S\), got int64"):
        partial_iuv(scene.iuv.astype(np.int64), scene.rois)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"rois: expected centres \(2, 24, 2\), got \(12, 24, 2\)"):
        render_partial(scene.vertices[:2], scene.projection[:2], scene.rois, reference_atlas(), SIZE)
    with pytest.raises(InputError, match=r"partial IUV map: expected uint8 \(\.\.\., 24, 3, s, s\), got uint8 \(12, 3"):
        simplified(scene.iuv)
    with pytest.raises(InputError, match="partial IUV map: has chart 25, expected 0 to 24"):
        one_hot_partial(np.full_like(partial, 25))
    with pytest.raises(InputError, match=r"expected three \(\.\.\., 24, 7, s, s\), got \(24, 6, 2, 2\)"):
        from_one_hot_partial(*[np.zeros((24, 6, 2, 2))] * 3)
    rising = np.broadcast_to(np.arange(7.0)[:, None, None], (24, 7, 2, 2))
    with pytest.raises(InputError, match=r"has U outside \[0, 1\] or NaN"):
        from_one_hot_partial(rising, *[np.full(rising.shape, np.nan)] * 2)
    with pytest.raises(InputError, match="pixels: expected at least 1, got 0"):
        joint_visibility(partial, 0)
    with pytest.raises(InputError, match="rate: expected a probability from 0 to 1, got 30"):
        drawn_charts(2, np.random.default_rng(0), 30)
    with pytest.raises(InputError, match=r"dropped: expected bool \(12, 25\), got bool \(12, 24\)"):
        drop_charts(partial, np.zeros((12, 24), np.bool_))
    with pytest.raises(InputError, match=r"got uint8 \(12, 3, 56, 56\)"):
        mirror_partial(scene.iuv, reference_atlas())

"""Crops: squares and affine maps by hand, and images warped onto pixels computed by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry import crop


def test_box_to_square_by_hand() -> None:
    center, side = crop.bbox_to_square(np.array([[10.0, 20, 30, 80]]), 1.2)
    assert center.tolist() == [[20, 50]]
    np.testing.assert_allclose(side, [72])


def test_square_corners_become_crop_corners() -> None:
    affine = crop.square_affine(np.array([100.0, 50]), np.array(40.0), 224)
    corners = np.array([[80.0, 30], [120, 70], [100, 50], [120, 30]])
    np.testing.assert_allclose(crop.apply_affine(corners, affine), [[0, 0], [224, 224], [112, 112], [224, 0]])


def test_rotation_turns_from_x_to_y() -> None:
    affine = crop.square_affine(np.array([10.0, 10]), np.array(20.0), 20, np.pi / 2)
    np.testing.assert_allclose(crop.apply_affine(np.array([[15.0, 10]]), affine), [[10, 15]], atol=1e-12)


def test_inverse_and_composition_are_identities() -> None:
    rng = np.random.default_rng(0)
    affine = crop.square_affine(rng.uniform(0, 500, (6, 2)), rng.uniform(10, 300, 6), 224, rng.uniform(-3, 3, 6))
    assert affine.shape == (6, 2, 3)
    identity = crop.compose_affine(crop.invert_affine(affine), affine)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(2, 3), (6, 2, 3)), atol=1e-10)
    points = rng.uniform(0, 500, (6, 9, 2))
    outer = crop.square_affine(np.array([112.0, 112]), np.array(224.0), 56)
    both = crop.apply_affine(points, crop.compose_affine(outer, affine))
    np.testing.assert_allclose(both, crop.apply_affine(crop.apply_affine(points, affine), outer), atol=1e-9)


def _image() -> np.ndarray:
    return np.array([[10, 20, 30, 40], [50, 60, 70, 80], [90, 100, 110, 120], [130, 140, 150, 160]], np.uint8)[
        ..., None
    ]


def test_warp_whole_image_is_the_image() -> None:
    affine = crop.square_affine(np.array([2.0, 2]), np.array(4.0), 4)
    np.testing.assert_array_equal(crop.warp_image(_image(), affine, 4), _image())


def test_warp_cuts_out_exactly_the_pixels_inside() -> None:
    affine = crop.square_affine(np.array([2.0, 3]), np.array(2.0), 2)  # x in [1, 3), y in [2, 4)
    assert crop.warp_image(_image(), affine, 2)[..., 0].tolist() == [[100, 110], [140, 150]]


def test_warp_doubles_with_centres_at_half_pixels() -> None:
    affine = crop.square_affine(np.array([2.0, 2]), np.array(4.0), 8)
    got = crop.warp_image(_image(), affine, 8)[..., 0].astype(float)
    inner = got[2, 1:7]  # output centre 2.5/2 = 1.25 in y: 0.25 of row 0, 0.75 of row 1
    x = (np.arange(1, 7) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(inner, 10 + 10 * x + 40 * 0.75, atol=0.51)


def test_warp_halves_by_averaging_blocks() -> None:
    affine = crop.square_affine(np.array([2.0, 2]), np.array(4.0), 2)
    assert crop.warp_image(_image(), affine, 2)[..., 0].tolist() == [[35, 55], [115, 135]]


def test_only_what_a_shrunk_crop_shows_is_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    averaged, average = [], crop._block_average
    monkeypatch.setattr(crop, "_block_average", lambda image, *rest: averaged.append(image) or average(image, *rest))
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (301, 411, 3), dtype=np.uint8)
    for _ in range(40):
        center, side, turn = rng.uniform(-100, 500, 2), rng.uniform(120, 400), rng.uniform(-3, 3)
        affine = crop.square_affine(center, np.float64(side), 50, turn)
        padded = crop.compose_affine(affine, np.array([[1.0, 0, -1260], [0, 1, -1260]]))  # whole blocks of 2 … 7
        large = np.full((2821, 2931, 3), 9, np.uint8)
        large[1260:1561, 1260:1671] = image
        off = np.abs(crop.warp_image(image, affine, 50, border=9).astype(int) - crop.warp_image(large, padded, 50))
        assert off.max() <= 1
    assert max(window.size for window in averaged) < large.size / 10
    assert (crop.warp_image(image, crop.square_affine(np.array([-900.0, 0]), np.array(300.0), 50), 50, 7) == 7).all()


def test_warp_does_not_alias_fine_stripes() -> None:
    stripes = np.zeros((90, 90, 3), np.uint8)
    stripes[:, ::3] = 255
    affine = crop.square_affine(np.array([45.0, 45]), np.array(90.0), 30)
    assert np.ptp(crop.warp_image(stripes, affine, 30)) <= 1


def test_warp_rotates_a_quarter_turn_exactly() -> None:
    affine = crop.square_affine(np.array([2.0, 2]), np.array(4.0), 4, np.pi / 2)
    np.testing.assert_array_equal(crop.warp_image(_image(), affine, 4), np.rot90(_image(), -1))


def test_warp_fills_the_outside_with_the_border() -> None:
    affine = crop.square_affine(np.array([0.0, 2]), np.array(4.0), 4)  # left half is outside
    got = crop.warp_image(_image().repeat(3, 2), affine, 4, border=7)
    assert got.shape == (4, 4, 3)
    assert (got[:, :2] == 7).all()
    np.testing.assert_array_equal(got[:, 2:, 0], _image()[:, :2, 0])


@pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="before version 5, OpenCV rounds places to 1/32 px")
def test_warp_is_bilinear_to_rounding() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    centre = np.stack(np.meshgrid(np.arange(100) + 0.5, np.arange(100) + 0.5), -1).reshape(-1, 2)
    for side, turn in ((40.0, 0.0), (130.0, 0.4), (199.0, -2.0)):
        affine = crop.square_affine(np.array([103.3, 90.7]), np.array(side), 100, turn)
        at = crop.apply_affine(centre, crop.invert_affine(affine)) - 0.5
        inside = ((at > 0) & (at < 199)).all(1)
        expected = np.stack([map_coordinates(image[..., k].astype(float), at.T[::-1], order=1) for k in range(3)], -1)
        assert np.abs(crop.warp_image(image, affine, 100).reshape(-1, 3) - expected)[inside].max() < 0.52


def test_points_and_pixels_agree() -> None:
    image = np.zeros((60, 60, 1), np.uint8)
    image[33, 21] = 255
    affine = crop.square_affine(np.array([25.0, 30]), np.array(20.0), 100, 0.3)
    got = crop.warp_image(image, affine, 100)[..., 0].astype(float)
    rows, columns = np.mgrid[:100, :100] + 0.5
    centroid = [(got * columns).sum() / got.sum(), (got * rows).sum() / got.sum()]
    expected = crop.apply_affine(np.array([[21.5, 33.5]]), affine)[0]
    np.testing.assert_allclose(centroid, expected, atol=0.1)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(InputError, match="bbox: is empty or not finite"):
        crop.bbox_to_square(np.array([5.0, 5, 5, 9]), 1)
    with pytest.raises(InputError, match="side: expected positive, got 0"):
        crop.square_affine(np.zeros(2), np.array(0.0), 224)
    with pytest.raises(InputError, match="affine: is singular"):
        crop.invert_affine(np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"image: expected \(H, W, C\) uint8, got \(4, 4\)"):
        crop.warp_image(np.zeros((4, 4), np.uint8), np.eye(2, 3), 4)

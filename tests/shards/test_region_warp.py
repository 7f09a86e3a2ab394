"""The fast warp gives ``warp_image``'s pictures, and SciPy's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import apply_affine, invert_affine, square_affine, warp_image
from hmrtk.toolkit.shards.region_warp import warp_region

FLIP = np.array([[-1.0, 0, 224], [0, 1, 0]])


@pytest.fixture(scope="module")
def image():
    """Smooth noise between 60 and 200."""
    coarse, at = np.random.default_rng(0).uniform(60, 200, (3, 24, 24)), np.linspace(0, 23, 400)
    planes = [map_coordinates(plane, np.meshgrid(at, at, indexing="ij"), order=1) for plane in coarse]
    return np.stack(planes, axis=-1).astype(np.uint8)


def affines(count=12, seed=0):
    rng = np.random.default_rng(seed)
    sides, turns = rng.uniform(60, 420, count), rng.uniform(-1, 1, count)
    return [
        square_affine(200 + rng.uniform(-60, 60, 2), np.float64(side), 224, turn)
        for side, turn in zip(sides, turns, strict=True)
    ]


def test_it_is_bilinear_at_pixel_centres(image):
    centre = np.stack(np.meshgrid(np.arange(224) + 0.5, np.arange(224) + 0.5), -1).reshape(-1, 2)
    for affine in affines():
        at = apply_affine(centre, invert_affine(affine)) - 0.5
        inside = ((at > 0) & (at < 399)).all(1)
        expected = np.stack([map_coordinates(image[..., k].astype(float), at.T[::-1], order=1) for k in range(3)], -1)
        off = np.abs(warp_region(image, affine, 224).reshape(-1, 3) - expected)[inside]
        assert off.mean() < 0.5
        assert off.max() < 2


def test_it_agrees_with_the_plain_warp_also_at_the_border(image):
    for affine in affines(seed=1):
        for turned in (affine, FLIP[:, :2] @ affine + [[0, 0, 224], [0, 0, 0]]):
            off = np.abs(warp_region(image, turned, 224).astype(int) - warp_image(image, turned, 224))
            assert off.mean() < 0.1
            assert off.max() <= 8  # at the border, 1/32 px from the picture to black


def test_whole_pixels_are_copied(image):
    assert np.array_equal(warp_region(image, np.array([[1.0, 0, -50], [0, 1, -70]]), 224), image[70:294, 50:274])
    mirrored = warp_region(image, np.array([[-1.0, 0, 274], [0, 1, -70]]), 224)
    assert np.array_equal(mirrored, image[70:294, 50:274][:, ::-1])


def test_far_and_small_crops_take_the_plain_warp(image):
    for affine in (
        np.array([[0.4, 0, 0], [0, 0.4, 0]]),
        np.array([[1.0, 0, 40000], [0, 1, 0]]),
        np.array([[1e-3, 0, 100], [0, 1e-3, 100]]),
    ):
        assert np.array_equal(warp_region(image, affine, 64), warp_image(image, affine, 64))


def test_threads_and_sizes_do_not_mix(image):
    work = [(affine, size) for affine in affines(8, seed=2) for size in (64, 224, 100)]
    expected = [warp_region(image, *item) for item in work]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda item: warp_region(image, *item), work))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_singular_map_is_refused(image):
    with pytest.raises(InputError, match="affine: is singular, expected an invertible map"):
        warp_region(image, np.zeros((2, 3)), 224)


def test_given_room_is_filled(image):
    for affine in (*affines(3), square_affine(np.array([200.0, 200.0]), np.float64(1200), 224, 0.2)):
        batch = np.full((2, 224, 224, 3), 7, np.uint8)
        assert warp_region(image, affine, 224, batch[1]) is not None
        assert np.array_equal(batch[1], warp_region(image, affine, 224))
        assert (batch[0] == 7).all()

"""Panoramas: packaged files, tone curve, spherical harmonics against brute-force integration, key light."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.synthesis.backdrop import camera_to_panorama, perspective_crop
from hmrtk.toolkit.synthesis.panorama import (
    FLOOR_DEGREES,
    WHITE,
    display_to_radiance,
    equirectangular_directions,
    load_panorama,
    panorama_from_jpeg,
    panorama_names,
    radiance_to_display,
    sh_basis,
)


def _encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def test_26_places_are_packaged_and_every_one_lights() -> None:
    assert len(panorama_names()) == 26
    assert set(FLOOR_DEGREES) < set(panorama_names())
    for name in panorama_names():
        panorama = load_panorama(name)
        assert panorama.irradiance[0].min() > 0
        assert 0 <= panorama.key_strength <= 1
        assert panorama.key_direction[1] < 0, "the key light comes from above"
        assert np.linalg.norm(panorama.key_direction) == pytest.approx(1)


def test_tone_curve_and_its_inverse() -> None:
    display = np.arange(256).astype(np.uint8)
    radiance = display_to_radiance(display)
    assert radiance[0] == 0
    assert radiance[255] == pytest.approx(WHITE)
    assert np.abs(radiance_to_display(radiance) - display).max() < 1e-6


def test_directions_cover_the_sphere_once() -> None:
    directions, solid_angle = equirectangular_directions(64, 128)
    assert solid_angle.sum() * 128 == pytest.approx(4 * np.pi, rel=1e-3)
    assert np.allclose(np.linalg.norm(directions, axis=-1), 1)
    assert directions[32, 64] @ [0, 0, 1] > 0.99
    assert directions[0, 0, 1] < -0.99, "the top row looks up, which is -y"


def test_sh_basis_is_orthonormal() -> None:
    directions, solid_angle = equirectangular_directions(90, 180)
    basis = sh_basis(directions)
    gram = np.einsum("hwi,hwj,hw->ij", basis, basis, np.broadcast_to(solid_angle, basis.shape[:2]))
    assert np.abs(gram - np.eye(9)).max() < 2e-3


def test_irradiance_matches_brute_force_integration() -> None:
    """On a smooth grey sky, order 2 is within 2 % of the cosine integral over every pixel."""
    directions, solid_angle = equirectangular_directions(128, 256)
    sky = 0.5 + 0.3 * directions[..., 0] - 0.2 * directions[..., 1]
    image = np.repeat(radiance_to_display(sky)[..., None], 3, axis=-1).round().astype(np.uint8)
    panorama = panorama_from_jpeg("sky", _encoded(image))
    radiance = display_to_radiance(image)
    for normal in ([1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0], [0.6, 0, -0.8]):
        cosine = np.maximum(directions @ np.array(normal), 0)
        expected = (radiance * (cosine * solid_angle)[..., None]).sum(axis=(0, 1)) / np.pi
        assert sh_basis(np.array(normal)) @ panorama.irradiance == pytest.approx(expected, rel=0.02)


def test_key_light_points_at_the_bright_spot() -> None:
    image = np.full((64, 128, 3), 60, np.uint8)
    image[14:18, 94:98] = 255
    panorama = panorama_from_jpeg("spot", _encoded(image))
    directions, _ = equirectangular_directions(64, 128)
    assert panorama.key_direction @ directions[16, 96] > 0.99
    assert panorama.key_strength > 0.3
    even = panorama_from_jpeg("even", _encoded(np.full((64, 128, 3), 128, np.uint8)))
    assert even.key_strength < 0.01


def test_a_camera_at_yaw_sees_the_longitude_it_faces() -> None:
    image = np.zeros((64, 128, 3), np.uint8)
    image[:, 92:100] = 255  # longitude (96 / 128 - 0.5) * 360 = 90 degrees: to the right of yaw 0
    panorama = panorama_from_jpeg("stripe", _encoded(image))
    ahead = perspective_crop(panorama, camera_to_panorama(np.pi / 2, 0.0), 50.0, (40, 60), 0.0)
    away = perspective_crop(panorama, camera_to_panorama(-np.pi / 2, 0.0), 50.0, (40, 60), 0.0)
    assert ahead[20, 30].min() > 2
    assert away.max() < 0.1


def test_looking_up_shows_the_upper_half() -> None:
    image = np.zeros((64, 128, 3), np.uint8)
    image[:32] = 200
    panorama = panorama_from_jpeg("halves", _encoded(image))
    level = perspective_crop(panorama, camera_to_panorama(0.3, 0.0), 60.0, (40, 40), 0.0)
    up = perspective_crop(panorama, camera_to_panorama(0.3, 0.8), 60.0, (40, 40), 0.0)
    assert level[5].min() > 0.5
    assert level[35].max() < 0.1
    assert up.min() > 0.5


def test_refusals() -> None:
    with pytest.raises(UnknownNameError, match="unknown panorama 'pm_beach'; known: "):
        load_panorama("pm_beach")
    with pytest.raises(InputError, match="panorama broken: cannot be decoded"):
        panorama_from_jpeg("broken", b"not a picture")
    with pytest.raises(InputError, match="panorama square: expected width = 2 x height, got 10 x 10"):
        panorama_from_jpeg("square", _encoded(np.zeros((10, 10, 3), np.uint8)))

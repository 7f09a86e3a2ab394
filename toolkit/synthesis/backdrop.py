"""The place behind the person: a perspective crop of a panorama, with a ground that the person darkens.

In: a panorama and the picture's camera. Out: linear RGB pictures. Called by ``scene``.
"""

from __future__ import annotations

from math import atan2, floor, sqrt

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.synthesis.light import Light, lit_share
from hmrtk.toolkit.synthesis.noise import noise2
from hmrtk.toolkit.synthesis.panorama import Panorama, display_to_radiance

_COARSENESS = 2
"""The panoramas hold 1.4 to 2.8 px per degree: sampling them at half the picture's size loses nothing."""
_CONTACT_CELLS = 56
_CONTACT_REACH_M = 0.45
_LOWEST_CAMERA_M = 0.15


def camera_to_panorama(yaw: float, elevation: float) -> NDArray[np.float64]:
    """(3, 3) rotation from the camera frame to the panorama's: looks ``elevation`` up, turned by ``yaw`` (rad)."""
    ce, se, cy, sy = np.cos(elevation), np.sin(elevation), np.cos(yaw), np.sin(yaw)
    raise_view = np.array([[1, 0, 0], [0, ce, -se], [0, se, ce]])
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return turn @ raise_view


def perspective_crop(
    panorama: Panorama, to_panorama: NDArray[np.float64], focal: float, size: tuple[int, int], blur: float
) -> NDArray[np.float32]:
    """What a camera sees of a panorama.

    Args:
        panorama: the place.
        to_panorama: (3, 3) from ``camera_to_panorama``.
        focal: px; the principal point is the picture's middle.
        size: (H, W) px.
        blur: defocus, standard deviation in px.

    Returns:
        (H, W, 3) float32 linear radiance.
    """
    height, width = size
    coarse = (-(-height // _COARSENESS), -(-width // _COARSENESS))
    crop = _sampled(panorama.image, _radiance_table(), to_panorama, focal / _COARSENESS, coarse[0], coarse[1])
    if blur > 0:
        crop = cv2.GaussianBlur(crop, (0, 0), max(0.3, blur / _COARSENESS), borderType=cv2.BORDER_REPLICATE)
    return np.maximum(cv2.resize(crop, (width, height), interpolation=cv2.INTER_CUBIC), np.float32(1e-4))


def _radiance_table() -> NDArray[np.float32]:
    return display_to_radiance(np.arange(256).astype(np.uint8)).astype(np.float32)


@njit(cache=True, nogil=True)
def _sampled(image, table, rotation, focal, height, width):  # type: ignore[no-untyped-def]
    crop = np.empty((height, width, 3), np.float32)
    rows, columns = image.shape[0], image.shape[1]
    for i in range(height):
        for j in range(width):
            x, y = (j + 0.5 - 0.5 * width) / focal, (i + 0.5 - 0.5 * height) / focal
            px = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2]
            py = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2]
            pz = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2]
            u = (atan2(px, pz) / (2.0 * np.pi) + 0.5) * columns - 0.5
            v = (atan2(py, sqrt(px * px + pz * pz)) / np.pi + 0.5) * rows - 0.5
            v = min(rows - 1.001, max(0.0, v))
            left, top = floor(u), int(v)
            u, v = u - left, v - top
            first, second = int(left) % columns, (int(left) + 1) % columns
            for k in range(3):
                upper = table[image[top, first, k]] * (1.0 - u) + table[image[top, second, k]] * u
                lower = table[image[top + 1, first, k]] * (1.0 - u) + table[image[top + 1, second, k]] * u
                crop[i, j, k] = upper * (1.0 - v) + lower * v
    return crop


def darken_ground(
    picture: NDArray[np.float32],
    vertices: NDArray[np.float32],
    focal: NDArray[np.float64],
    principal: NDArray[np.float64],
    light: Light,
    pitch: float,
    ambient_up: float,
    grain: tuple[float, float, int],
) -> bool:
    """Let the body stand on a level ground: contact darkening, the key light's shadow, and some grain, in place.

    The ground is the plane through the body's lowest point whose horizon a camera that looks up by ``pitch`` sees.

    Args:
        picture: (H, W, 3) float32 linear background.
        vertices: (V, 3) metres, camera frame.
        focal, principal: (2,) px.
        light: the key light and its shadow map.
        pitch: elevation of the camera's axis above level, rad.
        ambient_up: luminance of the ambient light on level ground.
        grain: strength, size (m) and seed of the ground's own roughness.

    Returns:
        Whether there is a ground: not when the camera is less than 15 cm above it.
    """
    down, forward = _level_axes(pitch)
    across, below, ahead = vertices.T
    level = np.stack([across, below * down[1] + ahead * down[2], below * forward[1] + ahead * forward[2]], axis=1)
    height = float(level[:, 1].max())
    if height < _LOWEST_CAMERA_M:
        return False
    corner = level[:, [0, 2]].min(axis=0) - _CONTACT_REACH_M
    cell = (level[:, [0, 2]].max(axis=0) + _CONTACT_REACH_M - corner) / _CONTACT_CELLS
    contact = _contact_map(level, height, corner, cell)
    contact = cv2.GaussianBlur(contact, (0, 0), float(0.07 / cell[0]), sigmaY=float(0.07 / cell[1]))
    ground = (contact, corner, cell, height, down, forward)
    _ground_pixels(picture, ground, focal, principal, light, ambient_up, grain)
    return True


def _level_axes(pitch: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Down and level-forward of the world in the frame of a camera that looks up by ``pitch``."""
    cosine, sine = np.cos(pitch), np.sin(pitch)
    return np.array([0, cosine, -sine], np.float32), np.array([0, sine, cosine], np.float32)


@njit(cache=True, nogil=True)
def _contact_map(vertices, height, corner, cell):  # type: ignore[no-untyped-def]
    """(cells z, cells x) how closely the body lies over each cell of the ground, 0..1."""
    contact = np.zeros((_CONTACT_CELLS, _CONTACT_CELLS), np.float32)
    for v in range(vertices.shape[0]):
        column = int((vertices[v, 0] - corner[0]) / cell[0])
        row = int((vertices[v, 2] - corner[1]) / cell[1])
        nearness = np.float32(np.exp((vertices[v, 1] - height) / 0.16))
        for i in range(max(0, row - 1), min(_CONTACT_CELLS, row + 2)):
            for j in range(max(0, column - 1), min(_CONTACT_CELLS, column + 2)):
                contact[i, j] = max(contact[i, j], nearness)
    return contact


@njit(cache=True, nogil=True)
def _ground_pixels(picture, ground, focal, principal, light, ambient, grain):  # type: ignore[no-untyped-def]
    contact, corner, cell, height, down, forward = ground
    strength, grain_m, seed = grain
    overhead = light.direction[1] * down[1] + light.direction[2] * down[2]
    key = 0.2126 * light.key[0] + 0.7152 * light.key[1] + 0.0722 * light.key[2]
    key *= max(0.0, -overhead)
    for i in range(picture.shape[0]):
        y = (i + 0.5 - principal[1]) / focal[1]
        slope = y * down[1] + down[2]
        if slope <= 1e-3:
            continue
        depth = height / slope
        away = depth * (y * forward[1] + forward[2])
        detail = min(1.0, focal[0] / depth * grain_m / 3.0)
        for j in range(picture.shape[1]):
            x = (j + 0.5 - principal[0]) / focal[0] * depth
            near = _contact_at(contact, (x - corner[0]) / cell[0] - 0.5, (away - corner[1]) / cell[1] - 0.5)
            lit = lit_share(x, y * depth, depth, light)
            factor = (ambient * (1.0 - 0.8 * near) + key * lit) / (ambient + key)
            if detail > 0.2:
                factor *= 1.0 + 1.3 * strength * detail * noise2(x / grain_m, away / grain_m, seed)
            for k in range(3):
                picture[i, j, k] *= np.float32(factor)


@njit(cache=True, nogil=True)
def _contact_at(contact, column, row):  # type: ignore[no-untyped-def]
    """``contact`` between four cells; 0 outside."""
    if not (0.0 <= column < _CONTACT_CELLS - 1 and 0.0 <= row < _CONTACT_CELLS - 1):
        return 0.0
    p, q = int(row), int(column)
    v, u = row - p, column - q
    upper = contact[p, q] * (1.0 - u) + contact[p, q + 1] * u
    return upper * (1.0 - v) + (contact[p + 1, q] * (1.0 - u) + contact[p + 1, q + 1] * u) * v

"""The place behind the person: a perspective crop of a panorama, with a ground that the person darkens.

In: a panorama and the picture's camera. Out: linear RGB pictures. Called by ``scene``.
"""

from __future__ import annotations

import functools
from math import atan2, cos, floor, sin, sqrt
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.synthesis.light import Light, lit_share
from hmrtk.toolkit.synthesis.noise import lattice, noise2
from hmrtk.toolkit.synthesis.panorama import Panorama, radiance_table

_COARSENESS = 2
"""The panoramas hold 1.4 to 2.8 px per degree: sampling them at half the picture's size loses nothing."""
_CONTACT_CELLS = 56
_CONTACT_REACH_M = 0.45
_LOWEST_CAMERA_M = 0.15
_GRAIN_PX = 512
_WIDEST_PX = 5
FLOORS = ("rough", "tiles", "planks")
_JOINT_M = 0.006
"""Half width of the joints between tiles and planks."""


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
    crop = _sampled(panorama.image, radiance_table(), to_panorama, focal / _COARSENESS, coarse[0], coarse[1])
    if blur > 0:
        crop = cv2.GaussianBlur(crop, (0, 0), max(0.3, blur / _COARSENESS), borderType=cv2.BORDER_REPLICATE)
    return np.maximum(cv2.resize(crop, (width, height), interpolation=cv2.INTER_CUBIC), np.float32(1e-4))


def sharpened(picture: NDArray[np.float32], structure: dict[str, Any], reach: float) -> NDArray[np.float32]:
    """A soft background with steep edges and a fine grain.

    The panoramas resolve 1.4 to 2.8 px per degree, so their views are softer than the person; a network could tell the
    two by that alone. Each value moves towards the darkest or the brightest of its neighbourhood, whichever is nearer,
    which steepens edges and leaves smooth places; then places that are not smooth get a grain.

    Args:
        picture: (H, W, 3) float32 linear.
        structure: ``steepness`` of edges (1: as they are), ``grain`` strength, ``corner`` (2,) of the grain, px.
        reach: width of the picture's edges, px; the neighbourhood reaches so far on both sides.

    Returns:
        (H, W, 3) float32.
    """
    side = 2 * int(min(_WIDEST_PX, max(1, round(reach)))) + 1
    kernel = np.ones((side, side), np.uint8)
    low, high = cv2.erode(picture, kernel), cv2.dilate(picture, kernel)
    row, column = structure["corner"]
    return _sharpened(picture, low, high, _grain(), structure["steepness"], structure["grain"], row, column)


@functools.lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    """(512, 512) float32 grain of three sizes, within about ±1, read-only."""
    grain = _grain_pixels(_GRAIN_PX)
    grain.flags.writeable = False
    return grain


@njit(cache=True, nogil=True)
def _grain_pixels(side):  # type: ignore[no-untyped-def]
    grain = np.empty((side, side), np.float32)
    for i in range(side):
        for j in range(side):
            coarse, middle = noise2(i * 0.21, j * 0.17, 1), noise2(i * 0.43, j * 0.47, 2)
            grain[i, j] = (0.6 + 0.4 * coarse) * (0.7 * middle + 0.6 * (lattice(i, j, 3) - 0.5)) + 0.5 * coarse
    return grain


@njit(cache=True, nogil=True, error_model="numpy")
def _sharpened(picture, low, high, grain, steepness, strength, row, column):  # type: ignore[no-untyped-def]
    height, width = picture.shape[0], picture.shape[1]
    result = np.empty_like(picture)
    steep, half, one = np.float32(steepness), np.float32(0.5), np.float32(1.0)
    for i in range(height):
        line = grain[(row + i) % _GRAIN_PX]
        for j in range(width):
            change = (high[i, j, 1] - low[i, j, 1]) / (high[i, j, 1] + low[i, j, 1])
            factor = one + np.float32(strength) * min(one, np.float32(3.0) * change) * line[(column + j) % _GRAIN_PX]
            for k in range(3):
                span = high[i, j, k] - low[i, j, k]
                place = (picture[i, j, k] - low[i, j, k]) / max(span, np.float32(1e-6))
                place = min(one, max(np.float32(0.0), (place - half) * steep + half))
                result[i, j, k] = (low[i, j, k] + span * place) * factor
    return result


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
    floor: dict[str, Any],
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
        floor: what the ground is made of: ``kind`` of ``FLOORS``, ``strength`` and ``grain_m`` (m) of its roughness,
            ``pitch_m`` and ``turn`` (rad) of its tiles or planks, ``begins`` (rad below the horizon), ``seed``.

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
    kind, turn = FLOORS.index(floor["kind"]), floor["turn"]
    sizes = (floor["strength"], floor["grain_m"], floor["pitch_m"])
    pattern = (kind, *sizes, cos(turn), sin(turn), sin(floor["begins"]), floor["seed"])
    _ground_pixels(picture, ground, focal, principal, light, ambient_up, pattern)
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


@njit(cache=True, nogil=True, error_model="numpy")
def _ground_pixels(picture, ground, focal, principal, light, ambient, pattern):  # type: ignore[no-untyped-def]
    contact, corner, cell, height, down, forward = ground
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
        texel = depth * depth / (focal[1] * height)
        built = slope > pattern[6] * sqrt(y * y + 1.0)
        for j in range(picture.shape[1]):
            x = (j + 0.5 - principal[0]) / focal[0] * depth
            near = _contact_at(contact, (x - corner[0]) / cell[0] - 0.5, (away - corner[1]) / cell[1] - 0.5)
            lit = lit_share(x, y * depth, depth, light)
            factor = (ambient * (1.0 - 0.8 * near) + key * lit) / (ambient + key)
            factor *= 1.0 + _floor_tone(x, away, texel, built, pattern)
            for k in range(3):
                picture[i, j, k] *= np.float32(factor)


@njit(cache=True, nogil=True, error_model="numpy")
def _floor_tone(x, z, texel, built, pattern):  # type: ignore[no-untyped-def]
    """Relative brightness of the floor at (x, z) metres; ``texel``: metres of floor that one px covers in depth."""
    kind, strength, grain, pitch, cosine, sine, _, seed = pattern
    tone = 0.0
    sharp = min(1.0, 0.5 * grain / texel)
    if sharp > 0.15:
        tone += strength * sharp * noise2(x / grain, z / grain, seed)
    coarse = min(1.0, 3.0 * grain / texel)
    if coarse > 0.15:
        tone += 0.7 * strength * coarse * noise2(x / (6.0 * grain), z / (6.0 * grain), seed + 1)
    if kind == 0 or not built:
        return tone
    u, v = (cosine * x + sine * z) / pitch, (cosine * z - sine * x) / (pitch if kind == 1 else 8.0 * pitch)
    if kind == 2:
        v += 0.37 * (floor(u) & 3)
    row, column = floor(u), floor(v)
    sharp = min(1.0, 0.5 * pitch / texel)
    tone += sharp * 0.8 * strength * (lattice(row, column, seed) - 0.5)
    side = min(u - row, row + 1.0 - u) * pitch
    end = min(v - column, column + 1.0 - v) * (pitch if kind == 1 else 8.0 * pitch)
    if min(side, end) < _JOINT_M + 0.5 * texel:
        tone -= 0.35 * min(1.0, 2.0 * _JOINT_M / texel)
    return tone


@njit(cache=True, nogil=True)
def _contact_at(contact, column, row):  # type: ignore[no-untyped-def]
    """``contact`` between four cells; 0 outside."""
    if not (0.0 <= column < _CONTACT_CELLS - 1 and 0.0 <= row < _CONTACT_CELLS - 1):
        return 0.0
    p, q = int(row), int(column)
    v, u = row - p, column - q
    upper = contact[p, q] * (1.0 - u) + contact[p, q + 1] * u
    return upper * (1.0 - v) + (contact[p + 1, q] * (1.0 - u) + contact[p + 1, q + 1] * u) * v

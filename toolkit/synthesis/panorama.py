"""The packaged panoramas: places to stand in, and the light they give.

In: a name. Out: ``Panorama``: picture, irradiance, brightest direction. Called by ``scene`` and ``backdrop``.

The panorama's frame is the camera's at yaw 0: x right, y down, z forward; longitude grows to the right.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError

_TONE = 9.0
"""The panoramas were encoded as y = x (1 + x/9) / (1 + x), then gamma 2.2: Reinhard's curve, white at 3."""
_GAMMA = 2.2
WHITE = 3.0
"""Radiance that the tone curve maps to display white."""
FLOOR_DEGREES = {
    "bpy_interior": 34.0,
    "pm_apartment": 30.0,
    "bpy_courtyard": 22.0,
    "pm_bridge": 18.0,
    "pm_esplanade": 24.0,
    "pm_lab": 30.0,
    "pm_lobby": 24.0,
    "pm_studio": 38.0,
    "bpy_studio": 38.0,
    "pm_workshop": 22.0,
    "bpy_sunset": 32.0,
    "pm_venice": 28.0,
}
"""Degrees below the horizon where floor begins all round, read off the pictures; ``OPEN_FLOOR_DEGREES`` elsewhere."""
OPEN_FLOOR_DEGREES = 9.0
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_COSINE_LOBE = (np.pi, 2 * np.pi / 3, 2 * np.pi / 3, 2 * np.pi / 3, *(np.pi / 4,) * 5)
"""Ramamoorthi & Hanrahan 2001, Eq. 8: what convolving with the clamped cosine does to each band."""


@dataclass(frozen=True)
class Panorama:
    """One place.

    Attributes:
        name: file name without its ending.
        image: (H, W, 3) uint8 display RGB, equirectangular, W = 2 H.
        irradiance: (9, 3) float64; ``sh_basis(n) @ irradiance`` is the irradiance / π on a surface facing n.
        key_direction: (3,) unit vector towards the brightest region.
        key_colour: (3,) its colour, luminance 1.
        key_strength: 0 (even light) .. 1 (one small source): how far the brightest region stands out.
    """

    name: str
    image: NDArray[np.uint8]
    irradiance: NDArray[np.float64]
    key_direction: NDArray[np.float64]
    key_colour: NDArray[np.float64]
    key_strength: float


@functools.lru_cache(maxsize=1)
def panorama_names() -> tuple[str, ...]:
    """Names of the packaged panoramas, sorted."""
    folder = resources.files("hmrtk.toolkit.synthesis") / "data"
    return tuple(sorted(entry.name[: -len(".jpg")] for entry in folder.iterdir() if entry.name.endswith(".jpg")))


@functools.lru_cache(maxsize=64)
def load_panorama(name: str) -> Panorama:
    """Read a packaged panorama; the result is shared, its arrays are read-only.

    Raises:
        UnknownNameError: no such panorama.
        InputError: the packaged file cannot be decoded (a damaged installation).
    """
    if name not in panorama_names():
        raise UnknownNameError("panorama", name, panorama_names())
    data = (resources.files("hmrtk.toolkit.synthesis") / "data" / f"{name}.jpg").read_bytes()
    return panorama_from_jpeg(name, data)


def panorama_from_jpeg(name: str, data: bytes) -> Panorama:
    """Decode a panorama and measure its light.

    Raises:
        InputError: not a picture, or not twice as wide as high.
    """
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if decoded is None:
        raise InputError(f"panorama {name}", "cannot be decoded as a picture", "install hmrtk again")
    if decoded.shape[1] != 2 * decoded.shape[0]:
        raise InputError(
            f"panorama {name}", f"expected width = 2 x height, got {decoded.shape[1]} x {decoded.shape[0]}"
        )
    image = np.ascontiguousarray(decoded[..., ::-1])
    # light is smooth: a small copy is enough to integrate it
    small = display_to_radiance(cv2.resize(image, (128, 64), interpolation=cv2.INTER_AREA))
    directions, solid_angle = equirectangular_directions(64, 128)
    irradiance = _irradiance(small, directions, solid_angle)
    key = _key_light(small, directions, solid_angle)
    for array in (image, irradiance, *key[:2]):
        array.flags.writeable = False
    return Panorama(name, image, irradiance, *key)


def display_to_radiance(display: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Undo gamma and tone curve: uint8 display values to linear radiance, 0 .. ``WHITE``."""
    y = (display / 255.0) ** _GAMMA
    return (_TONE / 2) * (np.sqrt((1 - y) ** 2 + 4 * y / _TONE) - (1 - y))


@functools.lru_cache(maxsize=1)
def radiance_table() -> NDArray[np.float32]:
    """(256,) ``display_to_radiance`` of every uint8 value, read-only."""
    table = display_to_radiance(np.arange(256).astype(np.uint8)).astype(np.float32)
    table.flags.writeable = False
    return table


def radiance_to_display(radiance: NDArray[np.floating]) -> NDArray[np.floating]:
    """The forward curve: linear radiance to display values 0..255, not rounded; clipped at ``WHITE``."""
    x = np.clip(radiance, 0, WHITE)
    return (x * (1 + x / _TONE) / (1 + x)) ** (1 / _GAMMA) * 255


def equirectangular_directions(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(H, W, 3) unit direction and (H, 1) solid angle (sr) of each pixel of a panorama."""
    longitude = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    flat = np.cos(latitude)[:, None]
    x, z = flat * np.sin(longitude), flat * np.cos(longitude)
    y = np.broadcast_to(-np.sin(latitude)[:, None], x.shape)
    return np.stack([x, y, z], axis=-1), flat * (2 * np.pi / width) * (np.pi / height)


def sh_basis(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 9) real spherical harmonics up to order 2 of unit directions (..., 3)."""
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.stack(
        [
            np.full(x.shape, 0.282095),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        axis=-1,
    )


def _irradiance(
    radiance: NDArray[np.float64], directions: NDArray[np.float64], solid_angle: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(9, 3) coefficients of the irradiance / π."""
    weighted = radiance * solid_angle[..., None]
    projected = np.einsum("hwk,hwc->kc", sh_basis(directions), weighted)
    irradiance = projected * np.array(_COSINE_LOBE)[:, None] / np.pi
    # half of the colour cast is taken out, as the eye and the camera's white balance do
    grey = irradiance @ _LUMINANCE
    return 0.5 * irradiance + 0.5 * grey[:, None]


def _key_light(
    radiance: NDArray[np.float64], directions: NDArray[np.float64], solid_angle: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Direction, colour and prominence of the brightest region of the upper hemisphere."""
    luminance = cv2.GaussianBlur(
        np.einsum("hwc,c->hw", radiance, _LUMINANCE), (0, 0), 2.0, borderType=cv2.BORDER_REFLECT
    )
    upper = luminance * (directions[..., 1] < 0.1)
    peak = np.unravel_index(int(upper.argmax()), upper.shape)
    near = (np.einsum("hwc,c->hw", directions, directions[peak]) > np.cos(np.radians(25))) & (upper > 0.8 * upper[peak])
    weight = np.where(near, upper, 0) * solid_angle
    direction = np.einsum("hw,hwc->c", weight, directions)
    direction[1] = min(direction[1], -0.25 * np.hypot(direction[0], direction[2]))
    colour = np.einsum("hw,hwc->c", weight, radiance)
    colour /= max(colour @ _LUMINANCE, 1e-9)
    mean = (luminance * solid_angle).sum() / (4 * np.pi)
    bright_share = (solid_angle * (luminance > 0.8 * upper[peak])).sum() / (4 * np.pi)
    strength = np.clip((upper[peak] / mean - 1) / 4, 0, 1) * np.clip(1 - bright_share / 0.3, 0, 1)
    return direction / np.linalg.norm(direction), 0.6 + 0.4 * colour, float(strength)

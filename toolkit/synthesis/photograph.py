"""The camera that takes the synthesised picture: from linear light to 8 bits.

In: linear RGB and the choices of ``draw_camera``. Out: uint8 RGB. Called by ``scene``.

Order, as light and data pass it: lens (focus, motion, colour fringes) → sensor (resolution, exposure, noise that grows
with the signal) → development (white balance, tone curve, contrast, saturation, sharpening) → JPEG.
"""

from __future__ import annotations

from math import cos, sin
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.synthesis.noise import hash64
from hmrtk.toolkit.synthesis.panorama import WHITE, radiance_to_display

_CURVE_STEPS = 4096
_MIDDLE_GREY = 0.22
"""Radiance that the tone curve maps to about half of display white; the noise is stated there."""
_MOTION_PX = (2.0, 9.0)
"""Length of motion blur at 400 px. OpenCV filters with kernels up to 11 px without a Fourier transform."""


def draw_camera(
    rng: np.random.Generator,
    side: int,
    brightness: float,
    blur_probability: float,
    motion_probability: float,
    noise: tuple[float, float],
    jpeg_quality: tuple[int, int],
) -> dict[str, Any]:
    """Choose lens, sensor and development; JSON-able.

    Args:
        rng: consumed.
        side: longer side of the picture, px.
        brightness: mean luminance of the picture, linear; the exposure follows it most of the way to middle grey.
        blur_probability: share of pictures out of focus.
        motion_probability: share of pictures blurred by motion.
        noise: least and largest standard deviation of the sensor's noise at middle grey, display units 0..1.
        jpeg_quality: least and greatest quality, 1..100.
    """
    defocus = rng.uniform(0.4, 1.6) if rng.random() < blur_probability else 0.0
    motion = rng.uniform(*_MOTION_PX) * min(1.0, side / 400) if rng.random() < motion_probability else 0.0
    fringes = rng.normal(0, 0.0012, 2) if rng.random() < 0.4 else np.zeros(2)
    metered = np.clip((1.5 * _MIDDLE_GREY / max(1e-3, brightness)) ** 0.6, 0.6, 2.5)
    warmth, tint = rng.normal(0, 0.09), rng.normal(0, 0.025)
    return {
        "blur_px": round(float(defocus), 3),
        "motion_px": round(float(motion), 3),
        "motion_angle": round(float(rng.uniform(0, np.pi)), 4),
        "fringes": [round(float(value), 6) for value in fringes],
        "resolution": round(float(rng.uniform(0.45, 0.9) if rng.random() < 0.25 else 1.0), 4),
        "exposure": round(float(metered * np.exp2(rng.normal(0, 0.35))), 4),
        "white_balance": [round(1 + warmth, 4), round(1 + tint, 4), round(1 - warmth, 4)],
        "vignette": round(float(rng.uniform(0, 0.35)), 4),
        "noise": round(float(rng.uniform(*noise)), 5),
        "shot_share": round(float(rng.uniform(0.6, 0.99)), 4),
        "colour_share": round(float(rng.uniform(0.25, 0.8)), 4),
        "noise_seed": int(rng.integers(1 << 31)),
        "gamma": round(float(np.exp(rng.normal(0, 0.1))), 4),
        "saturation": round(float(rng.uniform(0.7, 1.2)), 4),
        "sharpening": round(float(rng.uniform(0.2, 0.9) if rng.random() < 0.4 else 0.0), 4),
        "jpeg_quality": int(rng.integers(jpeg_quality[0], jpeg_quality[1] + 1)),
    }


def photographed(picture: NDArray[np.float32], camera: dict[str, Any]) -> NDArray[np.uint8]:
    """(H, W, 3) float32 linear radiance to the uint8 display values that the camera's JPEG holds."""
    height, width = picture.shape[:2]
    picture = _through_lens(picture, camera)
    if camera["resolution"] < 1:
        sensor = (max(4, round(width * camera["resolution"])), max(4, round(height * camera["resolution"])))
        picture = cv2.resize(picture, sensor, interpolation=cv2.INTER_AREA)
    steps = (np.arange(_CURVE_STEPS) / (_CURVE_STEPS - 1)) ** 2 * WHITE
    curve = ((radiance_to_display(steps) / 255) ** camera["gamma"] * 255).astype(np.float32)
    gains = np.array(camera["white_balance"]) * camera["exposure"]
    shot, read = _sensor_noise(curve, camera["noise"], camera["shot_share"])
    noise = (shot, read, camera["colour_share"], np.uint64(camera["noise_seed"]))
    image = _developed(picture, curve, gains, camera["vignette"], camera["saturation"], noise)
    if camera["resolution"] < 1:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    if camera["sharpening"] > 0:
        soft = cv2.GaussianBlur(image, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT)
        image = cv2.addWeighted(image, 1 + camera["sharpening"], soft, -camera["sharpening"], 0)
    data = simplejpeg.encode_jpeg(image, quality=camera["jpeg_quality"], colorspace="RGB", colorsubsampling="420")
    return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB"))


def _through_lens(picture: NDArray[np.float32], camera: dict[str, Any]) -> NDArray[np.float32]:
    if camera["blur_px"] > 0:
        picture = cv2.GaussianBlur(picture, (0, 0), camera["blur_px"], borderType=cv2.BORDER_REFLECT)
    if camera["motion_px"] > 0:
        kernel = _motion_kernel(camera["motion_px"], camera["motion_angle"])
        picture = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT)
    if any(camera["fringes"]):
        # the lens draws red and blue a little larger or smaller than green
        centre = np.array([picture.shape[1] - 1, picture.shape[0] - 1]) / 2
        channels = list(cv2.split(picture))
        for channel, growth in zip((0, 2), camera["fringes"], strict=True):
            zoom = 1 / (1 + growth)
            matrix = np.array([[zoom, 0, centre[0] * (1 - zoom)], [0, zoom, centre[1] * (1 - zoom)]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            channels[channel] = cv2.warpAffine(
                channels[channel], matrix, picture.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
        picture = cv2.merge(channels)
    return picture


def _motion_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """(n, n) a line of ``length`` px through the middle, n odd, sum 1."""
    reach = int(np.ceil(length / 2))
    offsets = np.arange(-reach, reach + 1)
    across, down = np.meshgrid(offsets, offsets)
    along = np.abs(cos(angle) * across + sin(angle) * down)
    beside = np.abs(cos(angle) * down - sin(angle) * across)
    kernel = np.clip(length / 2 + 0.5 - along, 0, 1) * np.clip(1 - beside, 0, 1)
    return (kernel / kernel.sum()).astype(np.float32)


def _sensor_noise(curve: NDArray[np.float32], noise: float, shot_share: float) -> tuple[float, float]:
    """Variance per radiance and constant variance, so that middle grey gets ``noise`` (display units 0..1)."""
    place = np.sqrt(_MIDDLE_GREY / WHITE) * (_CURVE_STEPS - 1)
    low, high = int(place) - 20, int(place) + 20
    radiances = (np.array([low, high]) / (_CURVE_STEPS - 1)) ** 2 * WHITE
    slope = float(curve[high] - curve[low]) / 255 / float(radiances[1] - radiances[0])
    variance = (noise / slope) ** 2
    return variance * shot_share / _MIDDLE_GREY, variance * (1 - shot_share)


@njit(cache=True, nogil=True, error_model="numpy")
def _developed(picture, curve, gains, vignette, saturation, noise):  # type: ignore[no-untyped-def]
    height, width = picture.shape[0], picture.shape[1]
    image = np.empty((height, width, 3), np.uint8)
    shot, read, colour, seed = noise
    grey = np.sqrt(max(0.0, 1.0 - colour * colour))
    scale = np.float32((curve.shape[0] - 1) / np.sqrt(WHITE))
    value = np.empty(3, np.float32)
    for i in range(height):
        y = (i + 0.5) / height - 0.5
        for j in range(width):
            x = (j + 0.5) / width - 0.5
            fall = 1.0 - vignette * 2.0 * (x * x + y * y)
            first = hash64(seed + np.uint64(i * width + j))
            second = hash64(first)
            common = _bell(first & np.uint64(0xFFFF), second >> np.uint64(48))
            for k in range(3):
                shift = np.uint64(16 * (k + 1))
                own = _bell(
                    (first >> shift) & np.uint64(0xFFFF), (second >> (shift - np.uint64(16))) & np.uint64(0xFFFF)
                )
                radiance = max(0.0, picture[i, j, k] * gains[k] * fall)
                radiance += np.sqrt(shot * radiance + read) * (grey * common + colour * own)
                radiance = min(WHITE, max(0.0, radiance))
                value[k] = curve[int(np.sqrt(np.float32(radiance)) * scale)]
            light = np.float32(0.299) * value[0] + np.float32(0.587) * value[1] + np.float32(0.114) * value[2]
            for k in range(3):
                level = light + (value[k] - light) * saturation
                image[i, j, k] = np.uint8(min(255.0, max(0.0, level + 0.5)))
    return image


@njit(cache=True, nogil=True, inline="always")
def _bell(a, b):  # type: ignore[no-untyped-def]
    """Two 16-bit numbers to a triangular one of mean 0 and variance 1."""
    return (np.float64(a) + np.float64(b)) * (2.4494897 / 65536.0) - 2.4494897

"""The camera that takes the synthesised picture: from linear light to 8 bits.

In: linear RGB and the choices of ``draw_camera``. Out: uint8 RGB. Called by ``scene``.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.synthesis.noise import lattice
from hmrtk.toolkit.synthesis.panorama import WHITE, radiance_to_display

_CURVE_STEPS = 4096


def draw_camera(rng: np.random.Generator, blur_probability: float, noise: tuple[float, float]) -> dict[str, Any]:
    """Choose exposure, white balance, vignette, blur and noise; JSON-able.

    Args:
        rng: consumed.
        blur_probability: share of pictures out of focus.
        noise: least and largest standard deviation of the sensor's noise, display units 0..1.
    """
    warmth = float(rng.normal(0, 0.06))
    blurred = rng.random() < blur_probability
    return {
        "exposure": round(float(np.exp2(rng.normal(0, 0.22))), 4),
        "white_balance": [round(1 + warmth, 4), 1.0, round(1 - warmth, 4)],
        "vignette": round(float(rng.uniform(0, 0.25)), 4),
        "blur_px": round(float(rng.uniform(0.4, 1.3)) if blurred else 0.0, 3),
        "noise": round(float(rng.uniform(*noise)), 5),
        "noise_seed": int(rng.integers(1 << 31)),
    }


def photographed(picture: NDArray[np.float32], camera: dict[str, Any]) -> NDArray[np.uint8]:
    """(H, W, 3) float32 linear radiance to uint8: focus, exposure, white balance, vignette, tone curve, noise."""
    if camera["blur_px"] > 0:
        picture = cv2.GaussianBlur(picture, (0, 0), camera["blur_px"], borderType=cv2.BORDER_REFLECT)
    gains = np.array(camera["white_balance"]) * camera["exposure"]
    curve = radiance_to_display((np.arange(_CURVE_STEPS) / (_CURVE_STEPS - 1)) ** 2 * WHITE)
    return _developed(picture, curve, gains, camera["vignette"], camera["noise"] * 255, camera["noise_seed"])


@njit(cache=True, nogil=True)
def _developed(picture, curve, gains, vignette, noise, seed):  # type: ignore[no-untyped-def]
    height, width = picture.shape[0], picture.shape[1]
    image = np.empty((height, width, 3), np.uint8)
    for i in range(height):
        y = (i + 0.5) / height - 0.5
        for j in range(width):
            x = (j + 0.5) / width - 0.5
            fall = 1.0 - vignette * 2.0 * (x * x + y * y)
            common = lattice(i, j, seed) + lattice(j, i, seed + 1) - 1.0
            for k in range(3):
                radiance = min(WHITE, max(0.0, picture[i, j, k] * gains[k] * fall))
                step = np.sqrt(radiance / WHITE) * (curve.shape[0] - 1)
                # two uniform numbers make a triangular one of variance 1/6
                own = lattice(i, j, seed + 2 + k) + lattice(j, i, seed + 5 + k) - 1.0
                value = curve[int(step)] + noise * 2.4495 * (0.6 * common + 0.8 * own)
                image[i, j, k] = np.uint8(min(255.0, max(0.0, value + 0.5)))
    return image

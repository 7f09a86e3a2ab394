"""Things that stand in front of the person: poles, boxes, blobs of foliage, rails.

In: a random generator, the picture and where the person is. Out: the picture with a shape filled from a crop of some
panorama, and the choice. Called by ``scene`` (synthetic occlusion after Best of Both Worlds §3.4).
"""

from __future__ import annotations

from math import atan2, cos, sin, sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.synthesis.backdrop import camera_to_panorama, perspective_crop
from hmrtk.toolkit.synthesis.noise import noise2
from hmrtk.toolkit.synthesis.panorama import load_panorama

_OCCLUDER_DRAWS = 6
_HIDDEN_SHARE = (0.02, 0.65)
"""Least and largest share of the person's visible area that an occluder may hide."""
_GREEN = ("bpy_forest", "bpy_sunrise", "pm_forest", "pm_park", "pm_sunrise")
KINDS = ("pole", "box", "foliage", "rail")


def occlude(
    rng: np.random.Generator,
    picture: NDArray[np.float32],
    coverage: NDArray[np.float32],
    points: NDArray[np.float64],
    panoramas: tuple[str, ...],
) -> dict[str, Any] | None:
    """Put something in front of the person.

    Args:
        rng: consumed.
        picture: (H, W, 3) float32 linear RGB, changed in place.
        coverage: (H, W) float32 of the person, reduced in place where it is hidden.
        points: (V, 3) the person's vertices, px.
        panoramas: names to take the texture from.

    Returns:
        The choice, JSON-able, with the share of the person it hides; None when no draw hid a part and left enough.
    """
    for _ in range(_OCCLUDER_DRAWS):
        choice = draw_occluder(rng, points, panoramas)
        mask = occluder_coverage(choice, coverage.shape)
        hidden = float((coverage * mask[..., 0]).sum() / max(1e-6, coverage.sum()))
        if _HIDDEN_SHARE[0] <= hidden <= _HIDDEN_SHARE[1]:
            break
    else:
        return None
    turn = camera_to_panorama(choice["yaw"], choice["elevation"])
    focal = choice["texture_focal"] * max(coverage.shape)
    texture = perspective_crop(load_panorama(choice["panorama"]), turn, focal, coverage.shape, 0.0)
    alpha = mask[..., :1]
    picture *= 1 - alpha
    picture += texture * (mask[..., 1:] * alpha * np.float32(choice["shade"]))
    coverage *= 1 - mask[..., 0]
    return {**choice, "hidden": round(hidden, 4)}


def draw_occluder(
    rng: np.random.Generator, points_px: NDArray[np.float64], panoramas: tuple[str, ...]
) -> dict[str, Any]:
    """Choose one occluder that covers a part of the person.

    Args:
        rng: consumed.
        points_px: (V, 2 or 3) the person's vertices in the picture, px.
        panoramas: names to take the texture from.

    Returns:
        Kind, centre and half extents in px, tilt (rad), texture and shade.
    """
    kind = KINDS[rng.integers(len(KINDS))]
    low, high = points_px[:, :2].min(axis=0), points_px[:, :2].max(axis=0)
    span = float(max(high - low))
    centre = points_px[rng.integers(len(points_px)), :2]
    half = {
        "pole": (rng.uniform(0.03, 0.09), 10.0),
        "box": (rng.uniform(0.1, 0.26), rng.uniform(0.08, 0.2)),
        "foliage": (rng.uniform(0.12, 0.25), rng.uniform(0.12, 0.25)),
        "rail": (10.0, rng.uniform(0.025, 0.07)),
    }[kind]
    tilt = rng.uniform(-0.5, 0.5) if kind == "foliage" else rng.normal(0, 0.04)
    if kind == "box" and rng.random() < 0.6:  # furniture: it reaches the ground
        below = max(0.0, float(high[1] - centre[1]) / span + 0.05)
        centre = centre + np.array([0.0, (below - half[1]) / 2 * span])
        half = (half[0], (below + half[1]) / 2)
    green = tuple(name for name in _GREEN if name in panoramas)
    names = green if kind == "foliage" and green else panoramas
    return {
        "kind": kind,
        "centre_px": [round(float(value), 2) for value in centre],
        "half_px": [round(float(value) * span, 2) for value in half],
        "tilt": round(float(tilt), 4),
        "panorama": names[int(rng.integers(len(names)))],
        "yaw": round(float(rng.uniform(0, 2 * np.pi)), 4),
        "elevation": round(float(rng.uniform(-0.7, 0.2)), 4),
        "texture_focal": round(float(rng.uniform(1.0, 3.0)), 3),
        "shade": round(float(rng.uniform(0.45, 1.0)), 4),
        "seed": int(rng.integers(1 << 16)),
    }


def occluder_coverage(choice: dict[str, Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, 2) float32: coverage 0..1 and brightness (rounded towards its edges) of an occluder."""
    centre, half = np.array(choice["centre_px"]), np.array(choice["half_px"])
    return _coverage(KINDS.index(choice["kind"]), centre, half, choice["tilt"], choice["seed"], size[0], size[1])


@njit(cache=True, nogil=True)
def _coverage(kind, centre, half, tilt, seed, height, width):  # type: ignore[no-untyped-def]
    coverage = np.empty((height, width, 2), np.float32)
    cosine, sine = cos(tilt), sin(tilt)
    for i in range(height):
        for j in range(width):
            x, y = j + 0.5 - centre[0], i + 0.5 - centre[1]
            u, v = cosine * x + sine * y, -sine * x + cosine * y
            if kind == 2:
                outside, tone = _foliage(u, v, half, seed)
            else:
                outside = max(abs(u) - half[0], abs(v) - half[1])
                if outside > 1.0:
                    coverage[i, j] = 0.0
                    continue
                across = u / half[0] if kind == 0 else (v / half[1] if kind == 3 else 0.0)
                tone = sqrt(max(0.1, 1.0 - 0.85 * across * across)) if kind != 1 else 1.0 - 0.12 * (v / half[1])
                tone *= 1.0 + 0.08 * noise2(u / (0.02 * half.min() + 2.0), v / (0.02 * half.min() + 2.0), seed)
            coverage[i, j, 0] = min(1.0, max(0.0, 0.5 - outside))
            coverage[i, j, 1] = tone
    return coverage


@njit(cache=True, nogil=True)
def _foliage(u, v, half, seed):  # type: ignore[no-untyped-def]
    """Signed distance (px) outside a ragged blob, and its tone."""
    reach = 0.5 * (half[0] + half[1])
    radius = sqrt((u / half[0]) ** 2 + (v / half[1]) ** 2)
    if radius > 1.6:
        return (radius - 1.3) * reach, 1.0
    ragged = 0.22 * noise2(2.0 * atan2(v, u), radius, seed)
    leaves = noise2(u / (0.13 * reach), v / (0.13 * reach), seed) + 0.5 * noise2(
        u / (0.06 * reach), v / (0.06 * reach), seed + 1
    )
    return (radius - 1.0 + ragged + 0.28 * leaves) * reach, 0.75 + 0.3 * leaves

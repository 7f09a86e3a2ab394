"""Where the picture is taken: the panorama, the view into it, and what stands about behind the person.

In: a random generator, the camera and the person's projected vertices. Out: JSON-able choices. Called by ``scene``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.synthesis.backdrop import FLOORS, camera_to_panorama, perspective_crop
from hmrtk.toolkit.synthesis.occluder import draw_occluder
from hmrtk.toolkit.synthesis.panorama import (
    FLOOR_DEGREES,
    OPEN_FLOOR_DEGREES,
    load_panorama,
    radiance_to_display,
)

_BEHIND = ("rectangle", "bar", "blob", "foliage")
_FILL_SHARES = (0.8, 0.16, 0.02, 0.02)
_THUMBNAIL_PX = 24


def draw_place(
    rng: np.random.Generator,
    names: Sequence[str],
    view_degrees: tuple[float, float],
    shape: tuple[int, int],
    focal: NDArray[np.float64],
    principal: NDArray[np.float64],
    points: NDArray[np.float64],
) -> dict[str, Any]:
    """Choose a panorama and the view into it.

    The horizon lies where a level camera has it, or higher: the person's lowest point must fall on this place's floor.
    ``elevation`` turns the background's (wider) view there, ``pitch`` the true camera.

    Args:
        rng: consumed.
        names: panoramas to choose from.
        view_degrees: least and greatest field of view of the background.
        shape: (height, width) px.
        focal, principal: (2,) px of the true camera.
        points: (V, 3) x px, y px, depth m of the person.
    """
    name = names[int(rng.integers(len(names)))]
    view = np.radians(rng.uniform(*view_degrees))
    widest = max(shape) / 2 / np.tan(view / 2)
    focal_px = float(min(focal.mean(), widest))
    level = np.arctan((principal[1] + rng.normal(0, 0.02) * shape[0] - shape[0] / 2) / focal_px)
    standing = np.arctan((min(float(points[:, 1].max()), shape[0]) - shape[0] / 2) / focal_px)
    floor = np.radians(FLOOR_DEGREES.get(name, OPEN_FLOOR_DEGREES) + rng.uniform(0, 8))
    elevation = float(np.clip(min(level, standing - floor), np.radians(-42), np.radians(22)))
    horizon = shape[0] / 2 + focal_px * np.tan(elevation)
    pitch = float(np.arctan((horizon - principal[1]) / focal[1]))
    return {
        "panorama": name,
        "yaw": round(float(rng.uniform(0, 2 * np.pi)), 4),
        "elevation": round(elevation, 4),
        "pitch": round(pitch, 4),
        "focal_px": round(focal_px, 2),
        "blur_px": round(float(max(0.0, rng.uniform(-0.8, 2.0))) * max(shape) / 400, 3),
        "key_gain": round(float(np.exp(rng.uniform(np.log(0.45), np.log(2.2)))), 4),
        "person_exposure": round(float(rng.uniform(0.95, 1.4)), 4),
        "structure": _draw_structure(rng),
        "floor": _draw_floor(rng, name),
    }


def draw_clutter(
    rng: np.random.Generator,
    count: tuple[int, int],
    place: dict[str, Any],
    shape: tuple[int, int],
    points: NDArray[np.float64],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Choose sharp-edged things that stand behind the person, so that outlines are not the person's alone.

    Each stands on the floor between the horizon and the person's feet, and is the smaller the farther off it stands.

    Args:
        rng: consumed.
        count: least and greatest number of things.
        place: from ``draw_place``.
        shape: (height, width) px.
        points: (V, 3) of the person, px.
        names: panoramas to take their fillings from.
    """
    low, high = np.clip(points[:, :2].min(axis=0), -shape[1], 2 * shape[1]), points[:, :2].max(axis=0)
    span = float(np.clip(max(high - low), 8.0, 2.0 * max(shape)))
    horizon = shape[0] / 2 + place["focal_px"] * np.tan(place["elevation"])
    feet = float(np.clip(high[1], horizon + 0.15 * span, 2 * shape[0]))
    nearness = np.sort(rng.uniform(0.25, 0.95, int(rng.integers(count[0], count[1] + 1))))
    things = []
    for near in nearness:
        base = horizon + near * (feet - horizon)
        size = span * near * rng.uniform(1.0, 3.5)
        centre = np.array([rng.uniform(-0.05, 1.05) * shape[1], base - size * rng.uniform(0.05, 0.3)])
        box = np.array([centre[0] - size / 2, base - size, centre[0] + size / 2, base])
        things.append(draw_occluder(rng, centre, box, 1.0, names, _BEHIND, _FILL_SHARES))
    return things


def colour_behind(place: dict[str, Any], points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """(3,) mean display RGB 0..1 of the panorama behind the person's box, from a thumbnail of the view."""
    turn = camera_to_panorama(place["yaw"], place["elevation"])
    zoom = _THUMBNAIL_PX / max(shape)
    size = (max(2, round(shape[0] * zoom)), max(2, round(shape[1] * zoom)))
    small = perspective_crop(load_panorama(place["panorama"]), turn, place["focal_px"] * zoom, size, 0.0)
    low, high = points[:, :2].min(axis=0) * zoom, points[:, :2].max(axis=0) * zoom
    first, last = np.clip(np.floor(low), 0, None).astype(int), np.clip(np.ceil(high), 0, None).astype(int)
    part = small[first[1] : last[1], first[0] : last[0]]
    mean = (part if part.size else small).mean(axis=(0, 1), dtype=np.float64)
    return np.asarray(radiance_to_display(mean) / 255)


def _draw_structure(rng: np.random.Generator) -> dict[str, Any]:
    """How sharp the background is: see ``backdrop.sharpened``."""
    return {
        "steepness": round(float(rng.uniform(1.0, 2.6)), 4),
        "grain": round(float(rng.uniform(0.0, 0.3)), 4),
        "corner": [int(value) for value in rng.integers(0, 512, 2)],
    }


def _draw_floor(rng: np.random.Generator, name: str) -> dict[str, Any]:
    """What the ground is made of; tiles and planks only where the panorama has a built floor."""
    kind = FLOORS[int(rng.choice(len(FLOORS), p=(0.5, 0.25, 0.25)))] if name in FLOOR_DEGREES else "rough"
    return {
        "kind": kind,
        "strength": round(float(rng.uniform(0.05, 0.28)), 4),
        "grain_m": round(float(rng.uniform(0.03, 0.09)), 4),
        "pitch_m": round(float(rng.uniform(0.12, 0.6)), 4),
        "turn": round(float(rng.uniform(0, np.pi)), 4),
        "begins": round(float(np.radians(FLOOR_DEGREES.get(name, OPEN_FLOOR_DEGREES))), 4),
        "seed": int(rng.integers(1 << 16)),
    }

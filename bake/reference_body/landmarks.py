"""Vertex numbers: the points that tools address by number go to those numbers, the rest follow a fixed order.

``find_landmarks`` locates nose, eyes, ears, finger tips, toes, heels and crown on the mean body; ``vertex_order`` puts
them at SMPL's hard-coded numbers. Called by ``model``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mesh import Bools, Floats, Ints
from .smpl_format import LANDMARK_SLOTS, VERTEX_COUNT

MIDLINE = 1e-6  # metres
NOSE_BELOW_CROWN = 0.08  # the hair line protrudes as far as the nose in some means: look below it
HEEL_HEIGHT = 0.045  # metres of sole and heel above the lowest point
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
REGION_ORDER = {"head": 0, "eye": 0, "mouth": 0, "body": 1, "hand": 2, "foot": 3}


def _best(candidates: Bools, score: Floats) -> int:
    """The candidate vertex with the highest score."""
    index = np.flatnonzero(candidates)
    return int(index[np.argmax(score[index])])


def find_landmarks(
    points: Floats, region: NDArray[np.str_], mirror: Ints, bone_tip: Callable[[str], Floats]
) -> dict[str, int]:
    """Landmark name → vertex of the mean T-posed body (V, 3); ``bone_tip`` gives a bone's end in the same frame."""
    x, y, z = points.T
    left, head, midline = x > 1e-6, region == "head", np.abs(x) < MIDLINE
    hand, foot = (region == "hand") & left, (region == "foot") & left

    def nearness(target: NDArray[Any]) -> Floats:
        return -np.linalg.norm(points - target, axis=1)

    eye = (region == "eye") & left
    front_of_eye = np.r_[points[eye].mean(0)[:2], z[eye].max()]
    found = {
        "nose": _best(head & midline & (y < y[head].max() - NOSE_BELOW_CROWN), z),
        "crown": _best(midline, y),
        "left_eye": _best(eye, nearness(front_of_eye)),
        "left_ear": _best(head & left, x),
        "left_big_toe": _best(foot, nearness(bone_tip("toe1-2.L"))),
        "left_small_toe": _best(foot, nearness(bone_tip("toe5-3.L"))),
        "left_heel": _best(foot & (y < y.min() + HEEL_HEIGHT), -z),
    }
    for number, finger in enumerate(FINGERS, start=1):
        found[f"left_{finger}"] = _best(hand, nearness(bone_tip(f"finger{number}-3.L")))
    for name in [name for name in found if name.startswith("left_")]:
        found[name.replace("left_", "right_")] = int(mirror[found[name]])
    assert len(set(found.values())) == len(LANDMARK_SLOTS) == len(found), "two landmarks fell on one vertex"
    return found


def vertex_order(points: Floats, region: NDArray[np.str_], landmarks: dict[str, int]) -> Ints:
    """(6890,) old index of each new vertex: landmarks at their slots, the others by side, region, height."""
    right_side = np.where(points[:, 0] < -1e-7, 1, 0)
    rank = np.array([REGION_ORDER[name] for name in region.tolist()])
    taken = set(landmarks.values())
    others = iter(int(i) for i in np.lexsort((-points[:, 1].round(3), rank, right_side)) if int(i) not in taken)
    order = np.full(VERTEX_COUNT, -1)
    for name, slot in LANDMARK_SLOTS.items():
        order[slot] = landmarks[name]
    order[order < 0] = list(others)
    return order

"""Random people of the reference body before a camera: what the writers of raw layouts project, by plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import SPIN24_NAMES
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.records.table import RecordTable

LEFT, RIGHT = SPIN24_NAMES.index("left_shoulder"), SPIN24_NAMES.index("right_shoulder")


@dataclass(frozen=True)
class People:
    """N people who face the camera, give or take.

    Attributes:
        parameters: in the camera frame.
        joints: (N, 24, 3) float64 metres, ``spin24``, camera frame.
        pixels: (N, 24, 2) float64 px, the image's corner at (0, 0).
        vertices: (N, 6890, 2) float64 px.
    """

    parameters: BodyParameters
    joints: NDArray[np.float64]
    pixels: NDArray[np.float64]
    vertices: NDArray[np.float64]


def random_people(
    body: BodyModel, count: int, seed: int = 0, focal: float = 500.0, centre: Any = (320.0, 240.0), depth: float = 4.0
) -> People:
    """People at ``depth`` ± 0.5 m, turned by up to a radian, wholly in a 640 × 480 picture by default."""
    rng = np.random.default_rng(seed)
    turn = np.stack([np.zeros(count), rng.uniform(-0.5, 0.5, count)], 1)
    facing = np.pi / np.hypot(1, turn[:, 1])[:, None] * np.column_stack([np.ones(count), turn])  # π about a tilted axis
    facing = facing[:, [0, 1, 2]]
    pose = rng.normal(0, 0.15, (count, 23, 3))
    transl = np.column_stack([rng.uniform(-0.4, 0.4, (count, 2)), rng.uniform(depth - 0.5, depth + 0.5, count)])
    parameters = BodyParameters.of(facing, pose, rng.normal(0, 0.7, (count, 10)), transl)
    posed = body.pose(parameters)
    joints = body.spin24(posed).astype(np.float64)
    return People(parameters, joints, seen(joints, focal, centre), seen(posed.vertices.astype(float), focal, centre))


def seen(points: NDArray[np.float64], focal: float, centre: Any) -> NDArray[np.float64]:
    """Camera-frame points (…, 3) metres → px (…, 2)."""
    return focal * points[..., :2] / points[..., 2:] + np.asarray(centre)


def tight(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, P, 2) → (N, 4) x0, y0, x1, y1."""
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def left_is_left(table: RecordTable) -> bool:
    """Of people who face the camera, the left shoulder is on the right of the picture."""
    keypoints = table.array("keypoints2d")
    return bool((keypoints[:, LEFT, 0] > keypoints[:, RIGHT, 0]).all())

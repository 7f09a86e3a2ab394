"""Pictures of known people in a file's own camera, drawn by OpenCV's polygons and none of hmrtk's rasteriser.

The left arm and leg are orange, the right ones blue (as ``shards show`` draws them), the rest is light grey, so that a
picture itself says where the person is and which side is which.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import SMPL_NAMES
from hmrtk.toolkit.body.model import BodyModel
from tests.sources.people import People

Floats = NDArray[np.float64]

LEFT, RIGHT, REST, GROUND = (255, 130, 40), (70, 120, 255), (215, 215, 215), (70, 85, 70)
"""RGB."""
_FRACTION = 4  # bits of a pixel that OpenCV's polygons are given


@dataclass(frozen=True)
class Known:
    """N people as they truly are.

    Attributes:
        pixels: (N, 24, 2) px of ``spin24``, the picture's corner at (0, 0).
        joints: (N, 24, 3) metres of ``spin24``, in the axes of the camera; only their differences count.
        outline: (N, 6890, 2) px of the vertices. depth: (N, 6890) of the vertices.
    """

    pixels: Floats
    joints: Floats
    outline: Floats
    depth: Floats

    def take(self, rows: Any) -> Known:
        return Known(self.pixels[rows], self.joints[rows], self.outline[rows], self.depth[rows])


def known_people(people: People, body: BodyModel) -> Known:
    """The people of ``random_people``."""
    depth = body.pose(people.parameters).vertices[..., 2].astype(np.float64)
    return Known(people.pixels, people.joints, people.vertices, depth)


def sides(body: BodyModel) -> NDArray[np.int64]:
    """(6890,) 0 for the left arm or leg, 1 for the right one, 2 for the rest: by the joint that a vertex follows."""
    limbs = ("hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist", "hand")
    of_joint = [
        ("left" if name.startswith("left") else "right") if name.endswith(limbs) else "rest" for name in SMPL_NAMES
    ]
    order = ["left", "right", "rest"]
    return np.array([order.index(side) for side in of_joint])[body.arrays.weights.argmax(axis=1)]


def drawn(known: Known, row: int, size: tuple[int, int], body: BodyModel) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: a person, shaded; faces from the back to the front."""
    picture = np.full((*size, 3), GROUND, np.uint8)
    faces = body.arrays.faces
    points, depth = known.outline[row], known.depth[row]
    corner = points[faces]  # (F, 3, 2)
    one, two = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    front = np.flatnonzero(area < 0)  # y is down, so that what turns clockwise in the picture faces the camera
    front = front[np.argsort(-depth[faces[front]].mean(axis=1))]
    span = np.ptp(depth) or 1.0
    shade = 0.7 + 0.3 * (depth.max() - depth[faces[front]].mean(axis=1)) / span
    colours = np.array([LEFT, RIGHT, REST])[sides(body)[faces[front, 0]]] * shade[:, None]
    corners = np.rint((corner[front] - 0.5) * (1 << _FRACTION)).astype(np.int32)  # OpenCV's (0, 0) is a pixel's centre
    for triangle, colour in zip(corners, colours.tolist(), strict=True):
        cv2.fillConvexPoly(picture, triangle, colour, lineType=cv2.LINE_8, shift=_FRACTION)
    return picture


def encoded(picture: NDArray[np.uint8], suffix: str = ".jpg") -> bytes:
    """The picture (H, W, 3) RGB as a file of that kind."""
    return bytes(cv2.imencode(suffix, picture[..., ::-1])[1].tobytes())


def write_pictures(root: Path, names: list[str], known: Known, size: tuple[int, int], body: BodyModel) -> None:
    """A picture for each of the first rows."""
    for row, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(drawn(known, row, size, body), path.suffix))

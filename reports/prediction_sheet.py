"""Pictures of predictions: what a network saw, its answer over it, the truth over it, and the answer from the side.

In: crops, bodies and crop cameras, as arrays. Out: one picture. Called after each validation of a training and by
galleries; nothing here knows of networks.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.evaluation.formulas import MM
from hmrtk.toolkit.maps.projection import Projection
from hmrtk.toolkit.shards.row_overlays import blank, drawn_mesh
from hmrtk.toolkit.synthesis.sheet import contact_sheet

CELL_PX = 192
VIEWS = ("picture", "answer", "truth", "answer from the side", "truth from the side")
_BACKDROP = 244
_FAR = (0.8, 0.0, 0.0)
"""Crop camera of turned views: the whole body in the middle."""


def prediction_sheet(
    pictures: NDArray[np.uint8],
    found: BodyParameters,
    cameras: NDArray[np.floating],
    truth: BodyParameters,
    truth_cameras: NDArray[np.floating],
    body: BodyModel,
    px: int = CELL_PX,
) -> NDArray[np.uint8]:
    """A row of ``VIEWS`` per person.

    Args:
        pictures: (N, S, S, 3) uint8 crops.
        found, truth: N bodies each.
        cameras, truth_cameras: (N, 3) crop cameras; the truth is not drawn over a picture whose scale is not positive.
        body: poses them.
        px: side of a cell.

    Returns:
        (H, W, 3) uint8.
    """
    ours, theirs = (body.pose(p.replaced(transl=np.zeros((len(p), 3)))) for p in (found, truth))
    distance = np.linalg.norm(_centred(ours) - _centred(theirs), axis=2).mean(axis=1) * MM
    cells, captions = [], []
    for row, picture in enumerate(pictures):
        large = np.asarray(cv2.resize(picture, (px, px), interpolation=cv2.INTER_CUBIC), np.uint8)
        cells += [
            large,
            over_picture(large, _one(ours, row), cameras[row], body),
            over_picture(large, _one(theirs, row), truth_cameras[row], body),
            turned(_one(ours, row), body, 90, px),
            turned(_one(theirs, row), body, 90, px),
        ]
        captions += [VIEWS[0], f"{VIEWS[1]}: {distance[row]:.0f} mm", *VIEWS[2:]]
    return contact_sheet(cells, len(VIEWS), captions, gap=4, caption_px=11)


def over_picture(
    picture: NDArray[np.uint8], person: Body, camera: NDArray[np.floating], body: BodyModel
) -> NDArray[np.uint8]:
    """One body over the square crop that ``camera`` (3,) belongs to; a blank where the camera looks nowhere."""
    if not (np.isfinite(camera).all() and camera[0] > 0):
        return blank(len(picture), "no camera")
    return drawn_mesh(picture, person, Projection.crop(camera[None], len(picture)), body)


def turned(person: Body, body: BodyModel, degrees: float, px: int = CELL_PX) -> NDArray[np.uint8]:
    """One body alone, turned about the vertical through its pelvis: 90 shows its left to somebody who faced it."""
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    vertices = ((person.vertices - _middle(person)) @ rotation.T).astype(np.float32)
    backdrop = np.full((px, px, 3), _BACKDROP, np.uint8)
    shown = Body(vertices, person.joints)
    return drawn_mesh(backdrop, shown, Projection.crop(np.array([_FAR]), px), body, opacity=1.0)


def _centred(person: Body) -> NDArray[np.float64]:
    """Vertices from the pelvis."""
    return person.vertices.astype(np.float64) - person.joints[:, :1]


def _middle(person: Body) -> NDArray[np.float32]:
    """(1, 1, 3) the middle of the body's extent."""
    low, high = person.vertices.min(axis=1, keepdims=True), person.vertices.max(axis=1, keepdims=True)
    return (low + high) / 2


def _one(bodies: Body, row: int) -> Body:
    return Body(bodies.vertices[row : row + 1], bodies.joints[row : row + 1])

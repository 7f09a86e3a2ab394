"""Pictures of a person found in a photograph: the mesh over it, and the mesh turned.

In: a photograph and a posed body in front of its camera, as arrays. Out: pictures. Called by ``predict --image``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.prediction_sheet import turned
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.maps.projection import Projection
from hmrtk.toolkit.shards.row_overlays import drawn_mesh
from hmrtk.toolkit.synthesis.sheet import contact_sheet

MOST_PX = 1600
"""Longer side of the overlay; larger photographs are shown smaller."""
VIEW_PX = 400
_BOX_COLOUR = (255, 200, 40)


def photo_overlay(
    image: NDArray[np.uint8],
    person: Body,
    focal: NDArray[np.float64],
    principal: NDArray[np.float64],
    square: NDArray[np.float64],
    body: BodyModel,
) -> NDArray[np.uint8]:
    """The body over the photograph, and the outline of what the network was shown.

    Args:
        image: (H, W, 3) uint8 RGB.
        person: one body in the camera frame, metres.
        focal, principal: (2,) px. square: (3,) centre x, y and side, px.

    Returns:
        (h, w, 3) uint8, at most ``MOST_PX`` long.
    """
    scale = min(1.0, MOST_PX / max(image.shape[:2]))
    if scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    camera = Projection.perspective(scale * focal[None], scale * principal[None])
    drawn = drawn_mesh(image, person, camera, body)
    x, y, side = scale * square
    low, high = (int(x - side / 2), int(y - side / 2)), (int(x + side / 2), int(y + side / 2))
    cv2.rectangle(drawn, low, high, _BOX_COLOUR, max(1, round(max(image.shape[:2]) / 400)))
    return drawn


def turned_views(person: Body, body: BodyModel, px: int = VIEW_PX) -> NDArray[np.uint8]:
    """The body from the camera and turned by a quarter, a half and three quarters about the vertical."""
    degrees = (0, 90, 180, 270)
    names = ["from the camera", "turned 90°", "turned 180°", "turned 270°"]
    return contact_sheet([turned(person, body, d, px) for d in degrees], len(degrees), names, gap=4, caption_px=13)

"""Galleries: bodies drawn for the report, one card each, and as one contact sheet.

In: body parameters and what to write under them; out: ``Gallery`` with PNG pictures on a transparent ground. Called by
``exhibits`` and ``prototypes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import OutputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.synthesis.figure import contact_sheet, render_figure

FIGURE_PX = 192
_CLAY, _BLUE = (0.80, 0.74, 0.68), (0.56, 0.68, 0.80)
SAMPLE_COLOUR, PROTOTYPE_COLOUR = _CLAY, _BLUE

Array = NDArray[Any]


@dataclass(frozen=True)
class Card:
    """One entry of a gallery.

    Attributes:
        pictures: (label, PNG or JPEG bytes) side by side.
        title: first line under the pictures.
        lines: further lines.
        data: the same facts as plain values, for ``report.json``.
    """

    pictures: Sequence[tuple[str, bytes]]
    title: str
    lines: Sequence[str]
    data: dict[str, Any]


@dataclass(frozen=True)
class Gallery:
    """Cards under a title.

    Attributes:
        name: file name without ending.
        title, caption: for people.
        cards: in order.
        sheet: the contact sheet (PNG) for ``figures/``.
        wide: few large pictures instead of many small ones.
    """

    name: str
    title: str
    caption: str
    cards: Sequence[Card]
    sheet: bytes
    wide: bool = field(default=False, kw_only=True)


def draw_bodies(
    parameters: BodyParameters,
    body: BodyModel,
    colour: tuple[float, float, float],
    stage: str,
    progress: Progress = silent,
) -> list[NDArray[np.uint8]]:
    """Draw N bodies as their camera sees them, all at one scale → N transparent pictures (192, 192, 4)."""
    pictures = []
    posed = parameters.replaced(transl=np.zeros_like(parameters.transl))
    vertices = body.pose(posed).vertices  # at most some dozens
    spans = np.ptp(vertices[..., :2], axis=1).max(axis=1) if len(vertices) else np.ones(1)
    extent = float(max(spans.max(), 0.1))
    for row, points in enumerate(vertices):
        pictures.append(
            render_figure(
                points,
                body,
                FIGURE_PX,
                "camera",
                "camera",
                colour,
                background="transparent",
                margin=0.04,
                extent=extent,
            )
        )
        progress(stage, row + 1, len(vertices))
    return pictures


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """RGB or RGBA (H, W, 3 or 4) uint8 → PNG bytes."""
    swap = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, swap), [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not done:
        raise OutputError("a picture of the report could not be encoded as PNG")
    return data.tobytes()


def encode_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """RGB (H, W, 3) uint8 → JPEG bytes, for photographs."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise OutputError("a picture of the report could not be encoded as JPEG")
    return data.tobytes()


def sheet_of(rows: Sequence[Sequence[NDArray[np.uint8]]], captions: Sequence[str], columns: int) -> bytes:
    """A contact sheet (PNG) of cards; each card's pictures are put side by side."""
    cards = [np.concatenate([_on_white(p) for p in pictures], axis=1) for pictures in rows]
    return encode_png(contact_sheet(cards, columns, captions))


def _on_white(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.rint(picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)

"""What is drawn on a row's picture: keypoints with their skeleton, the shaded mesh, and bars of what is seen.

In: points, bodies and shares in px of a picture. Out: new pictures. Called by ``row_panels``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hmrtk.toolkit.body.joints import SPIN24_NAMES
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.normals import vertex_normals
from hmrtk.toolkit.maps.charts import CHART_COUNT, CHART_NAMES, MIRROR_CHART
from hmrtk.toolkit.maps.preview import chart_colours
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.maps.raster import rasterize

BONES = (
    (0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11),  # legs and arms
    (2, 3), (8, 12), (9, 12), (12, 13), (2, 8), (3, 9),  # hips, shoulders, head, flanks
    (14, 16), (16, 15), (15, 17), (17, 18),  # spine
    (19, 20), (19, 21), (20, 22), (21, 23),  # face
)  # fmt: skip
"""Pairs of ``spin24`` joints; data sets with LSP's 14 joints alone still show a whole figure."""

LEFT, RIGHT, MIDDLE = (255, 140, 20), (40, 150, 255), (250, 250, 250)
"""RGB of the person's left and right, and of what is on neither side."""
_INK, _PAPER = (40, 40, 46), (255, 255, 255)
_SKIN = np.array([0.66, 0.78, 0.95], np.float32)
_LIGHT = np.array([-0.45, -0.55, -0.70], np.float32)
"""Towards the light, camera frame: from above and our left."""
MESH_OPACITY = 0.65
_SUPERSAMPLE = 2
_SHIFT = 4
"""Fractional bits of the places that OpenCV draws at."""


def joint_colours() -> list[tuple[int, int, int]]:
    """RGB of each ``spin24`` joint: ``LEFT``, ``RIGHT`` or ``MIDDLE``."""
    return [{"left": LEFT, "right": RIGHT}.get(name.split("_")[0], MIDDLE) for name in SPIN24_NAMES]


def drawn_keypoints(picture: NDArray[np.uint8], keypoints: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Joints and bones over a picture.

    Args:
        picture: (H, W, 3) RGB.
        keypoints: (24, 3) ``spin24``: px of the picture, and confidence; joints without confidence are left out, and
            those below 0.5 are rings.
    """
    seen = (np.nan_to_num(keypoints[:, 2]) > 0) & np.isfinite(keypoints).all(1)
    places = [_fixed(point) for point in np.where(seen[:, None], keypoints[:, :2], 0)]
    canvas, colours = picture.copy(), joint_colours()
    unit = max(1.4, min(picture.shape[:2]) / 200)
    for thickness, ink in ((round(2 * unit + 1), True), (round(unit), False)):
        for a, b in BONES:
            if seen[a] and seen[b]:
                colour = _INK if ink else _bone_colour(colours[a], colours[b])
                cv2.line(canvas, places[a], places[b], colour, thickness, cv2.LINE_AA, _SHIFT)
    for joint in np.flatnonzero(seen):
        sure = keypoints[joint, 2] >= 0.5
        radius = round(2 * unit * (1 << _SHIFT))
        cv2.circle(canvas, places[joint], radius * 3 // 2, _INK, -1 if sure else 1, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, places[joint], radius, colours[joint], -1 if sure else 1, cv2.LINE_AA, _SHIFT)
    return canvas


def _fixed(point: NDArray[np.floating]) -> tuple[int, int]:
    """A place (pixel centres at + ½) as OpenCV takes it (pixel centres at whole numbers), in 1/16 px."""
    near = np.clip(point - 0.5, -4096, 4096)
    x, y = np.round(near * (1 << _SHIFT)).astype(int)
    return int(x), int(y)


def _bone_colour(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    """The side's colour when an end is on one side, and neither's between both sides."""
    sides = {a, b} - {MIDDLE}
    return sides.pop() if len(sides) == 1 else MIDDLE


def with_legend(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture with the words left and right in their colours in its corner."""
    canvas = Image.fromarray(picture)
    draw, place = ImageDraw.Draw(canvas), (6.0, len(picture) - 8.0)
    font = ImageFont.load_default(max(11, len(picture) // 24))
    for text, colour in (("left", LEFT), ("right", RIGHT)):
        draw.text(place, text, fill=colour, font=font, anchor="ls", stroke_width=2, stroke_fill=_INK)
        place = (place[0] + font.getlength(text) + 9, place[1])
    return np.asarray(canvas)


def drawn_mesh(
    picture: NDArray[np.uint8], person: Body, camera: Projection, body: BodyModel, opacity: float = MESH_OPACITY
) -> NDArray[np.uint8]:
    """The lit surface of a body over a picture, which shines through.

    Args:
        picture: (H, W, 3) RGB.
        person: one body, metres.
        camera: its camera, metres → px of the picture.
        body: the model (its faces are used).
        opacity: share of the mesh's colour, 0 … 1.
    """
    height, width = picture.shape[:2]
    fine = Projection(camera.matrix * _SUPERSAMPLE, camera.translation)
    face_id = rasterize(
        project(person.vertices, fine)[0], body.faces, (height * _SUPERSAMPLE, width * _SUPERSAMPLE), threads=1
    )
    colours = _face_colours(person.vertices[0], body)
    layer = np.zeros((*face_id.shape, 4), np.float32)
    hit = face_id >= 0
    layer[hit] = np.append(colours, np.ones((len(colours), 1), np.float32), axis=1)[face_id[hit]]
    mean = layer.reshape(height, _SUPERSAMPLE, width, _SUPERSAMPLE, 4).mean(axis=(1, 3))  # premultiplied
    mixed = picture * (1 - opacity * mean[..., 3:]) + 255 * opacity * mean[..., :3]
    return np.round(mixed).astype(np.uint8)


def _face_colours(vertices: NDArray[np.float32], body: BodyModel) -> NDArray[np.float32]:
    """(F, 3) RGB 0 … 1 of each face, from the mean normal of its corners, so that the facets do not show."""
    normals = vertex_normals(np.ascontiguousarray(vertices, np.float32), body.faces)[body.faces].mean(axis=1)
    facing = np.clip(normals @ (_LIGHT / np.linalg.norm(_LIGHT)), 0, 1)
    return ((0.30 + 0.70 * facing)[:, None] * _SKIN).astype(np.float32)


def part_bars(visibility: NDArray[np.floating], size: int) -> NDArray[np.uint8]:
    """Bars of the charts' shares: the person's right to the left and their left to the right, as of someone who faces
    us; the front and the back of the torso to both sides.

    Args:
        visibility: (24,) share of the map's pixels (``part_visibility``).
        size: px of the square picture.
    """
    canvas = Image.new("RGB", (size, size), _PAPER)
    draw, colours = ImageDraw.Draw(canvas), chart_colours()
    charts = [c for c in range(1, CHART_COUNT + 1) if not CHART_NAMES[c].startswith("right")]
    pitch, middle, half = size / (len(charts) + 1), size / 2, size * 0.18
    font = ImageFont.load_default(pitch * 0.62)
    longest = max(float(visibility.max()), 1e-6)
    for line, chart in enumerate(charts, start=1):
        name = CHART_NAMES[chart].removeprefix("left ")
        draw.text((middle, (line + 0.5) * pitch), name, fill=_INK, font=font, anchor="mm")
        for side, shown in ((1, chart), (-1, int(MIRROR_CHART[chart]))):
            share = float(visibility[shown - 1]) / longest / (2 if shown == MIRROR_CHART[shown] else 1)
            ends = sorted((middle + side * half, middle + side * (half + share * (middle - half - 4))))
            box = (ends[0], (line + 0.15) * pitch, ends[1], (line + 0.85) * pitch)
            if share > 0:
                draw.rectangle(box, fill=tuple(colours[shown].tolist()))
    for name, side in (("right", -1), ("left", 1)):
        draw.text((middle + side * (half + middle) / 2, pitch / 2), name, fill=_INK, font=font, anchor="mm")
    return np.asarray(canvas)


def framed(picture: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """A square picture with its middle outlined: a square of ``share`` of its side."""
    canvas = picture.copy()
    first = round(len(canvas) * (1 - share) / 2)
    last = len(canvas) - 1 - first
    cv2.rectangle(canvas, (first, first), (last, last), MIDDLE, 1)
    return canvas


def blank(size: int, text: str) -> NDArray[np.uint8]:
    """A pale square that says what a row does not have."""
    canvas = Image.new("RGB", (size, size), (236, 236, 236))
    font = ImageFont.load_default(max(12, size // 20))
    ImageDraw.Draw(canvas).text((size / 2, size / 2), text, fill=_INK, font=font, anchor="mm")
    return np.asarray(canvas)

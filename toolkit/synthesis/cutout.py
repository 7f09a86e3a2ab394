"""One flat thing cut out of cardboard, so to speak: an outline, a filling and some roundness.

In: a choice of ``occluder.draw_occluder``. Out: ``Cutout``: colours and coverage of a window of the picture. Called by
``occluder``, which draws the choices and lays the results over a picture.
"""

from __future__ import annotations

from math import atan2, cos, floor, pi, sin, sqrt
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.synthesis.noise import lattice, noise2
from hmrtk.toolkit.synthesis.panorama import load_panorama

KINDS = ("rectangle", "bar", "ellipse", "blob", "foliage", "limb", "figure")
FILLS = ("place", "plain", "stripes", "checks")
_RECTANGLE, _BAR, _ELLIPSE, _BLOB, _FOLIAGE, _LIMB = range(6)
_PLACE, _PLAIN, _STRIPES = range(3)
_REACH = 1.6
"""Ragged outlines stay within this many half extents of the centre."""
SKIN, TOP, BOTTOM, HAIR = range(4)
"""Rows of the colours of limbs and figures."""


class Cutout(NamedTuple):
    """A thing's pixels: top row, left column of its window; (h, w, 4) float32 display RGB 0..255 and coverage 0..1."""

    top: int
    left: int
    pixels: NDArray[np.float32]


def cut_out(choice: dict[str, Any], size: tuple[int, int]) -> Cutout:
    """Paint a thing.

    Args:
        choice: from ``draw_occluder``; nothing else decides the pixels.
        size: (height, width) px of the picture.

    Returns:
        The part of the thing that lies inside the picture; its window may be empty.
    """
    kind, centre = KINDS.index(choice["kind"]), np.array(choice["centre_px"])
    half = np.array(choice["half_px"])
    angle = choice["angle"]
    segments = np.zeros((0, 6))
    if choice["kind"] == "limb":
        segments = limb_segments(half, angle, choice["seed"])
    elif choice["kind"] == "figure":
        segments = figure_segments(half, angle, choice["seed"])
    low, high = _bounds(kind, centre, half, angle, segments, choice["soft_px"])
    left, right = (int(min(max(0, value), size[1])) for value in (np.floor(low[0]), np.ceil(high[0])))
    top, bottom = (int(min(max(0, value), size[0])) for value in (np.floor(low[1]), np.ceil(high[1])))
    pixels = np.zeros((max(0, bottom - top), max(0, right - left), 4), np.float32)
    if pixels.size:
        colours = np.array(choice["colours"]) * 255
        image = load_panorama(choice["panorama"]).image
        row, column, step, slant = choice["texture"]
        step *= image.shape[0] / 256
        corner = (row * image.shape[0], column * image.shape[1], step * cos(slant), step * sin(slant))
        texture = np.array([*corner, choice["shade"], choice["round"], choice["grain"], choice["soft_px"]])
        fill = FILLS.index(choice["fill"])
        _cut(
            *(pixels, kind, centre - (left, top), half, angle, segments),
            *(fill, colours, image, texture, choice["seed"]),
        )
    return Cutout(top, left, pixels)


def limb_segments(half: NDArray[np.float64], angle: float, seed: int) -> NDArray[np.float64]:
    """(3, 6) an arm or a leg: x0, y0, x1, y1 (px from the centre), radius px, row of the colours.

    Two bones that bend at the centre and an end; ``half`` = (half length, radius).
    """
    rng = np.random.default_rng(seed)
    bend, sleeve = rng.uniform(-1.9, 1.9), rng.random() < 0.6
    upper, lower = np.array([cos(angle), sin(angle)]), np.array([cos(angle + bend), sin(angle + bend)])
    start, wrist = -upper * half[0], lower * half[0]
    end = wrist + lower * half[1] * 0.9
    return np.array(
        [
            [*start, 0.0, 0.0, half[1], TOP],
            [0.0, 0.0, *wrist, half[1] * 0.82, TOP if sleeve else SKIN],
            [*wrist, *end, half[1] * 0.8, SKIN],
        ]
    )


def figure_segments(half: NDArray[np.float64], angle: float, seed: int) -> NDArray[np.float64]:
    """(11, 6) another person's outline, as ``limb_segments``; ``half[1]`` is half the height, ``angle`` the lean."""
    rng = np.random.default_rng(seed)
    height = 2.0 * half[1]
    up = np.array([sin(angle), -cos(angle)])
    across = np.array([cos(angle), sin(angle)])
    turn = rng.uniform(0.35, 1.0)
    neck, pelvis = up * 0.33 * height, up * 0.02 * height
    head = neck + up * 0.105 * height
    rows = [[*(pelvis + up * 0.03 * height), *(neck - up * 0.06 * height), 0.085 * height, TOP]]
    short_sleeve, shorts = rng.random() < 0.5, rng.random() < 0.3
    for side in (-1.0, 1.0):
        hip = pelvis + across * side * turn * 0.045 * height
        knee = hip + _turned(-up, rng.uniform(-0.5, 0.5)) * 0.24 * height
        foot = knee + _turned(-up, rng.uniform(-0.6, 0.6)) * 0.23 * height
        rows.append([*knee, *foot, 0.036 * height, SKIN if shorts else BOTTOM])
        rows.append([*hip, *knee, 0.05 * height, BOTTOM])
        shoulder = neck + across * side * turn * 0.1 * height - up * 0.045 * height
        elbow = shoulder + _turned(-up, side * rng.uniform(-0.2, 1.7)) * 0.17 * height
        wrist = elbow + _turned(-up, side * rng.uniform(-0.9, 2.4)) * 0.16 * height
        rows.append([*shoulder, *elbow, 0.033 * height, TOP])
        rows.append([*elbow, *wrist, 0.027 * height, SKIN if short_sleeve else TOP])
    rows.append([*neck, *head, 0.05 * height, SKIN])
    rows.append([*(head + up * 0.022 * height), *(head + up * 0.024 * height), 0.05 * height, HAIR])
    return np.array(rows)


def _turned(direction: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    cosine, sine = cos(angle), sin(angle)
    return np.array([cosine * direction[0] - sine * direction[1], sine * direction[0] + cosine * direction[1]])


def _bounds(
    kind: int,
    centre: NDArray[np.float64],
    half: NDArray[np.float64],
    angle: float,
    segments: NDArray[np.float64],
    soft: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest (x, y) px that a thing can reach."""
    if len(segments):
        ends = segments[:, :4].reshape(-1, 2, 2)
        low, high = ends.min(axis=1) - segments[:, 4:5], ends.max(axis=1) + segments[:, 4:5]
        return centre + low.min(axis=0) - soft, centre + high.max(axis=0) + soft
    cosine, sine = abs(cos(angle)), abs(sin(angle))
    if kind in (_RECTANGLE, _BAR):
        reach = np.array([cosine * half[0] + sine * half[1], sine * half[0] + cosine * half[1]])
    else:
        reach = np.hypot([cosine * half[0], sine * half[0]], [sine * half[1], cosine * half[1]])
        reach *= 1.0 if kind == _ELLIPSE else _REACH
    return centre - reach - soft, centre + reach + soft


@njit(cache=True, nogil=True, error_model="numpy")
def _cut(pixels, kind, centre, half, angle, segments, fill, colours, image, texture, seed):  # type: ignore[no-untyped-def]
    """Fill ``pixels``. texture: row, column, step across and down in the panorama; shade, round, grain, soft px."""
    cosine, sine = cos(angle), sin(angle)
    shade, roundness, grain, soft = texture[4], texture[5], texture[6], texture[7]
    for i in range(pixels.shape[0]):
        for j in range(pixels.shape[1]):
            x, y = j + 0.5 - centre[0], i + 0.5 - centre[1]
            u, v = cosine * x + sine * y, cosine * y - sine * x
            row = 0
            if kind >= _LIMB:
                outside, depth, row = _nearest_segment(x, y, segments)
            else:
                outside, depth = _outline(kind, u, v, half, seed)
            coverage = min(1.0, max(0.0, 0.5 - outside / soft))
            if coverage <= 0.0:
                continue
            tone = shade * (1.0 - roundness * (1.0 - sqrt(max(0.0, depth))))
            tone *= 1.0 + grain * (lattice(i, j, seed) - 0.5 + 0.8 * noise2(u * 0.2, v * 0.2, seed + 1))
            if kind < _LIMB and fill == _PLACE:
                red, green, blue = _texel(image, x, y, texture)
            else:
                if kind < _LIMB and fill > _PLAIN:
                    row = _checker(fill, u, v, half)
                red, green, blue = colours[row, 0], colours[row, 1], colours[row, 2]
            pixels[i, j, 0] = min(255.0, red * tone)
            pixels[i, j, 1] = min(255.0, green * tone)
            pixels[i, j, 2] = min(255.0, blue * tone)
            pixels[i, j, 3] = coverage


@njit(cache=True, nogil=True, error_model="numpy")
def _outline(kind, u, v, half, seed):  # type: ignore[no-untyped-def]
    """Signed distance (px) outside a shape, and how near its ridge or middle a place is, 0..1."""
    if kind == _RECTANGLE:
        return max(abs(u) - half[0], abs(v) - half[1]), 0.5 - 0.5 * v / half[1]
    if kind == _BAR:
        return max(abs(u) - half[0], abs(v) - half[1]), 1.0 - (v / half[1]) ** 2
    radius = sqrt((u / half[0]) ** 2 + (v / half[1]) ** 2)
    reach = 0.5 * (half[0] + half[1])
    if kind == _ELLIPSE:
        return (radius - 1.0) * min(half[0], half[1]), 1.0 - radius * radius
    if radius > _REACH:
        return (radius - 1.0) * reach, 0.0
    turn = atan2(v, u) / pi
    if kind == _BLOB and radius < 0.4:  # for speed: no lobe reaches it
        return (radius - 1.0) * reach, 1.0 - 0.5 * radius * radius
    if kind == _BLOB:  # lobes and straight edges, as of furniture, bags and animals
        lobes = noise2(4.0 * abs(turn), 0.5, seed) + 0.5 * noise2(9.0 * abs(turn), 0.5 if turn > 0.0 else 4.5, seed + 2)
        radius += 0.4 * lobes
        return (radius - 1.0) * reach, 1.0 - 0.5 * radius * radius
    leaves = noise2(7.5 * u / reach, 7.5 * v / reach, seed) + 0.5 * noise2(16.0 * u / reach, 16.0 * v / reach, seed + 1)
    return (radius - 1.0 + 0.22 * noise2(2.0 * turn * pi, radius, seed) + 0.28 * leaves) * reach, 0.55 + 0.3 * leaves


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest_segment(x, y, segments):  # type: ignore[no-untyped-def]
    """Signed distance outside the union of capsules, nearness to the axis and colour of the frontmost (last) one."""
    best, depth, row = 4.0, 0.0, 0  # farther off is all the same
    for k in range(segments.shape[0]):
        ax, ay, dx, dy = segments[k, 0], segments[k, 1], segments[k, 2], segments[k, 3]
        dx, dy = dx - ax, dy - ay
        place = min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / max(1e-9, dx * dx + dy * dy)))
        across, down = x - ax - place * dx, y - ay - place * dy
        square, radius = across * across + down * down, segments[k, 4]
        if square < radius * radius or square < (radius + best) ** 2:
            best, row = sqrt(square) - radius, int(segments[k, 5])
            depth = 1.0 - square / (radius * radius)
    return best, depth, row


@njit(cache=True, nogil=True, inline="always")
def _checker(fill, u, v, half):  # type: ignore[no-untyped-def]
    """0 or 1: which of two colours a place of a striped or checked thing has."""
    size = 0.35 * min(half[0], half[1]) + 1.0
    if fill == _STRIPES:
        return floor(v / size) & 1
    return (floor(u / size) + floor(v / size)) & 1


@njit(cache=True, nogil=True, error_model="numpy")
def _texel(image, x, y, texture):  # type: ignore[no-untyped-def]
    """The panorama's display colour ``step`` of its px per picture px from a corner, mirrored at top and bottom."""
    rows, columns = image.shape[0], image.shape[1]
    cosine, sine = texture[2], texture[3]
    across = texture[1] + cosine * x + sine * y
    down = abs(texture[0] - sine * x + cosine * y)
    down = min(down, max(0.0, 2.0 * rows - 2.001 - down))
    down = min(down, rows - 1.001)
    left, top = floor(across), int(down)
    u, v = across - left, down - top
    first, second = int(left) % columns, (int(left) + 1) % columns
    a, b, c, d = (1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v
    above, below = image[top], image[top + 1]
    return (
        a * above[first, 0] + b * above[second, 0] + c * below[first, 0] + d * below[second, 0],
        a * above[first, 1] + b * above[second, 1] + c * below[first, 1] + d * below[second, 1],
        a * above[first, 2] + b * above[second, 2] + c * below[first, 2] + d * below[second, 2],
    )

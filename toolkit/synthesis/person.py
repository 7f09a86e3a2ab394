"""Draws the lit person: geometry at the fine picture's pixels, averaged to the picture's.

In: the posed body in the camera frame, its look and its light. Out: premultiplied linear RGB and coverage of a window
of the picture. Called by ``scene``.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.maps.kernels import faces_of_body, weights_at
from hmrtk.toolkit.synthesis.light import Light, lit_share
from hmrtk.toolkit.synthesis.look import BELT, BOTTOM, HAIR, INNER, SKIN, TOP, Look
from hmrtk.toolkit.synthesis.material import surface
from hmrtk.toolkit.synthesis.noise import noise3
from hmrtk.toolkit.synthesis.restpose import Marks

OPENNESS_DIRECTIONS = 24
_REST, _NORMAL, _PLACE, _AMBIENT = 0, 3, 6, 9
"""Columns of the per-vertex attribute table that the pixel kernel interpolates."""


class Window(NamedTuple):
    """Part of the picture: top row, left column, height, width, px."""

    top: int
    left: int
    height: int
    width: int


def person_window(points_px: NDArray[np.float64], size: tuple[int, int]) -> Window:
    """The smallest window of the picture that holds every vertex in front of the camera; may be empty."""
    in_front = points_px[points_px[:, 2] > 0]
    if not len(in_front):
        return Window(0, 0, 0, 0)
    low = np.clip(np.floor(in_front[:, :2].min(axis=0)), 0, (size[1], size[0])).astype(int)
    high = np.clip(np.ceil(in_front[:, :2].max(axis=0)), 0, (size[1], size[0])).astype(int)
    return Window(int(low[1]), int(low[0]), int(max(0, high[1] - low[1])), int(max(0, high[0] - low[0])))


def draw_person(
    points_px: NDArray[np.float64],
    faces: NDArray[np.int32],
    attributes: NDArray[np.float32],
    window: Window,
    supersample: int,
    marks: Marks,
    look: Look,
    light: Light,
) -> NDArray[np.float32]:
    """Rasterise and shade the body inside a window.

    Args:
        points_px: (V, 3) float64: x px, y px, depth m.
        faces: (F, 3).
        attributes: (V, 12) from ``vertex_attributes``.
        window: what to draw.
        supersample: fine pixels per pixel and axis.
        marks, look, light: what to draw it with.

    Returns:
        (window height, window width, 4) float32: linear RGB times coverage, coverage 0..1.
    """
    fine = points_px.copy()
    fine[:, :2] = (fine[:, :2] - (window.left, window.top)) * supersample
    shape = (window.height * supersample, window.width * supersample)
    face_id = np.empty(shape, np.int32)
    faces_of_body(fine, faces, face_id, np.empty(shape))
    picture = np.zeros((window.height, window.width, 4), np.float32)
    _shade(picture, face_id, fine, faces, attributes, supersample, marks, look, light)
    return picture


def vertex_attributes(
    rest: NDArray[np.float64],
    vertices: NDArray[np.float32],
    normals: NDArray[np.float32],
    ambient: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(V, 12) float32: T-pose place, normal, camera-frame place, ambient light."""
    return np.concatenate([rest, normals, vertices, ambient], axis=1, dtype=np.float32)


def dressed_vertices(
    vertices: NDArray[np.float32],
    normals: NDArray[np.float32],
    rest: NDArray[np.float64],
    marks: Marks,
    look: Look,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The surface that is seen: clothes hang off the skin, hair stands on the scalp.

    Args:
        vertices, normals: (V, 3) of the posed body; metres.
        rest: (V, 3) T-pose.
        marks, look: where which garment lies, how loose it is and how deep its folds are.

    Returns:
        (V, 3) float32 the dressed surface; and the same with the folds exaggerated, to take normals from. The dressed
        surface of a look without looseness is the body's own.
    """
    return _dressed(vertices, normals, rest, marks, look)


@njit(cache=True, nogil=True)
def _dressed(vertices, normals, rest, marks, look):  # type: ignore[no-untyped-def]
    dressed, folded = vertices.copy(), vertices.copy()
    for v in range(vertices.shape[0]):
        x, y, z = rest[v, 0], rest[v, 1], rest[v, 2]
        row = surface(x, y, z, marks, look)[4]
        if row != TOP and row != BOTTOM and row != INNER and row != HAIR and row != BELT:
            continue
        away = _looseness(row, x, y, marks, look)
        fold = _fold(row, x, y, z, marks, look)
        lift = away * (1.0 + 0.5 * fold)
        depth = (look.wrinkle + 0.35 * away) * fold
        for k in range(3):
            dressed[v, k] += normals[v, k] * np.float32(lift)
            folded[v, k] += normals[v, k] * np.float32(lift + depth)
    return dressed, folded


@njit(cache=True, nogil=True)
def _looseness(row, x, y, marks, look):  # type: ignore[no-untyped-def]
    """Distance (m) between cloth or hair and skin: cloth rests on shoulders and hips and hangs off below them."""
    side = abs(x)
    if row == HAIR:
        return (
            look.hair_volume
            * min(1.0, max(0.25, (marks.top_y - y) * 6.0 + 0.6))
            * (1.0 + 0.35 * noise3(x * 40.0, y * 40.0, look.seed))
        )
    if row in (BOTTOM, BELT):
        down = (marks.hip_y - y) / (marks.hip_y - look.leg_hem_y)
        return look.bottom_loose * min(1.0, max(0.15, 0.35 + 0.65 * down))
    if side > marks.shoulder_x:
        along = (side - marks.shoulder_x) / max(0.05, look.sleeve_x - marks.shoulder_x)
        return look.top_loose * min(1.0, 0.3 + 0.6 * along)
    down = (marks.arm_y - y) / (marks.arm_y - look.hem_y)
    return look.top_loose * min(1.25, max(0.12, 0.2 + 1.05 * down))


@njit(cache=True, nogil=True)
def _fold(row, x, y, z, marks, look):  # type: ignore[no-untyped-def]
    """Folds, about -1.8 .. 1.8: across the limbs, and denser at elbows, knees and waist."""
    along = 2.2 if row == HAIR else 1.0
    bend = min(abs(abs(x) - marks.elbow_x), abs(y - marks.knee_y), abs(y - marks.waist_y))
    depth = 0.7 + 1.1 * max(0.0, 1.0 - bend / 0.12)
    if abs(x) > marks.shoulder_x:
        return depth * noise3(x * 34.0 + look.seed, y * 14.0 * along, z * 14.0)
    if y < marks.hip_y:
        return depth * noise3(x * 13.0 + look.seed, y * 26.0 + 5.0 * abs(x), z * 13.0)
    # pulled from the armpits towards the waist
    slant = y * 24.0 + 16.0 * abs(x) * (y - marks.waist_y) / max(0.1, marks.arm_y - marks.waist_y)
    return depth * (
        0.7 * noise3(x * 13.0 + look.seed, slant, z * 13.0) + 0.5 * noise3(x * 30.0, y * 12.0, z * 30.0 + look.seed)
    )


@njit(cache=True, nogil=True)
def _shade(picture, face_id, points, faces, attributes, supersample, marks, look, light):  # type: ignore[no-untyped-def]
    share = np.float32(1.0 / (supersample * supersample))
    value = np.empty(12)
    for i in range(face_id.shape[0]):
        for j in range(face_id.shape[1]):
            f = face_id[i, j]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wb, wc = weights_at(points, a, b, c, j + 0.5, i + 0.5)
            wa = 1.0 - wb - wc
            for k in range(12):
                value[k] = wa * attributes[a, k] + wb * attributes[b, k] + wc * attributes[c, k]
            red, green, blue = _point_colour(value, marks, look, light)
            pixel = picture[i // supersample, j // supersample]
            pixel[0] += np.float32(red) * share
            pixel[1] += np.float32(green) * share
            pixel[2] += np.float32(blue) * share
            pixel[3] += share


@njit(cache=True, nogil=True)
def _point_colour(value, marks, look, light):  # type: ignore[no-untyped-def]
    """Linear radiance of a surface point: ambient, key with its shadow, a highlight, a sheen along the outline."""
    red, green, blue, gloss, row = surface(value[_REST], value[_REST + 1], value[_REST + 2], marks, look)
    nx, ny, nz = value[_NORMAL], value[_NORMAL + 1], value[_NORMAL + 2]
    length = max(1e-9, sqrt(nx * nx + ny * ny + nz * nz))
    nx, ny, nz = nx / length, ny / length, nz / length
    px, py, pz = value[_PLACE], value[_PLACE + 1], value[_PLACE + 2]
    direction = light.direction
    facing = nx * direction[0] + ny * direction[1] + nz * direction[2]
    lit = 0.0
    if facing > -0.25:
        lit = lit_share(px + 0.012 * nx, py + 0.012 * ny, pz + 0.012 * nz, light)
    cosine = max(0.0, facing) * lit
    warm = cosine
    if row == SKIN:  # light that entered the skin elsewhere leaves it redder
        warm = max(0.0, facing + 0.12) / 1.12 * (0.15 + 0.85 * lit)
    distance = sqrt(px * px + py * py + pz * pz)
    vx, vy, vz = -px / distance, -py / distance, -pz / distance
    towards = max(0.0, nx * vx + ny * vy + nz * vz)
    hx, hy, hz = vx + direction[0], vy + direction[1], vz + direction[2]
    half = max(1e-9, sqrt(hx * hx + hy * hy + hz * hz))
    shine = max(0.0, (nx * hx + ny * hy + nz * hz) / half)
    for _ in range(4):
        shine *= shine
    shine *= gloss * 2.0 * lit
    sheen = 0.04 + gloss
    edge = 1.0 - towards
    sheen *= edge * edge * edge
    key = light.key
    return (
        red * (value[_AMBIENT] + key[0] * warm) + shine * key[0] + sheen * value[_AMBIENT],
        green * (value[_AMBIENT + 1] + key[1] * cosine) + shine * key[1] + sheen * value[_AMBIENT + 1],
        blue * (value[_AMBIENT + 2] + key[2] * cosine) + shine * key[2] + sheen * value[_AMBIENT + 2],
    )

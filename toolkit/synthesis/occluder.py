"""Things in front of the person, for synthesised pictures and for photographs that are augmented while training.

In: a picture, where the person is, a random generator. Out: the picture with things pasted over it, which pixels they
cover, and every choice. Called by ``scene`` and by whoever trains (``paste_occluders``).

Synthetic occlusion as Best of Both Worlds §3.4 trains with, after Sárándi et al. 2018 ("How robust is 3D human pose
estimation to occlusion?" and "Synthetic occlusion augmentation with volumetric heatmaps"): rectangles, bars, ellipses,
pieces of other pictures cut to the shape of objects and limbs, random in number, size and place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.synthesis.cutout import FILLS, KINDS, Cutout, cut_out
from hmrtk.toolkit.synthesis.look import cloth_colour, hair_colour, skin_colour
from hmrtk.toolkit.synthesis.panorama import load_panorama, panorama_names, radiance_table

MOST_HIDDEN = 0.7
"""Largest share of the person that is hidden: Sárándi et al. go up to 70 % of the box."""
_GREEN = ("bpy_forest", "bpy_sunrise", "pm_forest", "pm_park", "pm_sunrise")
_KIND_SHARES = (0.2, 0.14, 0.12, 0.22, 0.1, 0.14, 0.08)
_FILL_SHARES = (0.62, 0.2, 0.09, 0.09)


class Pasted(NamedTuple):
    """A picture with things in front.

    ``picture``: (H, W, 3) uint8. ``covered``: (H, W) bool, pixels that show a thing instead of what was there (at
    least half of the pixel). ``choices``: one JSON-able dictionary per thing; ``repasted`` lays them again.
    """

    picture: NDArray[np.uint8]
    covered: NDArray[np.bool_]
    choices: list[dict[str, Any]]


def paste_occluders(
    picture: NDArray[np.uint8],
    rng: np.random.Generator,
    bbox_xyxy: ArrayLike | None = None,
    count: tuple[int, int] = (1, 8),
    scale: float = 1.0,
    most_hidden: float = MOST_HIDDEN,
    panoramas: Sequence[str] = (),
) -> Pasted:
    """Paste random things over a person in any picture: synthetic occlusion for training.

    The same generator state gives the same bytes. A 224 px picture takes one or two milliseconds on one core; the
    first calls also decode the packaged panoramas that fill the things (call from several threads as you like).

    Args:
        picture: (H, W, 3) uint8 RGB; not changed.
        rng: consumed.
        bbox_xyxy: (4,) px, the person's box; things are centred inside it and sized by it. None: the whole picture.
        count: least and greatest number of things, drawn evenly. Things that would hide too much are left out.
        scale: multiplies the things' sizes.
        most_hidden: greatest share of the box that all things together hide.
        panoramas: names of the packaged panoramas to take pieces from; empty: all.

    Raises:
        InputError: a picture of another shape or type, a box without area, or counts or shares out of range.
        UnknownNameError: a panorama that is not packaged.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError("occluder picture", f"expected uint8 (H, W, 3), got {picture.dtype} {picture.shape}")
    size = (picture.shape[0], picture.shape[1])
    box = _checked_box(bbox_xyxy, size)
    if not 0 <= count[0] <= count[1]:
        raise InputError("occluder count", f"expected 0 <= least <= greatest, got {tuple(count)}")
    if not (scale > 0 and 0 <= most_hidden <= 1):
        raise InputError("occluders", f"expected scale > 0 and most_hidden in 0..1, got {scale} and {most_hidden}")
    for name in panoramas:
        load_panorama(name)
    person = np.zeros(size, np.float32)
    low, high = np.clip(np.floor(box[:2]), 0, None).astype(int), np.clip(np.ceil(box[2:]), 0, None).astype(int)
    person[low[1] : high[1], low[0] : high[0]] = 1
    occlusion = np.zeros(size, np.float32)
    pasted = picture.copy()
    choices = add_occluders(
        rng,
        pasted,
        person,
        occlusion,
        box,
        None,
        int(rng.integers(count[0], count[1] + 1)),
        scale,
        most_hidden,
        panoramas,
    )
    return Pasted(pasted, occlusion >= 0.5, choices)


def repasted(picture: NDArray[np.uint8], choices: Sequence[dict[str, Any]]) -> Pasted:
    """Lay recorded choices over a picture: of the same picture, the same bytes as when they were drawn."""
    occlusion, pasted = np.zeros(picture.shape[:2], np.float32), picture.copy()
    for choice in choices:
        lay_over(pasted, occlusion, cut_out(choice, (picture.shape[0], picture.shape[1])))
    return Pasted(pasted, occlusion >= 0.5, list(choices))


def add_occluders(
    rng: np.random.Generator,
    picture: NDArray[Any],
    person: NDArray[np.float32],
    occlusion: NDArray[np.float32],
    box: NDArray[np.float64],
    points_px: NDArray[np.float64] | None,
    count: int,
    scale: float = 1.0,
    most_hidden: float = MOST_HIDDEN,
    panoramas: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Draw up to ``count`` things and lay them over the picture, far to near.

    Args:
        rng: consumed.
        picture: (H, W, 3) uint8 display values or float32 linear radiance, changed in place.
        person: (H, W) how much of each pixel the person covers, 0..1.
        occlusion: (H, W) float32, how much of each pixel things cover, raised in place.
        box: (4,) px x0, y0, x1, y1 of the person.
        points_px: (V, 2 or more) of the person: things are centred on one of them; None: anywhere in the box.
        count: things to draw; one that would take the hidden share of ``person`` above ``most_hidden`` is left out.
        scale, most_hidden, panoramas: as in ``paste_occluders``.
    """
    choices: list[dict[str, Any]] = []
    whole, hidden = max(1e-6, float(person.sum(dtype=np.float64))), 0.0
    for _ in range(count):
        centre = rng.uniform(box[:2], box[2:]) if points_px is None else points_px[rng.integers(len(points_px)), :2]
        choice = draw_occluder(rng, centre, box, scale, panoramas or panorama_names())
        cut = cut_out(choice, occlusion.shape)
        more = _newly_hidden(person, occlusion, cut.pixels, cut.top, cut.left) / whole
        if hidden + more > most_hidden:
            continue
        hidden += more
        lay_over(picture, occlusion, cut)
        choices.append({**choice, "hides": round(more, 4)})
    return choices


def draw_occluder(
    rng: np.random.Generator,
    centre_px: NDArray[np.float64],
    box: NDArray[np.float64],
    scale: float,
    panoramas: Sequence[str],
    kinds: Sequence[str] = KINDS,
    fill_shares: tuple[float, ...] = _FILL_SHARES,
) -> dict[str, Any]:
    """Choose one thing: kind, place, size, tilt, filling and light; the values ``cut_out`` needs, rounded.

    Args:
        rng: consumed.
        centre_px: (2,) its middle.
        box: (4,) px of the person; sizes are shares of its longer side.
        scale: multiplies the size.
        panoramas: names to take the filling from.
        kinds: the kinds to choose from.
        fill_shares: how often each of ``FILLS`` fills them.
    """
    shares = np.array([_KIND_SHARES[KINDS.index(kind)] for kind in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
    span = float(max(box[2] - box[0], box[3] - box[1])) * scale
    half, angle = _draw_size(rng, kind)
    centre = np.array(centre_px, np.float64)
    if kind == "rectangle" and rng.random() < 0.4:  # furniture: it reaches the ground
        below = max(half[1], (float(box[3]) - centre[1]) / span + 0.03)
        centre[1] += (below - half[1]) / 2 * span
        half, angle = (half[0], (below + half[1]) / 2), 0.0
    green = tuple(name for name in _GREEN if name in panoramas)
    names = green if kind == "foliage" and green else tuple(panoramas)
    rounded = {"rectangle": (0.0, 0.45), "foliage": (0.7, 1.0)}.get(kind, (0.2, 0.6))
    return {
        "kind": kind,
        "centre_px": [round(float(value), 2) for value in centre],
        "half_px": [round(max(0.5, float(value) * span), 2) for value in half],
        "angle": round(float(angle), 4),
        "fill": FILLS[int(rng.choice(len(FILLS), p=fill_shares))] if kind != "foliage" else "place",
        "colours": _draw_colours(rng, kind),
        "panorama": names[int(rng.integers(len(names)))],
        "texture": _draw_texture(rng),
        "shade": round(float(rng.uniform(0.55, 1.2)), 4),
        "round": round(float(rng.uniform(*rounded)), 4),
        "grain": round(float(rng.uniform(0.03, 0.2)), 4),
        "soft_px": round(float(rng.uniform(0.8, 2.0)), 2),
        "seed": int(rng.integers(1 << 16)),
    }


def lay_over(picture: NDArray[Any], occlusion: NDArray[np.float32], cut: Cutout) -> None:
    """Put a cut-out onto a picture (uint8 display values or float32 linear radiance), in place."""
    if picture.dtype == np.uint8:
        _lay_display(picture, occlusion, cut.pixels, cut.top, cut.left)
    else:
        _lay_radiance(picture, occlusion, cut.pixels, cut.top, cut.left, radiance_table())


@njit(cache=True, nogil=True)
def _lay_display(picture, occlusion, pixels, top, left):  # type: ignore[no-untyped-def]
    for i in range(pixels.shape[0]):
        for j in range(pixels.shape[1]):
            alpha = pixels[i, j, 3]
            if alpha <= 0.0:
                continue
            for k in range(3):
                under = np.float32(picture[top + i, left + j, k])
                picture[top + i, left + j, k] = np.uint8(under + (pixels[i, j, k] - under) * alpha + np.float32(0.5))
            occlusion[top + i, left + j] += (np.float32(1.0) - occlusion[top + i, left + j]) * alpha


@njit(cache=True, nogil=True)
def _lay_radiance(picture, occlusion, pixels, top, left, table):  # type: ignore[no-untyped-def]
    for i in range(pixels.shape[0]):
        for j in range(pixels.shape[1]):
            alpha = pixels[i, j, 3]
            if alpha <= 0.0:
                continue
            for k in range(3):
                level = min(254, int(pixels[i, j, k]))
                over = table[level] + (table[level + 1] - table[level]) * (pixels[i, j, k] - np.float32(level))
                picture[top + i, left + j, k] += (over - picture[top + i, left + j, k]) * alpha
            occlusion[top + i, left + j] += (np.float32(1.0) - occlusion[top + i, left + j]) * alpha


@njit(cache=True, nogil=True)
def _newly_hidden(person, occlusion, pixels, top, left):  # type: ignore[no-untyped-def]
    """Px of the person that a thing hides and those before it do not."""
    total = 0.0
    for i in range(pixels.shape[0]):
        for j in range(pixels.shape[1]):
            if pixels[i, j, 3] > 0.0:
                total += person[top + i, left + j] * (1.0 - occlusion[top + i, left + j]) * pixels[i, j, 3]
    return total


def _checked_box(bbox_xyxy: ArrayLike | None, size: tuple[int, int]) -> NDArray[np.float64]:
    box = np.array([0, 0, size[1], size[0]] if bbox_xyxy is None else bbox_xyxy, np.float64)
    if box.shape != (4,) or not np.isfinite(box).all() or not (box[2:] > box[:2]).all():
        raise InputError("occluder box", f"expected x0 < x1 and y0 < y1, got {bbox_xyxy!r}", "boxes are x0, y0, x1, y1")
    return box


def _draw_size(rng: np.random.Generator, kind: str) -> tuple[tuple[float, float], float]:
    """Half extents in shares of the person's longer side, and the tilt in rad."""
    if kind == "bar":
        tilt = float(rng.choice((0.0, np.pi / 2))) + rng.normal(0, 0.05)
        half = (float(np.exp(rng.uniform(np.log(0.2), np.log(2.5)))), rng.uniform(0.015, 0.055))
        return half, tilt if rng.random() < 0.6 else rng.uniform(0, np.pi)
    if kind == "limb":
        return (rng.uniform(0.12, 0.28), rng.uniform(0.025, 0.05)), rng.uniform(0, 2 * np.pi)
    if kind == "figure":
        return (0.2, rng.uniform(0.35, 0.55)), rng.normal(0, 0.15)
    first = float(np.exp(rng.uniform(np.log(0.05), np.log(0.22))))
    aspect = float(np.exp(rng.normal(0, 0.35)))
    tilt = rng.normal(0, 0.1) if kind == "rectangle" and rng.random() < 0.5 else rng.uniform(0, np.pi)
    return (first * aspect, first / aspect), tilt


def _draw_colours(rng: np.random.Generator, kind: str) -> list[list[float]]:
    """Display RGB 0..1: two of cloth, or those of a person's skin, top, bottom and hair."""
    if kind in ("limb", "figure"):
        tone = float(rng.uniform(0, 1))
        drawn = [skin_colour(tone), cloth_colour(rng), cloth_colour(rng), hair_colour(rng.uniform(0, 1))]
    else:
        drawn = [cloth_colour(rng), cloth_colour(rng)]
    return [[round(float(value), 4) for value in np.clip(colour, 0, 1)] for colour in drawn]


def _draw_texture(rng: np.random.Generator) -> list[float]:
    """Row and column in shares of a panorama, steps of 1/256 of its height per picture px, slant in rad."""
    row, column = rng.uniform(0.35, 0.95), rng.uniform(0, 1)
    step, slant = np.exp(rng.uniform(np.log(0.3), np.log(1.1))), rng.uniform(-0.4, 0.4)
    return [round(float(value), 4) for value in (row, column, step, slant)]

"""Draws how a person looks: skin, hair, clothes and their fabrics.

In: a random generator. Out: a JSON-able dictionary of choices (``draw_look``) and the arrays that the pixel kernel
reads (``pack_look``). Called by ``scene``.
"""

from __future__ import annotations

import colorsys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.synthesis.restpose import Marks

SKIN, HAIR, TOP, INNER, BOTTOM, SHOES, SOLE, SOCKS, BELT, GRAPHIC = range(10)
"""Rows of ``Look.fabrics``."""
PATTERNS = ("plain", "stripes", "checks", "plaid", "dots", "pinstripes", "blotches", "denim", "melange", "band")
GRAPHICS = ("none", "disc", "bars", "panel", "letters")
FABRIC_COLUMNS = 13
"""base RGB, second RGB, third RGB (linear), pattern, scale m, mottle, gloss."""

_SKINS = ("f2d3bf", "ecc0a0", "dea986", "cb8f6c", "b0734f", "8f5839", "744730", "583726")
_HAIRS = ("0e0b0a", "1c130e", "2b1c12", "43291a", "6a4424", "9a6b3a", "c9a15f", "8c3b1c", "77726d", "c8c4bd")
_NEUTRALS: tuple[str, ...] = (
    "141418",
    "2b2d33",
    "56595f",
    "9a9ca0",
    "e9e7e2",
    "f6f5f1",
    "1d2740",
    "2f4468",
    "5d7396",
    "a99b80",
)
_NEUTRALS += ("7d6b4f", "4a4f37", "5c4633", "cdbfa6", "701f26", "23402f")
_CUTS = ("t-shirt", "long-sleeve", "tank", "open-jacket", "high-neck")


class Look(NamedTuple):
    """A look as the kernel ``material.surface`` reads it; lengths in metres on the T-pose."""

    fabrics: NDArray[np.float64]
    sleeve_x: float
    hem_y: float
    neck_level: float
    neck_depth: float
    neck_half: float
    open_half: float
    waist_y: float
    leg_hem_y: float
    shoe_y: float
    sock_y: float
    side_stripe: float
    pockets: float
    placket: float
    hair_shift: float
    hair_length: float
    beard: float
    graphic: float
    graphic_y: float
    graphic_size: float
    top_loose: float
    bottom_loose: float
    hair_volume: float
    wrinkle: float
    seed: float


def draw_look(
    rng: np.random.Generator, avoid: NDArray[np.floating] | None = None, loose_m: tuple[float, float] = (0.0, 0.0)
) -> dict[str, Any]:
    """Choose skin, hair and clothes.

    Args:
        rng: consumed.
        avoid: (3,) display RGB 0..1 of what stands behind the person; clothes too like it are drawn again, so that the
            person does not melt into the place (four tries, then whatever came).
        loose_m: least and greatest distance of clothes and hair from the skin, metres.

    Returns:
        Strings, numbers, lists and dictionaries only; colours are display RGB 0..1.
    """
    tone = float(rng.uniform(0, len(_SKINS) - 1))
    skin = _between(_SKINS, tone) * rng.uniform(0.95, 1.05, 3)
    cut = _CUTS[rng.choice(len(_CUTS), p=(0.42, 0.27, 0.11, 0.13, 0.07))]
    look: dict[str, Any] = {
        "skin": {"tone": round(tone, 3), "colour": _listed(skin), "gloss": _number(rng.uniform(0.03, 0.12))},
        "hair": _draw_hair(rng, tone),
        "top": _draw_top(rng, cut, avoid),
        "bottom": _draw_bottom(rng, avoid),
        "shoes": _draw_shoes(rng),
        "loose_m": {part: _number(rng.uniform(*loose_m)) for part in ("top", "bottom", "hair")},
        "wrinkle_m": _number(rng.uniform(0.004, 0.011)),
        "seed": int(rng.integers(1 << 16)),
    }
    return look


def pack_look(look: dict[str, Any], marks: Marks) -> Look:
    """The arrays of ``draw_look``'s choices, placed on the T-pose that ``marks`` describes."""
    top, bottom, shoes, hair = look["top"], look["bottom"], look["shoes"], look["hair"]
    fabrics = np.zeros((10, FABRIC_COLUMNS))
    skin = np.array(look["skin"]["colour"])
    plain = {"pattern": "plain", "scale_m": 0.05, "mottle": 0.05, "gloss": 0.02}
    rows = {
        SKIN: plain | {"colours": [skin], "gloss": look["skin"]["gloss"]},
        HAIR: plain | {"colours": [hair["colour"]], "gloss": 0.05},
        TOP: top["fabric"],
        INNER: top["inner"],
        BOTTOM: bottom["fabric"],
        SHOES: plain | {"colours": [shoes["colour"]], "gloss": shoes["gloss"]},
        SOLE: plain | {"colours": [shoes["sole"]]},
        SOCKS: plain | {"colours": [shoes["sock_colour"]]},
        BELT: plain | {"colours": [bottom["belt"]], "gloss": 0.1},
        GRAPHIC: plain | {"colours": top["graphic"]["colours"]},
    }
    for row, fabric in rows.items():
        fabrics[row] = _packed_fabric(fabric)
    arm, leg = marks.wrist_x - marks.shoulder_x, marks.hip_y - marks.ankle_y
    return Look(
        fabrics=fabrics,
        sleeve_x=marks.shoulder_x + top["sleeve"] * arm,
        hem_y=marks.pelvis_y + top["hem_m"],
        neck_level=marks.neck_y + top["neck_m"],
        neck_depth=top["neck_depth_m"],
        neck_half=top["neck_half_m"],
        open_half=top["open_half_m"],
        waist_y=marks.waist_y + bottom["waist_m"],
        leg_hem_y=marks.hip_y - bottom["length"] * leg,
        shoe_y=marks.ankle_y + shoes["height_m"] if shoes["kind"] != "barefoot" else marks.sole_y - 1.0,
        sock_y=marks.ankle_y + shoes["sock_m"],
        side_stripe=bottom["side_stripe_m"],
        pockets=float(bottom["pockets"]),
        placket=top["placket_m"],
        hair_shift=hair["shift_m"],
        hair_length=float(hair["long"]),
        beard=hair["beard"],
        graphic=float(GRAPHICS.index(top["graphic"]["kind"])),
        graphic_y=marks.arm_y - top["graphic"]["drop_m"],
        graphic_size=top["graphic"]["size_m"],
        top_loose=look["loose_m"]["top"],
        bottom_loose=look["loose_m"]["bottom"],
        hair_volume=look["loose_m"]["hair"],
        wrinkle=look["wrinkle_m"],
        seed=float(look["seed"]),
    )


def _draw_hair(rng: np.random.Generator, tone: float) -> dict[str, Any]:
    style = ("short", "receding", "bald", "long", "fringe")[rng.choice(5, p=(0.44, 0.12, 0.07, 0.25, 0.12))]
    dark = rng.random() < 0.25 + 0.09 * tone
    colour = _between(_HAIRS, float(rng.uniform(0, 3 if dark else len(_HAIRS) - 1)))
    shift = {"short": 0.0, "receding": 0.03, "bald": 0.3, "long": 0.0, "fringe": -0.022}[style]
    return {
        "style": style,
        "colour": _listed(colour * rng.uniform(0.9, 1.1, 3)),
        "shift_m": _number(shift + rng.normal(0, 0.004)),
        "long": style == "long",
        "beard": _number(rng.uniform(0.35, 0.95) if style != "long" and rng.random() < 0.3 else 0.0),
    }


def _draw_top(rng: np.random.Generator, cut: str, avoid: NDArray[np.floating] | None) -> dict[str, Any]:
    sleeve = {
        "t-shirt": rng.uniform(0.12, 0.42),
        "long-sleeve": rng.uniform(0.7, 0.99),
        "tank": -0.06,
        "open-jacket": rng.uniform(0.8, 1.0),
        "high-neck": rng.uniform(0.85, 1.0),
    }[cut]
    deep = rng.random() < 0.3
    neck = 0.055 if cut == "high-neck" else rng.uniform(-0.02, 0.0) - 0.02 * (cut == "tank")
    graphic = GRAPHICS[rng.choice(len(GRAPHICS), p=(0.55, 0.1, 0.1, 0.1, 0.15))] if cut != "open-jacket" else "none"
    return {
        "cut": cut,
        "sleeve": _number(sleeve),
        "hem_m": _number(rng.uniform(-0.07, 0.07)),
        "neck_m": _number(neck),
        "neck_depth_m": _number(rng.uniform(0.05, 0.11) if deep and cut != "high-neck" else 0.0),
        "neck_half_m": _number(rng.uniform(0.05, 0.08)),
        "open_half_m": _number(rng.uniform(0.03, 0.075) if cut == "open-jacket" else 0.0),
        "placket_m": _number(rng.uniform(0.008, 0.016) if cut == "long-sleeve" and rng.random() < 0.6 else 0.0),
        "fabric": _draw_fabric(rng, (0.34, 0.16, 0.07, 0.09, 0.04, 0.03, 0.07, 0.03, 0.1, 0.07), avoid),
        "inner": _draw_fabric(rng, (0.6, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0), avoid),
        "graphic": {
            "kind": graphic,
            "colours": [_listed(cloth_colour(rng)), _listed(cloth_colour(rng))],
            "size_m": _number(rng.uniform(0.05, 0.1)),
            "drop_m": _number(rng.uniform(0.08, 0.16)),
        },
    }


def _draw_bottom(rng: np.random.Generator, avoid: NDArray[np.floating] | None) -> dict[str, Any]:
    kind = ("trousers", "shorts", "cropped")[rng.choice(3, p=(0.6, 0.3, 0.1))]
    length = {"trousers": (0.93, 1.02), "shorts": (0.18, 0.52), "cropped": (0.62, 0.8)}[kind]
    return {
        "kind": kind,
        "length": _number(rng.uniform(*length)),
        "waist_m": _number(rng.uniform(-0.09, 0.0)),
        "side_stripe_m": _number(rng.uniform(0.008, 0.018) if rng.random() < 0.2 else 0.0),
        "pockets": bool(rng.random() < 0.6),
        "belt": _listed(_hex(_NEUTRALS[int(rng.choice((0, 1, 12)))])),
        "fabric": _draw_fabric(rng, (0.42, 0.0, 0.03, 0.04, 0.01, 0.05, 0.07, 0.28, 0.1, 0.0), avoid),
    }


def _draw_shoes(rng: np.random.Generator) -> dict[str, Any]:
    kind = ("barefoot", "low", "boots")[rng.choice(3, p=(0.15, 0.65, 0.2))]
    height = rng.uniform(0.06, 0.14) if kind == "boots" else rng.uniform(-0.01, 0.015)
    return {
        "kind": kind,
        "height_m": _number(height),
        "colour": _listed(cloth_colour(rng)),
        "sole": _listed(_hex("efece6" if rng.random() < 0.6 else "26211d") * rng.uniform(0.85, 1.0)),
        "gloss": _number(rng.uniform(0.02, 0.2)),
        "sock_m": _number(rng.uniform(0.03, 0.16) if kind == "low" and rng.random() < 0.7 else -1.0),
        "sock_colour": _listed(_hex("e8e6e0" if rng.random() < 0.6 else "2a2a2e")),
    }


def _draw_fabric(
    rng: np.random.Generator, pattern_shares: tuple[float, ...], avoid: NDArray[np.floating] | None
) -> dict[str, Any]:
    pattern = PATTERNS[rng.choice(len(PATTERNS), p=np.array(pattern_shares) / sum(pattern_shares))]
    base = cloth_colour(rng)
    if pattern == "denim":
        base = _between(("141d33", "2a3f66", "4a668f", "8aa2c0"), float(rng.uniform(0, 3)))
    for _ in range(4):
        if avoid is None or np.abs(base - avoid).max() > 0.17:
            break
        base = cloth_colour(rng)
    second = cloth_colour(rng)
    if np.abs(second - base).max() < 0.2:
        second = np.where(base.mean() > 0.5, base * 0.45, base * 0.5 + 0.48)
    return {
        "pattern": pattern,
        "colours": [_listed(base), _listed(second), _listed(cloth_colour(rng))],
        "scale_m": _number(np.exp(rng.uniform(np.log(0.03), np.log(0.11)))),
        "mottle": _number(rng.uniform(0.04, 0.14)),
        "gloss": _number(rng.uniform(0.0, 0.05) if rng.random() < 0.85 else rng.uniform(0.1, 0.25)),
    }


def _packed_fabric(fabric: dict[str, Any]) -> NDArray[np.float64]:
    colours = [np.asarray(colour, np.float64) for colour in fabric["colours"]]
    colours += [colours[-1]] * (3 - len(colours))
    linear = np.clip(np.concatenate(colours), 0.0, 1.0) ** 2.2 * 0.88 + 0.012
    tail = [PATTERNS.index(fabric["pattern"]), fabric["scale_m"], fabric["mottle"], fabric["gloss"]]
    return np.concatenate([linear, tail])


def cloth_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """(3,) display RGB of some cloth: a neutral or any hue."""
    if rng.random() < 0.55:
        return np.clip(_hex(_NEUTRALS[int(rng.integers(len(_NEUTRALS)))]) * rng.uniform(0.85, 1.1, 3), 0, 1)
    hue, saturation, value = rng.random(), rng.uniform(0.25, 0.85), rng.uniform(0.2, 0.9)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def skin_colour(place: float) -> NDArray[np.float64]:
    """(3,) display RGB of the skin at ``place`` of the lightest (0) .. the darkest (1)."""
    return _between(_SKINS, place * (len(_SKINS) - 1))


def hair_colour(place: float) -> NDArray[np.float64]:
    """(3,) display RGB of the hair at ``place`` of the list, 0..1: black, brown, fair, red, grey, white."""
    return _between(_HAIRS, place * (len(_HAIRS) - 1))


def _between(colours: tuple[str, ...], place: float) -> NDArray[np.float64]:
    index = min(int(place), len(colours) - 2)
    return _hex(colours[index]) * (1 - place + index) + _hex(colours[index + 1]) * (place - index)


def _hex(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[i : i + 2], 16) for i in (0, 2, 4)]) / 255.0


def _listed(colour: NDArray[np.floating]) -> list[float]:
    return [round(float(value), 4) for value in np.clip(colour, 0, 1)]


def _number(value: float | np.floating) -> float:
    return round(float(value), 4)

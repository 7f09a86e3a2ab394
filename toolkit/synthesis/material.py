"""What a point of the body's surface is made of: skin, face, hair or a garment, and its colour there.

In: a point of the T-pose (metres, body frame) and a ``Look``. Out: colour, gloss and kind. Called per pixel by
``person``. Garments are cut by distances along the limbs of the T-pose, not by faces, so that their borders are clean
at any size.
"""

from __future__ import annotations

from math import atan2, floor, sqrt

from numba import njit

from hmrtk.toolkit.synthesis.look import BELT, BOTTOM, GRAPHIC, HAIR, INNER, SHOES, SKIN, SOCKS, SOLE, TOP
from hmrtk.toolkit.synthesis.noise import lattice, noise2, noise3

_TORSO, _ARM, _LEG = 0, 1, 2
_HEM_M = 0.011
"""Width of the doubled cloth along a garment's border."""


@njit(cache=True, nogil=True)
def surface(x, y, z, marks, look):  # type: ignore[no-untyped-def]
    """Material of a T-pose point: (red, green, blue, gloss, row of ``Look.fabrics``); colours linear."""
    side = abs(x)
    top, opening = _top_inside(side, y, z, marks, look)
    if top > 0.0:
        return _top_colour(x, y, z, top, opening, marks, look)
    bottom = min(look.waist_y - y, y - look.leg_hem_y)
    if bottom > 0.0 and side < marks.shoulder_x + 0.12:
        return _bottom_colour(x, y, z, marks, look, bottom)
    shoe = look.shoe_y + 0.25 * max(0.0, z - marks.leg_z - 0.03) - y
    if shoe > 0.0:
        return _shoe_colour(side, y, z, shoe, marks, look)
    if y < look.sock_y:
        return _cloth(SOCKS, side, y, z, _LEG, marks, look, 1.0 if look.sock_y - y > 0.012 else 0.85)
    if y > marks.neck_y and side < marks.eye_x * 4.0:
        return _head_colour(x, y, z, marks, look)
    return _skin(x, y, z, look)


@njit(cache=True, nogil=True, inline="always")
def _top_inside(side, y, z, marks, look):  # type: ignore[no-untyped-def]
    """Distance (m) inside the upper garment's border, negative outside, and inside of an open front."""
    sleeve = look.sleeve_x - side + 6.0 * max(0.0, marks.arm_y - 0.10 - y)
    hem = y - look.hem_y
    level = look.neck_level
    opening = 1.0
    if z > marks.neck_z:
        level -= look.neck_depth * max(0.0, 1.0 - side / look.neck_half)
        if look.open_half > 0.0:
            opening = side - look.open_half * (0.75 + 0.25 * (y - look.hem_y) / (marks.arm_y - look.hem_y))
    neck = level - (y + 0.5 * (z - marks.neck_z)) + 1.2 * max(0.0, side - 0.085)
    return min(sleeve, hem, 0.8 * neck), opening


@njit(cache=True, nogil=True)
def _top_colour(x, y, z, inside, opening, marks, look):  # type: ignore[no-untyped-def]
    side = abs(x)
    on_arm = side > marks.shoulder_x - 0.005 and y > marks.arm_y - 0.13
    shade = 1.0
    if inside < _HEM_M:
        shade = 0.86
    elif inside < _HEM_M + 0.003:
        shade = 0.7
    if opening < 0.0:
        return _cloth(INNER, x, y, z, _TORSO, marks, look, 0.9 if opening > -0.012 else 1.0)
    if opening < 0.012:
        shade *= 0.75
    if abs(side - marks.shoulder_x) < 0.003 and y > marks.arm_y - 0.1:
        shade *= 0.82
    if look.placket > 0.0 and z > marks.neck_z and side < look.placket + 0.003:
        if side * side + ((y - look.hem_y) % 0.085 - 0.04) ** 2 < 0.0055**2:
            return _cloth(SOLE, x, y, z, _TORSO, marks, look, 1.0)
        return _cloth(TOP, x, y, z, _TORSO, marks, look, shade * (0.95 if side < look.placket else 0.65))
    if look.graphic > 0.0 and z > marks.neck_z and _graphic_here(x, y - look.graphic_y, look):
        return _cloth(GRAPHIC, x, y, z, _TORSO, marks, look, shade)
    return _cloth(TOP, x, y, z, _ARM if on_arm else _TORSO, marks, look, shade)


@njit(cache=True, nogil=True)
def _graphic_here(x, y, look):  # type: ignore[no-untyped-def]
    """Whether the chest print covers (x, y) metres from its middle."""
    size = look.graphic_size
    kind = int(look.graphic)
    if abs(x) > 1.3 * size or abs(y) > size:
        return False
    if kind == 1:
        return x * x + y * y < size * size
    if kind == 2:
        return floor(y / size * 3.0 + 8.0) % 2 == 0
    if kind == 3:
        return abs(y) < 0.7 * size
    column, row = int(x / size * 3.5 + 20.0), int(y / size * 3.0 + 20.0)
    return abs(y) < 0.67 * size and lattice(column, row, int(look.seed)) > 0.42


@njit(cache=True, nogil=True)
def _bottom_colour(x, y, z, marks, look, inside):  # type: ignore[no-untyped-def]
    side = abs(x)
    down = look.waist_y - y
    shade = 1.0
    if y - look.leg_hem_y < 0.018:
        shade = 0.84
    if down < 0.032:
        return _cloth(BELT, x, y, z, _TORSO, marks, look, 1.0)
    if y < marks.hip_y + 0.06:
        middle = marks.leg_z - 0.01
        if side > marks.leg_x - 0.02 and abs(z - middle) < look.side_stripe:
            return _cloth(INNER, x, y, z, _LEG, marks, look, shade)
        if side > marks.leg_x - 0.02 and abs(z - middle) < 0.0025:
            shade *= 0.75
    elif side < 0.002 and z > marks.leg_z:
        shade *= 0.7
    if look.pockets > 0.0:
        shade *= _pocket_tone(side, down, z, marks)
    return _cloth(BOTTOM, x, y, z, _LEG if y < marks.hip_y else _TORSO, marks, look, shade)


@njit(cache=True, nogil=True, inline="always")
def _pocket_tone(side, down, z, marks):  # type: ignore[no-untyped-def]
    """Dark along the seams of two patch pockets behind and two slit pockets in front."""
    if z < marks.leg_z:
        edge = max(abs(side - 0.085) - 0.055, abs(down - 0.15) - 0.065)
        return 0.72 if abs(edge) < 0.004 else (0.93 if edge < 0.0 else 1.0)
    return 0.7 if 0.03 < down < 0.15 and abs(side - 0.07 - 0.5 * (down - 0.03)) < 0.004 else 1.0


@njit(cache=True, nogil=True)
def _shoe_colour(side, y, z, inside, marks, look):  # type: ignore[no-untyped-def]
    height = y - marks.sole_y
    if height < 0.02:
        return _cloth(SOLE, side, y, z, _LEG, marks, look, 1.0)
    shade = 0.72 if height < 0.024 or inside < 0.006 else 1.0
    front = z - marks.leg_z
    if 0.02 < front < 0.1 and abs(side - marks.ankle_x - 0.1 * front) < 0.016 and floor(front / 0.013) % 2 == 0:
        return _cloth(SOLE, side, y, z, _LEG, marks, look, 1.0)
    return _cloth(SHOES, side, y, z, _LEG, marks, look, shade)


@njit(cache=True, nogil=True)
def _head_colour(x, y, z, marks, look):  # type: ignore[no-untyped-def]
    """Hair above the hairline; below it a face with brows, eyes, lips and perhaps a beard."""
    side = abs(x)
    wobble = 0.006 * noise3(x * 60.0 + look.seed, y * 25.0, z * 60.0) + 0.005 * noise3(x * 210.0, y * 90.0, z * 210.0)
    if y + wobble > _hairline(side, z, marks, look):
        strand = noise3(x * 160.0 + look.seed, y * 22.0, z * 160.0) + 0.6 * noise3(
            x * 55.0, y * 12.0 + look.seed, z * 55.0
        )
        red, green, blue, gloss, row = _cloth(HAIR, x, y, z, _TORSO, marks, look, max(0.3, 1.0 + 0.4 * strand))
        return red, green, blue, gloss, row
    red, green, blue, gloss, row = _skin(x, y, z, look)
    if z < marks.eye_z - 0.055:
        return red, green, blue, gloss, row
    hair = look.fabrics[HAIR]
    across, up = side - marks.eye_x, y - marks.eye_y
    mouth = y - (marks.nose_y - 0.7 * (marks.eye_y - marks.nose_y))
    eye = (across / 0.0145) ** 2 + (up / 0.0062) ** 2
    if eye < 1.0:
        if sqrt(across * across + up * up) < 0.0062 or up > 0.0035:
            return 0.02, 0.015, 0.012, 0.25, SKIN
        return 0.55, 0.53, 0.5, 0.2, SKIN
    if abs(up - 0.0185 + 9.0 * across * across) < 0.0034 and abs(across) < 0.019:
        return 0.6 * hair[0] + 0.1 * red, 0.6 * hair[1] + 0.1 * green, 0.6 * hair[2] + 0.1 * blue, 0.02, SKIN
    if (side / 0.025) ** 2 + (mouth / 0.0095) ** 2 < 1.0:
        dark = 0.35 if abs(mouth) < 0.0016 else 1.0
        return dark * min(0.8, red * 0.85 + 0.03), dark * green * 0.55, dark * blue * 0.58, 0.12, SKIN
    cheek = max(0.0, 1.0 - ((side - 0.045) / 0.025) ** 2 - ((y - marks.nose_y) / 0.022) ** 2)
    green, blue = green * (1.0 - 0.14 * cheek), blue * (1.0 - 0.12 * cheek)
    if look.beard > 0.0 and _beard_here(side, y, z, marks) + 3.0 * wobble > 0.0:
        keep = 1.0 - look.beard
        return (
            keep * red + look.beard * hair[0] * 0.8,
            keep * green + look.beard * hair[1] * 0.8,
            keep * blue + look.beard * hair[2] * 0.8,
            0.01,
            SKIN,
        )
    return red, green, blue, gloss, row


@njit(cache=True, nogil=True, inline="always")
def _beard_here(side, y, z, marks):  # type: ignore[no-untyped-def]
    """Positive on jaw, chin and upper lip (m)."""
    jaw = marks.nose_y - 0.028 + 0.8 * max(0.0, side - 0.03) - y
    upper_lip = min(0.012 - abs(y - marks.nose_y + 0.017), 0.03 - side)
    return min(max(jaw, upper_lip), y - marks.neck_y - 0.02, z - marks.head_z + 0.01)


@njit(cache=True, nogil=True)
def _hairline(side, z, marks, look):  # type: ignore[no-untyped-def]
    """Height above which the scalp has hair, from the nape (behind) over the ears to the forehead."""
    behind, front = marks.head_z - 0.045, marks.eye_z - 0.012
    place = min(1.0, max(0.0, (z - behind) / (front - behind)))
    nape, ear, brow = marks.head_y - 0.035, marks.eye_y - 0.005, marks.eye_y + 0.062
    if look.hair_length > 0.5:
        nape, ear = marks.neck_y + 0.012, marks.eye_y - 0.05
    if place < 0.45:
        height = nape + (ear - nape) * place / 0.45
    elif place < 0.62:
        height = ear
    else:
        height = ear + (brow - ear) * (place - 0.62) / 0.38
    if look.hair_length < 0.5 and side > marks.eye_x * 2.25 and place > 0.2:
        height = max(height, marks.eye_y + 0.02)
    return height + look.hair_shift * min(1.0, 0.3 + place + 10.0 * max(0.0, look.hair_shift - 0.2))


@njit(cache=True, nogil=True)
def _skin(x, y, z, look):  # type: ignore[no-untyped-def]
    """Skin with blotches of about 4 cm and 1 cm."""
    fabric = look.fabrics[SKIN]
    broad = noise3(x * 22.0 + look.seed, y * 22.0, z * 22.0)
    fine = noise3(x * 90.0, y * 90.0 + look.seed, z * 90.0)
    shade = 1.0 + 0.05 * broad + 0.03 * fine
    return fabric[0] * shade, fabric[1] * (shade - 0.03 * broad), fabric[2] * (shade - 0.03 * broad), fabric[12], SKIN


@njit(cache=True, nogil=True)
def _cloth(row, x, y, z, limb, marks, look, shade):  # type: ignore[no-untyped-def]
    """Colour of a fabric at a T-pose point, ``shade`` times."""
    fabric = look.fabrics[row]
    pattern, scale = int(fabric[9]), fabric[10]
    along = abs(x) if limb == _ARM else y
    first, third = _pattern(pattern, along, x, y, z, limb, scale, marks, look)
    mottle = fabric[11] * (
        0.6 * noise3(x * 28.0 + look.seed, y * 28.0, z * 28.0)
        + 0.5 * noise3(x * 110.0, y * 110.0 + look.seed, z * 110.0)
    )
    shade *= 1.0 + mottle
    if pattern == 7:  # worn denim is lighter on the thighs and knees
        shade *= 1.0 + 0.35 * max(0.0, 1.0 - abs(z - marks.leg_z - 0.09) / 0.06)
    red = fabric[0] + (fabric[3] - fabric[0]) * first
    green = fabric[1] + (fabric[4] - fabric[1]) * first
    blue = fabric[2] + (fabric[5] - fabric[2]) * first
    red += (fabric[6] - red) * third
    green += (fabric[7] - green) * third
    blue += (fabric[8] - blue) * third
    return min(0.9, red * shade), min(0.9, green * shade), min(0.9, blue * shade), fabric[12], row


@njit(cache=True, nogil=True)
def _pattern(pattern, along, x, y, z, limb, scale, marks, look):  # type: ignore[no-untyped-def]
    """Shares of a fabric's second and third colour at a place, each 0..1."""
    if pattern == 0:
        return 0.0, 0.0
    if pattern == 1:
        return _bar(along / scale, 0.45), 0.0
    if pattern == 6:
        blotch = noise3(x / scale + look.seed, y / scale, z / scale)
        other = noise3(x / scale - look.seed, y / scale + 31.0, z / scale)
        return (1.0 if blotch > 0.12 else 0.0), (1.0 if other > 0.3 else 0.0)
    if pattern == 7:
        return 0.12 * abs(noise3(x * 300.0, y * 60.0, z * 300.0)), 0.0
    if pattern == 8:
        return 0.3 * abs(noise3(x * 130.0, y * 130.0 + look.seed, z * 130.0)), 0.0
    if pattern == 9:
        return (1.0 if limb == _TORSO and abs(y - look.graphic_y) < 0.8 * scale else 0.0), 0.0
    around = _around(x, y, z, limb, marks)
    if pattern == 2:
        return 0.5 * (_bar(along / scale, 0.5) + _bar(around / scale, 0.5)), 0.0
    if pattern == 3:
        wide = 0.5 * (_bar(along / (1.8 * scale), 0.55) + _bar(around / (1.8 * scale), 0.55))
        line = max(_bar(along / (1.8 * scale) + 0.3, 0.12), _bar(around / (1.8 * scale) + 0.3, 0.12))
        return wide, 0.8 * line
    if pattern == 4:
        u, v = around / scale, along / scale
        u += 0.5 * (floor(v) % 2)
        u, v = u - floor(u) - 0.5, v - floor(v) - 0.5
        return (1.0 if u * u + v * v < 0.08 else 0.0), 0.0
    return _bar(around / (0.6 * scale), 0.2) * (0.8 + 0.2 * noise2(along * 90.0, around * 90.0, 3)), 0.0


@njit(cache=True, nogil=True, inline="always")
def _bar(place, share):  # type: ignore[no-untyped-def]
    """1 on the first ``share`` of each unit of ``place``, else 0."""
    return 1.0 if place - floor(place) < share else 0.0


@njit(cache=True, nogil=True)
def _around(x, y, z, limb, marks):  # type: ignore[no-untyped-def]
    """Arc length (m) round the torso, an arm or a leg, from its front."""
    if limb == _ARM:
        return 0.05 * atan2(y - marks.arm_y, z - marks.arm_z)
    if limb == _LEG:
        return 0.08 * atan2(abs(x) - marks.leg_x, z - marks.leg_z)
    return 0.14 * atan2(x, z - marks.neck_z + 0.02)

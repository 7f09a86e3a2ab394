"""One page about an atlas that a person can read: the body and the charts, coloured by chart, U and V.

In: an ``Atlas``, its body and its charts' names. Out: one uint8 RGB picture. Called by ``hmrtk atlas show``. The parts
are those of DaNet's Fig. 2 (a)-(c) (arXiv 1912.13344); for a one-piece atlas, the part groups and the joint that every
texel is assigned to (Best of Both §3.1) take the place of the charts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hmrtk.toolkit.body.joints import joint_set
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import PART_GROUPS, vertex_groups
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.assignment import assigned_joints
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.atlas_seams import Seams, atlas_seams, seams_length
from hmrtk.toolkit.maps.atlas_symmetry import body_mirror
from hmrtk.toolkit.maps.obj_atlas import uv_islands
from hmrtk.toolkit.maps.preview import assignment_to_rgb, chart_colours
from hmrtk.toolkit.synthesis.atlas_view import FINE, Fragments, body_fragments, chart_fragments

_WIDTH, _GAP, _COLUMNS = 1960, 20, 4
_INK, _SOFT, _PAPER = (34, 34, 40), (110, 110, 120), (255, 255, 255)
_EMPTY = (238, 238, 241)
"""Texels of the unit square that hold no surface."""

_RAMP = np.array([[24, 30, 90], [34, 92, 148], [52, 150, 150], [150, 200, 110], [252, 240, 170]], np.float64)
"""Colours of 0, ¼, ½, ¾ and 1: dark to light, and readable by the colour-blind."""

_SMALLEST_NUMBERED = 120
"""Pixels of a region on the body below which its number is left out."""


class _Aspect(NamedTuple):
    """One way to colour the surface.

    Attributes:
        title: heading of its column.
        colour: fragments → (H, W, 3) colours 0..255.
        legend: text and colour of each entry; empty: the ramp from 0 to 1.
    """

    title: str
    colour: Callable[[Fragments], NDArray[Any]]
    legend: Sequence[tuple[str, tuple[int, ...]]] = ()


def draw_atlas(atlas: Atlas, body: BodyModel, names: Mapping[int, str]) -> NDArray[np.uint8]:
    """Draw the page.

    Args:
        atlas: fits the body.
        body: drawn from the front and the back.
        names: chart → name.

    Returns:
        (H, 1960, 3) uint8 RGB.

    Raises:
        InputError: an atlas of another body.
    """
    atlas.check_body(len(body.v_template))
    numbers, seams = np.unique(atlas.chart).tolist(), atlas_seams(atlas)
    ramps = [_Aspect("U", _ramp_of(atlas, 0)), _Aspect("V", _ramp_of(atlas, 1))]
    if len(numbers) > 1:
        aspects = [_Aspect("chart", lambda seen: chart_colours()[_charts(atlas, seen)]), *ramps]
    else:
        aspects = [_part_groups(atlas, body), _joints(atlas, body), *ramps]
    rows = [_heading(atlas, seams, body, len(numbers)), _bodies(atlas, seams, body, aspects, len(numbers) > 1)]
    if len(numbers) > 1:
        rows += [_text_row("Unit square of every chart: chart, U, V. U runs to the right, V down, as in the maps.")]
        blocks = [_chart_block(atlas, seams, number, names.get(number, f"chart {number}")) for number in numbers]
        rows += [_beside(blocks[i : i + _COLUMNS]) for i in range(0, len(blocks), _COLUMNS)]
    else:
        rows += [
            _text_row("The unit square. U runs to the right, V down, as in the maps."),
            _squares(atlas, seams, aspects),
        ]
    return _stacked(rows)


def _charts(atlas: Atlas, seen: Fragments) -> NDArray[np.integer]:
    return np.where(seen.mask, atlas.chart[seen.face], 0)


def _ramp(value: NDArray[np.floating]) -> NDArray[np.float64]:
    """(..., 3) colours of numbers (...) in [0, 1]."""
    place = np.linspace(0, 1, len(_RAMP))
    return np.stack([np.interp(value, place, _RAMP[:, k]) for k in range(3)], axis=-1)


def _ramp_of(atlas: Atlas, axis: int) -> Callable[[Fragments], NDArray[np.float64]]:
    """The ramp of U (0) or V (1), with a dark line at every tenth."""

    def colour(seen: Fragments) -> NDArray[np.float64]:
        value = seen.uv(atlas)[..., axis]
        tenth = np.floor(value * 10 - 1e-9).astype(int)
        step = np.zeros(value.shape, bool)
        step[:-1] |= tenth[:-1] != tenth[1:]
        step[:, :-1] |= tenth[:, :-1] != tenth[:, 1:]
        return _ramp(value) * np.where(step & seen.mask, 0.72, 1.0)[..., None]

    return colour


def _part_groups(atlas: Atlas, body: BodyModel) -> _Aspect:
    group, wheel = vertex_groups(body)[atlas.vertices_faces], assignment_to_rgb(np.arange(256, dtype=np.uint8))
    legend = [(name, tuple(wheel[number].tolist())) for number, name in enumerate(PART_GROUPS)]
    return _Aspect("part group", lambda seen: wheel[seen.labels(group)], legend)


def _joints(atlas: Atlas, body: BodyModel) -> _Aspect:
    """Nearest joint of the T-pose, the same on both sides of the body, as in ``maps.assignment``."""
    posed = body.pose(BodyParameters.zeros(1))
    name = "lsp14"
    try:
        joints = assigned_joints(body, posed, name)[0]
    except InputError:  # a user's body without the regressor file
        name = "smpl24"
        joints = assigned_joints(body, posed, name)[0]
    distance = np.linalg.norm(posed.vertices[0][:, None] - joints, axis=-1)
    words = [joint.removesuffix("_lsp").replace("_", " ") for joint in joint_set(name).joints]
    nearest = _on_both_sides(atlas, body, distance, words, np.array(joint_set(name).flip))
    wheel = assignment_to_rgb(np.arange(256, dtype=np.uint8))
    legend = [(words[number], tuple(wheel[number].tolist())) for number in np.unique(nearest).tolist()]
    return _Aspect(f"nearest joint of the T-pose ({name})", lambda seen: wheel[seen.labels(nearest)], legend)


def _on_both_sides(
    atlas: Atlas, body: BodyModel, distance: NDArray[np.floating], words: list[str], flip: NDArray[np.integer]
) -> NDArray[np.int64]:
    """(F, 3) nearest joint of every corner: the left side's, and their mirror images on the right side's faces.

    Args:
        distance: (V, J) metres. words: the joints' names. flip: (J,) joint → joint of the mirrored body.
    """
    # Vertices on the midline are as far from both sides' joints: on the left side they take the left one's.
    left = (distance + 1e-5 * np.array([word.startswith("right") for word in words])).argmin(axis=1)
    mirror = body_mirror(body.faces, body.v_template)
    right = np.where(mirror >= 0, flip[left[mirror]], left)
    faces = atlas.vertices_faces
    on_left = np.asarray(body.v_template, np.float64)[faces, 0].mean(axis=1) > 0
    return np.where(on_left[:, None], left[faces], right[faces])


def _bodies(atlas: Atlas, seams: Seams, body: BodyModel, aspects: list[_Aspect], numbered: bool) -> Image.Image:
    """One column per aspect: its title and legend, and the body from the front and the back."""
    width = (_WIDTH - _GAP * (len(aspects) + 1)) // len(aspects)
    views = [body_fragments(body, atlas, seams, width // 2, back) for back in (False, True)]
    columns = []
    for letter, aspect in zip("abcd", aspects, strict=False):
        pictures = [Image.fromarray(view.paint(aspect.colour(view))) for view in views]
        if numbered and aspect is aspects[0]:
            for view, picture in zip(views, pictures, strict=True):
                _number_charts(picture, _charts(atlas, view))
        column = Image.new("RGB", (width, 34 + max(picture.height for picture in pictures) + 18), _PAPER)
        draw = ImageDraw.Draw(column)
        draw.text((0, 14), f"({letter}) {aspect.title}", fill=_INK, font=_font(20), anchor="lm")
        if aspect.title in ("U", "V"):
            _draw_ramp(column, (60, 5), 180)
        for number, (picture, side) in enumerate(zip(pictures, ("front", "back"), strict=True)):
            column.paste(picture, (number * (width // 2), 34))
            place = ((number + 0.5) * (width // 2), column.height - 9)
            draw.text(place, side, fill=_SOFT, font=_font(14), anchor="mm")
        columns.append(column)
    return _beside(columns)


def _number_charts(picture: Image.Image, charts: NDArray[np.integer]) -> None:
    """Write each chart's number where most of it is around, once per connected region that is large enough."""
    from scipy.ndimage import distance_transform_edt, label

    draw = ImageDraw.Draw(picture)
    coarse = charts[FINE // 2 :: FINE, FINE // 2 :: FINE]
    for number in np.unique(coarse[coarse > 0]).tolist():
        regions, count = label(coarse == number)
        for region in range(1, count + 1):
            own = regions == region
            if own.sum() < _SMALLEST_NUMBERED:
                continue
            depth = distance_transform_edt(np.pad(own, 1))[1:-1, 1:-1]
            row, col = np.unravel_index(int(depth.argmax()), depth.shape)
            draw.text(
                (float(col), float(row)), str(number), fill=_INK, font=_font(13), anchor="mm",
                stroke_width=2, stroke_fill=_PAPER,
            )  # fmt: skip


def _chart_block(atlas: Atlas, seams: Seams, number: int, name: str) -> Image.Image:
    """A chart's number, name and colour, and its square three times: chart, U, V."""
    width = (_WIDTH - _GAP * (_COLUMNS + 1)) // _COLUMNS
    size = (width - 2 * 6) // 3
    seen = chart_fragments(atlas, seams, number, size)
    block = Image.new("RGB", (width, 28 + size), _PAPER)
    draw = ImageDraw.Draw(block)
    colour = tuple(chart_colours()[number].tolist())
    draw.rounded_rectangle((0, 3, 34, 23), 5, fill=colour)
    draw.text((17, 13), str(number), fill=_INK, font=_font(15), anchor="mm", stroke_width=2, stroke_fill=_PAPER)
    draw.text((42, 13), name, fill=_INK, font=_font(15), anchor="lm")
    flat = np.broadcast_to(np.array(colour, np.float64), (*seen.face.shape, 3))
    for place, colours in enumerate((flat, _ramp_of(atlas, 0)(seen), _ramp_of(atlas, 1)(seen))):
        block.paste(Image.fromarray(seen.paint(colours, _EMPTY)), (place * (size + 6), 28))
    return block


def _squares(atlas: Atlas, seams: Seams, aspects: list[_Aspect]) -> Image.Image:
    """The unit square of a one-piece atlas once per aspect, with its legend below."""
    width = (_WIDTH - _GAP * (len(aspects) + 1)) // len(aspects)
    seen = chart_fragments(atlas, seams, int(atlas.chart[0]), width)
    rows = max(-(-len(aspect.legend) // 2) for aspect in aspects)
    columns = []
    for aspect in aspects:
        column = Image.new("RGB", (width, width + 14 + 24 * rows), _PAPER)
        column.paste(Image.fromarray(seen.paint(aspect.colour(seen), _EMPTY)), (0, 0))
        draw = ImageDraw.Draw(column)
        for number, (text, colour) in enumerate(aspect.legend):
            left, top = number % 2 * (width // 2), width + 12 + number // 2 * 24
            draw.rounded_rectangle((left, top, left + 22, top + 16), 4, fill=colour)
            draw.text((left + 30, top + 8), text, fill=_INK, font=_font(15), anchor="lm")
        if not aspect.legend:
            _draw_ramp(column, (0, width + 12), 240)
        columns.append(column)
    return _beside(columns)


def _draw_ramp(picture: Image.Image, place: tuple[int, int], width: int) -> None:
    """A bar from 0 to 1, with lines at tenths, as on the surfaces."""
    draw = ImageDraw.Draw(picture)
    left, top = place[0] + 14, place[1]
    value = (np.arange(width) + 0.5) / width
    bar = np.broadcast_to(_ramp(value), (16, width, 3)).copy()
    bar[:, (np.arange(1, 10) * width / 10).astype(int)] *= 0.72
    picture.paste(Image.fromarray(np.round(bar).astype(np.uint8)), (left, top))
    draw.text((left - 5, top + 8), "0", fill=_SOFT, font=_font(14), anchor="rm")
    draw.text((left + width + 5, top + 8), "1", fill=_SOFT, font=_font(14), anchor="lm")


def _heading(atlas: Atlas, seams: Seams, body: BodyModel, charts: int) -> Image.Image:
    pieces = 1 if charts > 1 else int(uv_islands(atlas.vertices_faces, atlas.face_uv).max()) + 1
    facts = [
        f"{charts} charts" if charts > 1 else "one piece" if pieces == 1 else f"one chart of {pieces} pieces",
        f"{len(atlas.chart)} faces",
        f"{len(atlas.corner_vertices)} corners",
        f"seams {seams_length(seams.cuts, body.v_template):.1f} m (dark lines)",
        "left-right symmetric" if atlas.symmetric else "not left-right symmetric",
    ]
    row = Image.new("RGB", (_WIDTH, 66), _PAPER)
    draw = ImageDraw.Draw(row)
    draw.text((_GAP, 24), f"Atlas {atlas.name}", fill=_INK, font=_font(28), anchor="lm")
    draw.text((_GAP, 53), ", ".join(facts), fill=_SOFT, font=_font(17), anchor="lm")
    return row


def _text_row(text: str) -> Image.Image:
    row = Image.new("RGB", (_WIDTH, 26), _PAPER)
    ImageDraw.Draw(row).text((_GAP, 13), text, fill=_INK, font=_font(18), anchor="lm")
    return row


def _beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one width, in a row of the page."""
    row = Image.new("RGB", (_WIDTH, max(picture.height for picture in pictures)), _PAPER)
    for number, picture in enumerate(pictures):
        row.paste(picture, (_GAP + number * (picture.width + _GAP), 0))
    return row


def _stacked(rows: Sequence[Image.Image]) -> NDArray[np.uint8]:
    gap = 12
    page = Image.new("RGB", (_WIDTH, sum(row.height + gap for row in rows) + gap), _PAPER)
    top = gap
    for row in rows:
        page.paste(row, (0, top))
        top += row.height + gap
    return np.asarray(page)


def _font(px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(px)

"""Contact sheets: many pictures in rows and columns, each with a caption that a person can read.

In: uint8 RGB pictures. Out: one uint8 RGB picture. Called by ``reports`` and ``cli`` (by way of ``figure``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hmrtk.toolkit.errors import InputError

_INK = (40, 40, 46)
_PAPER = (255, 255, 255)


def contact_sheet(
    images: Sequence[NDArray[np.uint8]],
    columns: int,
    captions: Sequence[str] | None = None,
    gap: int = 8,
    caption_px: int = 14,
    background: tuple[int, int, int] = _PAPER,
    ink: tuple[int, int, int] = _INK,
) -> NDArray[np.uint8]:
    """Lay pictures out row by row on one sheet.

    Args:
        images: (H, W, 3) uint8 RGB each; smaller ones are centred in the cell of the largest.
        columns: pictures per row; fewer when there are fewer pictures.
        captions: one text under each picture; ``\\n`` breaks lines, what is too wide is cut with an ellipsis.
        gap: px between and around the cells.
        caption_px: height of the letters.
        background, ink: RGB 0..255.

    Returns:
        (H, W, 3) uint8.

    Raises:
        InputError: no pictures, a picture of another shape or type, or captions that do not match in number.
    """
    _check(images, columns, captions)
    columns = min(columns, len(images))
    font = ImageFont.load_default(caption_px)
    lines = max((text.count("\n") + 1 for text in captions), default=0) if captions else 0
    line_px = round(caption_px * 1.35)
    cell_height, cell_width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    pitch = (cell_height + lines * line_px + gap, cell_width + gap)
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * pitch[1] + gap, rows * pitch[0] + gap), background)
    draw = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        top, left = gap + (index // columns) * pitch[0], gap + (index % columns) * pitch[1]
        inset = (left + (cell_width - image.shape[1]) // 2, top + (cell_height - image.shape[0]) // 2)
        sheet.paste(Image.fromarray(image), inset)
        for number, line in enumerate(captions[index].split("\n") if captions else ()):
            place = (left + cell_width / 2, top + cell_height + (number + 0.5) * line_px)
            draw.text(place, _shortened(line, cell_width + gap - 2, font), fill=ink, font=font, anchor="mm")
    return np.asarray(sheet)


def stacked_sheets(
    sheets: Sequence[tuple[str, NDArray[np.uint8]]],
    title_px: int = 18,
    background: tuple[int, int, int] = _PAPER,
    ink: tuple[int, int, int] = _INK,
) -> NDArray[np.uint8]:
    """Sheets below each other, left-aligned, each under its title.

    Args:
        sheets: title and (H, W, 3) uint8 RGB each.
        title_px: height of the letters.
        background, ink: RGB 0..255.

    Returns:
        (H, W, 3) uint8.

    Raises:
        InputError: no sheets, or one of another shape or type.
    """
    _check([sheet for _, sheet in sheets], 1, None)
    font, head = ImageFont.load_default(title_px), round(title_px * 1.9)
    width = max(sheet.shape[1] for _, sheet in sheets)
    height = sum(sheet.shape[0] + head for _, sheet in sheets)
    page, top = Image.new("RGB", (width, height), background), 0
    draw = ImageDraw.Draw(page)
    for title, sheet in sheets:
        draw.text((8, top + head / 2), _shortened(title, width - 16, font), fill=ink, font=font, anchor="lm")
        page.paste(Image.fromarray(sheet), (0, top + head))
        top += head + sheet.shape[0]
    return np.asarray(page)


def _check(images: Sequence[NDArray[np.uint8]], columns: int, captions: Sequence[str] | None) -> None:
    if not len(images):
        raise InputError("contact sheet", "no pictures to show")
    if columns < 1:
        raise InputError("contact sheet", f"expected at least one column, got {columns}")
    for index, image in enumerate(images):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(
                f"contact sheet picture {index}", f"expected (H, W, 3) uint8, got {image.shape} {image.dtype}"
            )
    if captions is not None and len(captions) != len(images):
        raise InputError("contact sheet", f"{len(images)} pictures but {len(captions)} captions")


def _shortened(line: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """``line``, or as much of it as fits ``width`` px with an ellipsis."""
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"

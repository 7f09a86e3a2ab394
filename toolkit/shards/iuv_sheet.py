"""Contact sheets of IUV maps: on their own, or laid over the photographs. Called by ``iuv_builder``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.geometry.crop import warp_image
from hmrtk.toolkit.maps.preview import iuv_to_rgb
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.iuv_images import ImageEntry, read_people
from hmrtk.toolkit.shards.pictures import PhotoReader
from hmrtk.toolkit.synthesis.sheet import contact_sheet
from hmrtk.toolkit.wording import counted

COLUMNS = 8
CELL_PX = 168
"""Side of a crop on the sheet, at least."""
IMAGE_COLUMNS = 4
IMAGE_PX = 360
"""Longer side of a whole image on the sheet."""
OVERLAY = 0.65
"""Share of the IUV colours where they lie on a picture."""


Colours = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""``iuv_to_rgb``, or ``uv_to_rgb`` for one-piece atlases."""


def overlaid(picture: NDArray[np.uint8], iuv: NDArray[np.uint8], colours_of: Colours = iuv_to_rgb) -> NDArray[np.uint8]:
    """A picture (H, W, 3) under the colours of its IUV map (3, h, w), which is stretched over it."""
    height, width = picture.shape[:2]
    colours = cv2.resize(colours_of(iuv), (width, height), interpolation=cv2.INTER_NEAREST)
    body = cv2.resize((iuv[0] > 0).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    mixed = picture.astype(np.float32)
    mixed[body] = (1 - OVERLAY) * mixed[body] + OVERLAY * colours[body]
    return np.round(mixed).astype(np.uint8)


def crop_sheet(
    maps: NDArray[np.uint8],
    records: RecordTable,
    windows: NDArray[np.floating],
    images: Place | None,
    colours_of: Colours = iuv_to_rgb,
) -> NDArray[np.uint8]:
    """Maps of crops with their actions or ids; over the photographs, and the photographs beside them, if there are any.

    Args:
        maps: (N, 3, S, S) uint8.
        records: the N rows.
        windows: (N, 2, 3) full-image px → px of the map.
        images: folder of the photographs.
        colours_of: how maps are coloured.

    Raises:
        InputError: a photograph is missing or damaged.
    """
    zoom = -(-CELL_PX // maps.shape[-1])
    captions = [action or name for action, name in zip(records.array("action"), records.sample_ids, strict=True)]
    enlarged = [np.kron(colours_of(iuv), np.ones((zoom, zoom, 1), np.uint8)) for iuv in maps]
    if images is None:
        return contact_sheet(enlarged, COLUMNS, captions)
    photos, cells = PhotoReader(images), []
    for row, path in enumerate(records.table["image_path"].to_pylist()):
        crop = np.zeros_like(enlarged[row])
        if path is not None:
            photo = photos.photograph(path, f"{records.place} row {row}")
            crop = warp_image(photo, windows[row] * zoom, len(crop))
        cells.append(np.concatenate([crop, overlaid(crop, maps[row], colours_of)], axis=1))
    return contact_sheet(cells, COLUMNS // 2, captions)


def image_sheet(
    out: Place,
    entries: Sequence[ImageEntry],
    records: RecordTable,
    images: Place | None,
    colours_of: Colours = iuv_to_rgb,
) -> NDArray[np.uint8]:
    """Whole images under their IUV maps, or the maps on their own where there are no photographs.

    Args:
        out: folder of the maps.
        entries: the images to draw.
        records: rows that name the photographs.
        images: folder of the photographs.
        colours_of: how maps are coloured.

    Raises:
        InputError: a photograph or a map is missing or damaged.
    """
    paths = dict(zip(records.sample_ids, records.table["image_path"].to_pylist(), strict=True))
    photos = PhotoReader(images) if images is not None else None
    cells = []
    for entry in entries:
        iuv, path = read_people(out, entry).iuv, paths[entry.sample_ids[0]]
        picture = colours_of(iuv)
        if photos is not None and path is not None:
            picture = overlaid(photos.photograph(path, entry.name), iuv, colours_of)
        zoom = IMAGE_PX / max(entry.size)
        shown = (max(1, round(entry.size[1] * zoom)), max(1, round(entry.size[0] * zoom)))
        cells.append(np.asarray(cv2.resize(picture, shown, interpolation=cv2.INTER_AREA), np.uint8))
    captions = [f"{entry.name}: {counted(len(entry.sample_ids), 'person', 'people')}" for entry in entries]
    return contact_sheet(cells, IMAGE_COLUMNS, captions)

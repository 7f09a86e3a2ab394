"""``render-iuv``: the IUV maps of records, over the crop of each person or of whole images.

In: records, a body, an atlas. Out: an IUV set (``iuv_set``) or maps beside the images (``iuv_images``), and a contact
sheet. Memory does not grow with the number of records, and a run that was killed goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.atlas_choice import chosen_atlas
from hmrtk.toolkit.maps.iuv import TEXTURES, stream_iuv
from hmrtk.toolkit.maps.occlusion import render_window, stream_occluded_iuv
from hmrtk.toolkit.maps.preview import iuv_to_rgb, uv_to_rgb
from hmrtk.toolkit.maps.views import CAMERAS, Views, record_views
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.artefact import provenance
from hmrtk.toolkit.records.crops import Crops, record_crops
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.iuv_images import (
    MOST_PEOPLE,
    ImageEntry,
    image_name,
    is_written,
    set_fingerprint,
    write_index,
    write_people,
)
from hmrtk.toolkit.shards.iuv_set import Maps, write_iuv_set
from hmrtk.toolkit.shards.iuv_sheet import Colours, crop_sheet, image_sheet
from hmrtk.toolkit.shards.pictures import require_image_folder
from hmrtk.toolkit.synthesis.picture import write_png

SHEET_MAP_PX = 336
"""Largest side of a crop's map on the contact sheet."""

_SOLVED = "keypoints2d and joints3d are missing or too few"
_KNOWN = "transl, focal or principal are missing"
_NEEDS = {"crop": _SOLVED, "full": _KNOWN, "auto": f"{_SOLVED}, and {_KNOWN}"}


@dataclass(frozen=True)
class IUVConfig:
    """How ``render-iuv`` renders.

    Attributes:
        size: side of a crop's map, px (DaNet and PyMAF train on 56); whole images have their own size.
        texture: ``vertex`` (U, V interpolated; PyMAF) or ``face`` (one U, V per face; DaNet).
        atlas: ``charts``, ``onepiece``, or a file (``maps.atlas_choice``).
        camera: ``crop``, ``full`` or ``auto`` (``maps.views``).
        others: other people of the same image hide what they are in front of; else each is drawn as if alone.
        preview: maps on the contact sheet; 0 draws none.
        seed: which maps the sheet shows.

    Raises:
        UnknownNameError: a texture or camera that does not exist.
    """

    size: int = 56
    texture: str = "vertex"
    atlas: str = "charts"
    camera: str = "crop"
    others: bool = False
    preview: int = 48
    seed: int = 0

    def __post_init__(self) -> None:
        for kind, name, known in (("texture", self.texture, TEXTURES), ("camera", self.camera, CAMERAS)):
            if name not in known:
                raise UnknownNameError(kind, name, known)


@dataclass(frozen=True)
class IUVRun:
    """A finished rendering.

    Attributes:
        out: folder.
        files: of the IUV set, or the PNG files of the images.
        rows: people drawn.
        left_out: records without a body or a camera.
        made: maps that were rendered in this run; the others were there already.
        preview: the contact sheet.
    """

    out: Place
    files: tuple[Place, ...]
    rows: int
    left_out: int
    made: int
    preview: Place | None

    def summary(self) -> dict[str, Any]:
        """The run as plain JSON values."""
        return {
            "out": str(self.out),
            "files": [str(f) for f in self.files],
            "rows": self.rows,
            "left_out": self.left_out,
            "made": self.made,
            "preview": str(self.preview) if self.preview else None,
        }


@dataclass(frozen=True)
class _Seen:
    """What both ways of rendering start from."""

    records: RecordTable
    crops: Crops
    views: Views
    image: NDArray[np.int64]
    atlas: Atlas
    left_out: int
    metadata: dict[str, Any]

    @property
    def colours_of(self) -> Colours:
        return iuv_to_rgb if (self.atlas.chart > 1).any() else uv_to_rgb


def build_iuv_set(
    records: RecordTable,
    body: BodyModel,
    config: IUVConfig,
    out: Place,
    images: Place | None = None,
    progress: Progress = silent,
) -> IUVRun:
    """Render the map of every record's crop; write the set and a contact sheet.

    Args:
        images: folder of the photographs, for the contact sheet; maps are laid over them.

    Raises:
        InputError: no row has a body and a camera, an atlas that does not fit, or no such image folder.
        UnknownNameError: no such atlas.
    """
    require_image_folder(images)
    seen = _seen(records, body, config)
    windows = seen.crops.crop_affine(config.size)
    made = 0

    def maps(rows: slice) -> Maps:
        nonlocal made
        for part, rendered in _crop_maps(seen, windows, body, config, rows):
            made += len(rendered)
            progress("IUV maps", rows.start + part.stop, len(seen.records))
            yield part, rendered

    files = write_iuv_set(out, seen.records.sample_ids, seen.crops.camera, maps, config.size, seen.metadata)
    sheet = None
    if config.preview:
        sheet = out / "preview.png"
        write_png(sheet, _crop_sheet(seen, body, config, images))
    return IUVRun(out, tuple(files), len(seen.records), seen.left_out, made, sheet)


def _crop_maps(seen: _Seen, windows: NDArray[np.float64], body: BodyModel, config: IUVConfig, rows: slice) -> Maps:
    if config.others:
        return stream_occluded_iuv(seen.views, windows, seen.image, body, seen.atlas, config.size, config.texture, rows)
    number = np.arange(len(seen.records))[rows]
    camera = seen.views.seen(number, windows[number])
    return stream_iuv(seen.views.parameters[rows], camera, body, seen.atlas, config.size, config.texture)


def _crop_sheet(seen: _Seen, body: BodyModel, config: IUVConfig, images: Place | None) -> NDArray[np.uint8]:
    """The contact sheet; large maps are drawn smaller for it."""
    chosen, small = _drawn(len(seen.records), config), replace(config, size=min(config.size, SHEET_MAP_PX))
    windows = seen.crops.crop_affine(small.size)
    maps = [drawn for n in chosen for _, drawn in _crop_maps(seen, windows, body, small, slice(n, n + 1))]
    return crop_sheet(np.concatenate(maps), seen.records.take(chosen), windows[chosen], images, seen.colours_of)


def build_iuv_images(
    records: RecordTable,
    body: BodyModel,
    config: IUVConfig,
    out: Place,
    images: Place | None = None,
    progress: Progress = silent,
) -> IUVRun:
    """Render the map of every image, with all its people in depth order; write PNG files, an index and a sheet.

    Rows without an ``image_path`` are images of their own. ``config.size`` and ``config.others`` do not matter.

    Args:
        images: folder of the photographs, for the contact sheet.

    Raises:
        InputError: as for ``build_iuv_set``; an image whose size no row gives, two images of one name, or more than
            65 535 people in one.
    """
    require_image_folder(images)
    seen = _seen(records, body, config)
    entries, members = _entries(seen)
    fingerprint = set_fingerprint(seen.metadata)
    made = 0
    for number, (entry, rows) in enumerate(zip(entries, members, strict=True), start=1):
        if not is_written(out, entry, fingerprint):
            people = render_window(seen.views, rows, _WHOLE, body, seen.atlas, entry.size, config.texture)
            write_people(out, entry, people, fingerprint)
            made += len(rows)
        progress("IUV images", number, len(entries))
    write_index(out, entries, seen.metadata)
    sheet = None
    if config.preview:
        sheet = out / "preview.png"
        drawn = [entries[n] for n in _drawn(len(entries), config)]
        write_png(sheet, image_sheet(out, drawn, seen.records, images, seen.colours_of))
    files = [out / name for entry in entries for name in (entry.iuv, entry.person)]
    return IUVRun(out, tuple(files), len(seen.records), seen.left_out, made, sheet)


_WHOLE = np.eye(3)[:2]


def _seen(records: RecordTable, body: BodyModel, config: IUVConfig) -> _Seen:
    """The rows that can be drawn, their cameras and the artefact's metadata."""
    if not records.has(*BODY_COLUMNS).any():
        raise InputError(records.place, "no row has body parameters (global_orient, body_pose, betas)")
    atlas = chosen_atlas(config.atlas, body)
    crops = record_crops(records, body)
    views = record_views(records, crops, config.camera)
    if not len(views.rows):
        raise InputError(records.place, f"no row has a {config.camera} camera", _NEEDS[config.camera])
    kept, left_out = records.take(views.rows), len(records) - len(views.rows)
    crops = crops.take(views.rows)
    decisive = {k: v for k, v in asdict(config).items() if k not in ("preview", "seed")}
    made = provenance("render-iuv", decisive, body.fingerprint, {"records": records.fingerprint}, None)
    metadata = {"body": body.fingerprint, "atlas": atlas.fingerprint, "provenance": made}
    return _Seen(kept, crops, views, _image_numbers(kept), atlas, left_out, metadata)


def _image_numbers(records: RecordTable) -> NDArray[np.int64]:
    """(N,) the same number for rows of one image: equal data set and image path."""
    numbers: dict[Any, int] = {}
    paths, sets = records.table["image_path"].to_pylist(), records.table["dataset"].to_pylist()
    keys = [(name, path) if path is not None else row for row, (name, path) in enumerate(zip(sets, paths, strict=True))]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _entries(seen: _Seen) -> tuple[list[ImageEntry], list[NDArray[np.int64]]]:
    """The images, in the order of their first rows, and the rows of each."""
    sizes, known = seen.records.array("image_size"), seen.records.has("image_size")
    paths, ids = seen.records.table["image_path"].to_pylist(), seen.records.sample_ids
    order = np.argsort(seen.image, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(seen.image[order])) + 1)
    entries: list[ImageEntry] = []
    taken: dict[str, int] = {}
    for rows in members:
        first, place = int(rows[0]), f"{seen.records.place} row {seen.views.rows[rows[0]]}"
        if not known[rows].all() or (sizes[rows] != sizes[first]).any():
            raise InputError(place, "image_size is missing, or differs between the people of the image")
        if len(rows) > MOST_PEOPLE:
            raise InputError(place, f"its image has {len(rows)} people, expected at most {MOST_PEOPLE}")
        name = image_name(paths[first], ids[first])
        if name in taken:
            raise InputError(place, f"its maps would be called {name!r}, as those of {ids[taken[name]]!r}")
        taken[name] = first
        entries.append(ImageEntry(name, (int(sizes[first][0]), int(sizes[first][1])), tuple(ids[r] for r in rows)))
    return entries, members


def _drawn(count: int, config: IUVConfig) -> NDArray[np.int64]:
    """Which maps the contact sheet shows."""
    rng = np.random.default_rng(config.seed)
    return np.sort(rng.choice(count, min(config.preview, count), replace=False))

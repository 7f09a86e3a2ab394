"""IUV maps of whole images, as files beside the photographs' names: ``<image>_IUV.png`` and ``<image>_INDS.png``.

In: records of images with one or several people. Out: two PNG files per image and ``images.parquet``, which lists them.
The files are DensePose's: read by OpenCV, the channels of ``_IUV.png`` are chart, round(255·U), round(255·V), and
``_INDS.png`` holds 1 + the number of the person that a pixel shows (0 for none). Each file says, in a text chunk, from
which inputs it was made, so that a build that was killed goes on where it stopped. Called by ``iuv_builder``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.people import PeopleMap
from hmrtk.toolkit.records.artefact import open_input, write_bytes, write_parquet
from hmrtk.toolkit.records.remote import Place

KIND = "hmrtk.iuv-images"
SCHEMA_VERSION = 1
INDEX_NAME = "images.parquet"
MOST_PEOPLE = 65535
_NOTE = "hmrtk"


@dataclass(frozen=True)
class ImageEntry:
    """One image of the set.

    Attributes:
        name: the image's path without suffix, relative to the image root; the files' names follow from it.
        size: (height, width) px.
        sample_ids: of the people in it; person p of the map is ``sample_ids[p]``.
    """

    name: str
    size: tuple[int, int]
    sample_ids: tuple[str, ...]

    @property
    def iuv(self) -> str:
        return f"{self.name}_IUV.png"

    @property
    def person(self) -> str:
        return f"{self.name}_INDS.png"


def image_name(image_path: str | None, sample_id: str) -> str:
    """What an image's files are called: its path without suffix, else the sample's id made a file name."""
    if image_path is not None:
        path = PurePosixPath(image_path.replace("\\", "/"))
        return str(path.with_suffix(""))
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in sample_id).lstrip(".")


def write_people(out: Place, entry: ImageEntry, seen: PeopleMap, fingerprint: str) -> None:
    """Write the two files of an image, each atomically.

    Raises:
        OutputError: they cannot be written.
    """
    note = _note(entry, fingerprint)
    kind = np.uint8 if len(entry.sample_ids) < 256 else np.uint16
    write_bytes(out / entry.person, _png((seen.person + 1).astype(kind), note))
    # OpenCV reads blue, green, red: the chart has to be the blue channel.
    write_bytes(out / entry.iuv, _png(np.ascontiguousarray(seen.iuv[::-1].transpose(1, 2, 0)), note))


def is_written(out: Place, entry: ImageEntry, fingerprint: str) -> bool:
    """Whether both files of an image are there, made from the same inputs."""
    return all(_note_of(out / name) == _note(entry, fingerprint) for name in (entry.iuv, entry.person))


def read_people(root: Place, entry: ImageEntry) -> PeopleMap:
    """Read the files of an image back.

    Raises:
        InputError: a file is missing, damaged or of another size.
    """
    colours, persons = _pixels(root / entry.iuv), _pixels(root / entry.person)
    if colours.shape != (*entry.size, 3) or persons.shape != entry.size:
        raise InputError(root / entry.iuv, f"is {colours.shape[:2]} px, expected {entry.size}", "run render-iuv again")
    iuv = np.ascontiguousarray(colours.transpose(2, 0, 1)[::-1])
    return PeopleMap(iuv, persons.astype(np.int32) - 1)


def write_index(out: Place, entries: list[ImageEntry], metadata: Mapping[str, Any]) -> None:
    """Write ``images.parquet``: ``name``, ``iuv``, ``person``, ``height``, ``width``, ``sample_ids``."""
    columns = {
        "name": [e.name for e in entries],
        "iuv": [e.iuv for e in entries],
        "person": [e.person for e in entries],
        "height": pa.array([e.size[0] for e in entries], pa.int32()),
        "width": pa.array([e.size[1] for e in entries], pa.int32()),
        "sample_ids": pa.array([list(e.sample_ids) for e in entries], pa.list_(pa.string())),
    }
    write_parquet(out / INDEX_NAME, pa.table(columns), KIND, SCHEMA_VERSION, metadata)


def set_fingerprint(metadata: Mapping[str, Any]) -> str:
    """16 hex digits of what decides the maps' values."""
    return hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode()).hexdigest()[:16]


def _note(entry: ImageEntry, fingerprint: str) -> dict[str, Any]:
    return {"kind": KIND, "set": fingerprint, "size": list(entry.size), "sample_ids": list(entry.sample_ids)}


def _png(pixels: NDArray[np.integer], note: Mapping[str, Any]) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text(_NOTE, json.dumps(dict(note)))
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=text, compress_level=3)
    return stream.getvalue()


def _note_of(path: Place) -> dict[str, Any] | None:
    """The text chunk of a file of ours; None where there is no whole one."""
    if not path.is_file():
        return None
    try:
        with open_input(path) as stream, Image.open(stream, formats=["PNG"]) as picture:
            found = json.loads(picture.info[_NOTE])
            picture.load()  # a file cut short is made again
        return dict(found)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, InputError):
        return None


def _pixels(path: Place) -> NDArray[Any]:
    try:
        with open_input(path) as stream, Image.open(stream, formats=["PNG"]) as picture:
            return np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(path, f"is no readable PNG: {error}", "run render-iuv again") from None

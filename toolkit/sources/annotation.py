"""What the readers of annotated pictures share: boxes from centre and scale, joints into ``spin24``, gathered columns.

In: arrays as a dataset's files have them. Out: columns of ``RECORD_SCHEMA``. Called by the readers of this folder that
read pictures' annotations; motion capture does not need it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.crops import EXPANSION

SCALE_PX = 200.0
"""px; MPII's and SPIN's ``scale`` is the side of the square box over this."""

COCO17_SLOTS = (19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0)
"""COCO's 17 keypoints → rows of ``spin24``."""
MPII16_SLOTS = (0, 1, 2, 3, 4, 5, 14, 15, 12, 13, 6, 7, 8, 9, 10, 11)
"""MPII's 16 joints → rows of ``spin24``."""
LSP14_SLOTS = tuple(range(14))
"""LSP's 14 joints → rows of ``spin24``."""
H36M17_SLOTS = (14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6)
"""The 17 joints that SPIN picks from Human3.6M's 32 and MPI-INF-3DHP's 28 → rows of ``spin24``."""
J24_COUNT = 24
PIXEL_CENTRE = 0.5
"""px; added to a 0-based pixel index, it gives a coordinate in which the image's corner is (0, 0) (``geometry``)."""
PIXEL_OFFSETS = {"coco": PIXEL_CENTRE, "densepose_coco": PIXEL_CENTRE, "mpii": PIXEL_CENTRE - 1}
"""dataset → px from its annotators' pixel numbers to coordinates: COCO counts from 0, MPII from 1, as the owners of
both told (microsoft/human-pose-estimation.pytorch#110). Files made of theirs are taken to hold the same numbers: SPIN's
of MPII, from which EFT's and 4D-Humans' come, have those of a ``train.h5`` into which they were copied
(princeton-vl/pose-hg-train#1). Nobody says how LSP, LSPET and others count; theirs stay."""


def square_boxes(center: ArrayLike, scale: ArrayLike, expansion: float = EXPANSION) -> NDArray[np.float32]:
    """Tight square boxes whose expanded side is 200 · scale px, as SPIN's files mean it.

    Args:
        center: (N, 2) px. scale: (N,) px / 200, of the box after expansion.
        expansion: by which the file's makers enlarged the tight box; records hold tight ones.

    Returns:
        (N, 4) x0, y0, x1, y1 px.

    Raises:
        InputError: shapes that do not belong together, or a scale that is not positive; the row is named.
    """
    middle, side = np.asarray(center, np.float64), np.asarray(scale, np.float64) * SCALE_PX / expansion
    if middle.ndim != 2 or middle.shape[1] != 2 or side.shape != (len(middle),):
        raise InputError("boxes", f"expected center (N, 2) and scale (N,), got {middle.shape} and {side.shape}")
    bad = ~(side > 0)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"row {row}", f"scale is {np.asarray(scale)[row]}, expected a positive number")
    half = side[:, None] / 2
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


def in_spin24(joints: NDArray[np.floating], slots: Sequence[int]) -> NDArray[np.float32]:
    """Joints of another set at their rows of ``spin24``; the other rows are zeros, with confidence 0.

    Args:
        joints: (N, J, C), confidence in the last channel.
        slots: J rows.

    Returns:
        (N, 24, C).
    """
    if joints.ndim != 3 or joints.shape[1] != len(slots):
        raise InputError("joints", f"expected shape (N, {len(slots)}, C), got {joints.shape}")
    placed = np.zeros((len(joints), J24_COUNT, joints.shape[2]), np.float32)
    placed[:, list(slots)] = joints
    return placed


def in_coordinates(keypoints: NDArray[np.floating], dataset: str) -> NDArray[np.float32]:
    """Keypoints (N, J, 3) in a dataset's pixel numbers → px with the image's corner at (0, 0).

    Joints without confidence stay as they are: zeros.
    """
    offset = PIXEL_OFFSETS.get(dataset, 0.0)
    moved = np.concatenate([keypoints[..., :2] + offset, keypoints[..., 2:]], axis=-1)
    return np.where(keypoints[..., 2:] > 0, moved, keypoints).astype(np.float32)


def gathered(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Columns of several files, one after the other: lists are joined, arrays concatenated, other values must agree.

    Raises:
        InputError: files with different columns.
    """
    names = list(parts[0])
    for part in parts:
        if list(part) != names:
            raise InputError("records", f"have columns {', '.join(part)}, expected {', '.join(names)}")
    columns: dict[str, Any] = {}
    for name in names:
        values = [part[name] for part in parts]
        if isinstance(values[0], np.ndarray):
            columns[name] = np.concatenate(values)
        elif isinstance(values[0], str):  # one for all rows
            if len(set(values)) > 1:
                raise InputError("records", f"have {name} {' and '.join(map(repr, values))}, expected one")
            columns[name] = values[0]
        else:
            columns[name] = [item for value in values for item in value]
    return columns


def image_paths(names: Iterable[str], place: object) -> list[str]:
    """Names of pictures with forward slashes, each proven to stay below the folder of the pictures.

    Args:
        names: as a file has them, on whatever system it was written.
        place: the file, for error messages.

    Raises:
        InputError: an empty name, an absolute one, or one with ``..``; the row is named.
    """
    paths = []
    for row, name in enumerate(names):
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or not path.parts or "\0" in name:
            raise InputError(f"{place} row {row}", f"picture {name!r} is not a path below the folder of the pictures")
        paths.append(str(path))
    return paths


def person_ids(dataset: str, split: str, stems: Iterable[str]) -> list[str]:
    """``<dataset>/<split>/<stem>/<person>``: rows of one picture are counted in their order, from 0.

    The same for every prefix of the rows, so a limit does not change an id.
    """
    seen: Counter[str] = Counter()
    ids = []
    for stem in stems:
        ids.append(f"{dataset}/{split}/{stem}/{seen[stem]}")
        seen[stem] += 1
    return ids


def annotation_ids(dataset: str, split: str, stems: Sequence[str], numbers: Sequence[int | None]) -> list[str]:
    """``<dataset>/<split>/<stem>/<annotation id>``, or ``person_ids`` where a row has no id or two have the same."""
    numbered = [f"{dataset}/{split}/{stem}/{number}" for stem, number in zip(stems, numbers, strict=True)]
    return person_ids(dataset, split, stems) if None in numbers or len(set(numbered)) < len(stems) else numbered


def confident(joints: NDArray[np.float32], place: object, key: str) -> NDArray[np.float32]:
    """Joints (N, J, C) whose last channel is a confidence in 0..1, and whose coordinates are finite.

    Larger confidences (COCO's visibility 2) become 1, negative ones 0; a joint without confidence is all zeros,
    whatever the file has in its place.

    Raises:
        InputError: a joint with confidence, or a confidence, is NaN or infinite; the row is named.
    """
    bad = ~np.isfinite(joints[..., -1]) | ((joints[..., -1] > 0) & ~np.isfinite(joints).all(axis=-1))  # (N, J)
    if bad.any():
        row = int(bad.any(axis=1).argmax())
        raise InputError(f"{place} row {row}", f"{key} has NaN or infinite values")
    confidence = np.clip(joints[..., -1:], 0, 1)
    return np.where(confidence > 0, np.concatenate([joints[..., :-1], confidence], axis=-1), 0).astype(np.float32)


def corner_box(bbox: Any, place: str) -> list[float]:
    """COCO's x, y, width, height → x0, y0, x1, y1 px.

    Raises:
        InputError: not four numbers, or empty.
    """
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError):
        raise InputError(place, f"bbox is {bbox!r}, expected x, y, width, height") from None
    if not (np.isfinite([x, y, width, height]).all() and width > 0 and height > 0):
        raise InputError(place, f"bbox {[x, y, width, height]} is empty or not finite")
    return [x, y, x + width, y + height]

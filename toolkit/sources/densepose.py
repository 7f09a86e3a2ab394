"""DensePose-COCO's annotation of one person: surface points and part masks → columns of the side table.

In: ``dp_I``, ``dp_U``, ``dp_V``, ``dp_x``, ``dp_y``, ``dp_masks`` and the box, from COCO's json or from DaNet's npz;
out: a row of ``DENSE_SCHEMA``. Traps, and what is done about them:

- ``dp_x`` and ``dp_y`` are **255ths of the box** (DensePose's ``densepose_cocoeval.py``): here they are px.
- ``dp_masks`` belong to the box: 256 × 256 px whatever its size. Their 14 labels are **not the 24 charts**.
- ``dp_I`` is a chart of 1 to 24; ``dp_U`` and ``dp_V`` are the chart's, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.dense import MASK_SIDE, PART_LABELS

COLUMNS = ("points", "masks", "masks_box")
POINT_KEYS = ("dp_I", "dp_U", "dp_V", "dp_x", "dp_y")
POINT_SCALE = 255.0
"""``dp_x`` and ``dp_y`` at the far side of the box."""
SIZES = [MASK_SIDE, MASK_SIDE]


def dense_columns(person: Mapping[str, Any], box: Sequence[float], place: str) -> dict[str, Any]:
    """One value for each of ``COLUMNS``.

    Args:
        person: the annotation. box: x0, y0, x1, y1 px.
    """
    return {
        "points": surface_points(person, box, place),
        "masks": part_masks(person.get("dp_masks"), place),
        "masks_box": list(box),
    }


def compact(value: Any) -> Any:
    """A list of numbers as an array, which takes an eighth of the memory; anything else as it is."""
    try:
        return np.array(value, np.float32) if isinstance(value, list) else value
    except (TypeError, ValueError):
        return value


def surface_points(person: Mapping[str, Any], box: Sequence[float], place: str) -> dict[str, Any]:
    """``points`` of ``DENSE_SCHEMA`` from ``dp_I``, ``dp_U``, ``dp_V`` and ``dp_x``, ``dp_y``, 255ths of the box.

    Raises:
        InputError: one of them is missing, no list of finite numbers or of another length, or no chart of 1 to 24.
    """
    found: dict[str, NDArray[np.float64]] = {}
    for key in POINT_KEYS:
        try:
            found[key] = np.asarray(person.get(key), np.float64).ravel()
        except (TypeError, ValueError):
            found[key] = np.array([np.nan])
        if not np.isfinite(found[key]).all() or len(found[key]) != len(found["dp_I"]):
            raise InputError(place, f"{key} is not a finite number per surface point")
    if not np.isin(found["dp_I"], range(1, 25)).all():
        raise InputError(place, f"dp_I has {np.unique(found['dp_I']).tolist()}, expected charts 1 to 24")
    x0, y0, x1, y1 = box
    return {
        "chart": found["dp_I"].astype(np.uint8),
        "u": found["dp_U"].astype(np.float32),
        "v": found["dp_V"].astype(np.float32),
        "x": (x0 + found["dp_x"] / POINT_SCALE * (x1 - x0)).astype(np.float32),
        "y": (y0 + found["dp_y"] / POINT_SCALE * (y1 - y0)).astype(np.float32),
    }


def part_masks(masks: Any, place: str) -> list[dict[str, Any]] | None:
    """``masks`` of ``DENSE_SCHEMA`` from ``dp_masks``: a run-length code, or an empty list, per part; None without.

    Raises:
        InputError: not so, or a mask of another size.
    """
    if not masks:
        return None
    found = []
    for label, mask in enumerate(masks, 1):
        if not mask:
            continue
        counts = mask.get("counts") if isinstance(mask, dict) and list(mask.get("size", ())) == SIZES else None
        counts = counts.decode("ascii", "replace") if isinstance(counts, bytes) else counts
        if not isinstance(counts, str) or label > len(PART_LABELS):
            raise InputError(place, f"dp_masks: part {label} is no run-length code of {MASK_SIDE} × {MASK_SIDE} px")
        found.append({"label": label, "counts": counts})
    return found

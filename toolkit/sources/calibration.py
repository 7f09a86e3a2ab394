"""``camera.calibration`` of MPI-INF-3DHP: a text with seven lines per camera (Skeletool's).

In: the path; out: what a record needs of each camera. Called by ``mpi_inf_3dhp``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input


@dataclass(frozen=True)
class Camera:
    """One camera.

    Attributes:
        size: height, width px.
        focal: fx, fy px. principal: cx, cy px.
    """

    size: tuple[int, int]
    focal: tuple[float, float]
    principal: tuple[float, float]


def read_calibration(path: Path) -> dict[int, Camera]:
    """Number → camera. The lines read are ``name``, ``size`` (width, height) and ``intrinsic`` (4 × 4, by rows).

    Raises:
        InputError: missing, not text, no camera, or a camera without sound numbers (named).
    """
    with open_input(path) as stream:
        text = stream.read().decode("latin1")
    found: dict[int, dict[str, list[float]]] = {}
    fields: dict[str, list[float]] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        word, _, rest = line.strip().partition(" ")
        if word not in ("name", "size", "intrinsic"):
            continue
        try:
            values = [float(value) for value in rest.split()]
        except ValueError:
            raise InputError(f"{path} line {number}", f"{word} is {rest.strip()[:40]!r}, expected numbers") from None
        if word == "name":
            fields = found.setdefault(int(values[0]) if values else len(found), {})
        elif fields is not None:
            fields[word] = values
    if not found:
        raise InputError(path, "has no camera", "expected the camera.calibration of MPI-INF-3DHP")
    return {name: _camera(fields, f"{path} camera {name}") for name, fields in found.items()}


def _camera(fields: dict[str, list[float]], place: str) -> Camera:
    size, intrinsic = fields.get("size", []), fields.get("intrinsic", [])
    if len(size) != 2 or len(intrinsic) != 16 or not np.isfinite([*size, *intrinsic]).all():
        raise InputError(place, f"has {len(size)} numbers of size and {len(intrinsic)} of intrinsic, expected 2 and 16")
    if min(size) <= 0 or intrinsic[0] <= 0 or intrinsic[5] <= 0:
        raise InputError(place, "has a size or a focal length that is not positive")
    width, height = (int(value) for value in size)
    return Camera((height, width), (intrinsic[0], intrinsic[5]), (intrinsic[2], intrinsic[6]))

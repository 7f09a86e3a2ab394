"""What a UV map of a given size loses on an atlas, measured with the package's own UV space.

The reference body's vertices are written into a location map and read back; the error is the distance between the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.body.parts import PART_GROUPS
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.atlas_check import read_back_mm

SIZES = (56, 64, 128, 256)


def atlas_of(arrays: dict[str, NDArray[Any]], name: str) -> Atlas:
    """``vt``, ``ft``, ``vt2v`` as a one-chart atlas."""
    count = len(arrays["ft"])
    return Atlas(
        name=name,
        corner_vertices=arrays["vt2v"].astype(np.int32),
        corner_uv=arrays["vt"].astype(np.float32),
        corner_faces=arrays["ft"].astype(np.int32),
        face_index=np.arange(count, dtype=np.int32),
        chart=np.ones(count, np.uint8),
        symmetric=False,
    )


def print_errors(name: str, arrays: dict[str, NDArray[Any]]) -> None:
    """Mean and largest read-back error per map size, and the mean per part group, in millimetres."""
    body = load_body()
    for size in SIZES:
        error = read_back_mm(atlas_of(arrays, name), body, size)
        groups = ", ".join(f"{group} {error[group]:.1f}" for group in PART_GROUPS)
        print(f"  {name} {size:3d} px: mean {error['mean']:.2f} mm, largest {error['largest']:.0f} mm ({groups})")

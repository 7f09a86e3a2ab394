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
from hmrtk.toolkit.maps.location import UVSpace

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
    vertices = body.v_template[None]
    part = body.weights.argmax(1)
    for size in SIZES:
        space = UVSpace(atlas_of(arrays, name), size)
        read = space.vertices(space.location(vertices, np.zeros((1, 3))))
        error = 1000 * np.linalg.norm(read[0] - vertices[0], axis=1)
        groups = ", ".join(
            f"{group} {error[np.isin(part, joints)].mean():.1f}" for group, joints in PART_GROUPS.items()
        )
        print(f"  {name} {size:3d} px: mean {error.mean():.2f} mm, largest {error.max():.0f} mm ({groups})")

"""Bodies to turn by hand: a gallery whose cards can be chosen and are then shown as a 3D mesh.

In: a ``Gallery`` and the vertices of its bodies; out: ``Viewer``, a block of ``document``. The page holds the meshes as
16-bit numbers and the faces once, so 50 bodies take 3 MB; ``templates/viewer.js`` draws them, and shows the cards'
pictures where a browser has no WebGL. Called by ``prototypes``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.gallery import Gallery

MESHES = 200
"""Cards that get a mesh, the first ones: 11 MB of page. The others show their picture."""
_LARGEST = 32767


@dataclass(frozen=True)
class Viewer(Gallery):
    """A gallery with meshes.

    Attributes:
        notes: what is said under a body that was chosen, one per card.
        faces: (F, 3) uint16 bytes, little-endian, counter-clockwise seen from outside.
        meshes: of the first cards: (V, 3) int16 bytes, little-endian; x right, y up, z to the viewer.
        unit: metres per step of the 16-bit numbers, the same for all.
    """

    notes: Sequence[str]
    faces: bytes
    meshes: Sequence[bytes]
    unit: float

    @classmethod
    def of(
        cls,
        gallery: Gallery,
        notes: Sequence[str],
        vertices: NDArray[np.floating],
        faces: NDArray[np.integer],
        most: int = MESHES,
    ) -> Viewer:
        """Add meshes to a gallery.

        Args:
            vertices: (cards, V, 3) metres, y up; V below 65536. Each body is centred on the middle of its box.
            faces: (F, 3).
            most: how many of the first cards get a mesh.
        """
        shown = vertices[:most]
        middle = (shown.min(axis=1, keepdims=True) + shown.max(axis=1, keepdims=True)) / 2
        centred = shown - middle
        unit = float(max(np.abs(centred).max(), 1e-6)) / _LARGEST
        steps = np.rint(centred / unit).astype("<i2")
        return cls(
            gallery.name, gallery.title, gallery.caption, gallery.cards, gallery.sheet, notes,
            faces.astype("<u2").tobytes(), [mesh.tobytes() for mesh in steps], unit,
        )  # fmt: skip

    def payload(self) -> str:
        """What ``viewer.js`` reads: JSON with base64 inside, so it holds no character that HTML could trip over."""
        coded = {"faces": _base64(self.faces), "meshes": [_base64(mesh) for mesh in self.meshes], "unit": self.unit}
        return json.dumps(coded, separators=(",", ":"))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

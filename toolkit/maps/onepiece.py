"""One-piece atlases for UV space: the packaged one for the reference topology, DecoMR's template for SMPL's.

In: a body. Out: an ``Atlas`` of one chart that fits it. Called by ``shards`` and the networks that work in UV space.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.reference import reference_faces
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas, face_keys, find_faces, onepiece_atlas

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel

TEMPLATE_NAME = "smpl_boundry_free_template.obj"
"""DecoMR's file name, spelt as it is spelt there."""


def onepiece_for_body(body: BodyModel) -> Atlas:
    """The one-piece atlas that fits ``body``: the packaged one when it has the reference body's faces (SMPL's own
    topology does not), else DecoMR's template in the folder of the body's file.

    Raises:
        InputError: when neither is there, or the file does not fit the body.
    """
    if np.array_equal(body.faces, reference_faces()):
        return onepiece_atlas()
    beside = Path(str(body.place)).parent / TEMPLATE_NAME
    if beside.is_file():
        return read_onepiece_obj(beside, body.faces)
    raise InputError(body.place, "has no one-piece atlas", f"put DecoMR's {TEMPLATE_NAME} at {beside}")


def read_onepiece_obj(path: Path, faces: NDArray[np.integer], symmetric: bool = True) -> Atlas:
    """A Wavefront OBJ of the body with texture coordinates in one chart.

    Args:
        path: text with lines ``vt u v`` and ``f v/t v/t v/t`` (1-based); vertices numbered as in the body.
        faces: (F, 3) faces of the body it belongs to, all of which it must have.
        symmetric: the mirrored surface point of (U, V) is (1 − U, V); DecoMR's template is made so.

    Raises:
        InputError: missing file, a line that cannot be read, no texture coordinates, or other faces.
    """
    coordinates: list[list[float]] = []
    corners: list[list[list[int]]] = []
    for number, words in _lines(path):
        try:
            if words[0] == "vt":
                coordinates.append([float(words[1]), float(words[2])])
            elif words[0] == "f":
                corners.append([[int(index) for index in corner.split("/")[:2]] for corner in words[1:]])
        except (ValueError, IndexError) as error:
            raise InputError(f"{path} line {number}", f"cannot be read: {' '.join(words)!r}") from error
        if words[0] == "f" and [len(corner) for corner in corners[-1]] != [2, 2, 2]:
            raise InputError(f"{path} line {number}", f"expected a triangle v/t v/t v/t, got {' '.join(words)!r}")
    if not corners:
        raise InputError(path, "has no faces", f"expected DecoMR's {TEMPLATE_NAME}")
    return _atlas(path, np.array(coordinates), np.array(corners), faces, symmetric)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Numbered lines of a text file, split into words, without empty ones and comments."""
    if not Path(path).is_file():
        raise InputError(path, "no such file", f"expected DecoMR's {TEMPLATE_NAME}")
    try:
        text = Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(path, "is not text", f"expected DecoMR's {TEMPLATE_NAME}") from error
    split = ((number, line.split()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, words) for number, words in split if words and not words[0].startswith("#")]


def _atlas(
    path: Path,
    coordinates: NDArray[np.float64],
    corners: NDArray[np.int64],
    faces: NDArray[np.integer],
    symmetric: bool,
) -> Atlas:
    """Build and check; corners (F, 3, 2) are 1-based (vertex, coordinate)."""
    pairs, corner_faces = np.unique(corners.reshape(-1, 2) - 1, axis=0, return_inverse=True)
    if pairs[:, 1].min() < 0 or pairs[:, 1].max() >= len(coordinates):
        raise InputError(path, f"a face names texture coordinate {pairs[:, 1].max() + 1} of {len(coordinates)}")
    atlas = Atlas(
        name="onepiece",
        corner_vertices=pairs[:, 0].astype(np.int32),
        corner_uv=coordinates[pairs[:, 1]].astype(np.float32),
        corner_faces=corner_faces.reshape(-1, 3).astype(np.int32),
        face_index=np.full(len(corners), -1, np.int32),
        chart=np.ones(len(corners), np.uint8),
        symmetric=symmetric,
    )
    atlas.check(path, int(np.max(faces)) + 1)
    if len(corners) != len(faces):
        raise InputError(path, f"has {len(corners)} faces, expected the {len(faces)} of the body")
    return atlas.with_face_index(find_faces(face_keys(faces), face_keys(atlas.vertices_faces), path))

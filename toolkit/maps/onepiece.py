"""One-piece atlases for UV space: the packaged one for the reference topology, DecoMR's template for SMPL's.

In: a body. Out: an ``Atlas`` of one chart that fits it. Called by ``shards`` and the networks that work in UV space.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.reference import reference_faces
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas, onepiece_atlas
from hmrtk.toolkit.maps.obj_atlas import build_atlas

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
        return read_onepiece_obj(beside, body.faces, template=body.v_template)
    raise InputError(body.place, "has no one-piece atlas", f"put DecoMR's {TEMPLATE_NAME} at {beside}")


def read_onepiece_obj(
    path: Path,
    faces: NDArray[np.integer],
    symmetric: bool = True,
    template: NDArray[np.floating] | None = None,
) -> Atlas:
    """A Wavefront OBJ of the body with texture coordinates in one chart.

    Args:
        path: vertices numbered as in the body, or found by one of the other ways of ``obj_match``.
        faces: (F, 3) faces of the body it belongs to.
        symmetric: the mirrored surface point of (U, V) is (1 − U, V); DecoMR's template is made so.
        template: (V, 3) metres, the body at rest, to find vertices by their place.

    Raises:
        InputError: as ``build_atlas``.
    """
    return replace(build_atlas(path, faces, template, name="onepiece").atlas, symmetric=symmetric)

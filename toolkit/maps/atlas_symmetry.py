"""How left-right symmetric a body's mesh is, and an atlas on it. Called by the atlas tools and ``mirror``.

In: a body's faces and template, an atlas. Out: the vertex mirror table, and ``Symmetry``: how far the mirrored point of
(chart, U, V) is from (mirror chart, 1 − U, V).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.mirror import POINT_SIGNS
from hmrtk.toolkit.body.reference import mirror_vertices, reference_faces
from hmrtk.toolkit.maps.atlas import Atlas, face_keys
from hmrtk.toolkit.maps.atlas_seams import atlas_seams
from hmrtk.toolkit.maps.charts import MIRROR_CHART

SYMMETRY_TOLERANCE = 2e-4
"""Deviation of U or V below which an atlas counts as symmetric: a twentieth of the 1/255 that maps store."""

PARTNER_TOLERANCE = 5e-3
"""Metres between a vertex's mirror image and its partner: templates fitted to scans are not exactly symmetric."""

_COMPARED_SHARE = 0.98
"""Of the faces must have a partner in the atlas before it counts as symmetric; holes have none."""


def body_mirror(
    faces: NDArray[np.integer], template: NDArray[np.floating], tolerance: float = PARTNER_TOLERANCE
) -> NDArray[np.int64]:
    """(V,) the left-right partner of every vertex, −1 where there is none; its own inverse where there is one.

    The packaged table for the reference body's faces; otherwise vertices are partners when each is the nearest to the
    other's image in the plane x = 0.

    Args:
        faces: (F, 3). template: (V, 3) metres, the body at rest. tolerance: metres.
    """
    if np.array_equal(faces, reference_faces()):
        return mirror_vertices().astype(np.int64)
    from scipy.spatial import cKDTree

    points = np.asarray(template, np.float64)
    distance, nearest = cKDTree(points).query(points * POINT_SIGNS)
    mutual = nearest[nearest] == np.arange(len(points))
    return np.where(mutual & (distance <= tolerance), nearest, -1).astype(np.int64)


def partner_faces(vertices_faces: NDArray[np.integer], mirror: NDArray[np.integer]) -> NDArray[np.int64]:
    """(F,) the face that each face (F, 3) becomes when the body is mirrored, −1 where it is none of the faces."""
    image = np.asarray(mirror, np.int64)[vertices_faces]
    keys, wanted = face_keys(vertices_faces), face_keys(np.maximum(image, 0))
    order = np.argsort(keys, kind="stable")
    found = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    return np.where((keys[found] == wanted) & (image >= 0).all(axis=1), found, -1)


def partner_corners(
    vertices_faces: NDArray[np.integer], mirror: NDArray[np.integer], partner: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(F, 3) which corner, 0 to 2, of its partner each corner of a face becomes; zeros where there is no partner."""
    image = np.asarray(mirror, np.int64)[vertices_faces]
    return (np.asarray(vertices_faces)[partner][:, None, :] == image[:, :, None]).argmax(axis=2)


@dataclass(frozen=True)
class Symmetry:
    """How symmetric an atlas is.

    Attributes:
        deviation: the largest difference in U or V between a corner's partner and (1 − U, V); None where no face could
            be compared.
        compared: share of the faces whose partner is in the atlas.
        other_charts: faces whose partner is not in the mirror chart (``charts.MIRROR_CHART``).
        lonely_seams: cuts whose mirror image is no cut.
    """

    deviation: float | None
    compared: float
    other_charts: int
    lonely_seams: int

    def exact(self, tolerance: float = SYMMETRY_TOLERANCE) -> bool:
        """Maps may be mirrored by U → 1 − U and the mirror chart."""
        within = self.deviation is not None and self.deviation <= tolerance
        return within and self.compared >= _COMPARED_SHARE and not self.other_charts


def measured_symmetry(atlas: Atlas, mirror: NDArray[np.integer]) -> Symmetry:
    """Compare every face of an atlas with its mirror image; ``mirror`` (V,) as from ``body_mirror``."""
    faces = atlas.vertices_faces
    partner = partner_faces(faces, mirror)
    corner = partner_corners(faces, mirror, partner)
    there = partner >= 0
    other = there & (atlas.chart[partner] != MIRROR_CHART[atlas.chart])
    alike = there & ~other
    image = np.take_along_axis(atlas.face_uv[partner], corner[..., None], axis=1)
    apart = np.abs(image - np.stack([1 - atlas.face_uv[..., 0], atlas.face_uv[..., 1]], axis=-1))
    cuts = atlas_seams(atlas).cuts
    images = np.sort(np.asarray(mirror, np.int64)[cuts], axis=1)
    lonely = ~np.isin(_edge_keys(images), _edge_keys(cuts))
    return Symmetry(
        deviation=float(apart[alike].max()) if alike.any() else None,
        compared=float(there.mean()),
        other_charts=int(other.sum()),
        lonely_seams=int(lonely.sum()),
    )


def _edge_keys(edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """(E,) one number per edge (E, 2), the lower vertex first; images of vertices without partner match nothing."""
    return edges[:, 0] << 32 | edges[:, 1]

"""Seams of an atlas: the edges of the body along which its charts were cut apart. Called by the atlas tools."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.maps.atlas import Atlas


class Seams(NamedTuple):
    """Edges as (E, 2) pairs, the lower body vertex first.

    Attributes:
        cuts: edges whose two faces see different corners: another chart, or another place in the same one.
        rims: edges of one face only, where the atlas has a hole.
        outlines: (O, 2) pairs of corners: both sides of every cut, and the rims; the charts' outlines in UV.
    """

    cuts: NDArray[np.int64]
    rims: NDArray[np.int64]
    outlines: NDArray[np.int64]


def atlas_seams(atlas: Atlas) -> Seams:
    """Find the seams."""
    corners = np.stack([atlas.corner_faces, np.roll(atlas.corner_faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    vertices = atlas.corner_vertices[corners].astype(np.int64)
    turned = vertices[:, 0] > vertices[:, 1]
    corners, vertices = (
        np.where(turned[:, None], pair[:, ::-1], pair) for pair in (corners.astype(np.int64), vertices)
    )
    edges, place, count = np.unique(vertices, axis=0, return_inverse=True, return_counts=True)
    place = place.ravel()
    lowest, highest = (np.full((len(edges), 2), start) for start in (len(atlas.corner_vertices), -1))
    np.minimum.at(lowest, place, corners)
    np.maximum.at(highest, place, corners)
    cut, rim = (lowest != highest).any(axis=1), count == 1
    outline = (cut | rim)[place]
    return Seams(edges[cut], edges[rim], np.unique(corners[outline], axis=0))


def seams_length(edges: NDArray[np.int64], points: NDArray[np.floating]) -> float:
    """Metres: the summed length of edges (E, 2) between body points (V, 3)."""
    ends = np.asarray(points, np.float64)[edges]
    return float(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).sum())

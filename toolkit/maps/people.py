"""Several people in one picture: who is seen where, and the IUV map of all of them. Called by ``pipeline``.

In: projected bodies of one picture, in one depth order. Out: one IUV map and, per pixel, the person it shows. The
rules of visibility are those of ``raster``, over the faces of everybody; of faces equally near, the lower person wins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.iuv import checked_points, texture_uv
from hmrtk.toolkit.maps.kernels import BACKGROUND, people_rows
from hmrtk.toolkit.maps.raster import checked_size
from hmrtk.toolkit.maps.slices import over_slices


class PeopleMap(NamedTuple):
    """A picture of P people.

    Attributes:
        iuv: (3, H, W) uint8 = chart, round(255·U), round(255·V) of whoever is nearest; zeros on the background.
        person: (H, W) int32, 0 … P − 1; -1 on the background.
    """

    iuv: NDArray[np.uint8]
    person: NDArray[np.int32]

    def of(self, person: int) -> NDArray[np.uint8]:
        """(3, H, W) the IUV map of one person as the others leave it: what they hide is background."""
        return np.where(self.person == person, self.iuv, 0).astype(np.uint8)


def render_people(
    vertices_px: NDArray[np.floating],
    atlas: Atlas,
    size: int | tuple[int, int],
    texture: str = "vertex",
    threads: int | None = None,
) -> PeopleMap:
    """The IUV map of all people of one picture.

    Args:
        vertices_px: (P, V, 3) x px, y px, z metres: one camera's depths, so that people can hide each other.
        atlas: fits the body.
        size: (H, W) px, or one number for a square.
        texture: ``vertex`` (perspective-correct U, V; PyMAF) or ``face`` (one U, V per face; DaNet).
        threads: default: all cores this process may use; they share the rows of the picture.

    Raises:
        InputError: wrong shapes, an atlas of another body. UnknownNameError: another texture.
    """
    height, width = checked_size(size)
    points = checked_points(vertices_px, atlas)
    faces, face_uv, chart = atlas.vertices_faces, texture_uv(atlas, texture), atlas.chart
    face_id = np.full((height, width), BACKGROUND, np.int64)
    nearest = np.zeros((height, width))
    seen = PeopleMap(np.empty((3, height, width), np.uint8), np.empty((height, width), np.int32))

    def rows(first: int, last: int) -> None:
        people_rows(points, faces, face_uv, chart, face_id, nearest, seen.iuv, seen.person, first, last)

    over_slices(rows, height, threads)
    return seen


def moved_nearer(vertices_px: NDArray[np.floating], metres: NDArray[np.floating]) -> NDArray[np.float64]:
    """Depths of bodies that were projected through cameras of their own, made comparable.

    A crop camera looks from 5000 px focal length, so a person is some 40 m away in it, whatever their true distance.
    Each body keeps its place in the picture and its own depth, in metres, and moves as a whole to where one camera of
    the full image has it (``views.Views.nearer``). Inside a face U and V then follow the nearer perspective: at most
    one of 255 levels from the map of the crop.

    Args:
        vertices_px: (P, V, 3) px, px, metres in front of its own camera.
        metres: (P,) added to the depths.

    Returns:
        (P, V, 3) float64.

    Raises:
        InputError: shapes that do not belong together.
    """
    points, shift = np.array(vertices_px, np.float64), np.asarray(metres, np.float64)
    if points.ndim != 3 or points.shape[2] != 3 or shift.shape != (len(points),):
        raise InputError("people", f"expected vertices (P, V, 3) and one depth each, got {points.shape}, {shift.shape}")
    points[..., 2] += shift[:, None]
    return points

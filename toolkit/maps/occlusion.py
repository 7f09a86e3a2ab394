"""IUV maps of people whose image shows others too: what the others hide is background. Called by ``pipeline``.

In: views of records, the window of each, and which image each belongs to. Out: maps, chunk by chunk, as
``iuv.stream_iuv`` gives them for people on their own; the maps of a whole image, with everybody in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.iuv import chunk_bodies, render_iuv_projected
from hmrtk.toolkit.maps.people import PeopleMap, moved_nearer, render_people
from hmrtk.toolkit.maps.projection import project
from hmrtk.toolkit.maps.views import Views


def stream_occluded_iuv(
    views: Views,
    windows: NDArray[np.floating],
    image: NDArray[np.integer],
    body: BodyModel,
    atlas: Atlas,
    size: int,
    texture: str = "vertex",
    rows: slice = slice(None),
    chunk: int | None = None,
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Maps of windows with the other people of each image as occluders.

    Args:
        views: of M bodies.
        windows: (M, 2, 3) full-image px → px of the map.
        image: (M,) a number per image; bodies of one number hide each other.
        body, atlas, size, texture: as for ``iuv.render_iuv``.
        rows: which bodies to make maps of, by default all; the others still occlude.
        chunk: maps made at a time; by default ``iuv.chunk_bodies``.

    Returns:
        an iterator over slices of ``rows`` (counted from its start) and their (n, 3, size, size) uint8 maps.
    """
    wanted, chunk = np.arange(len(views.rows))[rows], chunk or chunk_bodies(size)
    together = _members(np.asarray(image))
    for first in range(0, len(wanted), chunk):
        some = wanted[first : first + chunk]
        maps = np.empty((len(some), 3, size, size), np.uint8)
        alone = np.array([len(together[int(image[n])]) == 1 for n in some])
        if alone.any():
            only = some[alone]
            vertices = body.pose(views.parameters[only]).vertices
            maps[alone] = render_iuv_projected(vertices, views.seen(only, windows[only]), atlas, size, texture)
        for k in np.flatnonzero(~alone):
            members = together[int(image[some[k]])]
            people = render_window(views, members, windows[some[k]], body, atlas, size, texture)
            maps[k] = people.of(int(np.searchsorted(members, some[k])))
        yield slice(first, first + len(some)), maps


def render_window(
    views: Views,
    members: NDArray[np.integer],
    window: NDArray[np.floating],
    body: BodyModel,
    atlas: Atlas,
    size: int | tuple[int, int],
    texture: str = "vertex",
) -> PeopleMap:
    """Everybody of one image through one window.

    Args:
        views: of M bodies.
        members: (P,) which of them are in the image.
        window: (2, 3) full-image px → px of the map; the identity shows the whole image.
        body, atlas, size, texture: as for ``people.render_people``.
    """
    vertices = body.pose(views.parameters[members]).vertices
    points = project(vertices, views.seen(members, window))
    return render_people(moved_nearer(points, views.nearer[members]), atlas, size, texture)


def _members(image: NDArray[np.integer]) -> dict[int, NDArray[np.int64]]:
    """Image number → the bodies in it, in order."""
    order = np.argsort(image, kind="stable")
    numbers, starts = np.unique(image[order], return_index=True)
    return {int(n): part for n, part in zip(numbers, np.split(order, starts[1:]), strict=True)}

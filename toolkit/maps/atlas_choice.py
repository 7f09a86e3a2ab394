"""One way to name an atlas: ``charts``, ``onepiece`` or a file. Called by commands and ``shards``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.maps.atlas import Atlas, atlas_for_body, read_uv_processed_mat
from hmrtk.toolkit.maps.atlas_file import read_atlas
from hmrtk.toolkit.maps.charts import CHART_COUNT, CHART_NAMES
from hmrtk.toolkit.maps.obj_atlas import build_atlas
from hmrtk.toolkit.maps.onepiece import onepiece_for_body

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel

NAMES = ("charts", "onepiece")
"""``charts``: the body's 24 charts (``atlas_for_body``); ``onepiece``: one chart for all (``onepiece_for_body``)."""

SUFFIXES = (".npz", ".obj", ".mat")
"""A file of ``hmrtk atlas build``; a Wavefront OBJ as one chart; DensePose's ``UV_Processed.mat``."""


@dataclass(frozen=True)
class NamedAtlas:
    """An atlas and the names of its charts (number → name)."""

    atlas: Atlas
    charts: dict[int, str]


def chosen_atlas(choice: str, body: BodyModel) -> Atlas:
    """The atlas that a name or a file says, proved to fit the body.

    Args:
        choice: one of ``NAMES``, or a path that ends in one of ``SUFFIXES``. An OBJ is read as one chart: build an
            ``.npz`` of it for any other reading.
        body: the active body.

    Raises:
        UnknownNameError: neither a name nor such a file.
        InputError: a file that is missing, damaged or of another body.
    """
    return named_atlas(choice, body).atlas


def named_atlas(choice: str, body: BodyModel) -> NamedAtlas:
    """As ``chosen_atlas``, with the charts' names."""
    if choice == "charts":
        return _plain(atlas_for_body(body))
    if choice == "onepiece":
        return _plain(onepiece_for_body(body))
    suffix = Path(choice).suffix.lower()
    if suffix not in SUFFIXES:
        raise UnknownNameError("atlas", choice, (*NAMES, *(f"FILE{known}" for known in SUFFIXES)))
    if suffix == ".npz":
        found = read_atlas(choice, body.faces)
        return NamedAtlas(found.atlas, found.charts)
    if suffix == ".obj":
        built = build_atlas(Path(choice), body.faces, body.v_template)
        return NamedAtlas(built.atlas, built.charts)
    return _plain(read_uv_processed_mat(Path(choice), body.faces))


def _plain(atlas: Atlas) -> NamedAtlas:
    """Charts under DensePose's names; the single one of a one-piece atlas is the whole body."""
    used = np.unique(atlas.chart).tolist()
    if used == [1]:
        return NamedAtlas(atlas, {1: "whole body"})
    return NamedAtlas(atlas, {number: CHART_NAMES[number] for number in used if number <= CHART_COUNT})

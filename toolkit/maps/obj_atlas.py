"""An atlas from any Wavefront OBJ of the body with UV coordinates.

In: a path and the body. Out: ``BuiltAtlas``: the ``Atlas`` and what was found on the way (for people). Called by
``atlas_choice``, ``onepiece`` and ``hmrtk atlas build``. Reading: ``obj_file``; finding the body in it: ``obj_match``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.atlas_symmetry import SYMMETRY_TOLERANCE, body_mirror, measured_symmetry
from hmrtk.toolkit.maps.charts import CHART_COUNT, CHART_NAMES
from hmrtk.toolkit.maps.obj_file import ObjMesh, read_obj
from hmrtk.toolkit.maps.obj_match import MISSING_SHARE, TOLERANCE, MatchedMesh, match_mesh

CHARTS = ("one", "groups", "materials", "islands", "tiles")
"""What makes a chart: everything together; ``g`` or ``o``; ``usemtl``; faces connected in UV; UDIM tiles."""

EDGE = 1e-4
"""UV that lies this far outside its tile is rounding of the exporter, and is clipped."""

_NAMED = 5


@dataclass(frozen=True)
class ObjConfig:
    """How to read the file.

    Attributes:
        charts: one of ``CHARTS``.
        flip_v: V counts downwards in the file.
        tolerance: metres between a vertex of the file and the body's.
        fill: scale every chart up, evenly, until it reaches two sides of its square: charts cut from one texture use
            only a part of the square each, and of the 255 levels of U and V.
        partial: leave out faces that are not the body's, and accept a body with many faces without UV.
    """

    charts: str = "one"
    flip_v: bool = False
    tolerance: float = TOLERANCE
    fill: bool = False
    partial: bool = False


@dataclass(frozen=True)
class BuiltAtlas:
    """An atlas with ``charts`` (number → name) and ``facts`` (plain JSON values: what was matched, moved, left out)."""

    atlas: Atlas
    charts: dict[int, str]
    facts: dict[str, Any] = field(default_factory=dict)


def build_atlas(
    path: Path,
    faces: NDArray[np.integer],
    template: NDArray[np.floating] | None = None,
    config: ObjConfig = ObjConfig(),
    name: str = "",
) -> BuiltAtlas:
    """Read an OBJ file as an atlas of the body. Its faces come in the body's order and winding.

    Args:
        path: the file.
        faces: (F, 3) the body's faces.
        template: (V, 3) the body at rest, metres: finds renumbered vertices by their place, and measures the symmetry.
        config: how to read it.
        name: of the atlas; default: the file's name.

    Raises:
        InputError: what ``read_obj`` refuses; faces that are not the body's, or too few of them; more than 24 charts;
            UV that does not lie in one tile per chart. UnknownNameError: another kind of chart.
    """
    if config.charts not in CHARTS:
        raise UnknownNameError("kind of chart", config.charts, CHARTS)
    mesh = read_obj(path)
    found = match_mesh(mesh, faces, template, config.tolerance)
    _check_match(mesh, found, faces, config)
    uv = mesh.coordinates[mesh.corners[found.corners, 1]]  # (T, 3, 2), a copy
    if config.flip_v:
        uv[..., 1] = 1 - uv[..., 1]
    chart, charts = _charts(mesh, found, uv, faces, config.charts)
    uv, moved = _in_unit_square(mesh.place, uv, chart)
    uv = _filled(uv, chart) if config.fill else uv
    atlas = _atlas(name or Path(path).stem, uv, chart, found, faces)
    atlas.check(path, int(np.max(faces)) + 1 if template is None else len(template))
    mirror = None if template is None else body_mirror(faces, template)
    symmetry = None if mirror is None else measured_symmetry(atlas, mirror)
    symmetric = symmetry is not None and symmetry.exact(SYMMETRY_TOLERANCE)
    atlas = replace(atlas, symmetric=symmetric)
    facts = _facts(mesh, found, faces, atlas, moved)
    return BuiltAtlas(atlas, charts, {**facts, "largest_asymmetry": None if symmetry is None else symmetry.deviation})


def _check_match(mesh: ObjMesh, found: MatchedMesh, faces: NDArray[np.integer], config: ObjConfig) -> None:
    polygons = len(mesh.lines)
    remedy = "pass the body that the file was made for; --partial leaves such faces out"
    if len(found.strange) and not config.partial:
        first = mesh.lines[found.strange[0]]
        stray = f"; {len(found.stray)} of its vertices are none of the body's" if len(found.stray) else ""
        raise InputError(
            mesh.place,
            f"{len(found.strange)} of {polygons} faces are not faces of the body (the first in line {first}){stray}",
            remedy,
        )
    if len(found.repeated) and not config.partial:
        first = mesh.lines[found.repeated[0]]
        raise InputError(
            mesh.place, f"{len(found.repeated)} of {polygons} faces are there twice (the first in line {first})", remedy
        )
    missing = len(faces) - len(found.faces)
    if not len(found.faces) or (missing > MISSING_SHARE * len(faces) and not config.partial):
        raise InputError(
            mesh.place, f"has {len(found.faces)} faces of the body, expected {len(faces)} (at most 1 % may be missing)"
        )


def _charts(
    mesh: ObjMesh, found: MatchedMesh, uv: NDArray[np.float64], faces: NDArray[np.integer], kind: str
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """(T,) chart of every triangle, and the charts' names."""
    if kind == "one":
        return np.ones(len(uv), np.uint8), {1: "whole body"}
    if kind == "islands":
        label = uv_islands(np.asarray(faces)[found.faces], uv)
        names = tuple(f"island {number + 1}" for number in range(label.max() + 1))
    elif kind == "tiles":
        tile = _tiles(uv)
        distinct, label = np.unique(tile[:, ::-1], axis=0, return_inverse=True)
        names, label = tuple(_tile_name(u, v) for v, u in distinct.tolist()), label.ravel()
    else:
        label = mesh.labels[kind][found.polygons]
        used, label = np.unique(label, return_inverse=True)
        names = tuple(mesh.names[kind][number] for number in used.tolist())
    if len(names) > CHART_COUNT:
        raise InputError(
            mesh.place, f"has {len(names)} {kind}, an IUV map has at most {CHART_COUNT} charts", "try --charts one"
        )
    numbers = chart_numbers(names)
    return np.array(numbers, np.uint8)[label], dict(sorted(zip(numbers, names, strict=True)))


def chart_numbers(names: tuple[str, ...]) -> list[int]:
    """The chart number of each name: DensePose's where all names are its charts' names (``charts.CHART_NAMES``; case,
    underscores and hyphens do not matter) or all end in different numbers 1..24; else 1, 2, … in the order given."""
    plain = [re.sub(r"[\s_\-]+", " ", name).strip().lower() for name in names]
    if len(set(plain)) == len(plain) and set(plain) <= set(CHART_NAMES[1:]):
        return [CHART_NAMES.index(name) for name in plain]
    ends = [re.search(r"(\d+)$", name) for name in plain]
    numbers = [int(end[1]) for end in ends if end]
    if len(set(numbers)) == len(names) and all(1 <= number <= CHART_COUNT for number in numbers):
        return numbers
    return list(range(1, len(names) + 1))


def uv_islands(faces: NDArray[np.integer], uv: NDArray[np.floating]) -> NDArray[np.int64]:
    """(T,) island of every triangle, numbered by their first triangles.

    Two triangles are connected when they share an edge of the body and agree on U and V at both of its ends.

    Args:
        faces: (T, 3) body vertices. uv: (T, 3, 2).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    key = np.concatenate([np.asarray(faces)[..., None], np.asarray(uv, np.float32)], axis=2, dtype=np.float64)
    _, corner = np.unique(key.reshape(-1, 3), axis=0, return_inverse=True)
    corner = corner.reshape(-1, 3)
    edges = np.sort(np.stack([corner, np.roll(corner, -1, axis=1)], axis=-1), axis=-1).reshape(-1, 2)
    _, edge = np.unique(edges, axis=0, return_inverse=True)
    triangle = np.repeat(np.arange(len(corner)), 3)
    order = np.argsort(edge.ravel(), kind="stable")
    same = np.diff(edge.ravel()[order]) == 0
    a, b = triangle[order[:-1]][same], triangle[order[1:]][same]
    graph = coo_array((np.ones(len(a)), (a, b)), (len(corner), len(corner)))
    _, label = connected_components(graph, directed=False)
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[place].astype(np.int64)


def _in_unit_square(
    place: str, uv: NDArray[np.float64], chart: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Every chart moved by whole tiles into [0, 1], and from which tile those that were elsewhere came."""
    uv, moved = uv.copy(), {}
    for number in np.unique(chart).tolist():
        own = chart == number
        low, high = uv[own].min(axis=(0, 1)), uv[own].max(axis=(0, 1))
        corner = np.floor(low + EDGE)
        if (high > corner + 1 + EDGE).any():
            raise _outside(place, number, uv[own])
        uv[own] = np.clip(uv[own] - corner, 0, 1)
        if corner.any():
            moved[number] = _tile_name(*corner.astype(int).tolist())
    return uv, moved


def _filled(uv: NDArray[np.float64], chart: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Every chart in the middle of its unit square, scaled until its longer side is 1."""
    uv = uv.copy()
    for number in np.unique(chart).tolist():
        own = chart == number
        low, high = uv[own].min(axis=(0, 1)), uv[own].max(axis=(0, 1))
        span = float((high - low).max())
        if span > 0:
            uv[own] = np.clip((uv[own] - (low + high) / 2) / span + 0.5, 0, 1)
    return uv


def _outside(place: str, chart: int, uv: NDArray[np.float64]) -> InputError:
    """Why one chart's (T, 3, 2) coordinates do not fit one tile: several tiles, or triangles across their edges."""
    tile = _tiles(uv)
    if (uv <= tile[:, None] + 1 + EDGE).all():
        tiles = [_tile_name(u, v) for v, u in np.unique(tile[:, ::-1], axis=0).tolist()]
        listed = ", ".join(tiles[:_NAMED]) + (", …" if len(tiles) > _NAMED else "")
        problem = f"chart {chart} lies in {len(tiles)} UDIM tiles: {listed}"
        return InputError(place, problem, "make each a chart: --charts tiles")
    (u0, v0), (u1, v1) = uv.min(axis=(0, 1)), uv.max(axis=(0, 1))
    problem = f"chart {chart} runs from {u0:.4g} to {u1:.4g} in U and {v0:.4g} to {v1:.4g} in V, expected 0 to 1"
    return InputError(place, problem, "a texture that repeats cannot be an atlas")


def _tiles(uv: NDArray[np.float64]) -> NDArray[np.int64]:
    """(T, 2) the tile, in whole units of U and V, that the lowest corner of every triangle (T, 3, 2) lies in."""
    return np.floor(uv.min(axis=1) + EDGE).astype(np.int64)


def _tile_name(u: int, v: int) -> str:
    """The UDIM number 1001 + u + 10·v of a tile, where it has one."""
    return str(1001 + u + 10 * v) if 0 <= u < 10 and v >= 0 else f"({u}, {v})"


def _atlas(
    name: str, uv: NDArray[np.float64], chart: NDArray[np.uint8], found: MatchedMesh, faces: NDArray[np.integer]
) -> Atlas:
    """Corners are merged where vertex, chart, U and V agree: exporters repeat them."""
    vertices = np.asarray(faces)[found.faces]  # (T, 3)
    charts = np.repeat(chart[:, None], 3, axis=1)
    flat = np.stack([vertices, charts, uv[..., 0].astype(np.float32), uv[..., 1].astype(np.float32)], axis=2)
    corners, place = np.unique(flat.reshape(-1, 4), axis=0, return_inverse=True)
    return Atlas(
        name=name,
        corner_vertices=corners[:, 0].astype(np.int32),
        corner_uv=corners[:, 2:].astype(np.float32),
        corner_faces=place.reshape(-1, 3).astype(np.int32),
        face_index=found.faces.astype(np.int32),
        chart=chart,
        symmetric=False,
    )


def _facts(
    mesh: ObjMesh, found: MatchedMesh, faces: NDArray[np.integer], atlas: Atlas, moved: dict[int, str]
) -> dict[str, Any]:
    missing = np.setdiff1d(np.arange(len(faces)), found.faces)
    return {
        "matched_by": found.how,
        "unit_m": found.unit,
        "polygons": len(mesh.lines),
        "faces": len(found.faces),
        "faces_missing": len(missing),
        "faces_missing_first": missing[:_NAMED].tolist(),
        "faces_left_out": len(found.strange) + len(found.repeated),
        "file_vertices": len(mesh.vertices),
        "corners": len(atlas.corner_vertices),
        "charts_moved": {str(number): tile for number, tile in moved.items()},
        "symmetric": atlas.symmetric,
    }

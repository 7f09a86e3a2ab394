"""Whether an atlas can be used, and how good it is: what ``hmrtk atlas check`` prints.

In: an ``Atlas`` and its body. Out: ``AtlasCheck``. Also called by ``bake.onepiece_atlas`` (``read_back_mm``).

An atlas **cannot be used** when more than ``OVERLAP_SHARE`` of a chart's texels lie in several faces (a texel would
stand for several surface points), when more than ``FOLDED_SHARE`` of its faces are folded over or without area in UV,
or when more than ``MISSING_SHARE`` of the body's faces are not in it. Everything else is for a person to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.body.parts import PART_GROUPS, vertex_groups
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.atlas_seams import atlas_seams, seams_length
from hmrtk.toolkit.maps.atlas_stretch import Stretch, doubled_uv_areas, measured_stretch
from hmrtk.toolkit.maps.atlas_symmetry import Symmetry, body_mirror, measured_symmetry
from hmrtk.toolkit.maps.chart_space import ChartSpace
from hmrtk.toolkit.maps.location import UVSpace
from hmrtk.toolkit.maps.obj_atlas import uv_islands
from hmrtk.toolkit.maps.obj_match import MISSING_SHARE

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel

OVERLAP_SHARE = 0.05
FOLDED_SHARE = 0.01

FLAT = 1e-12
"""Twice the area in UV below which a face has none: a thousandth of a texel squared, of a map of 30 000 px."""

_NAMED = 5


@dataclass(frozen=True)
class ChartCheck:
    """One chart at S texels.

    Attributes:
        chart, name: of it.
        faces, corners: how many.
        covered: share of the unit square's texels whose centre lies in a face.
        overlap: share of those that lie inside more than one.
        overlap_faces: up to five pairs of faces of the body that do.
        folded: faces turned over, against the greater part of the chart by area.
        flat: faces without area.
        without_texel: faces that own no texel at this size.
        stretch: None where no face has area.
    """

    chart: int
    name: str
    faces: int
    corners: int
    covered: float
    overlap: float
    overlap_faces: list[tuple[int, int]]
    folded: int
    flat: int
    without_texel: int
    stretch: Stretch | None


@dataclass(frozen=True)
class AtlasCheck:
    """A whole atlas.

    Attributes:
        name, size: the atlas; texels of a chart's side.
        charts: one entry each.
        faces, missing, corners, islands: numbers; ``missing`` are faces of the body without UV.
        seams, seams_m: edges that were cut, and their length on the body, metres.
        stretch: over all charts.
        symmetry: against (mirror chart, 1 − U, V).
        symmetric: what the atlas says of itself.
        read_back_mm: ``mean``, ``largest`` and the mean of each part group, for an atlas of one chart; else empty.
        problems: why it cannot be used; empty when it can.
    """

    name: str
    size: int
    charts: list[ChartCheck]
    faces: int
    missing: int
    corners: int
    islands: int
    seams: int
    seams_m: float
    stretch: Stretch | None
    symmetry: Symmetry
    symmetric: bool
    read_back_mm: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    def summary(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "ok": self.ok}


def check_atlas(atlas: Atlas, body: BodyModel, names: Mapping[int, str], size: int = 128) -> AtlasCheck:
    """Measure an atlas.

    Args:
        atlas: fits the body.
        body: its template carries the lengths.
        names: chart → name.
        size: texels of a chart's side.

    Raises:
        InputError: an atlas of another body.
    """
    atlas.check_body(len(body.v_template))
    template = np.asarray(body.v_template, np.float64)
    points = template[atlas.vertices_faces]
    numbers = np.unique(atlas.chart).tolist()
    charts = [_chart_check(atlas, points, number, names.get(number, f"chart {number}"), size) for number in numbers]
    cuts = atlas_seams(atlas).cuts
    missing = max(0, len(body.faces) - len(atlas.chart))
    return AtlasCheck(
        name=atlas.name,
        size=size,
        charts=charts,
        faces=len(atlas.chart),
        missing=missing,
        corners=len(atlas.corner_vertices),
        islands=_islands(atlas),
        seams=len(cuts),
        seams_m=seams_length(cuts, template),
        stretch=measured_stretch(atlas.face_uv, points),
        symmetry=measured_symmetry(atlas, body_mirror(body.faces, template)),
        symmetric=atlas.symmetric,
        read_back_mm=read_back_mm(atlas, body, size) if numbers == [1] else {},
        problems=_problems(charts, len(atlas.chart), missing, len(body.faces)),
    )


def read_back_error(atlas: Atlas, body: BodyModel, size: int) -> NDArray[np.float64]:
    """(V,) metres between the body's vertices at rest and those read back from their location map of ``size`` texels.

    Raises:
        InputError: an atlas of several charts, or of another body.
    """
    space = UVSpace(atlas, size)
    vertices = np.asarray(body.v_template, np.float32)[None]
    read = space.vertices(space.location(vertices, np.zeros((1, 3))))
    error = np.full(vertices.shape[1], np.nan)
    error[: read.shape[1]] = np.linalg.norm(read[0] - vertices[0, : read.shape[1]], axis=1)
    return error


def read_back_mm(atlas: Atlas, body: BodyModel, size: int) -> dict[str, float]:
    """``read_back_error`` in millimetres: ``mean``, ``largest``, and the mean of each part group (``PART_GROUPS``)."""
    error, group = 1000 * read_back_error(atlas, body, size), vertex_groups(body)
    read = ~np.isnan(error)
    own = {name: error[read & (group == number)] for number, name in enumerate(PART_GROUPS)}
    groups = {name: float(values.mean()) for name, values in own.items() if values.size}
    return {"mean": float(error[read].mean()), "largest": float(error[read].max()), **groups}


def _chart_check(atlas: Atlas, points: NDArray[np.float64], number: int, name: str, size: int) -> ChartCheck:
    space = ChartSpace(atlas, number, size)
    own = space.faces
    areas = doubled_uv_areas(atlas.face_uv[own])
    flat = np.abs(areas) <= FLAT
    folded = ~flat & (np.sign(areas) != np.sign(areas.sum()))
    several, pairs = _overlaps(space.texel[atlas.corner_faces[own]], size)
    known = np.where(atlas.face_index >= 0, atlas.face_index, np.arange(len(atlas.chart)))
    covered = int(space.mask.sum())
    return ChartCheck(
        chart=number,
        name=name,
        faces=len(own),
        corners=len(np.unique(atlas.corner_faces[own])),
        covered=covered / size**2,
        overlap=several / max(1, covered),
        overlap_faces=[(int(known[own[a]]), int(known[own[b]])) for a, b in pairs],
        folded=int(folded.sum()),
        flat=int(flat.sum()),
        without_texel=len(own) - len(np.unique(space.face[space.mask])),
        stretch=measured_stretch(atlas.face_uv[own], points[own]),
    )


def _overlaps(triangles: NDArray[np.float64], size: int) -> tuple[int, list[list[int]]]:
    """How many texels lie inside several of the (n, 3, ≥ 2) triangles, and up to five distinct pairs of those."""
    first = np.full((size, size), -1, np.int64)
    second = np.full((size, size), -1, np.int64)
    _cover(np.ascontiguousarray(triangles[..., :2]), first, second)
    several = second >= 0
    pairs = np.unique(np.stack([first[several], second[several]], axis=1), axis=0)
    return int(several.sum()), pairs[:_NAMED].tolist()


@njit(cache=True, nogil=True)
def _cover(triangles, first, second):  # type: ignore[no-untyped-def]
    """Write the first two triangles whose inside holds each texel's centre; edges belong to none."""
    size = first.shape[0]
    for t in range(triangles.shape[0]):
        ax, ay = triangles[t, 0]
        bx, by = triangles[t, 1]
        cx, cy = triangles[t, 2]
        left, right = max(0.0, np.ceil(min(ax, bx, cx) - 0.5)), min(size - 1.0, np.floor(max(ax, bx, cx) - 0.5))
        top, bottom = max(0.0, np.ceil(min(ay, by, cy) - 0.5)), min(size - 1.0, np.floor(max(ay, by, cy) - 0.5))
        for i in range(int(top), int(bottom) + 1):
            y = i + 0.5
            for j in range(int(left), int(right) + 1):
                x = j + 0.5
                # Exactly antisymmetric in the ends of an edge, as in ``kernels``: neighbours never both hold a point.
                ea = (bx - x) * (cy - y) - (by - y) * (cx - x)
                eb = (cx - x) * (ay - y) - (cy - y) * (ax - x)
                ec = (ax - x) * (by - y) - (ay - y) * (bx - x)
                if not ((ea > 0.0 and eb > 0.0 and ec > 0.0) or (ea < 0.0 and eb < 0.0 and ec < 0.0)):
                    continue
                if first[i, j] < 0:
                    first[i, j] = t
                elif second[i, j] < 0:
                    second[i, j] = t


def _islands(atlas: Atlas) -> int:
    """Pieces of the layout: faces of one chart that are connected in UV."""
    label = uv_islands(atlas.vertices_faces, atlas.face_uv)
    return len(np.unique(np.stack([label, atlas.chart.astype(np.int64)]), axis=1).T)


def _problems(charts: list[ChartCheck], faces: int, missing: int, body_faces: int) -> list[str]:
    found = []
    for chart in charts:
        if chart.overlap > OVERLAP_SHARE:
            pairs = ", ".join(f"{a} and {b}" for a, b in chart.overlap_faces[:2])
            found.append(
                f"chart {chart.chart} ({chart.name}): {chart.overlap:.1%} of its texels lie in several faces, at most "
                f"{OVERLAP_SHARE:.0%} may (faces {pairs})"
            )
    bad = sum(chart.folded + chart.flat for chart in charts)
    if bad > FOLDED_SHARE * faces:
        found.append(f"{bad} of {faces} faces are folded over or without area in UV, at most {FOLDED_SHARE:.0%} may be")
    if missing > MISSING_SHARE * body_faces:
        found.append(f"{missing} of the body's {body_faces} faces are not in it, at most {MISSING_SHARE:.0%} may be")
    return found

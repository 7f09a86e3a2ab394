"""Stage 5: the 24-chart atlas: every chart flattened on its own to fill the unit square, as DensePose's are.

In: ``BodyArrays``. Out: ``ChartAtlas``: vertices split along the chart borders, with a UV per split vertex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .chart_labels import CHARTS, MIRROR_CHART, label_charts
from .conformal import conformal_map, fill_unit_square, turn_upright
from .mesh import Floats, Ints, boundary_vertices, euler_characteristic, mirrored_faces, signed_areas
from .model import BodyArrays

TORSO_CHARTS = (1, 2)  # their own mirror images
ISLAND_CHARTS = (4, 5)  # left hand and foot keep MakeHuman's layout: a glove and a sock need its cuts
ARM_CHARTS = range(15, 23)  # +v runs along x; along y on all others
LEFT_CHARTS = (1, 2, 4, 5, 8, 10, 12, 14, 15, 17, 19, 21, 24)
MIDLINE = 1e-6  # metres
GRID = 2.0**24  # u on multiples of 1/GRID: then u and 1 - u are both exact in float32, and mirroring a map is too


@dataclass(frozen=True)
class ChartAtlas:
    """C = 7907 split vertices; the faces are the body's faces in the same order."""

    chart: Ints  # (F,) 1..24
    vertices: Ints  # (C,) body vertex of each
    uv: Floats  # (C, 2) in [0, 1]
    faces: Ints  # (F, 3) into the split vertices


@dataclass(frozen=True)
class Chart:
    """One chart: its body faces (f,), its vertices (c,) with their UV, and its triangles (f, 3) into them."""

    body_faces: Ints
    vertices: Ints
    triangles: Ints
    uv: Floats


def _from_island(body: BodyArrays, chosen: Ints) -> Chart:
    """A chart that keeps MakeHuman's own layout."""
    corners, triangles = np.unique(body.corners[chosen], return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    vertices = np.empty(len(corners), np.int64)
    vertices[triangles.ravel()] = body.faces[chosen].ravel()
    return Chart(chosen, vertices, triangles, fill_unit_square(body.uv[corners]))


def _flattened(body: BodyArrays, chosen: Ints, number: int) -> Chart:
    """A chart flattened conformally, its limb's axis upright."""
    vertices, triangles = np.unique(body.faces[chosen], return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    assert euler_characteristic(triangles) == 1, f"chart {number} is not a disc"
    points = body.template_neutral[vertices]
    along = points[:, 0 if number in ARM_CHARTS else 1]
    rim = boundary_vertices(triangles)
    if number in TORSO_CHARTS:  # pins on the mirror plane make the map symmetric
        rim = rim[np.abs(points[rim, 0]) < MIDLINE]
    pins = int(rim[along[rim].argmin()]), int(rim[along[rim].argmax()])
    uv = fill_unit_square(turn_upright(conformal_map(points, triangles, pins), along))
    if number in TORSO_CHARTS:  # and the mean with the mirror image makes it exactly so
        partner = np.searchsorted(vertices, body.mirror[vertices])
        uv = fill_unit_square((uv + uv[partner] * [-1, 1] + [1, 0]) / 2)
    return Chart(chosen, vertices, triangles, uv)


def _mirrored(chart: Chart, body: BodyArrays, partner: Ints) -> Chart:
    """The chart of the other side: same layout with u reversed."""
    vertices = body.mirror[chart.vertices]
    body_faces = partner[chart.body_faces]
    triangles = np.empty_like(chart.triangles)
    for row, (face, own) in enumerate(zip(body_faces, chart.triangles, strict=True)):
        local = {int(vertices[corner]): corner for corner in own}
        triangles[row] = [local[int(vertex)] for vertex in body.faces[face]]
    return Chart(body_faces, vertices, triangles, chart.uv * [-1, 1] + [1, 0])


def _report(number: int, chart: Chart, body: BodyArrays) -> None:
    """Print the size of a chart; a folded triangle is a bug."""
    areas = signed_areas(chart.uv, chart.triangles)
    assert (areas > 0).all() or (areas < 0).all(), f"chart {number} folds over itself"
    triangles = body.template_neutral[body.faces[chart.body_faces]]
    surface = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    ratio = np.abs(areas) / surface
    low, high = np.percentile(ratio / np.average(ratio, weights=surface), [1, 99])
    print(f"  chart {number:2d}: {len(areas):4d} faces, texture density {low:.2f} to {high:.2f} of its mean")


def build_atlas(body: BodyArrays) -> ChartAtlas:
    """Label, flatten the left and middle charts, mirror the right ones, and stitch the numbering."""
    labels = label_charts(body)
    partner = mirrored_faces(body.faces, body.mirror)
    charts: dict[int, Chart] = {}
    for number in LEFT_CHARTS:
        chosen = np.flatnonzero(labels == number)
        charts[number] = _from_island(body, chosen) if number in ISLAND_CHARTS else _flattened(body, chosen, number)
        _report(number, charts[number], body)
    faces = np.zeros((len(body.faces), 3), np.int64)
    vertices, uv, offset = [], [], 0
    for number in CHARTS:
        chart = charts.get(number) or _mirrored(charts[int(MIRROR_CHART[number])], body, partner)
        faces[chart.body_faces] = chart.triangles + offset
        offset += len(chart.vertices)
        vertices.append(chart.vertices)
        uv.append(chart.uv)
    on_grid = np.round(np.concatenate(uv) * GRID) / GRID
    atlas = ChartAtlas(labels, np.concatenate(vertices), on_grid, faces)
    assert (atlas.vertices[atlas.faces] == body.faces).all()
    return atlas

"""Left-right mirrored IUV maps: what augmentation by flipping the picture needs.

In: coded IUV maps. Out: the maps of the mirrored picture of the mirrored body. On symmetric atlases that is exact
arithmetic; on others ``MirrorTables`` say where the mirror image of every (chart, U, V) lies: DensePose's own
``UV_symmetry_transforms.mat`` (``read_mirror_tables``), or computed from the body's surface (``mirror_tables``).
Called by data loading, ``partial`` and tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.mirror import POINT_SIGNS
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.atlas_symmetry import PARTNER_TOLERANCE, body_mirror, partner_corners, partner_faces
from hmrtk.toolkit.maps.chart_space import nearest_on_triangles
from hmrtk.toolkit.maps.charts import CHART_COUNT, MIRROR_CHART
from hmrtk.toolkit.maps.iuv_form import checked_iuv
from hmrtk.toolkit.maps.kernels import UV_LEVELS
from hmrtk.toolkit.maps.surface import LEVELS, SurfaceTable
from hmrtk.toolkit.records.mat_file import read_variables

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel

_TABLES_FILE = "UV_symmetry_transforms.mat"
_NEAREST_VERTICES = 6
"""Whose faces are searched for the mirror image of a point that has no partner face."""


@dataclass(frozen=True, eq=False)
class MirrorTables:
    """Where the mirror image of every coded (chart, U, V) lies.

    Attributes:
        chart, u, v: (25, 256, 256) uint8, each indexed [chart, level of V, level of U]; zeros for charts that the
            atlas does not have.
    """

    chart: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]

    def mirror(self, iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``mirror_iuv`` through these tables; U and V are rounded to levels once."""
        flipped = checked_iuv(iuv)[..., ::-1]
        at = (flipped[..., 0, :, :], flipped[..., 2, :, :], flipped[..., 1, :, :])
        return np.stack([table[at] for table in (self.chart, self.u, self.v)], axis=-3)


def mirror_iuv(iuv: NDArray[np.uint8], atlas: Atlas, tables: MirrorTables | None = None) -> NDArray[np.uint8]:
    """The IUV map of the mirrored picture of the mirrored body.

    Columns are reversed, charts swapped by ``MIRROR_CHART``, and U becomes 1 − U: exact for symmetric atlases, where a
    surface point and its mirror image have (chart, U, V) and (mirror chart, 1 − U, V); twice gives the map back, bit
    for bit. Other atlases need tables; twice through those of ``mirror_tables`` gives a surface point within a few
    millimetres, and most levels exactly (``tests/maps/test_mirror.py`` states how many).

    Args:
        iuv: (..., 3, S, S) uint8.
        atlas: the maps were rendered with it.
        tables: used instead of the arithmetic where given.

    Raises:
        InputError: an atlas without that symmetry and no tables, or as ``iuv_form.decode``.
    """
    if tables is not None:
        return tables.mirror(iuv)
    if not atlas.symmetric:
        raise InputError(
            f"atlas {atlas.name!r}",
            "is not left-right symmetric in U, so its maps cannot be mirrored",
            f"give mirror tables: mirror_tables(atlas, body), or read_mirror_tables of DensePose's {_TABLES_FILE}",
        )
    flipped = checked_iuv(iuv)[..., ::-1]
    chart = MIRROR_CHART[flipped[..., 0, :, :]]
    u = np.where(chart > 0, UV_LEVELS - flipped[..., 1, :, :], 0).astype(np.uint8)
    return np.stack([chart, u, flipped[..., 2, :, :]], axis=-3)


def read_mirror_tables(path: Path) -> MirrorTables:
    """DensePose's tables for its own atlas: ``UV_symmetry_transforms.mat`` (licence CC BY-NC 4.0).

    Args:
        path: a MATLAB 5 file with the cells ``U_transforms`` and ``V_transforms`` (1, 24); cell c − 1 holds, for chart
            c, the (256, 256) U (or V) in [0, 1] of the mirror image, at [level of V, level of U]. Its chart is
            ``MIRROR_CHART``'s.

    Raises:
        InputError: missing or unreadable file, missing cells, another number or shape, NaN, or values outside [0, 1].
    """
    raw = read_variables(path, ("U_transforms", "V_transforms"), f"expected {_TABLES_FILE} of densepose_uv_data.tar.gz")
    levels = {key: np.zeros((CHART_COUNT + 1, LEVELS, LEVELS), np.uint8) for key in raw}
    for key, cells in raw.items():
        if cells.dtype != object or cells.size != CHART_COUNT:
            raise InputError(path, f"{key}: expected {CHART_COUNT} cells, got {cells.dtype} {cells.shape}")
        for number, table in enumerate(cells.ravel(), start=1):
            levels[key][number] = _checked_table(path, f"{key}{{{number}}}", table)
    chart = np.broadcast_to(MIRROR_CHART[:, None, None], levels["U_transforms"].shape)
    return MirrorTables(np.ascontiguousarray(chart), levels["U_transforms"], levels["V_transforms"])


def _checked_table(path: Path, name: str, table: object) -> NDArray[np.uint8]:
    values = np.asarray(table)
    if values.shape != (LEVELS, LEVELS) or values.dtype.kind not in "fiu":
        raise InputError(path, f"{name}: expected numbers ({LEVELS}, {LEVELS}), got {values.dtype} {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():  # also refuses NaN
        raise InputError(path, f"{name}: has values outside [0, 1] or NaN")
    return np.floor(values * UV_LEVELS + 0.5).astype(np.uint8)


def mirror_tables(atlas: Atlas, body: BodyModel) -> MirrorTables:
    """Tables for any atlas of a body with left-right symmetric shape, from the surface itself.

    Every level (chart, U, V) is a surface point; its mirror image at the plane x = 0 of the body at rest lies on the
    mirrored face, or, where the mesh has no such face, at the nearest point of the surface. Its own (chart, U, V) is
    the entry. Levels beside a chart stand for the chart's nearest point.

    Args:
        atlas: fits the body.
        body: its template and faces are used.

    Raises:
        InputError: an atlas of another body, or a body whose shape is not symmetric.
    """
    atlas.check_body(len(body.v_template))
    template = np.asarray(body.v_template, np.float64)
    image = _FaceMirror(atlas, template, body_mirror(body.faces, template))
    image.check_symmetric(body)
    shape = (CHART_COUNT + 1, LEVELS, LEVELS)
    tables = MirrorTables(*(np.zeros(shape, np.uint8) for _ in range(3)))
    surface, uv = SurfaceTable(atlas), atlas.face_uv
    for chart in np.unique(atlas.chart).tolist():
        other, moved = image(surface.face[chart].ravel().astype(np.int64), surface.weights[chart].reshape(-1, 3))
        levels = np.floor((moved[:, :, None] * uv[other]).sum(axis=1) * UV_LEVELS + 0.5)  # (65536, 2)
        tables.chart[chart] = atlas.chart[other].reshape(shape[1:])
        for table, column in ((tables.u, 0), (tables.v, 1)):
            table[chart] = np.clip(levels[:, column], 0, UV_LEVELS).reshape(shape[1:])
    return tables


class _FaceMirror:
    """(face, weights) of surface points → those of their mirror images."""

    def __init__(self, atlas: Atlas, template: NDArray[np.float64], mirror: NDArray[np.int64]) -> None:
        self.template, self.faces = template, atlas.vertices_faces
        self.partner = partner_faces(self.faces, mirror)
        self.corner = partner_corners(self.faces, mirror, self.partner)

    def __call__(
        self, face: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        other, moved = self.partner[face], np.empty_like(weights)
        np.put_along_axis(moved, self.corner[face], weights, axis=1)
        lost = other < 0
        if lost.any():
            corners = self.template[self.faces[face[lost]]]  # (L, 3 corners, 3)
            points = (weights[lost][:, :, None] * corners).sum(axis=1) * POINT_SIGNS
            other[lost], moved[lost], _ = self._nearest(points)
        return other, moved

    def _nearest(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """The nearest surface points: face, weights and distance, searched around the nearest vertices."""
        from scipy.spatial import cKDTree

        used = np.unique(self.faces)
        starts, around = _faces_around(self.faces, len(self.template))
        _, nearest = cKDTree(self.template[used]).query(points, k=min(_NEAREST_VERTICES, len(used)))
        vertices = used[nearest.reshape(len(points), -1)]
        count = starts[vertices + 1] - starts[vertices]
        first = np.r_[0, np.cumsum(count.sum(axis=1))]
        # One candidate list per point: the faces around its vertices, one vertex after the other.
        offset = np.arange(first[-1]) - np.repeat(np.r_[0, np.cumsum(count.ravel())[:-1]], count.ravel())
        candidates = around[np.repeat(starts[vertices].ravel(), count.ravel()) + offset]
        return nearest_on_triangles(points, self.template[self.faces], first, candidates)

    def check_symmetric(self, body: BodyModel) -> None:
        """Refuse a template whose mirror image lies elsewhere than its surface."""
        used = np.unique(self.faces)
        _, _, distance = self._nearest(self.template[used] * POINT_SIGNS)
        if distance.mean() > PARTNER_TOLERANCE:
            raise InputError(
                body.place,
                f"is not left-right symmetric: mirrored, its vertices lie {1000 * distance.mean():.1f} mm "
                f"off its surface on average, expected at most {1000 * PARTNER_TOLERANCE:.0f} mm",
            )


def _faces_around(faces: NDArray[np.int32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of ``count`` vertices v the faces with it: around[starts[v]:starts[v + 1]]."""
    order = np.argsort(faces.ravel(), kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(faces.ravel(), minlength=count))]
    return starts.astype(np.int64), (order // 3).astype(np.int64)

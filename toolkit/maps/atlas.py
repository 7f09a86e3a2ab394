"""Atlases: how the body's surface is cut into charts and laid out in UV.

In: the packaged reference body's layouts, or a user's ``UV_Processed.mat`` of DensePose. Out: ``Atlas``, which the
rasteriser (``iuv``), the UV-space maps (``location``) and the networks read. Chart numbers: ``charts``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.reference import mirror_vertices, onepiece_uv_arrays, reference_atlas_arrays, reference_faces
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.maps.charts import CHART_COUNT
from hmrtk.toolkit.records.mat_file import read_variables

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel


@dataclass(frozen=True)
class Atlas:
    """A cut of the body's surface into charts. A *corner* is a body vertex as one chart sees it.

    Attributes:
        name: ``reference``, ``onepiece``, ``uv_processed``, or what its builder called it.
        corner_vertices: (C,) int32, the body vertex of each corner.
        corner_uv: (C, 2) float32, U and V in [0, 1].
        corner_faces: (F, 3) int32 indices of corners, wound outwards.
        face_index: (F,) int32, the same face in the body's own list; -1 where it was not looked up.
        chart: (F,) uint8, 1..24; always 1 in a one-piece atlas.
        symmetric: the mirrored surface point of (chart, U, V) is (mirror chart, 1 − U, V).
    """

    name: str
    corner_vertices: NDArray[np.int32]
    corner_uv: NDArray[np.float32]
    corner_faces: NDArray[np.int32]
    face_index: NDArray[np.int32]
    chart: NDArray[np.uint8]
    symmetric: bool

    @cached_property
    def vertices_faces(self) -> NDArray[np.int32]:
        """(F, 3) int32 body vertices of every face, wound outwards."""
        return np.ascontiguousarray(self.corner_vertices[self.corner_faces])

    @cached_property
    def face_uv(self) -> NDArray[np.float64]:
        """(F, 3, 2) U and V of the three corners of every face."""
        return self.corner_uv[self.corner_faces].astype(np.float64)

    @cached_property
    def flat_face_uv(self) -> NDArray[np.float64]:
        """(F, 3, 2) the mean U and V of every face, three times over: one colour per face (DaNet)."""
        return np.repeat(self.face_uv.mean(axis=1, keepdims=True), 3, axis=1)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex characters over all arrays; equal exactly when two atlases give equal maps."""
        digest = hashlib.sha256(repr((self.name, self.symmetric)).encode())
        for array in (self.corner_vertices, self.corner_uv, self.corner_faces, self.face_index, self.chart):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def with_face_index(self, face_index: NDArray[np.integer]) -> Atlas:
        """The same atlas, knowing which face of the body each of its faces is."""
        return replace(self, face_index=face_index.astype(np.int32))

    def check_body(self, vertex_count: int) -> None:
        """Refuse a body with fewer vertices than the atlas names.

        Raises:
            InputError: with both numbers.
        """
        needed = int(self.vertices_faces.max()) + 1
        if vertex_count < needed:
            raise InputError(f"atlas {self.name!r}", f"is of a body with {needed} vertices, got {vertex_count}")

    def check(self, place: object, vertex_count: int | None = None) -> None:
        """Refuse arrays that cannot be an atlas.

        Raises:
            InputError: naming ``place``, what is wrong, and the first offending entry.
        """
        corners, faces = self.corner_vertices.size, len(np.atleast_1d(self.corner_faces))
        for field, shape in (
            ("corner_vertices", (corners,)),
            ("corner_uv", (corners, 2)),
            ("corner_faces", (faces, 3)),
            ("face_index", (faces,)),
            ("chart", (faces,)),
        ):
            if getattr(self, field).shape != shape:
                raise InputError(place, f"{field}: expected shape {shape}, got {getattr(self, field).shape}")
        if not faces:
            raise InputError(place, "the atlas has no faces")
        _check_range(place, "corner_faces", self.corner_faces, 0, corners - 1)
        _check_range(place, "chart", self.chart, 1, CHART_COUNT)
        _check_range(place, "corner_uv", self.corner_uv, 0.0, 1.0)
        last = np.iinfo(np.int32).max if vertex_count is None else vertex_count - 1
        _check_range(place, "corner_vertices", self.corner_vertices, 0, last)
        self._check_corner_charts(place)

    def _check_corner_charts(self, place: object) -> None:
        """Every corner lies in one chart: only then does interpolation never mix two charts' coordinates."""
        low = np.full(len(self.corner_vertices), CHART_COUNT + 1)
        high = np.zeros(len(self.corner_vertices), int)
        charts = np.repeat(self.chart.astype(int), 3)
        np.minimum.at(low, self.corner_faces.ravel(), charts)
        np.maximum.at(high, self.corner_faces.ravel(), charts)
        mixed = high > low
        if mixed.any():
            i = int(mixed.argmax())
            raise InputError(
                place, f"corner {i} is used by charts {low[i]} and {high[i]}, expected one chart per corner"
            )


def _check_range(place: object, field: str, array: NDArray[np.generic], low: float, high: float) -> None:
    inside = (array >= low) & (array <= high)  # type: ignore[operator]  # also refuses NaN
    if not inside.all():
        index = np.unravel_index(int(np.argmin(inside)), array.shape)
        where = ", ".join(str(int(i)) for i in index)
        raise InputError(place, f"{field}[{where}] is {array[index]}, expected {low} to {high}")


@lru_cache(maxsize=1)
def reference_atlas() -> Atlas:
    """The reference body's 24 charts in DensePose's numbering, exactly left-right symmetric (packaged data)."""
    arrays = reference_atlas_arrays()
    return _symmetric_atlas(
        "reference", arrays["dp_vertices"], arrays["dp_uv"], arrays["dp_faces"], arrays["part"].astype(np.uint8)
    )


@lru_cache(maxsize=1)
def onepiece_atlas() -> Atlas:
    """The reference body's single continuous chart (number 1), symmetric in U: for UV-space maps (packaged data)."""
    arrays = onepiece_uv_arrays()
    chart = np.ones(len(arrays["ft"]), np.uint8)
    return _symmetric_atlas("onepiece", arrays["vt2v"], arrays["vt"], arrays["ft"], chart)


def _symmetric_atlas(
    name: str,
    vertices: NDArray[np.generic],
    uv: NDArray[np.generic],
    faces: NDArray[np.generic],
    chart: NDArray[np.uint8],
) -> Atlas:
    """Average a layout with its mirror image (U → 1 − U), so that symmetry holds to float32's last digit."""
    corner_vertices, corner_faces = vertices.astype(np.int32), faces.astype(np.int32)
    partner = mirror_corners(corner_vertices, corner_faces, mirror_vertices())
    # U of a corner and of its partner add up to 1 exactly: both are made from the same rounded half difference.
    half = (np.asarray(uv, np.float64)[:, 0] - np.asarray(uv, np.float64)[partner, 0]) / 2
    u = (0.5 + np.round(half * 2.0**24) / 2.0**24).astype(np.float32)
    v = ((np.asarray(uv, np.float64)[:, 1] + np.asarray(uv, np.float64)[partner, 1]) / 2).astype(np.float32)
    corner_uv = np.clip(np.stack([u, v], axis=1), 0, 1)
    index = np.arange(len(corner_faces), dtype=np.int32)
    atlas = Atlas(name, corner_vertices, corner_uv, corner_faces, index, chart, symmetric=True)
    atlas.check(f"packaged {name} atlas", len(mirror_vertices()))
    return atlas


def mirror_faces(faces: NDArray[np.integer], mirror: NDArray[np.integer]) -> NDArray[np.int64]:
    """(F,) the face that each face becomes when the body is mirrored.

    Args:
        faces: (F, 3) body vertices.
        mirror: (V,) vertex → mirrored vertex.

    Raises:
        InputError: when a mirrored face is not in the list.
    """
    wanted = face_keys(np.asarray(mirror, np.int64)[faces])
    return find_faces(face_keys(faces), wanted, "mirrored faces")


def mirror_corners(
    vertices: NDArray[np.integer], faces: NDArray[np.integer], mirror: NDArray[np.integer]
) -> NDArray[np.int64]:
    """(C,) the corner that each corner becomes when the body is mirrored (arguments as in ``Atlas``; mirror (V,))."""
    faces_vertices = np.asarray(vertices)[faces]
    partner_face = mirror_faces(faces_vertices, mirror)
    wanted = np.asarray(mirror)[faces_vertices]  # (F, 3)
    match = faces_vertices[partner_face][:, None, :] == wanted[:, :, None]  # (F, 3 own, 3 partner)
    partner = np.empty(len(vertices), np.int64)
    partner[faces] = np.take_along_axis(faces[partner_face], match.argmax(axis=2), axis=1)
    return partner


def face_keys(faces: NDArray[np.integer]) -> NDArray[np.int64]:
    """(F,) one number per face (F, 3), the same for every order of its three vertices (fewer than 2^20)."""
    ordered = np.sort(np.asarray(faces, np.int64), axis=1)
    return ordered[:, 0] << 40 | ordered[:, 1] << 20 | ordered[:, 2]


def find_faces(keys: NDArray[np.int64], wanted: NDArray[np.int64], place: object) -> NDArray[np.int64]:
    """(W,) where each wanted key is among ``keys`` (K,), both from ``face_keys``.

    Raises:
        InputError: naming ``place``, when some are not there.
    """
    order = np.argsort(keys, kind="stable")
    found = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    missing = keys[found] != wanted
    if missing.any():
        raise InputError(place, f"{int(missing.sum())} of {len(wanted)} faces are not faces of the body")
    return found


def read_uv_processed_mat(path: Path, faces: NDArray[np.integer] | None = None) -> Atlas:
    """DensePose's own atlas of SMPL: ``UV_Processed.mat`` (13 774 faces, 7829 corners; licence CC BY-NC 4.0).

    Args:
        path: the file from DensePose's ``densepose_uv_data.tar.gz``.
        faces: (F, 3) faces of the body it belongs to; fills ``face_index`` and proves that they fit.

    Raises:
        InputError: missing file, no MATLAB file, missing variable, wrong shape or range, or other faces.
    """
    names = ("All_FaceIndices", "All_Faces", "All_vertices", "All_U_norm", "All_V_norm")
    raw = read_variables(path, names, "expected UV_Processed.mat of densepose_uv_data.tar.gz")
    corners, count = raw["All_vertices"].size, raw["All_FaceIndices"].size
    for key, size in (("All_U_norm", corners), ("All_V_norm", corners), ("All_Faces", 3 * count)):
        if raw[key].size != size:
            raise InputError(path, f"{key}: expected {size} values, got {raw[key].size}")
    corner_vertices = raw["All_vertices"].ravel().astype(np.int32) - 1  # MATLAB counts from 1
    corner_faces = raw["All_Faces"].reshape(-1, 3).astype(np.int32) - 1
    corner_uv = np.stack([raw["All_U_norm"].ravel(), raw["All_V_norm"].ravel()], axis=1).astype(np.float32)
    unknown = np.full(count, -1, np.int32)
    chart = raw["All_FaceIndices"].ravel().astype(np.uint8)
    atlas = Atlas("uv_processed", corner_vertices, corner_uv, corner_faces, unknown, chart, symmetric=False)
    atlas.check(path, None if faces is None else int(np.max(faces)) + 1)
    if faces is None:
        return atlas
    return atlas.with_face_index(find_faces(face_keys(faces), face_keys(atlas.vertices_faces), path))


def atlas_for_body(body: BodyModel) -> Atlas:
    """The 24-chart atlas that fits ``body``: the packaged one when it has the reference body's faces (SMPL's own
    topology does not), else ``UV_Processed.mat`` in the folder of the body's file.

    Raises:
        InputError: when neither is there, or the file does not fit the body.
    """
    if np.array_equal(body.faces, reference_faces()):
        return reference_atlas()
    beside = Path(str(body.place)).parent / "UV_Processed.mat"
    if beside.is_file():
        return read_uv_processed_mat(beside, body.faces)
    raise InputError(body.place, "has no 24-chart atlas", f"put DensePose's UV_Processed.mat at {beside}")

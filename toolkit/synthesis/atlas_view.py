"""What the pictures of an atlas are painted from: the body from two sides, and the squares of its charts.

In: an ``Atlas`` and its body. Out: ``Fragments``: for every fine pixel the face, its weights, the light, and whether it
lies on a seam; ``Fragments.paint`` turns colours into a picture. Called by ``atlas_picture``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.normals import vertex_normals
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.maps.atlas import Atlas
from hmrtk.toolkit.maps.atlas_seams import Seams
from hmrtk.toolkit.maps.chart_space import ChartSpace
from hmrtk.toolkit.maps.raster import barycentric, rasterize

FINE = 3
"""Fine pixels per pixel, each way."""

_DISTANCE_M = 1000.0
"""Depth added so that perspective-correct interpolation becomes the orthographic one."""
_MARGIN = 0.04
_SEAM = np.array([30, 30, 36], np.float64)
_SEAM_SAMPLES = 24
_LIGHT = np.array([-0.35, -0.5, -0.79])  # towards the light, in the camera frame
_AMBIENT = 0.62
_LOWERED = {1: 0.1, 2: -0.1, 16: -0.85, 17: 0.85}
"""SMPL joint → radians about z: legs a little apart, arms halfway down, so that the body fills its picture."""


@dataclass(frozen=True)
class Fragments:
    """A picture before it has colours, ``FINE`` times as high and wide.

    Attributes:
        face: (H, W) int64 face of the atlas, −1 outside.
        weights: (H, W, 3) float64 of the face's corners.
        light: (H, W) float64 brightness, about 1.
        seam: (H, W) bool, lines to draw.
    """

    face: NDArray[np.int64]
    weights: NDArray[np.float64]
    light: NDArray[np.float64]
    seam: NDArray[np.bool_]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool, on the surface."""
        return self.face >= 0

    def uv(self, atlas: Atlas) -> NDArray[np.float64]:
        """(H, W, 2) U and V; zeros outside."""
        return (self.weights[..., None] * atlas.face_uv[self.face]).sum(axis=2)

    def labels(self, of_corner: NDArray[np.integer]) -> NDArray[np.int64]:
        """(H, W) the label with the greatest weight among the three corners; ``of_corner`` (F, 3); −1 outside."""
        own = np.asarray(of_corner, np.int64)[self.face]  # (H, W, 3)
        score = (self.weights[..., None, :] * (own[..., None, :] == own[..., :, None])).sum(axis=-1)
        best = np.take_along_axis(own, score.argmax(axis=-1)[..., None], axis=-1)[..., 0]
        return np.where(self.mask, best, -1)

    def paint(self, colours: NDArray[np.floating], paper: tuple[int, int, int] = (255, 255, 255)) -> NDArray[np.uint8]:
        """Lay colours (H, W, 3), 0..255, on paper, light and seams added → (H / FINE, W / FINE, 3) uint8."""
        lit = np.clip(np.asarray(colours, np.float64) * self.light[..., None], 0, 255)
        lit = np.where(self.mask[..., None], lit, np.array(paper, np.float64))
        lit = np.where(self.seam[..., None], _SEAM, lit)
        height, width = (side // FINE for side in self.face.shape)
        mean = lit.reshape(height, FINE, width, FINE, 3).mean(axis=(1, 3))
        return np.round(mean).astype(np.uint8)


def body_fragments(body: BodyModel, atlas: Atlas, seams: Seams, width: int, back: bool = False) -> Fragments:
    """The mean body with lowered arms, orthographic, from the front or the back, ``width`` px wide."""
    pose = np.zeros((1, 23, 3), np.float32)
    for joint, angle in _LOWERED.items():
        pose[0, joint - 1, 2] = angle
    posed = body.pose(BodyParameters.zeros(1).replaced(body_pose=pose))
    points = posed.vertices[0].astype(np.float64) * [1, -1, -1]
    points = points - (points.min(axis=0) + points.max(axis=0)) / 2
    if back:
        points = points * [-1, 1, -1]
    span = np.ptp(points, axis=0)
    fine = width * FINE
    scale = fine * (1 - 2 * _MARGIN) / span[0]
    height = FINE * int(np.ceil((span[1] * scale + 2 * _MARGIN * fine) / FINE))
    placed = points * [scale, scale, 1] + [fine / 2, height / 2, _DISTANCE_M]
    face = rasterize(placed, atlas.vertices_faces, (height, fine)).astype(np.int64)
    weights = barycentric(placed, atlas.vertices_faces, face.astype(np.int32))
    normals = vertex_normals(points.astype(np.float32), body.faces)[atlas.vertices_faces[face]]
    normal = (weights[..., None] * normals).sum(axis=2)
    facing = np.clip((normal * _LIGHT).sum(axis=-1) / np.linalg.norm(_LIGHT), 0, 1)
    light = _AMBIENT + (1.08 - _AMBIENT) * facing
    return Fragments(face, weights, light, _visible_seams(atlas, seams.cuts, placed, face))


def _visible_seams(
    atlas: Atlas, cuts: NDArray[np.int64], placed: NDArray[np.float64], face: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(H, W) fine pixels on cut edges, where the face that is seen has an end of the edge."""
    share = (np.arange(_SEAM_SAMPLES) + 0.5) / _SEAM_SAMPLES
    ends = placed[cuts][..., :2]  # (E, 2, 2)
    at = ends[:, :1] + share[:, None] * (ends[:, 1:] - ends[:, :1])  # (E, samples, 2)
    col = np.clip(at[..., 0].astype(int), 0, face.shape[1] - 1)
    row = np.clip(at[..., 1].astype(int), 0, face.shape[0] - 1)
    seen = face[row, col]  # (E, samples)
    own = atlas.vertices_faces[seen][..., None] == cuts[:, None, None, :]
    visible = (seen >= 0) & own.any(axis=(-1, -2))
    seam = np.zeros(face.shape, bool)
    seam[row[visible], col[visible]] = True
    return _thick(seam)


def chart_fragments(atlas: Atlas, seams: Seams, chart: int, size: int) -> Fragments:
    """The unit square of a chart, ``size`` px wide; U runs to the right and V down, as in the maps."""
    fine = size * FINE
    space = ChartSpace(atlas, chart, fine)
    seam = np.zeros(space.face.shape, bool)
    corners = space.texel[:, :2]
    outlines = seams.outlines
    of_chart = np.zeros(len(corners), bool)
    of_chart[atlas.corner_faces[space.faces]] = True
    for a, b in corners[outlines[of_chart[outlines].all(axis=1)]]:
        steps = int(np.ceil(np.abs(b - a).max())) + 1
        col, row = np.clip(np.linspace(a, b, 2 * steps).T.astype(int), 0, fine - 1)
        seam[row, col] = True
    return Fragments(space.face, space.weights, np.ones(space.face.shape), _thick(seam))


def _thick(seam: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Lines grown to one whole pixel."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(seam, np.ones((FINE, FINE), bool))

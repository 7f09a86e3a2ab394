"""Cameras as the rasteriser wants them: one 2x3 matrix and one translation per body. Called by ``iuv`` and ``shards``.

Every camera of hmrtk is x_px = M[:, :2] · (X/Z, Y/Z) + M[:, 2] after adding a translation: the pinhole and any affine
picture transform that follows it (crop, region) multiply into M. Frames and pixel centres as stated in
``hmrtk.toolkit.geometry``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import CROP_SIZE, FOCAL_LENGTH, crop_camera_translation
from hmrtk.toolkit.maps.kernels import project_bodies
from hmrtk.toolkit.maps.slices import over_slices


@dataclass(frozen=True)
class Projection:
    """One camera per body.

    Attributes:
        matrix: (N, 2, 3) float64, (X/Z, Y/Z, 1) → px of the picture.
        translation: (N, 3) float64 metres, added to the vertices first.
    """

    matrix: NDArray[np.float64]
    translation: NDArray[np.float64]

    @classmethod
    def crop(cls, crop_camera: ArrayLike, size: int = CROP_SIZE) -> Projection:
        """The crop camera (s, tx, ty): t = (tx, ty, 2·5000/(224·s)), focal 5000, principal point 112 (DaNet, PyMAF).

        Args:
            crop_camera: (N, 3).
            size: px of the picture that shows the crop; 224-px-frame coordinates are scaled by size / 224.

        Raises:
            InputError: wrong shape, or a scale that is not positive.
        """
        camera = np.asarray(crop_camera, np.float64)
        if camera.ndim != 2 or camera.shape[1] != 3:
            raise InputError("crop_camera", f"expected shape (N, 3), got {camera.shape}")
        bad = ~(camera[:, 0] > 0)
        if bad.any():
            row = int(bad.argmax())
            raise InputError(f"crop_camera row {row}", f"scale is {camera[row, 0]}, expected a positive number")
        zoom = size / CROP_SIZE
        rows = np.array([[FOCAL_LENGTH, 0, CROP_SIZE / 2], [0, FOCAL_LENGTH, CROP_SIZE / 2]]) * zoom
        return cls(np.tile(rows, (len(camera), 1, 1)), np.asarray(crop_camera_translation(camera), np.float64))

    @classmethod
    def perspective(cls, focal: ArrayLike, principal: ArrayLike, affine: ArrayLike | None = None) -> Projection:
        """A full-image camera, followed by an affine transform onto the picture (a region or a crop of the image).

        Args:
            focal: (N, 2) px.
            principal: (N, 2) px.
            affine: (N, 2, 3) or (2, 3), full-image px → picture px; default: the image itself.

        Raises:
            InputError: shapes that do not belong together.
        """
        lengths, centre = np.asarray(focal, np.float64), np.asarray(principal, np.float64)
        if lengths.ndim != 2 or lengths.shape[1] != 2 or lengths.shape != centre.shape:
            raise InputError("camera", f"expected focal and principal (N, 2), got {lengths.shape} and {centre.shape}")
        pinhole = np.zeros((len(lengths), 3, 3))
        pinhole[:, 0, 0], pinhole[:, 1, 1], pinhole[:, 2, 2] = lengths[:, 0], lengths[:, 1], 1
        pinhole[:, :2, 2] = centre
        after = np.eye(3)[:2] if affine is None else np.asarray(affine, np.float64)
        if after.shape not in ((2, 3), (len(lengths), 2, 3)):
            raise InputError("affine", f"expected shape (2, 3) or ({len(lengths)}, 2, 3), got {after.shape}")
        return cls(after @ pinhole, np.zeros((len(lengths), 3)))

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, rows: slice) -> Projection:
        """The cameras of some bodies."""
        return Projection(self.matrix[rows], self.translation[rows])


def project(vertices: NDArray[np.floating], projection: Projection, threads: int | None = None) -> NDArray[np.float64]:
    """Project bodies.

    Args:
        vertices: (N, V, 3) metres.
        projection: N cameras.
        threads: default: all cores this process may use.

    Returns:
        (N, V, 3) float64: x px, y px, z metres; not meaningful where z ≤ 0 (the rasteriser drops those faces).

    Raises:
        InputError: another number of bodies than of cameras.
    """
    bodies = checked_vertices(vertices, projection)
    points = np.empty(bodies.shape)
    matrix, translation = projection.matrix, projection.translation
    over_slices(lambda a, b: project_bodies(bodies, matrix, translation, points, a, b), len(bodies), threads)
    return points


def checked_vertices(vertices: NDArray[np.floating], projection: Projection) -> NDArray[np.floating]:
    """``vertices``, refused unless (N, V, 3) with one camera each."""
    if vertices.ndim != 3 or vertices.shape[2] != 3 or len(vertices) != len(projection):
        raise InputError("vertices", f"expected shape ({len(projection)}, V, 3), got {vertices.shape}")
    return np.ascontiguousarray(vertices)


def project_vertices(vertices: NDArray[np.floating], crop_camera: ArrayLike, size: int) -> NDArray[np.float64]:
    """``project`` through the crop camera: (N, V, 3) metres and (N, 3) → (N, V, 3) px of a ``size`` px crop."""
    return project(vertices, Projection.crop(crop_camera, size))


def project_camera_vertices(
    vertices_cam: NDArray[np.floating], focal: ArrayLike, principal: ArrayLike, affine: ArrayLike | None = None
) -> NDArray[np.float64]:
    """``project`` of camera-frame vertices (N, V, 3) through a full-image camera, as in ``Projection.perspective``."""
    return project(vertices_cam, Projection.perspective(focal, principal, affine))

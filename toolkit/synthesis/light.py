"""The light on one scene: the panorama's irradiance, its key light, and the shadow that the body casts.

In: a panorama, the camera's rotation into it, the posed body. Out: ``Light``, read by the pixel kernels of ``person``
and ``backdrop``. The key light's shadow comes from a depth map of the body seen from the light.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.maps.kernels import faces_of_body
from hmrtk.toolkit.synthesis.panorama import Panorama

_MAP_PX = 176
_DISTANCE_RADII = 8.0
"""How far from the body the depth map's plane lies, in radii of the body: far, so that 1/z is nearly linear in z."""
_BIAS_M = 0.014


Triple = tuple[float, float, float]


class Light(NamedTuple):
    """Radiances are relative to the panorama's; directions in the camera frame.

    ``key``: radiance of a white surface facing the key light. ``direction``: towards it. ``nearest``: (S, S) 1/depth
    (1/m) of the body seen from it, 0 where it sees none. ``right``, ``down``: the axes of that view. Triples are plain
    tuples: arrays would cost the kernels a reference count per pixel.
    """

    key: Triple
    direction: Triple
    nearest: NDArray[np.float64]
    right: Triple
    down: Triple
    centre: Triple
    scale: float
    distance: float


def ambient_at(
    normals: NDArray[np.float32], panorama: Panorama, to_panorama: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(V, 3) irradiance / π on surfaces facing ``normals`` (V, 3), camera frame; never below 5 % of the mean."""
    return _ambient(normals, to_panorama, panorama.irradiance)


@njit(cache=True, nogil=True)
def _ambient(normals, rotation, irradiance):  # type: ignore[no-untyped-def]
    # compiled rather than matrix products: BLAS may sum in another order with another number of threads
    ambient = np.empty((normals.shape[0], 3), np.float32)
    basis = np.empty(9)
    for v in range(normals.shape[0]):
        nx, ny, nz = normals[v, 0], normals[v, 1], normals[v, 2]
        x = rotation[0, 0] * nx + rotation[0, 1] * ny + rotation[0, 2] * nz
        y = rotation[1, 0] * nx + rotation[1, 1] * ny + rotation[1, 2] * nz
        z = rotation[2, 0] * nx + rotation[2, 1] * ny + rotation[2, 2] * nz
        basis[0], basis[1], basis[2], basis[3] = 0.282095, 0.488603 * y, 0.488603 * z, 0.488603 * x
        basis[4], basis[5], basis[7] = 1.092548 * x * y, 1.092548 * y * z, 1.092548 * x * z
        basis[6], basis[8] = 0.315392 * (3.0 * z * z - 1.0), 0.546274 * (x * x - y * y)
        for c in range(3):
            total = 0.0
            for k in range(9):
                total += basis[k] * irradiance[k, c]
            ambient[v, c] = max(total, 0.05 * basis[0] * irradiance[0, c])
    return ambient


def scene_light(
    panorama: Panorama,
    to_panorama: NDArray[np.float64],
    key_gain: float,
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
) -> Light:
    """The key light of a place, turned into the camera frame, with the body's shadow map.

    Args:
        panorama: the place.
        to_panorama: (3, 3) rotation from the camera frame to the panorama's.
        key_gain: strength of the key light, seeded by the caller.
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3).
    """
    direction = to_panorama.T @ panorama.key_direction
    right = np.cross([0.0, 0.0, 1.0] if abs(direction[2]) < 0.9 else [0.0, 1.0, 0.0], direction)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(right, direction)])
    points = np.asarray(vertices, np.float64)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    relative = points - centre
    radius = float(np.sqrt((relative**2).sum(axis=1).max())) * 1.02 + 1e-3
    scale, distance = _MAP_PX / (2 * radius), _DISTANCE_RADII * radius
    seen = np.empty_like(relative)
    for column in range(2):
        seen[:, column] = (relative * axes[column]).sum(axis=1) * scale + _MAP_PX / 2
    seen[:, 2] = distance - (relative * direction).sum(axis=1)
    face_id = np.empty((_MAP_PX, _MAP_PX), np.int32)
    nearest = np.empty((_MAP_PX, _MAP_PX))
    faces_of_body(seen, faces, face_id, nearest)
    key = key_gain * (0.35 + panorama.key_strength) * panorama.key_colour
    return Light(
        _triple(key), _triple(direction), nearest, _triple(axes[0]), _triple(axes[1]), _triple(centre), scale, distance
    )


def _triple(values: NDArray[np.floating]) -> Triple:
    x, y, z = (float(value) for value in values)
    return x, y, z


@njit(cache=True, nogil=True)
def lit_share(x, y, z, light):  # type: ignore[no-untyped-def]
    """Share (0..1) of the key light that reaches a point of the camera frame: four texels, bilinear."""
    x, y, z = x - light.centre[0], y - light.centre[1], z - light.centre[2]
    right, below, direction, size = light.right, light.down, light.direction, light.nearest.shape[0]
    across = (x * right[0] + y * right[1] + z * right[2]) * light.scale + size / 2 - 0.5
    down = (x * below[0] + y * below[1] + z * below[2]) * light.scale + size / 2 - 0.5
    if not (0.0 <= across < size - 1.0 and 0.0 <= down < size - 1.0):
        return 1.0
    depth = light.distance - (x * direction[0] + y * direction[1] + z * direction[2]) - _BIAS_M
    column, row = int(across), int(down)
    u, v = across - column, down - row
    share = 0.0
    for i in range(2):
        for j in range(2):
            if light.nearest[row + i, column + j] * depth <= 1.0:
                share += (v if i else 1.0 - v) * (u if j else 1.0 - u)
    return share

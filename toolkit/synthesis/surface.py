"""What shading needs to know of a posed surface beside its normals: how much of the sky each vertex sees.

In: posed vertices and faces. Out: per-vertex arrays for the pixel kernels. Called by ``scene`` and ``figure``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

OPENNESS_DIRECTIONS = 48
_GRID = 72
_CLEARANCE_M = 0.035
"""A surface this close behind the frontmost one in its grid cell still counts as seen: cells are about 3 cm wide."""


def sphere_directions(count: int) -> NDArray[np.float32]:
    """(count, 3) unit vectors spread evenly over the sphere (Fibonacci spiral)."""
    index = np.arange(count)
    z = 1.0 - (2.0 * index + 1.0) / count
    angle = index * (np.pi * (3.0 - np.sqrt(5.0)))
    radius = np.sqrt(1.0 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1).astype(np.float32)


def vertex_openness(
    vertices: NDArray[np.float32],
    normals: NDArray[np.float32],
    faces: NDArray[np.int32],
    count: int = OPENNESS_DIRECTIONS,
) -> NDArray[np.float32]:
    """Ambient occlusion: the cosine-weighted share of each vertex's hemisphere that the body itself leaves open.

    Args:
        vertices, normals: (V, 3) float32; metres.
        faces: (F, 3), used to smooth the result by one ring.
        count: directions sampled; each costs one coarse orthographic depth map.

    Returns:
        (V,) float32 in [0, 1]; 1 where nothing of the body is in the way.
    """
    return _smoothed(_openness(vertices, normals, sphere_directions(count)), faces)


@njit(cache=True, nogil=True)
def _openness(vertices, normals, directions):  # type: ignore[no-untyped-def]
    count = vertices.shape[0]
    seen, total = np.zeros(count, np.float32), np.zeros(count, np.float32)
    cell = np.empty(count, np.int32)
    depth = np.empty(count, np.float32)
    front = np.empty(_GRID * _GRID, np.float32)
    centre, radius = _bounding_sphere(vertices)
    scale = (_GRID - 1) / (2.0 * radius)
    for d in range(directions.shape[0]):
        dx, dy, dz = directions[d, 0], directions[d, 1], directions[d, 2]
        # an orthonormal frame around the direction (Duff et al., "Building an Orthonormal Basis, Revisited", JCGT 2017)
        sign = np.float32(1.0) if dz >= 0.0 else np.float32(-1.0)
        a = -1.0 / (sign + dz)
        b = dx * dy * a
        ux, uy, uz = 1.0 + sign * dx * dx * a, sign * b, -sign * dx
        wx, wy, wz = b, sign + dy * dy * a, -dy
        front[:] = -1e9
        for v in range(count):
            px, py, pz = vertices[v, 0] - centre[0], vertices[v, 1] - centre[1], vertices[v, 2] - centre[2]
            column = int((px * ux + py * uy + pz * uz + radius) * scale + 0.5)
            row = int((px * wx + py * wy + pz * wz + radius) * scale + 0.5)
            cell[v] = row * _GRID + column
            depth[v] = px * dx + py * dy + pz * dz
            if depth[v] > front[cell[v]]:
                front[cell[v]] = depth[v]
        for v in range(count):
            cosine = normals[v, 0] * dx + normals[v, 1] * dy + normals[v, 2] * dz
            if cosine > 0.05:
                total[v] += cosine
                slope = min(3.0, np.sqrt(1.0 - min(1.0, cosine * cosine)) / cosine)
                if depth[v] + _CLEARANCE_M + 0.7 * slope / scale >= front[cell[v]]:
                    seen[v] += cosine
    for v in range(count):
        seen[v] = seen[v] / total[v] if total[v] > 0.0 else 1.0
    return seen


@njit(cache=True, nogil=True)
def _bounding_sphere(vertices):  # type: ignore[no-untyped-def]
    low, high = np.full(3, 1e9), np.full(3, -1e9)
    for v in range(vertices.shape[0]):
        for k in range(3):
            low[k] = min(low[k], vertices[v, k])
            high[k] = max(high[k], vertices[v, k])
    centre = 0.5 * (low + high)
    radius = 0.0
    for v in range(vertices.shape[0]):
        square = 0.0
        for k in range(3):
            square += (vertices[v, k] - centre[k]) ** 2
        radius = max(radius, square)
    return centre, np.sqrt(radius) * 1.001 + 1e-6


@njit(cache=True, nogil=True)
def _smoothed(values, faces):  # type: ignore[no-untyped-def]
    """Each vertex's value averaged with those of the faces around it."""
    total = values.copy()
    weight = np.ones(values.shape[0], np.float32)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        mean = (values[a] + values[b] + values[c]) / np.float32(3.0)
        for v in (a, b, c):
            total[v] += mean
            weight[v] += np.float32(1.0)
    return total / weight

"""``vertex_normals``: where the surface of a mesh faces, per vertex.

In: vertices and faces. Out: unit vectors. Called for shading by ``synthesis`` and for meshes as files by ``mesh_file``.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def vertex_normals(vertices, faces):  # type: ignore[no-untyped-def]
    """(V, 3) float32 unit normals, outward where the faces wind counter-clockwise seen from outside; area weighted.

    A vertex of no face, or of faces without area, gets (0, 0, -1): towards the camera.
    """
    normals = np.zeros((vertices.shape[0], 3), np.float32)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        wx, wy, wz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(vertices.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0.0:
            for k in range(3):
                normals[v, k] /= length
        else:
            normals[v, 2] = -1.0
    return normals

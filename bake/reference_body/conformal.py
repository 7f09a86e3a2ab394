"""Least-squares conformal maps of a disc (Lévy, Petitjean, Ray and Maillot, SIGGRAPH 2002, §2.4).

The boundary is free; two pinned vertices fix position, rotation and scale. Called by ``charts``.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve

from .mesh import Floats, Ints, face_cross


def local_coordinates(vertices: Floats, faces: Ints) -> tuple[Floats, Floats]:
    """Each triangle laid in its own plane, (F, 3, 2) metres, first side along x; and twice its area (F,)."""
    side, other = vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
    length = np.linalg.norm(side, axis=1)
    normal = face_cross(vertices, faces)
    double_area = np.linalg.norm(normal, axis=1)
    along = side / length[:, None]
    across = np.cross(normal / double_area[:, None], along)
    flat = np.zeros((len(faces), 3, 2))
    flat[:, 1, 0] = length
    flat[:, 2, 0], flat[:, 2, 1] = (other * along).sum(1), (other * across).sum(1)
    return flat, double_area


def conformal_map(vertices: Floats, faces: Ints, pins: tuple[int, int]) -> Floats:
    """Flatten a disc.

    Args:
        vertices: (V, 3) metres. faces: (F, 3). pins: two vertices, mapped to (0, 0) and (their distance, 0).

    Returns:
        (V, 2) metres.
    """
    count = len(vertices)
    flat, double_area = local_coordinates(vertices, faces)
    opposite: NDArray[np.complex128] = (flat[:, [2, 0, 1]] - flat[:, [1, 2, 0]]) @ np.array([1, 1j])
    opposite /= np.sqrt(double_area)[:, None]
    rows = np.repeat(np.arange(len(faces)), 3)
    system = sp.coo_matrix((opposite.reshape(-1), (rows, faces.reshape(-1))), (len(faces), count)).tocsr()
    mapped = np.zeros(count, complex)
    mapped[pins[1]] = np.linalg.norm(vertices[pins[0]] - vertices[pins[1]])
    free = np.setdiff1d(np.arange(count), pins)
    right = -system[:, list(pins)] @ mapped[list(pins)]
    unknown = system[:, free]
    real = sp.vstack([sp.hstack([unknown.real, -unknown.imag]), sp.hstack([unknown.imag, unknown.real])]).tocsc()
    solution = spsolve((real.T @ real).tocsc(), real.T @ np.r_[right.real, right.imag])
    mapped[free] = solution[: len(free)] + 1j * solution[len(free) :]
    return np.c_[mapped.real, mapped.imag]


def turn_upright(uv: Floats, height: Floats) -> Floats:
    """Rotate (V, 2) so that ``height`` (V,) grows along +v."""
    gradient = np.linalg.lstsq(np.c_[uv, np.ones(len(uv))], height, rcond=None)[0][:2]
    angle = np.arctan2(gradient[0], gradient[1])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return uv @ rotation.T


def fill_unit_square(uv: Floats) -> Floats:
    """Shift and stretch each axis to [0, 1]."""
    uv = uv - uv.min(0)
    return uv / uv.max(0)

"""The numba kernels of this folder: sums over vertices in float64, in a fixed order, without the GIL.

They are serial on purpose: ``features.each_slice`` runs them in threads beside single-threaded BLAS, because two thread
pools that take turns cost more than either saves.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def weighted_offsets(vertices, weights, origin, out):  # type: ignore[no-untyped-def]
    """out (n, 3V) = vertices (n, V, 3) ∘ weights (V,) − origin (3V,); all float64 but the float32 vertices."""
    for n in range(vertices.shape[0]):
        row = out[n]
        for v in range(vertices.shape[1]):
            weight = weights[v]
            row[3 * v] = np.float64(vertices[n, v, 0]) * weight - origin[3 * v]
            row[3 * v + 1] = np.float64(vertices[n, v, 1]) * weight - origin[3 * v + 1]
            row[3 * v + 2] = np.float64(vertices[n, v, 2]) * weight - origin[3 * v + 2]


@njit(cache=True, nogil=True)
def weighted_square(a, b, squares):  # type: ignore[no-untyped-def]
    """γ of Algorithm 1: ‖(a − b) ∘ W‖² of two float32 meshes (V, 3), given the squared weights (V,)."""
    x, y, z = 0.0, 0.0, 0.0
    for v in range(a.shape[0]):
        dx = np.float64(a[v, 0]) - np.float64(b[v, 0])
        dy = np.float64(a[v, 1]) - np.float64(b[v, 1])
        dz = np.float64(a[v, 2]) - np.float64(b[v, 2])
        x += dx * dx * squares[v]
        y += dy * dy * squares[v]
        z += dz * dz * squares[v]
    return x + y + z


@njit(cache=True, nogil=True)
def mean_length(a, b):  # type: ignore[no-untyped-def]
    """Mean over vertices of the Euclidean distance between two float32 meshes (V, 3), metres."""
    total = 0.0
    for v in range(a.shape[0]):
        dx = np.float64(a[v, 0]) - np.float64(b[v, 0])
        dy = np.float64(a[v, 1]) - np.float64(b[v, 1])
        dz = np.float64(a[v, 2]) - np.float64(b[v, 2])
        total += np.sqrt(dx * dx + dy * dy + dz * dz)
    return total / a.shape[0]


@njit(cache=True, nogil=True)
def nearest_among(vertices, centres, squares, candidates, label, distance):  # type: ignore[no-untyped-def]
    """For each body the nearest candidate centre in full; ties go to the lowest index.

    vertices (n, V, 3), centres (K, V, 3) float32; squares (V,) float64; candidates (n, K) bool, at least one per row;
    writes label (n,) and γ (n,) float64.
    """
    for n in range(vertices.shape[0]):
        best = np.inf
        for k in range(centres.shape[0]):
            if candidates[n, k]:
                gamma = weighted_square(vertices[n], centres[k], squares)
                if gamma < best:
                    best = gamma
                    label[n] = k
        distance[n] = best


@njit(cache=True, nogil=True)
def label_distances(vertices, centres, singular, squares, label, out):  # type: ignore[no-untyped-def]
    """out (n, 3): metres to the assigned centre, metres to the singular prototype, γ to the assigned centre."""
    for n in range(vertices.shape[0]):
        centre = centres[label[n]]
        out[n, 0] = mean_length(vertices[n], centre)
        out[n, 1] = mean_length(vertices[n], singular)
        out[n, 2] = weighted_square(vertices[n], centre, squares)


@njit(cache=True, nogil=True)
def nearest_vectors(points, centres, label, distance):  # type: ignore[no-untyped-def]
    """Nearest of centres (K, D) for each of points (n, D), squared Euclidean, float64; ties go to the lowest index."""
    for n in range(points.shape[0]):
        best = np.inf
        for k in range(centres.shape[0]):
            square = 0.0
            for d in range(points.shape[1]):
                difference = np.float64(points[n, d]) - np.float64(centres[k, d])
                square += difference * difference
            if square < best:
                best = square
                label[n] = k
        distance[n] = best

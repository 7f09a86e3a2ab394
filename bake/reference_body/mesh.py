"""Index arithmetic on triangle meshes: edges, components, neighbourhood averages, normals, mirrored faces.

Vertices are (V, 3) float64 metres, faces (F, 3) int indices. Used by every later stage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def directed_edges(faces: NDArray[Any]) -> Ints:
    """(F·K, 2) edges of (F, K) polygons, each in its polygon's own direction."""
    corners = faces.shape[1]
    return np.concatenate([faces[:, [k, (k + 1) % corners]] for k in range(corners)])


def undirected_edges(faces: NDArray[Any]) -> tuple[Ints, Ints]:
    """Unique edges (E, 2), low index first, and how many polygons use each (E,)."""
    edges, counts = np.unique(np.sort(directed_edges(faces), 1), axis=0, return_counts=True)
    return edges, counts


def boundary_vertices(faces: NDArray[Any]) -> Ints:
    """Vertices on edges that belong to one face only."""
    edges, counts = undirected_edges(faces)
    return np.unique(edges[counts == 1])


def euler_characteristic(faces: NDArray[Any]) -> int:
    """V - E + F over the used vertices: 2 for a closed genus-0 surface, 1 for a disc."""
    edges, _ = undirected_edges(faces)
    return len(np.unique(faces)) - len(edges) + len(faces)


def face_islands(faces: NDArray[Any], vertex_count: int) -> Ints:
    """Connected component of each face, (F,)."""
    edges = directed_edges(faces)
    graph = sp.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (vertex_count, vertex_count))
    _, component = connected_components(graph, directed=False)
    return component[faces[:, 0]].astype(np.int64)


def faces_by_edge(faces: NDArray[Any]) -> dict[tuple[int, int], list[int]]:
    """Faces at each undirected edge, in face order."""
    at_edge: dict[tuple[int, int], list[int]] = {}
    for face, triangle in enumerate(faces.tolist()):
        for k in range(3):
            a, b = triangle[k], triangle[(k + 1) % 3]
            at_edge.setdefault((min(a, b), max(a, b)), []).append(face)
    return at_edge


def neighbour_average(faces: NDArray[Any], vertex_count: int) -> sp.csr_matrix:
    """(V, V) matrix whose row is the plain average over the one-ring (the umbrella operator without the centre)."""
    edges = directed_edges(faces)
    both = np.concatenate([edges, edges[:, ::-1]])
    adjacency = sp.coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), (vertex_count, vertex_count)).tocsr()
    adjacency.data[:] = 1
    average = sp.csr_matrix(sp.diags(1 / np.asarray(adjacency.sum(1)).ravel()) @ adjacency)
    average.sort_indices()
    return average


def face_cross(vertices: NDArray[Any], faces: NDArray[Any]) -> Floats:
    """(F, 3) cross product of two sides: the normal with twice the area as its length."""
    origin = vertices[faces[:, 0]]
    return np.cross(vertices[faces[:, 1]] - origin, vertices[faces[:, 2]] - origin)


def cross2(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """z of the cross product of (..., 2) vectors (NumPy's own 2-D form is deprecated)."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def signed_areas(uv: NDArray[Any], faces: NDArray[Any]) -> Floats:
    """(F,) signed areas of triangles in the plane, positive when counter-clockwise."""
    origin = uv[faces[:, 0]]
    return cross2(uv[faces[:, 1]] - origin, uv[faces[:, 2]] - origin) / 2


def vertex_normals(vertices: Floats, faces: NDArray[Any]) -> Floats:
    """(V, 3) unit normals, area-weighted."""
    normals_of_faces = face_cross(vertices, faces)
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], normals_of_faces)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def mirrored_faces(faces: NDArray[Any], mirror: NDArray[Any]) -> Ints:
    """(F,) the face that is each face's mirror image under a vertex permutation (V,)."""
    index = {frozenset(triangle): i for i, triangle in enumerate(faces.tolist())}
    return np.array([index[frozenset(triangle)] for triangle in mirror[faces].tolist()])


def assert_closed_sphere(faces: NDArray[Any]) -> None:
    """Check our own work: one closed, consistently oriented component of genus 0."""
    _, counts = undirected_edges(faces)
    assert (counts == 2).all(), "every edge must have exactly two faces"
    directed = directed_edges(faces)
    assert len(np.unique(directed, axis=0)) == len(directed), "faces must be oriented alike"
    assert euler_characteristic(faces) == 2
    assert face_islands(faces, int(faces.max()) + 1).max() == 0

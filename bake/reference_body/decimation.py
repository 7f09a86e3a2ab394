"""Half-edge collapses on one mesh in several shapes at once: fewer vertices, every one of them a vertex of the input.

Garland and Heckbert's quadrics ("Surface Simplification Using Quadric Error Metrics", SIGGRAPH 1997), with what a
parametric body needs on top: the cost is the mean over several body shapes, and a collapse is refused if it folds a
triangle in any of them; vertices only ever merge into another vertex (half edge), so that skinning weights and shape
bases carry over by plain selection; the mirror plane and the texture seams only shrink along themselves; each body
region has its own quota. Called by ``topology`` on the left half of the body.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mesh import Bools, Floats, Ints, cross2

MAX_VALENCE = 9  # after a collapse; more spokes make slivers
MIN_QUALITY = 0.12  # of a triangle (1 = equilateral) unless it was worse before
MIN_NORMAL_COSINE = 0.35  # a triangle may not turn by more than about 70°
LENGTH_COST, SLIVER_COST = 1e-3, 2e-4  # against long edges and slivers where the surface is flat and quadrics are 0
TINY = 1e-18


@dataclass(frozen=True)
class HalfMesh:
    """The input: n vertices in S shapes, F triangles with texture corners."""

    positions: Floats  # (S, n, 3)
    faces: Ints  # (F, 3)
    corners: Ints  # (F, 3) into uv
    uv: Floats  # (t, 2)
    on_plane: Bools  # (n,) lies on the mirror plane
    fixed: Bools  # (n,) must survive
    region: NDArray[np.str_]  # (n,)
    copies: Floats  # (n,) how many vertices of the whole body it stands for: 1 on the mirror plane, else 2


def plane_quadrics(positions: Floats, faces: Ints) -> Floats:
    """(S, n, 4, 4) sum over the adjacent faces of area · p pᵀ, p the face's plane."""
    shapes, count, _ = positions.shape
    origin = positions[:, faces[:, 0]]
    normal = np.cross(positions[:, faces[:, 1]] - origin, positions[:, faces[:, 2]] - origin)
    double_area = np.linalg.norm(normal, axis=2)
    normal = normal / (double_area[..., None] + 1e-15)
    planes = np.concatenate([normal, -np.einsum("sfi,sfi->sf", normal, origin)[..., None]], 2)
    per_face = np.einsum("sfi,sfj->sfij", planes, planes) * (double_area / 2)[..., None, None]
    quadrics = np.zeros((shapes, count, 4, 4))
    for corner in range(3):
        for shape in range(shapes):
            np.add.at(quadrics[shape], faces[:, corner], per_face[shape])
    return quadrics


class Decimation:
    """A mesh under decimation. Faces are Python lists here: single look-ups dominate, and lists beat arrays at them."""

    def __init__(self, mesh: HalfMesh) -> None:
        self.mesh = mesh
        self.faces: list[list[int]] = mesh.faces.tolist()
        self.corners: list[list[int]] = mesh.corners.tolist()
        count = mesh.positions.shape[1]
        self.faces_at: list[set[int]] = [set() for _ in range(count)]
        for face, triangle in enumerate(self.faces):
            for vertex in triangle:
                self.faces_at[vertex].add(face)
        self.alive = [bool(faces) for faces in self.faces_at]
        self.face_alive = np.ones(len(self.faces), bool)
        self.quadrics = plane_quadrics(mesh.positions, mesh.faces)
        self.homogeneous = np.concatenate([mesh.positions, np.ones((*mesh.positions.shape[:2], 1))], 2)
        self.version = [0] * count  # raised whenever the ring changes: older heap entries are then stale
        self.left: dict[str, float] = {}
        for vertex in np.flatnonzero(self.alive):
            name = str(mesh.region[vertex])
            self.left[name] = self.left.get(name, 0.0) + float(mesh.copies[vertex])

    def neighbours(self, vertex: int) -> set[int]:
        ring: set[int] = set()
        for face in self.faces_at[vertex]:
            ring.update(self.faces[face])
        ring.discard(vertex)
        return ring

    def shared_faces(self, removed: int, kept: int) -> list[int]:
        return [face for face in self.faces_at[removed] if kept in self.faces[face]]

    def corner_moves(self, removed: int, kept: int, shared: list[int]) -> dict[int, int]:
        """Texture corner of ``removed`` → the corner of ``kept`` that replaces it, read off the shared faces."""
        moves: dict[int, int] = {}
        for face in shared:
            triangle, corner = self.faces[face], self.corners[face]
            moves[corner[triangle.index(removed)]] = corner[triangle.index(kept)]
        return moves

    def _keeps_topology(self, removed: int, kept: int, shared: list[int]) -> bool:
        """Link condition, mirror plane, seams and valence."""
        mesh = self.mesh
        if mesh.fixed[removed] or (mesh.on_plane[removed] and not mesh.on_plane[kept]):
            return False
        if len(shared) != (1 if mesh.on_plane[removed] else 2):
            return False
        ring, kept_ring = self.neighbours(removed), self.neighbours(kept)
        if len(ring & kept_ring) != len(shared) or len(ring) + len(kept_ring) - 4 > MAX_VALENCE:
            return False
        moves = self.corner_moves(removed, kept, shared)
        own = {self.corners[face][self.faces[face].index(removed)] for face in self.faces_at[removed]}
        return own <= set(moves)  # a corner without a partner means: off the seam

    def _sliver_penalty(self, removed: int, kept: int, shared: list[int]) -> float | None:
        """Mean over the shapes of how far the surviving faces are from equilateral; None if one would fold."""
        rest = [face for face in self.faces_at[removed] if face not in shared]
        if not rest:
            return 0.0
        triangles = np.array([self.faces[face] for face in rest])
        before = self.mesh.positions[:, triangles]  # (S, k, 3, 3)
        after = self.mesh.positions[:, np.where(triangles == removed, kept, triangles)]
        normal, new_normal = (np.cross(p[:, :, 1] - p[:, :, 0], p[:, :, 2] - p[:, :, 0]) for p in (before, after))
        length, new_length = np.linalg.norm(normal, axis=2), np.linalg.norm(new_normal, axis=2)
        cosine = (normal * new_normal).sum(2) / (length * new_length + TINY)
        if (cosine < MIN_NORMAL_COSINE).any() or (new_length < 1e-10).any():
            return None
        sides, new_sides = (((p - np.roll(p, 1, axis=2)) ** 2).sum((2, 3)) for p in (before, after))
        quality, new_quality = 2 * np.sqrt(3) * length / sides, 2 * np.sqrt(3) * new_length / new_sides
        if new_quality.min() < MIN_QUALITY and new_quality.min() < quality.min():
            return None
        if self._folds_texture(removed, kept, shared, rest):
            return None
        return float(((1 - new_quality).clip(0) ** 2 * new_sides).sum(1).mean())

    def _folds_texture(self, removed: int, kept: int, shared: list[int], rest: list[int]) -> bool:
        moves = self.corner_moves(removed, kept, shared)
        corners = [self.corners[face] for face in rest]
        moved = [
            [moves[c] if v == removed else c for v, c in zip(self.faces[face], self.corners[face], strict=True)]
            for face in rest
        ]
        before, after = self.mesh.uv[np.array(corners)], self.mesh.uv[np.array(moved)]
        area, new_area = (cross2(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]) for p in (before, after))
        return bool((area * new_area <= 0).any())

    def cost(self, removed: int, kept: int) -> float | None:
        """Price of merging ``removed`` into ``kept``, None when that is not allowed."""
        shared = self.shared_faces(removed, kept)
        if not self._keeps_topology(removed, kept, shared):
            return None
        slivers = self._sliver_penalty(removed, kept, shared)
        if slivers is None:
            return None
        quadric = self.quadrics[:, removed] + self.quadrics[:, kept]
        point = self.homogeneous[:, kept]
        error = np.einsum("si,sij,sj->s", point, quadric, point).mean()
        positions = self.mesh.positions
        length = ((positions[:, removed] - positions[:, kept]) ** 2).sum(1).mean()
        # Σ area·‖n‖² over the neighbourhood = its area, which gives the two regularisers the quadric's unit, m⁴
        area = np.sqrt(max(1e-14, np.trace(quadric.mean(0)[:3, :3]))) ** 2
        return float(error + LENGTH_COST * length * area + SLIVER_COST * slivers * area)

    def collapse(self, removed: int, kept: int) -> set[int]:
        """Merge, and return the vertices whose ring changed."""
        shared = self.shared_faces(removed, kept)
        moves = self.corner_moves(removed, kept, shared)
        for face in list(self.faces_at[removed]):
            triangle, corner = self.faces[face], self.corners[face]
            if face in shared:
                self.face_alive[face] = False
                for vertex in triangle:
                    self.faces_at[vertex].discard(face)
            else:
                k = triangle.index(removed)
                triangle[k], corner[k] = kept, moves[corner[k]]
                self.faces_at[kept].add(face)
        self.alive[removed] = False
        self.faces_at[removed] = set()
        self.quadrics[:, kept] += self.quadrics[:, removed]
        self.left[str(self.mesh.region[removed])] -= float(self.mesh.copies[removed])
        return {kept} | self.neighbours(kept)

    def run(self, quota: dict[str, int]) -> None:
        """Collapse in order of cost until every region is down to its quota."""
        heap: list[tuple[float, int, int, int, int]] = []

        def offer(removed: int, kept: int) -> None:
            price = self.cost(removed, kept)
            if price is not None:
                heapq.heappush(heap, (price, removed, kept, self.version[removed], self.version[kept]))

        for removed, kept in {(t[i], t[j]) for t in self.faces for i in range(3) for j in range(3) if i != j}:
            offer(removed, kept)
        while heap:
            _, removed, kept, removed_version, kept_version = heapq.heappop(heap)
            stale = self.version[removed] != removed_version or self.version[kept] != kept_version
            if stale or not (self.alive[removed] and self.alive[kept]):
                continue
            name = str(self.mesh.region[removed])
            if self.left[name] - self.mesh.copies[removed] < quota[name]:
                continue
            touched = self.collapse(removed, kept)
            for vertex in touched:
                self.version[vertex] += 1
            around = {pair for a in touched for b in self.neighbours(a) for pair in ((a, b), (b, a))}
            for a, b in around:
                offer(a, b)


def decimate(mesh: HalfMesh, quota: dict[str, int]) -> tuple[Ints, Ints]:
    """Decimate until each region has ``quota`` vertices of the whole body left.

    Returns:
        faces (F', 3) into the vertices of ``mesh`` and corners (F', 3) into its ``uv``.
    """
    work = Decimation(mesh)
    work.run(quota)
    kept: NDArray[Any] = work.face_alive
    return np.array(work.faces)[kept], np.array(work.corners)[kept]

"""Lay the disc out in the unit square: Tutte's embedding first, then Newton steps that lower the stretch.

Unknowns are u and v of the inner corners and one arc length per rim corner. Called by ``__main__``.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu, spsolve

from bake.reference_body.mesh import Floats, face_cross, signed_areas

from .rim import RoundedSquare
from .seams import Disc
from .stretch import StretchEnergy

RIM_POWER = 0.8  # of the rim edges' lengths on the body, for the start: fingers have long rims and little surface
RIM_TRIANGLE_WEIGHT = 1e-4  # for triangles with all three corners on the rim, which its curve all but flattens
MAX_STEPS = 60
CONVERGED = 1e-4  # relative gain of a step
SHORTEST_STEP = 1e-7
SHRINK = 0.6  # of the step length while it does not lower the energy
SUFFICIENT_DECREASE = 1e-4  # Armijo's constant
REGULARISER = 1e-10  # of the mean diagonal
GRID = 2.0**24  # u on multiples of 1/GRID: then u and 1 - u are both exact in float32


def mean_value_weights(points: Floats, disc: Disc) -> sp.csr_matrix:
    """(n, n) Floater's mean value coordinates (CAGD 2003): positive, so Tutte's theorem holds: no folds."""
    rows, columns, values = [], [], []
    for k in range(3):
        i, j, m = (disc.triangles[:, (k + shift) % 3] for shift in range(3))
        first, second = points[j] - points[i], points[m] - points[i]
        lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
        cosine = (first * second).sum(1) / lengths[0] / lengths[1]
        half_tangent = np.tan(np.arccos(np.clip(cosine, -1, 1)) / 2)
        for other, length in zip((j, m), lengths, strict=True):
            rows.append(i)
            columns.append(other)
            values.append(half_tangent / length)
    index = np.concatenate(rows), np.concatenate(columns)
    return sp.csr_matrix((np.concatenate(values), index), (len(points), len(points)))


def vertex_balanced_weights(points: Floats, disc: Disc) -> Floats:
    """(F,) weights by which every vertex counts about alike, in a hand's dense mesh as on the flat of the back.

    A triangle's area over the mean area that belongs to one of its corners; sums to 1.
    """
    area = np.linalg.norm(face_cross(points, disc.triangles), axis=1) / 2
    around = np.bincount(disc.vertices[disc.triangles].ravel(), np.repeat(area / 3, 3))
    weights = area / around[disc.vertices[disc.triangles]].mean(1)
    weights = weights / weights.sum()
    return np.where(disc.on_rim[disc.triangles].all(1), weights * RIM_TRIANGLE_WEIGHT, weights)


class Layout:
    """A disc under layout: ``uv`` (n, 2) and the arc length of each rim corner (m,)."""

    def __init__(self, disc: Disc, points: Floats) -> None:
        """``points``: (n, 3) body point of each corner, metres."""
        self.disc, self.curve = disc, RoundedSquare()
        self._position = np.full(len(points), -1)
        self._position[disc.rim] = np.arange(len(disc.rim))
        edges = np.linalg.norm(points[np.roll(disc.rim, -1)] - points[disc.rim], axis=1) ** RIM_POWER
        self.arc = self._symmetric_arc(np.r_[0, np.cumsum(edges)[:-1]] / edges.sum() * self.curve.length)
        self.uv = self._tutte(mean_value_weights(points, disc))
        areas = signed_areas(self.uv, disc.triangles)
        orientation = float(np.sign(areas.sum()))
        self.energy = StretchEnergy(points, disc.triangles, vertex_balanced_weights(points, disc), orientation)
        self.value = self.energy.value(self.uv)
        assert np.isfinite(self.value), "the start has folds"

    def _symmetric_arc(self, arc: Floats) -> Floats:
        """Mean with the mirror image; the first rim corner stays at the top centre."""
        other = arc[self._position[self.disc.mirror[self.disc.rim]]]
        arc = (arc + self.curve.length - other) / 2
        arc[0] = 0
        return arc

    def _tutte(self, weights: sp.csr_matrix) -> Floats:
        """Every inner corner at the weighted mean of its neighbours."""
        inner, rim = self.disc.inner, self.disc.rim
        laplacian = (sp.diags(np.asarray(weights.sum(1)).ravel()) - weights).tocsr()
        uv = np.empty((len(self.disc.vertices), 2))
        uv[rim] = self.curve.point(self.arc)
        uv[inner] = spsolve(laplacian[inner][:, inner].tocsc(), -laplacian[inner][:, rim] @ uv[rim])
        return self._symmetric(uv, self.arc)

    def _symmetric(self, uv: Floats, arc: Floats) -> Floats:
        uv = uv.copy()
        uv[self.disc.rim] = self.curve.point(arc)
        return self.disc.symmetrise(uv)

    def _unknowns(self) -> sp.csr_matrix:
        """(2n, 2·inner + m) how u and v of all corners move with the unknowns."""
        inner, rim = self.disc.inner, self.disc.rim
        tangent = self.curve.tangent(self.arc)
        free = np.arange(2 * len(inner))
        slide = 2 * len(inner) + np.arange(len(rim))
        rows = np.r_[2 * inner, 2 * inner + 1, 2 * rim, 2 * rim + 1]
        values = np.r_[np.ones(len(free)), tangent[:, 0], tangent[:, 1]]
        shape = (2 * len(self.uv), len(free) + len(rim))
        return sp.csr_matrix((values, (rows, np.r_[free, slide, slide])), shape)

    def _newton_direction(self) -> tuple[Floats, float]:
        """Step in the unknowns, and the slope of the energy along it."""
        gradient, hessian = self.energy.derivatives(self.uv)
        unknowns = self._unknowns()
        reduced = unknowns.T @ gradient
        bend = (gradient.reshape(-1, 2)[self.disc.rim] * self.curve.curvature(self.arc)).sum(1)
        curved = np.r_[np.zeros(2 * len(self.disc.inner)), np.maximum(bend, 0)]
        system = unknowns.T @ hessian @ unknowns + sp.diags(curved)
        system = (system + REGULARISER * system.diagonal().mean() * sp.eye(len(reduced))).tocsc()
        # a symmetric ordering without pivoting: three times faster, and safe on a positive definite matrix
        factor = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True})
        step = -factor.solve(reduced)
        return step, float(reduced @ step)

    def _moved(self, step: Floats) -> tuple[Floats, Floats]:
        """Layout and arc lengths after a step."""
        count = len(self.disc.inner)
        arc = self._symmetric_arc(self.arc + step[2 * count :])
        uv = self.uv.copy()
        uv[self.disc.inner] += np.stack([step[:count], step[count : 2 * count]], 1)
        return self._symmetric(uv, arc), arc

    def improve(self) -> float:
        """One Newton step with backtracking; returns the relative gain, 0 when there is none."""
        step, slope = self._newton_direction()
        length = 1.0
        while length > SHORTEST_STEP:
            uv, arc = self._moved(length * step)
            value = self.energy.value(uv)
            if value < self.value + SUFFICIENT_DECREASE * length * slope:
                gain = (self.value - value) / self.value
                self.uv, self.arc, self.value = uv, arc, value
                return gain
            length *= SHRINK
        return 0.0

    def relax(self) -> None:
        """Newton steps until they gain less than ``CONVERGED``."""
        for number in range(MAX_STEPS):
            if number % 10 == 0:
                print(f"  step {number}: stretch {self.value:.4g}", flush=True)
            if self.improve() < CONVERGED:
                break

    def rounded(self) -> Floats:
        """(n, 2) the layout on ``GRID``: exactly symmetric in float32."""
        assert (np.diff(self.arc) > 0).all(), "rim corners passed each other"
        return np.round(self.disc.symmetrise(self.uv) * GRID) / GRID

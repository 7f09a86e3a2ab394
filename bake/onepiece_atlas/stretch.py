"""How coarsely a layout samples the surface: the L2 stretch of Sander, Snyder, Gortler and Hoppe (SIGGRAPH 2001, §3).

For the linear map J from the UV triangle to the one on the body, ‖J‖² is the mean squared distance on the body between
points one UV unit apart. It grows without bound as a triangle flattens, so a descent that starts without folds never
makes one. Called by ``layout``.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bake.reference_body.mesh import Floats, Ints, cross2

# Eigenvalues of a triangle's Hessian below this part of the largest are raised to it: Newton needs a convex model.
CONVEXITY = 1e-9


class StretchEnergy:
    """Σ weight · ‖J‖² over the triangles."""

    def __init__(self, points: Floats, triangles: Ints, weights: Floats, orientation: float) -> None:
        """``points`` (n, 3) metres; ``weights`` (F,); ``orientation``: the sign of an unfolded triangle's UV area."""
        self.triangles, self.weights, self.orientation = triangles, weights, orientation
        sides = points[triangles[:, 1:]] - points[triangles[:, :1]]  # (F, 2, 3)
        self.gram = sides @ sides.transpose(0, 2, 1)  # (F, 2, 2)
        index = (2 * triangles[:, :, None] + np.arange(2)).reshape(-1, 6)  # u and v of the three corners
        self._rows, self._columns = np.repeat(index, 6, 1).ravel(), np.tile(index, (1, 6)).ravel()

    def _inverse_sides(self, uv: Floats) -> tuple[Floats, Floats]:
        """Inverse (F, 2, 2) of the matrix with the UV sides as columns, and its determinant (F,)."""
        first, second = (uv[self.triangles[:, k]] - uv[self.triangles[:, 0]] for k in (1, 2))
        area = cross2(first, second)
        adjugate = np.stack([np.c_[second[:, 1], -second[:, 0]], np.c_[-first[:, 1], first[:, 0]]], 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return adjugate / area[:, None, None], area

    def _metric(self, inverse: Floats) -> Floats:
        """JᵀJ (F, 2, 2)."""
        return inverse.transpose(0, 2, 1) @ self.gram @ inverse

    def value(self, uv: Floats) -> float:
        """The energy of a layout (n, 2); infinite when a triangle is folded or flat."""
        inverse, area = self._inverse_sides(uv)
        if (area * self.orientation <= 0).any():
            return float("inf")
        metric = self._metric(inverse)
        return float((self.weights * (metric[:, 0, 0] + metric[:, 1, 1])).sum())

    def derivatives(self, uv: Floats) -> tuple[Floats, sp.csc_matrix]:
        """Gradient (2n,) and positive semi-definite Hessian (2n, 2n), in the order u0, v0, u1, v1, …

        A displacement D of the sides changes J by -J·M + J·M·M with M = D·sides⁻¹, the displacement's own gradient.
        With C = JᵀJ the energy changes by -2 tr(C M) + tr(Mᵀ C M) + 2 tr(C M M).
        """
        inverse, _ = self._inverse_sides(uv)
        metric = self._metric(inverse)
        hats = np.stack([-inverse.sum(1), inverse[:, 0], inverse[:, 1]], 1)  # (F, 3, 2): M = Σ displacement ⊗ hat

        gradient = np.zeros((len(uv), 2))
        per_corner = -2 * self.weights[:, None, None] * (hats @ metric)  # (F, 3, 2)
        for k in range(3):
            np.add.at(gradient, self.triangles[:, k], per_corner[:, k])

        identity = np.eye(2)
        quadratic = np.einsum("fac,jd->fajcd", metric, identity)  # tr(Mᵀ C M) as a form on the entries (a, j), (c, d)
        product = np.einsum("cd,fab->fbcda", identity, metric)  # tr(C M M)
        form = (quadratic + product + product.transpose(0, 3, 4, 1, 2)).reshape(-1, 4, 4)
        values, vectors = np.linalg.eigh(2 * self.weights[:, None, None] * form)
        values = np.maximum(values, CONVEXITY * values[:, -1:])
        convex = ((vectors * values[:, None]) @ vectors.transpose(0, 2, 1)).reshape(-1, 2, 2, 2, 2)
        blocks = np.einsum("fkj,fijmn,fln->fkilm", hats, convex, hats, optimize=True)
        size = uv.size
        hessian = sp.csc_matrix((blocks.ravel(), (self._rows, self._columns)), (size, size))
        return gradient.ravel(), hessian

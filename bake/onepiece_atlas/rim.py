"""The curve that the disc's boundary lies on: a superellipse, a square with rounded corners.

A true square would leave triangles with all three corners on one side without area, and its vertices could not slide
round the corners. Called by ``layout``.
"""

from __future__ import annotations

import numpy as np

from bake.reference_body.mesh import Floats

EXPONENT = 6.0  # covers 96.5 % of the square; 3 covers 88 %; at 8 the rim creeps round the corners, for no gain
SAMPLES = 400_001
ROUNDING = 1e-12


class RoundedSquare:
    """|2u - 1|^p + |2v - 1|^p = 1 by arc length, from the top centre (0.5, 1) towards u = 0."""

    def __init__(self, exponent: float = EXPONENT) -> None:
        angle = np.linspace(0, 2 * np.pi, SAMPLES)

        def bulge(value: Floats) -> Floats:
            value = np.where(np.abs(value) < ROUNDING, 0, value)  # sin(2π) is not quite 0, and the root magnifies it
            return 0.5 + 0.5 * np.sign(value) * np.abs(value) ** (2 / exponent)

        self._points = np.stack([bulge(-np.sin(angle)), bulge(np.cos(angle))], 1)
        self._arc = np.r_[0, np.cumsum(np.linalg.norm(np.diff(self._points, axis=0), axis=1))]
        self.length = float(self._arc[-1])

    def point(self, arc: Floats) -> Floats:
        """(m, 2) points at arc lengths (m,)."""
        arc = arc % self.length
        return np.stack([np.interp(arc, self._arc, self._points[:, axis]) for axis in range(2)], 1)

    def tangent(self, arc: Floats, step: float = 1e-4) -> Floats:
        """(m, 2) unit tangents."""
        difference = self.point(arc + step) - self.point(arc - step)
        return difference / np.linalg.norm(difference, axis=1, keepdims=True)

    def curvature(self, arc: Floats, step: float = 1e-3) -> Floats:
        """(m, 2) derivative of the tangent."""
        return (self.tangent(arc + step) - self.tangent(arc - step)) / (2 * step)

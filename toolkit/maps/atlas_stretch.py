"""How evenly a layout samples the surface: the stretch of Sander, Snyder, Gortler and Hoppe (SIGGRAPH 2001, §3).

In: UV triangles and the triangles on the body. Out: ``Stretch``. Called by ``atlas_check``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Stretch:
    """Of one chart, or of all. Triangles without area in UV are left out.

    Attributes:
        l2: root of the mean (by area on the body) squared stretch, relative to a layout that keeps all lengths; ≥ 1.
        largest: L∞, the largest stretch in any direction, relative to the same.
        metres_per_unit: root of the area on the body over the area in UV.
        largest_metres_per_unit: L∞ in metres per unit of UV.
        anisotropy: mean (by area on the body) of the ratio of the largest to the least stretch at a point; ≥ 1.
        largest_anisotropy: the largest such ratio.
    """

    l2: float
    largest: float
    metres_per_unit: float
    largest_metres_per_unit: float
    anisotropy: float
    largest_anisotropy: float


def doubled_uv_areas(uv: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n,) twice the signed areas of UV triangles (n, 3, 2); positive when U turns towards V."""
    a, b = (np.asarray(uv[:, k] - uv[:, 0], np.float64) for k in (1, 2))
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def singular_stretches(
    uv: NDArray[np.floating], points: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) the largest and least metres on the body per unit of UV, Γ and γ of the paper's Eq. for each triangle.

    Args:
        uv: (n, 3, 2). points: (n, 3, 3) metres.

    Returns:
        not finite for triangles without area in UV.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / doubled_uv_areas(uv)
        u, v = np.asarray(uv, np.float64)[..., 0], np.asarray(uv, np.float64)[..., 1]
        q = np.asarray(points, np.float64)
        rise_v = np.stack([v[:, 1] - v[:, 2], v[:, 2] - v[:, 0], v[:, 0] - v[:, 1]], axis=1)
        rise_u = np.stack([u[:, 2] - u[:, 1], u[:, 0] - u[:, 2], u[:, 1] - u[:, 0]], axis=1)
        along_u = (q * rise_v[..., None]).sum(axis=1) * inverse[:, None]  # ∂S/∂u
        along_v = (q * rise_u[..., None]).sum(axis=1) * inverse[:, None]
        a, b, c = ((x * y).sum(axis=1) for x, y in ((along_u, along_u), (along_u, along_v), (along_v, along_v)))
        spread = np.sqrt((a - c) ** 2 + 4 * b**2)
        return np.sqrt((a + c + spread) / 2), np.sqrt(np.maximum(a + c - spread, 0) / 2)


def measured_stretch(uv: NDArray[np.floating], points: NDArray[np.floating]) -> Stretch | None:
    """The stretch of triangles (n, 3, 2) in UV and (n, 3, 3) metres; None where none has area in UV and on the body."""
    large, small = singular_stretches(uv, points)
    q = np.asarray(points, np.float64)
    area = np.linalg.norm(np.cross(q[:, 1] - q[:, 0], q[:, 2] - q[:, 0]), axis=1) / 2
    flat = np.abs(doubled_uv_areas(uv)) / 2
    kept = (flat > 0) & (area > 0) & np.isfinite(large)
    if not kept.any():
        return None
    large, small, area, flat = large[kept], small[kept], area[kept], flat[kept]
    scale = np.sqrt(area.sum() / flat.sum())
    ratio = large**2 * flat / area  # Γ/γ; the product Γ·γ is the ratio of the areas, and γ alone rounds to 0
    return Stretch(
        l2=float(np.sqrt(((large**2 + small**2) / 2 * area).sum() / area.sum()) / scale),
        largest=float(large.max() / scale),
        metres_per_unit=float(scale),
        largest_metres_per_unit=float(large.max()),
        anisotropy=float((ratio * area).sum() / area.sum()),
        largest_anisotropy=float(ratio.max()),
    )

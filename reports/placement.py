"""Where pictures go on a map so that they hide little of it. Called by ``figures``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def beside(
    drawn: Sequence[int],
    points: Array,
    label: Array,
    centres: Array,
    numbered: Sequence[int],
    size: float,
    middle: Array,
    reach: float,
) -> Array:
    """Places (n, 2) for discs of diameter ``size`` near the centres of the clusters drawn.

    They keep apart from each other and within ``reach`` of the middle, and cover few points, above all of their own
    cluster, and no number of another. Found one after the other, by trial.

    Args:
        drawn: n clusters.
        points, label: (m, 2) and (m,) samples and their clusters.
        centres: (K, 2).
        numbered: clusters with a number on their centre.
        size, reach, middle: in the units of the points; ``middle`` (2,).
    """
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    steps = size * np.concatenate(
        [np.zeros((1, 2)), *(radius * ring for radius in (0.6, 0.8, 1, 1.25, 1.5, 2, 2.5, 3))]
    )
    spots = np.empty((0, 2))
    for cluster in drawn:
        trial = centres[cluster] + steps
        covered = _gaps(trial, points) < 0.5 * size
        cost = covered @ (50 / len(points) + 2 * (label == cluster) / max((label == cluster).sum(), 1))
        cost += np.linalg.norm(steps, axis=1) / size
        cost += (_gaps(trial, centres[[n for n in numbered if n != cluster]]) < 0.6 * size).sum(axis=1)
        cost += 1e3 * np.maximum(1.04 - _gaps(trial, spots) / size, 0).sum(axis=1)
        cost += 1e3 * np.maximum(np.abs(trial - middle).max(axis=1) / reach - 1, 0)
        spots = np.concatenate([spots, trial[[cost.argmin()]]])
    return spots


def _gaps(a: Array, b: Array) -> Array:
    """(n, m) distances between places (n, 2) and (m, 2)."""
    return np.linalg.norm(a[:, None] - b, axis=-1)

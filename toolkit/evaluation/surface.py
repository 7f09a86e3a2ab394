"""``SurfaceErrors``: the mean error of every vertex, added up in a stream (DaNet Fig. 14, the heat map on the body).

In: posed bodies chunk by chunk; out: (V,) mm. ``metrics.evaluate`` fills one, reports draw it. Two of them, from other
workers or ranks, add up to that of all samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import VERTEX_COUNT
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.formulas import MM
from hmrtk.toolkit.evaluation.kernels import add_distance
from hmrtk.toolkit.maps.slices import over_slices


@dataclass(eq=False)
class SurfaceErrors:
    """Sums of errors per vertex.

    Attributes:
        total: (V,) float64, metres.
        count: bodies added.
    """

    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(VERTEX_COUNT))
    count: int = 0

    def add(self, predicted: NDArray[Any], target: NDArray[Any], offset: NDArray[Any]) -> None:
        """Count N more bodies.

        Args:
            predicted, target: (N, V, 3) metres.
            offset: (N, 3) metres, predicted root minus target root; zeros for no alignment.

        Raises:
            InputError: shapes that do not belong together.
        """
        expected = (len(target), len(self.total), 3)
        if predicted.shape != expected or target.shape != expected or offset.shape != (len(target), 3):
            found = f"{predicted.shape}, {target.shape} and {offset.shape}"
            raise InputError("surface errors", f"expected twice {expected} and {(len(target), 3)}, got {found}")
        shift = np.ascontiguousarray(offset, np.float64)
        over_slices(lambda a, b: add_distance(predicted, target, shift, self.total, a, b), len(self.total))
        self.count += len(target)

    def __add__(self, other: SurfaceErrors) -> SurfaceErrors:
        return SurfaceErrors(self.total + other.total, self.count + other.count)

    def mean(self) -> NDArray[np.float64]:
        """(V,) mm; NaN before anything is added. Its mean over the vertices is PVE."""
        return MM * self.total / self.count if self.count else np.full(len(self.total), np.nan)

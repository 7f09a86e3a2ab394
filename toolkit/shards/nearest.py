"""``NearestPrototype``: the labels of a few bodies at a time, exactly as ``prototypes.measure.assign`` gives them.

In: bodies, such as those of a batch after augmentation. Out: label, distance, distance to the singular prototype. Used
by ``Cropper``: a mirrored or turned body has another nearest prototype than the one that its shard names.

The prototypes are posed once. A body is posed and compared with all of them in float32, 512 numbers at a time, until it
is clear that another is nearer; what the sums can be off by is bounded, and every prototype within the bound of the
best is compared again in float64, term by term. So labels are those of a full float64 search, ties included.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, vertex_weights
from hmrtk.toolkit.prototypes.features import pose_prototypes
from hmrtk.toolkit.prototypes.measure import nearest_parameters
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.prototypes.vertex_kernels import mean_length, weighted_square

_PIECE = 512
"""Numbers that are added in float32 before their sum goes into a float64."""
_SUM_ERROR = 2.0**-14
"""Relative error of such a sum, in whatever order: 512 additions of 2^-24 each, and twice that."""
_ROUNDING = 2.0**-22
"""Of two weighted coordinates and their difference, relative to the largest that there are: three of 2^-24 or 2^-23."""


class Nearest(NamedTuple):
    """Of N bodies: ``label`` (N,) int32; ``distance`` and ``distance_to_singular`` (N,) float32 metres (``Labels``)."""

    label: NDArray[np.int32]
    distance: NDArray[np.float32]
    distance_to_singular: NDArray[np.float32]


class NearestPrototype:
    """Callable: bodies → ``Nearest``. Picklable; poses the prototypes at the first call. May be called from threads.

    Args:
        prototypes: the set.
        body: the body it lives on.

    Raises:
        BodyMismatchError: the set was made with another body.
    """

    def __init__(self, prototypes: PrototypeSet, body: BodyModel) -> None:
        prototypes.check_body(body)
        self.prototypes, self.arrays = prototypes, body.arrays
        self.method = prototypes.metadata.get("method")

    def __getstate__(self) -> dict[str, Any]:
        kept: tuple[str, ...] = ("prototypes", "arrays", "method")
        return {name: self.__dict__[name] for name in kept}

    @cached_property
    def _body(self) -> BodyModel:
        return BodyModel(self.arrays, threads=1)  # loaders use all cores as it is

    @cached_property
    def _tables(self) -> _Tables:
        body = self._body
        weights = np.ones(len(body.v_template))
        if self.method != "3dh":
            weights = vertex_weights(body, self.prototypes.metadata.get("weights") or P3DH_WEIGHTS).astype(np.float64)
        posed = pose_prototypes(body, self.prototypes.parameters)
        singular, single = pose_prototypes(body, self.prototypes.singular)[0], weights.astype(np.float32)
        weighted = (posed * single[:, None]).reshape(len(posed), -1)
        return _Tables(posed, singular, weights**2, single, weighted, float(np.abs(weighted).max()))

    def __call__(self, bodies: BodyParameters, singular: bool = True) -> Nearest:
        """Label bodies, all finite; ``transl`` does not matter.

        Args:
            singular: measure ``distance_to_singular`` as well; else it is undefined.
        """
        tables, n = self._tables, len(bodies)
        found = Nearest(np.zeros(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32))
        posed = self._body.pose(bodies.replaced(transl=np.zeros((n, 3)))).vertices
        if self.method == "naive":
            found.label[:] = nearest_parameters(bodies, self.prototypes.parameters)[0]
        else:
            _search(posed, tables.posed, tables.squares, tables.weights, tables.weighted, tables.reach, found.label)
        _measure(posed, tables.posed, tables.singular, singular, *found)
        return found


class _Tables(NamedTuple):
    """posed (K, V, 3) and singular (V, 3) float32 metres; squared weights (V,) float64, weights (V,) float32; weighted
    coordinates (K, 3V) float32 and the largest of them.
    """

    posed: NDArray[np.float32]
    singular: NDArray[np.float32]
    squares: NDArray[np.float64]
    weights: NDArray[np.float32]
    weighted: NDArray[np.float32]
    reach: float


@njit(cache=True, nogil=True)
def _search(vertices, centres, squares, weights, weighted, reach, label):  # type: ignore[no-untyped-def]
    """label (n,): the centre with the least γ in float64; ties go to the lowest index. ``reach``: the largest number of
    ``weighted``.
    """
    count = centres.shape[0]
    own, rough = np.empty(weighted.shape[1], np.float32), np.empty(count)
    for n in range(vertices.shape[0]):
        most = np.float32(0)
        for v in range(vertices.shape[1]):
            for x in range(3):
                own[3 * v + x] = vertices[n, v, x] * weights[v]
                most = max(most, abs(own[3 * v + x]))
        off = (most + reach) * _ROUNDING * np.sqrt(own.size)  # metres: what rounding can change a distance by
        best, farthest = np.inf, np.inf
        for k in range(count):
            rough[k] = _rough_square(own, weighted[k], farthest)
            high = np.sqrt(rough[k] * (1 + _SUM_ERROR)) + off  # this centre is not farther than that
            farthest = min(farthest, (high + off) ** 2 / (1 - _SUM_ERROR))  # and others are, whose sum is greater
        for k in range(count):
            if rough[k] <= farthest:
                gamma = weighted_square(vertices[n], centres[k], squares)
                if gamma < best:
                    best = gamma
                    label[n] = k


@njit(cache=True, nogil=True, fastmath=True)
def _rough_square(a, b, enough):  # type: ignore[no-untyped-def]
    """Squared distance of two float32 vectors, or part of it when that is more than ``enough``; ``fastmath`` lets the
    partial sums lie side by side.
    """
    total = 0.0
    for start in range(0, a.size, _PIECE):
        x, y = a[start : start + _PIECE], b[start : start + _PIECE]  # indices from 0 need no check for being negative
        part = np.float32(0)
        for i in range(x.size):
            difference = x[i] - y[i]
            part += difference * difference
        total += part
        if total > enough:
            break
    return total


@njit(cache=True, nogil=True)
def _measure(vertices, centres, mean, both, label, distance, to_singular):  # type: ignore[no-untyped-def]
    """Metres to the assigned centre and, where ``both`` are wanted, to the singular prototype (V, 3)."""
    for n in range(vertices.shape[0]):
        distance[n] = mean_length(vertices[n], centres[label[n]])
        if both:
            to_singular[n] = mean_length(vertices[n], mean)

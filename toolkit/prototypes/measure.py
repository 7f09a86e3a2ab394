"""Distances of bodies to prototypes, in full: the numbers behind ``Labels``, and labels for bodies that were not
clustered.

One stream over the bodies, float64 sums over all vertices, bounded memory. ``kmeans``, shards, evaluation and reports
call ``assign`` and ``distances_to``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, vertex_weights
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.features import CHUNK, Threads, parameter_vectors, pose_prototypes, stream_vertices
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.prototypes.vertex_kernels import label_distances, nearest_among, nearest_vectors, weighted_offsets

TIE = 1e-9
"""Centres whose γ by matrix product is this close (share of the squared lengths) are compared again, term by term."""


class FullSearch:
    """Nearest of K posed centres under vertex weights, for chunks of posed bodies: a float64 matrix product.

    Args:
        posed: (K, 6890, 3) float32.
        weights: (6890,) float64.
    """

    def __init__(self, posed: NDArray[np.float32], weights: NDArray[np.float64]) -> None:
        self.posed, self.weights, self.squares = posed, weights, weights**2
        self.origin = (posed.mean(axis=0, dtype=np.float64) * weights[:, None]).ravel()
        self.centres = np.empty((len(posed), posed[0].size))
        weighted_offsets(posed, weights, self.origin, self.centres)
        self.length = np.einsum("kd,kd->k", self.centres, self.centres)

    def distances(self, vertices: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, 6890, 3) → γ (n, K) float64 to every centre; rounding can leave it just below 0."""
        return self._products(vertices)[0]

    def __call__(self, vertices: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """(n, 6890, 3) → label (n,) int32 and γ (n,) float64; ties go to the lowest index."""
        gamma, own = self._products(vertices)
        slack = TIE * (own + self.length.max())
        candidates = gamma <= (gamma.min(axis=1) + slack)[:, None]
        label, exact = np.zeros(len(vertices), np.int32), np.empty(len(vertices))
        nearest_among(vertices, self.posed, self.squares, candidates, label, exact)
        return label, exact

    def _products(self, vertices: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        offsets = np.empty((len(vertices), len(self.origin)))
        weighted_offsets(vertices, self.weights, self.origin, offsets)
        own = np.einsum("nd,nd->n", offsets, offsets)
        return own[:, None] + self.length - 2 * (offsets @ self.centres.T), own


def measure(
    body: BodyModel,
    parameters: BodyParameters,
    prototypes: BodyParameters,
    singular: BodyParameters,
    weights: NDArray[np.floating],
    label: NDArray[np.integer] | None = None,
    nearest: bool = False,
    progress: Progress = silent,
) -> tuple[Labels, NDArray[np.float64]]:
    """Pose N bodies once and measure them.

    Args:
        prototypes, singular: K bodies and one body.
        weights: (6890,) vertex weights of γ.
        label: (N,) assigned prototypes; None assigns the nearest under ``weights``.
        nearest: find γ to the nearest prototype even where ``label`` is given.

    Returns:
        labels, and (N,) γ to the nearest prototype (to the assigned one, unless ``nearest`` or ``label`` is None).
    """
    posed, mean = pose_prototypes(body, prototypes), pose_prototypes(body, singular)[0]
    exact = np.ascontiguousarray(weights, np.float64)
    search = FullSearch(posed, exact) if nearest or label is None else None
    found = np.zeros(len(parameters), np.int32) if label is None else np.ascontiguousarray(label, np.int32)
    squares = exact**2
    numbers, closest = np.empty((len(parameters), 3)), np.empty(len(parameters))
    with Threads() as threads:
        for rows, vertices in stream_vertices(body, parameters, CHUNK):
            part = (found[rows], numbers[rows], closest[rows])

            def work(s: slice, vertices: NDArray[np.float32] = vertices, part: tuple = part) -> None:
                labels, out, gamma = (array[s] for array in part)
                if search is not None:
                    nearest_label, gamma[...] = search(vertices[s])
                    if label is None:
                        labels[...] = nearest_label
                label_distances(vertices[s], posed, mean, squares, labels, out)

            threads.each_slice(work, len(vertices))
            progress("measuring distances", rows.stop, len(parameters))
    metres = numbers[:, :2].astype(np.float32)
    labels = Labels(found, metres[:, 0].copy(), metres[:, 1].copy(), numbers[:, 2].copy())
    return labels, labels.weighted_distance if search is None else closest


def nearest_parameters(
    parameters: BodyParameters, prototypes: BodyParameters
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Nearest prototype by φ itself ("Naive K-Means"): label (N,) int32 and squared distance (N,) float64."""
    points, centres = parameter_vectors(parameters), parameter_vectors(prototypes)
    label, distance = np.zeros(len(points), np.int32), np.empty(len(points))
    with Threads() as threads:
        threads.each_slice(lambda s: nearest_vectors(points[s], centres, label[s], distance[s]), len(points))
    return label, distance


def assign(
    parameters: BodyParameters, prototypes: PrototypeSet, body: BodyModel, progress: Progress = silent
) -> Labels:
    """Labels of any bodies by the set's own metric (PM-Net §IV-B): ``naive`` by φ, ``3dh`` by unweighted vertices, all
    others by weighted vertices. Exact, ties to the lowest index.

    Raises:
        BodyMismatchError: the set was made with another body.
        InputError: no bodies, or NaN in one (named by row).
    """
    prototypes.check_body(body)
    check_bodies(parameters)
    weights = vertex_weights(body, prototypes.metadata.get("weights") or P3DH_WEIGHTS)
    args = (body, parameters, prototypes.parameters, prototypes.singular)
    method, label = prototypes.metadata.get("method"), None
    if method == "naive":
        label = nearest_parameters(parameters, prototypes.parameters)[0]
    elif method == "3dh":
        label = measure(*args, np.ones(len(weights)))[0].label
    return measure(*args, weights, label, progress=progress)[0]


def distances_to(
    parameters: BodyParameters,
    prototypes: PrototypeSet,
    body: BodyModel,
    labels: NDArray[np.integer] | None = None,
) -> NDArray[np.float32]:
    """Mean over vertices of the Euclidean distance to the labelled prototypes, translation left out.

    Args:
        labels: (N,) indices of prototypes; None uses ``assign`` (with K = 1: the only one).

    Returns:
        (N,) float32 metres.

    Raises:
        BodyMismatchError: the set was made with another body.
        InputError: no bodies, NaN in one, or a label outside [0, K).
    """
    if labels is None and len(prototypes) > 1:
        return assign(parameters, prototypes, body).distance
    prototypes.check_body(body)
    check_bodies(parameters)
    label = np.zeros(len(parameters), np.int32) if labels is None else np.asarray(labels)
    if label.shape != (len(parameters),):
        raise InputError("labels", f"expected {len(parameters)} labels, got shape {label.shape}")
    outside = (label < 0) | (label >= len(prototypes))
    if outside.any():
        row = int(outside.argmax())
        raise InputError(f"labels row {row}", f"label {label[row]} is outside 0..{len(prototypes) - 1}")
    ones = np.ones(len(body.v_template))
    return measure(body, parameters, prototypes.parameters, prototypes.singular, ones, label)[0].distance


def check_bodies(parameters: BodyParameters, place: str = "bodies") -> None:
    """Refuse no bodies at all, and bad values by row.

    Raises:
        InputError: empty, NaN or infinite, absurd betas.
    """
    if not len(parameters):
        raise InputError(place, "there are none")
    parameters.check(place)

"""t-SNE: samples and prototypes in the plane, from the distances that P3DH K-Means works with (PM-Net Fig. 4).

In: bodies and a ``PrototypeSet``; out: ``Embedding``. Called by ``prototypes``. The only file of the reports that
imports scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, UNIFORM_WEIGHTS, vertex_weights
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.features import pose_prototypes
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.projection import fit_space
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

SAMPLES = 6000
"""PM-Net §III-C: "around 6000 samples", drawn at random."""
PERPLEXITY = 30.0
LEAST = 8
"""Bodies below which a map says nothing."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """A map of n samples and K prototypes.

    Attributes:
        rows: (n,) int64, the samples drawn, ascending.
        points: (n, 2) float64, where they lie; the unit means nothing.
        label: (n,) int32, their prototypes.
        centres: (K, 2) float64, where the prototypes lie.
        dims: principal coordinates per body that went in, the length of the left-out part among them.
        perplexity: of t-SNE.
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float64]
    label: NDArray[np.int32]
    centres: NDArray[np.float64]
    dims: int
    perplexity: float


def embed(
    parameters: BodyParameters,
    prototypes: PrototypeSet,
    body: BodyModel,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: Progress = silent,
) -> Embedding:
    """Draw samples, label them, and lay them out together with the prototypes.

    Each body is the vector the clustering searches with: its weighted vertices on the principal directions of the
    sample, and the length of what these leave out.

    Args:
        parameters: N bodies.
        samples: how many to draw; all where there are fewer.
        seed: of the draw, of the projection and of t-SNE.

    Raises:
        BodyMismatchError: the set was made with another body.
        InputError: fewer than 8 bodies, or NaN in one (named by its row in the draw).
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(parameters), min(samples, len(parameters)), replace=False))
    if len(rows) + len(prototypes) < LEAST:
        raise InputError(
            "t-SNE", f"{len(rows)} samples and {len(prototypes)} prototypes, expected at least {LEAST} together",
            "choose more samples, or leave the map out",
        )  # fmt: skip
    drawn = parameters[rows]
    label = assign(drawn, prototypes, body, progress).label
    space = fit_space(body, drawn, _metric(prototypes, body), rng)
    features = np.concatenate(
        [space.project(drawn, progress=progress), space.project_vertices(pose_prototypes(body, prototypes.parameters))]
    )
    progress("laying out the map (t-SNE)", 0, 1)
    places, perplexity = _tsne(features, seed)
    progress("laying out the map (t-SNE)", 1, 1)
    return Embedding(rows, places[: len(rows)], label, places[len(rows) :], features.shape[1], perplexity)


def _metric(prototypes: PrototypeSet, body: BodyModel) -> NDArray[np.float32]:
    """(6890,) the set's vertex weights; 1 where it was clustered without."""
    weights = prototypes.metadata.get("weights") or P3DH_WEIGHTS
    return vertex_weights(body, UNIFORM_WEIGHTS if prototypes.metadata.get("method") == "3dh" else weights)


def _tsne(features: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float64], float]:
    """(m, d) → places (m, 2), and the perplexity, which has to stay well below m.

    In one thread: the map is then the same whatever the machine offers, and on a busy machine t-SNE's threads wait for
    each other for longer than they work (measured: 5 times slower with two).
    """
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    start = "pca" if np.ptp(features, axis=0).max() > 0 else "random"  # equal bodies have no principal directions
    with threadpool_limits(1):
        places = TSNE(init=start, perplexity=perplexity, random_state=seed).fit_transform(features)
    return places.astype(np.float64), perplexity

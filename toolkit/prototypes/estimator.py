"""``P3DHKMeans``: P3DH K-Means with scikit-learn's manners, for notebooks and pipelines. scikit-learn itself is not
needed.

X is (N, 82): 72 axis-angle values (radians, root first) and 10 betas, the layout of SPIN's fits.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, vertex_weights
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.prototypes.features import Threads, pose_prototypes, stream_vertices
from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig, fit_prototypes
from hmrtk.toolkit.prototypes.measure import FullSearch, check_bodies

WIDTH = 82


class EstimatorError(InputError, ValueError):
    """What is wrong with X or the options: an ``InputError`` that scikit-learn's tools recognise as a ValueError."""


class UnfittedError(EstimatorError, AttributeError):
    """Not fitted yet; scikit-learn's own error is a ValueError and an AttributeError, too."""


class P3DHKMeans:
    """Part-aware 3D human K-Means (PM-Net Algorithm 1) as an estimator.

    Args:
        n_clusters: number of clusters.
        weights: part group → weight; None means PM-Net's.
        init: ``random`` or ``k-means++``.
        n_init: starts from different first centres; the best is kept.
        max_iter, tol: when to stop; see ``kmeans.PrototypeConfig``.
        random_state: seed of the first centres, or a ``numpy.random.Generator``; None draws a new one at every fit.
        dims, device: see ``kmeans.PrototypeConfig``.
        body: the body that is posed; None means ``load_body()``.

    Attributes:
        cluster_centers_: (K, 82) float32, layout of X.
        labels_: (N,) int32, exact; ties go to the lowest index.
        inertia_: sum of γ (m²) over all samples.
        n_iter_: updates of the centres.
        n_features_in_: 82.
    """

    def __init__(
        self,
        n_clusters: int = 50,
        *,
        weights: Mapping[str, float] | None = None,
        init: str = "random",
        n_init: int = 1,
        max_iter: int = 100,
        tol: float = 1e-4,
        random_state: int | np.random.Generator | None = None,
        dims: int | None = None,
        device: str = "auto",
        body: BodyModel | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.weights = weights
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.dims = dims
        self.device = device
        self.body = body

    def fit(self, X: ArrayLike, y: None = None) -> P3DHKMeans:
        """Cluster X (N, 82).

        Raises:
            EstimatorError: wrong shape, NaN in a row, fewer rows than clusters, an option out of range.
            UnknownNameError: unknown ``init``, ``device`` or part group.
        """
        array = _numbers(X)
        parameters = self._bodies(array)
        if len(parameters) < self.n_clusters:
            raise EstimatorError("X", f"n_samples={len(parameters)} should be at least n_clusters={self.n_clusters}")
        config = PrototypeConfig(
            k=self.n_clusters,
            weights=self._weights(),
            init=self.init,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            seed=_seed(self.random_state),
            dims=self.dims,
            device=self.device,
        )
        try:
            fit = fit_prototypes(parameters, self._body(), config)
        except InputError as error:
            raise EstimatorError(error.place, error.problem, error.remedy) from None
        centres = fit.prototypes.parameters
        self.cluster_centers_ = np.concatenate([centres.pose.reshape(-1, 72), centres.betas], axis=1)
        self.labels_ = fit.labels.label
        self.inertia_ = float(fit.labels.weighted_distance.sum())
        self.n_iter_ = fit.iterations
        self.n_features_in_ = array.shape[1]
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """(N,) int32 index of the nearest centre of each row."""
        return self._nearest(X)[0]

    def score(self, X: ArrayLike, y: None = None) -> float:
        """Minus the sum of γ (m²) to the nearest centres."""
        return -float(self._nearest(X)[1].sum())

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """(N, K) float64 metres: √γ to every centre, ‖(V − V')∘W‖."""
        search = self._search()
        parameters = self._new_bodies(X)
        out = np.empty((len(parameters), len(search.posed)))
        with Threads() as threads:
            for rows, vertices in stream_vertices(self._body(), parameters):

                def work(s: slice, vertices: NDArray[np.float32] = vertices, out: NDArray[Any] = out[rows]) -> None:
                    out[s] = search.distances(vertices[s])

                threads.each_slice(work, len(vertices))
        return np.sqrt(np.maximum(out, 0))

    def fit_predict(self, X: ArrayLike, y: None = None) -> NDArray[np.int32]:
        """``fit(X).labels_``."""
        return self.fit(X).labels_

    def fit_transform(self, X: ArrayLike, y: None = None) -> NDArray[np.float64]:
        """``fit(X).transform(X)``."""
        return self.fit(X).transform(X)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={reprlib.repr(value)}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({values})"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in list(inspect.signature(type(self)).parameters)}

    def set_params(self, **params: Any) -> P3DHKMeans:
        """Change constructor arguments.

        Raises:
            ValueError: a name the constructor does not have (what scikit-learn raises).
        """
        for name, value in params.items():
            if name not in self.get_params():
                raise ValueError(f"invalid parameter {name!r} for P3DHKMeans; known: {', '.join(self.get_params())}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks an estimator in a pipeline; only scikit-learn calls it, so it is there."""
        import sklearn.utils as sk  # type: ignore[import-untyped]

        tags = {"estimator_type": "clusterer", "target_tags": sk.TargetTags(required=False)}
        return sk.Tags(**tags, transformer_tags=sk.TransformerTags(), input_tags=sk.InputTags())

    def _body(self) -> BodyModel:
        return self.body if self.body is not None else load_body()

    def _weights(self) -> Mapping[str, float]:
        return P3DH_WEIGHTS if self.weights is None else self.weights

    def _bodies(self, array: NDArray[np.float32]) -> BodyParameters:
        return _as_bodies(array)

    def _new_bodies(self, X: ArrayLike) -> BodyParameters:
        array = _numbers(X)
        if array.shape[1] != self.n_features_in_:
            found, expected = array.shape[1], self.n_features_in_
            name = type(self).__name__
            raise EstimatorError("X", f"X has {found} features, but {name} is expecting {expected} features as input")
        return self._bodies(array)

    def _search(self) -> FullSearch:
        if not hasattr(self, "cluster_centers_"):
            raise UnfittedError(type(self).__name__, "is not fitted yet", "call fit first")
        body = self._body()
        weights = vertex_weights(body, self._weights()).astype(np.float64)
        return FullSearch(pose_prototypes(body, _as_bodies(self.cluster_centers_)), weights)

    def _nearest(self, X: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        search = self._search()
        parameters = self._new_bodies(X)
        label, gamma = np.empty(len(parameters), np.int32), np.empty(len(parameters))
        with Threads() as threads:
            for rows, vertices in stream_vertices(self._body(), parameters):
                part = (label[rows], gamma[rows])

                def work(s: slice, vertices: NDArray[np.float32] = vertices, part: tuple = part) -> None:
                    part[0][s], part[1][s] = search(vertices[s])

                threads.each_slice(work, len(vertices))
        return label, gamma


def _seed(random_state: int | np.random.Generator | None) -> int:
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(np.random.default_rng(random_state).integers(2**31))


def _numbers(X: ArrayLike) -> NDArray[np.float32]:
    """X as a float32 matrix."""
    if hasattr(X, "toarray"):
        raise EstimatorError("X", "is sparse; sparse input is not supported", "pass X.toarray()")
    given = np.asarray(X)
    if given.dtype.kind == "c":
        raise EstimatorError("X", "Complex data not supported")
    array = given.astype(np.float32)
    if array.ndim != 2:
        raise EstimatorError("X", f"has shape {array.shape}, expected (N, {WIDTH})", "Reshape your data to rows")
    return array


def _as_bodies(array: NDArray[np.float32]) -> BodyParameters:
    if array.shape[1] != WIDTH:
        raise EstimatorError("X", f"has shape {array.shape}, expected (N, {WIDTH}): 72 axis-angle values and 10 betas")
    parameters = BodyParameters.of(array[:, :3], array[:, 3:72], array[:, 72:])
    try:
        check_bodies(parameters, "X")
    except InputError as error:
        raise EstimatorError(error.place, error.problem, error.remedy) from None
    return parameters

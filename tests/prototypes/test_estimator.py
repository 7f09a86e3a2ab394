"""``P3DHKMeans`` behaves like scikit-learn's estimators; scikit-learn is the oracle of the manners."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.prototypes.estimator import P3DHKMeans
from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig, fit_prototypes


@pytest.fixture(scope="module")
def X(bodies: BodyParameters) -> NDArray[np.float32]:
    return np.concatenate([bodies.pose.reshape(-1, 72), bodies.betas], axis=1)[:200]


@pytest.fixture(scope="module")
def fitted(X: NDArray[np.float32]) -> P3DHKMeans:
    return P3DHKMeans(n_clusters=7, random_state=3).fit(X)


def test_it_is_fit_prototypes(fitted: P3DHKMeans, bodies: BodyParameters, body: BodyModel) -> None:
    fit = fit_prototypes(bodies[:200], body, PrototypeConfig(k=7, seed=3))
    np.testing.assert_array_equal(fitted.labels_, fit.labels.label)
    np.testing.assert_array_equal(fitted.cluster_centers_[:, 3:72].reshape(7, 23, 3), fit.prototypes.body_pose)
    assert fitted.inertia_ == pytest.approx(fit.labels.weighted_distance.sum())
    assert fitted.n_iter_ == fit.iterations
    assert fitted.n_features_in_ == 82


def test_fitted_state_is_consistent(fitted: P3DHKMeans, X: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    distance = fitted.transform(X)
    assert distance.shape == (200, 7)
    np.testing.assert_array_equal(distance.argmin(axis=1), fitted.labels_)
    assert (distance.min(axis=1) ** 2).sum() == pytest.approx(fitted.inertia_, rel=1e-6)
    assert fitted.score(X) == pytest.approx(-fitted.inertia_, rel=1e-9)
    np.testing.assert_array_equal(fitted.predict(fitted.cluster_centers_), np.arange(7))


def test_shortcuts_and_lists(X: NDArray[np.float32], fitted: P3DHKMeans) -> None:
    model = P3DHKMeans(n_clusters=7, random_state=3)
    np.testing.assert_array_equal(model.fit_predict(X.tolist()), fitted.labels_)
    np.testing.assert_array_equal(model.fit_transform(X), fitted.transform(X))


def test_random_state(X: NDArray[np.float32]) -> None:
    def centres(state: Any) -> NDArray[np.float32]:
        return P3DHKMeans(n_clusters=4, random_state=state, max_iter=0).fit(X).cluster_centers_

    np.testing.assert_array_equal(centres(5), centres(5))
    np.testing.assert_array_equal(centres(np.random.default_rng(5)), centres(np.random.default_rng(5)))
    assert (centres(5) != centres(6)).any()
    assert (centres(None) != centres(None)).any()


def test_scikit_learn_can_clone_and_chain_it(X: NDArray[np.float32], fitted: P3DHKMeans) -> None:
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "labels_")
    chain = make_pipeline(FunctionTransformer(), P3DHKMeans(n_clusters=7, random_state=3))
    np.testing.assert_array_equal(chain.fit(X).predict(X), fitted.labels_)


def test_parameters() -> None:
    model = P3DHKMeans(3, tol=0.1)
    assert model.set_params(n_clusters=9, init="k-means++") is model
    assert model.get_params()["n_clusters"] == 9
    assert set(model.get_params()) >= {"n_clusters", "weights", "init", "max_iter", "tol", "random_state", "body"}
    with pytest.raises(ValueError, match="invalid parameter 'k' for P3DHKMeans; known: n_clusters, weights"):
        model.set_params(k=3)


def test_it_is_shown_by_its_parameters() -> None:
    shown = repr(P3DHKMeans(n_clusters=7, random_state=3))
    assert shown.startswith("P3DHKMeans(n_clusters=7, ")
    assert "random_state=3" in shown


def test_errors_name_the_place(X: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match="P3DHKMeans: is not fitted yet \\(call fit first\\)"):
        P3DHKMeans().predict(X)
    with pytest.raises(InputError, match=r"X: has shape \(3, 72\), expected \(N, 82\)"):
        P3DHKMeans().fit(X[:3, :72])
    with pytest.raises(InputError, match="X: n_samples=4 should be at least n_clusters=5"):
        P3DHKMeans(n_clusters=5).fit(X[:4])
    with pytest.raises(ValueError, match="X has 72 features, but P3DHKMeans is expecting 82 features as input"):
        P3DHKMeans(n_clusters=2, max_iter=1).fit(X[:4]).predict(X[:4, :72])
    with pytest.raises(ValueError, match="X: is sparse"):
        P3DHKMeans().fit(csr_matrix(X[:4]))
    with pytest.raises(ValueError, match="X: Complex data not supported"):
        P3DHKMeans().fit(X[:4] + 0j)
    bad = X[:4].copy()
    bad[2, 80] = np.nan
    with pytest.raises(InputError, match="X row 2: betas has NaN"):
        P3DHKMeans(n_clusters=2).fit(bad)
    with pytest.raises(InputError, match="n_init: is 0, expected at least 1"):
        P3DHKMeans(n_clusters=2, n_init=0).fit(X[:4])
    with pytest.raises(InputError, match="X: there are none"):
        P3DHKMeans(n_clusters=2).fit(np.zeros((0, 82)))


def test_scikit_learn_is_not_needed() -> None:
    code = "import sys; import hmrtk.toolkit.prototypes.estimator; print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

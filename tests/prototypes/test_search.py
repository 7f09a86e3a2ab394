"""The FAISS door: brute force in NumPy and scikit-learn's K-Means as oracles."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from sklearn.cluster import KMeans

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.prototypes.search import CentreSearch, faiss_kmeans, resolve_device, version


def test_nearest_two_are_numpys() -> None:
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(500, 9)).astype(np.float32), rng.normal(size=(20, 9)).astype(np.float32)
    square = ((points[:, None].astype(np.float64) - centres) ** 2).sum(-1)
    distance, index = CentreSearch(9, "cpu").nearest(centres, points, 2)
    np.testing.assert_array_equal(index, np.argsort(square, axis=1)[:, :2])
    np.testing.assert_allclose(distance, np.sort(square, axis=1)[:, :2], rtol=1e-4, atol=1e-5)


def test_searching_twice_forgets_the_first_centres() -> None:
    search = CentreSearch(2, "cpu")
    points = np.array([[0, 0]], np.float32)
    search.nearest(np.array([[0, 0]], np.float32), points, 1)
    assert search.nearest(np.array([[3, 4]], np.float32), points, 1)[0][0, 0] == 25


def test_faiss_kmeans_agrees_with_scikit_learn_and_uses_every_point() -> None:
    rng = np.random.default_rng(1)
    points = (rng.normal(size=(3000, 5)) + 6 * rng.integers(0, 3, (3000, 1))).astype(np.float32)
    first = points[:3].copy()
    centres, history = faiss_kmeans(points, first, 30, 0, "cpu")
    oracle = KMeans(3, init=first, n_init=1, max_iter=30, tol=0).fit(points)
    np.testing.assert_allclose(centres, oracle.cluster_centers_, atol=1e-3)
    assert history[-1] == pytest.approx(oracle.inertia_ / 3000, rel=1e-4)
    assert history[-1] < history[0]


def test_cuda_without_a_gpu_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0, raising=False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(InputError, match="device cuda: FAISS sees no GPU here \\(use device auto or cpu"):
        resolve_device("cuda")


def test_a_gpu_is_used_when_there_is_one_unless_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    assert [resolve_device(d) for d in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]


def test_unknown_device_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="unknown device 'gpu'; known: cpu, cuda, auto"):
        resolve_device("gpu")


def test_version_names_faiss() -> None:
    assert version()["faiss"] == faiss.__version__

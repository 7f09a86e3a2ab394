"""The FAISS door: brute force in NumPy and scikit-learn's K-Means as oracles."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest
from sklearn.cluster import KMeans

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.prototypes import search
from hmrtk.toolkit.prototypes.search import CentreSearch, faiss_kmeans, gpu_count, gpu_support, resolve_device, version

needs_gpu = pytest.mark.skipif(not gpu_count(), reason="FAISS sees no GPU here")


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


def test_faiss_without_gpu_support_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(faiss, "StandardGpuResources", raising=False)
    assert not gpu_support()
    assert gpu_count() == 0
    assert resolve_device("auto") == "cpu"
    with pytest.raises(InputError, match=r"this FAISS was built without GPU support .*the faiss-gpu package"):
        resolve_device("cuda")


@pytest.mark.parametrize("gpus", [1, 3])
def test_the_path_of_gpus_on_cpu_indices(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    """What is done for GPUs, with FAISS's own replicas of CPU indices in their place."""
    seen: list[int] = []
    kept: list[Any] = []

    def replicas(resources: list[Any], index: Any, options: Any) -> Any:
        assert [options.shard, options.useFloat16, options.use_cuvs] == [False] * 3
        copies = faiss.IndexReplicas(index.d)
        kept.extend(faiss.clone_index(index) for _ in resources)
        for copy in kept:
            copies.add_replica(copy)
        whole = copies.search

        def counted(points: Any, count: int) -> Any:
            seen.append(len(points))
            return whole(points, count)

        copies.search = counted
        return copies

    monkeypatch.setattr(search, "gpu_count", lambda: gpus)
    monkeypatch.setattr(search, "_resources", lambda process, count: [None] * count)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu_multiple_py", replicas)
    monkeypatch.setattr(search, "GPU_QUERY_BYTES", 4 * 9 * 50)
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(430, 9)).astype(np.float32), rng.normal(size=(20, 9)).astype(np.float32)
    found = CentreSearch(9, "cuda")
    assert found.device == "cuda"
    for given in (centres, centres[:7]):  # a second search forgets the first centres
        expected = CentreSearch(9, "cpu").nearest(given, points, 2)
        distance, index = found.nearest(given, points, 2)
        np.testing.assert_array_equal(index, expected[1])
        np.testing.assert_allclose(distance, expected[0], rtol=1e-4, atol=1e-5)
    assert max(seen[1:]) == 50 * gpus
    assert sum(seen) == 64 + 2 * 430


def test_gpus_that_round_factors_are_refused() -> None:
    class Rounding:
        """An index whose products have 11 significant bits."""

        def add(self, points: Any) -> None:
            self.points = points

        def search(self, points: Any, count: int) -> Any:
            kept = [(a.view(np.uint32) & 0xFFFFE000).view(np.float32) for a in (points, self.points)]
            square = (points**2).sum(1)[:, None] + (self.points**2).sum(1) - 2 * kept[0] @ kept[1].T
            return np.sort(square, axis=1)[:, :count], np.argsort(square, axis=1)[:, :count]

        def reset(self) -> None:
            del self.points

    for width in (2, 129, 20670):
        search._check_products(faiss.IndexFlatL2(width), width)
        with pytest.raises(InputError, match=r"device cuda: the GPU rounds the factors.*NVIDIA_TF32_OVERRIDE"):
            search._check_products(Rounding(), width)


@needs_gpu
@pytest.mark.parametrize("count", [1, 2])
def test_gpus_find_what_the_cpu_finds(count: int) -> None:
    rng = np.random.default_rng(2)
    points, centres = (rng.normal(size=(n, 129)).astype(np.float32) for n in (5000, 50))
    expected, found = (CentreSearch(129, device).nearest(centres, points, count) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)


def test_version_names_faiss() -> None:
    told = version()
    assert told["faiss"] == faiss.__version__
    assert told["gpu_support"] == ("GPU" in told["options"])

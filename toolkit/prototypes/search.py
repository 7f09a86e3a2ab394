"""The only door to FAISS: nearest-centre search and plain K-Means, on the CPU or on all GPUs.

Float32 in, float32 out. Who needs exact answers takes what is found here as candidates (``certificate``).
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.prototypes.features import Threads

DEVICES = ("auto", "cpu", "cuda")
QUERIES = 2048
"""Points that one thread searches at a time."""
GPU_QUERY_BYTES = 64 * 2**20
"""Bytes of points that each GPU is given at a time: small beside the memory of any card."""
GPU_WORKSPACE = 512 * 2**20
"""Bytes that FAISS keeps on each GPU for its own use; its default of 1.5 GB would crowd small cards."""

_gpu_lock = threading.Lock()
"""FAISS's GPU resources serve one call at a time."""


def gpu_support() -> bool:
    """Whether this FAISS was built for GPUs (``faiss-gpu``), be there one or not."""
    return hasattr(faiss, "StandardGpuResources")


def gpu_count() -> int:
    """How many GPUs FAISS can use here."""
    return faiss.get_num_gpus() if gpu_support() else 0


def resolve_device(device: str) -> str:
    """``auto``, ``cpu`` or ``cuda`` → ``cpu`` or ``cuda``: what FAISS will really use.

    Raises:
        UnknownNameError: another name.
        InputError: ``cuda`` where FAISS sees no GPU.
    """
    if device not in DEVICES:
        raise UnknownNameError("device", device, DEVICES)
    gpus = gpu_count()
    if device == "cuda" and not gpus:
        problem = "FAISS sees no GPU here" if gpu_support() else "this FAISS was built without GPU support"
        remedy = "use device auto or cpu; a GPU needs an NVIDIA driver and the faiss-gpu package"
        raise InputError("device cuda", problem, remedy)
    return "cuda" if gpus and device != "cpu" else "cpu"


class CentreSearch:
    """Squared Euclidean distances from many points to a few centres.

    With several GPUs each holds all centres and searches its share of the points.

    Args:
        width: length of the vectors.
        device: ``auto``, ``cpu`` or ``cuda``; see ``resolve_device``.

    Raises:
        UnknownNameError, InputError: as ``resolve_device``; or a GPU rounds what it multiplies.
    """

    def __init__(self, width: int, device: str = "auto") -> None:
        self.device = resolve_device(device)
        self.gpus = gpu_count() if self.device == "cuda" else 0
        index: Any = faiss.IndexFlatL2(width)
        self._index = _on_gpus(index, self.gpus) if self.gpus else index
        if self.gpus:
            _check_products(self._index, width)
        self._queries = max(1, GPU_QUERY_BYTES // (4 * width)) * self.gpus if self.gpus else QUERIES

    def nearest(
        self, centres: NDArray[np.float32], points: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The ``count`` nearest of centres (K, width) for each of points (N, width).

        Returns:
            squared distances (N, count) float32, rising, correct to float32 rounding (tiny negative values occur);
            indices (N, count) int64.
        """
        distances = np.empty((len(points), count), np.float32)
        indices = np.empty((len(points), count), np.int64)
        with _gpu_lock if self.gpus else contextlib.nullcontext():
            self._index.reset()
            self._index.add(np.ascontiguousarray(centres, np.float32))
            self._search(np.ascontiguousarray(points, np.float32), distances, indices)
        return distances, indices

    def _search(self, points: NDArray[np.float32], distances: NDArray[np.float32], indices: NDArray[np.int64]) -> None:
        def work(rows: slice) -> None:
            if not self.gpus:
                faiss.omp_set_num_threads(1)  # of the calling thread only
            distances[rows], indices[rows] = self._index.search(points[rows], indices.shape[1])

        if self.gpus:
            for start in range(0, len(points), self._queries):
                work(slice(start, start + self._queries))
            return
        with Threads() as threads:  # FAISS's own threads slow down many times beside any other busy pool
            threads.each_slice(work, len(points), self._queries)


def _on_gpus(index: Any, gpus: int) -> Any:
    """A copy of an index on each GPU, which share the queries among them.

    FAISS's own float32 kernels are asked for: cuVS's and float16 storage may round more than ``certificate`` allows.
    """
    options = faiss.GpuMultipleClonerOptions()
    options.shard, options.useFloat16, options.use_cuvs = False, False, False
    return faiss.index_cpu_to_gpu_multiple_py(_resources(os.getpid(), gpus), index, options)


def _check_products(index: Any, width: int) -> None:
    """Refuse GPUs that round the factors of float32 products: nothing could be proved from their distances.

    Raises:
        InputError: TF32 is forced on.
    """
    points = np.zeros((64, width), np.float32)
    points[:, :8] = 1 + 2.0**-12  # 13 significant bits: TF32 keeps 11
    with _gpu_lock:
        index.add(points)
        distances = index.search(points, 1)[0]
        index.reset()
    if np.abs(distances).max() > 1e-4 * points[0].sum():  # zero but for float32 rounding; ten times this with TF32
        problem = "the GPU rounds the factors of float32 products, so nothing could be proved"
        raise InputError("device cuda", problem, "unset NVIDIA_TF32_OVERRIDE, or use device cpu")


@functools.lru_cache(maxsize=2)
def _resources(process: int, gpus: int) -> list[Any]:
    """One set of resources per GPU for all searches of a process: each sets memory aside."""
    resources = [faiss.StandardGpuResources() for _ in range(gpus)]
    for one in resources:
        one.setTempMemory(GPU_WORKSPACE)
    return resources


def faiss_kmeans(
    points: NDArray[np.float32], initial: NDArray[np.float32], iterations: int, seed: int, device: str = "auto"
) -> tuple[NDArray[np.float32], list[float]]:
    """Euclidean K-Means by ``faiss.Kmeans`` on all points.

    Args:
        points: (N, D) float32.
        initial: (K, D) float32, the centres to start from.
        iterations: FAISS always runs this many.
        seed: for splitting clusters that become empty.
        device: see ``resolve_device``.

    Returns:
        centres (K, D) float32 and the mean squared distance before each update.
    """
    n, width = points.shape
    run: Any = faiss.Kmeans(
        width,
        len(initial),
        niter=iterations,
        seed=seed,
        gpu=resolve_device(device) == "cuda",
        min_points_per_centroid=1,
        max_points_per_centroid=n,  # else FAISS trains on a sample of 256 per centre
    )

    def work(_: slice) -> None:
        faiss.omp_set_num_threads(1)  # of the calling thread only; sums then do not depend on how many there are
        run.train(np.ascontiguousarray(points), init_centroids=np.ascontiguousarray(initial))

    with Threads() as threads:
        threads.each_slice(work, 1)
    return run.centroids, [float(value) / n for value in run.obj]


def version() -> dict[str, Any]:
    """FAISS's version, its compile options, whether it was built for GPUs and how many it sees."""
    options = faiss.get_compile_options().strip()
    return {"faiss": faiss.__version__, "options": options, "gpu_support": gpu_support(), "gpus": gpu_count()}

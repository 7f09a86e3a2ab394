"""The only door to FAISS: nearest-centre search and plain K-Means, on the CPU or a GPU.

Float32 in, float32 out. Who needs exact answers takes what is found here as candidates (``certificate``).
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.prototypes.features import Threads

DEVICES = ("auto", "cpu", "cuda")
QUERIES = 2048
"""Points that one thread searches at a time."""


def resolve_device(device: str) -> str:
    """``auto``, ``cpu`` or ``cuda`` → ``cpu`` or ``cuda``: what FAISS will really use.

    Raises:
        UnknownNameError: another name.
        InputError: ``cuda`` where FAISS sees no GPU.
    """
    if device not in DEVICES:
        raise UnknownNameError("device", device, DEVICES)
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    if device == "cuda" and not gpus:
        raise InputError(
            "device cuda",
            "FAISS sees no GPU here",
            "use device auto or cpu; a GPU needs an NVIDIA driver and the faiss-gpu package",
        )
    return "cuda" if gpus and device != "cpu" else "cpu"


class CentreSearch:
    """Squared Euclidean distances from many points to a few centres.

    Args:
        width: length of the vectors.
        device: ``auto``, ``cpu`` or ``cuda``; see ``resolve_device``.
    """

    def __init__(self, width: int, device: str = "auto") -> None:
        self.device = resolve_device(device)
        index: Any = faiss.IndexFlatL2(width)
        if self.device == "cuda":
            self._resources = faiss.StandardGpuResources()
            index = faiss.index_cpu_to_gpu(self._resources, 0, index)
        self._index = index

    def nearest(
        self, centres: NDArray[np.float32], points: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The ``count`` nearest of centres (K, width) for each of points (N, width).

        Returns:
            squared distances (N, count) float32, rising, correct to float32 rounding (tiny negative values occur);
            indices (N, count) int64.
        """
        self._index.reset()
        self._index.add(np.ascontiguousarray(centres, np.float32))
        if self.device == "cuda":
            return self._index.search(points, count)
        distances = np.empty((len(points), count), np.float32)
        indices = np.empty((len(points), count), np.int64)

        def work(rows: slice) -> None:
            faiss.omp_set_num_threads(1)  # of the calling thread only
            distances[rows], indices[rows] = self._index.search(points[rows], count)

        with Threads() as threads:  # FAISS's own threads slow down many times beside any other busy pool
            threads.each_slice(work, len(points), QUERIES)
        return distances, indices


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
    """FAISS's version, its compile options and the number of GPUs it sees."""
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return {"faiss": faiss.__version__, "options": faiss.get_compile_options().strip(), "gpus": gpus}

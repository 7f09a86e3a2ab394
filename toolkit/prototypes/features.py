"""What K-Means compares: weighted vertices of posed bodies, or the parameters φ themselves.

Bodies come in as ``BodyParameters``; vertices leave in chunks, so memory does not grow with their number. Translation
is always left out: a prototype is a pose and a shape, not a place.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BETA_COUNT, JOINT_COUNT, BodyParameters
from hmrtk.toolkit.engine.worker import processors
from hmrtk.toolkit.geometry.rotation import (
    axis_angle_to_rotmat,
    rot6d_to_rotmat,
    rotmat_to_axis_angle,
    rotmat_to_rot6d,
)

T = TypeVar("T")

CHUNK = 512
"""Bodies posed at a time: 42 MB of vertices."""
SLICE = 64
"""Of these, bodies per work item: 10 MB where they are needed in float64."""
PRODUCT_SLICE = 256
"""Rows of a matrix product per work item."""
AHEAD = 4
"""Results per thread that may wait for their turn."""

BLOCK = 4096
"""Rows whose sums belong together: fixed, so that results do not depend on chunks, threads or machines."""

POSE_WIDTH = 6 * JOINT_COUNT
VECTOR_WIDTH = POSE_WIDTH + BETA_COUNT
"""154: the length of φ in PM-Net, 24 rot6d and 10 betas."""


def parameter_vectors(parameters: BodyParameters) -> NDArray[np.float32]:
    """φ of N bodies: (N, 154) float32, rot6d of the 24 joints and the betas (PM-Net Algorithm 1)."""
    vectors = np.empty((len(parameters), VECTOR_WIDTH), np.float32)
    for rows in blocks(len(parameters)):
        pose = rotmat_to_rot6d(axis_angle_to_rotmat(parameters[rows].pose))
        vectors[rows, :POSE_WIDTH] = pose.reshape(-1, POSE_WIDTH)
    vectors[:, POSE_WIDTH:] = parameters.betas
    return vectors


def vector_parameters(vectors: NDArray[np.floating]) -> BodyParameters:
    """Bodies of φ (K, 154); the rotations are made orthonormal first (Gram-Schmidt), so any mean of φ will do."""
    rot6d = vectors[:, :POSE_WIDTH].astype(np.float64).reshape(-1, JOINT_COUNT, 6)
    pose = rotmat_to_axis_angle(rot6d_to_rotmat(rot6d))
    return BodyParameters.of(pose[:, 0], pose[:, 1:], vectors[:, POSE_WIDTH:])


def stream_vertices(
    body: BodyModel, parameters: BodyParameters, chunk: int = CHUNK
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Pose N bodies at the origin, a chunk at a time: (rows, (n, 6890, 3) float32 metres). The buffer is reused."""
    still = parameters.replaced(transl=np.zeros_like(parameters.transl))
    for rows, posed in body.stream(still, chunk):
        yield rows, posed.vertices


def pose_prototypes(body: BodyModel, parameters: BodyParameters) -> NDArray[np.float32]:
    """(K, 6890, 3) float32 metres, posed as ``stream_vertices`` does; equal bodies get bit-equal vertices."""
    vertices = np.empty((len(parameters), *body.v_template.shape), np.float32)
    for rows, posed in stream_vertices(body, parameters):
        vertices[rows] = posed
    return vertices


def blocks(count: int) -> list[slice]:
    """The fixed blocks of ``count`` rows, in order; the last may be shorter."""
    return [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


class Threads:
    """While entered: BLAS runs in one thread, and ``each_slice`` works with Python threads. Results never depend on
    how many.

    Two thread pools that take turns (BLAS or OpenMP, and another) wait actively for each other and cost more than
    either saves; here there is one, whose workers run serial kernels, serial BLAS and serial FAISS.
    """

    def __enter__(self) -> Threads:
        self._limits = _controller().limit(limits=1, user_api="blas")
        return self

    def __exit__(self, *_: object) -> None:
        self._limits.restore_original_limits()

    def each_slice(self, function: Callable[[slice], object], count: int, step: int = SLICE) -> None:
        """Run ``function`` on slices that cover ``range(count)`` and wait; its errors are raised here.

        There are at least two slices, of at most ``step``. They do not depend on the number of threads, so neither
        does the rounding of a matrix product in one.
        """
        self.each_fixed(function, count, max(1, min(step, -(-count // 2))))

    def each_fixed(self, function: Callable[[slice], object], count: int, step: int) -> None:
        """As ``each_slice``, but every slice but the last has ``step`` rows: row n is always in slice n // step."""
        slices = [slice(start, min(start + step, count)) for start in range(0, count, step)]
        waiting = [_pool(os.getpid(), processors()).submit(function, part) for part in slices]
        for task in waiting:
            task.result()

    def ordered(self, function: Callable[[slice], T], slices: Sequence[slice]) -> Iterator[T]:
        """``function`` of each slice, in order, a few ahead of who consumes them."""
        workers = processors()
        pool, waiting = _pool(os.getpid(), workers), deque[Future[T]]()
        for part in slices:
            waiting.append(pool.submit(function, part))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def product(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        """a @ b for two matrices of one type, the rows of ``a`` shared among the threads."""
        out = np.empty((len(a), b.shape[1]), a.dtype)
        self.each_slice(lambda rows: np.matmul(a[rows], b, out=out[rows]), len(a), PRODUCT_SLICE)
        return out


@functools.lru_cache(maxsize=4)
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """One pool per process: a forked child must not wait for its parent's threads."""
    return ThreadPoolExecutor(workers, thread_name_prefix=f"prototypes-{process}")


@functools.cache
def _controller() -> ThreadpoolController:
    """Finding the loaded BLAS libraries takes longer than limiting them: do it once."""
    return ThreadpoolController()

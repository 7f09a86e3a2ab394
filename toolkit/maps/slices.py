"""Runs a compiled kernel over a batch on a few Python threads. Called by the rasteriser and the UV-space gather.

Threads over kernels that release the GIL, rather than numba's ``prange``: numba's default pool aborts the process when
two Python threads enter it together (a shard builder does that), and ``prange`` beside a BLAS pool costs about 10 ms
per change of hands on two cores.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def over_slices(work: Callable[[int, int], None], count: int, threads: int | None = None) -> None:
    """Call ``work(first, past_last)`` on slices that cover ``range(count)`` once, at most ``threads`` at a time.

    Args:
        work: must write only to its own rows and release the GIL to gain anything.
        count: rows.
        threads: default: the cores this process may use.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(available if threads is None else max(1, threads), count)
    if workers <= 1:
        work(0, count)
        return
    # Four slices per worker even out bodies of unequal cost.
    pieces = min(count, 4 * workers)
    bounds = [count * i // pieces for i in range(pieces + 1)]
    pool = _pool(os.getpid(), workers)
    for done in [pool.submit(work, a, b) for a, b in itertools.pairwise(bounds)]:
        done.result()


@functools.lru_cache(maxsize=4)
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """One pool per process: a forked child must not wait for its parent's threads."""
    return ThreadPoolExecutor(workers, thread_name_prefix=f"maps-{process}")

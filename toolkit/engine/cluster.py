"""``RayEngine``: map a function over work items on a Ray cluster. The only module that knows Ray.

Workers are actors that unpack the function once; lost ones are replaced and their items are done again.
"""

from __future__ import annotations

import os
import pickle
import shutil
import socket
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from hmrtk.toolkit.engine.worker import (
    IN_FLIGHT_PER_WORKER,
    THREAD_VARIABLES,
    Item,
    Result,
    WorkerError,
    packed_error,
    processors,
    rebuilt_error,
)
from hmrtk.toolkit.errors import InputError

LOSSES_PER_ITEM = 3
"""How often an item is begun again because its worker was lost; after that the item is taken for the cause."""
PATIENCE_S = 10.0
"""How long to wait for an answer from the address of a cluster, seconds."""
STORE_BYTES = 512 << 20
"""Shared memory of a cluster that is started here: room for the items and results in flight."""


class RayEngine:
    """Work on a Ray cluster: the one ``RAY_ADDRESS`` names (or the process is connected to), else one started here.

    A worker is a Ray actor that holds the function. Items are pure: when a worker is lost (killed, or its machine
    gone), another takes its place and its item is done again, so the results do not change. hmrtk must be installed on
    every machine of the cluster, and paths in the function must be readable there.

    Attributes:
        workers: actors, each on one processor; never more than the cluster has.

    Raises:
        InputError: ``workers`` below 1; Ray is not installed; there is no cluster at ``RAY_ADDRESS``.
        WorkerError: no cluster can be started here.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise InputError("workers", f"expected at least 1, got {workers}")
        self._ray = _import_ray()
        self._own = not (self._ray.is_initialized() or _address())
        self._stop = _connect(self._ray, self, workers)
        available = int(self._ray.cluster_resources().get("CPU", 1))
        self.workers = max(1, min(workers or available, available))
        # Ray gives an actor one processor; on a cluster of our own there is nobody else to leave the others to.
        self._threads = max(1, processors() // self.workers) if self._own else 1

    def map_ordered(
        self, function: Callable[[Item], Result], items: Iterable[Item], describe: Callable[[Item], str] = repr
    ) -> Iterator[Result]:
        """As ``LocalEngine.map_ordered``, but lost workers are replaced.

        Raises:
            WorkerError: an item lost its worker ``LOSSES_PER_ITEM`` + 1 times, or raised what cannot be carried over.
        """
        with self.crew(function) as crew:
            source = enumerate(items)
            yield from crew.results([source] * self.workers, describe, self.workers * IN_FLIGHT_PER_WORKER)

    def crew(self, function: Callable[[Any], Any]) -> RayCrew:
        """Workers that stay between calls, so that the function may remember what it has prepared."""
        return RayCrew(self._ray, function, self.workers, self._threads)

    def close(self) -> None:
        """End the cluster, if it was started here."""
        self._stop()


class RayCrew:
    """Ray actors holding one function; a context manager, whose end stops them.

    Args:
        ray: the module.
        function: picklable; shipped once.
        workers: how many actors.
        threads: how many each may use.
    """

    def __init__(self, ray: Any, function: Callable[[Any], Any], workers: int, threads: int = 1) -> None:
        self._ray = ray
        self._function = ray.put(pickle.dumps(function))
        self._threads = threads
        self._kind = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_RayWorker)
        self._actors: list[Any] = [None] * workers

    def __enter__(self) -> RayCrew:
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            if actor is not None:
                self._ray.kill(actor)

    def call(self, items: Sequence[Any], describe: Callable[[Any], str] = repr) -> Iterator[Any]:
        """The results of ``items`` in order; item i always goes to worker i modulo their number.

        A worker that was lost is replaced by one whose function remembers nothing.

        Raises:
            WorkerError: as ``RayEngine.map_ordered``.
        """
        count = len(self._actors)
        sources = [iter([(i, items[i]) for i in range(w, len(items), count)]) for w in range(count)]
        return self.results(sources, describe, len(items))

    def results(
        self, sources: Sequence[Iterator[tuple[int, Any]]], describe: Callable[[Any], str], limit: int
    ) -> Iterator[Any]:
        """The results in the order of their positions.

        Args:
            sources: for each worker, the (position, item) pairs it takes; several may share one iterator.
            limit: items worked on or waiting for their turn to be yielded, at most.
        """
        busy: dict[Any, tuple[int, int, Any, int]] = {}  # future → worker, position, item, losses
        open_sources = dict(enumerate(sources))
        done: dict[int, Any] = {}
        following = 0
        while True:
            for worker in [w for w in open_sources if all(w != entry[0] for entry in busy.values())]:
                if len(busy) + len(done) >= limit:
                    break
                entry = next(open_sources[worker], None)
                if entry is None:
                    del open_sources[worker]
                else:
                    busy[self._send(worker, entry[1])] = (worker, *entry, 0)
            if not busy:
                return
            self._collect(busy, done, describe)
            while following in done:
                value = done.pop(following)
                if isinstance(value, _Failure):
                    raise value.error
                yield value
                following += 1

    def _collect(
        self, busy: dict[Any, tuple[int, int, Any, int]], done: dict[int, Any], describe: Callable[[Any], str]
    ) -> None:
        """Wait for a result; an item whose worker was lost is given to a new one."""
        for future in self._ray.wait(list(busy))[0]:
            worker, position, item, losses = busy.pop(future)
            try:
                ok, value = pickle.loads(self._ray.get(future))  # noqa: S301 - made by our own worker
            except self._ray.exceptions.RayError as error:
                if losses >= LOSSES_PER_ITEM:
                    raise WorkerError(_loss(describe(item), losses + 1, error)) from None
                self._ray.kill(self._actors[worker])
                self._actors[worker] = None
                busy[self._send(worker, item)] = (worker, position, item, losses + 1)
                continue
            done[position] = value if ok else _Failure(rebuilt_error(value, describe(item)))

    def _send(self, worker: int, item: Any) -> Any:
        if self._actors[worker] is None:
            self._actors[worker] = self._kind.remote(self._function, self._threads)
        return self._actors[worker].work.remote(pickle.dumps(item))


class _Failure:
    """An error that waits for its turn, so that of several the first in order is raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _RayWorker:
    """An actor's side: unpack the function at the first item, then answer items."""

    def __init__(self, function: bytes, threads: int) -> None:
        for variable in THREAD_VARIABLES:
            os.environ[variable] = str(threads)
        self.function: bytes | None = function
        self.called: Callable[[Any], Any] | None = None

    def work(self, item: bytes) -> bytes:
        try:
            if self.called is None and self.function is not None:
                self.called, self.function = pickle.loads(self.function), None  # noqa: S301 - our own driver's
            assert self.called is not None
            return pickle.dumps((True, self.called(pickle.loads(item))))  # noqa: S301 - our own driver's
        except Exception as error:
            return pickle.dumps((False, packed_error(error)))


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns that this will be its default
    try:
        import ray
    except ImportError:
        raise InputError("engine ray", "the package ray is not installed", 'pip install "hmrtk[ray]"') from None
    # Ray prints what happens to workers on stdout, whatever it is told: it would stand in the middle of --json.
    ray._private.worker._worker_logs_enabled = False
    return ray


def _connect(ray: Any, engine: RayEngine, workers: int | None) -> Callable[[], object]:
    """Connect or start a cluster; returns what ends it (also when the engine is forgotten, or at exit)."""
    if ray.is_initialized():
        return lambda: None
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    address = _address()
    if address:
        try:
            _knock(address)
            ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise InputError(f"RAY_ADDRESS {address}", f"no Ray cluster can be reached: {_reason(error)}") from None
        return weakref.finalize(engine, ray.shutdown)
    # Ray's sockets lie in this folder, and their paths may have 107 characters.
    folder = tempfile.mkdtemp(prefix="hmrtk-ray-", dir="/tmp" if os.access("/tmp", os.W_OK) else None)
    own = {"num_cpus": workers or processors(), "object_store_memory": STORE_BYTES, "_temp_dir": folder}
    try:
        ray.init(address="local", include_dashboard=False, **own, **quiet)
    except Exception as error:  # Ray raises bare exceptions when one of its processes does not come up
        _end_cluster(ray, folder)
        raise WorkerError(f"engine ray: no cluster can be started here: {_reason(error)}") from None
    return weakref.finalize(engine, _end_cluster, ray, folder)


def _address() -> str:
    """Where a cluster runs already; empty when one is to be started here."""
    address = os.environ.get("RAY_ADDRESS", "")
    return "" if address == "local" else address


def _knock(address: str) -> None:
    """Fail at once where nobody listens: Ray itself tries for minutes, and says so on stderr."""
    host, sign, port = address.removeprefix("ray://").rpartition(":")
    if sign and port.isdigit():
        socket.create_connection((host, int(port)), PATIENCE_S).close()


def _end_cluster(ray: Any, folder: str) -> None:
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def _loss(name: str, times: int, error: Exception) -> str:
    return f"{name}: its Ray worker was lost {times} times: {_reason(error)} (out of memory? try fewer workers)"


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__

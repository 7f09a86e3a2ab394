"""``LocalEngine``: map a function over work items in this process, in threads, or in spawned worker processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

from hmrtk.toolkit.engine.worker import (
    IN_FLIGHT_PER_WORKER,
    THREAD_VARIABLES,
    Item,
    Result,
    WorkerError,
    packed_error,
    rebuilt_error,
)
from hmrtk.toolkit.errors import InputError


class LocalEngine:
    """Work on this machine.

    Args:
        workers: how many items are worked on at once; 1 works in the calling process and starts nothing.
        kind: ``"process"`` (spawned; for work that holds the interpreter lock, and safe against crashes in native
            code) or ``"thread"`` (for work that releases it: no start-up cost and no copies).

    Raises:
        InputError: ``workers`` below 1.
    """

    def __init__(self, workers: int = 1, kind: Literal["process", "thread"] = "process") -> None:
        if workers < 1:
            raise InputError("workers", f"expected at least 1, got {workers}")
        self.workers, self.kind = workers, kind

    def map_ordered(
        self, function: Callable[[Item], Result], items: Iterable[Item], describe: Callable[[Item], str] = repr
    ) -> Iterator[Result]:
        """Yield ``function(item)`` for every item, in order; the first error stops the rest and is raised here.

        Args:
            function: picklable when ``kind`` is ``"process"``.
            items: consumed lazily.
            describe: an item's name in error messages.

        Raises:
            WorkerError: a worker process died, or raised an error that cannot be carried over.
        """
        if self.workers == 1:
            return (function(item) for item in items)
        if self.kind == "thread":
            return _map_threads(function, items, self.workers)
        return _map_processes(function, items, self.workers, describe)

    def close(self) -> None:
        """Nothing to stop: threads and processes end with their map."""


def _map_threads(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="hmrtk")
    waiting: list[Future[Result]] = []
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= workers * IN_FLIGHT_PER_WORKER:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """One spawned process with a pipe; knows which item it is working on."""

    def __init__(self, function: bytes, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function, threads), daemon=True)
        self.process.start()
        theirs.close()
        self.position: int | None = None

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def _map_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, describe: Callable[[Item], str]
) -> Iterator[Result]:
    """One item at a time to each worker, so that a death is blamed on the item that it was working on."""
    shipped = pickle.dumps(function)
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool: list[_Worker] = []
    source = enumerate(items)
    names: dict[int, str] = {}
    done: dict[int, Any] = {}
    following = 0
    exhausted = False
    try:
        while True:
            while not exhausted and len(names) < workers * IN_FLIGHT_PER_WORKER:
                worker = _idle(pool, workers, shipped, threads)
                if worker is None:
                    break
                entry = next(source, None)
                if entry is None:
                    exhausted = True
                    break
                names[entry[0]] = describe(entry[1])
                _send(worker, entry, names)
            if not names:
                return
            _collect(pool, names, done)
            while following in done:
                del names[following]
                yield done.pop(following)
                following += 1
    finally:
        for worker in pool:
            worker.stop()


def _idle(pool: list[_Worker], workers: int, function: bytes, threads: int) -> _Worker | None:
    for worker in pool:
        if worker.position is None:
            return worker
    if len(pool) < workers:
        pool.append(_Worker(function, threads))
        return pool[-1]
    return None


def _send(worker: _Worker, entry: tuple[int, Any], names: dict[int, str]) -> None:
    worker.position = entry[0]
    try:
        worker.pipe.send(entry)
    except OSError:
        raise _death(worker, names) from None


def _collect(pool: list[_Worker], names: dict[int, str], done: dict[int, Any]) -> None:
    """Wait for at least one result; returns at once when all that is in flight is already done."""
    busy = [worker for worker in pool if worker.position is not None]
    ready = wait([worker.pipe for worker in busy]) if busy else []
    for worker in busy:
        position = worker.position
        if worker.pipe not in ready or position is None:
            continue
        try:
            ok, value = worker.pipe.recv()
        except (EOFError, OSError):
            raise _death(worker, names) from None
        worker.position = None
        if not ok:
            raise rebuilt_error(value, names[position])
        done[position] = value


def _death(worker: _Worker, names: dict[int, str]) -> WorkerError:
    worker.process.join(timeout=5)
    code = worker.process.exitcode
    how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit status {code}"
    name = names[worker.position] if worker.position is not None else "nothing"
    return WorkerError(f"{name}: the worker process {how} (out of memory? try fewer workers)")


def _serve(pipe: Connection, function: bytes, threads: int) -> None:
    """A worker process: unpack the function once, then answer items until the other end closes."""
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, str(threads))
    work: Callable[[Any], Any] | None = None
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while True:
            _, item = pipe.recv()
            try:
                work = work or pickle.loads(function)  # noqa: S301 - made by our own parent process
                answer = (True, work(item))
            except Exception as error:
                answer = (False, packed_error(error))
            pipe.send(answer)

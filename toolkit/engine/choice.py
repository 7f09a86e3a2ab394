"""``Engine``: where work runs, and the engines by name.

In: a picklable function and an iterable of items. Out: the results in the items' order, a bounded number in flight.
Stages (shard building, K-Means) take an ``Engine``, so that a cluster can stand in for this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from hmrtk.toolkit.engine.cluster import RayEngine
from hmrtk.toolkit.engine.local import LocalEngine
from hmrtk.toolkit.engine.worker import Item, Result, processors
from hmrtk.toolkit.errors import UnknownNameError

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Where work runs. The function is shipped once per worker, so it may carry a large state (a body model)."""

    workers: int

    def map_ordered(
        self, function: Callable[[Item], Result], items: Iterable[Item], describe: Callable[[Item], str] = repr
    ) -> Iterator[Result]: ...

    def close(self) -> None: ...


def engine_by_name(name: str, workers: int | None = None) -> Engine:
    """The engine of ``--engine``: ``local`` (threads of this process) or ``ray``; close it when done.

    Args:
        workers: how many items at once; None takes every processor.

    Raises:
        UnknownNameError: another name.
        InputError: ``workers`` below 1; ``ray`` is not installed.
    """
    if name == "local":
        return LocalEngine(processors() if workers is None else workers, "thread")
    if name == "ray":
        return RayEngine(workers)
    raise UnknownNameError("engine", name, ENGINES)

"""The engine keeps order, bounds what is in flight, and fails cleanly in threads and in processes."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from hmrtk.toolkit.engine.local import LocalEngine
from hmrtk.toolkit.engine.worker import IN_FLIGHT_PER_WORKER, WorkerError
from hmrtk.toolkit.errors import InputError

KINDS = [(1, "process"), (2, "thread"), (2, "process")]


def square(x: int) -> int:
    return x * x


def picky(x: int) -> int:
    if x == 3:
        raise InputError("photos row 3", "is not a JPEG", "delete it")
    return x


def crash(x: int) -> int:
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__(threading.Lock())

    def __str__(self) -> str:
        return "cannot travel"


def raise_unpicklable(x: int) -> int:
    raise Unpicklable


@pytest.mark.parametrize(("workers", "kind"), KINDS)
def test_results_come_in_the_order_of_the_items(workers, kind):
    assert list(LocalEngine(workers, kind).map_ordered(square, range(23))) == [x * x for x in range(23)]


@pytest.mark.parametrize(("workers", "kind"), KINDS)
def test_no_items_give_no_results(workers, kind):
    assert list(LocalEngine(workers, kind).map_ordered(square, [])) == []


@pytest.mark.parametrize(("workers", "kind"), KINDS)
def test_the_first_error_is_raised_as_it_was_after_the_results_before_it_or_at_once(workers, kind):
    with pytest.raises(InputError) as caught:
        list(LocalEngine(workers, kind).map_ordered(picky, range(100)))
    assert str(caught.value) == "photos row 3: is not a JPEG (delete it)"
    assert caught.value.remedy == "delete it"


@pytest.mark.parametrize(("workers", "kind"), KINDS)
def test_items_are_taken_lazily(workers, kind):
    taken = []

    def items():
        for x in range(1000):
            taken.append(x)
            yield x

    results = LocalEngine(workers, kind).map_ordered(square, items())
    assert next(results) == 0
    assert len(taken) <= workers * IN_FLIGHT_PER_WORKER + 1
    results.close()


def test_a_killed_worker_is_an_error_that_names_its_item():
    with pytest.raises(WorkerError, match=r"item 2: the worker process was killed by signal 9 \(out of memory"):
        list(LocalEngine(2).map_ordered(crash, range(9), describe=lambda x: f"item {x}"))


def test_an_error_that_cannot_travel_keeps_its_text_and_names_the_item():
    with pytest.raises(WorkerError, match=r"item 0: Unpicklable: cannot travel") as caught:
        list(LocalEngine(2).map_ordered(raise_unpicklable, [0], describe=lambda x: f"item {x}"))
    assert "raise_unpicklable" in caught.value.__notes__[0]


def test_workers_must_be_at_least_one():
    with pytest.raises(InputError, match="workers: expected at least 1, got 0"):
        LocalEngine(0)

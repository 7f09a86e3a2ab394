"""The Ray engine: order, bounds, errors as themselves, lost workers replaced, quiet; on a cluster of real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hmrtk.toolkit.engine.cluster import LOSSES_PER_ITEM, RayEngine
from hmrtk.toolkit.engine.worker import IN_FLIGHT_PER_WORKER, WorkerError
from hmrtk.toolkit.errors import InputError


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """Two workers on a cluster of this module's own."""
    pytest.importorskip("ray")
    with contextlib.closing(RayEngine(2)) as started:
        yield started


def square(x: int) -> int:
    return x * x


def picky(x: int) -> int:
    if x == 3:
        raise InputError("photos row 3", "is not a JPEG", "delete it")
    return x


class KilledOnce:
    """Kills its process at item 5, the first time only."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __call__(self, x: int) -> int:
        if x == 5 and not self.mark.exists():
            self.mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return x + 1


def deadly(x: int) -> int:
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


def unpicklable_result(x: int) -> object:
    return threading.Lock()


class Remembers:
    """Counts its calls: shows which items the same function object served."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, x: int) -> list[int]:
        if x < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen.append(x)
        return list(self.seen)


@pytest.mark.slow
def test_results_come_in_the_order_of_the_items(engine: RayEngine) -> None:
    assert engine.workers == 2
    assert list(engine.map_ordered(square, range(23))) == [x * x for x in range(23)]
    assert list(engine.map_ordered(square, [])) == []


@pytest.mark.slow
def test_an_error_arrives_as_itself(engine: RayEngine) -> None:
    with pytest.raises(InputError) as caught:
        list(engine.map_ordered(picky, range(100), lambda x: f"row {x}"))
    assert str(caught.value) == "photos row 3: is not a JPEG (delete it)"
    assert caught.value.remedy == "delete it"
    assert "in a worker process, working on row 3" in caught.value.__notes__[0]


@pytest.mark.slow
def test_what_cannot_travel_keeps_its_text(engine: RayEngine) -> None:
    with pytest.raises(WorkerError, match=r"item 0: Unpicklable: cannot travel"):
        list(engine.map_ordered(raise_unpicklable, [0], lambda x: f"item {x}"))
    with pytest.raises(TypeError, match="pickle"):
        list(engine.map_ordered(unpicklable_result, [0]))


@pytest.mark.slow
def test_items_are_taken_lazily(engine: RayEngine) -> None:
    taken = []

    def items() -> Iterator[int]:
        for x in range(1000):
            taken.append(x)
            yield x

    results = engine.map_ordered(square, items())
    assert next(results) == 0
    assert len(taken) <= engine.workers * IN_FLIGHT_PER_WORKER + 1
    results.close()


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_item_done_again(engine: RayEngine, tmp_path: Path) -> None:
    mark = tmp_path / "killed"
    assert list(engine.map_ordered(KilledOnce(mark), range(12))) == list(range(1, 13))
    assert int(mark.read_text()) != os.getpid()


@pytest.mark.slow
def test_an_item_that_kills_every_worker_is_named(engine: RayEngine) -> None:
    expected = rf"item 2: its Ray worker was lost {LOSSES_PER_ITEM + 1} times"
    with pytest.raises(WorkerError, match=expected) as caught:
        list(engine.map_ordered(deadly, range(9), lambda x: f"item {x}"))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_crew_keeps_its_function_and_its_items_their_worker(engine: RayEngine) -> None:
    with engine.crew(Remembers()) as crew:
        assert list(crew.call([10, 11, 12, 13, 14])) == [[10], [11], [10, 12], [11, 13], [10, 12, 14]]
        assert list(crew.call([20, 21])) == [[10, 12, 14, 20], [11, 13, 21]]


SCRIPT = """
import contextlib, os, sys
from pathlib import Path
from hmrtk.toolkit.engine.cluster import RayEngine
from tests.engine.test_cluster import KilledOnce
with contextlib.closing(RayEngine(2)) as engine:
    print(list(engine.map_ordered(KilledOnce(Path(sys.argv[1])), range(8))))
"""


@pytest.mark.slow
def test_ray_says_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """In a process of its own; a worker is killed, which Ray likes to talk about."""
    pytest.importorskip("ray")
    before = set(Path("/tmp").glob("hmrtk-ray-*"))
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "killed")],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{list(range(1, 9))}\n"
    assert (tmp_path / "killed").exists()
    assert set(Path("/tmp").glob("hmrtk-ray-*")) <= before


@pytest.mark.slow
def test_a_cluster_that_runs_already_is_used_and_left_alone(engine: RayEngine, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "killed")],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | {"RAY_ADDRESS": address},
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{list(range(1, 9))}\n")
    assert list(engine.map_ordered(square, range(3))) == [0, 1, 4]


def test_without_ray_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError) as caught:
        RayEngine(2)
    assert str(caught.value) == 'engine ray: the package ray is not installed (pip install "hmrtk[ray]")'


@pytest.mark.parametrize(("address", "reason"), [("127.0.0.1:1", "Connection refused"), ("auto", "no GCS")])
def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, address: str, reason: str) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**_: object) -> None:
        raise ConnectionError("no GCS\nat all")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(InputError, match=rf"^RAY_ADDRESS {address}: no Ray cluster can be reached: .*{reason}$"):
        RayEngine()


def test_a_cluster_that_cannot_be_started_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    folders = []

    def fail(**settings: object) -> None:
        folders.append(Path(str(settings["_temp_dir"])))
        assert folders[0].is_dir()
        raise Exception("The node timed out\nduring startup")

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(WorkerError, match=r"^engine ray: no cluster can be started here: The node timed out$"):
        RayEngine()
    assert not folders[0].exists()


def test_workers_must_be_at_least_one() -> None:
    with pytest.raises(InputError, match="workers: expected at least 1, got 0"):
        RayEngine(0)

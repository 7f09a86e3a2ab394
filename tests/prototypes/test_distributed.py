"""Remote K-Means gives what local K-Means gives, also when workers forget everything or are killed."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.engine.worker import WorkerError
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.prototypes import distributed, features, statistics
from hmrtk.toolkit.prototypes.distributed import RemoteClustering, Step, runs
from hmrtk.toolkit.prototypes.features import BLOCK
from hmrtk.toolkit.prototypes.kmeans import Fit, PrototypeConfig, fit_prototypes


class FakeCrew:
    """Workers of this process, each with its own unpickled function; ``forgets`` says when one is replaced.

    Args:
        forgets: given the number of the call, the workers that are lost just before it.
    """

    def __init__(self, function: Any, workers: int, forgets: Callable[[int], Sequence[int]]) -> None:
        self.shipped = pickle.dumps(function)
        self.workers = [self._fresh() for _ in range(workers)]
        self.forgets, self.calls, self.sent = forgets, 0, list[Any]()

    def _fresh(self) -> Any:
        return pickle.loads(self.shipped)  # noqa: S301 - our own

    def call(self, items: Sequence[Any], describe: Callable[[Any], str] = repr) -> Iterator[Any]:
        for lost in self.forgets(self.calls):
            self.workers[lost] = self._fresh()
        self.calls += 1
        self.sent += [describe(item) for item in items]
        return iter([pickle.loads(pickle.dumps(w(i))) for w, i in zip(self.workers, items, strict=False)])  # noqa: S301


class FakeEngine:
    def __init__(self, workers: int, forgets: Callable[[int], Sequence[int]] = lambda call: ()) -> None:
        self.workers, self.forgets = workers, forgets
        self.crews: list[FakeCrew] = []

    @contextlib.contextmanager
    def crew(self, function: Any) -> Iterator[FakeCrew]:
        self.crews.append(FakeCrew(function, self.workers, self.forgets))
        yield self.crews[-1]
        self.crews[-1].workers = []


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 128 bodies, so that 400 bodies make four of them."""
    monkeypatch.setattr(features, "BLOCK", 128)
    monkeypatch.setattr(distributed, "BLOCK", 128)
    monkeypatch.setattr(distributed, "LOAD_BLOCKS", 1)


CONFIG = PrototypeConfig(k=7, max_iter=5, tol=0.0, seed=3)


@pytest.fixture(scope="module")
def local(bodies, body) -> Fit:
    """The result in one process, over blocks of 128."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "BLOCK", 128)
        return fit_prototypes(bodies, body, CONFIG)


def fit(engine: Any, bodies: BodyParameters, body: Any, config: PrototypeConfig) -> Fit:
    with contextlib.closing(RemoteClustering(engine)) as remote:
        return fit_prototypes(bodies, body, config, populate=remote.populate, measured=remote.measure)


def assert_equal(found: Fit, expected: Fit) -> None:
    """The same labels, centres and history, bit for bit."""
    assert found.history == expected.history
    for name in ("global_orient", "body_pose", "betas", "counts", "mean_distance"):
        np.testing.assert_array_equal(getattr(found.prototypes, name), getattr(expected.prototypes, name))
    for name in ("label", "distance", "distance_to_singular", "weighted_distance"):
        np.testing.assert_array_equal(getattr(found.labels, name), getattr(expected.labels, name))
    assert found.prototypes.metadata == expected.prototypes.metadata


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("workers", [1, 3, 9])
def test_any_number_of_workers_gives_the_local_result(workers: int, bodies, body, local: Fit) -> None:
    assert_equal(fit(FakeEngine(workers), bodies, body, CONFIG), local)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("config", [
    replace(CONFIG, init="k-means++"),
    replace(CONFIG, method="3dh", n_init=2),
    replace(CONFIG, method="random"),
    replace(CONFIG, method="mean", k=1),
    replace(CONFIG, k=60),
])  # fmt: skip
def test_every_kind_of_run_gives_the_local_result(config: PrototypeConfig, bodies, body) -> None:
    assert_equal(fit(FakeEngine(2), bodies, body, config), fit_prototypes(bodies, body, config))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("forgets", [
    lambda call: [call % 2] if call in (1, 4, 6) else [],
    lambda call: [0, 1] if call in (5, 12) else [],
], ids=["now and then", "all at once"])  # fmt: skip
def test_workers_that_forget_are_told_again(forgets, bodies, body, local: Fit) -> None:
    engine = FakeEngine(2, forgets)
    assert_equal(fit(engine, bodies, body, CONFIG), local)
    loads = [name for name in engine.crews[0].sent if name.endswith("(load)")]
    assert len(loads) > len(set(loads)) == 4


@pytest.mark.usefixtures("small_blocks")
def test_workers_that_never_keep_their_bodies_are_given_up(bodies, body) -> None:
    with pytest.raises(WorkerError, match=r"bodies 256 to 399 \(step\): the worker .* was lost 5 times in a row"):
        fit(FakeEngine(2, lambda call: [1]), bodies, body, CONFIG)


@pytest.mark.usefixtures("small_blocks")
def test_empty_clusters_are_filled_from_all_workers(body, bodies) -> None:
    """Ten bodies, each forty times: most of 30 centres stay empty, and re-seeding finds the farthest of all blocks."""
    config = replace(CONFIG, k=30)
    repeated = bodies[np.tile(np.arange(10), 40)]
    assert_equal(fit(FakeEngine(2), repeated, body, config), fit_prototypes(repeated, body, config))


@pytest.mark.usefixtures("small_blocks")
def test_many_centres_are_merged_before_they_travel(monkeypatch, bodies, body, local: Fit) -> None:
    monkeypatch.setattr(distributed, "CENTRES_PER_BLOCK", 3)
    sizes = []
    monkeypatch.setattr(distributed, "merge", lambda parts: sizes.append(1) or statistics.merge(parts))
    found, expected = fit(FakeEngine(2), bodies, body, CONFIG), local
    np.testing.assert_array_equal(found.labels.label, expected.labels.label)
    np.testing.assert_allclose(found.prototypes.body_pose, expected.prototypes.body_pose, atol=1e-6)
    steps = len(expected.history)
    assert len(sizes) == steps * (1 + 2)  # each of two workers merged its two blocks into one


def test_statistics_are_small_beside_the_bodies(bodies, body) -> None:
    """What a worker holding a block sends back per iteration does not grow with its bodies."""
    sizes = []
    for count in (100, 400):
        engine = FakeEngine(1)
        with contextlib.closing(RemoteClustering(engine)) as remote:
            fit_prototypes(bodies[:count], body, CONFIG, populate=remote.populate, measured=remote.measure)
            worker = engine.crews[0].workers[0]
            centres = bodies[:7]
            sizes.append(len(pickle.dumps(worker(Step(slice(0, count), centres, 99, 98, None)))))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)


@pytest.mark.parametrize(("count", "workers"), [(1, 4), (BLOCK, 2), (10 * BLOCK + 1, 3), (12_000, 2)])
def test_runs_are_whole_blocks_that_cover_all_rows(count: int, workers: int) -> None:
    found = runs(count, workers)
    assert 1 <= len(found) <= workers
    assert [run.start for run in found] == [0, *(run.stop for run in found[:-1])]
    assert found[-1].stop == count
    assert all(run.start % BLOCK == 0 and run.stop > run.start for run in found)


def test_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch, bodies, body) -> None:
    monkeypatch.setattr("hmrtk.toolkit.prototypes.kmeans.resolve_device", lambda device: device)
    with pytest.raises(InputError, match=r"device cuda: workers of a cluster search on the CPU \(use device auto"):
        fit(FakeEngine(1), bodies, body, replace(CONFIG, device="cuda"))


def test_the_search_in_full_dimension_is_refused(bodies, body) -> None:
    with pytest.raises(InputError, match="search full: workers of a cluster search in a few directions"):
        fit(FakeEngine(1), bodies, body, replace(CONFIG, search="full"))


class KilledWhile:
    """A ``Worker`` whose process is killed at its n-th step, once for all processes."""

    def __init__(self, worker: Any, step: int, mark: str) -> None:
        self.worker, self.step, self.mark = worker, step, mark

    def __call__(self, task: Any) -> Any:
        due = isinstance(task, Step) and task.number == self.step and task.rows.start == 0
        if due and not os.path.exists(self.mark):
            self.worker(task)
            with open(self.mark, "w") as mark:
                mark.write(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return self.worker(task)


@pytest.mark.slow
def test_a_killed_ray_worker_changes_nothing(people, body, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    from hmrtk.toolkit.engine.cluster import RayCrew, RayEngine

    class Sabotaged(RayEngine):
        def crew(self, function: Any) -> RayCrew:
            return super().crew(KilledWhile(function, 3, str(tmp_path / "killed")))

    monkeypatch.setattr(distributed, "runs", lambda count, workers: [slice(0, BLOCK), slice(BLOCK, count)])
    many = people[np.arange(BLOCK + 100) % len(people)]
    config = replace(CONFIG, k=12)
    expected = fit_prototypes(many, body, config)
    with contextlib.closing(Sabotaged(2)) as engine:
        found = fit(engine, many, body, config)
    assert int((tmp_path / "killed").read_text()) != os.getpid()
    assert_equal(found, expected)

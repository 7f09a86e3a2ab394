"""K-Means on other machines: ``RemotePopulation`` offers what ``population`` does, with the bodies held by workers.

In: bodies and an engine whose workers stay between calls (``engine.cluster.RayEngine``). Every worker holds one run of
whole blocks (``features.blocks``): parameters, projected coordinates, quaternions; about 1 KB a body. Per iteration,
the centres go out and ``Statistics`` come back, so what travels does not grow with the number of bodies of a worker.
Sums are formed over the same blocks in the same order as in one process, and merged before they travel only where there
are so many centres that they would outweigh the bodies.

A worker that was lost is replaced by one that knows nothing: it says which bodies it misses, is sent them, projects
them again, and finds the labels of the step before from the centres of the step before. ``pipeline`` calls this for
``--engine ray``.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.engine.worker import WorkerError, processors
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.certificate import Assignment, ExactAssigner
from hmrtk.toolkit.prototypes.features import BLOCK, blocks
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.measure import measure
from hmrtk.toolkit.prototypes.projection import VertexSpace
from hmrtk.toolkit.prototypes.statistics import Statistics, block_statistics, merge, quaternion_planes

LOADING, MEASURING = "posing and projecting bodies", "measuring distances"
"""Stages of the progress, as in one process."""
LOAD_BLOCKS = 4
"""Blocks sent to a worker at a time: 5 MB, and a step of the progress bar."""
RELOADS = 4
"""How often in a row a question is asked again because workers had lost their bodies."""
CENTRES_PER_BLOCK = 128
"""Statistics of so many centres weigh as much as a block of bodies; with more, several blocks are merged first."""


class Crew(Protocol):
    """Workers that hold a function between calls (``engine.cluster.RayCrew``); item i always goes to the i-th."""

    def call(self, items: Sequence[Any], describe: Callable[[Any], str] = repr) -> Iterator[Any]: ...


class CrewEngine(Protocol):
    """Where a crew comes from."""

    workers: int

    def crew(self, function: Callable[[Any], Any]) -> contextlib.AbstractContextManager[Crew]: ...


@dataclass(frozen=True, eq=False)
class Load:
    """Bodies to hold, from row ``first`` on."""

    first: int
    bodies: BodyParameters


@dataclass(frozen=True)
class Missing:
    """The answer of a worker that does not hold these rows."""

    rows: tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Step:
    """Assign the bodies ``rows`` to ``centres``; answer: ``Statistics`` in the order of the blocks.

    Attributes:
        number, last: names of this step and of the one before; 0 when there is none.
        before: the centres of the step before; None counts every label as changed.
    """

    rows: slice
    centres: BodyParameters
    number: int
    last: int
    before: BodyParameters | None

    def on(self, held: Held) -> list[Statistics]:
        label = None
        if self.before is not None:
            label = held.label if held.step == self.last else held.assigner.assign(self.before).label
        assignment = held.assigner.assign(self.centres)
        held.step, held.label = self.number, assignment.label
        return list(_statistics(held, assignment, label, self.rows.start))


@dataclass(frozen=True, eq=False)
class Nearest:
    """Find the nearest of ``centres``; answer: (n,) int32 labels."""

    rows: slice
    centres: BodyParameters

    def on(self, held: Held) -> NDArray[np.int32]:
        return held.assigner.assign(self.centres).label


@dataclass(frozen=True)
class Coordinates:
    """Answer: (n, d + 1) float32, the projected bodies."""

    rows: slice

    def on(self, held: Held) -> NDArray[np.float32]:
        return held.assigner.coordinates


@dataclass(frozen=True, eq=False)
class Measure:
    """``measure.measure`` on the bodies ``rows``; its answer."""

    rows: slice
    prototypes: BodyParameters
    singular: BodyParameters
    weights: NDArray[np.floating]
    label: NDArray[np.integer] | None
    nearest: bool

    def on(self, held: Held) -> tuple[Labels, NDArray[np.float64]]:
        bodies = (held.assigner.space.body, held.parameters, self.prototypes, self.singular)
        return measure(*bodies, self.weights, self.label, self.nearest)


Task = Step | Nearest | Coordinates | Measure


class Held:
    """The bodies of one run of whole blocks, ready to be assigned.

    Attributes:
        step, label: name of the last step and the labels it found.
    """

    def __init__(self, space: VertexSpace, parameters: BodyParameters, coordinates: NDArray[np.float32]) -> None:
        self.parameters, self.planes = parameters, quaternion_planes(parameters)
        self.assigner = ExactAssigner(space, parameters, coordinates, "cpu")
        self.step = 0
        self.label: NDArray[np.int32] | None = None


class Worker:
    """Callable: a task → its answer, or ``Missing``. It remembers its bodies; a fresh copy remembers nothing.

    Args:
        space: where bodies are compared.
    """

    def __init__(self, space: VertexSpace) -> None:
        self.space = space
        self._parts: dict[int, tuple[BodyParameters, NDArray[np.float32]]] = {}
        self._held: tuple[slice, Held] | None = None

    def __getstate__(self) -> dict[str, Any]:
        space = self.space
        return {"arrays": space.body.arrays, "space": (space.weights, space.mean, space.basis, space.residual)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(VertexSpace(BodyModel(state["arrays"], processors()), *state["space"]))  # type: ignore[misc]

    def __call__(self, task: Load | Task | None) -> Any:
        """None, for a worker with nothing to do, is answered by None."""
        if task is None:
            return None
        if isinstance(task, Load):
            self._parts[task.first] = (task.bodies, self.space.project(task.bodies))
            return len(task.bodies)
        if self._held is None or self._held[0] != task.rows:
            missing = self._missing(task.rows)
            if missing:
                return Missing(missing)
            self._assemble(task.rows)
        assert self._held is not None
        return task.on(self._held[1])

    def _missing(self, rows: slice) -> tuple[slice, ...]:
        return tuple(part for part in _pieces(rows) if part.start not in self._parts)

    def _assemble(self, rows: slice) -> None:
        """Join the parts; they are let go, so that bodies are held once."""
        parts = [self._parts.pop(part.start) for part in _pieces(rows)]
        parameters = BodyParameters.concatenate([bodies for bodies, _ in parts])
        coordinates = np.concatenate([projected for _, projected in parts])
        self._held = (rows, Held(self.space, parameters, coordinates))


class RemotePopulation:
    """Bodies held by a crew of ``Worker``s; a ``population.Population``.

    Args:
        crew: workers whose function is ``Worker(space)``.
        workers: how many.
        parameters: N bodies.
        progress: told while they are posed and projected.
    """

    device = "cpu"

    def __init__(self, crew: Crew, workers: int, parameters: BodyParameters, progress: Progress = silent) -> None:
        self.crew, self.parameters = crew, parameters
        self.runs = runs(len(parameters), workers)
        self._number = 0
        self._last: BodyParameters | None = None
        self._load([list(_pieces(run)) for run in self.runs], progress)

    def __len__(self) -> int:
        return len(self.parameters)

    def step(self, centres: BodyParameters, fresh: bool = False) -> Statistics:
        """Assign and sum up; see ``population.Population``."""
        before = None if fresh else self._last
        last, self._number = self._number, self._number + 1
        answers = self._ask(lambda rows: Step(rows, centres, self._number, last, before))
        self._last = centres
        return merge(part for answer in answers for part in answer)

    def labels(self, centres: BodyParameters) -> NDArray[np.int32]:
        """(N,) nearest centres."""
        return np.concatenate(self._ask(lambda rows: Nearest(rows, centres)))

    def coordinates(self) -> NDArray[np.float32]:
        """(N, d + 1) float32, brought here: only k-means++ needs them all."""
        return np.concatenate(self._ask(Coordinates))

    def measure(
        self,
        prototypes: BodyParameters,
        singular: BodyParameters,
        weights: NDArray[np.floating],
        label: NDArray[np.integer] | None,
        nearest: bool,
    ) -> tuple[Labels, NDArray[np.float64]]:
        """``measure.measure`` of all bodies."""

        def task(rows: slice) -> Measure:
            return Measure(rows, prototypes, singular, weights, None if label is None else label[rows], nearest)

        answers = self._ask(task)
        names = ("label", "distance", "distance_to_singular", "weighted_distance")
        labels = Labels(*(np.concatenate([getattr(found, name) for found, _ in answers]) for name in names))
        return labels, np.concatenate([closest for _, closest in answers])

    def _ask(self, task: Callable[[slice], Task]) -> list[Any]:
        """The answers of all runs, in order; workers that miss bodies are given them and asked again.

        Raises:
            WorkerError: they lose them again and again.
        """
        answers: list[Any] = [Missing(())] * len(self.runs)
        for _ in range(1 + RELOADS):
            self._load([list(a.rows) if isinstance(a, Missing) else [] for a in answers])
            tasks = [task(run) if isinstance(a, Missing) else None for a, run in zip(answers, self.runs, strict=True)]
            again = list(self.crew.call(tasks, _described))
            answers = [new if new is not None else old for new, old in zip(again, answers, strict=True)]
            lost = [run for run, answer in zip(self.runs, answers, strict=True) if isinstance(answer, Missing)]
            if not lost:
                return answers
        times = f"{1 + RELOADS} times in a row (out of memory? use more workers, or bigger ones)"
        raise WorkerError(f"{_described(task(lost[0]))}: the worker that holds them was lost {times}")

    def _load(self, wanted: list[list[slice]], progress: Progress = silent) -> None:
        """Send each worker its parts, one after the other, all workers at once."""
        done = 0
        if any(wanted):
            progress(LOADING, done, len(self))
        while any(wanted):
            now = [parts.pop(0) if parts else None for parts in wanted]
            loads = [None if rows is None else Load(rows.start, self.parameters[rows]) for rows in now]
            done += sum(count or 0 for count in self.crew.call(loads, _described))
            progress(LOADING, done, len(self))


def runs(count: int, workers: int) -> list[slice]:
    """At most ``workers`` runs of whole blocks that cover ``count`` rows, as equal as they can be."""
    total = len(blocks(count))
    bounds = [total * i // min(workers, total) * BLOCK for i in range(min(workers, total) + 1)]
    return [slice(start, min(stop, count)) for start, stop in itertools.pairwise(bounds)]


class RemoteClustering:
    """``fit_prototypes``' bodies on an engine's workers: hand ``populate`` and ``measure`` to it, then ``close``.

    Args:
        engine: its workers hold the bodies.
    """

    def __init__(self, engine: CrewEngine) -> None:
        self.engine = engine
        self._open = contextlib.ExitStack()
        self._population: RemotePopulation | None = None

    def populate(
        self, space: VertexSpace, parameters: BodyParameters, config: Any, progress: Progress
    ) -> tuple[RemotePopulation, NDArray[np.float32] | int]:
        """A ``kmeans.Populate``.

        Raises:
            InputError: a GPU or the search in full dimension is asked for.
        """
        if config.device == "cuda":
            raise InputError("device cuda", "workers of a cluster search on the CPU", "use device auto or cpu")
        if config.search != "pca":
            problem = "workers of a cluster search in a few directions"
            raise InputError(f"search {config.search}", problem, "use search pca")
        self.close()
        crew = self._open.enter_context(self.engine.crew(Worker(space)))
        self._population = RemotePopulation(crew, self.engine.workers, parameters, progress)
        needed = config.init == "k-means++"
        return self._population, self._population.coordinates() if needed else len(parameters)

    def measure(
        self,
        body: BodyModel,
        parameters: BodyParameters,
        prototypes: BodyParameters,
        singular: BodyParameters,
        weights: NDArray[np.floating],
        label: NDArray[np.integer] | None = None,
        nearest: bool = False,
        progress: Progress = silent,
    ) -> tuple[Labels, NDArray[np.float64]]:
        """``measure.measure``; by the workers when they hold these bodies, else here."""
        if self._population is None or self._population.parameters is not parameters:
            return measure(body, parameters, prototypes, singular, weights, label, nearest, progress)
        progress(MEASURING, 0, len(parameters))
        found = self._population.measure(prototypes, singular, weights, label, nearest)
        progress(MEASURING, len(parameters), len(parameters))
        return found

    def close(self) -> None:
        """Let the workers go."""
        self._open.close()
        self._population = None


def _statistics(
    held: Held, assignment: Assignment, before: NDArray[np.int32] | None, first_row: int
) -> Iterator[Statistics]:
    """Statistics of the blocks of a run, so many blocks merged that they do not outweigh the bodies."""
    together = 1 + (len(assignment.counts) - 1) // CENTRES_PER_BLOCK
    rows = blocks(len(held.parameters))
    for start in range(0, len(rows), together):
        yield merge(
            block_statistics(held.parameters, held.planes, assignment, part, before, first_row)
            for part in rows[start : start + together]
        )


def _pieces(rows: slice) -> Iterator[slice]:
    """The parts a run is sent in."""
    for start in range(rows.start, rows.stop, LOAD_BLOCKS * BLOCK):
        yield slice(start, min(start + LOAD_BLOCKS * BLOCK, rows.stop))


def _described(task: Load | Task | None) -> str:
    if task is None:
        return "nothing"
    rows = slice(task.first, task.first + len(task.bodies)) if isinstance(task, Load) else task.rows
    return f"bodies {rows.start} to {rows.stop - 1} ({type(task).__name__.lower()})"

"""Best of several starts: K-Means from different first centres on the same bodies, one after the other, resumable.

``kmeans`` calls it. The starts share everything that was computed of the bodies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.checkpoint import Checkpoint, Saved
from hmrtk.toolkit.prototypes.lloyd import Run, State, run_lloyd, significant
from hmrtk.toolkit.prototypes.population import Population


@dataclass(frozen=True)
class Limits:
    """When K-Means stops, and how often it starts; see ``kmeans.PrototypeConfig``."""

    max_iter: int
    tol: float
    n_init: int = 1


def best_of(
    population: Population,
    first: Callable[[int], BodyParameters],
    limits: Limits,
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
) -> tuple[Run, list[dict[str, Any]]]:
    """Run K-Means ``limits.n_init`` times; the run with the smallest mean distance wins, the earliest of equals.

    Args:
        first: the first centres of start 0, 1, …
        checkpoint: read at the beginning and written after every iteration.

    Returns:
        the best run, and of every start its ``mean_distance`` (m²), ``iterations`` and why it ``stopped``.
    """
    saved = (checkpoint.load() if checkpoint else None) or Saved()
    finished, champion, state = list(saved.finished), saved.champion, saved.state
    while len(finished) < limits.n_init:
        start = len(finished)

        def keep(state: State, done: tuple[dict[str, Any], ...] = tuple(finished), best: Run | None = champion) -> None:
            if checkpoint:
                checkpoint.save(Saved(done, best, state))

        told = progress if limits.n_init == 1 else _numbered(progress, start, limits.n_init)
        run = run_lloyd(population, state or first(start), limits.max_iter, limits.tol, told, keep)
        finished.append(
            {"mean_distance": significant(run.mean), "iterations": len(run.history) - 1, "stopped": run.stopped}
        )
        champion = run if champion is None or run.mean < champion.mean else champion
        state = None
        if checkpoint and start + 1 < limits.n_init:
            checkpoint.save(Saved(tuple(finished), champion, None))
    assert champion is not None
    return champion, finished


def _numbered(progress: Progress, start: int, starts: int) -> Progress:
    def told(stage: str, done: int, total: int, note: str = "") -> None:
        progress(stage, done, total, f"start {start + 1} of {starts}: {note}")

    return told

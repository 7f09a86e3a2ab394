"""Algorithm 1 of PM-Net: assign every body to its nearest centre, move the centres, repeat.

In: bodies that can be assigned and summed up (``population``) and the first centres; out: centres, and what
each iteration did. ``kmeans`` calls it for ``p3dh`` and ``3dh``.

The loop of Algorithm 1 is printed "while γ̄ < threshold or λ < limit", which would run on while the distance is
*small*, and for ever once it is. What is meant is done here: stop when no label changes, when the mean distance
improves by less than ``tol`` of itself, or after ``max_iter`` updates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.population import Population
from hmrtk.toolkit.prototypes.statistics import Statistics, centres_from
from hmrtk.toolkit.prototypes.update import reseed_empty


@dataclass(frozen=True, eq=False)
class Run:
    """What K-Means found.

    Attributes:
        centres: K bodies.
        mean: their γ̄ (m²), middle of its bounds.
        history: one entry per iteration: ``mean_distance`` γ̄ (m², middle of its bounds ``lower`` and ``upper``),
            labels ``changed``, bodies ``certified`` and ``rechecked``, ``empty`` clusters and how many were
            ``reseeded``.
        stopped: ``labels`` | ``tol`` | ``max_iter``.
        kept: iteration whose centres were kept; the last one, unless an earlier one had a smaller mean distance.
    """

    centres: BodyParameters
    mean: float
    history: list[dict[str, Any]]
    stopped: str
    kept: int


@dataclass(frozen=True, eq=False)
class State:
    """The loop between two iterations: all that must survive a kill, besides the bodies.

    Attributes:
        centres: to be assigned to next.
        before: centres of the iteration before; None at the start.
        best: the best centres so far, ``best_mean`` their γ̄ and ``kept`` their iteration.
        history: see ``Run``.
    """

    centres: BodyParameters
    before: BodyParameters | None = None
    best: BodyParameters | None = None
    best_mean: float = np.inf
    kept: int = 0
    history: tuple[dict[str, Any], ...] = ()


class Keeper(Protocol):
    """Told the state after every iteration; writes it down (``checkpoint.Checkpoint``)."""

    def __call__(self, state: State) -> None: ...


def forget(state: State) -> None:
    """A ``Keeper`` that keeps nothing."""


def run_lloyd(
    population: Population,
    first: BodyParameters | State,
    max_iter: int,
    tol: float,
    progress: Progress = silent,
    keep: Keeper = forget,
) -> Run:
    """Run K-Means from the centres ``first``, or on from the state in which it was interrupted.

    Averaging rotations does not minimise vertex distances exactly, so γ̄ may rise a little near the end. The loop then
    stops and the best centres seen are returned.
    """
    state = first if isinstance(first, State) else State(first)
    if state.before is not None:
        population.step(state.before, fresh=True)  # so that the next step knows which labels change
    stopped = ""
    while not stopped:
        iteration = len(state.history)
        statistics = population.step(state.centres, fresh=state.before is None)
        entry = _entry(statistics, iteration)
        progress("K-Means", iteration, max_iter, f"mean γ {statistics.mean:.5g} m²")
        stopped = _stop([*state.history, entry], max_iter, tol)
        moved = centres_from(statistics, state.centres)
        moved, entry["reseeded"] = (moved, 0) if stopped else reseed_empty(moved, statistics)
        better = state.best is None or statistics.mean < state.best_mean
        best = (state.centres, statistics.mean, iteration) if better else (state.best, state.best_mean, state.kept)
        state = State(moved, state.centres, *best, (*state.history, entry))
        if not stopped:
            keep(state)
    assert state.best is not None
    if len(state.history) <= max_iter:  # it stopped early; else the last iteration has said so
        progress("K-Means", max_iter, max_iter, f"mean γ {state.best_mean:.5g} m²")
    return Run(state.best, state.best_mean, list(state.history), stopped, state.kept)


def significant(value: float) -> float:
    """Six significant digits: what a float32 distance holds, so that no BLAS and no number of threads shows."""
    return float(f"{value:.6g}")


def _entry(statistics: Statistics, iteration: int) -> dict[str, Any]:
    return {
        "iteration": iteration,
        "mean_distance": significant(statistics.mean),
        "lower": significant(statistics.lower / statistics.total),
        "upper": significant(statistics.upper / statistics.total),
        "changed": statistics.changed,
        "certified": statistics.certified,
        "rechecked": statistics.rechecked,
        "empty": int((statistics.counts == 0).sum()),
    }


def _stop(history: list[dict[str, Any]], max_iter: int, tol: float) -> str:
    now = history[-1]
    if now["changed"] == 0:
        return "labels"
    if len(history) > 1 and not history[-2]["reseeded"]:
        before = history[-2]["mean_distance"]
        if before - now["mean_distance"] < tol * before:
            return "tol"
    return "max_iter" if now["iteration"] >= max_iter else ""

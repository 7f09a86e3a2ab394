"""Algorithm 1 of PM-Net: assign every body to its nearest centre, move the centres, repeat.

In: projected bodies (``certificate.ExactAssigner``) and the first centres; out: centres, their exact labels, and what
each iteration did. ``kmeans`` calls it for ``p3dh`` and ``3dh``.

The loop of Algorithm 1 is printed "while γ̄ < threshold or λ < limit", which would run on while the distance is
*small*, and for ever once it is. What is meant is done here: stop when no label changes, when the mean distance
improves by less than ``tol`` of itself, or after ``max_iter`` updates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.certificate import Assignment, ExactAssigner
from hmrtk.toolkit.prototypes.update import mean_parameters, quaternions, reseed_empty


@dataclass(frozen=True, eq=False)
class Run:
    """What K-Means found.

    Attributes:
        centres: K bodies.
        assignment: the labels with respect to exactly these centres.
        history: one entry per iteration: ``mean_distance`` γ̄ (m², middle of its bounds ``lower`` and ``upper``),
            labels ``changed``, bodies ``certified`` and ``rechecked``, ``empty`` clusters and how many were
            ``reseeded``.
        stopped: ``labels`` | ``tol`` | ``max_iter``.
        kept: iteration whose centres were kept; the last one, unless an earlier one had a smaller mean distance.
    """

    centres: BodyParameters
    assignment: Assignment
    history: list[dict[str, Any]]
    stopped: str
    kept: int


def run_lloyd(
    assigner: ExactAssigner, first: BodyParameters, max_iter: int, tol: float, progress: Progress = silent
) -> Run:
    """Run K-Means from the centres ``first``.

    Averaging rotations does not minimise vertex distances exactly, so γ̄ may rise a little near the end. The loop then
    stops and the best centres seen are returned.
    """
    parameters = assigner.parameters
    quats = quaternions(parameters)
    history: list[dict[str, Any]] = []
    centres, label, stopped = first, None, ""
    kept: list[tuple[BodyParameters, Assignment, int]] = []
    while not stopped:
        assignment = assigner.assign(centres)
        history.append(_entry(assignment, label, len(history)))
        progress("K-Means", len(history) - 1, max_iter, f"mean distance {assignment.mean:.5g} m²")
        if not kept or assignment.mean < kept[0][1].mean:
            kept = [(centres, assignment, len(history) - 1)]
        stopped = _stop(history, max_iter, tol)
        label = assignment.label
        moved = mean_parameters(quats, parameters.betas, label, centres)
        centres, history[-1]["reseeded"] = (centres, 0) if stopped else reseed_empty(moved, parameters, assignment)
    best_centres, best, iteration = kept[0]
    progress("K-Means", max_iter, max_iter, f"mean distance {best.mean:.5g} m²")
    return Run(best_centres, best, history, stopped, iteration)


def significant(value: float) -> float:
    """Six significant digits: what a float32 distance holds, so that no BLAS and no number of threads shows."""
    return float(f"{value:.6g}")


def _entry(assignment: Assignment, before: NDArray[np.int32] | None, iteration: int) -> dict[str, Any]:
    return {
        "iteration": iteration,
        "mean_distance": significant(assignment.mean),
        "lower": significant(assignment.lower.mean()),
        "upper": significant(assignment.upper.mean()),
        "changed": len(assignment.label) if before is None else int((assignment.label != before).sum()),
        "certified": assignment.certified,
        "rechecked": assignment.rechecked,
        "empty": int((assignment.counts == 0).sum()),
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

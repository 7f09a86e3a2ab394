"""Charts of the data set's own tail: both distances, the actions it is made of, and how prototypes share the samples.

In: ``Distances`` and their tables; out: charts. Called by ``tail``.
"""

from __future__ import annotations

import numpy as np

from hmrtk.reports.distances import HOW, Distances, assigned_name
from hmrtk.reports.figures import Chart, cumulative, dumbbells, histogram, ranked_bars
from hmrtk.reports.tables import Table

SHOWN_ACTIONS = 18


def distance_charts(distances: Distances, actions: Table, prototypes: Table) -> list[Chart]:
    """Histogram, cumulative curve, make-up of the tail, share per prototype."""
    both = {
        "to the singular prototype": distances.singular,
        f"to {assigned_name(distances.k).removesuffix(' prototypes')}": distances.assigned,
    }
    marks = {f" {name}": float(distances.singular[index].min()) for name, index in distances.tails.items()}
    n = f"{len(distances):,} samples."
    tail = distances.narrowest
    shown = list(actions.rows[:SHOWN_ACTIONS])
    return [
        histogram(
            both,
            "distance_histogram",
            "How far samples are from their prototype",
            f"{n} Dashed: distance to the singular prototype from which a sample belongs to T-x%. {HOW}",
            marks,
        ),
        cumulative(
            both,
            "distance_cumulative",
            "Share of samples within a distance",
            f"{n} The gap between the curves is what {distances.k} prototypes save a regressor. {HOW}",
        ),
        dumbbells(
            [row["action"] for row in shown],
            np.array([row["share"] for row in shown]),
            np.array([row[f"share {tail}"] for row in shown]),
            "tail_actions",
            f"What {tail} is made of",
            f"Share of each action among all samples and in {tail}, in percent; the {len(shown)} actions with the most "
            f"samples in {tail}. Values: table “{actions.title}”.",
            ("all samples", tail),
            "share of samples (%)",
        ),
        ranked_bars(
            np.array([row["share"] for row in prototypes.rows]),
            "prototype_share",
            "Share of samples per prototype",
            f"{n} Prototypes ordered by the number of samples assigned to them, as in the gallery.",
            ("rank of the prototype", "share of samples (%)"),
        ),
    ]

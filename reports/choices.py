"""Which prototypes systems chose: how often the nearest one, on the head and on the tail, and how much farther.

In: predictions that say which prototype each started from; out: a table, or sentences why there is none. Called by
``error_sections``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.reports.distances import MM
from hmrtk.reports.measured import Measurement
from hmrtk.reports.tables import Column, Table
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.prototypes.measure import distances_to
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

Array = NDArray[Any]


def choice_table(measured: Measurement, prototypes: PrototypeSet, body: BodyModel) -> tuple[Table | None, list[str]]:
    """Accuracy of the choice per system and subset; None when no system's choices can be judged.

    Returns:
        The table or None, and a sentence for each system that is left out although it chose.
    """
    rows: list[dict[str, Any]] = []
    left_out = []
    for name, system in measured.systems.items():
        reason = why_not(system.predictions, prototypes)
        if reason:
            left_out.append(f"{name}: {reason}")
        elif system.predictions.prototype is not None:
            rows += _rows(name, system.predictions.prototype, measured, prototypes, body)
    columns = [
        Column("system", "System"),
        Column("subset", "Subset"),
        Column("samples", "Samples"),
        Column("accuracy", "Nearest chosen", "%", 1),
        Column("chance", "Largest cluster's share", "%", 1),
        Column("chosen", "To the chosen", "mm", 1),
        Column("nearest", "To the nearest", "mm", 1),
        Column("singular", "To singular", "mm", 1),
    ]
    caption = (
        "How often the prototype that a system started from (the likeliest, where it blends several) is the one "
        "that the true body is assigned to; always choosing the "
        "largest cluster of the subset is right in the share beside it. "
        "Distances are means from the true bodies, per vertex. The head is every sample outside the widest tail."
    )
    return (Table("choices", "The chosen prototype", caption, columns, rows) if rows else None), left_out


def why_not(predictions: Predictions, prototypes: PrototypeSet) -> str:
    """Why choices cannot be judged by these prototypes, or "" where they can or none are named."""
    if predictions.prototype is None:
        return ""
    made = predictions.metadata.provenance.get("prototypes")
    if made is not None and made != prototypes.fingerprint:
        return (
            f"its choices are of the prototypes {made}, this report's are {prototypes.fingerprint}; pass the network's "
            "own to judge them."
        )
    highest = int(predictions.prototype.max())
    if highest >= len(prototypes):
        return f"it chose prototype {highest}, but there are only {len(prototypes)} here."
    return ""


def _rows(
    name: str, chosen: Array, measured: Measurement, prototypes: PrototypeSet, body: BodyModel
) -> list[dict[str, Any]]:
    distances = measured.distances
    away = MM * distances_to(measured.records.parameters(), prototypes, body, chosen).astype(np.float64)
    nearest = MM * distances_to(measured.records.parameters(), prototypes, body, distances.label).astype(np.float64)
    widest = next(iter(distances.tails))
    head = np.setdiff1d(np.arange(len(distances)), distances.tails[widest])
    subsets = {"Full": np.arange(len(distances)), f"Head (not {widest})": head, **distances.tails}
    rows = []
    for subset, index in subsets.items():
        if len(index):
            label = distances.label[index]
            rows.append(
                {
                    "system": name,
                    "subset": subset,
                    "samples": len(index),
                    "accuracy": 100 * float((chosen[index] == label).mean()),
                    "chance": 100 * float(np.bincount(label).max()) / len(index),
                    "chosen": float(away[index].mean()),
                    "nearest": float(nearest[index].mean()),
                    "singular": float(distances.singular[index].mean()),
                }
            )
    return rows

"""The report's large numbers, and what it was made from.

In: what was measured; out: the first and the last part of the page. Called by ``tail``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hmrtk.reports.distances import HOW, Distances, assigned_name, saved
from hmrtk.reports.measured import Measured
from hmrtk.reports.sentences import method_of
from hmrtk.reports.significance import Groups
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.evaluation.protocols import Protocol
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.table import RecordTable


def facts(distances: Distances, systems: Mapping[str, Measured]) -> list[tuple[str, str]]:
    """(value, what it is) of the page's large numbers."""
    tail = distances.narrowest
    rows = distances.tails[tail]
    whole = float(distances.singular.mean()), float(distances.assigned.mean())
    found = [
        (f"{len(distances):,}", "samples"),
        (f"{whole[0]:.0f} mm", "mean distance to the singular prototype"),
        (f"{whole[1]:.0f} mm", f"to {assigned_name(distances.k)} ({saved(*whole)})"),
        (f"{distances.singular[rows].mean():.0f} mm", f"{tail}: mean distance to the singular prototype"),
        (f"{distances.assigned[rows].mean():.0f} mm", f"{tail}: mean distance to the assigned prototype"),
    ]
    for name, system in systems.items():
        pve = system.errors.pve
        found.append((f"{pve.mean():.0f} → {pve[rows].mean():.0f}", f"{name}: MPVPE in mm, all → {tail}"))
    return found


def details(
    records: RecordTable,
    prototypes: PrototypeSet,
    singular: PrototypeSet,
    body: BodyModel,
    protocol: Protocol,
    systems: Mapping[str, Measured],
    seed: int,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """name → value of everything that the report was made from."""
    measured: dict[str, Any] = {"Protocol": protocol.describe()} if systems else {}
    for name, system in systems.items():
        about = system.identity()
        network = f", checkpoint {about['checkpoint']}" if about["checkpoint"] else ""
        measured[f"Predictions of {name}"] = f"{about['place']}, {about['fingerprint']}{network}"
    if systems:
        measured["Intervals"] = f"percentile bootstrap and sign flips, {Groups.of(records).describe()}; seed {seed}"
    return {
        "Records": f"{records.place}, {len(records):,} rows",
        "Body": f"{body.fingerprint} ({body.gender})",
        "Prototypes": f"{prototypes.fingerprint}, K = {len(prototypes)}, method {method_of(prototypes)}",
        "Singular prototype": f"{singular.fingerprint}, method {method_of(singular)}",
        "Distance": HOW,
        **measured,
        "Provenance": dict(provenance),
    }

"""``run_sweep``: the same clustering with several K and several limb weights, several seeds each (the clustering side
of PM-Net Table V).

In: bodies to cluster, and bodies held out; out: one ``Outcome`` per setting. Every finished fit is kept as a small
JSON file and used again while its inputs stay the same, so a killed sweep goes on where it stopped, and one more K or
seed costs only its own fits. ``cli.sweep`` calls it, ``reports.sweep`` shows it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.kmeans import Fit, PrototypeConfig, fit_prototypes
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import package_version, read_json, write_json

RUN_KIND = "hmrtk.sweep_run"
RUN_VERSION = 1
FULL = "Full"
"""Name of the subset with all samples (PM-Net Tab. V)."""

_SPEED_ONLY = ("device", "dims", "search")
"""Options of ``PrototypeConfig`` that never change a label."""


@dataclass(frozen=True)
class SweepConfig:
    """What is tried.

    Attributes:
        ks: numbers of prototypes, at the limb weight of ``base`` (PM-Net Tab. V, top half).
        limbs: limb weights, at ``limb_k`` prototypes (bottom half); the other part weights are those of ``base``.
        limb_k: the dataset's own K.
        seeds: fits of every setting, with the seeds ``base.seed``, ``base.seed + 1``, …
        base: everything else.
    """

    ks: tuple[int, ...] = (5, 10, 50, 100, 500, 1000)
    limbs: tuple[float, ...] = (1.0, 3.0, 5.0, 7.0, 10.0)
    limb_k: int = 50
    seeds: int = 3
    base: PrototypeConfig = field(default_factory=PrototypeConfig)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return json.loads(json.dumps({**asdict(self), "base": _plain(self.base)}, default=str))


@dataclass(frozen=True)
class Setting:
    """One K and one limb weight, and the sweeps (``k``, ``limbs``) that it belongs to."""

    k: int
    limbs: float
    sweeps: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Split:
    """Bodies that are measured.

    Attributes:
        name: e.g. ``train``.
        parameters: N bodies.
        fingerprint: of the records they came from.
        tails: name → rows of each T-x%, by the distance to the singular prototype.
    """

    name: str
    parameters: BodyParameters
    fingerprint: str
    tails: Mapping[str, NDArray[np.int64]]

    @property
    def subsets(self) -> dict[str, NDArray[np.int64]]:
        """``Full``, then every T-x%."""
        return {FULL: np.arange(len(self.parameters)), **self.tails}


@dataclass(frozen=True, eq=False)
class Outcome:
    """A setting and its fits, one per seed.

    Attributes:
        setting: see there.
        runs: what each fit gave, as plain JSON values (see ``measured_run``).
        agreement: adjusted Rand index of the training labels of each pair of seeds; empty with one seed.
    """

    setting: Setting
    runs: Sequence[dict[str, Any]]
    agreement: Sequence[float]

    def distance(self, split: str, subset: str) -> NDArray[np.float64]:
        """(seeds,) metres: mean distance of the subset to the assigned prototypes."""
        return np.array([run["splits"][split][subset]["distance"] for run in self.runs])

    def singular(self, split: str, subset: str) -> float:
        """Metres: mean distance of the subset to the singular prototype, which no setting changes."""
        return float(self.runs[0]["splits"][split][subset]["singular"])

    def values(self, name: str) -> NDArray[np.float64]:
        """(seeds,) ``iterations`` or ``seconds``."""
        return np.array([run[name] for run in self.runs], np.float64)

    def gamma(self, split: str) -> NDArray[np.float64]:
        """(seeds,) m²: mean γ to the nearest prototype under PM-Net's weights, whatever the setting's own."""
        return np.array([run["gamma"][split] for run in self.runs])

    def sizes(self) -> list[NDArray[np.int64]]:
        """Cluster sizes of each fit, largest first."""
        return [np.array(run["sizes"]) for run in self.runs]


@dataclass(frozen=True, eq=False)
class Sweep:
    """A finished sweep: its outcomes in the order of ``plan``, what was left out and why, and how many fits ran now."""

    config: SweepConfig
    outcomes: Sequence[Outcome]
    notes: Sequence[str]
    fitted: int
    reused: int

    def of(self, sweep: str) -> list[Outcome]:
        """Outcomes of ``k`` or ``limbs``, in rising order."""
        found = [o for o in self.outcomes if sweep in o.setting.sweeps]
        return sorted(found, key=lambda o: (o.setting.k, o.setting.limbs))


def plan(config: SweepConfig, bodies: int) -> tuple[list[Setting], list[str]]:
    """The settings to fit, each once, and what is left out and why.

    Raises:
        InputError: fewer than one seed, or nothing left to try.
    """
    if config.seeds < 1:
        raise InputError("seeds", f"expected at least 1, got {config.seeds}")
    default = float(config.base.weights["limbs"])
    wanted = [(k, default, "k") for k in sorted(set(config.ks))]
    notes = []
    if config.limbs and config.base.method in ("3dh", "naive"):
        notes.append(f"limb weights are left out: the method {config.base.method} does not use them")
    elif config.limbs:
        wanted += [(config.limb_k, float(w), "limbs") for w in sorted(set(config.limbs))]
    found: dict[tuple[int, float], tuple[str, ...]] = {}
    for k, limbs, sweep in wanted:
        if k <= bodies:
            found[k, limbs] = (*found.get((k, limbs), ()), sweep)
    for sweep, what in (("k", ""), ("limbs", " (limb weights)")):
        large = sorted({k for k, _, s in wanted if s == sweep and k > bodies})
        notes += [f"K = {k}{what} is left out: there are only {bodies} samples to cluster" for k in large]
    if not found:
        raise InputError("sweep", "there is nothing to try", "; ".join(notes) or "name a K or a limb weight")
    return [Setting(k, limbs, sweeps) for (k, limbs), sweeps in found.items()], notes


def run_sweep(
    splits: Sequence[Split], body: BodyModel, config: SweepConfig, out: Path, progress: Progress = silent
) -> Sweep:
    """Fit every setting on the first split and measure it on all of them.

    Args:
        splits: the training bodies, then those held out (may be none).
        out: folder that keeps each finished fit (``runs/*.json``).

    Raises:
        InputError: no bodies, NaN in one, an option out of range, nothing to try.
        OutputError: the folder cannot be written.
    """
    settings, notes = plan(config, len(splits[0].parameters))
    jobs = [(s, config.base.seed + i) for s in settings for i in range(config.seeds)]
    runs: dict[Setting, list[dict[str, Any]]] = {s: [] for s in settings}
    reused = 0
    for done, (setting, seed) in enumerate(jobs):
        name = f"K = {setting.k}, limbs {setting.limbs:g}, seed {seed}"
        fit_config = _fit_config(config.base, setting, seed)
        path = out / "runs" / f"{fit_config.method}-k{setting.k}-limbs{setting.limbs:g}-seed{seed}.json"
        inputs = _inputs(splits, body, fit_config)
        run = _kept(path, inputs)
        reused += run is not None
        if run is None:
            progress("sweep", done, len(jobs), name)
            run = measured_run(splits, body, fit_config, _within(progress, done, len(jobs), name))
            write_json(path, {"kind": RUN_KIND, "schema_version": RUN_VERSION, "inputs": inputs, "run": run})
        runs[setting].append(run)
        progress("sweep", done + 1, len(jobs), name)
    outcomes = [Outcome(s, found, agreement([unpacked(r["labels"]) for r in found])) for s, found in runs.items()]
    return Sweep(config, outcomes, notes, len(jobs) - reused, reused)


def measured_run(
    splits: Sequence[Split], body: BodyModel, config: PrototypeConfig, progress: Progress = silent
) -> dict[str, Any]:
    """One fit and its numbers as plain JSON values: K, limb weight, seed, iterations, seconds (the fit alone), cluster
    ``sizes``, per split the ``gamma`` and per subset the mean ``distance`` and distance to the ``singular`` prototype
    (metres), and the training labels, packed."""
    started = time.perf_counter()
    fit = fit_prototypes(splits[0].parameters, body, config, progress)
    seconds = time.perf_counter() - started
    measured, gamma = {}, {}
    for split in splits:
        labels = fit.labels if split is splits[0] else assign(split.parameters, fit.prototypes, body)
        measured[split.name] = {name: _means(labels, rows) for name, rows in split.subsets.items()}
        gamma[split.name] = _comparable_gamma(split.parameters, fit.prototypes, labels, body)
    return {
        "k": config.k,
        "limbs": float(config.weights["limbs"]),
        "seed": config.seed,
        "iterations": fit.iterations,
        "stopped": fit.prototypes.metadata.get("stopped"),
        "seconds": round(seconds, 3),
        "sizes": sorted(_sizes(fit), reverse=True),
        "splits": measured,
        "gamma": gamma,
        "prototypes": fit.prototypes.fingerprint,
        "labels": packed(fit.labels.label),
    }


def agreement(labels: Sequence[NDArray[np.integer]]) -> list[float]:
    """Adjusted Rand index (Hubert and Arabie 1985) of each pair: 1 for the same clusters, about 0 for unrelated."""
    from sklearn.metrics import adjusted_rand_score  # type: ignore[import-untyped]

    return [float(adjusted_rand_score(a, b)) for a, b in itertools.combinations(labels, 2)]


def packed(label: NDArray[np.integer]) -> str:
    """Labels (N,) as short text: little-endian int32, deflated, base 64."""
    return base64.b64encode(zlib.compress(np.asarray(label, "<i4").tobytes(), 9)).decode()


def unpacked(text: str) -> NDArray[np.int32]:
    """The labels (N,) of ``packed``."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i4").astype(np.int32)


def _sizes(fit: Fit) -> list[int]:
    return np.bincount(fit.labels.label, minlength=len(fit.prototypes)).tolist()


def _means(labels: Labels, rows: NDArray[np.int64]) -> dict[str, float | int]:
    distance, singular = (a[rows].mean(dtype=np.float64) for a in (labels.distance, labels.distance_to_singular))
    return {"samples": len(rows), "distance": float(distance), "singular": float(singular)}


def _comparable_gamma(parameters: BodyParameters, prototypes: PrototypeSet, labels: Labels, body: BodyModel) -> float:
    """Mean γ (m²) to the nearest prototype under PM-Net's weights."""
    known = prototypes.metadata
    if known["weights"] != P3DH_WEIGHTS or known["method"] in ("3dh", "naive"):
        usual = replace(prototypes, metadata={**known, "method": "p3dh", "weights": dict(P3DH_WEIGHTS)})
        labels = assign(parameters, usual, body)
    return float(labels.weighted_distance.mean())


def _fit_config(base: PrototypeConfig, setting: Setting, seed: int) -> PrototypeConfig:
    return replace(base, k=setting.k, weights={**base.weights, "limbs": setting.limbs}, seed=seed)


def _plain(config: PrototypeConfig) -> dict[str, Any]:
    return {**asdict(config), "weights": dict(config.weights)}


def _inputs(splits: Sequence[Split], body: BodyModel, config: PrototypeConfig) -> str:
    """Fingerprint of everything a run depends on."""
    options = {name: value for name, value in _plain(config).items() if name not in _SPEED_ONLY}
    data = [[s.name, s.fingerprint, {name: len(rows) for name, rows in s.tails.items()}] for s in splits]
    value = {"options": options, "splits": data, "body": body.fingerprint, "package": package_version()}
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _kept(path: Path, inputs: str) -> dict[str, Any] | None:
    """The run in ``path`` if it was made from the same inputs; a damaged or other file counts as none."""
    if not path.exists():
        return None
    try:
        value = read_json(path)
    except InputError:
        return None
    known = (RUN_KIND, RUN_VERSION, inputs)
    if not isinstance(value, dict) or tuple(value.get(n) for n in ("kind", "schema_version", "inputs")) != known:
        return None
    return value["run"]


def _within(progress: Progress, finished: int, fits: int, name: str) -> Progress:
    """Reports the stages of a fit as remarks on the sweep's own progress."""

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        progress("sweep", finished, fits, f"{name}: {stage} {done}/{total}")

    return report

"""``fit_prototypes``: the five ways to build a prototypical memory (PM-Net §IV-B), from bodies to prototypes and
labels.

``cli``, ``pipeline`` and ``estimator`` call it. The loop itself is ``lloyd``; this page decides what is compared with
what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, vertex_weights
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.certificate import ExactAssigner
from hmrtk.toolkit.prototypes.checkpoint import Checkpoint, run_fingerprint
from hmrtk.toolkit.prototypes.features import parameter_vectors, vector_parameters
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.lloyd import significant
from hmrtk.toolkit.prototypes.measure import check_bodies, measure, nearest_parameters
from hmrtk.toolkit.prototypes.population import LocalPopulation, Population
from hmrtk.toolkit.prototypes.projection import VertexSpace, fit_space
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.prototypes.search import faiss_kmeans, resolve_device
from hmrtk.toolkit.prototypes.starts import Limits, best_of
from hmrtk.toolkit.prototypes.update import INITS, Points, initial_rows, singular_parameters, without_translation
from hmrtk.toolkit.records.artefact import provenance
from hmrtk.toolkit.records.remote import Place

METRICS = {
    "p3dh": "weighted vertices, m²",
    "3dh": "vertices, m²",
    "naive": "parameters (24 rot6d and 10 betas), squared",
    "random": "weighted vertices, m²",
    "mean": "weighted vertices, m²",
}
METHODS = tuple(METRICS)
SEARCHES = ("pca", "faiss", "full")

_CENTRES, _BASIS = 0, 1
"""Names of a seed's random streams."""

Populate = Callable[["VertexSpace", BodyParameters, "PrototypeConfig", Progress], tuple[Population, Points]]
"""Where bodies are assigned and summed up; also returns points whose distances approximate theirs, or their number
where no point is here."""


@dataclass(frozen=True)
class PrototypeConfig:
    """How prototypes are built.

    Attributes:
        k: number of prototypes; PM-Net uses 50 for Human3.6M and UP-3D, 10 for 3DPW (§IV-B). ``mean`` always has one.
        method: ``p3dh`` (PM-Net's own), ``3dh`` (no part weights), ``naive`` (Euclidean on parameters), ``random``
            (the first centres, kept), ``mean`` (the singular prototype).
        weights: part group → weight; multiplies vertex differences *before* squaring (Algorithm 1, line 11). Every
            method reports its distances under these weights; ``p3dh`` and ``random`` also assign by them.
        init: ``random`` (§III-C) or ``k-means++``; the method ``random`` always draws at random.
        n_init: starts of ``p3dh`` and ``3dh`` from different first centres; the one with the smallest mean distance is
            kept.
        max_iter: at most this many updates of the centres.
        tol: stop when the mean distance improves by less than this share of itself; 0 goes on until no label changes.
        seed: decides the first centres; everything else follows.
        dims: directions kept for the certificate; None chooses from the data. Affects speed only, never labels.
        device: where to search: ``auto``, ``cpu`` or ``cuda``.
        search: ``pca`` compares bodies in a few directions, by FAISS on a GPU and by our own pass on the CPU; ``faiss``
            asks FAISS on the CPU too; ``full`` compares all coordinates with torch, for big GPUs (41 kB per body).
            Labels are exact in every case.
    """

    k: int = 50
    method: str = "p3dh"
    weights: Mapping[str, float] = field(default_factory=lambda: dict(P3DH_WEIGHTS))
    init: str = "random"
    n_init: int = 1
    max_iter: int = 100
    tol: float = 1e-4
    seed: int = 0
    dims: int | None = None
    device: str = "auto"
    search: str = "pca"

    def check(self, bodies: int) -> None:
        """Refuse what cannot be run on so many bodies.

        Raises:
            UnknownNameError: unknown method, initialisation, search or device.
            InputError: k, n_init, max_iter, tol or dims out of range, more prototypes than bodies, no GPU for ``cuda``.
        """
        names = (("method", self.method, METHODS), ("initialisation", self.init, INITS))
        for kind, name, known in (*names, ("search", self.search, SEARCHES)):
            if name not in known:
                raise UnknownNameError(kind, name, known)
        for name, least in (("k", 1), ("n_init", 1), ("max_iter", 0), ("tol", 0), ("dims", 1)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise InputError(name, f"is {value}, expected at least {least}")
        if self.method != "mean" and self.k > bodies:
            raise InputError("k", f"{self.k} prototypes from {bodies} bodies", f"choose k of at most {bodies}")
        if self.search == "full":
            from hmrtk.toolkit.prototypes.brute import torch_devices  # torch

            torch_devices(self.device)
        else:
            resolve_device(self.device)


@dataclass(frozen=True, eq=False)
class Fit:
    """What ``fit_prototypes`` returns.

    Attributes:
        prototypes: the set, with everything below in its metadata.
        labels: labels with respect to exactly these prototypes.
        history: per iteration, ``mean_distance`` in ``metadata["metric"]`` and (``p3dh``, ``3dh``) its bounds and
            counts.
        certified, rechecked: labels proved by bounds and labels found by full comparison, over all iterations.
        iterations: updates of the centres.
        objective: mean γ (m²) under the part weights to the ``assigned`` and to the ``nearest`` prototype: comparable
            between methods.
    """

    prototypes: PrototypeSet
    labels: Labels
    history: list[dict[str, Any]]
    certified: int
    rechecked: int
    iterations: int
    objective: dict[str, float]


def local_population(
    space: VertexSpace, parameters: BodyParameters, config: PrototypeConfig, progress: Progress = silent
) -> tuple[Population, Points]:
    """All bodies in this process, assigned by ``certificate.ExactAssigner`` or, in full, by ``brute.FullAssigner``."""
    if config.search == "full":
        from hmrtk.toolkit.prototypes.brute import FullAssigner  # torch

        guide = space.project(parameters, progress=progress) if config.init == "k-means++" else len(parameters)
        return LocalPopulation(FullAssigner(space, parameters, config.device, progress=progress), parameters), guide
    points = space.project(parameters, progress=progress)
    assigner = ExactAssigner(space, parameters, points, config.device, by_faiss=config.search == "faiss")
    return LocalPopulation(assigner, parameters), points


@dataclass(frozen=True, eq=False)
class _Centres:
    """K bodies a method chose, their labels (None: nearest under the part weights), and how it came to them."""

    bodies: BodyParameters
    label: NDArray[np.int32] | None
    history: list[dict[str, Any]]
    notes: dict[str, Any]


def fit_prototypes(
    parameters: BodyParameters,
    body: BodyModel,
    config: PrototypeConfig,
    progress: Progress = silent,
    inputs: Mapping[str, str] | None = None,
    start: PrototypeSet | None = None,
    checkpoint: str | Place | None = None,
    populate: Populate = local_population,
    measured: Callable[..., tuple[Labels, NDArray[np.float64]]] = measure,
) -> Fit:
    """Cluster N bodies.

    Args:
        parameters: N bodies; their translation is ignored.
        body: poses them; its fingerprint goes into the set.
        config: see there.
        progress: told about each chunk, and about each iteration with its mean distance.
        inputs: name → fingerprint of the files the bodies came from, for provenance.
        start: prototypes to start from instead of ``config.init`` (``p3dh`` and ``3dh``).
        checkpoint: file written after every iteration of ``p3dh`` and ``3dh``. Where it holds an earlier iteration of
            the same run, that run goes on, to the same result; posing and projecting are done again. The caller
            removes it when the result is safe.
        populate: where the bodies are assigned and summed up.
        measured: ``measure.measure``, or the same at another place (``distributed``).

    Raises:
        InputError: no bodies, NaN in one (named by row), more prototypes than bodies, an option out of range, a
            ``start`` that does not fit.
        BodyMismatchError: ``start`` was made with another body.
        UnknownNameError: unknown method, initialisation, device or part group.
    """
    check_bodies(parameters)
    config.check(len(parameters))
    if start is not None:
        _check_start(start, body, config)
        inputs = {**(inputs or {}), "start": start.fingerprint}
    weights = vertex_weights(body, config.weights)
    singular, root = singular_parameters(parameters)
    if config.method == "mean":
        chosen = _Centres(
            singular, np.zeros(len(parameters), np.int32), [], {"iterations": 1, "certified": len(parameters)}
        )
    elif config.method in ("p3dh", "3dh"):
        description = _description(config, body, inputs or {})
        keeper = Checkpoint(checkpoint, run_fingerprint(parameters, description)) if checkpoint else None
        job = _Job(parameters, body, config, weights, progress)
        chosen = _vertex_kmeans(job, start, keeper, populate)
    else:
        chosen = _BUILDERS[config.method](_Job(parameters, body, config, weights, progress))
    compare = config.method in ("naive", "3dh")
    labels, nearest = measured(body, parameters, chosen.bodies, singular, weights, chosen.label, compare, progress)
    objective = {"assigned": float(labels.weighted_distance.mean()), "nearest": float(nearest.mean())}
    history = chosen.history or [{"iteration": 0, "mean_distance": objective["assigned"]}]
    notes = {"iterations": 0, "certified": 0, "rechecked": 0, **chosen.notes, "root": root, "samples": len(parameters)}
    metadata = {**_description(config, body, inputs or {}), **notes, "objective": objective, "history": history}
    counts = np.bincount(labels.label, minlength=len(chosen.bodies))
    distance = np.bincount(labels.label, labels.distance, len(chosen.bodies)) / np.maximum(counts, 1)
    prototypes = PrototypeSet.of(chosen.bodies, metadata, counts, distance, singular)
    certified, rechecked, iterations = (int(metadata[name]) for name in ("certified", "rechecked", "iterations"))
    return Fit(prototypes, labels, history, certified, rechecked, iterations, objective)


def singular_prototype(parameters: BodyParameters, body: BodyModel, progress: Progress = silent) -> PrototypeSet:
    """The mean of all bodies as a set with K = 1 (method ``mean``); errors as in ``fit_prototypes``."""
    return fit_prototypes(parameters, body, PrototypeConfig(k=1, method="mean"), progress).prototypes


def _description(config: PrototypeConfig, body: BodyModel, inputs: Mapping[str, str]) -> dict[str, Any]:
    plain = {**asdict(config), "weights": dict(config.weights)}
    return {
        "body": body.fingerprint,
        "method": config.method,
        "metric": METRICS[config.method],
        "weights": plain["weights"],
        "weights_note": "multiply coordinate differences before squaring",
        "seed": config.seed,
        "provenance": provenance("build-prototypes", plain, body.fingerprint, inputs, config.seed),
    }


@dataclass(frozen=True, eq=False)
class _Job:
    """What every method is given: bodies, who poses them, how, vertex weights (6890,), and whom to tell."""

    parameters: BodyParameters
    body: BodyModel
    config: PrototypeConfig
    weights: NDArray[np.float32]
    progress: Progress

    def rng(self, stream: int, start: int = 0) -> np.random.Generator:
        """Independent random streams of one seed, so that all methods start from the same bodies."""
        return np.random.default_rng([self.config.seed, stream, start] if start else [self.config.seed, stream])


def _vertex_kmeans(
    job: _Job, start: PrototypeSet | None, checkpoint: Checkpoint | None, populate: Populate
) -> _Centres:
    config, parameters = job.config, job.parameters
    metric = job.weights if config.method == "p3dh" else np.ones_like(job.weights)
    space = fit_space(job.body, parameters, metric, job.rng(_BASIS), config.dims)
    population, points = populate(space, parameters, config, job.progress)

    def first(number: int) -> BodyParameters:
        if start is not None:
            return start.parameters
        rows = initial_rows(points, config.k, config.init, job.rng(_CENTRES, number))
        return without_translation(parameters[rows])

    limits = Limits(config.max_iter, config.tol, config.n_init)
    run, starts = best_of(population, first, limits, job.progress, checkpoint)
    notes = {name: sum(entry[name] for entry in run.history) for name in ("certified", "rechecked", "reseeded")}
    notes |= {"iterations": len(run.history) - 1, "kept_iteration": run.kept, "stopped": run.stopped}
    notes |= {"dims": space.dims, "left_out_energy": significant(space.residual), "device": population.device}
    notes["search"] = config.search
    notes |= {"starts": starts} if config.n_init > 1 else {}
    return _Centres(run.centres, population.labels(run.centres), run.history, notes)


def _check_start(start: PrototypeSet, body: BodyModel, config: PrototypeConfig) -> None:
    start.check_body(body)
    if config.method not in ("p3dh", "3dh"):
        raise InputError(start.place, f"method {config.method} does not start from prototypes", "use p3dh or 3dh")
    if len(start) != config.k:
        raise InputError(start.place, f"has {len(start)} prototypes, expected k = {config.k}")
    if config.n_init > 1:
        raise InputError("n_init", f"is {config.n_init}, but a given start is the same every time", "use 1")


def _naive_kmeans(job: _Job) -> _Centres:
    """Betas weigh as much as rotations here: with unit variance the ten of them dominate the clusters."""
    config = job.config
    points = parameter_vectors(job.parameters)
    rows = initial_rows(points, config.k, config.init, job.rng(_CENTRES))
    centres, history = points[rows], list[dict[str, Any]]()
    if config.max_iter:
        centres, means = faiss_kmeans(points, centres, config.max_iter, config.seed, config.device)
        history = [{"iteration": i, "mean_distance": significant(value)} for i, value in enumerate(means)]
    for i, entry in enumerate(history):
        job.progress("K-Means", i + 1, len(history), f"mean distance {entry['mean_distance']:.5g}")
    bodies = vector_parameters(centres)
    label, distance = nearest_parameters(job.parameters, bodies)
    history.append({"iteration": len(history), "mean_distance": significant(distance.mean())})
    return _Centres(bodies, label, history, {"iterations": len(history) - 1, "rechecked": len(label)})


def _random_centres(job: _Job) -> _Centres:
    rows = initial_rows(len(job.parameters), job.config.k, "random", job.rng(_CENTRES))
    return _Centres(without_translation(job.parameters[rows]), None, [], {"rechecked": len(job.parameters)})


_BUILDERS = {"naive": _naive_kmeans, "random": _random_centres}

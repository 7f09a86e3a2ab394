"""P3DH K-Means against ``faiss.Kmeans`` and scikit-learn on raw weighted vertices: time per iteration and set-up.

Run ``python benchmarks/kmeans.py``; it needs ``shared/motion/poses.parquet`` beside the checkout and 6 GB of memory,
and writes ``results/kmeans.md`` and ``results/kmeans.json``. Bodies are real poses with seeded heading and shape. Each
contender runs alone in its own process (thread pools of different libraries slow each other down), in interleaved
rounds; the numbers are medians over rounds. The peers cluster the (N, 20 670) float32 matrix that posing leaves and
take means of vertices, which are no bodies; ours takes parameters, keeps no vertices, and its labels are exact. Posing
and weighting count as set-up for everyone.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, vertex_weights
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle

HERE = Path(__file__).resolve().parent
MOTION = HERE.parents[1] / "shared" / "motion" / "poses.parquet"
RESULTS = HERE / "results"
K = 50
PEER_LIMIT = 20_000
"""Bodies whose raw vertices (1.65 GB) and what the peers add to them stay within 6 GB."""
ITERATIONS = 10
CHECKED = 2_000
"""Bodies whose final labels are compared with a float64 brute force in all coordinates."""


def bodies(count: int) -> BodyParameters:
    """Real poses, upright for a camera whose y points down, with random heading and shape."""
    import pyarrow.parquet as pq

    column = pq.read_table(MOTION, columns=["pose"])["pose"].combine_chunks()
    pose = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, 24, 3)
    rng = np.random.default_rng(0)
    pose = pose[np.sort(rng.choice(len(pose), min(count, len(pose)), replace=False))]
    turn = np.zeros((len(pose), 3), np.float32)
    turn[:, 1] = rng.uniform(-np.pi, np.pi, len(pose))
    facing = axis_angle_to_rotmat(np.array([np.pi, 0, 0], np.float32))
    root = facing @ axis_angle_to_rotmat(turn) @ axis_angle_to_rotmat(pose[:, 0])
    return BodyParameters.of(rotmat_to_axis_angle(root), pose[:, 1:], rng.normal(size=(len(pose), 10)))


def first_centres(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).choice(count, K, replace=False)


def raw_vertices(body: BodyModel, parameters: BodyParameters) -> NDArray[np.float32]:
    weights = vertex_weights(body, P3DH_WEIGHTS)
    rows = np.empty((len(parameters), 20670), np.float32)
    for part, posed in body.stream(parameters):
        np.multiply(posed.vertices, weights[:, None], out=rows[part].reshape(posed.vertices.shape))
    return rows


def run_ours(parameters: BodyParameters) -> dict[str, Any]:
    from hmrtk.toolkit.prototypes.certificate import ExactAssigner
    from hmrtk.toolkit.prototypes.lloyd import run_lloyd
    from hmrtk.toolkit.prototypes.population import LocalPopulation
    from hmrtk.toolkit.prototypes.projection import fit_space

    body = load_body()
    weights = vertex_weights(body, P3DH_WEIGHTS)
    warm = fit_space(body, parameters[:600], weights, np.random.default_rng(0))  # compiles and loads the kernels
    few = ExactAssigner(warm, parameters[:600], warm.project(parameters[:600]))
    run_lloyd(LocalPopulation(few, parameters[:600]), parameters[:5], 1, 0.0)
    start = time.perf_counter()
    space = fit_space(body, parameters, weights, np.random.default_rng(0))
    coordinates = space.project(parameters)
    setup = time.perf_counter() - start
    ticks: list[float] = []
    assigner = ExactAssigner(space, parameters, coordinates)
    centres = parameters[first_centres(len(parameters))]
    population = LocalPopulation(assigner, parameters)
    run = run_lloyd(population, centres, ITERATIONS, 0.0, lambda *_: ticks.append(time.perf_counter()))
    return {
        "setup": setup,
        "iteration": statistics.median(np.diff(ticks[:-1])),
        "dims": space.dims,
        "certified": [entry["certified"] for entry in run.history],
        "rechecked": [entry["rechecked"] for entry in run.history],
        "mean_distance": [entry["mean_distance"] for entry in run.history],
        "wrong": wrong_labels(body, parameters, run.centres, population.labels(run.centres)),
        **search_seconds(assigner, centres),
    }


def wrong_labels(body: BodyModel, parameters: BodyParameters, centres: BodyParameters, label: NDArray[np.int32]) -> int:
    """Labels of the first ``CHECKED`` bodies that a float64 brute force disagrees with."""
    weights = vertex_weights(body, P3DH_WEIGHTS).astype(np.float64)[:, None]
    targets = (body.pose(centres).vertices * weights).reshape(K, -1)
    wrong = 0
    for rows, posed in body.stream(parameters[:CHECKED]):
        x = (posed.vertices * weights).reshape(len(posed.vertices), -1)
        gamma = np.stack([((x - target) ** 2).sum(axis=1) for target in targets], axis=1)
        wrong += int((gamma.argmin(axis=1) != label[rows]).sum())
    return wrong


def search_seconds(assigner: Any, centres: BodyParameters) -> dict[str, float]:
    """The candidate search alone: FAISS as we use it, and the same by a NumPy product."""
    from hmrtk.toolkit.prototypes.features import pose_prototypes

    reduced = assigner.space.project_vertices(pose_prototypes(assigner.space.body, centres))
    points = assigner.coordinates

    def numpy_search() -> object:
        return np.argpartition((reduced**2).sum(1) - 2 * (points @ reduced.T), 1, axis=1)[:, :2]

    def median(function: Callable[[], object]) -> float:
        times = []
        for _ in range(9):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return statistics.median(times[2:])

    return {
        "faiss_search": median(lambda: assigner.search.nearest(reduced, points, 2)),
        "numpy_search": median(numpy_search),
    }


def run_faiss(parameters: BodyParameters) -> dict[str, Any]:
    import faiss

    body = load_body()
    body.pose(parameters[:64])
    start = time.perf_counter()
    rows = raw_vertices(body, parameters)
    setup = time.perf_counter() - start
    run: Any = faiss.Kmeans(rows.shape[1], K, niter=ITERATIONS, max_points_per_centroid=len(rows))
    run.train(rows, init_centroids=rows[first_centres(len(rows))])
    ticks = [entry["time"] for entry in run.iteration_stats]
    return {"setup": setup, "iteration": statistics.median(np.diff(ticks))}


def run_sklearn(parameters: BodyParameters) -> dict[str, Any]:
    from sklearn.cluster import KMeans

    body = load_body()
    body.pose(parameters[:64])
    start = time.perf_counter()
    rows = raw_vertices(body, parameters)
    posing = time.perf_counter() - start
    first = rows[first_centres(len(rows))].copy()
    spent = {}
    for iterations in (2, ITERATIONS):
        start = time.perf_counter()
        with np.errstate(all="ignore"):
            KMeans(K, init=first, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd", copy_x=False).fit(rows)
        spent[iterations] = time.perf_counter() - start
    iteration = (spent[ITERATIONS] - spent[2]) / (ITERATIONS - 2)
    return {"setup": posing + max(spent[2] - 2 * iteration, 0), "iteration": iteration}


CONTENDERS: dict[str, Callable[[BodyParameters], dict[str, Any]]] = {
    "ours": run_ours,
    "faiss.Kmeans": run_faiss,
    "faiss.Kmeans, BLAS told Haswell": run_faiss,
    "sklearn KMeans lloyd": run_sklearn,
}
ENVIRONMENT = {"faiss.Kmeans, BLAS told Haswell": {"OPENBLAS_CORETYPE": "Haswell"}}
"""The OpenBLAS inside FAISS's wheel is old and takes a new processor for a very old one unless it is told."""


def alone(name: str, count: int) -> dict[str, Any]:
    """Run one contender in a fresh process; its numbers, its libraries, and the processors others used meanwhile."""
    before, start = busy_seconds(), time.perf_counter()
    used = os.times()
    command = [sys.executable, __file__, "--alone", name, "--bodies", str(count)]
    environment = {**os.environ, **ENVIRONMENT.get(name, {})}
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    after = os.times()
    own = after.children_user + after.children_system - used.children_user - used.children_system
    wall = time.perf_counter() - start
    return {**json.loads(text.splitlines()[-1]), "others": max(busy_seconds() - before - own, 0) / wall}


def busy_seconds() -> float:
    """Processor seconds used by everyone since boot."""
    numbers = [int(x) for x in Path("/proc/stat").read_text().split("\n")[0].split()[1:8]]
    return (sum(numbers) - numbers[3] - numbers[4]) / os.sysconf("SC_CLK_TCK")


def libraries() -> list[str]:
    """BLAS and OpenMP libraries in this process: name, architecture, threads."""
    found = threadpoolctl.threadpool_info()
    lines = {f"{p['internal_api']} {p.get('architecture') or ''} x{p['num_threads']}".replace("  ", " ") for p in found}
    return sorted(lines)


def table(rounds: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = [
        "| | set-up s | s / iteration | best round | peer : ours | best : best | processors others used | pools |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, runs in rounds.items():
        setup, iteration, others = (statistics.median(r[q] for r in runs) for q in ("setup", "iteration", "others"))
        pairs = zip(runs, rounds["ours"], strict=True)
        ratio = statistics.median(run["iteration"] / own["iteration"] for run, own in pairs)
        best, ours = (min(r["iteration"] for r in rounds[n]) for n in (name, "ours"))
        pools = "; ".join(runs[0]["libraries"])
        lines.append(
            f"| {name} | {setup:.2f} | {iteration:.4f} | {best:.4f} | {ratio:.1f} |"
            f" {best / ours:.1f} | {others:.2f} | {pools} |"
        )
    return lines


def report(count: int, rounds: dict[str, list[dict[str, Any]]], whole: dict[str, Any]) -> str:
    ours = rounds["ours"][0]
    share = [100 * r / (c + r) for c, r in zip(ours["certified"], ours["rechecked"], strict=True)]
    search = [1000 * statistics.median(r[n] for r in rounds["ours"]) for n in ("faiss_search", "numpy_search")]
    where = f"{datetime.date.today()}, {len(os.sched_getaffinity(0))} processors"
    certified, rechecked = sum(whole["certified"]), sum(whole["rechecked"])
    lines = [
        f"# K-Means of {count} bodies, K = {K}, 20 670 weighted coordinates",
        f"{where}, medians over {len(rounds['ours'])} rounds, {ITERATIONS} iterations, each alone in a process.",
        "\n".join(table(rounds)),
        f"Ours: d = {ours['dims']} directions; {share[0]:.2f} % of the bodies were compared in full at iteration 0 and "
        + f"{min(share[1:]):.2f} to {max(share[1:]):.2f} % later, the rest certified by bounds. Final labels that a "
        + f"float64 brute force on {CHECKED} bodies gives otherwise: {ours['wrong']}.",
        f"Candidate search alone: FAISS {search[0]:.1f} ms, the same by a NumPy product {search[1]:.1f} ms.",
        f"All {whole['bodies']} bodies, ours: set-up {whole['setup']:.2f} s, {whole['iteration']:.4f} s per iteration, "
        + f"{whole['memory']:.2f} GB at most; {certified} labels certified and {rechecked} compared in full over "
        + f"{len(whole['certified'])} assignments, {whole['wrong']} wrong.",
    ]
    return "\n\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=PEER_LIMIT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", choices=CONTENDERS, help="run one contender and print its numbers as JSON")
    given = parser.parse_args()
    if not MOTION.exists():
        print(f"nothing to do: no {MOTION.name} in a folder shared/motion beside the checkout")
        return
    if given.alone:
        parameters = bodies(given.bodies)
        result = CONTENDERS[given.alone](parameters)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({**result, "bodies": len(parameters), "memory": memory, "libraries": libraries()}))
        return
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for _ in range(given.rounds):
        for name, results in rounds.items():
            results.append(alone(name, min(given.bodies, PEER_LIMIT)))
            print(
                f"{name}: {results[-1]['iteration']:.4f} s per iteration, set-up {results[-1]['setup']:.2f} s",
                flush=True,
            )
    everyone = sorted((alone("ours", 10**9) for _ in range(3)), key=lambda run: run["iteration"])
    whole = everyone[1]
    text = report(rounds["ours"][0]["bodies"], rounds, whole)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "kmeans.md").write_text(text)
    (RESULTS / "kmeans.json").write_text(json.dumps({"rounds": rounds, "whole": whole}, indent=2) + "\n")


if __name__ == "__main__":
    main()

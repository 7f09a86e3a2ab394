"""P3DH K-Means at full scale: time, memory and exactness up to a million bodies, beside its peers.

Run ``python benchmarks/kmeans_scale.py``; it needs ``shared/motion`` beside the checkout and 6 GB of memory, and writes
``results/kmeans_scale.md``, ``.json`` and ``.png``. Bodies are real poses, drawn again with seeded heading and shape.
Every part runs in its own process, so that its peak memory is its own, and is kept in the JSON file: a run that was
broken off goes on where it stopped, ``--again PART`` measures one anew. Each line says how many processors others used
meanwhile; timings beside busy neighbours are upper bounds.
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
from kmeans import busy_seconds, libraries, raw_vertices, run_sklearn
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, vertex_weights
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle

HERE = Path(__file__).resolve().parent
MOTION = HERE.parents[1] / "shared" / "motion"
RESULTS = HERE / "results"
H36M = 312_188
"""Training bodies of Human3.6M (PM-Net §IV-A)."""
SMALL = 20_000
PAPER_SAMPLE = 2_048
CHECKED = 5_000
CHUNK = 65_536
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
KS = (5, 10, 50, 100, 200, 500, 1000)
K_BODIES = 100_000


def bodies(count: int) -> BodyParameters:
    """Real poses, each used about equally often, upright for a camera whose y points down, random heading and shape."""
    import pyarrow.parquet as pq

    pool = []
    for name in ("poses", "poses_30fps"):
        column = pq.read_table(MOTION / f"{name}.parquet", columns=["pose"])["pose"].combine_chunks()
        pool.append(column.flatten().to_numpy(zero_copy_only=False).reshape(-1, 24, 3))
    poses = np.concatenate(pool)  # float16
    rng = np.random.default_rng(0)
    rounds = [rng.permutation(len(poses)) for _ in range(-(-count // len(poses)))]
    order = np.concatenate(rounds)[:count]
    heading = rng.uniform(-np.pi, np.pi, count).astype(np.float32)
    betas = rng.normal(size=(count, 10)).astype(np.float32)
    body_pose, orient = np.empty((count, 23, 3), np.float32), np.empty((count, 3), np.float32)
    facing = axis_angle_to_rotmat(np.array([np.pi, 0, 0], np.float32))
    for start in range(0, count, CHUNK):
        rows = slice(start, start + CHUNK)
        drawn = poses[order[rows]].astype(np.float32)
        turn = np.zeros((len(drawn), 3), np.float32)
        turn[:, 1] = heading[rows]
        body_pose[rows] = drawn[:, 1:]
        orient[rows] = rotmat_to_axis_angle(facing @ axis_angle_to_rotmat(turn) @ axis_angle_to_rotmat(drawn[:, 0]))
    return BodyParameters.of(orient, body_pose, betas)


def memory() -> float:
    """Peak memory of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


class Timed:
    """A population that notes when its steps end, and keeps what some iterations answered for some rows."""

    def __init__(self, inner: Any, rows: NDArray[np.int64], kept: tuple[int, ...]) -> None:
        self.inner, self.device, self.rows, self.kept = inner, inner.device, rows, kept
        self.ready = time.perf_counter()
        self.ticks: list[float] = []
        self.answers: dict[int, tuple[BodyParameters, NDArray[np.int32]]] = {}

    def __len__(self) -> int:
        return len(self.inner)

    def step(self, centres: BodyParameters, fresh: bool = False) -> Any:
        found = self.inner.step(centres, fresh)
        if len(self.ticks) in self.kept:
            self.answers[len(self.ticks)] = (centres, self.inner.labels(centres)[self.rows].copy())
        self.ticks.append(time.perf_counter())
        return found

    def labels(self, centres: BodyParameters) -> NDArray[np.int32]:
        return self.inner.labels(centres)


def run_ours(count: int, k: int, iterations: int) -> dict[str, Any]:
    """``fit_prototypes`` from parameters to labelled prototypes, with brute-force checks afterwards."""
    from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig, fit_prototypes, local_population

    body, parameters = load_body(), bodies(count)
    made = memory()
    fit_prototypes(parameters[:600], body, PrototypeConfig(k=5, max_iter=1))  # compiles and loads the kernels
    rows = np.sort(np.random.default_rng(2).choice(count, min(count, CHECKED), replace=False))
    timed: list[Timed] = []

    def populate(*given: Any) -> tuple[Any, Any]:
        population, points = local_population(*given)
        timed.append(Timed(population, rows, (0, iterations // 2, iterations)))
        return timed[0], points

    config = PrototypeConfig(k=k, max_iter=iterations, tol=0, device="cpu")
    start = time.perf_counter()
    fit = fit_prototypes(parameters, body, config, populate=populate)
    whole = time.perf_counter() - start
    peak, clock = memory(), timed[0]
    steps = np.diff([clock.ready, *clock.ticks])
    return {
        "bodies": count,
        "k": k,
        "setup": clock.ready - start,
        "iteration": statistics.median(steps),
        "iterations": len(steps) - 1,
        "end_to_end": whole,
        "measuring": start + whole - clock.ticks[-1],
        "memory": peak,
        "memory_of_bodies": made,
        "dims": fit.prototypes.metadata["dims"],
        "certified": [entry["certified"] for entry in fit.history],
        "rechecked": [entry["rechecked"] for entry in fit.history],
        "mean_distance": [entry["mean_distance"] for entry in fit.history],
        "checked": {
            str(i): wrong_labels(body, parameters[rows], centres, label)
            for i, (centres, label) in clock.answers.items()
        },
        "checked_rows": len(rows),
    }


def wrong_labels(body: BodyModel, sample: BodyParameters, centres: BodyParameters, label: NDArray[np.int32]) -> int:
    """Labels that a float64 brute force in all 20 670 coordinates disagrees with, but for ties to 12 digits."""
    weights = vertex_weights(body, P3DH_WEIGHTS).astype(np.float64)[:, None]
    mean = body.v_template.astype(np.float64)
    targets = ((body.pose(centres).vertices - mean) * weights).reshape(len(centres), -1)
    length, wrong = (targets**2).sum(axis=1), 0
    for rows, posed in body.stream(sample):
        x = ((posed.vertices - mean) * weights).reshape(len(posed.vertices), -1)
        gamma = (x**2).sum(axis=1)[:, None] + length - 2 * x @ targets.T
        own = gamma[np.arange(len(gamma)), label[rows]]
        wrong += int((own > gamma.min(axis=1) + 1e-12 * gamma.max()).sum())
    return wrong


def run_paper() -> dict[str, Any]:
    """The loop as PM-Net's Algorithm 1 is written: smplx for every sample, ``torch.cdist`` to every centre."""
    import torch

    from hmrtk.toolkit.body.layer import body_layer

    body, parameters = load_body(), bodies(PAPER_SAMPLE)
    weights = torch.from_numpy(vertex_weights(body, P3DH_WEIGHTS))[:, None]
    layer = body_layer(body, batch_size=512)
    fields = {"global_orient": parameters.global_orient, "betas": parameters.betas}
    fields["body_pose"] = parameters.body_pose.reshape(-1, 69)

    def vertices(rows: slice) -> Any:
        posed = layer(**{name: torch.from_numpy(array[rows].copy()) for name, array in fields.items()})
        return (posed.vertices * weights).reshape(-1, 20670)

    times = []
    with torch.inference_mode():
        centres = vertices(slice(0, 512))[:50]
        for _ in range(3):
            start = time.perf_counter()
            for first in range(0, PAPER_SAMPLE, 512):
                torch.cdist(vertices(slice(first, first + 512)), centres).argmin(dim=1)
            times.append(time.perf_counter() - start)
    return {"sample": PAPER_SAMPLE, "seconds": min(times)}


def run_faiss() -> dict[str, Any]:
    """``faiss.Kmeans``, 20 iterations on vertices that were posed before the clock starts."""
    import faiss

    rows = raw_vertices(load_body(), bodies(SMALL))
    first = rows[np.random.default_rng(1).choice(SMALL, 50, replace=False)]
    run: Any = faiss.Kmeans(rows.shape[1], 50, niter=20, max_points_per_centroid=SMALL)
    start = time.perf_counter()
    run.train(rows, init_centroids=first)
    whole = time.perf_counter() - start
    ticks = [entry["time"] for entry in run.iteration_stats]
    return {"iteration": statistics.median(np.diff(ticks)), "end_to_end": whole, "memory": memory()}


def run_scikit() -> dict[str, Any]:
    return {**run_sklearn(bodies(SMALL)), "memory": memory()}


def run_ks() -> dict[str, Any]:
    """One iteration against K, on the same projected bodies."""
    from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig, local_population
    from hmrtk.toolkit.prototypes.lloyd import run_lloyd
    from hmrtk.toolkit.prototypes.projection import fit_space

    body, parameters = load_body(), bodies(K_BODIES)
    space = fit_space(body, parameters, vertex_weights(body, P3DH_WEIGHTS), np.random.default_rng(0))
    population, _ = local_population(space, parameters, PrototypeConfig(device="cpu"))
    seconds = {}
    for k in KS:
        timed = Timed(population, np.empty(0, np.int64), ())
        first = parameters[np.random.default_rng(1).choice(K_BODIES, k, replace=False)]
        run_lloyd(timed, first, 6, 0.0)
        seconds[str(k)] = statistics.median(np.diff([timed.ready, *timed.ticks])[1:])
    return {"bodies": K_BODIES, "iteration": seconds, "memory": memory()}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "ours, 20 000": lambda: run_ours(SMALL, 50, 20),
    "faiss.Kmeans, 20 000": run_faiss,
    "faiss.Kmeans, 20 000, BLAS told Haswell": run_faiss,
    "sklearn lloyd, 20 000": run_scikit,
    "paper loop, 2 048": run_paper,
    "ours, 312 188": lambda: run_ours(H36M, 50, 20),
    "ours, 312 188, K = 1000": lambda: run_ours(H36M, 1000, 6),
    "ours, 1 000 000": lambda: run_ours(1_000_000, 50, 6),
    **{f"N {n}": (lambda n=n: run_ours(n, 50, 5)) for n in SIZES},  # type: ignore[misc]
    "K 5 to 1000": run_ks,
}
OWN_ENVIRONMENT = {"faiss.Kmeans, 20 000, BLAS told Haswell": {"OPENBLAS_CORETYPE": "Haswell"}}
"""The OpenBLAS inside FAISS's wheel is old and takes a new processor for a very old one unless it is told."""


def alone(part: str) -> dict[str, Any]:
    """Run one part in a fresh process; its numbers, and how many processors others used meanwhile."""
    hidden = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some images set them: half the speed of every product
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    before, start, used = busy_seconds(), time.perf_counter(), os.times()
    command = [sys.executable, __file__, "--alone", part]
    environment |= OWN_ENVIRONMENT.get(part, {})
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    after, wall = os.times(), time.perf_counter() - start
    own = after.children_user + after.children_system - used.children_user - used.children_system
    others = max(busy_seconds() - before - own, 0) / wall
    return {**json.loads(text.splitlines()[-1]), "others": others, "when": f"{datetime.datetime.now():%Y-%m-%d %H:%M}"}


def ours_line(name: str, r: dict[str, Any]) -> str:
    share = [100 * x / r["bodies"] for x in r["rechecked"]]
    wrong = ", ".join(f"{count} at {i}" for i, count in r["checked"].items())
    return (
        f"| {name} | {r['k']} | {r['dims']} | {r['setup']:.1f} | {r['iteration']:.3f} | {r['iterations']} |"
        f" {r['end_to_end']:.1f} | {r['memory']:.2f} | {share[0]:.2f} / {min(share[1:]):.3f}-{max(share[1:]):.3f} |"
        f" {wrong} of {r['checked_rows']} | {r['others']:.2f} | not measured |"
    )


def report(done: dict[str, dict[str, Any]]) -> str:
    days = " and ".join(sorted({r["date"] for r in done.values()}))
    lines = [
        "# K-Means at full scale",
        f"{days}, {len(os.sched_getaffinity(0))} processors, no GPU; each part alone in a process."
        " Times in seconds; set-up is fitting the projection, posing and projecting; end to end goes from parameters to"
        " prototypes with all labels and distances. The last column is how many processors others used meanwhile:"
        " beside them, times are upper bounds. The column GPU is for `gpu.py`, where there is one.",
    ]
    head = [
        "| bodies | K | d | set-up | s / iteration | iterations | end to end | peak GB |"
        " compared in full %: first / later | labels a float64 brute force gives otherwise, at iteration | others |"
        " GPU |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    ours = {name: r for name, r in done.items() if "setup" in r and "checked" in r}
    lines.append("\n".join(head + [ours_line(name, r) for name, r in ours.items()]))
    return "\n\n".join([*lines, *peers(done), *curves(done)]) + "\n"


def peers(done: dict[str, dict[str, Any]]) -> list[str]:
    small = done.get("ours, 20 000")
    big = done.get("ours, 312 188")
    rows = [
        "| peer | s / iteration | peer : ours | at 312 188, scaled | peer : ours | others |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("faiss.Kmeans, 20 000", "faiss.Kmeans, 20 000, BLAS told Haswell", "sklearn lloyd, 20 000"):
        if name in done and small and big:
            seconds = done[name]["iteration"]
            scaled = seconds * H36M / SMALL
            rows.append(
                f"| {name} | {seconds:.3f} | {seconds / small['iteration']:.1f} | {scaled:.2f} |"
                f" {scaled / big['iteration']:.1f} | {done[name]['others']:.2f} |"
            )
    if "paper loop, 2 048" in done and small and big:
        paper = done["paper loop, 2 048"]
        each = paper["seconds"] / paper["sample"]
        rows.append(
            f"| paper's loop, smplx and cdist, measured on 2 048 and scaled | {each * SMALL:.2f} |"
            f" {each * SMALL / small['iteration']:.0f} | {each * H36M:.0f} | {each * H36M / big['iteration']:.0f} |"
            f" {paper['others']:.2f} |"
        )
    text = ["## Peers, K = 50, on raw weighted vertices of 20 000 bodies", "\n".join(rows)]
    best = [done[n] for n in done if n.startswith("faiss.Kmeans")]
    if best and small:
        faiss = min(run["end_to_end"] for run in best)
        text.append(
            f"20 iterations on 20 000 bodies end to end: ours {small['end_to_end']:.1f} s from parameters to all labels"
            f" and distances ({small['measuring']:.1f} s of it for the distances that files report);"
            f" `faiss.Kmeans` {faiss:.1f} s on vertices posed before its clock starts, the better of its two runs."
            " Raw vertices of 312 188 bodies would take 25.8 GB, which is why peers are scaled."
        )
    return text


def curves(done: dict[str, dict[str, Any]]) -> list[str]:
    sizes = by_size(done)
    rows = ["| bodies | set-up µs / body | iteration µs / body | others |", "|---|---|---|---|"]
    for n, r in sizes.items():
        rows.append(f"| {n} | {1e6 * r['setup'] / n:.0f} | {1e6 * r['iteration'] / n:.3f} | {r['others']:.2f} |")
    text = ["## Cost per body against N (K = 50)", "\n".join(rows)]
    if "K 5 to 1000" in done:
        part = done["K 5 to 1000"]
        rows = ["| K | iteration µs / body | ns / body and centre |", "|---|---|---|"]
        for k, seconds in part["iteration"].items():
            each = seconds / part["bodies"]
            rows.append(f"| {k} | {1e6 * each:.3f} | {1e9 * each / int(k):.2f} |")
        text += [f"## Cost per body against K ({part['bodies']} bodies; others {part['others']:.2f})", "\n".join(rows)]
    return [*text, "![cost per body against N and against K](kmeans_scale.png)"]


def by_size(done: dict[str, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    runs = [r for r in done.values() if r.get("k") == 50]
    return {r["bodies"]: r for r in sorted(runs, key=lambda r: r["bodies"])}


def plot(done: dict[str, dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    sizes = by_size(done)
    left.loglog(list(sizes), [1e6 * r["setup"] / n for n, r in sizes.items()], "o-", label="set-up, once")
    left.loglog(list(sizes), [1e6 * r["iteration"] / n for n, r in sizes.items()], "o-", label="one iteration")
    left.set(xlabel="bodies", ylabel="µs per body", title="K = 50")
    if "K 5 to 1000" in done:
        part = done["K 5 to 1000"]
        ks = [int(k) for k in part["iteration"]]
        right.loglog(ks, [1e6 * s / part["bodies"] for s in part["iteration"].values()], "o-", label="one iteration")
        right.set(xlabel="K", ylabel="µs per body", title=f"{part['bodies']:,} bodies")
    for axis in (left, right):
        axis.grid(alpha=0.3, which="both")
    left.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alone", choices=PARTS, help="run one part here and print its numbers as JSON")
    parser.add_argument("--only", action="append", choices=PARTS, help="these parts only; may be repeated")
    parser.add_argument("--again", action="append", choices=PARTS, default=[], help="measure anew; may be repeated")
    given = parser.parse_args()
    if not (MOTION / "poses_30fps.parquet").exists():
        print("nothing to do: no poses in a folder shared/motion beside the checkout")
        return
    if given.alone:
        print(json.dumps({**PARTS[given.alone](), "libraries": libraries()}))
        return
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "kmeans_scale.json"
    done: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    for part in given.only or PARTS:
        if part in done and part not in given.again:
            continue
        print(f"{part} …", flush=True)
        done[part] = {**alone(part), "date": str(datetime.date.today())}
        done = {name: done[name] for name in PARTS if name in done}
        kept.write_text(json.dumps(done, indent=1) + "\n")
    (RESULTS / "kmeans_scale.md").write_text(report(done))
    plot(done, RESULTS / "kmeans_scale.png")
    print(report(done))


if __name__ == "__main__":
    main()

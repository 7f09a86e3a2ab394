"""CPU against GPU: posing, and the set-up and iterations of exact K-Means in 129 and in 20 670 dimensions.

Run ``python benchmarks/gpu.py`` on a machine with an NVIDIA GPU, a CUDA build of torch and faiss-gpu, and with
``shared/motion/poses.parquet`` beside the checkout; it writes ``results/gpu.md`` and ``results/gpu.json``. Without a
GPU it says so and writes nothing; ``--rehearse`` then runs every path on torch's CPU device and FAISS's CPU index, to
see that they work, and writes nothing either. Bodies are real poses, drawn with replacement, with random heading and
shape. All contenders assign the same bodies to the same centres, those of the CPU's iterations; labels must be
identical.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow.parquet as pq
import torch

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.parts import P3DH_WEIGHTS, vertex_weights
from hmrtk.toolkit.body.torch_posing import TorchPoser, gpus
from hmrtk.toolkit.geometry.rotation import axis_angle_to_rotmat, rotmat_to_axis_angle
from hmrtk.toolkit.prototypes.brute import FullAssigner, full_space
from hmrtk.toolkit.prototypes.certificate import Assignment, ExactAssigner
from hmrtk.toolkit.prototypes.lloyd import run_lloyd
from hmrtk.toolkit.prototypes.population import LocalPopulation
from hmrtk.toolkit.prototypes.projection import fit_space
from hmrtk.toolkit.prototypes.search import gpu_count

HERE = Path(__file__).resolve().parent
MOTION = HERE.parents[1] / "shared" / "motion" / "poses.parquet"
RESULTS = HERE / "results"
HUMAN36M = 312_188
"""Training bodies of Human3.6M."""
POSED = 20_000
"""Bodies posed at a time when posing alone is timed."""
ROUNDS = 3
PLACE = {"cuda": "GPU", "cpu": "the GPU's path on the CPU"}


def bodies(count: int) -> BodyParameters:
    """Real poses, upright for a camera whose y points down, each with its own random heading and shape."""
    column = pq.read_table(MOTION, columns=["pose"])["pose"].combine_chunks()
    poses = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, 24, 3)
    rng = np.random.default_rng(0)
    pose = poses[rng.integers(len(poses), size=count)]
    turn = np.zeros((count, 3), np.float32)
    turn[:, 1] = rng.uniform(-np.pi, np.pi, count)
    facing = axis_angle_to_rotmat(np.array([np.pi, 0, 0], np.float32))
    root = facing @ axis_angle_to_rotmat(turn) @ axis_angle_to_rotmat(pose[:, 0])
    return BodyParameters.of(rotmat_to_axis_angle(root), pose[:, 1:], rng.normal(size=(count, 10)))


def posing(body: BodyModel, parameters: BodyParameters, device: str) -> dict[str, float]:
    """Bodies per second: medians of interleaved rounds, after one to warm up."""
    poser = TorchPoser(body, device)

    def on_device() -> None:
        for _ in poser.stream_tensors(parameters):
            continue
        if device != "cpu":
            torch.cuda.synchronize()

    contenders: dict[str, Callable[[], object]] = {
        "CPU kernels": lambda: sum(1 for _ in body.stream(parameters)),
        f"{PLACE[device]}, results in NumPy": lambda: sum(1 for _ in poser.stream(parameters)),
        f"{PLACE[device]}, results stay there": on_device,
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(ROUNDS + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: len(parameters) / statistics.median(seconds) for name, seconds in times.items()}


def timed(make: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    made = make()
    return time.perf_counter() - start, made


class Recorder:
    """The assigner of the CPU's run, which remembers the centres it was asked about and its answers."""

    def __init__(self, assigner: ExactAssigner) -> None:
        self.assigner, self.asked = assigner, list[tuple[BodyParameters, Assignment]]()
        self.device = assigner.search.device

    def assign(self, centres: BodyParameters) -> Assignment:
        self.asked.append((centres, self.assigner.assign(centres)))
        return self.asked[-1][1]


def clustering(body: BodyModel, parameters: BodyParameters, k: int, iterations: int, device: str) -> dict[str, Any]:
    """Seconds of set-up and of each assignment, and labels that differ from the CPU's, per contender."""
    weights = vertex_weights(body, P3DH_WEIGHTS)

    def projected() -> tuple[Any, Any]:
        space = fit_space(body, parameters, weights, np.random.default_rng(0))
        return space, space.project(parameters)

    setup, (space, coordinates) = timed(projected)
    on_cpu = ExactAssigner(space, parameters, coordinates, "cpu")
    recorder = Recorder(on_cpu)
    first = parameters[np.random.default_rng(1).choice(len(parameters), k, replace=False)]
    run_lloyd(LocalPopulation(recorder, parameters), first, iterations, 0)
    extra, on_gpu = timed(lambda: ExactAssigner(space, parameters, coordinates, device))
    full_setup, in_full = timed(lambda: FullAssigner(full_space(body, parameters, weights), parameters, device))
    contenders = {
        "CPU, principal directions": (setup, on_cpu),
        f"{PLACE[device]}, principal directions": (setup + extra, on_gpu),
        f"{PLACE[device]}, all coordinates": (full_setup, in_full),
    }
    return {
        name: {"setup": seconds, "dims": 20670 if assigner is in_full else space.dims, **follow(assigner, recorder)}
        for name, (seconds, assigner) in contenders.items()
    }


def follow(assigner: Any, recorder: Recorder) -> dict[str, Any]:
    """Assign to all the centres of the recorded run again."""
    seconds, differing, rechecked = [], 0, 0
    for centres, expected in recorder.asked:
        spent, found = timed(lambda centres=centres: assigner.assign(centres))
        seconds.append(spent)
        differing += int((found.label != expected.label).sum())
        rechecked += found.rechecked
    share = rechecked / (len(seconds) * len(recorder.asked[0][1].label))
    return {"assignments": len(seconds), "median": statistics.median(seconds[1:]), "first": seconds[0],
            "differing": differing, "rechecked_share": share}  # fmt: skip


def machine(rehearsal: bool) -> str:
    """The devices by name."""
    cpu = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), "unknown CPU")
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    gpu = ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards)
    where = "rehearsal on the CPU, no GPU measured" if rehearsal else gpu
    return f"{where}; {cpu} x{len(os.sched_getaffinity(0))}; torch {torch.__version__}, FAISS {faiss.__version__}"


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def report(result: dict[str, Any]) -> str:
    lines = [
        f"# CPU and GPU: {result['machine']}",
        "",
        str(datetime.date.today()),
        "",
        "| posing | bodies / s | to the CPU kernels |",
        "|---|---|---|",
    ]
    base = result["posing"]["CPU kernels"]
    lines += [f"| {name} | {speed:.0f} | {speed / base:.1f} x |" for name, speed in result["posing"].items()]
    for n, k, rows in ((c["bodies"], c["k"], c["contenders"]) for c in result["clustering"]):
        lines += [
            "",
            f"K-Means of {n} bodies, K = {k}; time of the assignment, which moving the centres adds to alike:",
        ]
        lines += ["", "| | dimensions | set-up s | s / assignment | compared in full | labels identical |"]
        lines += ["|---|---|---|---|---|---|"]
        for name, row in rows.items():
            identical = "yes" if not row["differing"] else f"NO: {row['differing']} differ"
            numbers = f"{row['dims']} | {row['setup']:.1f} | {row['median']:.4f} | {100 * row['rechecked_share']:.2f} %"
            lines.append(f"| {name} | {numbers} | {identical} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=HUMAN36M)
    parser.add_argument("--k", type=int, nargs="+", default=[50, 1000])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--rehearse", action="store_true", help="on the CPU's devices, writing nothing")
    given = parser.parse_args()
    if not given.rehearse and not (gpus() and gpu_count()):
        seen = f"torch sees {len(gpus())} GPUs here and FAISS {gpu_count()}"
        print(f"nothing measured, nothing written: {seen}; both need one")
        return
    if not MOTION.exists():
        print(f"nothing to do: no {MOTION.name} in a folder shared/motion beside the checkout")
        return
    device = "cpu" if given.rehearse else "cuda"
    body, parameters = load_body(), bodies(given.bodies)
    result: dict[str, Any] = {"machine": machine(given.rehearse)}
    print(result["machine"], flush=True)
    result["posing"] = posing(body, parameters[:POSED], device)
    result["clustering"] = [
        {"bodies": given.bodies, "k": k, "contenders": clustering(body, parameters, k, given.iterations, device)}
        for k in given.k
    ]
    text = report(result)
    print(text)
    if not given.rehearse:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "gpu.md").write_text(text)
        (RESULTS / "gpu.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

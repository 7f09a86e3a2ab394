"""Posing speed: ``BodyModel`` against ``smplx.SMPL`` on the same body, in one process, in interleaved rounds.

Run ``python benchmarks/pose.py``. Prints bodies per second (median of quiet samples) and ratios, and appends them to
``results/pose.md``. Timings of one machine say little: quote the ratios.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import threadpoolctl
import torch

from hmrtk.toolkit.body.layer import body_layer
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters

RESULTS = Path(__file__).resolve().parent / "results" / "pose.md"
BATCHES = (1, 8, 64, 512)
QUIET = 0.12
"""Samples during which other processes used more processors than this are not counted, if there are enough others."""


def random_bodies(count: int) -> BodyParameters:
    rng = np.random.default_rng(count)
    return BodyParameters.of(
        rng.normal(size=(count, 3)), rng.normal(0, 0.4, (count, 23, 3)), rng.normal(size=(count, 10))
    )


def contenders(model: BodyModel, count: int) -> dict[str, Callable[[], object]]:
    """What is timed for a batch of ``count``; inputs are ready in each one's own form."""
    bodies = random_bodies(count)
    layer = body_layer(model, batch_size=count)
    names = ("global_orient", "body_pose", "betas", "transl")
    tensors = {n: torch.from_numpy(getattr(bodies, n).reshape(count, -1).copy()) for n in names}

    def smplx_forward() -> object:
        with torch.inference_mode():
            return layer(**tensors)

    def stream() -> object:
        return sum(1 for _ in model.stream(bodies))

    return {"pose": lambda: model.pose(bodies), "stream": stream, "smplx": smplx_forward}


def measure(model: BodyModel, count: int, rounds: int, budget: float) -> dict[str, float]:
    """Bodies per second of each contender: median over the samples during which other processes were quiet.

    Args:
        rounds: quiet samples wanted of each.
        budget: seconds after which the quietest samples so far must do.
    """
    functions = contenders(model, count)
    repeats = max(2, 512 // count)
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    end = time.monotonic() + budget
    for function in functions.values():
        function()
    while min(sum(busy < QUIET for busy, _ in s) for s in samples.values()) < rounds and time.monotonic() < end:
        for name, function in functions.items():
            samples[name].append(sample(function, repeats))
    return {name: count / typical(values, rounds) for name, values in samples.items()}


def sample(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Processors that others used meanwhile, and the seconds of one call."""
    others, start = other_seconds(), time.perf_counter()
    for _ in range(repeats):
        function()
    seconds = time.perf_counter() - start
    return (other_seconds() - others) / seconds, seconds / repeats


def typical(values: list[tuple[float, float]], rounds: int) -> float:
    """Median of the quietest ``rounds`` samples."""
    return statistics.median(seconds for _, seconds in sorted(values)[:rounds])


def other_seconds() -> float:
    """Processor seconds that all other processes have used so far (Linux; 0 elsewhere)."""
    if not Path("/proc/stat").exists():
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    own = os.times()
    total = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return total - own.user - own.system


def largest_difference(model: BodyModel) -> float:
    """Metres between the two, over 64 random bodies."""
    functions = contenders(model, 64)
    return float(np.abs(functions["pose"]().vertices - functions["smplx"]().vertices.numpy()).max())  # type: ignore[attr-defined]


def machine() -> str:
    """Processor, threads and the linear algebra that torch and NumPy found."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    pools = {
        f"{p['internal_api']} {p.get('architecture', '')} x{p['num_threads']}" for p in threadpoolctl.threadpool_info()
    }
    return f"{cpu}; torch {torch.__version__} x{torch.get_num_threads()}; {', '.join(sorted(pools))}"


def report(rows: dict[int, dict[str, float]], difference: float) -> str:
    best = max(row["smplx"] for row in rows.values())
    lines = [f"## {datetime.date.today()} · {machine()}", ""]
    lines += [
        "| batch | pose /s | stream /s | smplx /s | pose : smplx | pose : smplx's best | GPU (`gpu.py`) |",
        "|---|---|---|---|---|---|---|",
    ]
    for count, row in rows.items():
        speeds = " | ".join(f"{row[n]:.0f}" for n in ("pose", "stream", "smplx"))
        lines.append(
            f"| {count} | {speeds} | {row['pose'] / row['smplx']:.1f} | {row['pose'] / best:.1f} | not measured |"
        )
    lines += ["", f"Largest difference from smplx (float32): {difference:.1e} m.", "", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="quiet samples of each")
    parser.add_argument("--seconds", type=float, default=30, help="at most, per batch size")
    arguments = parser.parse_args()
    model = load_body()
    text = report(
        {count: measure(model, count, arguments.rounds, arguments.seconds) for count in BATCHES},
        largest_difference(model),
    )
    print(text)
    RESULTS.parent.mkdir(exist_ok=True)
    with open(RESULTS, "a", encoding="utf-8") as stream:
        stream.write(text)


if __name__ == "__main__":
    main()

"""Timing in interleaved rounds, and the results file: for the benchmarks of the maps."""

from __future__ import annotations

import datetime
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

LOAD = os.getloadavg()[0]
"""Runnable processes during the minute before the benchmark began; above the number of cores, trust ratios only."""

RESULTS = Path(__file__).resolve().parent / "results"


def seconds(contenders: dict[str, Callable[[], object]], rounds: int, cpu: bool = False) -> dict[str, float]:
    """Median seconds per call of each, taken in turns in one process after two rounds of warming up.

    ``cpu`` counts the processor time of all threads of this process instead of the clock: for busy machines.
    """
    clock = time.process_time if cpu else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 2):
        for name, function in contenders.items():
            start = clock()
            function()
            if turn >= 2:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def heading(title: str, cpu: bool = False) -> str:
    """Title, day, processor, cores and how busy others keep them, as a Markdown heading."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    title += " per processor second" if cpu else " per second"
    cores = len(os.sched_getaffinity(0))
    return f"## {title} · {datetime.date.today()} · {cpu} · {cores} cores · load before {LOAD:.1f}\n"


def append(name: str, text: str) -> None:
    """Print, and add to ``results/<name>``."""
    print(text)
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / name, "a", encoding="utf-8") as stream:
        stream.write(text + "\n")

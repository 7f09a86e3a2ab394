"""Timing in interleaved rounds, and the results files of the maps: for ``raster.py`` and ``location.py``.

Every sample notes the clock, the processor time of this process with its children, and how many processors all other
processes used meanwhile (from /proc/stat). Samples beside busy neighbours are left out when there are enough quiet
ones; where there are not, the quietest count and the numbers are marked.
"""

from __future__ import annotations

import datetime
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmeans import busy_seconds, libraries

LOAD = os.getloadavg()[0]
"""Runnable processes during the minute before the benchmark began."""

RESULTS = Path(__file__).resolve().parent / "results"
QUIET = 0.12
"""A sample is disturbed when other processes used more processors than this."""
LENGTH = 0.4
"""Seconds that a sample lasts at least: /proc/stat counts in hundredths of a second."""


@dataclass(frozen=True)
class Sample:
    """Seconds of one call by the clock and on all processors together, and the processors that others used."""

    clock: float
    processor: float
    others: float


@dataclass(frozen=True)
class Timing:
    """The samples of one contender that count.

    Attributes:
        samples: as many as rounds were wanted, the quiet ones or else the quietest.
        disturbed: whether some of them are not quiet.
        left_out: how many others were taken.
    """

    samples: tuple[Sample, ...]
    disturbed: bool
    left_out: int

    def seconds(self, processor: bool = False) -> float:
        """Median seconds of a call, by the clock or on all processors together."""
        return statistics.median(s.processor if processor else s.clock for s in self.samples)

    @property
    def best(self) -> float:
        """Seconds of a call in the best round, by the clock."""
        return min(s.clock for s in self.samples)

    @property
    def others(self) -> float:
        """Median of the processors that others used."""
        return statistics.median(s.others for s in self.samples)

    def numbers(self, count: int) -> dict[str, Any]:
        """For the JSON file: calls that make ``count`` maps, as maps per second."""
        return {
            "per_second": count / self.seconds(),
            "best_round": count / self.best,
            "per_processor_second": count / self.seconds(processor=True),
            "others": self.others,
            "disturbed": self.disturbed,
            "rounds": len(self.samples),
            "left_out": self.left_out,
        }


def measure(
    contenders: Mapping[str, Callable[[], object]], rounds: int, budget: float, length: float = LENGTH
) -> dict[str, Timing]:
    """Time everyone in turns in one process, after a warm-up, until all have enough quiet samples.

    Args:
        contenders: what is timed.
        rounds: quiet samples wanted of each.
        budget: seconds after which the quietest samples so far must do (there are never fewer than ``rounds``).
        length: seconds of a sample; shorter calls are repeated.
    """
    repeats = {name: _repeats(function, length) for name, function in contenders.items()}
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    end, turn = time.monotonic() + budget, 0
    while turn < rounds or (_quiet(samples) < rounds and time.monotonic() < end):
        for name, function in contenders.items():
            _wait_for_quiet(end)
            samples[name].append(_sample(function, repeats[name]))
        turn += 1
    return {name: _counted(taken, rounds) for name, taken in samples.items()}


def _wait_for_quiet(end: float) -> None:
    """Until other processes leave the machine alone, or ``end`` (``time.monotonic``) has come."""
    while time.monotonic() < end and _sample(lambda: time.sleep(0.2), 1).others > QUIET:
        continue


def _repeats(function: Callable[[], object], length: float) -> int:
    """Calls that fill a sample; the first call only warms up."""
    function()
    start = time.perf_counter()
    function()
    return max(1, round(length / (time.perf_counter() - start)))


def _sample(function: Callable[[], object], repeats: int) -> Sample:
    busy, own, start = busy_seconds(), _own_seconds(), time.perf_counter()
    for _ in range(repeats):
        function()
    clock, used = time.perf_counter() - start, _own_seconds() - own
    others = max(busy_seconds() - busy - used, 0.0) / clock
    return Sample(clock / repeats, used / repeats, others)


def _own_seconds() -> float:
    """Processor seconds of this process, all its threads, and the children it has waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _quiet(samples: Mapping[str, list[Sample]]) -> int:
    return min(sum(s.others <= QUIET for s in taken) for taken in samples.values())


def _counted(taken: list[Sample], rounds: int) -> Timing:
    quiet = [s for s in taken if s.others <= QUIET]
    if len(quiet) < rounds:
        quietest = tuple(sorted(taken, key=lambda s: s.others)[:rounds])
        return Timing(quietest, True, len(taken) - rounds)
    return Timing(tuple(quiet), False, len(taken) - len(quiet))


def ratio(ours: Timing, peer: Timing, processor: bool = False) -> str:
    """How many times faster ours is, as Markdown; ``~`` where a sample that counts was disturbed."""
    mark = "~" if not processor and (ours.disturbed or peer.disturbed) else ""
    return f"{mark}{peer.seconds(processor) / ours.seconds(processor):.1f}"


def speed_row(name: str, timing: Timing, count: int, note: str = "") -> str:
    """| name | per second | best round | per processor second | others | note |."""
    mark = "~" if timing.disturbed else ""
    speeds = f"{mark}{count / timing.seconds():.0f} | {count / timing.best:.0f}"
    return f"| {name} | {speeds} | {count / timing.seconds(processor=True):.0f} | {timing.others:.2f} |{note}"


def machine() -> str:
    """Day, processor, cores, how busy others keep them, and the thread pools with their architecture."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = {part[0].strip(): part[1].strip() for part in (line.split(":", 1) for line in lines if ":" in line)}
    family = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    cores = len(os.sched_getaffinity(0))
    return (
        f"{datetime.date.today()}; {facts.get('model name', 'unknown processor')}, {family}, {cores} cores, load before"
        f" {LOAD:.1f}; pools: {'; '.join(libraries()) or 'none'}"
    )


def record(part: str, text: str, numbers: dict[str, Any]) -> None:
    """Print, keep in ``results/maps.json``, and write ``results/maps.md`` anew from all parts measured so far."""
    print(text)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / "maps.json"
    parts: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    parts[part] = {"machine": machine(), "text": text, **numbers}
    kept.write_text(json.dumps(parts, indent=1) + "\n")
    head = (
        "# Maps of the body surface: speed and agreement\n\nMedians of interleaved rounds in one process; a sample"
        f" beside neighbours that used more than {QUIET} processors is left out where enough quiet ones exist, and"
        " marked ~ where not. “Others” is how many processors they used. Per processor second counts the time of all"
        " threads of the process and its children: ours, Embree and torch use all cores; Mesa (told to, it is faster"
        " so), warp and scipy one, so two processes of those would halve the ratios on two cores.\n"
    )
    pages = [f"{one['text']}\n\nMachine: {one['machine']}.\n" for _, one in sorted(parts.items())]
    (RESULTS / "maps.md").write_text("\n".join([head, *pages]))

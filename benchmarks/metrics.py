"""Metrics: PA-MPJPE of 300 000 sets of joints, PVE of posed bodies, and PVE streamed from parameters, against torch.

Run ``python benchmarks/metrics.py``; it writes ``results/metrics.md`` and ``metrics.json``. Inputs are ready in every
contender's own form, float32; peers are batched as one would write them. SPIN's loop over samples is timed on a
hundredth of them. Everybody's values are compared with float64 NumPy.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rounds import QUIET, RESULTS, Timing, machine, measure, ratio, speed_row

from hmrtk.toolkit.body.layer import body_layer
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.evaluation import formulas, torch_metrics
from hmrtk.toolkit.sources.embedded import embedded_records

SETS, JOINTS = 300_000, 14
BODIES, STREAMED = 1024, 1024
SMPLX_BATCHES = (64, 512)
"""64 is where smplx is fastest, 512 what evaluation scripts use."""
OURS = "ours"
SVD32, SVD64 = "torch.linalg.svd, float32", "torch.linalg.svd, float64"
PA_FLOOR, PVE_FLOOR = 5.0, 8.0
NOISE_M = 0.05

Array = NDArray[Any]


@dataclass(frozen=True)
class Contest:
    """What is timed against each other.

    Attributes:
        title: of the table.
        count: samples per call, by contender.
        contenders: name → what gives (N,) mm.
        truth: (N,) mm in float64 NumPy; of the loop, of its first samples.
        floor: ratio wanted, and against whom.
    """

    title: str
    count: Mapping[str, int]
    contenders: Mapping[str, Callable[[], Any]]
    truth: Array
    floor: tuple[float, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="quiet samples wanted of each contender")
    parser.add_argument("--budget", type=float, default=240, help="seconds per table to wait for a quiet machine")
    parser.add_argument("--sets", type=int, default=SETS)
    options = parser.parse_args()
    body = load_body()
    contests = (pa_contest(options.sets), pve_contest(body), streamed_contest(body))
    parts = [judged(contest, measure(contest.contenders, options.rounds, options.budget)) for contest in contests]
    record([text for text, _ in parts], [numbers for _, numbers in parts])


def pa_contest(sets: int) -> Contest:
    """PA-MPJPE: batched decompositions, and SPIN's loop over samples."""
    rng = np.random.default_rng(0)
    target = rng.normal(0, 0.3, (sets, JOINTS, 3)).astype(np.float32)
    predicted = target + rng.normal(0, NOISE_M, target.shape).astype(np.float32)
    tensors = torch.from_numpy(predicted), torch.from_numpy(target)
    doubles = tensors[0].double(), tensors[1].double()
    few = max(1, sets // 100)
    contenders = {
        OURS: lambda: formulas.pa_mpjpe(predicted, target),
        SVD32: lambda: umeyama(*tensors),
        SVD64: lambda: umeyama(*doubles),
        "our torch twin": lambda: torch_metrics.pa_mpjpe(*tensors),
        "numpy.linalg.svd, batched": lambda: numpy_umeyama(predicted, target),
        "numpy.linalg.svd, one by one": lambda: [
            numpy_umeyama(p, t) for p, t in zip(predicted[:few], target[:few], strict=True)
        ],
    }
    count = dict.fromkeys(contenders, sets) | {"numpy.linalg.svd, one by one": few}
    truth = numpy_umeyama(predicted.astype(np.float64), target.astype(np.float64))
    return Contest(f"PA-MPJPE, {sets} sets of {JOINTS} joints", count, contenders, truth, (PA_FLOOR, SVD32))


def umeyama(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """PA-MPJPE in mm by torch's batched decomposition, in the tensors' own precision (Umeyama 1991)."""
    with torch.inference_mode():
        centre, goal = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
        a, b = source - centre, target - goal
        u, s, vt = torch.linalg.svd(b.transpose(1, 2) @ a)
        sign = torch.sign(torch.linalg.det(u @ vt))
        flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1)
        rotation = (u * flip[:, None]) @ vt
        scale = (s * flip).sum(-1) / (a * a).sum((1, 2))
        moved = scale[:, None, None] * (a @ rotation.transpose(1, 2))
        return 1000 * (moved - b).norm(dim=-1).mean(-1)


def numpy_umeyama(source: Array, target: Array) -> Array:
    """The same in NumPy, of one set or many."""
    a, b = source - source.mean(-2, keepdims=True), target - target.mean(-2, keepdims=True)
    u, s, vt = np.linalg.svd(np.swapaxes(b, -1, -2) @ a)
    flip = np.ones_like(s)
    flip[..., 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * flip[..., None, :]) @ vt
    scale = (s * flip).sum(-1) / (a * a).sum((-1, -2))
    moved = scale[..., None, None] * (a @ np.swapaxes(rotation, -1, -2))
    return np.asarray(1000 * np.linalg.norm(moved - b, axis=-1).mean(-1))


def bodies(count: int, body: BodyModel) -> tuple[BodyParameters, BodyParameters]:
    """Real poses, and the same with noise."""
    truth = embedded_records("test", body, count).parameters()
    rng = np.random.default_rng(1)
    truth = truth.replaced(betas=rng.normal(size=truth.betas.shape), transl=np.zeros_like(truth.transl))
    noisy = truth.body_pose + rng.normal(0, 0.1, truth.body_pose.shape)
    return truth.replaced(body_pose=noisy), truth


def pve_contest(body: BodyModel) -> Contest:
    """PVE of vertices that are there."""
    predicted, target = (body.pose(side).vertices for side in bodies(BODIES, body))
    tensors = torch.from_numpy(predicted), torch.from_numpy(target)
    contenders: dict[str, Callable[[], Any]] = {
        OURS: lambda: formulas.pve(predicted, target),
        "torch": lambda: torch_pve(*tensors),
        "our torch twin": lambda: torch_metrics.pve(*tensors),
        "numpy": lambda: 1000 * np.linalg.norm(predicted - target, axis=-1).mean(-1),
    }
    truth = 1000 * np.linalg.norm(predicted.astype(np.float64) - target, axis=-1).mean(-1)
    count = dict.fromkeys(contenders, BODIES)
    return Contest(f"PVE of {BODIES} posed bodies", count, contenders, truth, (PVE_FLOOR, "torch"))


def torch_pve(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The line that evaluation scripts have: root of the summed squares, mean over the vertices; mm."""
    with torch.inference_mode():
        return 1000 * torch.sqrt(((predicted - target) ** 2).sum(-1)).mean(-1)


def streamed_contest(body: BodyModel) -> Contest:
    """PVE from parameters: both sides are posed and compared, chunk by chunk."""
    sides = bodies(STREAMED, body)

    def ours() -> Array:
        found = np.empty(STREAMED)
        for (rows, predicted), (_, target) in zip(body.stream(sides[0]), body.stream(sides[1]), strict=True):
            found[rows] = formulas.pve(predicted.vertices, target.vertices)
        return found

    contenders: dict[str, Callable[[], Any]] = {OURS: ours}
    for batch in SMPLX_BATCHES:
        contenders[f"smplx + torch, batches of {batch}"] = smplx_pve(body, sides, batch)
    predicted, target = (body.pose(side).vertices.astype(np.float64) for side in sides)
    truth = 1000 * np.linalg.norm(predicted - target, axis=-1).mean(-1)
    peer = f"smplx + torch, batches of {max(SMPLX_BATCHES)}"
    title, count = f"PVE streamed from the parameters of {STREAMED} bodies", dict.fromkeys(contenders, STREAMED)
    return Contest(title, count, contenders, truth, (PVE_FLOOR, peer))


def smplx_pve(body: BodyModel, sides: tuple[BodyParameters, BodyParameters], batch: int) -> Callable[[], torch.Tensor]:
    """Both sides posed by ``smplx.SMPL`` in batches, and compared by torch."""
    layer = body_layer(body, batch_size=batch)
    names = ("global_orient", "body_pose", "betas", "transl")
    tensors = [{n: torch.from_numpy(getattr(s, n).reshape(len(s), -1).copy()) for n in names} for s in sides]

    def run() -> torch.Tensor:
        found = []
        with torch.inference_mode():
            for start in range(0, STREAMED, batch):
                posed = [layer(**{n: t[n][start : start + batch] for n in names}).vertices for t in tensors]
                found.append(torch_pve(*posed))
        return torch.cat(found)

    return run


def judged(contest: Contest, timings: Mapping[str, Timing]) -> tuple[str, dict[str, Any]]:
    """The table of a contest, and its numbers."""
    rows, numbers = [], dict[str, Any]()
    for name, timing in timings.items():
        values = np.asarray(contest.contenders[name](), np.float64)
        error = float(np.abs(values - contest.truth[: len(values)]).max())
        count = contest.count[name]
        ours, it = per_sample(timings[OURS], contest.count[OURS]), per_sample(timing, count)
        numbers[name] = {**timing.numbers(count), "largest_error_mm": error}
        cells = f" {ratio(ours, it)} | {ratio(ours, it, processor=True)} | {error:.1e} |"
        rows.append(speed_row(name, timing, count, cells))
    wanted, peer = contest.floor
    ours, theirs = (per_sample(timings[n], contest.count[n]) for n in (OURS, peer))
    reached = theirs.seconds() / ours.seconds()
    outcome = "reached" if reached >= wanted else "NOT reached"
    head = (
        "| contender | samples / s | best round | per processor second | others | ours : it | by processor time |"
        " largest error, mm |\n|---|---|---|---|---|---|---|---|"
    )
    verdict = f"Floor: {wanted:g} x {peer}. Measured: {ratio(ours, theirs)} x, {outcome}."
    text = "\n".join([f"## {contest.title}", "", verdict, "", head, *rows])
    return text, {"title": contest.title, "floor": wanted, "peer": peer, "ratio": reached, "contenders": numbers}


def per_sample(timing: Timing, count: int) -> Timing:
    """The timing of one sample of ``count``."""
    samples = tuple(type(s)(s.clock / count, s.processor / count, s.others) for s in timing.samples)
    return Timing(samples, timing.disturbed, timing.left_out)


def record(texts: list[str], numbers: list[dict[str, Any]]) -> None:
    """Print, and write both results files."""
    head = (
        "# Metrics: speed and agreement\n\nMedians of interleaved rounds in one process; a sample beside neighbours"
        f" that used more than {QUIET} processors is left out where enough quiet ones exist, and marked ~ where not."
        " “Others” is how many processors they used. The largest error is the difference from float64 NumPy.\n"
    )
    page = "\n\n".join([head.rstrip(), *texts, f"Machine: {machine()}."]) + "\n"
    print(page)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "metrics.md").write_text(page)
    (RESULTS / "metrics.json").write_text(json.dumps({"machine": machine(), "tables": numbers}, indent=1) + "\n")


if __name__ == "__main__":
    main()

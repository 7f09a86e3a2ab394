"""UV location maps: ``UVSpace.location`` against sparse matrices in scipy and torch, and against torch gathers.

Run ``python benchmarks/location.py``; it writes its part of ``results/maps.md`` and ``maps.json``. 64 posed bodies,
float32; nobody is charged for preparing the texel tables. Ours writes contiguous (N, 3, S, S), and subtracts the root
on the way, which the peers need not do. Peers are timed twice: ending with that same layout, and with whichever layout
is cheapest for them. Then from parameters: posing and location maps together, beside smplx and a torch gather.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rounds import Timing, measure, ratio, record, speed_row
from scipy.sparse import csr_array

from hmrtk.toolkit.body.layer import body_layer
from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.maps.atlas import onepiece_atlas
from hmrtk.toolkit.maps.location import UVSpace
from hmrtk.toolkit.sources.embedded import embedded_records

BODIES = 64
SIZES = (64, 128, 256)
FLOORS = {128: 2, 256: 3}
STREAMED = 512
OURS, OURS_FRESH = "ours, into a buffer", "ours, into fresh memory"
GATHER = "torch gather"
PLANES, POINTS, COLUMNS = "(N, 3, S, S)", "(N, S, S, 3)", "(S·S, N·3)"
"""Layouts: of hmrtk and of networks; a point at every texel; bodies side by side, which no reader of a map wants."""


class Peers:
    """The texel tables in every peer's own form, and what each does with (N, V, 3) float32 vertices."""

    def __init__(self, vertices: NDArray[np.float32], space: UVSpace) -> None:
        self.size, self.count, self.area = space.size, len(vertices), space.size**2
        inside = np.flatnonzero(space.mask)
        corners, weights = space.vertices_of_texel[space.mask], space.weights[space.mask]
        entries = (weights.ravel(), (np.repeat(inside, 3), corners.ravel()))
        self.vertices = vertices
        self.matrix = csr_array(entries, shape=(self.area, vertices.shape[1])).astype(np.float32)
        rows, columns = (torch.from_numpy(a.astype(np.int64)) for a in (self.matrix.indptr, self.matrix.indices))
        warnings.filterwarnings("ignore", category=UserWarning, module="location|__main__")  # "CSR … in beta state"
        self.tensor = torch.sparse_csr_tensor(rows, columns, torch.from_numpy(self.matrix.data), self.matrix.shape)
        self.batch = torch.from_numpy(vertices)
        self.index, self.factor = torch.from_numpy(corners.astype(np.int64)), torch.from_numpy(weights)
        self.place = torch.from_numpy(inside)
        self.points = np.empty((self.count, self.area, 3), np.float32)
        self.planes = np.empty((self.count, 3, self.area), np.float32)

    def scipy_points(self) -> NDArray[np.float32]:
        for n, body in enumerate(self.vertices):
            self.points[n] = self.matrix @ body
        return self.points

    def scipy_planes(self) -> NDArray[np.float32]:
        for n, body in enumerate(self.vertices):
            self.planes[n] = (self.matrix @ body).T
        return self.planes

    def scipy_axes(self) -> NDArray[np.float32]:
        for n, body in enumerate(self.vertices):
            for axis in range(3):
                self.planes[n, axis] = self.matrix @ np.ascontiguousarray(body[:, axis])
        return self.planes

    def scipy_columns(self) -> NDArray[np.float32]:
        side_by_side = self.vertices.transpose(1, 0, 2).reshape(self.vertices.shape[1], -1)
        return np.asarray(self.matrix @ side_by_side)

    def torch_columns(self) -> torch.Tensor:
        return self.tensor @ self.batch.permute(1, 0, 2).reshape(self.batch.shape[1], -1)

    def torch_points(self) -> torch.Tensor:
        return self.torch_columns().view(self.area, self.count, 3).permute(1, 0, 2).contiguous()

    def torch_planes(self) -> torch.Tensor:
        return self.torch_columns().T.contiguous().view(self.count, 3, self.area)

    def gather_points(self) -> torch.Tensor:
        maps = torch.zeros(self.count, self.area, 3)
        maps[:, self.place] = torch.einsum("ntkc,tk->ntc", self.batch[:, self.index], self.factor)
        return maps

    def gather_planes(self, batch: torch.Tensor | None = None) -> torch.Tensor:
        bodies = self.batch if batch is None else batch
        maps = torch.zeros(len(bodies), 3, self.area)
        maps[:, :, self.place] = torch.einsum("ntkc,tk->nct", bodies[:, self.index], self.factor)
        return maps

    def contenders(self) -> dict[tuple[str, str], Callable[[], Any]]:
        """By name and by the layout that it ends with."""
        return {
            ("scipy CSR, body by body", PLANES): self.scipy_planes,
            ("scipy CSR, axis by axis", PLANES): self.scipy_axes,
            ("torch sparse CSR, contiguous", PLANES): self.torch_planes,
            (GATHER, PLANES): self.gather_planes,
            ("scipy CSR, body by body", POINTS): self.scipy_points,
            ("torch sparse CSR, contiguous", POINTS): self.torch_points,
            (GATHER, POINTS): self.gather_points,
            ("scipy CSR, all bodies", COLUMNS): self.scipy_columns,
            ("torch sparse CSR", COLUMNS): self.torch_columns,
        }


def as_planes(maps: Any, layout: str, shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Any layout as (N, 3, S, S)."""
    count, _, size, _ = shape
    array = np.asarray(maps)
    if layout == POINTS:
        array = array.reshape(count, size * size, 3).transpose(0, 2, 1)
    if layout == COLUMNS:
        array = array.reshape(size * size, count, 3).transpose(1, 2, 0)
    return array.reshape(shape)


def race(vertices: NDArray[np.float32], size: int, given: argparse.Namespace) -> dict[str, Any]:
    """Timings by (name, layout), and the largest distance from ours in metres."""
    space = UVSpace(onepiece_atlas(), size)
    shape = (len(vertices), 3, size, size)
    out, root = np.empty(shape, np.float32), np.zeros((len(vertices), 3), np.float32)
    contenders: dict[tuple[str, str], Callable[[], Any]] = {
        (OURS, PLANES): lambda: space.location(vertices, root, out=out),
        (OURS_FRESH, PLANES): lambda: space.location(vertices, root),
        **Peers(vertices, space).contenders(),
    }
    ours = contenders[OURS, PLANES]().copy()
    apart = max(float(np.abs(as_planes(run(), key[1], shape) - ours).max()) for key, run in contenders.items())
    names = {" → ".join(key): run for key, run in contenders.items()}
    timings = measure(names, given.rounds, given.budget)
    return {"size": size, "apart": apart, "timings": dict(zip(contenders, timings.values(), strict=True))}


def fastest(timings: dict[tuple[str, str], Timing], layouts: tuple[str, ...], cpu: bool) -> tuple[str, Timing]:
    """The best peer that ends with one of these layouts."""
    peers = [(f"{name} → {out}", t) for (name, out), t in timings.items() if out in layouts and name[:4] != "ours"]
    return min(peers, key=lambda peer: peer[1].seconds(cpu))


def summary(runs: list[dict[str, Any]], cpu: bool) -> str:
    lines = [
        f"| texels | best peer that ends with {PLANES} | ours : it | by best rounds | by processor time |"
        " best peer with any layout body by body | ours : it | ours : torch gather | floor | reached | apart, m |",
        "|---" * 11 + "|",
    ]
    for run in runs:
        timings, ours = run["timings"], run["timings"][OURS, PLANES]
        name, peer = fastest(timings, (PLANES,), cpu)
        other, loose = fastest(timings, (PLANES, POINTS), cpu)
        floor = FLOORS.get(run["size"])
        gain = peer.seconds(cpu) / ours.seconds(cpu)
        lowest = gain if cpu else min(gain, peer.best / ours.best)
        reached = "" if floor is None else "yes" if lowest >= floor else "no"
        ratios = f"{ratio(ours, peer)} | {peer.best / ours.best:.1f} | {ratio(ours, peer, processor=True)}"
        against = f"{other} | {ratio(ours, loose, cpu)} | {ratio(ours, timings[GATHER, PLANES], cpu)}"
        goal = f"{floor or ''} | {reached} | {run['apart']:.0e}"
        lines.append(f"| {run['size']} | {name.split(' → ')[0]} | {ratios} | {against} | {goal} |")
    return "\n".join(lines)


def race_table(run: dict[str, Any]) -> str:
    lines = [
        f"### {run['size']} texels, {BODIES} bodies",
        "",
        "| | bodies / s | best round | per processor second | others | ours : it | by processor time |",
        "|---" * 7 + "|",
    ]
    ours = run["timings"][OURS, PLANES]
    for (name, layout), timing in run["timings"].items():
        note = f" {ratio(ours, timing)} | {ratio(ours, timing, processor=True)} |"
        lines.append(speed_row(f"{name} → {layout}", timing, BODIES, note))
    return "\n".join(lines)


def from_parameters(parameters: BodyParameters, size: int, given: argparse.Namespace) -> dict[str, Any]:
    """Parameters → location maps: ours chunk by chunk, and smplx with a torch gather, 64 bodies at a time."""
    body, space = load_body(), UVSpace(onepiece_atlas(), size)
    out = np.empty((BODIES, 3, size, size), np.float32)
    peers = Peers(body.pose(parameters[:BODIES]).vertices, space)
    layer = body_layer(body, batch_size=BODIES)
    names = ("global_orient", "body_pose", "betas")
    tensors = {n: torch.from_numpy(getattr(parameters, n).reshape(len(parameters), -1).copy()) for n in names}

    def ours() -> None:
        for rows, posed in body.stream(parameters, chunk=BODIES):
            space.location(posed.vertices, posed.joints[:, 0], out=out[: rows.stop - rows.start])

    def naive() -> None:
        with torch.inference_mode():
            for first in range(0, len(parameters), BODIES):
                posed = layer(**{n: tensor[first : first + BODIES] for n, tensor in tensors.items()})
                peers.gather_planes(posed.vertices - posed.joints[:, :1])

    contenders = {f"ours, {size} texels": ours, f"smplx + torch gather, {size} texels": naive}
    return {"size": size, "timings": measure(contenders, given.rounds, given.budget)}


def parameters_table(runs: list[dict[str, Any]]) -> str:
    lines = [
        f"| {STREAMED} bodies | maps / s | best round | per processor second | others | ours : it |"
        " by processor time |",
        "|---" * 7 + "|",
    ]
    for run in runs:
        ours = next(iter(run["timings"].values()))
        for name, timing in run["timings"].items():
            note = f" {ratio(ours, timing)} | {ratio(ours, timing, processor=True)} |"
            lines.append(speed_row(name, timing, STREAMED, note))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="quiet rounds wanted of each")
    parser.add_argument("--budget", type=float, default=120, help="seconds per table to wait for quiet rounds")
    parser.add_argument(
        "--cpu", action="store_true", help="for busy machines: wait for none, judge by processor time, torch x1"
    )
    given = parser.parse_args()
    if given.cpu:
        given.budget = 0
        torch.set_num_threads(1)
    records = embedded_records("train", load_body(), STREAMED).parameters()
    parameters = records.replaced(transl=np.zeros((STREAMED, 3)))
    vertices = load_body().pose(parameters[:BODIES]).vertices
    runs = [race(vertices, size, given) for size in SIZES]
    fused = [from_parameters(parameters, size, given) for size in SIZES]
    pages = [
        "## UV location maps",
        f"Float32. Layouts: {PLANES} is ours and what networks take; {POINTS} is what a sparse product or a gather"
        f" leaves for one body; {COLUMNS} is cheapest for a product with all bodies at once, but holds nobody's map.",
        summary(runs, given.cpu),
        *(race_table(run) for run in runs),
        "### From parameters to location maps\n\n" + parameters_table(fused),
    ]
    kept = [
        {**run, "timings": {" → ".join(key): t.numbers(BODIES) for key, t in run["timings"].items()}} for run in runs
    ]
    whole = [{**run, "timings": {n: t.numbers(STREAMED) for n, t in run["timings"].items()}} for run in fused]
    record("2 location", "\n\n".join(pages), {"races": kept, "fused": whole})


if __name__ == "__main__":
    main()

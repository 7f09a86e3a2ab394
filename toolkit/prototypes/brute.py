"""The assignment step without a projection: all weighted vertices of all bodies on a big GPU, in float16.

The same contract as ``certificate.ExactAssigner``: ``assign`` gives the exact nearest centre of every body. 312 188
bodies take 12.9 GB; every iteration is one matrix product over all of them. Labels are exact because every rounding is
bounded, and bodies whose nearest centre the bounds cannot prove are posed again and compared in full, in float64.

**The bound.** A body is x = s·a + e: x its weighted vertices minus ``space.mean``, a what is stored, s a power of two.
The length ‖e‖ of the storage error is not estimated but measured, body by body. A centre is c + h, c in float32 and ‖h‖
measured too. With D = ‖s·a − c‖², the distances γ of the body to centres j and k satisfy

    γⱼ − γₖ = Dⱼ − Dₖ + 2⟨e, cₖ − cⱼ⟩ + (terms with h),   |⟨e, cₖ − cⱼ⟩| ≤ ‖e‖ ‖cₖ − cⱼ‖,

in which the square of the storage error, the same for both, has cancelled. D comes from ⟨a, c⟩, summed over blocks of
``WIDTH`` coordinates: products and sums of a block run in float32, in whatever order, and are off by at most
n·u/(1 − n·u) of the sum of the |products|, u = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical Algorithms, §3.1); the
blocks are added up in float64. That needs true float32 products: TF32 is switched off.

One power of two per body brings its largest coordinate into [2¹³, 2¹⁴): nothing overflows, whatever the weights and
wherever the body stands, and what becomes subnormal is below 2⁻²⁷ of the largest coordinate.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.torch_posing import full_float32, gpus, multiplies_in_full
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.certificate import Assignment, nearest_in_full
from hmrtk.toolkit.prototypes.features import CHUNK, pose_prototypes, stream_vertices
from hmrtk.toolkit.prototypes.projection import VertexSpace

WIDTH = 512
"""Coordinates whose products are summed in float32: their sum is right to 3.1e-5 of the sum of the |products|."""
ROWS = 32_768
"""Bodies compared at a time: 67 MB for one block of their coordinates."""
PAIRS = 4_000_000
"""Body-centre pairs whose distances are held at a time: 32 MB each for a handful of float64 arrays."""
PART = 128
"""Bodies stored at a time: 21 MB each for a handful of float64 arrays."""
FLOAT32_ROUNDING = 2.0**-24
FLOAT64_SLACK = 2.0**-34
"""Rounding of all that runs in float64, as a share of ‖x‖² + ‖c‖²: at most 20 670·2⁻⁵³ = 2.3e-12 in each sum."""
OFFSET_ROUNDING = 2.0**-52
"""Rounding of a weighted vertex minus the mean in float64, as a share of the lengths of both."""
EXPONENT = 14
"""Coordinates are scaled to below 2 to this power; float16 ends at 2¹⁶."""
WORKSPACE = 1.5e9
"""Bytes of a device left free for the work itself."""
MEAN_SAMPLE = 256


def full_space(body: BodyModel, parameters: BodyParameters, weights: NDArray[np.floating]) -> VertexSpace:
    """Where ``FullAssigner`` compares bodies: a ``VertexSpace`` without directions, around the mean of some bodies.

    Args:
        weights: (6890,) vertex weights.
    """
    exact = np.ascontiguousarray(weights, np.float64)
    total, step = np.zeros((len(exact), 3)), -(-len(parameters) // MEAN_SAMPLE)
    sample = parameters[::step]
    for _, vertices in stream_vertices(body, sample):
        total += vertices.sum(axis=0, dtype=np.float64)
    mean = (total * exact[:, None] / len(sample)).reshape(-1)
    return VertexSpace(body, exact, mean, np.empty((len(mean), 0)), 1.0)


def torch_devices(device: str) -> list[str]:
    """``auto``, ``cpu`` or ``cuda`` → names of the torch devices to use: all GPUs, or the CPU.

    Raises:
        UnknownNameError: another name.
        InputError: ``cuda`` where torch sees no GPU.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UnknownNameError("device", device, ("auto", "cpu", "cuda"))
    found = gpus() if device != "cpu" else []
    if device == "cuda" and not found:
        remedy = "use device auto or cpu; a GPU needs an NVIDIA driver and a CUDA build of torch"
        raise InputError("device cuda", "torch sees no GPU here", remedy)
    return found or ["cpu"]


@dataclass(frozen=True, eq=False)
class _Centres:
    """K centres on one device.

    Attributes:
        values: (K, 20670) float32, c.
        square: (K,) float64 ‖c‖².
        error: at least every ‖h‖: how far ``values`` are from the centres.
        apart: (K, K) float64, at least ‖cⱼ − cₖ‖.
        again: (K,) bool, centres equal to an earlier one, which wins.
    """

    values: torch.Tensor
    square: torch.Tensor
    error: float
    apart: torch.Tensor
    again: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Found:
    """Answers for n bodies: labels, bounds of γ (float64), and ``candidates`` (n, K), which are not ruled out."""

    label: torch.Tensor
    lower: torch.Tensor
    upper: torch.Tensor
    candidates: torch.Tensor


class _Store:
    """A run of bodies on one device."""

    def __init__(self, rows: slice, width: int, device: str) -> None:
        self.rows, self.device, n = rows, torch.device(device), rows.stop - rows.start
        self.values = torch.empty((n, width), dtype=torch.float16, device=self.device)  # a
        self.scale = torch.empty(n, dtype=torch.float64, device=self.device)  # s
        self.square = torch.empty(n, dtype=torch.float64, device=self.device)  # ‖s·a‖²
        self.error = torch.empty(n, dtype=torch.float64, device=self.device)  # ‖e‖

    def put(self, first: int, vertices: torch.Tensor, weights: torch.Tensor, mean: torch.Tensor) -> None:
        """Store posed vertices (n, 6890, 3) float32 from row ``first`` of this run on, and measure what that loses."""
        rows = slice(first, first + len(vertices))
        exact = (vertices.double() * weights[:, None]).reshape(len(vertices), -1) - mean  # x, (n, 20670) float64
        largest = exact.abs().amax(dim=1)
        power = largest / torch.frexp(largest).mantissa  # the power of two above
        scale = torch.where(largest > 0, power, torch.ones_like(power)) / 2**EXPONENT
        self.values[rows] = (exact / scale[:, None]).half()
        kept = self.values[rows].double() * scale[:, None]
        self.scale[rows], self.square[rows] = scale, (kept * kept).sum(dim=1)
        self.error[rows] = _lengths(exact, kept, mean)

    def nearest(self, rows: slice, centres: _Centres) -> _Found:
        """Bounds and candidates of the bodies ``rows`` of this run."""
        products = self._products(rows, centres.values) * self.scale[rows, None]  # ⟨s·a, c⟩, (n, K) float64
        square, error = self.square[rows, None], self.error[rows, None]
        distance = square + centres.square - 2 * products  # D
        length = torch.sqrt(square) * torch.sqrt(centres.square)
        blocks = WIDTH * FLOAT32_ROUNDING / (1 - WIDTH * FLOAT32_ROUNDING)
        slack = 2 * blocks * length + FLOAT64_SLACK * (square + centres.square)  # of D
        distance = torch.where(centres.again, torch.inf, distance)
        label = distance.argmin(dim=1)
        own, own_slack = distance.gather(1, label[:, None]), slack.gather(1, label[:, None])
        far = torch.sqrt(torch.clamp(distance + slack, min=0))  # at least √D
        near = far.gather(1, label[:, None])
        moved = 2 * error * centres.apart[label] + 2 * centres.error * (far + near + 2 * error + centres.error)
        candidates = ~(distance - slack - moved > own + own_slack)
        candidates &= ~centres.again
        candidates.scatter_(1, label[:, None], True)
        loss = error + centres.error
        upper = (near + loss) ** 2
        lower = torch.clamp(torch.sqrt(torch.clamp(own - own_slack, min=0)) - loss, min=0) ** 2
        return _Found(label, lower[:, 0], upper[:, 0], candidates)

    def _products(self, rows: slice, centres: torch.Tensor) -> torch.Tensor:
        """⟨a, c⟩ (n, K) float64, summed as the module says."""
        values = self.values[rows]
        total = torch.zeros((len(values), len(centres)), dtype=torch.float64, device=self.device)
        with full_float32(self.device):
            for part in _slices(values.shape[1], WIDTH):
                total += values[:, part].float() @ centres[:, part].T
        return total


class FullAssigner:
    """Assigns the same bodies again and again to moving centres, comparing all coordinates of all of them each time.

    With several GPUs each holds and compares its share of the bodies. Posing runs on the CPU kernels, so that the
    vertices are the same, to the bit, as those of the float64 comparison.

    Args:
        space: where bodies are compared (``full_space``); its directions are not used.
        parameters: the N bodies.
        device: ``auto``, ``cpu`` or ``cuda``.
        devices: names of torch devices instead; each holds its share of the bodies.
        chunk: bodies posed at a time.
        progress: told about each chunk while the bodies are stored.

    Raises:
        UnknownNameError, InputError: as ``torch_devices`` and ``check_device``.
    """

    def __init__(
        self,
        space: VertexSpace,
        parameters: BodyParameters,
        device: str = "auto",
        chunk: int = CHUNK,
        devices: Sequence[str] = (),
        progress: Progress = silent,
    ) -> None:
        self.space, self.parameters, self.chunk = space, parameters, chunk
        names, n = list(devices) or torch_devices(device), len(parameters)
        self.device = torch.device(names[0]).type
        runs = [slice(n * i // len(names), n * (i + 1) // len(names)) for i in range(len(names))]
        for run, name in zip(runs, names, strict=True):
            check_device(run.stop - run.start, len(space.mean), name)
        self._comparing = threading.Lock()
        self._stores = [_Store(run, len(space.mean), name) for run, name in zip(runs, names, strict=True)]
        for store in self._stores:
            self._fill(store, progress)

    def _fill(self, store: _Store, progress: Progress) -> None:
        weights, mean = (torch.from_numpy(a).to(store.device) for a in (self.space.weights, self.space.mean))
        for rows, vertices in stream_vertices(self.space.body, self.parameters[store.rows], self.chunk):
            for part in _slices(len(vertices), PART):
                sent = torch.from_numpy(vertices[part]).to(store.device)
                store.put(rows.start + part.start, sent, weights, mean)
            progress("posing and storing bodies", store.rows.start + rows.stop, len(self.parameters))

    def assign(self, centres: BodyParameters) -> Assignment:
        """The nearest of K centres for every body."""
        posed = pose_prototypes(self.space.body, centres)  # (K, 6890, 3)
        out = Assignment.empty(len(self.parameters))
        out.rounding[...] = 0  # the bounds are true bounds: they include every rounding
        with ThreadPoolExecutor(len(self._stores)) as pool:  # one thread feeds each device
            counts = list(pool.map(lambda store: self._assign(store, posed, out), self._stores))
        rechecked = sum(counts)
        certified, totals = len(self.parameters) - rechecked, np.bincount(out.label, minlength=len(centres))
        return replace(out, certified=certified, rechecked=rechecked, counts=totals)

    def _assign(self, store: _Store, posed: NDArray[np.float32], out: Assignment) -> int:
        """Fill in ``out`` for the bodies of a store; returns how many were posed again."""
        centres, rechecked = self._centres(store.device, posed), 0
        for rows in _slices(len(store.values), max(1, min(ROWS, PAIRS // len(posed)))):
            found, here = store.nearest(rows, centres), _moved(rows, store.rows.start)
            out.label[here] = found.label.cpu().numpy()
            out.lower[here], out.upper[here] = found.lower.cpu().numpy(), found.upper.cpu().numpy()
            still_open = found.candidates.sum(dim=1) > 1
            left = np.flatnonzero(still_open.cpu().numpy()) + here.start
            if len(left):
                candidates = found.candidates[still_open].cpu().numpy()
                bodies = self.parameters[left]
                with self._comparing:  # which uses all processors
                    out.label[left], gamma = nearest_in_full(self.space, bodies, posed, candidates, self.chunk)
                out.lower[left] = out.upper[left] = gamma
            rechecked += len(left)
        return rechecked

    def _centres(self, device: torch.device, posed: NDArray[np.float32]) -> _Centres:
        weights, mean = (torch.from_numpy(a).to(device) for a in (self.space.weights, self.space.mean))
        k = len(posed)
        values = torch.empty((k, len(mean)), dtype=torch.float32, device=device)
        square, error = torch.empty(k, dtype=torch.float64, device=device), 0.0
        for rows in _slices(k, PART):
            exact = (torch.from_numpy(posed[rows]).to(device).double() * weights[:, None]).reshape(-1, len(mean)) - mean
            values[rows] = exact.float()
            kept = values[rows].double()
            square[rows] = (kept * kept).sum(dim=1)
            error = max(error, float(_lengths(exact, kept, mean).max()))
        return _Centres(values, square, error, _distances(values, square), _repeated(posed, device))


def _lengths(exact: torch.Tensor, kept: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """(n,) at least the distances between what rows (n, D) float64 should be and what was kept of them."""
    lost = torch.linalg.vector_norm(exact - kept, dim=1)
    rounding = OFFSET_ROUNDING * (torch.linalg.vector_norm(exact, dim=1) + torch.linalg.vector_norm(mean))
    return (lost + rounding) * (1 + FLOAT64_SLACK)


def check_device(bodies: int, width: int, device: str) -> None:
    """Refuse a device that cannot hold ``bodies`` of ``width`` float16 coordinates, or rounds what it multiplies.

    Raises:
        InputError: with what is needed and what is free, or how to get true float32 products.
    """
    if not multiplies_in_full(device):
        problem = "rounds the factors of float32 products, so nothing could be proved"
        raise InputError(f"device {device}", problem, "unset NVIDIA_TF32_OVERRIDE, or use search pca on the CPU")
    needed = bodies * (2 * width + 24) + WORKSPACE
    if torch.device(device).type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > free:
        problem = f"{bodies} bodies in full need {needed / 1e9:.1f} GB, there are {free / 1e9:.1f} GB"
        raise InputError(f"device {device}", problem, "use search pca, which needs 0.5 kB per body")


def _distances(values: torch.Tensor, square: torch.Tensor) -> torch.Tensor:
    """(K, K) float64, at least the distances between the rows of (K, D) float32."""
    distance = torch.empty((len(values), len(values)), dtype=torch.float64, device=values.device)
    for rows in _slices(len(values), PART):
        inner = torch.zeros((len(values[rows]), len(values)), dtype=torch.float64, device=values.device)
        for part in _slices(values.shape[1], 4096):
            inner += values[rows, part].double() @ values[:, part].double().T
        total = square[rows, None] + square
        distance[rows] = torch.sqrt(torch.clamp(total - 2 * inner, min=0) + FLOAT64_SLACK * total)
    return distance


def _repeated(posed: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    """(K,) bool: which centres have the same vertices as an earlier one."""
    first: dict[bytes, int] = {}
    again = [first.setdefault(mesh.tobytes(), i) != i for i, mesh in enumerate(posed)]
    return torch.tensor(again, device=device)


def _slices(n: int, step: int) -> Iterator[slice]:
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def _moved(rows: slice, by: int) -> slice:
    return slice(rows.start + by, rows.stop + by)

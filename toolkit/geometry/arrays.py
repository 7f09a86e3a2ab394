"""The check at geometry's public doors: a floating-point array whose last dimensions are the expected ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError

Array = NDArray[Any]


def floating(value: Any, tail: tuple[int, ...], name: str) -> Array:
    """``value`` as an array (..., *tail); float32 and float64 stay, everything else becomes float64.

    Raises:
        InputError: the last dimensions differ, with the expected and the found shape.
    """
    array = np.asarray(value)
    if array.shape[-len(tail) :] != tail:
        raise InputError(name, f"expected shape (..., {', '.join(map(str, tail))}), got {array.shape}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)

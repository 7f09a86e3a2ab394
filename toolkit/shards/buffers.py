"""``Buffers``: arrays for batches, used again when nobody holds the last batch that lay in them.

In: names, shapes and types. Out: arrays with undefined contents. Used by ``ShardBatches``: fresh memory costs a page
fault per 4 KB, which is a fifth of the time of a batch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MAX_KEPT = 8
"""Arrays kept of each name; when all are in use, further ones are fresh and not kept."""
_OWN_REFERENCES = 3  # the list, the loop's variable, and the argument of getrefcount


class Buffers:
    """Arrays that are given again once no array, view or tensor refers to them any more."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], list[NDArray[Any]]] = {}

    def take(self, name: str, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An array that nobody else uses; its contents are undefined."""
        kept = self._kept.setdefault((name, tuple(shape), np.dtype(dtype)), [])
        for array in kept:
            if sys.getrefcount(array) == _OWN_REFERENCES:
                return array
        fresh: NDArray[Any] = np.empty(shape, dtype)
        if len(kept) < MAX_KEPT:
            kept.append(fresh)
        return fresh

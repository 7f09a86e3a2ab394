"""COCO's compressed run-length code of a mask, decoded without trusting it: its runs must fill the mask exactly.

In: the text ``counts`` and the size of the mask. Out: the mask. The side tables of dense annotation ask for it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError

FIRST = 48
"""Code of the first of the 64 characters; each carries five bits of a number and whether it goes on."""
_MOST = 7  # characters of a number below 2³¹


def decode_rle(counts: str, height: int, width: int, place: str) -> NDArray[np.bool_]:
    """(height, width) true where the mask is.

    Args:
        counts: run lengths column by column, background first; from the third run on, the difference from the run
            before last (pycocotools ``maskApi.c``).
        place: what is read, for messages.

    Raises:
        InputError: not such a code, or one of a mask of another size.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        code = ord(character) - FIRST
        if not 0 <= code < 64 or shift >= 5 * _MOST:
            raise InputError(place, f"has a run-length code with {character!r}, which belongs to none")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= 1 << shift if code & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift or any(run < 0 for run in runs) or sum(runs) != height * width:
        raise InputError(place, f"has a run-length code that is not of {height} × {width} px")
    on = np.arange(len(runs)) % 2 == 1
    return np.repeat(on, runs).reshape(width, height).T

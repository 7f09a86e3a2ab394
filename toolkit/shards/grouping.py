"""Which rows lie together: all people of a picture, so that it is opened once.

In: the picture of every row. Out: an order of the rows, and the sizes of pieces that no picture straddles. Used by the
plan.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def by_picture(names: Sequence[str | None]) -> NDArray[np.int64]:
    """The order of rows in which each picture's rows follow its first row; rows without a picture stay in their place.

    Args:
        names: the picture of each row.
    """
    first: dict[str, int] = {}
    rank = [row if name is None else first.setdefault(name, row) for row, name in enumerate(names)]
    return np.argsort(np.array(rank, np.int64), kind="stable")


def cut(names: Sequence[str | None], size: int) -> list[int]:
    """The sizes of pieces of at most ``size`` rows, each ending where a picture ends.

    Args:
        names: the picture of each row, equal ones together. Only a picture of more than ``size`` rows is cut.
    """
    pieces, start, total = [], 0, len(names)
    while start < total:
        end = min(start + size, total)
        whole = end
        while whole > start and whole < total and names[whole] is not None and names[whole] == names[whole - 1]:
            whole -= 1
        end = whole if whole > start else end
        pieces.append(end - start)
        start = end
    return pieces

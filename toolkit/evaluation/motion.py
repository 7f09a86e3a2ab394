"""Acceleration error over records: which rows are successive frames, and the error of each middle one (VIBE §4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.evaluation.formulas import acceleration_errors
from hmrtk.toolkit.records.table import RecordTable

TRACK = ("dataset", "split", "subject", "sequence", "camera_id")
"""Columns that all frames of one person in one film share."""


def acceleration_of(records: RecordTable, offsets: NDArray[Any]) -> NDArray[np.float64]:
    """The acceleration error of every sample that has a frame before and after it.

    Args:
        records: N rows, in any order. Frames follow each other when they are as far apart as the nearest two of their
            film, so a film of every fifth frame is judged on those. Films with a frame twice (two people whom no
            ``subject`` tells apart) are left out, as are rows without a sequence.
        offsets: (N, J, 3) metres, predicted minus true joints, both moved to their root.

    Returns:
        (N,) mm per squared frame step; NaN where a neighbour is missing.
    """
    result = np.full(len(records), np.nan)
    for rows, frames in _films(records):
        if len(rows) < 3:
            continue
        gap = np.diff(frames)
        if gap.min() == 0:
            continue
        whole = (gap[1:] == gap.min()) & (gap[:-1] == gap.min())
        result[rows[1:-1][whole]] = acceleration_errors(offsets[rows])[whole]
    return result


def _films(records: RecordTable) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of each film by frame, and their frames."""
    usable = np.flatnonzero(records.has("sequence", "frame"))
    if not len(usable):
        return []
    names = list(zip(*(records.table[column].to_pylist() for column in TRACK), strict=True))
    _, film = np.unique([repr(names[row]) for row in usable], return_inverse=True)
    frame = records.array("frame")[usable].astype(np.int64)
    order = np.lexsort((frame, film))
    cuts = np.flatnonzero(np.diff(film[order])) + 1
    return [(usable[part], frame[part]) for part in np.split(order, cuts)]

"""The windows of a stream with their columns read, by this thread or ahead of time by others.

In: windows (``order``) and what reads a piece. Out: ``Loaded`` windows, whose rows are named by their place. Used by
the readers, one row or one batch at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.shards.order import Piece, Window
from hmrtk.toolkit.shards.rows import RowDecoder

RowKey = tuple[int, int, int]
"""Which row, and when: epoch, place of the data set in a mixture, number of the row in its split."""

Slot = tuple["Loaded", int]
"""A row: its window, and its place in the window's order."""


@dataclass
class Loaded:
    """A window whose columns are in memory, pictures still encoded.

    Attributes:
        decoder: which columns there are.
        pieces: ``RowDecoder.load`` of each piece.
        rows: (piece, row of the piece) in the order in which they are given.
        firsts: number of each piece's first row in its split.
        epoch: of the data set; of a mixture's, also which pass.
        source: place of the data set in a mixture.
        labelled_by: fingerprint of the prototypes of its labels.
    """

    decoder: RowDecoder
    pieces: list[dict[str, Any]]
    rows: list[tuple[int, int]]
    firsts: list[int] = field(default_factory=list)
    epoch: int = 0
    source: int = 0
    labelled_by: str | None = None
    _ordered: dict[str, Any] = field(default_factory=dict)

    def row(self, place: int) -> dict[str, Any]:
        """One decoded row (``RowDecoder.row``)."""
        piece, row = self.rows[place]
        return self.decoder.row(self.pieces[piece], row)

    def value(self, name: str, place: int) -> Any:
        """One row's value of a column, as it is in memory."""
        piece, row = self.rows[place]
        return self.pieces[piece][name][row]

    def key(self, place: int) -> RowKey:
        """Which row, and when."""
        piece, row = self.rows[place]
        return self.epoch, self.source, self.firsts[piece] + row

    def name(self, place: int) -> str:
        """``<file> row group <number> row <number>``, for messages."""
        piece, row = self.rows[place]
        group, first = self.pieces[piece][""]
        return f"{group} row {first + row}"

    def ordered(self, name: str) -> NDArray[Any] | list[Any]:
        """A narrow column of the whole window, in the order of its rows; made once."""
        if name not in self._ordered:
            columns = [piece[name] for piece in self.pieces]
            if isinstance(columns[0], list):
                self._ordered[name] = [columns[p][r] or "" for p, r in self.rows]
            else:
                starts = np.cumsum([0, *map(len, columns)])
                self._ordered[name] = np.concatenate(columns)[[starts[p] + r for p, r in self.rows]]
        return self._ordered[name]


def load_windows(
    windows: Iterable[Window],
    decoder: RowDecoder,
    read: Callable[[Piece], dict[str, Any]],
    pool: Executor | None,
    starts: Sequence[int],
    epoch: int,
) -> Iterator[Loaded]:
    """Read window after window.

    Args:
        read: reads one piece.
        starts: number of each row group's first row in the split.
        epoch: that the windows are of.
        pool: its threads read a window's pieces side by side, and the next window's while this one is used; None reads
            here, when it is this window's turn.
    """

    def loaded(window: Window, pieces: list[dict[str, Any]]) -> Loaded:
        firsts = [starts[piece.group] + piece.first for piece in window.pieces]
        return Loaded(decoder, pieces, window.rows, firsts, epoch)

    if pool is None:
        for window in windows:
            yield loaded(window, [read(piece) for piece in window.pieces])
        return
    ahead: deque[tuple[Window, list[Any]]] = deque()
    for window in windows:
        ahead.append((window, [pool.submit(read, piece) for piece in window.pieces]))
        if len(ahead) > 1:
            yield loaded(*_ready(*ahead.popleft()))
    while ahead:
        yield loaded(*_ready(*ahead.popleft()))


def _ready(window: Window, pieces: list[Any]) -> tuple[Window, list[dict[str, Any]]]:
    return window, [piece.result() for piece in pieces]

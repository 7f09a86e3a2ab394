"""In which order the rows of an epoch are given, and to whom: pure arithmetic on row-group sizes and seeds.

In: the rows of each row group, seed, epoch. Out: for one of S streams, the windows of rows it gives. Used by the
reader, which explains the scheme.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_GROUPS, _WINDOW = 1, 2
"""First word of the seeds: what they shuffle. NumPy pads seeds with zeros, so lengths do not tell them apart."""


@dataclass(frozen=True)
class Piece:
    """Rows ``first`` … ``last - 1`` of a row group."""

    group: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


@dataclass(frozen=True)
class Window:
    """Rows shuffled together: the pieces they lie in and, in order, the (piece, row of the piece) still to give."""

    pieces: tuple[Piece, ...]
    rows: list[tuple[int, int]]


class RowOrder:
    """One epoch's order.

    Args:
        sizes: rows of each row group, in file order.
        buffer: a window takes whole pieces until it has at least this many rows.
        shuffle: False keeps file order.
    """

    def __init__(self, sizes: Sequence[int], seed: int, epoch: int, buffer: int, shuffle: bool = True) -> None:
        self.seed, self.epoch, self.buffer, self.shuffle = seed, epoch, buffer, shuffle
        rng = np.random.default_rng([_GROUPS, seed, epoch])
        self._line = rng.permutation(len(sizes)) if shuffle else np.arange(len(sizes))
        self._ends = np.cumsum(np.asarray(sizes, np.int64)[self._line])

    @property
    def rows(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def span(self, stream: int, streams: int, even: bool = False) -> tuple[int, int]:
        """First and one-past-last position of a stream in the line of all rows; ``even`` gives all the same length."""
        first = self.rows * stream // streams
        return first, first + self.rows // streams if even else self.rows * (stream + 1) // streams

    def pieces(self, first: int, last: int) -> Iterator[Piece]:
        """The parts of row groups that cover positions ``first`` … ``last - 1`` of the line."""
        for place in range(int(np.searchsorted(self._ends, first, side="right")), len(self._ends)):
            start = int(self._ends[place - 1]) if place else 0
            if start >= last:
                return
            inside = max(first - start, 0), min(last, int(self._ends[place])) - start
            if inside[1] > inside[0]:
                yield Piece(int(self._line[place]), *inside)

    def windows(self, stream: int, streams: int, skip: int = 0, even: bool = False) -> Iterator[Window]:
        """What a stream gives, without its first ``skip`` rows; windows that lie wholly in them are not built."""
        for number, pieces in enumerate(self._gathered(stream, streams, even)):
            count = sum(map(len, pieces))
            if skip < count:
                yield Window(pieces, self._shuffled(pieces, stream, number)[skip:])
            skip = max(skip - count, 0)

    def _gathered(self, stream: int, streams: int, even: bool) -> Iterator[tuple[Piece, ...]]:
        gathered: list[Piece] = []
        for piece in self.pieces(*self.span(stream, streams, even)):
            gathered.append(piece)
            if sum(map(len, gathered)) >= self.buffer:
                yield tuple(gathered)
                gathered = []
        if gathered:
            yield tuple(gathered)

    def _shuffled(self, pieces: tuple[Piece, ...], stream: int, number: int) -> list[tuple[int, int]]:
        rows = np.array([(p, r) for p, piece in enumerate(pieces) for r in range(len(piece))], np.int64).reshape(-1, 2)
        order: NDArray[np.int64] = np.arange(len(rows))
        if self.shuffle:
            order = np.random.default_rng([_WINDOW, self.seed, self.epoch, stream, number]).permutation(len(rows))
        return [(int(p), int(r)) for p, r in rows[order]]

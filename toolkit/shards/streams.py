"""``ShardStream``: what all readers of rows in a given order share: ranks, workers, epochs, the token to resume from.

In: a subclass that gives the rows of one stream from any row on. Out: a torch ``IterableDataset``. ``reader`` says what
streams, cursors and tokens are.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from hmrtk.toolkit.errors import HmrtkError, InputError
from hmrtk.toolkit.shards.cropper import Cropper
from hmrtk.toolkit.shards.rows import RowDecoder
from hmrtk.toolkit.shards.tensors import to_tensors
from hmrtk.toolkit.shards.windows import Slot

STATE_VERSION = 1


class ReaderError(HmrtkError):
    """A failed read inside a DataLoader worker: torch hands over a traceback's text; its last line is kept."""

    def __init__(self, message: str) -> None:
        super().__init__(message.strip().splitlines()[-1].removeprefix(f"{__name__}.{type(self).__name__}: "))


class ShardStream(IterableDataset):
    """Rows in an order that follows from ``seed`` and ``epoch``, cut into one stream per worker of every rank.

    Attributes:
        decoder: of the rows; says which columns there are.
        cropper: makes the crops of its rows; None gives rows as they are stored.
        same: names of the attributes in which a token and the reader that it is loaded into must agree.

    Raises:
        InputError: an impossible rank.
    """

    decoder: RowDecoder
    cropper: Cropper | None
    same: tuple[str, ...]

    def __init__(self, seed: int, rank: int, world: int) -> None:
        super().__init__()
        if not 0 <= rank < world:
            raise InputError("rank", f"expected 0 … {world - 1}, got {rank}")
        self.seed, self.rank, self.world = seed, rank, world
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # persistent workers see set_epoch
        self._start: dict[int, int] = {}  # where the streams of this epoch begin: from a loaded token
        self._seen: dict[int, int] = {}  # where they are
        self._last: tuple[int, int] | None = None  # the stream that gave the last row, and how many streams there are

    @property
    def rows(self) -> int:
        """Rows of an epoch, over all ranks."""
        raise NotImplementedError

    def length(self, stream: int, streams: int) -> int:
        """Rows of a stream."""
        raise NotImplementedError

    def slots(self, stream: int, streams: int, skip: int, pool: Executor | None = None) -> Iterator[Slot]:
        """The rows of a stream from row ``skip`` on, read but not decoded; ``pool`` as in ``load_windows``."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self.rows

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, which chooses the order; call it before each. The same epoch again keeps a loaded token."""
        if epoch != self.epoch:
            self._epoch.fill_(epoch)
            self._start, self._seen, self._last = {}, {}, None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        if worker is None:
            for row in self._decoded(1, 0):
                self.advance(row["cursor"])
                yield row
            return
        try:
            yield from self._decoded(worker.num_workers, worker.id)
        except HmrtkError as error:
            raise ReaderError(str(error)) from None

    def _decoded(self, workers: int, worker: int) -> Iterator[dict[str, Any]]:
        stream, streams, skip = self.enter(workers, worker)
        for count, (window, place) in enumerate(self.slots(stream, streams, skip), start=skip + 1):
            row = window.row(place)
            if self.cropper is not None:
                row = self.cropper.row(row, window.key(place), window.labelled_by)
            yield {**to_tensors(row), "cursor": torch.tensor([stream, streams, count])}

    @property
    def crops(self) -> dict[str, Any] | None:
        """``Cropper.identity``: what a token must find again."""
        return None if self.cropper is None else self.cropper.identity

    def enter(self, workers: int = 1, worker: int = 0) -> tuple[int, int, int]:
        """Which stream a worker reads, how many streams there are, and how many of its rows were used already.

        Raises:
            InputError: the token is of another rank or number of workers.
        """
        stream = self.rank * workers + self._turn(workers, worker)
        skip = self._start.get(stream, 0)
        if get_worker_info() is None:
            self._start, self._seen = {}, {stream: skip}  # a token is used once
        return stream, self.world * workers, skip

    def advance(self, cursor: torch.Tensor) -> None:
        """Note that rows were used: the ``cursor`` of a row (3,) or of a batch (B, 3)."""
        for stream, streams, count in cursor.reshape(-1, 3).tolist():
            self._seen[stream] = max(self._seen.get(stream, 0), count)
            self._last = (stream, streams)

    def state_dict(self) -> dict[str, Any]:
        """The token of this rank: plain JSON values; the next row after the last one used (see ``advance``)."""
        seen = {str(stream): count for stream, count in sorted({**self._start, **self._seen}.items())}
        state = {name: getattr(self, name) for name in self.same}
        return {
            **state,
            "version": STATE_VERSION,
            "epoch": self.epoch,
            "consumed": seen,
            "last": self._last and list(self._last),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a token; the number of DataLoader workers must be the one it was made with.

        Raises:
            InputError: the token is of another seed, split, world, buffer or of other shards.
        """
        for name in self.same:
            if state.get(name) != getattr(self, name):
                raise InputError(
                    "reader token", f"was made with {name} {state.get(name)!r}, this reader has {getattr(self, name)!r}"
                )
        self._epoch.fill_(int(state["epoch"]))
        self._start = {int(stream): int(count) for stream, count in state["consumed"].items()}
        self._seen, self._last = {}, state["last"] and (int(state["last"][0]), int(state["last"][1]))

    def seek(self, epoch: int, rows: int) -> None:
        """Start ``epoch`` after ``rows`` rows of this rank's stream, for who counts batches instead of keeping tokens.

        For readers without DataLoader workers: what the rank reads is then one stream.
        """
        self.set_epoch(epoch)
        self._start, self._seen, self._last = {self.rank: rows}, {}, None

    def _turn(self, workers: int, worker: int) -> int:
        """Which of the rank's streams a worker reads: after a token, the one due next comes first."""
        if not self._start or self._last is None:
            return worker
        last, streams = self._last
        if streams != self.world * workers or last // workers != self.rank:
            raise InputError("reader token", f"is of another rank, or not of {workers} DataLoader workers")
        return (worker + last + 1) % workers

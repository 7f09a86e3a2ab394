"""``ShardDataset``: stream the rows of a shard folder into torch, each exactly once per epoch, resumable.

In: a folder with an index. Out: one dict per row (``rows.RowDecoder``) as tensors. Called by the models' data modules.

Order. The row groups of the split, shuffled by (seed, epoch), lie end to end; the line of N rows is cut into
``world × workers`` streams of equal length (± 1 row), and DataLoader worker w of rank r reads stream r · workers + w.
A stream shuffles its rows within windows of ``buffer`` rows by (seed, epoch, stream, window), so every position is
known without reading what comes before it.

Resuming. Every row carries ``cursor`` = (stream, streams, rows of that stream given so far); batches keep it. Pass the
cursor of each used batch to ``advance``; without workers, rows count as used when they are given. ``state_dict`` is
then the token of the point after it. ``load_state_dict`` into a dataset of the same seed, split, world and number of
workers continues with the very next batch::

    for epoch in range(dataset.epoch, epochs):
        dataset.set_epoch(epoch)
        for batch in DataLoader(dataset, batch_size=64, num_workers=2):
            ...
            dataset.advance(batch["cursor"])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from hmrtk.toolkit.errors import HmrtkError, InputError
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.order import Piece, RowOrder
from hmrtk.toolkit.shards.rows import RowDecoder, RowGroups

STATE_VERSION = 1
_SAME = ("rows", "seed", "split", "world", "shuffle", "buffer")


class ReaderError(HmrtkError):
    """A failed read inside a DataLoader worker: torch hands over a traceback's text; its last line is kept."""

    def __init__(self, message: str) -> None:
        super().__init__(message.strip().splitlines()[-1].removeprefix(f"{__name__}.{type(self).__name__}: "))


class ShardDataset(IterableDataset):
    """The rows of one split (or of all), streamed row group by row group.

    Args:
        root: a folder written by ``build_shards``.
        split: train, val, …; None reads every split.
        columns: names of ``shard_schema`` to read; None reads all. Only these are read from disk.
        shuffle: False gives the rows in file order.
        seed: of the order.
        buffer: rows of a shuffle window. They are held undecoded: about 40 KB a row with pictures, 350 KB with every
            map, per worker.
        rank, world: this process among the training processes.
        drop_uneven: every stream gives the same number of rows, so that ranks stay in step; fewer rows than there are
            streams are left out per epoch. By default none is left out.

    Each row is a dict: ``image`` (3, H, W) uint8 RGB; float columns float32; ``label`` and other integers int64;
    ``sample_id`` and other text str; ``cursor`` (3,) int64. Null numbers are NaN, or 0 for integers, and -1 for
    ``label``; a null picture is black and ``has_image`` False; null text is "".

    Raises:
        InputError: no finished shards there, or a damaged file (with its row group).
        UnknownNameError: an unknown split or column.
        ReaderError: the same, when it happens in a DataLoader worker.
    """

    def __init__(
        self,
        root: str | Place,
        split: str | None = "train",
        columns: Sequence[str] | None = None,
        *,
        shuffle: bool = True,
        seed: int = 0,
        buffer: int = 512,
        rank: int = 0,
        world: int = 1,
        drop_uneven: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= rank < world:
            raise InputError("rank", f"expected 0 … {world - 1}, got {rank}")
        if buffer < 1:
            raise InputError("buffer", f"expected at least 1 row, got {buffer}")
        self.index = ShardIndex.read(root)
        self.decoder = RowDecoder(self.index, columns)
        self.groups = RowGroups(self.index, split)
        self.rank, self.world, self.drop_uneven = rank, world, drop_uneven
        self.split, self.shuffle, self.seed, self.buffer = split, shuffle, seed, buffer
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # persistent workers see set_epoch
        self._start: dict[int, int] = {}  # where the streams of this epoch begin: from a loaded token
        self._seen: dict[int, int] = {}  # where they are
        self._last: tuple[int, int] | None = None  # the stream that gave the last row, and how many streams there are

    def __len__(self) -> int:
        """Rows of the split, over all ranks."""
        return self.groups.rows

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
            for row in self._stream(1, 0):
                self.advance(row["cursor"])
                yield row
            return
        try:
            yield from self._stream(worker.num_workers, worker.id)
        except HmrtkError as error:
            raise ReaderError(str(error)) from None

    def _stream(self, workers: int, worker: int) -> Iterator[dict[str, Any]]:
        stream = self.rank * workers + self._turn(workers, worker)
        streams = self.world * workers
        skip = self._start.get(stream, 0)
        if get_worker_info() is None:
            self._start, self._seen = {}, {stream: skip}  # a token is used once
        for count, row in enumerate(self._rows(stream, streams, skip), start=skip + 1):
            yield {**row, "cursor": torch.tensor([stream, streams, count])}

    def advance(self, cursor: torch.Tensor) -> None:
        """Note that rows were used: the ``cursor`` of a row (3,) or of a batch (B, 3)."""
        for stream, streams, count in cursor.reshape(-1, 3).tolist():
            self._seen[stream] = max(self._seen.get(stream, 0), count)
            self._last = (stream, streams)

    def state_dict(self) -> dict[str, Any]:
        """The token of this rank: plain JSON values; the next row after the last one used (see ``advance``)."""
        seen = {str(stream): count for stream, count in sorted({**self._start, **self._seen}.items())}
        state = {name: self._value(name) for name in _SAME}
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
        for name in _SAME:
            if state.get(name) != self._value(name):
                raise InputError(
                    "reader token", f"was made with {name} {state.get(name)!r}, this reader has {self._value(name)!r}"
                )
        self._epoch.fill_(int(state["epoch"]))
        self._start = {int(stream): int(count) for stream, count in state["consumed"].items()}
        self._seen, self._last = {}, state["last"] and (int(state["last"][0]), int(state["last"][1]))

    def _value(self, name: str) -> Any:
        return self.groups.rows if name == "rows" else getattr(self, name)

    def _turn(self, workers: int, worker: int) -> int:
        """Which of the rank's streams a worker reads: after a token, the one due next comes first."""
        if not self._start or self._last is None:
            return worker
        last, streams = self._last
        if streams != self.world * workers or last // workers != self.rank:
            raise InputError("reader token", f"is of another rank, or not of {workers} DataLoader workers")
        return (worker + last + 1) % workers

    def _rows(self, stream: int, streams: int, skip: int) -> Iterator[dict[str, Any]]:
        order = RowOrder(self.groups.sizes, self.seed, self.epoch, self.buffer, self.shuffle)
        for window in order.windows(stream, streams, skip, self.drop_uneven):
            batches = [self.read(piece) for piece in window.pieces]
            for piece, row in window.rows:
                yield to_tensors(self.decoder.row(batches[piece], row))

    def read(self, piece: Piece) -> dict[str, Any]:
        """The wanted columns of a piece of a row group, not yet decoded (``RowDecoder.batch``)."""
        return self.decoder.load(self.groups, piece)


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
    if array.dtype.kind == "f":
        return torch.from_numpy(array.astype(np.float32))
    return torch.from_numpy(array.astype(bool if array.dtype == bool else np.int64))


def read_row(
    root: str | Place, position: int, split: str | None = None, columns: Sequence[str] | None = None
) -> dict[str, Any]:
    """One row by its position in the split (in file order), as ``ShardDataset`` gives it, without ``cursor``.

    Raises:
        InputError: the position is outside the split; otherwise as ``ShardDataset``.
    """
    dataset = ShardDataset(root, split, columns)
    if not 0 <= position < len(dataset):
        raise InputError(root, f"has no row {position}: expected 0 … {len(dataset) - 1}")
    group, inside = dataset.groups.locate(position)
    batch = dataset.read(Piece(group, inside, inside + 1))
    return to_tensors(dataset.decoder.row(batch, 0))

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

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.cropper import Cropper, cropped_decoder
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.order import Piece, RowOrder
from hmrtk.toolkit.shards.rows import RowGroups
from hmrtk.toolkit.shards.streams import ReaderError, ShardStream
from hmrtk.toolkit.shards.tensors import to_tensors
from hmrtk.toolkit.shards.windows import Slot, load_windows

__all__ = ["ReaderError", "ShardDataset", "read_row", "to_tensors"]


class ShardDataset(ShardStream):
    """The rows of one split (or of all), streamed row group by row group.

    Args:
        root: a folder written by ``build_shards``.
        split: train, val, …; None reads every split.
        columns: names of ``shard_schema`` to read; None reads all. Only these are read from disk, and those that the
            cropper needs beside them.
        shuffle: False gives the rows in file order.
        seed: of the order.
        buffer: rows of a shuffle window. They are held undecoded: about 40 KB a row with pictures, 350 KB with every
            map, per worker.
        rank, world: this process among the training processes.
        cropper: gives the network's crop of each row instead of its region, changed at random or not (``cropper``).
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

    same = ("rows", "seed", "split", "world", "shuffle", "buffer", "crops")

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
        cropper: Cropper | None = None,
    ) -> None:
        super().__init__(seed, rank, world)
        if buffer < 1:
            raise InputError("buffer", f"expected at least 1 row, got {buffer}")
        self.index = ShardIndex.read(root)
        self.decoder, self.cropper = cropped_decoder(self.index, columns, cropper), cropper
        self.groups = RowGroups(self.index, split)
        self._starts = [0, *itertools.accumulate(self.groups.sizes)]
        self.split, self.shuffle, self.buffer, self.drop_uneven = split, shuffle, buffer, drop_uneven

    @property
    def rows(self) -> int:
        """Rows of the split, over all ranks."""
        return self.groups.rows

    def length(self, stream: int, streams: int) -> int:
        first, last = self._order(self.epoch).span(stream, streams, self.drop_uneven)
        return last - first

    def slots(self, stream: int, streams: int, skip: int, pool: Executor | None = None) -> Iterator[Slot]:
        yield from self.slots_of(self.epoch, stream, streams, skip, pool)

    def slots_of(
        self, epoch: int, stream: int, streams: int, skip: int, pool: Executor | None = None
    ) -> Iterator[Slot]:
        """As ``slots``, of any epoch."""
        windows = self._order(epoch).windows(stream, streams, skip, self.drop_uneven)
        for window in load_windows(windows, self.decoder, self.read, pool, self._starts, epoch):
            window.labelled_by = self.index.prototypes
            for place in range(len(window.rows)):
                yield window, place

    def _order(self, epoch: int) -> RowOrder:
        return RowOrder(self.groups.sizes, self.seed, epoch, self.buffer, self.shuffle)

    def read(self, piece: Piece) -> dict[str, Any]:
        """The wanted columns of a piece of a row group, not yet decoded (``RowDecoder.load``)."""
        return self.decoder.load(self.groups, piece)


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

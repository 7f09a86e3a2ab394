"""``ShardMap``: any row of a split by its number, for samplers, viewers and random access.

In: a shard folder, local or in an object store. Out: a map-style torch ``Dataset`` of the rows that ``ShardDataset``
gives. A picture is one read of its own bytes (``offsets``), however large its row group; the other columns come by row
group, the last few of which are kept. For training in shuffled order ``ShardBatches`` is faster: it reads every row
group once.
"""

from __future__ import annotations

import bisect
import itertools
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.remote import Place, RemotePath
from hmrtk.toolkit.shards.cropper import Cropper, cropped_decoder
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.lists import NULL
from hmrtk.toolkit.shards.offsets import shard_offsets
from hmrtk.toolkit.shards.order import Piece
from hmrtk.toolkit.shards.rows import RowDecoder, RowGroups
from hmrtk.toolkit.shards.tensors import to_tensors


class ShardMap(Dataset):
    """The rows of one split (or of all) in file order.

    Args:
        root, split, columns: as for ``ShardDataset``. Without ``image``, no picture is read; with nothing else, nothing
            but pictures.
        kept_groups: row groups kept in memory: with every map 16 MB each.
        save: keep offset indexes that have to be made.
        cropper: as for ``ShardDataset``.
        verify: check the CRC-32 of each picture, 1 µs per KB; decoding takes thirty times as long.

    Each row is a dict as ``ShardDataset`` gives it, without ``cursor``. Safe to use from several threads and from
    DataLoader workers, which fetch a whole batch with one sweep over its row groups.

    Raises:
        InputError: no finished shards there; a damaged picture (its row is named) or row group.
        UnknownNameError: an unknown split or column.
        IndexError: no such row, as for a list.
    """

    def __init__(
        self,
        root: str | Place,
        split: str | None = "train",
        columns: Sequence[str] | None = None,
        *,
        kept_groups: int = 4,
        save: bool = True,
        verify: bool = True,
        cropper: Cropper | None = None,
    ) -> None:
        if kept_groups < 1:
            raise InputError("kept_groups", f"expected at least 1, got {kept_groups}")
        self.index = ShardIndex.read(root)
        self.decoder, self.cropper = cropped_decoder(self.index, columns, cropper), cropper
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # persistent workers see set_epoch
        self.groups = RowGroups(self.index, split)
        self.kept_groups, self.save, self.verify = kept_groups, save, verify
        self._entries = self.index.entries(split)
        self._places = [self._place(entry.path) for entry in self._entries]
        self._ends = list(itertools.accumulate(entry.rows for entry in self._entries))
        self._others = RowDecoder(self.index, [name for name in self.decoder.columns if name != "image"])
        self._reset()

    def _reset(self) -> None:
        self._spans: dict[int, list[tuple[int, int, int]]] = {}  # of a shard: start, length and CRC of each picture
        self._kept: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_spans", "_kept", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __len__(self) -> int:
        """Rows of the split."""
        return self.groups.rows

    def __getitem__(self, position: int) -> dict[str, Any]:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """Several rows, in the order asked for; each row group is read once, pictures in one sweep."""
        numbers = [self._inside(int(position)) for position in positions]
        located = [self.groups.locate(number) for number in numbers]
        pictures = self.encoded(numbers) if "image" in self.decoder.columns else [None] * len(numbers)
        rows: list[dict[str, Any]] = [{}] * len(located)
        for number in sorted(range(len(located)), key=lambda i: located[i]):
            group, inside = located[number]
            row = self._row(group, inside, pictures[number])
            if self.cropper is not None:
                row = self.cropper.row(row, (self.epoch, 0, numbers[number]), self.index.prototypes)
            rows[number] = to_tensors(row)
        return rows

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, which chooses how a cropper changes the rows; call it before each."""
        self._epoch.fill_(epoch)

    def encoded(self, positions: Sequence[int]) -> list[memoryview | None]:
        """The pictures of rows as they are stored (JPEG), from local files without a copy; None where there is none."""
        wanted: list[tuple[int, int, int, int, int]] = []  # number, shard, start, length, CRC
        for number, position in enumerate(positions):
            inside = self._inside(position)
            shard = bisect.bisect_right(self._ends, inside)
            spans = self._spans.get(shard) or self._read_spans(shard)
            start, length, crc = spans[inside - self._ends[shard]]  # counted from the shard's end
            if start != NULL:
                wanted.append((number, shard, start, length, crc))
        found: list[memoryview | None] = [None] * len(positions)
        for (number, _, _, _, crc), data in zip(wanted, self._bytes(wanted), strict=True):
            if self.verify and zlib.crc32(data) != crc:
                group, row = self.groups.locate(self._inside(positions[number]))
                place = f"{self.groups.name(group)} row {row}"
                raise InputError(place, "its picture has another checksum", "run verify-shards, then build again")
            found[number] = data
        return found

    def _bytes(self, wanted: list[tuple[int, int, int, int, int]]) -> list[memoryview]:
        ranges = [(self._places[shard], start, length) for _, shard, start, length, _ in wanted]
        if isinstance(self.index.root, RemotePath):
            return [memoryview(data) for data in self.groups.ranges.read_many(ranges)]
        return [self.groups.ranges.view(*one) for one in ranges]

    def _read_spans(self, shard: int) -> list[tuple[int, int, int]]:
        with self._lock:
            offsets = shard_offsets(self.index, self._entries[shard], self.save)
            columns = (offsets.ranges[:, 0].tolist(), offsets.ranges[:, 1].tolist(), offsets.crc.tolist())
            self._spans[shard] = list(zip(*columns, strict=True))
            return self._spans[shard]

    def _place(self, path: str) -> Place:
        return self.index.root / path

    def _inside(self, position: int) -> int:
        if not -len(self) <= position < len(self):
            raise IndexError(f"{self.index.root} has no row {position}: expected 0 … {len(self) - 1}")
        return position % len(self)

    def _row(self, group: int, inside: int, picture: memoryview | None) -> dict[str, Any]:
        others = self._group(group) if self._others.columns else {}
        row: dict[str, Any] = {"": (self.groups.name(group), inside)}
        row |= {name: [others[name][inside]] for name in self._others.columns}
        if "image" in self.decoder.columns:
            row["image"] = [picture]
        return self.decoder.row(row, 0)

    def _group(self, group: int) -> dict[str, Any]:
        """All columns but the picture of a row group."""
        with self._lock:
            if group not in self._kept:
                self._kept[group] = self._others.load(self.groups, Piece(group, 0, self.groups.sizes[group]))
                if len(self._kept) > self.kept_groups:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(group)
            return self._kept[group]

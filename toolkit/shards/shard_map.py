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
from hmrtk.toolkit.shards.ranges import MAX_MAPPED
from hmrtk.toolkit.shards.rows import RowDecoder, RowGroups
from hmrtk.toolkit.shards.tensors import to_tensors

_Opened = tuple[memoryview, list[tuple[int, int, int]], bytearray]
_OWN = ("_spans", "_opened", "_seen", "_kept", "_lock")
"""What every process makes for itself."""


class ShardMap(Dataset):
    """The rows of one split (or of all) in file order.

    Args:
        root, split, columns: as for ``ShardDataset``. Without ``image``, no picture is read; with nothing else, nothing
            but pictures.
        kept_groups: row groups kept in memory: with every map 16 MB each.
        save: keep offset indexes that have to be made.
        cropper: as for ``ShardDataset``.
        verify: check the CRC-32 of each picture the first time that a process gives it (from an object store: each
            time); 0.4 µs per KB, and decoding takes twenty times as long.

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
        self._spans: dict[int, list[tuple[int, int, int]]] = {}  # of a shard: start, end and CRC of each picture
        self._opened: dict[int, _Opened] = {}
        self._seen: dict[int, bytearray] = {}
        self._kept: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OWN}

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
        if isinstance(self.index.root, RemotePath):
            return self._requested(positions)
        found: list[memoryview | None] = []
        ends, opened, rows = self._ends, self._opened, self.groups.rows
        for position in positions:
            inside = position if 0 <= position < rows else self._inside(position)
            shard = bisect.bisect_right(ends, inside)
            view, spans, seen = opened.get(shard) or self._open(shard)
            number = inside - ends[shard]  # counted from the shard's end
            start, stop, crc = spans[number]
            if start == NULL:
                found.append(None)
                continue
            data = view[start:stop]
            if not seen[number]:
                self._check(data, start, stop, crc, inside)
                seen[number] = 1
            found.append(data)
        return found

    def _requested(self, positions: Sequence[int]) -> list[memoryview | None]:
        """``encoded`` from an object store, with requests side by side."""
        inside = [self._inside(position) for position in positions]
        shards = [bisect.bisect_right(self._ends, number) for number in inside]
        spans = [
            (self._spans.get(shard) or self._read_spans(shard))[number - self._ends[shard]]
            for number, shard in zip(inside, shards, strict=True)
        ]
        there = [number for number, (start, _, _) in enumerate(spans) if start != NULL]
        wanted = [(self._places[shards[n]], spans[n][0], spans[n][1] - spans[n][0]) for n in there]
        found: list[memoryview | None] = [None] * len(inside)
        for number, data in zip(there, self.groups.ranges.read_many(wanted), strict=True):
            start, stop, crc = spans[number]
            self._check(memoryview(data), start, stop, crc, inside[number])
            found[number] = memoryview(data)
        return found

    def _check(self, data: memoryview, start: int, stop: int, crc: int, position: int) -> None:
        """Refuse the picture of a row that is cut off or, where that is wanted, has another checksum."""
        if len(data) != stop - start:
            shard = self._places[bisect.bisect_right(self._ends, position)]
            raise InputError(shard, f"ends before byte {stop}", "run verify-shards, then build again")
        if self.verify and zlib.crc32(data) != crc:
            group, row = self.groups.locate(position)
            place = f"{self.groups.name(group)} row {row}"
            raise InputError(place, "its picture has another checksum", "run verify-shards, then build again")

    def _open(self, shard: int) -> _Opened:
        """A shard's bytes, where its pictures lie in them, and which of them were checked."""
        spans = self._spans.get(shard) or self._read_spans(shard)
        place = self._places[shard]
        assert not isinstance(place, RemotePath)  # those are requested
        view = self.groups.ranges.whole(place)
        with self._lock:
            if len(self._opened) >= MAX_MAPPED:
                self._opened.clear()
            seen = self._seen.setdefault(shard, bytearray(len(spans)))
            self._opened[shard] = view, spans, seen
            return self._opened[shard]

    def _read_spans(self, shard: int) -> list[tuple[int, int, int]]:
        with self._lock:
            offsets = shard_offsets(self.index, self._entries[shard], self.save)
            starts = offsets.ranges[:, 0]
            columns = (starts.tolist(), (starts + offsets.ranges[:, 1]).tolist(), offsets.crc.tolist())
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

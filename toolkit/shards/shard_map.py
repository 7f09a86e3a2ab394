"""``ShardMap``: any row of a split by its number, for samplers, viewers and random access.

In: a shard folder, local or in an object store. Out: a map-style torch ``Dataset`` of the rows that ``ShardDataset``
gives. A picture is one read of its own bytes (``offsets``), however large its row group; the other columns come by row
group, the last few of which are kept. For training in shuffled order ``ShardBatches`` is faster: it reads every row
group once.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.lists import NULL
from hmrtk.toolkit.shards.offsets import Offsets, shard_offsets
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
    ) -> None:
        if kept_groups < 1:
            raise InputError("kept_groups", f"expected at least 1, got {kept_groups}")
        self.index = ShardIndex.read(root)
        self.decoder = RowDecoder(self.index, columns)
        self.groups = RowGroups(self.index, split)
        self.kept_groups, self.save = kept_groups, save
        self._entries = {entry.path: entry for entry in self.index.shards}
        self._others = RowDecoder(self.index, [name for name in self.decoder.columns if name != "image"])
        self._starts = _starts_in_files(self.groups)
        self._reset()

    def _reset(self) -> None:
        self._offsets: dict[str, Offsets] = {}
        self._kept: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_offsets", "_kept", "_lock")}

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
        located = [self.groups.locate(self._inside(int(position))) for position in positions]
        pictures = self._pictures(located) if "image" in self.decoder.columns else [None] * len(located)
        rows: list[dict[str, Any]] = [{}] * len(located)
        for number in sorted(range(len(located)), key=lambda i: located[i]):
            group, inside = located[number]
            rows[number] = to_tensors(self._row(group, inside, pictures[number]))
        return rows

    def _inside(self, position: int) -> int:
        if not -len(self) <= position < len(self):
            raise IndexError(f"{self.index.root} has no row {position}: expected 0 … {len(self) - 1}")
        return position % len(self)

    def _row(self, group: int, inside: int, picture: bytes | None) -> dict[str, Any]:
        others = self._group(group) if self._others.columns else {}
        row: dict[str, Any] = {"": (self.groups.name(group), inside)}
        row |= {name: [others[name][inside]] for name in self._others.columns}
        if "image" in self.decoder.columns:
            row["image"] = [None if picture is None else memoryview(picture)]
        return self.decoder.row(row, 0)

    def _pictures(self, located: list[tuple[int, int]]) -> list[bytes | None]:
        """The encoded pictures of rows, their checksums verified."""
        wanted, sums, numbers = [], [], []
        for number, (group, inside) in enumerate(located):
            path, row = self.groups.places[group][0], self._starts[group] + inside
            offsets = self._offsets_of(path)
            start, length = (int(value) for value in offsets.ranges[row])
            if start != NULL:
                wanted.append((self.index.root / path, start, length))
                sums.append(int(offsets.crc[row]))
                numbers.append(number)
        found: list[bytes | None] = [None] * len(located)
        for number, data, crc in zip(numbers, self.groups.ranges.read_many(wanted), sums, strict=True):
            if zlib.crc32(data) != crc:
                group, inside = located[number]
                place = f"{self.groups.name(group)} row {inside}"
                raise InputError(place, "its picture has another checksum", "run verify-shards, then build again")
            found[number] = data
        return found

    def _offsets_of(self, path: str) -> Offsets:
        with self._lock:
            if path not in self._offsets:
                self._offsets[path] = shard_offsets(self.index, self._entries[path], self.save)
            return self._offsets[path]

    def _group(self, group: int) -> dict[str, Any]:
        """All columns but the picture of a row group."""
        with self._lock:
            if group not in self._kept:
                self._kept[group] = self._others.load(self.groups, Piece(group, 0, self.groups.sizes[group]))
                if len(self._kept) > self.kept_groups:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(group)
            return self._kept[group]


def _starts_in_files(groups: RowGroups) -> list[int]:
    """For each row group, the rows of its file before it."""
    starts: list[int] = []
    rows: dict[str, int] = {}
    for (path, _), size in zip(groups.places, groups.sizes, strict=True):
        starts.append(rows.get(path, 0))
        rows[path] = starts[-1] + size
    return starts

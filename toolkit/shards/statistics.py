"""What a folder of shards holds: rows, shares, the tail, labels, and where its bytes are.

In: a folder with an index, local or in an object store. Out: ``ShardStatistics``. Called by ``shards stats``.

Only narrow columns are read, row group by row group; pictures and maps are counted by what the files' footers say of
them. A folder of 312 000 rows takes some seconds.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.tail import tail_subset
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.index import ShardEntry, ShardIndex
from hmrtk.toolkit.shards.row_counts import COLUMNS, Counts, counted_rows
from hmrtk.toolkit.shards.rows import RowGroups, open_shard

STAGE = "statistics"
THREADS = 4
"""Files read side by side: hides the way to an object store."""
Key = tuple[str, str]
"""Data set and split."""
QUANTILES = (0, 5, 25, 50, 75, 90, 95, 99, 100)
NAMED = 5
"""Labels named among the largest, the smallest and the empty ones."""


@dataclass(frozen=True)
class Tail:
    """The rows farthest from the singular prototype (PM-Net's T-x%).

    Attributes:
        percent: x.
        rows: in the tail.
        measured: rows that have a distance.
        threshold: metres, the least distance in the tail.
        quantiles: per cent → metres, of all measured rows.
    """

    percent: float
    rows: int
    measured: int
    threshold: float
    quantiles: dict[int, float]

    def summary(self) -> dict[str, Any]:
        """Plain JSON values; millimetres."""
        quantiles = {str(k): 1000 * v for k, v in self.quantiles.items()}
        counts = {"percent": self.percent, "rows": self.rows, "measured": self.measured}
        return {**counts, "threshold_mm": 1000 * self.threshold, "quantiles_mm": quantiles}


@dataclass(frozen=True)
class ShardStatistics:
    """Everything that is counted.

    Attributes:
        index: of the folder.
        entries: the shards looked at.
        groups: (data set, split) → counts.
        tail: None without distances.
        labels: (K,) rows of each prototype up to the highest label there is; empty without labels.
        column_bytes: column → stored bytes, in the order of the schema.
    """

    index: ShardIndex
    entries: tuple[ShardEntry, ...]
    groups: dict[Key, Counts]
    tail: Tail | None
    labels: NDArray[np.int64]
    column_bytes: dict[str, int]

    @property
    def total(self) -> Counts:
        """Of all groups together."""
        counts = Counts()
        for part in self.groups.values():
            counts.add(part)
        return counts

    @property
    def row_groups(self) -> NDArray[np.int64]:
        """Rows of every row group."""
        return np.array([rows for entry in self.entries for rows in entry.row_groups])

    def bytes_per_row(self) -> dict[str, float]:
        """Column → mean stored bytes of a row."""
        rows = max(1, sum(entry.rows for entry in self.entries))
        return {name: size / rows for name, size in self.column_bytes.items()}

    def ranked_labels(self) -> list[tuple[int, int]]:
        """(label, rows), the largest first; those without rows are left out."""
        order = np.argsort(-self.labels, kind="stable")
        return [(int(label), int(self.labels[label])) for label in order if self.labels[label]]

    def empty_labels(self) -> list[int]:
        """Labels below the highest that no row has."""
        return np.flatnonzero(self.labels == 0).tolist()

    def summary(self) -> dict[str, Any]:
        """Plain JSON values."""
        sizes = self.row_groups
        named = [{"dataset": d, "split": s, **counts.summary()} for (d, s), counts in self.groups.items()]
        return {
            "root": str(self.index.root),
            "body": self.index.body,
            "prototypes": self.index.prototypes,
            "groups": named,
            "total": self.total.summary(),
            "tail": self.tail.summary() if self.tail else None,
            "labels": {"rows": self.labels.tolist(), "empty": self.empty_labels()},
            "bytes_per_row": self.bytes_per_row(),
            "shards": {
                "count": len(self.entries),
                "bytes": sum(entry.bytes for entry in self.entries),
                "largest": max(entry.bytes for entry in self.entries),
            },
            "row_groups": {
                "count": len(sizes),
                "smallest": int(sizes.min()),
                "median": float(np.median(sizes)),
                "largest": int(sizes.max()),
            },
        }


def shard_statistics(
    root: Place | str, split: str | None = None, tail: float = 10, progress: Progress = silent
) -> ShardStatistics:
    """Count what a folder of shards holds.

    Args:
        root: the folder.
        split: only this one; None counts all.
        tail: x of T-x%, of the rows looked at.

    Raises:
        InputError: no finished shards, a damaged file, or ``tail`` outside (0, 100].
        UnknownNameError: no such split.
    """
    if not 0 < tail <= 100:
        raise InputError("tail", f"expected a percentage above 0 and up to 100, got {tail}")
    index = ShardIndex.read(root)
    entries = index.entries(split)
    groups = RowGroups(index, split)
    whole, done = _Part(), 0
    with ThreadPoolExecutor(THREADS) as pool:
        for entry, part in zip(entries, pool.map(lambda one: _of_shard(groups, one), entries), strict=True):
            whole.add(part)
            done += entry.rows
            progress(STAGE, done, groups.rows, entry.path)
    return ShardStatistics(index, entries, whole.counts, _tail(whole, tail), whole.labels, dict(whole.column_bytes))


@dataclass
class _Part:
    """What is counted of one shard.

    Attributes:
        counts: of its groups.
        keys, distances: (data set, split), and the distances to the singular prototype of some of its rows.
        labels: rows of each label.
        column_bytes: column → stored bytes.
    """

    counts: dict[Key, Counts] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    distances: list[NDArray[np.float32]] = field(default_factory=list)
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    column_bytes: Counter[str] = field(default_factory=Counter)

    def add(self, other: _Part) -> None:
        """Count another shard as well."""
        for key, counts in other.counts.items():
            self.counts.setdefault(key, Counts()).add(counts)
        self.keys += other.keys
        self.distances += other.distances
        self.labels = _summed(self.labels, other.labels)
        self.column_bytes.update(other.column_bytes)


def _of_shard(groups: RowGroups, entry: ShardEntry) -> _Part:
    part = _Part(column_bytes=_column_bytes(groups.root / entry.path))
    for group, (path, _) in enumerate(groups.places):
        if path == entry.path:
            table = groups.read(group, [*COLUMNS, "label", "distance_to_singular"])
            labels = np.bincount(pc.drop_null(table["label"]).to_numpy())
            part.add(_Part(counted_rows(table), *_distances(table), labels))
    return part


def _distances(table: pa.Table) -> tuple[list[Key], list[NDArray[np.float32]]]:
    """Groups of the rows that have a distance, and the distances of each."""
    distance = table["distance_to_singular"].to_numpy().astype(np.float32)
    measured = np.isfinite(distance)
    names = zip(table["dataset"].to_pylist(), table["split"].to_pylist(), strict=True)
    rows: dict[Key, list[int]] = {}
    for row, name in enumerate(names):
        if measured[row]:
            rows.setdefault(name, []).append(row)
    return list(rows), [distance[found] for found in rows.values()]


def _column_bytes(path: Place) -> Counter[str]:
    """Column → stored bytes, by the file's footer."""
    file, _ = open_shard(path)
    sizes: Counter[str] = Counter()
    with file:
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            for place in range(group.num_columns):
                column = group.column(place)
                sizes[column.path_in_schema.split(".")[0]] += column.total_compressed_size
    return sizes


def _summed(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of two histograms of other lengths."""
    total = np.zeros(max(len(a), len(b)), np.int64)
    total[: len(a)] += a
    total[: len(b)] += b
    return total


def _tail(whole: _Part, percent: float) -> Tail | None:
    """The tail of all rows that have a distance; counts its rows in their groups."""
    if not whole.distances:
        return None
    distance = np.concatenate(whole.distances)
    rows = tail_subset(distance, percent)
    pieces = np.searchsorted(np.cumsum([len(piece) for piece in whole.distances]), rows, side="right")
    for piece, count in zip(*np.unique(pieces, return_counts=True), strict=True):
        whole.counts[whole.keys[piece]].tail += int(count)
    quantiles = dict(zip(QUANTILES, np.percentile(distance, QUANTILES).tolist(), strict=True))
    return Tail(percent, len(rows), len(distance), float(distance[rows].min()), quantiles)

"""The labels of a shard folder: ``labels.parquet`` beside the shards, so that other prototypes never touch a shard.

In: the shards, which hold the bodies, and prototypes or finished labels. Out: a Parquet file with one row per row of
the folder, in the order of its index: ``sample_id``, ``label``, ``distance``, ``distance_to_singular``; null where a
row has no body. The builder writes it, ``RowGroups`` puts it in the place of the shards' own three columns, which the
builder leaves null, and ``verify_shards`` compares the ids.

The file names the prototypes and the sha256 of the shards that it belongs to. Shards that are still there keep their
labels; only those of new shards are computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.prototypes.labels import Labels
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import file_fingerprint, read_parquet, write_parquet
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.codec import column_array
from hmrtk.toolkit.shards.index import LABELS_NAME, ShardEntry
from hmrtk.toolkit.shards.rows import open_shard
from hmrtk.toolkit.shards.schema import LABEL_COLUMNS, LABELS_KIND, LABELS_VERSION, label_schema

AT_ONCE = 4096
"""Bodies that are measured together, at least: prototypes are posed once per call."""


@dataclass(frozen=True)
class LabelSource:
    """Where labels come from.

    Attributes:
        prototypes: they are assigned from these; else they are given.
        given: ``sample_id`` → the three values.
        name: fingerprint of the one or the other.
    """

    prototypes: PrototypeSet | None
    given: dict[str, tuple[float, float, float]]
    name: str

    @classmethod
    def of(cls, prototypes: PrototypeSet | None, labels: Labels | None, ids: Sequence[str]) -> LabelSource | None:
        """From what the builder is given; None when it is neither.

        Args:
            ids: the ``sample_id`` of each of ``labels``.
        """
        if labels is not None:
            columns = [getattr(labels, name) for name in LABEL_COLUMNS]
            digest = hashlib.sha256(b"".join(np.ascontiguousarray(column).tobytes() for column in columns))
            values = zip(*(column.tolist() for column in columns), strict=True)
            return cls(None, dict(zip(ids, values, strict=True)), f"given {digest.hexdigest()[:16]}")
        return None if prototypes is None else cls(prototypes, {}, prototypes.fingerprint)


@dataclass(frozen=True)
class KeptLabels:
    """A label file as it lies in a folder.

    Attributes:
        table: its rows.
        source: ``LabelSource.name``.
        shards: (path, sha256, rows) of the shards, in the order of the rows.
    """

    table: pa.Table
    source: str
    shards: tuple[tuple[str, str, int], ...]

    @classmethod
    def read(cls, root: Place) -> KeptLabels | None:
        """The file in a folder; None when there is none, or it is damaged."""
        if not (root / LABELS_NAME).is_file():
            return None
        try:
            table, metadata = read_parquet(root / LABELS_NAME, LABELS_KIND, LABELS_VERSION, label_schema().names)
            shards = tuple((str(path), str(digest), int(rows)) for path, digest, rows in metadata["shards"])
            source = str(metadata["source"])
        except (InputError, KeyError, TypeError, ValueError):
            return None
        return cls(table, source, shards) if sum(rows for *_, rows in shards) == table.num_rows else None

    def parts(self) -> dict[str, pa.Table]:
        """sha256 of a shard → its rows."""
        found, start = {}, 0
        for _, digest, rows in self.shards:
            found[digest] = self.table.slice(start, rows)
            start += rows
        return found


def write_shard_labels(
    root: Place, entries: Sequence[ShardEntry], source: LabelSource, body: BodyModel, progress: Progress = silent
) -> None:
    """Write the labels of finished shards; what is known of them already is kept.

    Raises:
        OutputError: the file cannot be written. InputError: a shard is damaged.
    """
    kept = KeptLabels.read(root)
    known = kept.parts() if kept is not None and kept.source == source.name else {}
    new = [entry for entry in entries if entry.sha256 not in known]
    shards = tuple((entry.path, entry.sha256, entry.rows) for entry in entries)
    if kept is not None and not new and kept.source == source.name and kept.shards == shards:
        return
    for batch in _batches(new):
        known |= _labelled(root, batch, source, body, progress)
    table = pa.concat_tables([known[entry.sha256].cast(label_schema()) for entry in entries]).combine_chunks()
    prototypes = None if source.prototypes is None else source.prototypes.fingerprint
    metadata = {"source": source.name, "prototypes": prototypes, "shards": [list(shard) for shard in shards]}
    write_parquet(root / LABELS_NAME, table, LABELS_KIND, LABELS_VERSION, metadata)


def labels_fit(root: Place, entries: Sequence[ShardEntry]) -> bool:
    """Whether a folder's label file is whole and belongs to exactly these shards."""
    kept = KeptLabels.read(root)
    return kept is not None and kept.shards == tuple((entry.path, entry.sha256, entry.rows) for entry in entries)


def labels_fingerprint(root: Place) -> tuple[str | None, str | None]:
    """sha256 of a folder's label file, and the fingerprint of its prototypes; None where there is none."""
    if not (root / LABELS_NAME).is_file():
        return None, None
    _, metadata = read_parquet(root / LABELS_NAME, LABELS_KIND, LABELS_VERSION)
    return file_fingerprint(root / LABELS_NAME), metadata.get("prototypes")


def _batches(entries: Sequence[ShardEntry]) -> Iterator[list[ShardEntry]]:
    batch: list[ShardEntry] = []
    for entry in entries:
        batch.append(entry)
        if sum(one.rows for one in batch) >= AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _labelled(
    root: Place, entries: Sequence[ShardEntry], source: LabelSource, body: BodyModel, progress: Progress
) -> dict[str, pa.Table]:
    """sha256 of each shard → the labels of its rows."""
    tables = [_bodies(root / entry.path) for entry in entries]
    if source.prototypes is None:
        ids = [name for table in tables for name in table["sample_id"].to_pylist()]
        nothing = (np.nan,) * len(LABEL_COLUMNS)
        values = np.array([source.given.get(name, nothing) for name in ids], np.float64)
    else:
        values = _assigned(tables, source.prototypes, body, progress)
    found, start = {}, 0
    for entry, table in zip(entries, tables, strict=True):
        found[entry.sha256] = _table(table["sample_id"], values[start : start + entry.rows])
        start += entry.rows
    return found


def _assigned(
    tables: Sequence[pa.Table], prototypes: PrototypeSet, body: BodyModel, progress: Progress
) -> NDArray[np.float64]:
    """(N, 3) label and both distances of every row, NaN without a body."""
    arrays = [[column_array(table[name], table.schema.field(name)) for name in BODY_COLUMNS] for table in tables]
    whole = [np.concatenate([columns[i][0] for columns in arrays]) for i in range(len(BODY_COLUMNS))]
    there = np.concatenate([np.logical_and.reduce([valid for _, valid in columns]) for columns in arrays])
    values = np.full((len(there), len(LABEL_COLUMNS)), np.nan)
    if there.any():
        orient, pose, betas = (array[there] for array in whole)
        found = assign(BodyParameters.of(orient, pose, betas), prototypes, body, progress)
        values[there] = np.column_stack([getattr(found, name) for name in LABEL_COLUMNS])
    return values


def _bodies(path: Place) -> pa.Table:
    file, _ = open_shard(path)
    with file:
        return file.read(columns=["sample_id", *BODY_COLUMNS])


def _table(ids: pa.ChunkedArray, values: NDArray[np.float64]) -> pa.Table:
    columns: list[Any] = [ids]
    for field, column in zip(list(label_schema())[1:], values.T, strict=True):
        missing = np.isnan(column)
        columns.append(pa.array(np.where(missing, 0, column).astype(field.type.to_pandas_dtype()), mask=missing))
    return pa.Table.from_arrays(columns, schema=label_schema())

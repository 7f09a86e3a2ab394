"""``DenseTable``: what people marked on the surface of bodies and around them; side tables beside the record tables.

In: what a reader has beyond keypoints: silhouettes, part masks, surface points. Out: ``dense/<split>.parquet`` beside
``<split>.parquet``, one row per record that has any of it, joined by ``sample_id``. Kept apart because few data sets
have it and only some evaluations read it: records and shards stay as they are. ``ingest`` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import read_parquet, write_parquet
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.rle import decode_rle

KIND, SCHEMA_VERSION = "hmrtk.dense", 1
FOLDER = "dense"
MASK_SIDE = 256
"""px; side of DensePose-COCO's part masks, whatever the size of the box that they fill."""
PART_LABELS = (
    "torso", "right hand", "left hand", "left foot", "right foot", "right upper leg", "left upper leg",
    "right lower leg", "left lower leg", "left upper arm", "right upper arm", "left lower arm", "right lower arm",
    "head",
)  # fmt: skip
"""DensePose-COCO's 14 mask labels, from 1."""

DENSE_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("silhouette_path", pa.string()),  # PNG, not 0 on the person; relative to the root of the raw data
        pa.field("parts_path", pa.string()),  # PNG of part labels; 255 is to be ignored
        pa.field(
            "points",
            pa.struct(
                [
                    ("chart", pa.list_(pa.uint8())),  # DensePose's, 1..24
                    ("u", pa.list_(pa.float32())),
                    ("v", pa.list_(pa.float32())),
                    ("x", pa.list_(pa.float32())),  # px, full image
                    ("y", pa.list_(pa.float32())),
                ]
            ),
        ),
        pa.field("masks_box", pa.list_(pa.float32(), 4)),  # px, full image: what the masks fill
        pa.field(
            "masks", pa.list_(pa.struct([("label", pa.uint8()), ("counts", pa.string())]))
        ),  # COCO's compressed RLE
    ]
)
DENSE_COLUMNS = tuple(DENSE_SCHEMA.names[1:])


@dataclass(frozen=True)
class SurfacePoints:
    """Points that somebody marked on a person.

    Attributes:
        chart: (P,) uint8, 1 to 24 as in DensePose. u, v: (P,) float32 in the chart, 0 to 1.
        pixels: (P, 2) float32 px, full image.
    """

    chart: NDArray[np.uint8]
    u: NDArray[np.float32]
    v: NDArray[np.float32]
    pixels: NDArray[np.float32]


class DenseTable:
    """Rows of ``DENSE_SCHEMA`` in memory.

    Attributes:
        table: the pyarrow table. metadata: provenance, as of the records. place: for error messages.
    """

    def __init__(self, table: pa.Table, metadata: Mapping[str, Any], place: str) -> None:
        missing = [name for name in DENSE_SCHEMA.names if name not in table.column_names]
        if missing:
            raise InputError(place, f"has no column {', '.join(missing)}", "make the table with hmrtk ingest")
        self.table, self.metadata, self.place = table.select(DENSE_SCHEMA.names), dict(metadata), place

    @classmethod
    def from_columns(
        cls, sample_ids: Sequence[str], columns: Mapping[str, Sequence[Any]], metadata: Mapping[str, Any], place: str
    ) -> DenseTable:
        """The records that have something, from one value or None per record in each column.

        Args:
            columns: some of ``DENSE_COLUMNS``.

        Raises:
            InputError: values that do not fit the schema, or points of different counts; the row is named.
        """
        _check_points(columns.get("points", ()), place)
        arrays = [pa.array(sample_ids, pa.string())]
        for field in list(DENSE_SCHEMA)[1:]:
            values = columns.get(field.name)
            try:
                arrays.append(pa.nulls(len(sample_ids), field.type) if values is None else pa.array(values, field.type))
            except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                raise InputError(place, f"{field.name}: {str(error).splitlines()[0]}") from None
        table = pa.Table.from_arrays(arrays, schema=DENSE_SCHEMA)
        filled = np.zeros(len(table), bool)
        for name in DENSE_COLUMNS:
            filled |= table[name].is_valid().to_numpy()
        return cls(table.filter(pa.array(filled)), metadata, place)

    @classmethod
    def read(cls, path: Place) -> DenseTable:
        """Read one side table.

        Raises:
            InputError: missing, damaged or foreign.
        """
        table, metadata = read_parquet(path, KIND, SCHEMA_VERSION)
        return cls(table, metadata, str(path))

    def write(self, path: Place) -> None:
        """Write atomically."""
        write_parquet(path, self.table, KIND, SCHEMA_VERSION, self.metadata)

    def __len__(self) -> int:
        return self.table.num_rows

    @cached_property
    def rows(self) -> dict[str, int]:
        """``sample_id`` → row."""
        return {name: row for row, name in enumerate(self.table["sample_id"].to_pylist())}

    def value(self, sample_id: str, column: str) -> Any:
        """A cell as Python values; None where the record has none."""
        row = self.rows.get(sample_id)
        return None if row is None else self.table[column][row].as_py()

    def points(self, sample_id: str) -> SurfacePoints | None:
        """The surface points of a record."""
        found = self.value(sample_id, "points")
        if found is None:
            return None
        u, v, x, y = (np.array(found[name], np.float32) for name in "uvxy")
        return SurfacePoints(np.array(found["chart"], np.uint8), u, v, np.stack([x, y], axis=1))

    def part_mask(self, sample_id: str) -> NDArray[np.uint8] | None:
        """(256, 256) labels of ``PART_LABELS``, 0 elsewhere, over ``masks_box``; where masks overlap, the last counts.

        Raises:
            InputError: a run-length code that is none.
        """
        found = self.value(sample_id, "masks")
        if found is None:
            return None
        labels = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
        for item in found:
            place = f"{self.place} {sample_id} part {item['label']}"
            labels[decode_rle(item["counts"], MASK_SIDE, MASK_SIDE, place)] = item["label"]
        return labels


def dense_place(records: Place) -> Place:
    """Where the side table of a record table lies."""
    return records.parent / FOLDER / records.name


def _check_points(points: Sequence[Any], place: str) -> None:
    for row, found in enumerate(points):
        if found is None:
            continue
        counts = {len(values) for values in found.values()}
        chart = np.asarray(found["chart"], np.float64)
        if len(counts) > 1:
            raise InputError(f"{place} row {row}", "its surface points have coordinates of different counts")
        values = np.array([found[name] for name in "uvxy"], np.float64)
        if not np.isfinite(values).all() or not np.isin(chart, range(1, 25)).all():
            raise InputError(f"{place} row {row}", "a surface point is not finite or not in a chart of 1 to 24")


def has_any(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a record has something for a side table."""
    return any(value is not None for values in columns.values() for value in values)

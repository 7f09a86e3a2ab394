"""``Labels``: which prototype each sample belongs to and how far it is, and the Parquet artefact that holds them.

``kmeans`` and ``measure`` make them; shards, evaluation and reports read them by ``sample_id``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import read_parquet, write_parquet
from hmrtk.toolkit.records.remote import Place

KIND = "hmrtk.labels"
SCHEMA_VERSION = 1

LABEL_SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),  # index of the prototype
        pa.field("distance", pa.float32(), nullable=False),  # metres
        pa.field("distance_to_singular", pa.float32(), nullable=False),  # metres
        pa.field("weighted_distance", pa.float64(), nullable=False),  # m², Algorithm 1
    ]
)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of N samples; all distances with the translation left out.

    Attributes:
        label: (N,) int32 index of the assigned prototype.
        distance: (N,) float32 metres, mean over vertices of the Euclidean distance to the assigned prototype.
        distance_to_singular: (N,) float32 metres, the same to the singular prototype: PM-Net's rarity axis.
        weighted_distance: (N,) float64 m², γ = ‖(V − V')∘W‖² to the assigned prototype under the set's part weights
            (the same weights for every method, so that methods can be compared).
    """

    label: NDArray[np.int32]
    distance: NDArray[np.float32]
    distance_to_singular: NDArray[np.float32]
    weighted_distance: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.label)


def write_labels(path: str | Place, sample_ids: Sequence[str], labels: Labels, metadata: Mapping[str, Any]) -> None:
    """Write labels atomically as Parquet, one row per sample.

    Args:
        metadata: plain JSON values; by convention the prototype set's fingerprint, its body and provenance.

    Raises:
        InputError: another number of ids than labels, or an id that occurs twice.
        OutputError: the file cannot be written.
    """
    if len(sample_ids) != len(labels):
        raise InputError(path, f"expected one sample_id per label, got {len(sample_ids)} for {len(labels)} labels")
    _check_unique(path, sample_ids)
    columns = [pa.array(list(sample_ids), pa.string())]
    columns += [pa.array(getattr(labels, field.name), field.type) for field in list(LABEL_SCHEMA)[1:]]
    write_parquet(path, pa.Table.from_arrays(columns, schema=LABEL_SCHEMA), KIND, SCHEMA_VERSION, metadata)


def read_labels(path: str | Place) -> tuple[list[str], Labels, dict[str, Any]]:
    """Read labels: sample ids, labels in the same order, metadata.

    Raises:
        InputError: missing, damaged or foreign file, missing column, wrong type, null, NaN, negative label, duplicate
        id.
    """
    table, metadata = read_parquet(path, KIND, SCHEMA_VERSION, LABEL_SCHEMA.names)
    for field in LABEL_SCHEMA:
        found = table.schema.field(field.name).type
        if found != field.type:
            raise InputError(path, f"column {field.name} has type {found}, expected {field.type}")
        if table[field.name].null_count:
            raise InputError(path, f"column {field.name} has {table[field.name].null_count} null values")
    names = table["sample_id"].to_pylist()
    _check_unique(path, names)
    arrays = {name: table[name].to_numpy() for name in LABEL_SCHEMA.names[1:]}
    for name, values in arrays.items():
        bad = ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            row = int(bad.argmax())
            raise InputError(f"{path} row {row}", f"{name} is {values[row]}, expected a finite value of at least 0")
    return names, Labels(**arrays), metadata


def _check_unique(path: str | Place, sample_ids: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for row, name in enumerate(sample_ids):
        if name in seen:
            raise InputError(f"{path} row {row}", f"sample_id {name!r} is already in row {seen[name]}")
        seen[name] = row

"""Write one shard: row groups streamed into a temporary file, synced, hashed and renamed into place.

In: tables of one row group each. Out: a Parquet file whose bytes depend on the rows and the metadata alone, and its
``ShardEntry``. Called by the builder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import atomic_path, file_fingerprint, schema_metadata
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.index import ShardEntry
from hmrtk.toolkit.shards.schema import KIND, LEFT_OUT_KEY, SCHEMA_VERSION


def write_shard(
    root: Place, name: str, split: str, groups: Iterable[pa.Table], schema: pa.Schema, metadata: Mapping[str, Any]
) -> ShardEntry:
    """Write ``root/name`` atomically, one Parquet row group per table of ``groups``.

    Args:
        root: the folder of the shards.
        name: the shard's path below it, e.g. ``"train/shard-00000.parquet"``.
        groups: tables of ``schema``; consumed one at a time, so only one is in memory. Empty ones make no row group.
            Rows that a table's metadata says are left out (``LEFT_OUT_KEY``) are named in the file's metadata.
        metadata: JSON values kept in the file beside its kind and version.

    Raises:
        OutputError: unwritable or full; nothing half-written is left.
        InputError: there are no rows.
    """
    sizes: list[int] = []
    left_out: list[tuple[str, str]] = []
    target = root / name
    tagged = schema.with_metadata({**(schema.metadata or {}), **schema_metadata(KIND, SCHEMA_VERSION, metadata)})
    with atomic_path(target) as path:
        with pq.ParquetWriter(path, tagged, **_options(schema)) as file:
            for group in groups:
                left_out += left_out_rows(group.schema.metadata)
                if group.num_rows:
                    file.write_table(group.cast(tagged), row_group_size=group.num_rows)
                    sizes.append(group.num_rows)
            if left_out:
                file.add_key_value_metadata({LEFT_OUT_KEY: json.dumps(left_out)})
        if not sizes:
            raise InputError(target, "has no rows to write", f"{left_out[0][0]}: {left_out[0][1]}" if left_out else "")
        digest, length = file_fingerprint(path), path.stat().st_size
    return ShardEntry(name, split, sum(sizes), tuple(sizes), length, digest, tuple(left_out))


def left_out_rows(metadata: Mapping[bytes, bytes] | None) -> tuple[tuple[str, str], ...]:
    """(sample_id, why) of the rows that a table or a file names as left out."""
    return tuple((name, why) for name, why in json.loads((metadata or {}).get(LEFT_OUT_KEY, b"[]")))


def _options(schema: pa.Schema) -> dict[str, Any]:
    """Pictures raw and PLAIN (they are compressed already, and can be read by byte range); the rest zstd.

    Dictionaries for strings and for ``iuv`` (few distinct values) only; float arrays are PLAIN because DuckDB does
    not read BYTE_STREAM_SPLIT for float16.
    """
    compression, dictionary = {}, []
    for field in schema:
        column = f"{field.name}.list.element" if pa.types.is_fixed_size_list(field.type) else field.name
        if pa.types.is_struct(field.type):
            for leaf in field.type:
                compression[f"{field.name}.{leaf.name}"] = "NONE"
            continue
        compression[column] = "ZSTD"
        if pa.types.is_string(field.type) or field.name == "iuv":
            dictionary.append(column)
    return {
        "compression": compression,
        "use_dictionary": dictionary,
        "write_statistics": ["sample_id"],
        "write_page_checksum": True,
    }

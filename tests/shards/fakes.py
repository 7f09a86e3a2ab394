"""Small shards for tests that need rows but no body: random maps and pictures, known from the row number."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from hmrtk.toolkit.shards.codec import array_column, encode_jpeg, image_column
from hmrtk.toolkit.shards.index import ShardEntry, ShardIndex
from hmrtk.toolkit.shards.schema import array_shape, shard_schema
from hmrtk.toolkit.shards.writer import write_shard

IUV_PX, UV_PX, REGION_PX = 20, 16, 32
SCHEMA = shard_schema(IUV_PX, UV_PX)


def picture(row: int) -> np.ndarray:
    """A smooth (32, 32, 3) picture of one colour that tells the row."""
    return np.full((REGION_PX, REGION_PX, 3), (row * 7 % 256, row * 3 % 256, 40), np.uint8)


def group(first: int, rows: int, split: str) -> pa.Table:
    """Rows ``first … first+rows-1``; every array is filled from the row number, every fifth row has no picture."""
    numbers = range(first, first + rows)
    columns = []
    for field in SCHEMA:
        shape = array_shape(field)
        if field.name == "image":
            column = image_column([encode_jpeg(picture(i)) if i % 5 else None for i in numbers], [None] * rows)
        elif field.name == "image_source":
            column = pa.array(["synthesised" if i % 5 else None for i in numbers], pa.string())
        elif field.name == "sample_id":
            column = pa.array([f"{split}/{i:05d}" for i in numbers], pa.string())
        elif field.name in ("dataset", "split"):
            column = pa.array([split if field.name == "split" else "fake"] * rows, pa.string())
        elif field.name in ("label", "frame"):
            column = pa.array([i if i % 4 else None for i in numbers], pa.int32())
        elif shape is not None:
            values = np.stack([_values(field.name, i, shape) for i in numbers])
            valid = np.array([i % 3 != 0 or not field.nullable for i in numbers])
            column = array_column(values, field, valid)
        elif pa.types.is_boolean(field.type):
            column = pa.array([True] * rows, pa.bool_())
        else:
            column = pa.nulls(rows, field.type)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def write_fake(root: Path, layout: dict[str, list[list[int]]]) -> ShardIndex:
    """Write a whole folder: ``layout`` gives each split's shards, each shard as the rows of its groups."""
    entries: list[ShardEntry] = []
    for split, shards in layout.items():
        first = 0
        for number, sizes in enumerate(shards):
            starts = np.cumsum([first, *sizes])
            tables = (group(int(s), n, split) for s, n in zip(starts, sizes, strict=False))
            name = f"{split}/shard-{number:05d}.parquet"
            entries.append(write_shard(root, name, split, tables, SCHEMA, {"first": first}))
            first = int(starts[-1])
    config = {"iuv_px": IUV_PX, "uv_px": UV_PX, "region_px": REGION_PX}
    index = ShardIndex(root, tuple(entries), config, {"command": "test"}, "0" * 16, None, {})
    index.write()
    return index


def folder_hashes(root: Path) -> dict[str, str]:
    """sha256 of every file below ``root`` except the lock."""
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _values(name: str, row: int, shape: tuple[int, ...]) -> np.ndarray:
    if name == "part_visibility":
        return np.full(shape, (row % 10) / 240)
    if name == "iuv":
        iuv = np.zeros(shape)
        iuv[:, 4:9, 3:8] = [[[1 + row % 24]], [[row % 256]], [[(row * 5) % 256]]]
        return iuv
    return np.full(shape, (row % 100) / 100)

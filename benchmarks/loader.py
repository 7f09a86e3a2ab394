"""Readers of training data: ours against litdata, webdataset and Hugging Face, in samples per second and by row.

Run ``python benchmarks/loader.py``; it writes ``results/loader.md`` and ``loader.json``. Peers that are not installed
(``pip install litdata webdataset datasets``) are left out. Everybody reads the same JPEGs (224 px, quality 88), IUV
maps (3, 56, 56) uint8 and body and keypoints (154 floats), shuffles with a buffer of 2000 rows or its own best shuffle,
decodes with simplejpeg (exact DCT) and ends with the same tensors in batches of 64. Pictures are collated (B, H, W, 3)
and turned without a copy, which is the cheapest for everybody. The page cache is warm. Interleaved rounds: ``rounds``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import simplejpeg
import torch
from loader_crops import IUV_PX as IUV_REGION_PX
from loader_crops import OURS as OUR_CROPS
from loader_crops import REGION_PX, crop_columns, our_crops, peer_crops, region_pictures
from loader_peers import COLUMNS, peers
from rounds import RESULTS, Timing, machine, measure, ratio, speed_row
from torch.utils.data import DataLoader

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.shards.batches import ShardBatches
from hmrtk.toolkit.shards.codec import array_column, image_column
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.offsets import write_offsets
from hmrtk.toolkit.shards.reader import ShardDataset
from hmrtk.toolkit.shards.schema import array_shape, shard_schema
from hmrtk.toolkit.shards.shard_map import ShardMap
from hmrtk.toolkit.shards.writer import write_shard

BATCH, BUFFER, PER_GROUP, PER_SHARD = 64, 2000, 500, 1000
PICTURE_PX, IUV_PX = 224, 56
LOOKED_UP = 512
OURS = "ours: ShardBatches (threads)"
OURS_BY_ROW = "ours: ShardMap"


def pictures(rows: int) -> Iterator[bytes]:
    """JPEGs of about 18 KB: smooth shapes with texture, every one another."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:PICTURE_PX, :PICTURE_PX] / PICTURE_PX
    for _ in range(rows):
        phase, pace = rng.uniform(0, 6, (2, 3)), rng.uniform(3, 25, (2, 3))
        waves = np.sin(x[..., None] * pace[0] + phase[0]) * np.cos(y[..., None] * pace[1] + phase[1])
        noise = rng.normal(0, 9, (PICTURE_PX, PICTURE_PX, 1))
        picture = np.clip(128 + 80 * waves + noise, 0, 255).astype(np.uint8)
        yield bytes(simplejpeg.encode_jpeg(picture, quality=88, colorspace="RGB", colorsubsampling="420"))


def columns(first: int, rows: int) -> dict[str, np.ndarray]:
    """The arrays of some rows: an elliptic person of 24 charts, and random bodies."""
    rng = np.random.default_rng([1, first])
    y, x = np.mgrid[:IUV_PX, :IUV_PX] / IUV_PX - 0.5
    iuv = np.zeros((rows, 3, IUV_PX, IUV_PX), np.uint8)
    for one, (width, height) in zip(iuv, rng.uniform(0.15, 0.4, (rows, 2)), strict=True):
        inside = (x / width) ** 2 + (y / height) ** 2 < 1
        one[0] = inside * (1 + ((y + 0.5) * 23).astype(int))
        one[1], one[2] = inside * ((x * 700).astype(int) % 256), inside * ((y * 900).astype(int) % 256)
    shapes = {"global_orient": (3,), "body_pose": (23, 3), "betas": (10,), "keypoints2d": (24, 3)}
    return {"iuv": iuv} | {name: rng.normal(0, 1, (rows, *s)).astype(np.float32) for name, s in shapes.items()}


def write_shards(
    root: Path,
    jpegs: list[bytes],
    columns: Callable[[int, int], dict[str, np.ndarray]] = columns,
    sizes: tuple[int, int] = (PICTURE_PX, IUV_PX),
    body: str = "0" * 16,
) -> None:
    """The rows as shards of the usual schema; columns that nobody reads are null.

    Args:
        sizes: px of the picture and of the IUV map.
        body: fingerprint.
    """
    schema, entries = shard_schema(sizes[1], 16), []
    for start in range(0, len(jpegs), PER_SHARD):
        firsts = range(start, min(start + PER_SHARD, len(jpegs)), PER_GROUP)
        parts = ((first, jpegs[first : min(first + PER_GROUP, start + PER_SHARD)]) for first in firsts)
        tables = (_table(schema, part, columns(first, len(part))) for first, part in parts)
        name = f"train/shard-{len(entries):05d}.parquet"
        entries.append(write_shard(root, name, "train", tables, schema, {}))
    config = {"iuv_px": sizes[1], "uv_px": 16, "region_px": sizes[0]}
    ShardIndex(root, tuple(entries), config, {"command": "benchmark"}, body, None, {}).write()


def _table(schema: pa.Schema, jpegs: list[bytes], values: dict[str, np.ndarray]) -> pa.Table:
    rows, made = len(jpegs), []
    for field in schema:
        if field.name == "image":
            made.append(image_column(jpegs, [None] * rows))
        elif field.name in values:
            made.append(array_column(values[field.name], field))
        elif not field.nullable and pa.types.is_string(field.type):
            made.append(pa.array([f"{field.name}/{i:06d}" for i in range(rows)]))
        elif not field.nullable and pa.types.is_fixed_size_list(field.type):
            made.append(array_column(np.zeros((rows, *(array_shape(field) or ())), np.float32), field))
        else:
            made.append(pa.nulls(rows, field.type) if field.nullable else pa.array([True] * rows))
    return pa.Table.from_arrays(made, schema=schema)


def epoch(batches: Callable[[], Any], rows: int) -> Callable[[], None]:
    """Go through all batches; complains when rows are missing or the tensors are not the agreed ones."""

    def run() -> None:
        seen = 0
        for batch in batches():
            seen += len(batch["betas"])
            last = batch
        assert seen == rows, f"{seen} rows instead of {rows}"
        assert {name: last[name].dtype for name in ("image", "iuv", "betas")} == {
            "image": torch.uint8, "iuv": torch.uint8, "betas": torch.float32,
        }  # fmt: skip

    return run


def ours(root: Path) -> dict[str, Callable[[], Any]]:
    rows = ShardDataset(root, "train", COLUMNS, buffer=BUFFER)
    batches = ShardBatches(rows, BATCH)
    one = ShardBatches(rows, BATCH, threads=1)
    return {
        OURS: lambda: batches,
        "ours: ShardBatches, 1 thread": lambda: one,
        "ours: ShardDataset, 0 workers": lambda: DataLoader(rows, BATCH),
        "ours: ShardDataset, 2 workers": lambda: DataLoader(rows, BATCH, num_workers=2),
    }


def crop_table(folder: Path, rows: int, rounds: int, budget: float) -> tuple[list[str], dict[str, Any]]:
    """Training crops of 400 px regions: lines and numbers."""
    body, jpegs = load_body(), list(region_pictures(rows))
    write_shards(folder, jpegs, crop_columns, (REGION_PX, IUV_REGION_PX), body.fingerprint)
    contenders = our_crops(folder, body, BATCH) | peer_crops(jpegs, crop_columns(0, rows), BATCH)
    timings = measure({name: epoch_of_crops(made, rows) for name, made in contenders.items()}, rounds, budget)
    mean = sum(map(len, jpegs)) / len(jpegs) / 1000
    lines = [
        f"Crops of 224 px from regions of 400 px ({mean:.1f} KB), {rows} rows; decoding takes most of it:",
        "",
        *speed_table(timings, rows, OUR_CROPS, "crops"),
        "",
    ]
    return lines, {name: timing.numbers(rows) for name, timing in timings.items()}


def epoch_of_crops(batches: Callable[[], Any], rows: int) -> Callable[[], None]:
    """Go through all batches."""

    def run() -> None:
        seen = sum(len(batch["betas"]) for batch in batches())
        assert seen == rows, f"{seen} rows instead of {rows}"

    return run


def look_up(find: Callable[[list[int]], Any], wanted: list[int], size: int) -> Callable[[], None]:
    """Find the rows, ``size`` at a time."""
    parts = [wanted[first : first + size] for first in range(0, len(wanted), size)]

    def run() -> None:
        for part in parts:
            find(part)

    return run


def checked_anew(rows: ShardMap, wanted: list[int]) -> list[memoryview | None]:
    """As in a process that has not yet seen these rows."""
    rows._seen.clear()
    rows._opened.clear()
    return rows.encoded(wanted)


def speed_table(timings: dict[str, Timing], count: int, best: str, what: str) -> list[str]:
    head = f"| {what} | per second | best round | per processor second | others | ours : this |"
    lines = [head, "|---|---|---|---|---|---|"]
    return lines + [speed_row(n, t, count, f" {ratio(timings[best], t)} |") for n, t in timings.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=240, help="seconds for the epochs")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="hmrtk-loader-") as folder:
        root, jpegs = Path(folder) / "shards", list(pictures(options.rows))
        write_shards(root, jpegs)
        write_offsets(root)
        others, lookups, notes = peers(root, Path(folder), jpegs, columns, PER_GROUP, BATCH, BUFFER)
        epochs = {name: epoch(batches, options.rows) for name, batches in {**ours(root), **others}.items()}
        loading = measure(epochs, options.rounds, options.budget)
        rows, trusting = (ShardMap(root, "train", ["image"], verify=verify) for verify in (True, False))
        wanted = np.random.default_rng(2).integers(0, options.rows, LOOKED_UP).tolist()
        access = {
            OURS_BY_ROW: trusting.encoded,
            "ours: ShardMap, CRC checked": rows.encoded,
            "ours: ShardMap, CRC checked anew each time": partial(checked_anew, ShardMap(root, "train", ["image"])),
            **lookups,
        }
        assert all(list(look(wanted)) == [jpegs[i] for i in wanted] for look in access.values())
        crop_lines, crops = crop_table(Path(folder) / "crops", options.rows // 4, options.rounds, options.budget / 2)
        looking = {
            size: measure({n: look_up(f, wanted, size) for n, f in access.items()}, options.rounds, options.budget / 4)
            for size in (1, BATCH)
        }
    mean = sum(map(len, jpegs)) / len(jpegs) / 1000
    again = "A picture is checked the first time that the process gives it: rounds after the first find it checked."
    text = "\n".join([
        "# Readers of training data",
        "",
        f"{options.rows} rows, JPEGs of {mean:.1f} KB on average, batches of {BATCH}; whole epochs, decoded.",
        "",
        *speed_table(loading, options.rows, OURS, "samples"),
        "",
        f"Pictures by row number, not decoded: {LOOKED_UP} random rows, one at a time:",
        "",
        *speed_table(looking[1], LOOKED_UP, OURS_BY_ROW, "rows"),
        "",
        f"The same, {BATCH} at a time:",
        "",
        *speed_table(looking[BATCH], LOOKED_UP, OURS_BY_ROW, "rows"),
        "",
        again,
        "",
        *crop_lines,
        "“Others” is how many processors other processes used meanwhile; ~ marks numbers that they disturbed.",
        *notes,
        "",
        f"Machine: {machine()}.",
        "",
    ])  # fmt: skip
    print(text)
    numbers: dict[str, Any] = {"loading": {n: t.numbers(options.rows) for n, t in loading.items()}, "crops": crops}
    for size, timings in looking.items():
        numbers[f"by row, {size} at a time"] = {n: t.numbers(LOOKED_UP) for n, t in timings.items()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "loader.md").write_text(text)
    (RESULTS / "loader.json").write_text(json.dumps({"machine": machine(), **numbers}, indent=1) + "\n")


if __name__ == "__main__":
    main()

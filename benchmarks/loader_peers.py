"""Other loaders behind one face, for ``loader.py``: each writes the rows in its own format and gives batches.

Everyone decodes with simplejpeg in its worker, leaves pictures (H, W, 3) for the collation, and gets its own best
settings as its documentation names them. A package that is not installed is noted and left out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from torch.utils.data import DataLoader, IterableDataset

COLUMNS = ("image", "iuv", "global_orient", "body_pose", "betas", "keypoints2d")
SHAPES = {"iuv": (3, 56, 56), "global_orient": (3,), "body_pose": (23, 3), "betas": (10,), "keypoints2d": (24, 3)}
Batches = Callable[[], Any]
Lookup = Callable[[list[int]], list[bytes]]
Rows = list[dict[str, Any]]


def decoded(row: dict[str, Any]) -> dict[str, torch.Tensor]:
    """A row with its picture decoded: tensors."""
    picture = simplejpeg.decode_jpeg(row["image"], colorspace="RGB")
    types = {name: torch.uint8 if name == "iuv" else torch.float32 for name in SHAPES}
    arrays = {n: torch.as_tensor(row[n], dtype=types[n]).reshape(shape) for n, shape in SHAPES.items()}
    return {"image": torch.from_numpy(picture), **arrays}


def turned(loader: Any) -> Iterator[dict[str, torch.Tensor]]:
    """Batches with pictures as (B, 3, H, W) views."""
    for batch in loader:
        yield {**batch, "image": batch["image"].permute(0, 3, 1, 2)}


def peers(
    shards: Path,
    folder: Path,
    jpegs: list[bytes],
    columns: Callable[[int, int], dict],
    step: int,
    batch: int,
    buffer: int,
) -> tuple[dict[str, Batches], dict[str, Lookup], list[str]]:
    """Batches of an epoch, pictures by row number, and a note for each package: its version, or that it is missing."""
    rows: Rows = []
    for first in range(0, len(jpegs), step):
        part = jpegs[first : first + step]
        values = columns(first, len(part))
        rows += [{"image": j} | {name: v[i] for name, v in values.items()} for i, j in enumerate(part)]
    batches: dict[str, Batches] = {}
    lookups: dict[str, Lookup] = {}
    notes = []
    for name, make in (("litdata", _litdata), ("webdataset", _webdataset), ("datasets", _hugging_face)):
        try:
            package = importlib.import_module(name)
        except ImportError:
            notes.append(f"{name} is not installed.")
            continue
        found, by_row = make(package, shards, folder / name, rows, batch, buffer)
        batches, lookups = batches | found, lookups | by_row
        notes.append(f"{name} {package.__version__}.")
    return batches, lookups, notes


def _litdata(package: Any, shards: Path, folder: Path, rows: Rows, batch: int, buffer: int) -> tuple[dict, dict]:
    writer = importlib.import_module("litdata.streaming.writer").BinaryWriter(str(folder), chunk_bytes="64MB")
    for number, row in enumerate(rows):
        writer[number] = row
    writer.done()
    writer.merge()

    class Decoded(package.StreamingDataset):
        def __getitem__(self, index: Any) -> Any:
            return decoded(super().__getitem__(index))

    def epoch(workers: int) -> Any:
        data = Decoded(str(folder), shuffle=True)
        return turned(package.StreamingDataLoader(data, batch_size=batch, num_workers=workers))

    plain = package.StreamingDataset(str(folder))
    return (
        {f"litdata, {workers} workers": partial(epoch, workers) for workers in (0, 2)},
        {"litdata": lambda numbers: [plain[i]["image"] for i in numbers]},
    )


def _webdataset(package: Any, shards: Path, folder: Path, rows: Rows, batch: int, buffer: int) -> tuple[dict, dict]:
    folder.mkdir()
    with package.ShardWriter(str(folder / "%05d.tar"), maxcount=250, verbose=0) as writer:
        for number, row in enumerate(rows):
            arrays = {f"{name}.bin": np.ascontiguousarray(row[name]).tobytes() for name in SHAPES}
            writer.write({"__key__": f"{number:06d}", "jpg": row["image"], **arrays})

    def read(sample: dict[str, Any]) -> dict[str, torch.Tensor]:
        arrays = {
            n: np.frombuffer(bytearray(sample[f"{n}.bin"]), np.uint8 if n == "iuv" else np.float32) for n in SHAPES
        }
        return decoded({"image": sample["jpg"], **arrays})

    def epoch(workers: int) -> Any:
        files = sorted(str(file) for file in folder.glob("*.tar"))
        data = package.WebDataset(files, shardshuffle=len(files)).shuffle(buffer).map(read)
        return turned(DataLoader(data, batch, num_workers=workers))

    return {f"webdataset, {workers} workers": partial(epoch, workers) for workers in (0, 2)}, {}


def _hugging_face(package: Any, shards: Path, folder: Path, rows: Rows, batch: int, buffer: int) -> tuple[dict, dict]:
    files = sorted(str(file) for file in shards.glob("train/*.parquet"))
    package.disable_progress_bars()
    package.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0  # it waits 5 s after every epoch; not charged
    options = {"data_files": files, "split": "train", "columns": list(COLUMNS), "cache_dir": str(folder)}
    features = package.Features({"image": package.Image(decode=False)}) | {
        name: package.List(package.Value("uint8" if name == "iuv" else "float32"), length=int(np.prod(shape)))
        for name, shape in SHAPES.items()
    }
    whole = package.load_dataset("parquet", features=package.Features(features), **options)
    stream = package.load_dataset("parquet", features=package.Features(features), streaming=True, **options)
    by_row = whole.select_columns(["image"])

    def read(row: dict[str, Any]) -> dict[str, torch.Tensor]:
        return decoded({**row, "image": row["image"]["bytes"]})

    class Streamed(IterableDataset):
        """The rows as they come, decoded where they are read."""

        rows = stream.shuffle(seed=0, buffer_size=buffer).with_format("numpy")

        def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
            yield from map(read, self.rows)

    def streamed() -> Any:
        return turned(DataLoader(Streamed(), batch))

    class Mapped:
        """The rows by number; a batch is fetched at once."""

        rows = whole.with_format("numpy")

        def __len__(self) -> int:
            return len(self.rows)

        def __getitems__(self, numbers: list[int]) -> list[dict[str, torch.Tensor]]:
            found = self.rows[numbers]
            return [read({name: found[name][i] for name in COLUMNS}) for i in range(len(numbers))]

        __getitem__ = None

    def mapped(workers: int) -> Any:
        return turned(DataLoader(Mapped(), batch, shuffle=True, num_workers=workers))

    return (
        {"Hugging Face streaming, 0 workers": streamed}
        | {f"Hugging Face map-style, {workers} workers": partial(mapped, workers) for workers in (0, 2)},
        {"Hugging Face map-style": lambda numbers: [image["bytes"] for image in by_row[numbers]["image"]]},
    )

"""A contact sheet of shards: every picture, and the same with its IUV map laid over it. Called by ``quickstart``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_parquet
from hmrtk.toolkit.shards.codec import column_array, decode_image
from hmrtk.toolkit.shards.index import ShardIndex
from hmrtk.toolkit.shards.iuv_sheet import overlaid
from hmrtk.toolkit.shards.schema import KIND, SCHEMA_VERSION
from hmrtk.toolkit.synthesis.sheet import contact_sheet

COLUMNS = 6
"""Pairs of pictures per row of the sheet."""
PICTURE_PX = 200


def shard_sheet(root: str | Path, split: str, count: int) -> NDArray[np.uint8]:
    """Draw the first rows of a split.

    Args:
        root: a folder of finished shards.
        split: which split.
        count: rows to draw; fewer when the split has fewer with pictures.

    Returns:
        (H, W, 3) uint8 RGB: per row of the shards its picture, and beside it the picture under its IUV map.

    Raises:
        InputError: no finished shards, or no row with a picture. UnknownNameError: no such split.
    """
    index = ShardIndex.read(root)
    pictures: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    for entry in index.entries(split):
        file, _ = open_parquet(index.root / entry.path, KIND, SCHEMA_VERSION)
        with file:
            for batch in file.iter_batches(64, columns=["sample_id", "action", "image", "iuv"]):
                _draw_batch(pa.Table.from_batches([batch]), pictures, captions, entry.path)
                if len(pictures) >= count:
                    return contact_sheet(pictures[:count], COLUMNS, captions[:count], gap=6)
    if not pictures:
        raise InputError(index.root, f"split {split} has no pictures", "build the shards with --images or --synthesise")
    return contact_sheet(pictures, COLUMNS, captions, gap=6)


def _draw_batch(rows: pa.Table, pictures: list[NDArray[np.uint8]], captions: list[str], place: str) -> None:
    maps, mapped = column_array(rows["iuv"], rows.schema.field("iuv"))
    names = zip(rows["sample_id"].to_pylist(), rows["action"].to_pylist(), strict=True)
    for row, (image, (name, action)) in enumerate(zip(rows["image"].to_pylist(), names, strict=True)):
        if image is None or image["bytes"] is None:
            continue
        plain = decode_image(image["bytes"], f"{place} row {row}")
        plain = cv2.resize(plain, (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_AREA)
        pair = [plain, overlaid(plain, maps[row])] if mapped[row] else [plain]
        pictures.append(np.concatenate(pair, axis=1))
        captions.append(action or name)

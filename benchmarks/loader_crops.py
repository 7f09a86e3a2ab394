"""Crops for training: rows of 400 px regions through ``Cropper``, for ``loader.py``.

The peer is how SPIN's loader and its successors do it, from the same files: a map-style data set that decodes with
OpenCV, warps, multiplies and turns one row at a time in NumPy, and torch's DataLoader (pictures and 2D keypoints only).
Our crops have all of ``cropper.COLUMNS``; labels are computed for the changed bodies, of 50 prototypes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import torch
from torch.utils.data import DataLoader, Dataset

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.shards.augmentation import augmentation
from hmrtk.toolkit.shards.batches import ShardBatches
from hmrtk.toolkit.shards.cropper import COLUMNS, Cropper
from hmrtk.toolkit.shards.reader import ShardDataset

REGION_PX, IUV_PX = 400, 100
PROTOTYPES = 50
OURS = "ours: SPIN's changes, threads"


def crop_columns(first: int, rows: int) -> dict[str, np.ndarray]:
    """What crops need: people of random poses two to six metres away, in boxes of about 300 px."""
    rng = np.random.default_rng([2, first])
    side = rng.uniform(300, 700, (rows, 1))
    region = np.concatenate([rng.uniform(500, 1500, (rows, 2)), side], axis=1)
    shapes = {"global_orient": (3,), "body_pose": (23, 3), "betas": (10,)}
    body = {name: rng.normal(0, 0.3, (rows, *shape)) for name, shape in shapes.items()}
    points = region[:, None, :2] + rng.normal(0, 0.1, (rows, 24, 2)) * side[:, None]
    ones = np.ones((rows, 24, 1))
    return body | {
        "iuv": np.zeros((rows, 3, IUV_PX, IUV_PX), np.uint8),
        "keypoints2d": np.concatenate([points, ones], axis=2),
        "joints3d": np.concatenate([rng.normal(0, 0.4, (rows, 24, 3)), ones], axis=2),
        "transl": rng.normal((0, 0, 4), 0.3, (rows, 3)),
        "crop_camera": rng.normal((0.9, 0, 0), 0.05, (rows, 3)),
        "region": region,
        "focal": np.full((rows, 2), 1100.0),
        "principal": np.full((rows, 2), 1000.0),
        "image_size": np.full((rows, 2), 2000),
    }


def our_crops(root: Path, body: BodyModel, batch: int) -> dict[str, Callable[[], Any]]:
    """Batches of an epoch, by what is done to the rows."""
    values = crop_columns(10**6, PROTOTYPES)
    bodies = BodyParameters.of(values["global_orient"], values["body_pose"], values["betas"])
    prototypes = PrototypeSet.of(bodies, {"body": body.fingerprint, "method": "p3dh"}, singular=bodies[:1])

    def batches(cropper: Cropper | None, columns: Sequence[str] = COLUMNS, threads: int | None = None) -> ShardBatches:
        return ShardBatches(ShardDataset(root, "train", columns, cropper=cropper), batch, threads=threads)

    spin = Cropper(body, "spin")
    made = {
        "ours: regions as stored (400 px), 1 thread": batches(None, threads=1),
        "ours: plain crops, 1 thread": batches(Cropper(body), threads=1),
        "ours: SPIN's changes, 1 thread": batches(spin, threads=1),
        "ours: the same, no picture, 1 thread": batches(spin, [n for n in COLUMNS if n != "image"], 1),
        "ours: SPIN's changes and labels, 1 thread": batches(Cropper(body, "spin", prototypes=prototypes), threads=1),
        "ours: SPIN's changes and IUV maps, 1 thread": batches(spin, (*COLUMNS, "iuv"), 1),
        OURS: batches(spin),
    }
    return {name: (lambda made=value: made) for name, value in made.items()}


class RowByRow(Dataset):
    """Rows as SPIN's ``base_dataset.py`` makes them, from JPEGs in memory."""

    def __init__(self, jpegs: list[bytes], columns: dict[str, np.ndarray]) -> None:
        self.jpegs, self.columns, self.spin = jpegs, columns, augmentation("spin")

    def __len__(self) -> int:
        return len(self.jpegs)

    def __getitem__(self, number: int) -> dict[str, Any]:
        change = self.spin.draw(np.random.default_rng(number))
        picture = cv2.imdecode(np.frombuffer(self.jpegs[number], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        affine = cv2.getRotationMatrix2D((200, 200), -np.degrees(change.turn), 224 / 222 / change.scale)
        affine[:, 2] += 112 - 200
        crop = cv2.warpAffine(picture, affine, (224, 224))
        crop = crop[:, ::-1] if change.flip else crop
        crop = np.clip(crop * np.array(change.gains), 0, 255).astype(np.uint8)
        points = self.columns["keypoints2d"][number].copy()
        points[:, :2] = points[:, :2] @ affine[:, :2].T + affine[:, 2]
        return {
            "image": torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))),
            "keypoints2d": torch.from_numpy(points.astype(np.float32)),
            "betas": torch.from_numpy(self.columns["betas"][number].astype(np.float32)),
        }


def peer_crops(jpegs: list[bytes], columns: dict[str, np.ndarray], batch: int) -> dict[str, Callable[[], Any]]:
    rows = RowByRow(jpegs, columns)
    return {
        f"row by row (OpenCV, NumPy), {workers} workers": (
            lambda workers=workers: DataLoader(rows, batch, shuffle=True, num_workers=workers)
        )
        for workers in (0, 2)
    }


def region_pictures(rows: int) -> Iterator[bytes]:
    """JPEGs of 400 px and about 45 KB, as photographs of that size and quality have."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:REGION_PX, :REGION_PX] / REGION_PX
    for _ in range(rows):
        phase, pace = rng.uniform(0, 6, (2, 3)), rng.uniform(3, 40, (2, 3))
        waves = np.sin(x[..., None] * pace[0] + phase[0]) * np.cos(y[..., None] * pace[1] + phase[1])
        picture = np.clip(128 + 80 * waves + rng.normal(0, 5, (REGION_PX, REGION_PX, 1)), 0, 255).astype(np.uint8)
        yield bytes(simplejpeg.encode_jpeg(picture, quality=92, colorspace="RGB", colorsubsampling="420"))

"""Rows in memory, a quick config and a runner: what tests of training need, here and in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hmrtk.models.batch import Batch
from hmrtk.models.config import TrainConfig, load_config
from hmrtk.models.train import TrainingInputs
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.geometry.camera import project_crop_camera
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

QUICK = (
    "backbone.name=test_resnet", "data.size=32", "data.batch=4", "regressor.hidden=16", "regressor.dropout=0.5",
    "optimiser.warmup=0", "log_every=1", "validate_every=4", "checkpoint_every=3", "stages.0.steps=8",
)  # fmt: skip
"""Changes to the presets ``small`` that make a run take a second. Dropout stays, so that random numbers matter."""


def random_bodies(count: int, seed: int = 0, size: float = 0.3) -> BodyParameters:
    """Bodies near the camera's upright one: the root about π round x, other joints ``size`` radians."""
    rng = np.random.default_rng(seed)
    root = np.array([np.pi * 0.95, 0, 0]) + rng.normal(0, 0.2, (count, 3))
    return BodyParameters.of(root, rng.normal(0, size, (count, 23, 3)), rng.normal(0, 0.5, (count, 10)))


def columns_of(bodies: BodyParameters, body: BodyModel, seed: int = 0, size: int = 32, k: int = 4) -> dict[str, Any]:
    """The columns of crops of these bodies, with a random picture each; cameras and labels are drawn as well."""
    rng, count = np.random.default_rng(seed), len(bodies)
    joints = body.spin24_joints(bodies)
    camera = np.stack([rng.uniform(0.7, 1.0, count), *rng.uniform(-0.1, 0.1, (2, count))], 1).astype(np.float32)
    keypoints = project_crop_camera(joints, camera) / 112 - 1
    ones = np.ones((count, 24, 1), np.float32)
    return {
        "sample_id": [f"row/{i}" for i in range(count)],
        "image": torch.from_numpy(rng.integers(0, 256, (count, 3, size, size), np.uint8)),
        "keypoints2d": torch.from_numpy(np.concatenate([keypoints.astype(np.float32), ones], 2)),
        "joints3d": torch.from_numpy(np.concatenate([joints, ones], 2)),
        "global_orient": torch.tensor(bodies.global_orient),
        "body_pose": torch.tensor(bodies.body_pose),
        "betas": torch.tensor(bodies.betas),
        "crop_camera": torch.from_numpy(camera),
        "label": torch.from_numpy(rng.integers(0, k, count)),
        "distance_to_singular": torch.from_numpy(rng.uniform(0.1, 1, count).astype(np.float32)),
    }


def prototypes_of(body: BodyModel, k: int = 4, seed: int = 7) -> PrototypeSet:
    """K random bodies, the singular one being the first of other K."""
    singular = random_bodies(1, seed + 1, 0.05)
    return PrototypeSet.of(random_bodies(k, seed), {"method": "random", "body": body.fingerprint}, singular=singular)


class StubRows:
    """``Rows`` of a few crops; each epoch's order follows from seed and epoch, ranks share it out."""

    def __init__(self, columns: dict[str, Any], k: int = 4) -> None:
        self.columns, self.k = columns, k

    @property
    def count(self) -> int:
        return len(self.columns["image"])

    @property
    def label_frequency(self) -> Tensor | None:
        counts = torch.bincount(self.columns["label"], minlength=self.k)
        return counts / counts.sum()

    def batches(self, size: int, first: int, stream: tuple[int, int], seed: int) -> Iterator[Batch]:
        rank, world = stream
        per_epoch = self.count // (size * world)
        while True:
            epoch, place = divmod(first, per_epoch)
            order = np.random.default_rng((seed, epoch)).permutation(self.count)
            rows = order[place * size * world : (place + 1) * size * world][rank * size : (rank + 1) * size]
            yield self.take(rows.tolist())
            first += 1

    def once(self, size: int, limit: int | None) -> Iterator[Batch]:
        rows = list(range(self.count if limit is None else min(limit, self.count)))
        for start in range(0, len(rows), size):
            yield self.take(rows[start : start + size])

    def take(self, rows: Sequence[int]) -> Batch:
        """Some of the rows."""
        values = {n: [v[i] for i in rows] if isinstance(v, list) else v[rows] for n, v in self.columns.items()}
        return Batch.of(values)


def quick_config(network: str, *changes: str) -> TrainConfig:
    """A run of a second."""
    stages = ("stages.1.steps=5",) if network == "pmnet" else ()
    return load_config(network, "small", changes=(*QUICK, *stages, *changes))


def quick_inputs(body: BodyModel, rows: int = 13, init: Path | None = None) -> TrainingInputs:
    """Thirteen random people to learn, six others to validate with."""
    train = StubRows(columns_of(random_bodies(rows, 1), body, 1))
    validation = StubRows(columns_of(random_bodies(6, 2), body, 2))
    return TrainingInputs(train, validation, prototypes_of(body), body, init, {"shards.stub": "0" * 16})

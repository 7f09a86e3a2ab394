"""Where training and validation get their batches from: ``ShardRows``, the shard readers as ``Batch``.

In: one shard folder, or several with a mix. Out: endless augmented batches from any batch on (training resumes in the
middle of an epoch), or every row once (validation, ``predict``). ``Rows`` is what ``train`` asks of either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from hmrtk.models.batch import COLUMNS, Batch
from hmrtk.models.config import DataConfig
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.batches import ShardBatches
from hmrtk.toolkit.shards.cropper import Cropper
from hmrtk.toolkit.shards.mixture import ShardMixture
from hmrtk.toolkit.shards.reader import ShardDataset
from hmrtk.toolkit.shards.shard_map import ShardMap


class Rows(Protocol):
    """Rows of a split, as batches of crops.

    Attributes:
        count: rows of an epoch.
    """

    @property
    def count(self) -> int: ...

    @property
    def label_frequency(self) -> Tensor | None:
        """(K,) share of the rows with each label, before any augmentation; None without prototypes."""
        ...

    def batches(self, size: int, first: int, stream: tuple[int, int], seed: int) -> Iterator[Batch]:
        """Augmented batches without end, epoch after epoch, from batch ``first`` on.

        Args:
            size: rows of a batch; an epoch's last rows that do not fill one are left out.
            first: how many batches this process has used already.
            stream: (rank, world) of this process.
            seed: of the order and of augmentation.
        """
        ...

    def once(self, size: int, limit: int | None) -> Iterator[Batch]:
        """Every row once, in file order, its plain crop; with ``limit``, only so many, evenly spread."""
        ...


class ShardRows:
    """``Rows`` of shard folders.

    Args:
        folders: name → folder; names matter for a published mix only.
        split: of each.
        config: size of the crop, augmentation, mix, shuffling.
        body: the active body, which the shards must have been built with.
        prototypes: by which rows, as they are changed, are labelled; None gives the labels that are stored, if any are.
        maps: further columns, given as ``Batch.maps``.

    Raises:
        InputError: no shards, several folders without a mix. BodyMismatchError: of another body.
    """

    def __init__(
        self,
        folders: Mapping[str, Place],
        split: str,
        config: DataConfig,
        body: BodyModel,
        prototypes: PrototypeSet | None = None,
        maps: Sequence[str] = (),
    ) -> None:
        if len(folders) != 1 and config.mix is None:
            raise InputError("shards", f"{len(folders)} folders, and no mix that says how often each is read",
                             "pass --set data.mix=spin, or one folder")  # fmt: skip
        self.folders, self.split, self.config, self.body = dict(folders), split, config, body
        self.prototypes, self.maps = prototypes, tuple(maps)
        self.columns = [*COLUMNS, *self.maps]
        self._crop = self._cropper(0, "none")
        self._plain = {
            name: ShardDataset(folder, split, self.columns, shuffle=False, cropper=self._crop)
            for name, folder in self.folders.items()
        }
        for dataset in self._plain.values():
            if dataset.index.body != body.fingerprint:
                raise BodyMismatchError(dataset.index.root, body.fingerprint, dataset.index.body)

    @property
    def count(self) -> int:
        return max(dataset.rows for dataset in self._plain.values())  # of a mixture's epoch too

    @property
    def label_frequency(self) -> Tensor | None:
        if self.prototypes is None:
            return None
        counts = np.zeros(len(self.prototypes))
        for folder in self.folders.values():
            labels = ShardDataset(folder, self.split, ["label"], shuffle=False, cropper=self._crop)
            found = np.concatenate([batch["label"].numpy() for batch in ShardBatches(labels, 4096)])
            counts += np.bincount(found[found >= 0], minlength=len(counts))[: len(counts)]
        return torch.tensor(counts / max(1, counts.sum()), dtype=torch.float32)

    def batches(self, size: int, first: int, stream: tuple[int, int], seed: int) -> Iterator[Batch]:
        rows = self._stream(seed, stream)
        batches = ShardBatches(rows, size, drop_last=True, pin=torch.cuda.is_available())
        per_epoch = len(batches)
        if not per_epoch:
            raise InputError(
                f"split {self.split}", f"{rows.rows} rows for {stream[1]} processes do not fill a batch of {size} each",
                "make data.batch smaller",
            )  # fmt: skip
        epoch, used = divmod(first, per_epoch)
        batches.seek(epoch, used * size)
        while True:
            for columns in batches:
                yield Batch.of(columns, self.maps)
            epoch += 1
            batches.set_epoch(epoch)

    def once(self, size: int, limit: int | None) -> Iterator[Batch]:
        for name, dataset in self._plain.items():
            if limit is None or limit >= dataset.rows:
                yield from (Batch.of(columns, self.maps) for columns in ShardBatches(dataset, size))
                continue
            rows = ShardMap(self.folders[name], self.split, self.columns, cropper=self._crop)
            chosen = np.linspace(0, dataset.rows - 1, limit).round().astype(int)
            for start in range(0, limit, size):
                items = rows.__getitems__(chosen[start : start + size].tolist())
                yield Batch.of(default_collate(items), self.maps)

    def _stream(self, seed: int, stream: tuple[int, int]) -> ShardDataset | ShardMixture:
        rank, world = stream
        cropper = self._cropper(seed, self.config.augmentation)
        sources = {
            name: ShardDataset(
                folder, self.split, self.columns, seed=seed, buffer=self.config.buffer, rank=rank, world=world,
                drop_uneven=world > 1, cropper=cropper,
            )
            for name, folder in self.folders.items()
        }  # fmt: skip
        if self.config.mix is None:
            return next(iter(sources.values()))
        return ShardMixture(sources, self.config.mix, seed=seed, rank=rank, world=world, drop_uneven=True)

    def _cropper(self, seed: int, augmentation: str) -> Cropper:
        return Cropper(
            self.body, augmentation, seed=seed, prototypes=self.prototypes, normalised=True, size=self.config.size
        )

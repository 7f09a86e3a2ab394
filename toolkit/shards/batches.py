"""``ShardBatches``: ready batches from a reader of rows, decoded by threads of this process into buffers used again.

In: a ``ShardDataset`` or ``ShardMixture``. Out: one dict per batch: the very rows, in the very order, that a
``DataLoader(dataset, batch_size)`` without workers gives, with the same types and the same resume token::

    batches = ShardBatches(ShardDataset(root, columns=["image", "label"]), batch_size=64)
    for epoch in range(batches.epoch, epochs):
        batches.set_epoch(epoch)
        for batch in batches:  # batches.state_dict() is the token of the point after this batch
            ...

With a ``Cropper``, they are crops as a network wants them, changed at random or plain (``cropper``).

Reading, checksums, decompression, JPEG and casts release Python's lock, so threads use every processor without the
copies between processes that cost a DataLoader's workers what they gain. No batch is overwritten while something still
refers to it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from hmrtk.toolkit.engine.worker import processors
from hmrtk.toolkit.errors import HmrtkError, InputError
from hmrtk.toolkit.shards.buffers import Buffers
from hmrtk.toolkit.shards.cropper import CropBatch, decode_picture
from hmrtk.toolkit.shards.schema import array_shape
from hmrtk.toolkit.shards.streams import ReaderError, ShardStream
from hmrtk.toolkit.shards.tensors import widen
from hmrtk.toolkit.shards.windows import Slot

AHEAD = 2
"""Batches being decoded beside the one that is used."""
_PARTS = 2  # tasks per thread and batch: small enough that none waits long for the last


@dataclass
class _Started:
    """A batch whose parts are being decoded.

    Attributes:
        narrow: its narrow columns, but those that the parts still fill.
        wide: room for the pictures and maps.
        crops: what a cropper knows of its rows.
    """

    slots: list[Slot]
    narrow: dict[str, Any]
    wide: dict[str, torch.Tensor]
    crops: CropBatch | None
    parts: list[Future[None]]


class ShardBatches(IterableDataset):
    """Batches of a reader's rows.

    Args:
        dataset: which rows, in which order, and as which crops; its ``set_epoch``, ``seek``, ``advance``,
            ``state_dict`` and ``load_state_dict`` are reached through this object as well.
        batch_size: rows of a batch; the last may have fewer.
        threads: that read and as many that decode; default: the processors this process may use.
        drop_last: leave out a last batch with fewer rows.
        pin: page-locked memory, for copies to a GPU that do not wait.
        half: leave the UV-space maps in float16 instead of float32: half the memory and a third less time.

    Each batch is a dict: ``image`` (B, 3, H, W) uint8, in channels-last order in memory; numbers and arrays (B, …) as
    in a row; text a list; ``cursor`` (B, 3). Where the reader has a ``Cropper``, all of them are of the network's crop
    (columns: ``augmented_row``), and ``row_number`` (B,) says which rows they are.

    Iterated inside a ``DataLoader(batches, batch_size=None, num_workers=n)`` it takes one stream per worker, as rows
    do; pass each batch's cursor to ``advance`` then.

    Raises:
        InputError: a size below 1; ``pin`` without a GPU; while iterating, a damaged row (named), a picture of another
            size.
    """

    def __init__(
        self,
        dataset: ShardStream,
        batch_size: int = 64,
        *,
        threads: int | None = None,
        drop_last: bool = False,
        pin: bool = False,
        half: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("threads", 1 if threads is None else threads)):
            if value < 1:
                raise InputError(name, f"expected at least 1, got {value}")
        if pin and not torch.cuda.is_available():
            raise InputError("pin", "page-locked memory needs a GPU, and torch finds none")
        self.dataset, self.batch_size, self.threads = dataset, batch_size, threads or processors()
        self.drop_last, self.pin, self.half = drop_last, pin, half
        self.set_epoch, self.advance = dataset.set_epoch, dataset.advance
        self.state_dict, self.load_state_dict = dataset.state_dict, dataset.load_state_dict
        self.seek = dataset.seek
        self._buffers = Buffers()

    def __len__(self) -> int:
        """Batches of an epoch of this rank, without DataLoader workers; with them, each may end with a short one."""
        rows = self.dataset.length(self.dataset.rank, self.dataset.world)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    @property
    def epoch(self) -> int:
        return self.dataset.epoch

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_buffers": Buffers()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        if worker is None:
            for batch in self._batches(1, 0):
                self.advance(batch["cursor"])
                yield batch
            return
        try:
            yield from self._batches(worker.num_workers, worker.id)
        except HmrtkError as error:
            raise ReaderError(str(error)) from None

    def _batches(self, workers: int, worker: int) -> Iterator[dict[str, Any]]:
        stream, streams, count = self.dataset.enter(workers, worker)
        reading, decoding = (ThreadPoolExecutor(self.threads, f"hmrtk-{what}") for what in ("read", "decode"))
        started: deque[_Started] = deque()
        try:
            slots = self.dataset.slots(stream, streams, count, reading)
            while True:
                while len(started) <= AHEAD and (rows := list(itertools.islice(slots, self.batch_size))):
                    if len(rows) == self.batch_size or not self.drop_last:
                        started.append(self._start(rows, decoding))
                if not started:
                    return
                batch = self._finish(started.popleft())
                rows_given = len(batch["cursor"])
                batch["cursor"][:, 0], batch["cursor"][:, 1] = stream, streams
                batch["cursor"][:, 2] = torch.arange(count + 1, count + 1 + rows_given)
                count += rows_given
                yield batch
        finally:
            for pool in (reading, decoding):
                pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, slots: list[Slot], pool: ThreadPoolExecutor) -> _Started:
        """Give the pictures and maps of a batch to the threads."""
        decoder, cropper = self.dataset.decoder, self.dataset.cropper
        stored = self._wide()
        narrow = {name: _gathered(name, slots) for name in decoder.columns if name not in stored}
        if "image" in stored:
            narrow["has_image"] = np.array([window.value("image", place) is not None for window, place in slots])
        crops = None if cropper is None else cropper.begin(narrow, [window.key(place) for window, place in slots])
        shapes = {name: self._stored(name) for name in stored} if cropper is None else cropper.wide(stored, decoder)
        wide = {name: self._memory(name, len(slots), *shape) for name, shape in shapes.items()}
        size = -(-len(slots) // (self.threads * _PARTS))
        parts = [slice(first, first + size) for first in range(0, len(slots), size)] if wide else []
        work = [pool.submit(self._decode, slots, wide, part, crops) for part in parts]
        if cropper is not None and crops is not None:
            work.append(pool.submit(cropper.label, crops, [window.labelled_by for window, _ in slots]))
        return _Started(slots, narrow if crops is None else crops.columns, wide, crops, work)

    def _decode(self, slots: list[Slot], wide: dict[str, torch.Tensor], part: slice, crops: CropBatch | None) -> None:
        cropper = self.dataset.cropper
        arrays = {name: tensor.numpy() for name, tensor in wide.items()}
        for row in range(*part.indices(len(slots))):
            if crops is not None and cropper is not None:
                cropper.fill(crops, row, slots[row], {name: array[row] for name, array in arrays.items()})
                continue
            window, place = slots[row]
            for name, array in arrays.items():
                value = window.value(name, place)
                if name == "image":
                    decode_picture(value, array[row], window.name(place))
                elif array.dtype == np.float32:
                    widen(value, array[row])
                else:
                    array[row] = value

    def _finish(self, started: _Started) -> dict[str, Any]:
        """The batch, when its parts are done."""
        for part in started.parts:
            part.result()
        narrow = {name: _tensor(values) for name, values in started.narrow.items()}
        narrow["cursor"] = torch.empty((len(started.slots), 3), dtype=torch.int64)
        if self.pin:
            narrow = {n: v.pin_memory() if isinstance(v, torch.Tensor) else v for n, v in narrow.items()}
        wide = {n: v.permute(0, 3, 1, 2) if n == "image" else v for n, v in started.wide.items()}
        return {**narrow, **wide}

    def _wide(self) -> list[str]:
        decoder = self.dataset.decoder
        return [*decoder.wide, *(["image"] if "image" in decoder.columns else [])]

    def _stored(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of a wide column as it is stored."""
        decoder = self.dataset.decoder
        if name == "image":
            return (decoder.region_px, decoder.region_px, 3), np.dtype(np.uint8)
        field = decoder.schema.field(name)
        return array_shape(field) or (), np.dtype(field.type.value_type.to_pandas_dtype())

    def _memory(self, name: str, rows: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> torch.Tensor:
        """Room for a wide column of a batch. Pinned memory is torch's to use again: a copy may still be under way."""
        if dtype == np.float16 and not self.half:
            dtype = np.dtype(np.float32)
        if self.pin:
            kind = torch.from_numpy(np.empty(0, dtype)).dtype
            return torch.empty((rows, *shape), dtype=kind, pin_memory=True)
        return torch.from_numpy(self._buffers.take(name, (rows, *shape), dtype))


def _gathered(name: str, slots: list[Slot]) -> NDArray[Any] | list[str]:
    """A narrow column of a batch: a list of text, or an array."""
    text: list[str] = []
    arrays = []
    for _, run in itertools.groupby(slots, lambda slot: id(slot[0])):
        rows = list(run)
        column, places = rows[0][0].ordered(name), [place for _, place in rows]
        if isinstance(column, list):
            text += [column[place] for place in places]
        else:
            arrays.append(column[places])
    return text or np.concatenate(arrays)


def _tensor(values: NDArray[Any] | list[str]) -> torch.Tensor | list[str]:
    if isinstance(values, list):
        return values
    if values.dtype.kind == "f":
        return torch.from_numpy(values.astype(np.float32))
    return torch.from_numpy(values.astype(bool if values.dtype == bool else np.int64))

"""``ShardMixture``: several shard folders read as one, each with a given share of the rows.

In: a ``ShardDataset`` per data set, and weights or a published mix. Out: the rows of an epoch, drawn from the data sets
by weight; within a data set, every row once before any comes again. Used like a ``ShardDataset``: in a DataLoader or
through ``ShardBatches``, with the same ranks, workers, cursors and tokens.

Which data set the n-th row of a stream comes from follows from (seed, epoch, stream, n) alone, so a token is as small
as that of a single folder. A data set that is used up begins again in a new order; each epoch begins all of them in a
new order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.shards.reader import ShardDataset
from hmrtk.toolkit.shards.streams import ShardStream
from hmrtk.toolkit.shards.windows import Slot

_PICK = 3
"""First word of the seeds, beside those of ``order``."""
_BLOCK = 1024
_PASSES = 1 << 20
"""Epochs of a data set that one epoch of the mixture may use."""


@dataclass(frozen=True)
class Mix:
    """A published mix: the share of each group of data sets, divided inside the group by their numbers of rows.

    Attributes:
        shares: (names of the data sets, share).
        source: where the numbers come from.
    """

    shares: tuple[tuple[tuple[str, ...], float], ...]
    source: str

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(name for names, _ in self.shares for name in names)

    def weights(self, rows: Mapping[str, int]) -> dict[str, float]:
        """The weight of each data set, given their numbers of rows.

        Raises:
            InputError: one of the mix is missing, or another is there.
        """
        missing = [name for name in self.datasets if not rows.get(name)]
        strange = [name for name in rows if name not in self.datasets]
        if missing or strange:
            words = [*(f"{name} is missing" for name in missing), *(f"{name} is not in it" for name in strange)]
            raise InputError("mix", ", ".join(words), f"it has {', '.join(self.datasets)}")
        return {
            name: share * rows[name] / sum(rows[other] for other in names)
            for names, share in self.shares
            for name in names
        }


_IN_THE_WILD = ("lsp", "mpii", "lspet", "coco")
MIXES = {
    "spin": Mix(
        ((("h36m",), 0.3), (_IN_THE_WILD, 0.6), (("mpi_inf_3dhp",), 0.1)), "SPIN's code, datasets/mixed_dataset.py"
    ),
    "pymaf": Mix(
        ((("h36m",), 0.5), (_IN_THE_WILD, 0.3), (("mpi_inf_3dhp",), 0.2)),
        "PyMAF's code since its EFT update, datasets/mixed_dataset.py; the paper's own setting is SPIN's",
    ),
}


class ShardMixture(ShardStream):
    """Rows of several data sets.

    Args:
        sources: name → reader; all with the same columns, sizes and cropper. Their seeds, buffers and
            ``drop_uneven`` count, their ranks do not. Memory: the windows of all of them.
        weights: name → relative weight, or the name of one of ``MIXES``, whose names the sources then have.
        rows: of an epoch, over all ranks; default: those of the largest source, as in SPIN.
        seed: of the draw.
        rank, world: this process among the training processes.
        drop_uneven: every stream gives the same number of rows, so that ranks stay in step.

    Raises:
        InputError: no sources, weights that do not fit them, sources that differ in columns or sizes; while iterating,
            a source with fewer rows than there are streams.
        UnknownNameError: an unknown mix.
    """

    same = ("rows", "seed", "world", "weights", "parts", "crops")

    def __init__(
        self,
        sources: Mapping[str, ShardDataset],
        weights: Mapping[str, float] | str,
        *,
        rows: int | None = None,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_uneven: bool = False,
    ) -> None:
        super().__init__(seed, rank, world)
        if not sources:
            raise InputError("mixture", "has no sources")
        self.sources = dict(sources)
        sizes = {name: source.rows for name, source in self.sources.items()}
        if isinstance(weights, str):
            if weights not in MIXES:
                raise UnknownNameError("mix", weights, MIXES)
            weights = MIXES[weights].weights(sizes)
        self.weights = _shares(weights, self.sources)
        self.decoder = _alike(self.sources)
        self.cropper = next(iter(self.sources.values())).cropper
        self._rows = max(sizes.values()) if rows is None else rows
        self.drop_uneven = drop_uneven

    @property
    def rows(self) -> int:
        """Rows of an epoch, over all ranks."""
        return self._rows

    @property
    def parts(self) -> list[list[Any]]:
        """What a token must find again of each source."""
        return [[n, s.rows, s.split, s.seed, s.buffer, s.shuffle, s.drop_uneven] for n, s in self.sources.items()]

    def length(self, stream: int, streams: int) -> int:
        if self.drop_uneven:
            return self.rows // streams
        return self.rows * (stream + 1) // streams - self.rows * stream // streams

    def slots(self, stream: int, streams: int, skip: int, pool: Executor | None = None) -> Iterator[Slot]:
        used = np.bincount(
            [p for p, _ in zip(self.picks(stream), range(skip), strict=False)], minlength=len(self.sources)
        )
        rows = [
            self._endless(name, stream, streams, int(count), pool)
            for name, count in zip(self.sources, used, strict=True)
        ]
        for number, source in zip(range(self.length(stream, streams)), self.picks(stream), strict=False):
            if number >= skip:
                yield next(rows[source])

    def picks(self, stream: int) -> Iterator[int]:
        """The source of each row of a stream in this epoch, without end."""
        weights: NDArray[np.float64] = np.array(list(self.weights.values()))
        block = 0
        while True:
            rng = np.random.default_rng([_PICK, self.seed, self.epoch, stream, block])
            yield from rng.choice(len(weights), _BLOCK, p=weights).tolist()
            block += 1

    def _endless(self, name: str, stream: int, streams: int, skip: int, pool: Executor | None) -> Iterator[Slot]:
        """The rows of a stream of a source, pass after pass, from row ``skip`` on."""
        source, position = self.sources[name], list(self.sources).index(name)
        length = source.length(stream, streams)
        if not length:
            raise InputError(name, f"has {source.rows} rows, fewer than the {streams} streams of all ranks and workers")
        number, skip = divmod(skip, length)
        while True:
            for window, place in source.slots_of(self.epoch * _PASSES + number, stream, streams, skip, pool):
                window.source = position
                yield window, place
            number, skip = number + 1, 0


def _shares(weights: Mapping[str, float], sources: Mapping[str, Any]) -> dict[str, float]:
    """The weights in the order of the sources, with sum 1."""
    if set(weights) != set(sources):
        raise InputError("weights", f"are of {', '.join(weights) or 'nothing'}", f"expected {', '.join(sources)}")
    wrong = {name: weight for name, weight in weights.items() if not 0 < weight < np.inf}
    if wrong:
        name, weight = next(iter(wrong.items()))
        raise InputError("weights", f"{name} has {weight}, expected a positive number")
    total = sum(weights.values())
    return {name: float(weights[name] / total) for name in sources}


def _alike(sources: Mapping[str, ShardDataset]) -> Any:
    """The decoder of all sources."""
    (first, one), *others = sources.items()
    for name, other in others:
        for what, ours, theirs in (
            ("columns", one.decoder.columns, other.decoder.columns),
            ("picture size", one.decoder.region_px, other.decoder.region_px),
            ("map sizes", one.decoder.schema, other.decoder.schema),
            ("crops", one.crops, other.crops),
        ):
            if ours != theirs:
                raise InputError("mixture", f"{name} has other {what} than {first}", "read both alike")
    return one.decoder

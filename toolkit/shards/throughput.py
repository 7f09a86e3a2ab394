"""How fast a folder's rows come, on this machine, now: a short timed sample of the reader.

In: a folder of shards. Out: rows and megabytes per second. Called by ``shards stats``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.batches import ShardBatches
from hmrtk.toolkit.shards.reader import ShardDataset

BATCH = 64
LEAN = ("image", "keypoints2d", "global_orient", "body_pose", "betas", "crop_camera", "label")
"""What a network without maps is trained from."""


@dataclass(frozen=True)
class Throughput:
    """A timed sample.

    Attributes:
        what: the columns, in words.
        rows: given; every row may have come several times.
        seconds: from the first batch to the last.
        threads: that decoded.
        megabytes_per_second: as stored.
    """

    what: str
    rows: int
    seconds: float
    threads: int
    megabytes_per_second: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds

    def summary(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"rows_per_second": self.rows_per_second}


def sample_throughput(
    root: Place | str,
    what: str,
    columns: Sequence[str] | None,
    bytes_per_row: Mapping[str, float],
    seconds: float,
    split: str | None = None,
) -> Throughput:
    """Read shuffled batches for about so long; a small folder several times over, then from the machine's cache.

    Args:
        root, split: as for ``ShardDataset``.
        what: the columns in words.
        columns: those to read; None reads all.
        bytes_per_row: stored bytes of each column (``ShardStatistics.bytes_per_row``).
        seconds: how long. The first batch, which waits for threads and files, is not counted.

    Raises:
        InputError: a damaged row.
    """
    dataset = ShardDataset(root, split, columns)
    batches = ShardBatches(dataset, min(BATCH, max(1, dataset.rows // 4)))
    rows, started, last, epoch = 0, 0.0, 0.0, 0
    while not started or last - started < seconds:
        batches.set_epoch(epoch)
        for batch in batches:
            last = time.perf_counter()
            if started:
                rows += len(batch["cursor"])
            started = started or last
            if last - started >= seconds:
                break
        epoch += 1
    stored = sum(bytes_per_row.get(name, 0.0) for name in dataset.decoder.columns)
    took = max(last - started, 1e-9)
    return Throughput(what, rows, took, batches.threads, rows * stored / took / 1e6)

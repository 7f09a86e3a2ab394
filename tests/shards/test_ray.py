"""Shards built on Ray are the same bytes as those built here, whatever happens to the workers."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hmrtk.toolkit.engine.cluster import RayEngine
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.plan import ShardConfig

pytest.importorskip("ray")


class KilledInTheMiddle:
    """A composer whose process is killed at the end of its second row group, once."""

    def __init__(self, composer: Callable[[Any], Any], mark: Path) -> None:
        self.composer, self.mark, self.calls = composer, mark, 0

    def __call__(self, chunk: Any) -> Any:
        self.calls += 1
        table = self.composer(chunk)
        if self.calls == 2 and not self.mark.exists():
            self.mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return table


class Sabotaged(RayEngine):
    """Loses a worker in the middle of the work."""

    mark: Path

    def map_ordered(self, function: Any, items: Iterable[Any], describe: Callable[[Any], str] = repr) -> Iterator[Any]:
        return super().map_ordered(KilledInTheMiddle(function, self.mark), items, describe)


@pytest.fixture(scope="module")
def engine() -> Iterator[Sabotaged]:
    """Two workers."""
    with contextlib.closing(Sabotaged(2)) as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_killed_in_the_middle_changes_no_byte(engine, workers, records, body, small, built, fakes, tmp_path):
    engine.mark, engine.workers = tmp_path / "killed", workers
    out = tmp_path / "out"
    build_shards(records, body, out, small, engine=engine)
    assert engine.mark.exists()
    assert fakes.folder_hashes(out) == fakes.folder_hashes(built)


@pytest.mark.slow
def test_an_error_on_a_worker_names_the_row(engine, records, body, tmp_path):
    engine.mark, engine.workers = tmp_path, 2
    (tmp_path / "photos").mkdir()
    config = ShardConfig(maps=(), images=tmp_path / "photos", region_px=64, rows_per_group=4)
    table = records.table.set_column(
        records.table.schema.get_field_index("image_path"), "image_path", [[f"{i}.jpg" for i in range(len(records))]]
    )
    with pytest.raises(InputError, match=r"row 0: photograph .*0\.jpg: no such file .check --images"):
        build_shards(type(records)(table, records.metadata), body, tmp_path / "out", config, engine=engine)

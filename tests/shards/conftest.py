"""Shards for the tests of this folder: fakes without a body, and small ones built from the embedded dataset.

``fakes.py`` is loaded by path, because the import mode importlib knows no sibling imports.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.plan import ShardConfig
from hmrtk.toolkit.sources.embedded import embedded_records


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """The module ``fakes.py``."""
    spec = importlib.util.spec_from_file_location("shard_fakes", Path(__file__).with_name("fakes.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def folder(fakes, tmp_path_factory):
    """A folder of three uneven train shards (41 rows in 9 row groups) and a val split (6 rows)."""
    root = tmp_path_factory.mktemp("shards")
    fakes.write_fake(root, {"train": [[5, 5, 3], [7, 2, 1], [6, 6, 6]], "val": [[4, 2]]})
    return root


@pytest.fixture(scope="session")
def body() -> BodyModel:
    """The reference body."""
    return load_body()


@pytest.fixture(scope="session")
def records(body) -> RecordTable:
    """22 rows of the embedded dataset, in two splits."""
    parts = [embedded_records(split, body).take(range(0, 700, 700 // n)[:n]) for split, n in (("val", 14), ("test", 8))]
    return RecordTable.concatenate(parts)


@pytest.fixture(scope="session")
def small() -> ShardConfig:
    """Small maps and pictures, several shards and row groups."""
    return ShardConfig(synthesise=True, region_px=64, iuv_px=24, uv_px=32, rows_per_shard=6, rows_per_group=4)


@pytest.fixture(scope="session")
def built(records, body, small, tmp_path_factory) -> Path:
    """Shards of ``records``, built without interruption."""
    out = tmp_path_factory.mktemp("built")
    build_shards(records, body, out, small, workers=1)
    return out

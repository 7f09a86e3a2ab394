"""The fake shards of ``fakes.py`` for every test of this folder (import mode importlib has no sibling imports)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


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

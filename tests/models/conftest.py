"""Fixtures of the networks' tests: one thread, the reference body, random people, four prototypes.

``stub_rows.py`` is loaded by path, because the import mode importlib knows no sibling imports.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hmrtk.models.batch import Batch
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These networks are so small that threads only wait for each other.

    For each test anew: the first parallel kernel of numba gives torch, which shares its OpenMP, all threads back.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def stub() -> ModuleType:
    """The module ``stub_rows.py``."""
    spec = importlib.util.spec_from_file_location("stub_rows", Path(__file__).with_name("stub_rows.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def body() -> BodyModel:
    """The reference body."""
    return load_body()


@pytest.fixture(scope="session")
def prototypes(stub: ModuleType, body: BodyModel) -> PrototypeSet:
    """K = 4 random ones."""
    return stub.prototypes_of(body)


@pytest.fixture(scope="session")
def rows(stub: ModuleType, body: BodyModel) -> Callable[..., Batch]:
    """(count, seed) → a batch of random people with random pictures."""

    def made(count: int = 4, seed: int = 0) -> Batch:
        return Batch.of(stub.columns_of(stub.random_bodies(count, seed), body, seed))

    return made


@pytest.fixture
def generator() -> torch.Generator:
    """Random numbers of a test's own."""
    return torch.Generator().manual_seed(0)

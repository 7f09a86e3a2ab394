"""``build-prototypes --search``: the same prototypes whatever searches, and what it says without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

FEW = ("build-prototypes", "--limit", 60, "--k", 3, "--max-iter", 2, "--device", "cpu")


def test_every_search_finds_the_same_prototypes(hmrtk: Callable[..., Any], tmp_path: Path) -> None:
    sets = []
    for search in ("pca", "faiss", "full"):
        out = tmp_path / f"{search}.safetensors"
        assert hmrtk(*FEW, "--search", search, "--out", out).code == 0
        sets.append(PrototypeSet.load(out))
    assert [one.metadata["search"] for one in sets] == ["pca", "faiss", "full"]
    for other in sets[1:]:
        np.testing.assert_array_equal(sets[0].parameters.body_pose, other.parameters.body_pose)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")
def test_a_gpu_that_is_not_there(failing: Callable[..., str]) -> None:
    assert "torch sees no GPU here" in failing(*FEW[:-1], "cuda", "--search", "full")


def test_ray_searches_in_a_few_directions_only(failing: Callable[..., str]) -> None:
    said = failing(*FEW, "--search", "full", "--engine", "ray", "--workers", 1)
    assert "search full: workers of a cluster search in a few directions (use search pca)" in said

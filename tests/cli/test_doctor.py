"""What ``doctor`` says of GPUs on machines that this one is not: made-up devices, and the driver's own list."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import pytest
import torch

from hmrtk.cli import doctor


def devices(gpus: int, torch_gpus: int, cuda: str | None, support: bool, faiss_gpus: int) -> dict[str, Any]:
    return {
        "gpus": [{"name": "NVIDIA H200", "memory_gib": 139.8 if torch_gpus else None}] * gpus,
        "torch": {"version": "2.9", "cuda": cuda, "gpus": torch_gpus},
        "faiss": {"version": "1.15", "gpu_support": support, "gpus": faiss_gpus},
    }


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ((0, 0, None, True, 0), ["GPUs      none; bodies are posed and compared on the CPU"]),
        ((1, 1, "13.0", True, 1), ["GPU       NVIDIA H200, 139.8 GiB", "torch 2.9 can use it", "can search on it"]),
        ((2, 2, "13.0", True, 1), ["139.8 GiB", "139.8 GiB", "can use 2 of 2", "FAISS 1.15 can search on 1 of 2"]),
        (
            (1, 1, "13.0", False, 0),
            ["", "", "is the CPU wheel, so K-Means searches on the CPU: pip uninstall faiss-cpu"],
        ),
        (
            (1, 0, None, True, 0),
            ["GPU       NVIDIA H200", "was built without CUDA: install", "built for GPUs but sees"],
        ),
        ((1, 0, "13.0", True, 0), ["", "cannot use it: is the driver new enough for CUDA 13.0?", "check the driver"]),
    ],
)
def test_gpus_in_words(given: tuple[Any, ...], lines: list[str]) -> None:
    found = doctor._gpu_lines(devices(*given))
    assert len(found) == len(lines)
    for line, part in zip(found, lines, strict=True):
        assert part in line


def test_the_driver_names_gpus_that_torch_does_not_see(tmp_path: Path) -> None:
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA H200\nIRQ:   \t\t 34\n")
    assert doctor._gpus_of_the_driver(tmp_path) == ["NVIDIA H200"]
    assert doctor._gpus_of_the_driver(tmp_path / "none") == []


def test_names_and_memory_come_from_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(name="NVIDIA T4", total_memory=16 * 2**30)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: card)
    monkeypatch.delattr(faiss, "StandardGpuResources", raising=False)
    found = doctor._devices()
    assert found["gpus"] == [{"name": "NVIDIA T4", "memory_gib": 16.0}]
    assert found["torch"]["gpus"] == 1
    assert found["faiss"] == {"version": faiss.__version__, "gpu_support": False, "gpus": 0}

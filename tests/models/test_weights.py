"""State dicts from files: nothing in them is ever run, and what cannot be read is one line."""

from __future__ import annotations

import contextlib
import importlib.util
import pickle
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hmrtk.models.weights import read_state, read_torch
from hmrtk.toolkit.errors import InputError


@pytest.fixture(scope="module")
def hostile() -> ModuleType:
    file = Path(__file__).parents[1] / "records" / "hostile.py"
    spec = importlib.util.spec_from_file_location("hostile", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("nest", ["", "state_dict", "model", "model_state_dict", "network"])
def test_tensors_of_torch_files(tmp_path: Path, nest: str) -> None:
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "epoch": 7}
    torch.save({nest: state, "optimizer": {}} if nest else state, tmp_path / "w.pth")
    found = read_state(tmp_path / "w.pth")
    assert list(found) == ["a.weight"]
    assert torch.equal(found["a.weight"], state["a.weight"])


def test_tensors_of_safetensors(tmp_path: Path) -> None:
    save_file({"a": torch.eye(2)}, tmp_path / "w.safetensors")
    assert torch.equal(read_state(tmp_path / "w.safetensors")["a"], torch.eye(2))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code(tmp_path: Path, hostile: ModuleType, zipped: bool) -> None:
    file, mark = tmp_path / "w.pt", tmp_path / "ran"
    torch.save(
        {"a": torch.ones(1), "b": hostile.Hostile(mark)}, file, _use_new_zipfile_serialization=zipped, pickle_protocol=2
    )
    with pytest.raises(InputError) as caught:
        read_state(file)
    assert str(caught.value) == (
        f"{file}: holds objects beside tensors and plain values, which are not loaded (save its state dict alone: "
        "torch.save(model.state_dict(), FILE) where the file is trusted)"
    )
    assert not mark.exists()


def test_a_plain_pickle(tmp_path: Path, hostile: ModuleType) -> None:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(hostile.Hostile(tmp_path / "ran")))
    with pytest.raises(InputError, match=r"w\.pkl: is not a readable torch file"):
        read_state(tmp_path / "w.pkl")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_state_dict(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "list.pt")
    with pytest.raises(InputError, match=r"list\.pt: holds a list, expected a state dict"):
        read_state(tmp_path / "list.pt")
    torch.save({"lr": 1.0, "model": {"names": ["a"]}}, tmp_path / "none.pt")
    with pytest.raises(InputError, match=r"none\.pt: holds no tensors, expected a state dict"):
        read_state(tmp_path / "none.pt")
    with pytest.raises(InputError, match=r"away\.pt: no such file"):
        read_state(tmp_path / "away.pt")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no more", b"\x80\x02", b"text\n", b"\x89HDF"])
def test_no_torch_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"w\.pth: is not a readable torch file .truncated, or another format."):
        read_state(tmp_path / "w.pth")
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"w\.safetensors: is not a readable safetensors file"):
        read_state(tmp_path / "w.safetensors")


@pytest.mark.parametrize("zipped", [True, False])
def test_damage_is_an_input_error_or_harmless(tmp_path: Path, zipped: bool) -> None:
    """Bytes changed and ends cut off at random: never another exception."""
    file, rng = tmp_path / "w.pth", np.random.default_rng(0)
    torch.save({"model": {"a": torch.ones(3), "b": torch.ones(2)}}, file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    for trial in range(300):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            damaged = damaged[: rng.integers(len(whole))]
        else:
            for place in rng.integers(len(whole), size=rng.integers(1, 6)):
                damaged[place] = rng.integers(256)
        file.write_bytes(bytes(damaged))
        with contextlib.suppress(InputError):
            read_state(file)


def test_plain_values_are_kept_by_read_torch(tmp_path: Path) -> None:
    torch.save({"step": 3, "best": 1.5, "network": {"a": torch.ones(1)}}, tmp_path / "s.pt")
    found = read_torch(tmp_path / "s.pt")
    assert (found["step"], found["best"]) == (3, 1.5)

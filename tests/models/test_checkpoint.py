"""Checkpoints: the same answers to the bit after saving and loading, and one line for whatever is wrong with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file

from hmrtk.models.batch import Batch
from hmrtk.models.checkpoint import load_checkpoint, save_checkpoint, test_selection
from hmrtk.models.hmr import HMR
from hmrtk.models.networks import build_network
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.artefact import file_fingerprint

selection_of = test_selection
del test_selection  # pytest would take it for a test


@pytest.fixture
def network(stub: ModuleType, body: BodyModel, prototypes: PrototypeSet) -> HMR:
    """A PM-Net whose batch statistics have moved."""
    network = build_network(stub.quick_config("pmnet", "memory.test_selection=argmax"), prototypes, body).train()
    network.backbone(torch.arange(4 * 3 * 32 * 32).remainder(251).to(torch.uint8).reshape(4, 3, 32, 32))
    return network


@pytest.fixture
def folder(network: HMR, stub: ModuleType, body: BodyModel, prototypes: PrototypeSet, tmp_path: Path) -> Path:
    config = stub.quick_config("pmnet", "memory.test_selection=argmax")
    save_checkpoint(tmp_path / "run", network, config, prototypes, body, stage="two", memory=True, step=5)
    return tmp_path / "run"


def _told(folder: Path, **changes: object) -> None:
    about = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps({**about, **changes}))


def test_the_same_answers_to_the_bit(
    folder: Path, network: HMR, body: BodyModel, rows: Callable[..., Batch], prototypes: PrototypeSet
) -> None:
    found, batch = load_checkpoint(folder, body), rows(5)
    network.eval().memory.choose("argmax")
    with torch.no_grad():
        expected, answer = network(batch), found.network(batch)
    for name in ("rot6d", "rotmat", "betas", "camera", "joints", "keypoints2d"):
        assert torch.equal(getattr(answer.final, name), getattr(expected.final, name)), name
    assert torch.equal(answer.logits, expected.logits)
    assert torch.equal(answer.crop_camera, expected.crop_camera)
    assert not found.network.training
    assert found.network.memory.selection == "argmax"
    assert found.prototypes.fingerprint == prototypes.fingerprint
    assert (found.about["stage"], found.about["step"], found.folder) == ("two", 5, folder)
    assert found.fingerprint == file_fingerprint(folder / "model.safetensors")[:16]
    assert found.config.memory.test_selection == "argmax"


def test_no_pickles_and_no_leftovers(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "model.safetensors", "config.yaml", "prototypes.safetensors", "checkpoint.json",
    }  # fmt: skip


def test_pretrained_weights_are_not_asked_for_again(
    network: HMR, stub: ModuleType, body: BodyModel, prototypes: PrototypeSet, tmp_path: Path
) -> None:
    config = stub.quick_config("pmnet", "backbone.pretrained=/nowhere/weights.pth")
    save_checkpoint(tmp_path / "run", network, config, prototypes, body, memory=True)
    assert load_checkpoint(tmp_path / "run", body).config.backbone.pretrained == "/nowhere/weights.pth"


def test_how_prototypes_are_chosen_afterwards(stub: ModuleType, folder: Path, body: BodyModel) -> None:
    plain, other = (stub.quick_config("pmnet", *c) for c in ((), ("memory.test_selection=argmax",)))
    assert [selection_of(config, memory) for config in (plain, other) for memory in (False, True)] == [
        "singular", "soft", "singular", "argmax",
    ]  # fmt: skip
    _told(folder, memory=False)
    assert load_checkpoint(folder, body).network.memory.selection == "singular"


def test_damaged_weights(folder: Path, body: BodyModel) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_checkpoint(folder, body)
    expected = f"{folder / 'model.safetensors'}: is damaged: its sha256 is not the one in checkpoint.json"
    assert str(caught.value) == expected


def test_weights_of_another_config(folder: Path, body: BodyModel) -> None:
    state = load_file(folder / "model.safetensors")
    state["extra.weight"] = torch.ones(1)
    save_file(state, folder / "model.safetensors")
    _told(folder, weights=file_fingerprint(folder / "model.safetensors"))
    with pytest.raises(
        InputError, match=r"model\.safetensors: does not fit config.yaml .Unexpected key.*extra"
    ) as caught:
        load_checkpoint(folder, body)
    assert "\n" not in str(caught.value)
    (folder / "model.safetensors").write_bytes(b"short")
    _told(folder, weights=file_fingerprint(folder / "model.safetensors"))
    with pytest.raises(InputError, match=r"model\.safetensors: is not a readable safetensors file"):
        load_checkpoint(folder, body)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        load_checkpoint(folder, body)


def test_an_unfinished_folder_and_none(folder: Path, body: BodyModel, tmp_path: Path) -> None:
    (folder / "checkpoint.json").unlink()
    remedy = "pass the folder that hmrtk train wrote, after it has finished"
    with pytest.raises(InputError) as caught:
        load_checkpoint(folder, body)
    assert str(caught.value) == f"{folder}: is an unfinished checkpoint ({remedy})"
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError) as caught:
            load_checkpoint(place, body)
        assert str(caught.value) == f"{place}: is no checkpoint: it has no checkpoint.json ({remedy})"


def test_another_body(folder: Path, body: BodyModel) -> None:
    other = load_body(gender="male")
    with pytest.raises(BodyMismatchError) as caught:
        load_checkpoint(folder, other)
    assert str(caught.value).startswith(f"{folder}: was made with body {body.fingerprint}, but the active body is ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "is not readable JSON"),
        (b"\xff\xfe", "is not readable JSON"),
        (b"[]", "expected hmrtk.checkpoint, got a file that hmrtk did not write"),
        (b'{"kind": "lightning"}', "expected hmrtk.checkpoint, got a file that hmrtk did not write"),
        (b'{"kind": "hmrtk.checkpoint", "schema_version": 2}', "has schema version 2, this hmrtk reads up to 1"),
        (b'{"kind": "hmrtk.checkpoint"}', "has schema version None, this hmrtk reads up to 1"),
        (b'{"kind": "hmrtk.checkpoint", "schema_version": 1, "body": "a"}', "has no weights"),
    ],
)
def test_foreign_json(folder: Path, body: BodyModel, content: bytes, problem: str) -> None:
    (folder / "checkpoint.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_checkpoint(folder, body)
    assert str(caught.value) == f"{folder / 'checkpoint.json'}: {problem}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: [", "is missing or not YAML"),
        (b"- 1", "holds no settings"),
        (b"network: hmr\n", "has no setting stages"),
    ],
)
def test_damaged_settings(folder: Path, body: BodyModel, content: bytes, problem: str) -> None:
    (folder / "config.yaml").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_checkpoint(folder, body)
    assert str(caught.value) == f"{folder / 'config.yaml'}: {problem}"
    (folder / "config.yaml").unlink()
    with pytest.raises(InputError, match=r"config\.yaml: is missing or not YAML"):
        load_checkpoint(folder, body)


def test_prototypes_that_are_missing(folder: Path, body: BodyModel) -> None:
    (folder / "prototypes.safetensors").unlink()
    with pytest.raises(InputError, match=r"prototypes\.safetensors: "):
        load_checkpoint(folder, body)

"""``show-prototypes`` as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.prototypes.export import memory_array
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

from .conftest import Hmrtk

Failing = Callable[..., str]
FEW = ("--limit", 40)


@pytest.fixture
def built(hmrtk: Hmrtk) -> Path:
    return Path(hmrtk("build-prototypes", *FEW, "--k", 3, "--json").json["out"])


def test_page_with_map_and_every_export(hmrtk: Hmrtk, built: Path, tmp_path: Path) -> None:
    done = hmrtk("show-prototypes", built, *FEW, "--samples", 30, "--export", "gltf, obj,spin,npy", "--json")
    assert done.code == 0, done.err
    out = Path(done.json["out"])
    assert out == tmp_path / "ws/reports" / built.stem
    assert Path(done.json["page"]).read_text().count("Prototype ") > 3
    assert {Path(p).name for p in done.json["figures"]} > {"cluster_map.png", "prototype_gallery.png"}
    names = [str(Path(p).relative_to(out)) for p in done.json["exports"]]
    assert names == [
        "prototypes.glb", "obj/prototype-00.obj", "obj/prototype-01.obj", "obj/prototype-02.obj",
        "smpl_mean_params.npz", "memory.npy",
    ]  # fmt: skip
    np.testing.assert_array_equal(np.load(out / "memory.npy"), memory_array(PrototypeSet.load(built)))
    assert done.json["prototypes"]["k"] == 3


def test_without_map_no_records_are_needed(hmrtk: Hmrtk, built: Path, tmp_path: Path) -> None:
    done = hmrtk("show-prototypes", built, "--no-tsne", "--dataset", "h36m", "--out", tmp_path / "page")
    assert done.code == 0, done.err
    assert f"open {tmp_path / 'page/index.html'}" in done.out
    assert not (tmp_path / "page/figures/cluster_map.png").exists()


def test_without_file_the_workspace_s_prototypes_are_built(hmrtk: Hmrtk, tmp_path: Path) -> None:
    hmrtk("ingest", "--limit", 60)
    done = hmrtk("show-prototypes", "--records", "ws/records/embedded/train.parquet", "--json")
    assert done.code == 0, done.err
    assert (tmp_path / "ws/prototypes/embedded-p3dh-k50.safetensors").exists()
    assert done.json["prototypes"]["k"] == 50
    assert "building the prototypes first" in done.err


def test_wrong_files_and_options_get_one_line(failing: Failing, hmrtk: Hmrtk, built: Path, tmp_path: Path) -> None:
    assert "none.safetensors: no such file" in failing("show-prototypes", "none.safetensors")
    labels = built.with_suffix(".labels.parquet")
    assert "is not a readable safetensors file" in failing("show-prototypes", labels)
    assert "t-SNE: 1 samples and 3 prototypes" in failing("show-prototypes", built, "--samples", 1)
    wrong = hmrtk("show-prototypes", built, "--export", "gltf,fbx")
    assert wrong.code == 2
    assert "'fbx' is not one of gltf, obj, spin, npy" in wrong.err


def test_another_body_is_refused(failing: Failing, built: Path) -> None:
    prototypes = PrototypeSet.load(built)
    prototypes.metadata["body"] = "f" * 16
    prototypes.save(built)
    message = failing("show-prototypes", built, "--no-tsne")
    assert "f" * 16 in message
    assert "body" in message

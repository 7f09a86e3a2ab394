"""``datasets download`` and ``datasets verify`` as a user types them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.records import manifest as manifests
from tests.dataset_layouts import JPEG
from tests.records.file_server import Served, serving
from tests.sources.test_lsp import lsp_joints


def test_verify_exits_with_what_it_found(
    hmrtk: Callable[..., Any], failing: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "raw").mkdir()
    gone = hmrtk("datasets", "verify", "lsp", "--root", "raw", "--json")
    assert gone.code == 1
    assert not gone.json["ok"]
    assert any("joints.mat" in problem for problem in gone.json["problems"])
    assert "pass --root DIR" in failing("datasets", "verify", "lsp")


def test_download_of_what_is_not_free_prints_the_steps(hmrtk: Callable[..., Any]) -> None:
    told = hmrtk("datasets", "download", "h36m")
    assert told.code == 0
    assert "Apply for an account" in told.out
    assert "http://vision.imar.ro/human3.6m" in told.out
    value = hmrtk("datasets", "download", "3dpw", "--json").json
    assert value["downloads"] == []
    assert value["obtain"][0].startswith("Accept the licence")
    assert "nothing to download" in hmrtk("datasets", "download", "embedded").out


def lsp_archive() -> bytes:
    """What LSP's site has: joints.mat and 2000 pictures, here of four bytes."""
    mat, stream = io.BytesIO(), io.BytesIO()
    savemat(mat, {"joints": np.tile(lsp_joints(load_body(), 5), (1, 1, 400))})
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("joints.mat", mat.getvalue())
        for i in range(2000):
            file.writestr(f"images/im{i + 1:04d}.jpg", JPEG)
    return stream.getvalue()


def test_download_then_verify(
    hmrtk: Callable[..., Any], failing: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lsp = manifests.load_manifest("lsp")
    with serving(Served({"/research/lsp_dataset.zip": lsp_archive()}, {"/research/lsp_dataset.zip": '"1"'})) as server:
        here = [d.model_copy(update={"url": f"{server.url}/research/{d.file}"}) for d in lsp.downloads]
        changed = lsp.model_copy(update={"downloads": tuple(here)})
        monkeypatch.setattr(manifests, "load_manifest", lambda name: changed)
        server.cut = [30_000]
        done = hmrtk("datasets", "download", "lsp", "--json")
        assert done.code == 0, done.err
        assert done.json["downloads"][0]["files"] == 2001
        assert "Licence: " in done.err
        again = hmrtk("datasets", "download", "lsp")
        assert "lsp_dataset.zip: there" in again.out
        assert f"next: hmrtk datasets verify lsp --root {done.json['out']}" in again.out
        assert "404" in failing("datasets", "download", "lsp", "--part", "original", "--out", "other")
    monkeypatch.undo()
    whole = hmrtk("datasets", "verify", "lsp", "--root", done.json["out"], "--json")
    assert whole.json["problems"] == []
    assert whole.json["rows"] == {"train": 1000, "test": 1000}
    assert any("lsp_dataset.zip: downloaded" in note for note in whole.json["notes"])
    quick = hmrtk("datasets", "verify", "lsp", "--root", done.json["out"], "--quick")
    assert "all well" in quick.out

"""``joints.mat`` of LSP, LSPET and HR-LSPET written from known people comes back as their joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.lsp import LspSource
from hmrtk.toolkit.sources.registry import open_source

from .people import left_is_left, random_people, tight

COUNT = 5


def lsp_joints(body: BodyModel, count: int = COUNT) -> NDArray[np.float64]:
    """(3, 14, N) as in LSP: x, y and 1 where occluded (here: every third joint)."""
    pixels = random_people(body, count).pixels[:, :14]
    occluded = np.tile(np.arange(14) % 3 == 0, (count, 1))[..., None]
    return np.moveaxis(np.concatenate([pixels, occluded], axis=-1), (0, 1, 2), (2, 1, 0))


def lspet_joints(body: BodyModel, known: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """(14, 3, N) as in LSPET: x, y and 1 where known; the others lie anywhere."""
    pixels = random_people(body, COUNT).pixels[:, :14].copy()
    known = np.ones((COUNT, 14), bool) if known is None else known
    pixels[~known] = -7
    return np.moveaxis(np.concatenate([pixels, known[..., None]], axis=-1), 0, 2)


def write(root: Path, joints: Any) -> Path:
    root.mkdir(exist_ok=True)
    savemat(root / "joints.mat", {"joints": joints})
    return root


def test_lsp(tmp_path: Path, body: BodyModel) -> None:
    table = LspSource().ingest(write(tmp_path, lsp_joints(body)), body)["train"]
    pixels = random_people(body, COUNT).pixels[:, :14]
    keypoints = table.array("keypoints2d")
    np.testing.assert_allclose(keypoints[:, :14, :2], pixels, atol=1e-3)
    assert not keypoints[:, 14:].any()
    np.testing.assert_allclose(table.array("bbox_xyxy"), tight(pixels), atol=1e-3)
    assert table.sample_ids[:2] == ["lsp/train/im0001/0", "lsp/train/im0002/0"]
    assert table.table["image_path"][1].as_py() == "images/im0002.jpg"
    assert left_is_left(table)
    assert not table.has("global_orient").any()


def test_occluded_joints_of_lsp_are_marked_all_the_same(tmp_path: Path, body: BodyModel) -> None:
    table = LspSource().ingest(write(tmp_path, lsp_joints(body)), body)["train"]
    assert (table.array("keypoints2d")[:, :14, 2] == 1).all()


def test_unknown_joints_of_lspet_count_for_nothing(tmp_path: Path, body: BodyModel) -> None:
    known = np.ones((COUNT, 14), bool)
    known[0, :6], known[2, 1:] = False, False
    table = LspSource("lspet").ingest(write(tmp_path, lspet_joints(body, known)), body)["train"]
    assert [name.split("/")[2] for name in table.sample_ids] == ["im00001", "im00002", "im00004", "im00005"]
    pixels = random_people(body, COUNT).pixels[:, :14]
    assert not table.array("keypoints2d")[0, :6].any()
    np.testing.assert_allclose(table.array("keypoints2d")[1, :14, :2], pixels[1], atol=1e-3)
    np.testing.assert_allclose(table.array("bbox_xyxy")[0], tight(pixels[:1, 6:])[0], atol=1e-3)
    assert left_is_left(table)


def test_the_first_thousand_are_for_training(tmp_path: Path, body: BodyModel) -> None:
    joints = np.tile(lsp_joints(body), (1, 1, 400))
    tables = open_source("lsp").ingest(write(tmp_path, joints), body)
    assert {split: len(table) for split, table in tables.items()} == {"train": 1000, "test": 1000}
    assert tables["test"].table["image_path"][0].as_py() == "images/im1001.jpg"
    assert tables["test"].sample_ids[-1] == "lsp/test/im2000/0"
    tables = open_source("lsp").ingest(tmp_path, body, limit=3)
    assert {split: len(table) for split, table in tables.items()} == {"train": 3, "test": 3}


def test_hr_lspet_goes_by_the_order_of_its_pictures(tmp_path: Path, body: BodyModel) -> None:
    write(tmp_path, lspet_joints(body))
    for number in (2, 3, 7, 40, 41):
        (tmp_path / f"im{number:05d}.png").touch()
    table = open_source("lspet").ingest(tmp_path, body)["train"]
    assert table.table["image_path"].to_pylist()[1:4] == ["im00003.png", "im00007.png", "im00040.png"]
    (tmp_path / "im00003.png").unlink()
    with pytest.raises(InputError, match=r"joints\.mat: has joints of 5 pictures, but 4 \.png files are beside it"):
        open_source("lspet").ingest(tmp_path, body)


def test_the_other_shape_is_named(tmp_path: Path, body: BodyModel) -> None:
    with pytest.raises(InputError, match=r"has shape \(14, 3, 5\), which is that of lspet \(pass --dataset lspet\)"):
        LspSource().ingest(write(tmp_path, lspet_joints(body)), body)
    with pytest.raises(InputError, match=r"which is that of lsp \(pass --dataset lsp\)"):
        LspSource("lspet").ingest(write(tmp_path, lsp_joints(body)), body)


def test_damage_is_named(tmp_path: Path, body: BodyModel) -> None:
    source = LspSource()
    with pytest.raises(InputError, match=r"has no joints\.mat \(see: hmrtk datasets show lsp\)"):
        source.ingest(tmp_path, body)
    with pytest.raises(InputError, match=r"expected shape \(3, 14, N\) or \(14, 3, N\), got float64 \(3, 13, 5\)"):
        source.ingest(write(tmp_path, lsp_joints(body)[:, :13]), body)
    with pytest.raises(InputError, match=r"joints: expected shape .*, got <U5 \(1,\)"):
        source.ingest(write(tmp_path, "texts"), body)
    joints = lsp_joints(body)
    joints[0, 4, 2] = np.nan
    with pytest.raises(InputError, match=r"joints\.mat column 2: joints has NaN or infinite values"):
        source.ingest(write(tmp_path, joints), body)
    joints = lsp_joints(body)
    joints[:2, :, 3] = 9
    with pytest.raises(InputError, match=r"joints\.mat images/im0004\.jpg: its known joints span no box"):
        source.ingest(write(tmp_path, joints), body)
    savemat(tmp_path / "joints.mat", {"other": joints})
    with pytest.raises(InputError, match=r"joints\.mat: has no variable joints"):
        source.ingest(tmp_path, body)
    path = write(tmp_path, lsp_joints(body)) / "joints.mat"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"joints\.mat: is not a readable MATLAB 5 file: "):
        source.ingest(tmp_path, body)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"joints\.mat: is not a readable MATLAB 5 file: "):
        source.ingest(tmp_path, body)


def test_round_trip(tmp_path: Path, body: BodyModel) -> None:
    table = LspSource().ingest(write(tmp_path, lsp_joints(body)), body, limit=2)["train"]
    table.write(tmp_path / "train.parquet")
    assert RecordTable.read(tmp_path / "train.parquet").fingerprint == table.fingerprint

"""A folder of mocap files becomes record tables, through the registry as ``ingest`` calls it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import SMPL_NAMES
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.sources import registry
from hmrtk.toolkit.sources.mocap import MocapConfig, action_of, split_of
from hmrtk.toolkit.sources.registry import is_readable, open_source
from hmrtk.toolkit.sources.skeletons import SKELETONS


@pytest.fixture
def text(mocap: SimpleNamespace) -> str:
    """Seven frames at 30 per second, upright, facing the world's +z."""
    names = {joint: n[0] for joint, n in SKELETONS[0].joints.items()}
    pose = mocap.random_pose(7, 1, 0.3)
    pose[:, 0] = 0
    return str(mocap.bvh_text(mocap.Rig(names), pose))


@pytest.fixture
def folder(tmp_path: Path, text: str) -> Path:
    for name in ("walk/07_01.bvh", "val/run/a.BVH", "test/jump_12.bvh", "deep/er/wave/b.bvh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "walk" / "readme.txt").write_text("not motion")
    return tmp_path


def test_records_of_a_folder(folder: Path, body: Any) -> None:
    seen = []
    tables = open_source("bvh").ingest(
        folder, body, seed=0, progress=lambda stage, done, total, note="": seen.append(stage)
    )
    assert sorted(tables) == ["test", "train", "val"]
    assert tables["train"].sample_ids == [
        f"bvh/{sequence}/{frame}" for sequence in ("deep/er/wave/b", "walk/07_01") for frame in (0, 3, 6)
    ]
    assert tables["train"].array("action").tolist() == ["wave"] * 3 + ["walk"] * 3
    assert tables["val"].array("action").tolist() == ["run"] * 3
    assert tables["test"].array("action").tolist() == ["jump"] * 3
    assert tables["test"].sample_ids[0] == "bvh/test/jump_12/0"
    assert tables["train"].metadata.body == body.fingerprint
    assert set(tables["train"].metadata.provenance["inputs"]) >= {"walk/07_01.bvh", "val/run/a.BVH"}
    assert {"read", "project"} <= set(seen)


def test_the_person_stands_before_the_camera(folder: Path, body: Any) -> None:
    table = open_source("bvh").ingest(folder, body, seed=0)["test"]
    pelvis = body.joints(table.parameters())[:, 0]
    np.testing.assert_allclose(pelvis, np.tile([0, 0, 5.0], (3, 1)), atol=1e-5)
    joints = dict(zip(SMPL_NAMES, body.joints(table.parameters())[0], strict=True))
    assert joints["head"][1] < joints["pelvis"][1] < joints["left_ankle"][1]  # y down
    assert joints["left_hip"][0] > joints["right_hip"][0]  # faces us: the left is on the picture's right
    assert joints["left_foot"][2] < joints["left_ankle"][2]  # toes towards the camera
    keypoints = table.array("keypoints2d")
    assert keypoints[..., 2].min() == 1
    box = table.array("bbox_xyxy")
    assert ((box[:, 2:] - box[:, :2])[:, 1] > 200).all()


def test_limit_and_frame_rate(folder: Path, body: Any) -> None:
    tables = open_source("bvh", mocap=MocapConfig(fps=30)).ingest(folder, body, limit=9)
    assert {split: len(table) for split, table in tables.items()} == {"train": 9, "val": 7, "test": 7}
    with pytest.raises(InputError, match="limit: expected at least 1 row, got 0"):
        open_source("bvh").ingest(folder, body, limit=0)


def test_one_file_and_the_other_formats(tmp_path: Path, mocap: SimpleNamespace, body: Any, folder: Path) -> None:
    assert open_source("bvh").ingest(folder / "walk" / "07_01.bvh", body)["train"].sample_ids[0] == "bvh/07_01/0"
    root = tmp_path / "other"
    (root / "07").mkdir(parents=True)
    rig = mocap.Rig({joint: joint for joint in SMPL_NAMES if not joint.endswith("hand")}, mocap.spread(20))
    asf, amc = mocap.asf_amc_text(rig, mocap.random_pose(13, 2))
    (root / "07" / "07.asf").write_text(asf)
    (root / "07" / "07_01.amc").write_text(amc)
    assert open_source("amc").ingest(root, body)["train"].sample_ids == ["amc/07/07_01/0", "amc/07/07_01/12"]
    (root / "humanoid3d_kick.txt").write_text(json.dumps(mocap.deepmimic_document(np.zeros((4, 24, 3)))))
    table = open_source("deepmimic").ingest(root, body)["train"]
    assert table.array("action").tolist() == ["humanoid3d_kick"] * 2


def test_nothing_to_read(tmp_path: Path, body: Any) -> None:
    with pytest.raises(InputError, match=r"has no \.amc file \(pass --root"):
        open_source("amc").ingest(tmp_path, body)
    with pytest.raises(InputError, match=r"dataset bvh: the folder of its files is not given \(pass --root DIR\)"):
        open_source("bvh").ingest(None, body)
    with pytest.raises(InputError, match="no such file or directory"):
        open_source("bvh").ingest(tmp_path / "nowhere", body)


def test_one_bad_file_stops_with_its_name(folder: Path, body: Any, text: str) -> None:
    (folder / "walk" / "07_02.bvh").write_text(text[:-30])
    with pytest.raises(InputError, match=r"07_02\.bvh line \d+: has \d+ numbers"):
        open_source("bvh").ingest(folder, body)


@pytest.mark.parametrize(
    ("path", "split", "action"),
    [
        ("a.bvh", "train", "a"),
        ("Test/dance/x_01.bvh", "test", "dance"),
        ("07/07_01.amc", "train", "07_01"),
        ("val/03/kick 12.bvh", "val", "kick"),
        ("dance/train/05.bvh", "train", "dance"),
    ],
)
def test_split_and_action_come_from_the_path(path: str, split: str, action: str) -> None:
    assert split_of(Path(path)) == split
    assert action_of(Path(path)) == action


def test_unknown_names_and_formats_not_readable_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="unknown dataset 'bhv'; known: bvh"):
        open_source("bhv")
    with pytest.raises(UnknownNameError, match="unknown format of bvh 'fbx'; known: bvh"):
        open_source("bvh", "fbx")
    monkeypatch.setattr(registry, "_RAW", {})
    expected = r"dataset h36m: its format raw is declared .* not readable .*formats: embedded, bvh, amc, deepmimic"
    with pytest.raises(InputError, match=expected):
        open_source("h36m", "raw")
    assert all(is_readable(name, name) for name in ("embedded", "bvh", "amc", "deepmimic"))
    assert not is_readable("h36m", "raw")

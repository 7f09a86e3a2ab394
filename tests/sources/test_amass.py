"""AMASS files written from known bodies: the reader returns them, before the virtual camera."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.amass import action_of
from hmrtk.toolkit.sources.mocap import MocapConfig
from hmrtk.toolkit.sources.registry import open_source

FRAMES = 12


def write(path: Path, pose: Any, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A file of AMASS' layout from SMPL poses (T, 24, 3) in a y-up world; None leaves a key out."""
    rng = np.random.default_rng(seed)
    z_up = Rotation.from_euler("x", 90, degrees=True)  # y up becomes z up, z front becomes -y
    smplh = rng.uniform(-1, 1, (len(pose), 52, 3))  # fingers that a wrong choice of joints would pick up
    smplh[:, :22] = pose[:, :22]
    smplh[:, 0] = (z_up * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    smplh[:, 22], smplh[:, 37] = pose[:, 22], pose[:, 23]
    content: dict[str, Any] = {
        "trans": rng.normal(size=(len(pose), 3)),
        "gender": np.array("female"),
        "mocap_framerate": np.array(120.0),
        "betas": rng.normal(size=16),
        "dmpls": rng.normal(size=(len(pose), 8)),
        "poses": smplh.reshape(-1, 156),
        "marker_labels": np.array(["ARIEL", "C7"]),
        "marker_data": rng.normal(size=(len(pose), 2, 3)),
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return content


@pytest.fixture
def pose(mocap: SimpleNamespace) -> Any:
    drawn = mocap.random_pose(FRAMES, 3)
    drawn[:, 22:] = np.random.default_rng(4).uniform(-1, 1, (FRAMES, 2, 3))
    return drawn


def ingest(root: Path, body: Any, **options: Any) -> dict[str, RecordTable]:
    return open_source("amass", mocap=MocapConfig(fps=120)).ingest(root, body, **options)


def test_the_bodies_come_back(tmp_path: Path, pose: Any, body: Any) -> None:
    content = write(tmp_path / "KIT/3/kick_high02_poses.npz", pose)
    (table,) = ingest(tmp_path, body).values()
    given = BodyParameters.of(pose[:, 0], pose[:, 1:], np.tile(content["betas"][:10], (FRAMES, 1)))
    upright = body.joints(given).astype(float)
    expected = (upright - upright[:, :1]) * [1, -1, -1] + [0, 0, 5]
    np.testing.assert_allclose(body.joints(table.parameters()), expected, atol=2e-5)
    projected = expected[..., :2] / expected[..., 2:] * 800 + [320, 240]
    left = table.array("keypoints2d")[:, 5, :2]  # spin24's left ankle is SMPL's joint 7
    np.testing.assert_allclose(left, projected[:, 7], atol=0.02)
    assert set(table.array("gender")) == {"female"}
    assert set(table.array("action")) == {"kick_high"}
    assert table.sample_ids[:2] == ["amass/KIT/3/kick_high02_poses/0", "amass/KIT/3/kick_high02_poses/1"]
    path = tmp_path / "t.parquet"
    table.write(path)
    assert RecordTable.read(path).fingerprint == table.fingerprint


def test_the_right_hand_is_joint_37(tmp_path: Path, pose: Any, body: Any) -> None:
    content = write(tmp_path / "a_poses.npz", pose)
    (table,) = ingest(tmp_path, body).values()
    hands = table.array("body_pose")[:, 21:]
    np.testing.assert_allclose(hands, pose[:, 22:], atol=1e-6)
    assert np.abs(hands[:, 1] - content["poses"].reshape(-1, 52, 3)[:, 23]).max() > 0.1


def test_a_person_who_stands_in_z_up_stands_in_the_picture(tmp_path: Path, body: Any) -> None:
    write(tmp_path / "a_poses.npz", np.zeros((3, 24, 3)))
    (table,) = ingest(tmp_path, body).values()
    joints = table.array("joints3d")
    assert (joints[:, 13, 1] < joints[:, 5, 1] - 1).all()  # the head is above the ankles
    assert (joints[:, 9, 0] > joints[:, 8, 0]).all()  # faces us: the left shoulder is on the picture's right


def test_frame_rates_are_resampled(tmp_path: Path, pose: Any, body: Any) -> None:
    write(tmp_path / "a_poses.npz", pose, mocap_framerate=60)
    write(tmp_path / "b_poses.npz", pose, mocap_framerate=None, mocap_frame_rate=np.array([120.0]))
    (table,) = open_source("amass", mocap=MocapConfig(fps=30)).ingest(tmp_path, body).values()
    assert table.array("frame").tolist() == [0, 2, 4, 6, 8, 10, 0, 4, 8]


@pytest.mark.parametrize("gender", ["male", b"male", np.array(b"male"), np.array(["male"]), "b'male'"])
def test_gender_in_every_form(tmp_path: Path, pose: Any, body: Any, gender: Any) -> None:
    write(tmp_path / "a_poses.npz", pose, gender=gender)
    (table,) = ingest(tmp_path, body).values()
    assert set(table.array("gender")) == {"male"}


def test_shape_files_are_skipped_and_splits_are_folders(tmp_path: Path, pose: Any, body: Any) -> None:
    write(tmp_path / "train/CMU/01/01_01_poses.npz", pose)
    write(tmp_path / "val/SFU/0005/x_poses.npz", pose)
    np.savez(tmp_path / "train/CMU/01/shape.npz", gender="male", betas=np.zeros(16))
    tables = ingest(tmp_path, body, limit=5)
    assert {split: len(table) for split, table in tables.items()} == {"train": 5, "val": 5}
    assert not any("shape.npz" in name for name in tables["train"].metadata.provenance["inputs"])
    assert ingest(tmp_path, body)["train"].sample_ids[:5] == tables["train"].sample_ids


def test_names_of_actions() -> None:
    assert action_of(Path("ACCAD/Female1/A1 - Stand_poses.npz")) == "A1 - Stand"
    assert action_of(Path("CMU/01/01_01_poses.npz")) == "01_01"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": None}, r"a_poses\.npz: has no poses \(its keys: betas, gender, mocap_framerate\)"),
        ({"poses": np.zeros((4, 165))}, r"poses has 165 columns, expected 156 \(download the SMPL-H release"),
        ({"poses": np.zeros((0, 156))}, r"a_poses\.npz: poses has no frames"),
        ({"poses": np.full((4, 156), np.nan)}, r"a_poses\.npz row 0: poses has NaN"),
        ({"betas": np.full(16, 99.0)}, r"a_poses\.npz: betas reaches 99\.0, expected at most 20"),
        ({"betas": np.zeros(4)}, r"betas has 4 values, expected at least 10"),
        ({"gender": "alien"}, r"gender is 'alien', expected one of neutral, male, female"),
        ({"mocap_framerate": 0.0}, r"mocap_framerate is 0, expected frames per second"),
        ({"mocap_framerate": None}, r"has no mocap_framerate"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, pose: Any, body: Any, changes: dict[str, Any], message: str) -> None:
    write(tmp_path / "a_poses.npz", pose, **changes)
    with pytest.raises(InputError, match=message):
        ingest(tmp_path, body)


def test_truncated_and_missing(tmp_path: Path, pose: Any, body: Any) -> None:
    path = tmp_path / "a_poses.npz"
    write(path, pose)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"a_poses\.npz: is not a readable \.npz"):
        ingest(tmp_path, body)
    path.unlink()
    with pytest.raises(InputError, match=r"has no \.npz file \(pass --root the folder of your amass files\)"):
        ingest(tmp_path, body)

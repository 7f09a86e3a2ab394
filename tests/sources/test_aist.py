"""AIST++ files written from known poses: the reader returns them, before the virtual camera."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.fields import pickle_fields
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.aist import action_of, translation
from hmrtk.toolkit.sources.mocap import MocapConfig
from hmrtk.toolkit.sources.registry import open_source

FRAMES, SCALING = 8, 93.7
NAME = "gBR_sBM_cAll_d04_mBR0_ch01"
STAGE = np.tile([0.5, 0.9, -1.0], (FRAMES, 1))


def write(path: Path, pose: Any, **changes: Any) -> None:
    """A file of AIST++'s layout; None leaves a key out."""
    content = {
        "smpl_loss": 0.0013,
        "smpl_poses": pose.reshape(-1, 72),
        "smpl_scaling": np.array([SCALING]),
        "smpl_trans": STAGE * SCALING,
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({key: value for key, value in content.items() if value is not None}, 3))


@pytest.fixture
def pose(mocap: SimpleNamespace) -> Any:
    return mocap.random_pose(FRAMES, 5)


def ingest(root: Path, body: Any, **options: Any) -> dict[str, RecordTable]:
    return open_source("aist", mocap=MocapConfig(fps=60)).ingest(root, body, **options)


def test_the_bodies_come_back(tmp_path: Path, pose: Any, body: Any) -> None:
    write(tmp_path / f"motions/{NAME}.pkl", pose)
    (table,) = ingest(tmp_path, body).values()
    upright = body.joints(BodyParameters.of(pose[:, 0], pose[:, 1:])).astype(float)
    expected = (upright - upright[:, :1]) * [1, -1, -1] + [0, 0, 5]
    np.testing.assert_allclose(body.joints(table.parameters()), expected, atol=2e-5)
    projected = expected[..., :2] / expected[..., 2:] * 800 + [320, 240]
    np.testing.assert_allclose(table.array("keypoints2d")[:, 5, :2], projected[:, 7], atol=0.02)  # left ankle
    np.testing.assert_allclose(table.array("keypoints2d")[:, 0, :2], projected[:, 8], atol=0.02)  # right ankle
    assert not table.array("betas").any()
    assert set(table.array("gender")) == {"neutral"}
    assert set(table.array("action")) == {"gBR"}
    assert table.sample_ids[0] == f"aist/motions/{NAME}/0"
    path = tmp_path / "t.parquet"
    table.write(path)
    assert RecordTable.read(path).fingerprint == table.fingerprint


def test_sixty_frames_a_second_and_limit(tmp_path: Path, pose: Any, body: Any) -> None:
    write(tmp_path / f"{NAME}.pkl", pose)
    (table,) = open_source("aist", mocap=MocapConfig(fps=20)).ingest(tmp_path, body).values()
    assert table.array("frame").tolist() == [0, 3, 6]
    (head,) = open_source("aist", mocap=MocapConfig(fps=20)).ingest(tmp_path, body, limit=2).values()
    assert head.sample_ids == table.sample_ids[:2]


def test_translations_are_divided_by_the_scaling(tmp_path: Path, pose: Any, body: Any) -> None:
    path = tmp_path / f"{NAME}.pkl"
    write(path, pose)
    np.testing.assert_allclose(translation(pickle_fields(path, "an AIST++ motion"), FRAMES), STAGE, atol=1e-12)
    write(path, pose, smpl_scaling=np.array([1.0]))
    with pytest.raises(InputError, match=r"ch01\.pkl: smpl_trans / smpl_scaling reaches 134 m, expected at most 20 m"):
        ingest(tmp_path, body)


def test_genres() -> None:
    assert action_of(Path(f"motions/{NAME}.pkl")) == "gBR"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"smpl_poses": None}, r"ch01\.pkl: has no smpl_poses"),
        ({"smpl_poses": np.zeros((FRAMES, 156))}, r"smpl_poses has shape \(8, 156\), expected \(any, 72\)"),
        ({"smpl_poses": np.full((FRAMES, 72), np.inf)}, r"ch01\.pkl row 0: smpl_poses has NaN or infinite"),
        ({"smpl_poses": np.zeros((0, 72))}, r"smpl_poses has no frames"),
        ({"smpl_scaling": np.array([0.0])}, r"smpl_scaling is 0, expected a positive number"),
        ({"smpl_trans": STAGE[:3]}, r"smpl_trans has shape \(3, 3\), expected \(8, 3\)"),
        ({"x": Path("x")}, r"holds a pathlib.*, which hmrtk does not load \(expected an AIST\+\+ motion\)"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, pose: Any, body: Any, changes: dict[str, Any], message: str) -> None:
    write(tmp_path / f"{NAME}.pkl", pose, **changes)
    with pytest.raises(InputError, match=message):
        ingest(tmp_path, body)


def test_truncated(tmp_path: Path, pose: Any, body: Any) -> None:
    path = tmp_path / f"{NAME}.pkl"
    write(path, pose)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"ch01\.pkl: is not a readable pickle"):
        ingest(tmp_path, body)

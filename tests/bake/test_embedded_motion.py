from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

motion = pytest.importorskip("bake.embedded_motion", reason="the bake scripts are not in this installation")
retarget = pytest.importorskip("hmrtk.toolkit.sources.retarget")


def wheel_with(folder: Path, clips: dict[str, int]) -> Path:
    """A wheel with clips of so many frames, all in DeepMimic's rest pose."""
    frame = [0.0] * 44
    frame[0] = 1 / 30
    for column in (4, 8, 12, 16, 21, 25, 30, 35, 39):  # w of each quaternion
        frame[column] = 1.0
    path = folder / "pybullet.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, count in clips.items():
            archive.writestr(f"{motion.MOTIONS}humanoid3d_{name}.txt", json.dumps({"Frames": [frame] * count}))
        archive.writestr(f"{motion.MOTIONS}dog3d_walk.txt", "{}")
    return path


def test_humanoid_clips_only_in_alphabetical_order(tmp_path: Path) -> None:
    clips = motion.read_clips(wheel_with(tmp_path, {"walk": 3, "jump": 2}))
    arrays = motion.motion_arrays(clips)
    assert arrays["clip_name"].tolist() == ["jump", "walk"]
    assert arrays["clip"].tolist() == [0, 0, 1, 1, 1]
    assert arrays["poses"].shape == (5, 72)
    np.testing.assert_allclose(arrays["clip_fps"], 30, rtol=1e-6)


def test_rest_pose_has_hanging_arms_and_nothing_else(tmp_path: Path) -> None:
    poses = motion.motion_arrays(motion.read_clips(wheel_with(tmp_path, {"walk": 1})))["poses"].reshape(24, 3)
    moved = np.flatnonzero(np.abs(poses).max(1) > 1e-6)
    assert moved.tolist() == [13, 14, 16, 17]  # collars and shoulders
    np.testing.assert_allclose(poses[[13, 16], 2].sum(), -np.pi / 2, atol=1e-6)


def test_report_names_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = motion.motion_arrays({"walk": retarget.Motion(np.zeros((2, 24, 3)), 30.0, "here")})
    other = {**arrays, "poses": arrays["poses"] + 0.5, "clip_name": np.array(["run"])}
    np.savez(tmp_path / "other.npz", **other)
    motion.report_difference(arrays, tmp_path / "other.npz")
    printed = capsys.readouterr().out
    assert "poses: largest difference 0.5" in printed
    assert "clip_name: differs" in printed
    assert "clip_fps: largest difference 0" in printed

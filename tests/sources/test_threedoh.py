"""3DOH50K files written from known bodies in a scaled world: the reader returns them in metres before the camera."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.registry import open_source

N = 5
SCALE = 6.8
INTRI = np.array([[1100.0, 0, 640], [0, 1120, 360], [0, 0, 1]])


def pixels(points: Any) -> Any:
    projected = points @ INTRI.T
    return projected[..., :2] / projected[..., 2:]


def made_content(body: Any) -> dict[str, Any]:
    """Entries, and what is true of them: vertices in the camera frame over the scale."""
    rng = np.random.default_rng(7)
    pose, betas = rng.normal(0, 0.2, (N, 24, 3)), rng.normal(size=(N, 10))
    pose[:, 0] = rng.normal(0, 0.5, (N, 3))
    trans = rng.normal(0, 2, (N, 3))
    posed = body.pose(BodyParameters.of(pose[:, 0], pose[:, 1:], betas))
    looks = Rotation.from_euler("x", 180, degrees=True) * Rotation.from_euler("y", 0.7)
    extri = np.eye(4)
    extri[:3, :3], extri[:3, 3] = looks.as_matrix(), [1, -1, 30]

    def camera(points: Any) -> Any:
        return (SCALE * points.astype(float) + trans[:, None]) @ extri[:3, :3].T + extri[:3, 3]

    vertices, joints, spin24 = camera(posed.vertices), camera(posed.joints), camera(body.spin24(posed))
    outline = pixels(vertices)
    entries = {
        f"{row:05d}": {
            "img_path": f"images\\{row:05d}.jpg",
            "mask_path": f"masks\\{row:05d}.png",
            "bbox": [outline[row].min(axis=0).tolist(), outline[row].max(axis=0).tolist()],
            "intri": INTRI.tolist(),
            "extri": extri.tolist(),
            "pose": pose[row].reshape(1, 72).tolist(),
            "betas": betas[row][None].tolist(),
            "trans": trans[row][None].tolist(),
            "scale": [SCALE],
            "smpl_joints_2d": pixels(joints[row]).tolist(),
            "smpl_joints_3d": (SCALE * posed.joints[row].astype(float) + trans[row]).tolist(),
            "lsp_joints_2d": pixels(spin24[row, :14]).tolist(),
            "lsp_joints_3d": spin24[row, :14].tolist(),
        }
        for row in range(N)
    }
    return {"entries": entries, "vertices": vertices / SCALE, "spin24": spin24 / SCALE, "betas": betas}


@pytest.fixture(scope="module")
def content(body: Any) -> dict[str, Any]:
    return made_content(body)


def write(root: Path, entries: dict[str, Any], folder: str = "trainset") -> Path:
    path = root / folder / "annots.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries))
    return path


def ingest(root: Path, body: Any, **options: Any) -> dict[str, RecordTable]:
    return open_source("3doh").ingest(root, body, **options)


def test_the_bodies_come_back_in_metres(tmp_path: Path, content: dict[str, Any], body: Any) -> None:
    write(tmp_path, content["entries"])
    (table,) = ingest(tmp_path, body).values()
    posed = body.pose(table.parameters())
    np.testing.assert_allclose(posed.vertices, content["vertices"], atol=3e-5)
    joints = table.array("joints3d")
    np.testing.assert_allclose(joints[..., :3], content["spin24"], atol=3e-5)
    bones = np.linalg.norm(joints[:, 1, :3] - joints[:, 0, :3], axis=1)
    assert ((bones > 0.3) & (bones < 0.55)).all()  # a shin in metres
    keypoints = table.array("keypoints2d")
    np.testing.assert_allclose(keypoints[:, :14, :2], pixels(joints[:, :14, :3].astype(float)), atol=0.02)
    assert (keypoints[:, :14, 2] == 1).all()
    assert not keypoints[:, 14:].any()
    for row, name in enumerate(content["entries"]):
        np.testing.assert_allclose(
            keypoints[row, [0, 5], :2], np.array(content["entries"][name]["smpl_joints_2d"])[[8, 7]], atol=1e-3
        )  # right and left ankle
    outline = pixels(posed.vertices.astype(float))
    np.testing.assert_allclose(table.array("bbox_xyxy")[:, :2], outline.min(axis=1), atol=0.05)
    np.testing.assert_allclose(table.array("focal")[0], [1100, 1120])
    np.testing.assert_allclose(table.array("principal")[0], [640, 360])


def test_backslashes_ids_splits_and_limit(tmp_path: Path, content: dict[str, Any], body: Any) -> None:
    write(tmp_path, content["entries"])
    write(tmp_path, content["entries"], "testset")
    tables = ingest(tmp_path, body)
    assert sorted(tables) == ["test", "train"]
    assert tables["train"].array("image_path")[1] == "trainset/images/00001.jpg"
    assert tables["test"].array("image_path")[1] == "testset/images/00001.jpg"
    assert tables["test"].sample_ids == [f"3doh/test/{row:05d}" for row in range(N)]
    assert ingest(tmp_path, body, limit=2)["test"].sample_ids == tables["test"].sample_ids[:2]
    path = tmp_path / "x.parquet"
    tables["test"].write(path)
    assert RecordTable.read(path).fingerprint == tables["test"].fingerprint


def one(key: str, value: Any) -> Any:
    """A change of entry 00003."""
    return lambda entries: {**entries, "00003": {**entries["00003"], key: value}}


def every(key: str, value: Any) -> Any:
    return lambda entries: {name: {**entry, key: value} for name, entry in entries.items()}


def without(entries: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in entries["00003"].items() if key != "extri"}
    return {**entries, "00003": kept}


BREAKAGES = {
    "missing key": (without, r"annots\.json 00003: has no extri"),
    "shape": (one("pose", [[0.0] * 71]), r"annots\.json 00003: pose has shape \(71,\), expected \(72\)"),
    "NaN": (one("trans", [[0.0, float("nan"), 0.0]]), r"annots\.json 00003 row 1: trans has NaN"),
    "betas": (one("betas", [[300.0] * 10]), r"annots\.json 00003: betas reaches 300"),
    "box": (one("bbox", [[5, 5], [5, 9]]), r"annots\.json 00003: bbox \[5.*\] is empty"),
    "scale": (one("scale", [0.0]), r"annots\.json 00003: scale is 0, expected a positive number"),
    "rotation": (one("extri", (2 * np.eye(4)).tolist()), r"annots\.json row 3: extri holds no rotation"),
    "escape": (one("img_path", "..\\..\\x.jpg"), r"annots\.json row 3: picture .* is not a path below"),
    "no object": (lambda entries: {**entries, "00003": 4}, r"00003 is a int, expected a dictionary"),
    "no rows": (lambda entries: {}, r"annots\.json: has no rows"),
    "units": (every("scale", [1.0]), r"are \d+ px from smpl_joints_2d.*do not belong together"),
    "inverted camera": (every("extri", np.eye(4).tolist()), r"behind the camera|px from smpl_joints_2d"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_bad_files_are_named(tmp_path: Path, content: dict[str, Any], body: Any, breakage: str) -> None:
    change, message = BREAKAGES[breakage]
    write(tmp_path, change(content["entries"]))
    with pytest.raises(InputError, match=message) as caught:
        ingest(tmp_path, body)
    assert "annots.json" in str(caught.value)


def test_missing_and_truncated(tmp_path: Path, content: dict[str, Any], body: Any) -> None:
    with pytest.raises(InputError, match=r"has no trainset/annots\.json or testset/annots\.json"):
        ingest(tmp_path, body)
    path = write(tmp_path, content["entries"])
    path.write_text(path.read_text()[:2000])
    with pytest.raises(InputError, match=r"annots\.json: is not valid JSON"):
        ingest(tmp_path, body)

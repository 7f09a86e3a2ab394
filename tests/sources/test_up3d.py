"""An UP-3D folder written from known bodies and cameras: the reader returns them; what the files do not say is null."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.fields import pickle_fields
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.registry import open_source
from hmrtk.toolkit.sources.up3d import listed, png_size

N = 6
FOCAL, HEIGHT, WIDTH = 5000.0, 300, 240
TURN = np.array([0.1, -0.2, 0.05])
LISTS = {"train": [0, 1], "val": [2], "test": [3, 4, 5], "namesUPlsp": [4]}


def pixels(points: Any) -> Any:
    return FOCAL * points[..., :2] / points[..., 2:] + [WIDTH / 2, HEIGHT / 2]


def made_people(body: Any) -> dict[str, Any]:
    """Bodies and, in the camera frame, their vertices and joints."""
    rng = np.random.default_rng(3)
    pose, betas = rng.normal(0, 0.2, (N, 24, 3)), rng.normal(size=(N, 10))
    pose[:, 0] = (Rotation.from_euler("x", np.pi) * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    t = rng.normal(0, 0.05, (N, 3)) + np.array([0, 0, 45.0])
    posed = body.pose(BodyParameters.of(pose[:, 0], pose[:, 1:], betas))
    turn = Rotation.from_rotvec(TURN).as_matrix()
    vertices, spin24 = (p.astype(float) @ turn.T + t[:, None] for p in (posed.vertices, body.spin24(posed)))
    return {"pose": pose.reshape(N, 72), "betas": betas, "t": t, "vertices": vertices, "spin24": spin24}


@pytest.fixture(scope="module")
def people(body: Any) -> dict[str, Any]:
    return made_people(body)


def write_folder(tmp_path: Path, people: dict[str, Any]) -> Path:
    for row in range(N):
        visible = np.ones((1, 14))
        visible[0, 0] = row != 3
        joints = np.concatenate([pixels(people["spin24"][row, :14]).T, visible])
        np.save(tmp_path / f"{row:05d}_joints.npy", joints)
        fit = {
            "pose": people["pose"][row],
            "betas": people["betas"][row],
            "rt": TURN,
            "t": people["t"][row],
            "f": FOCAL,
        }
        (tmp_path / f"{row:05d}_body.pkl").write_bytes(pickle.dumps(fit, 2))
        picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        for x, y in np.floor(pixels(people["vertices"][row])).astype(int):
            picture[y, x] = [220, 180, 250]
        cv2.imwrite(str(tmp_path / f"{row:05d}_render_light.png"), picture)
        cv2.imwrite(str(tmp_path / f"{row:05d}_image.png"), picture)
    for name, rows in LISTS.items():
        (tmp_path / f"{name}.txt").write_text("".join(f"/{row:05d}_image.png\n" for row in rows) + "\n")
    (tmp_path / "trainval.txt").write_text("/00000_image.png\n/00001_image.png\n/00002_image.png\n")
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path, people: dict[str, Any]) -> Path:
    return write_folder(tmp_path, people)


def ingest(root: Path, body: Any, **options: Any) -> dict[str, RecordTable]:
    return open_source("up3d", "raw").ingest(root, body, **options)


def test_the_bodies_come_back_in_the_camera_frame(folder: Path, people: dict[str, Any], body: Any) -> None:
    table = ingest(folder, body)["test"]
    rows = LISTS["test"]
    posed = body.pose(table.parameters())
    np.testing.assert_allclose(posed.vertices, people["vertices"][rows], atol=2e-5)
    keypoints = table.array("keypoints2d")
    expected = pixels(body.spin24(posed).astype(float))[:, :14]
    seen = keypoints[:, :14, 2] > 0
    assert seen.sum(axis=1).tolist() == [13, 14, 14]
    np.testing.assert_allclose(keypoints[:, :14, :2][seen], expected[seen], atol=0.01)
    assert not keypoints[:, 14:].any()
    outline = pixels(posed.vertices.astype(float))
    np.testing.assert_allclose(table.array("bbox_xyxy")[:, :2], outline.min(axis=1), atol=1)
    np.testing.assert_allclose(table.array("bbox_xyxy")[:, 2:], outline.max(axis=1), atol=1)
    np.testing.assert_array_equal(table.array("image_size"), [[HEIGHT, WIDTH]] * 3)
    np.testing.assert_array_equal(table.array("principal"), [[WIDTH / 2, HEIGHT / 2]] * 3)
    np.testing.assert_array_equal(table.array("focal"), [[FOCAL, FOCAL]] * 3)
    left, right = joints_of(body, table)
    np.testing.assert_allclose(keypoints[1, 5, :2], pixels(left[1]), atol=0.02)
    np.testing.assert_allclose(keypoints[1, 0, :2], pixels(right[1]), atol=0.02)


def joints_of(body: Any, table: RecordTable) -> tuple[Any, Any]:
    """SMPL's left and right ankle."""
    joints = body.joints(table.parameters()).astype(float)
    return joints[:, 7], joints[:, 8]


def test_both_test_lists(folder: Path, body: Any) -> None:
    tables = ingest(folder, body)
    assert {split: len(table) for split, table in tables.items()} == {"train": 2, "val": 1, "test": 3, "lsp_test": 1}
    assert tables["lsp_test"].sample_ids == ["up3d/lsp_test/00004"]
    assert tables["test"].sample_ids == [f"up3d/test/{row:05d}" for row in (3, 4, 5)]
    assert tables["test"].array("image_path")[0] == "00003_image.png"
    assert ingest(folder, body, limit=2)["test"].sample_ids == tables["test"].sample_ids[:2]
    (folder / "train.txt").unlink()
    assert "train" not in ingest(folder, body)
    (folder / "val.txt").unlink()
    assert len(ingest(folder, body)["train"]) == 3  # trainval.txt


def test_written_and_read_back(folder: Path, body: Any) -> None:
    table = ingest(folder, body)["test"]
    table.write(folder / "t.parquet")
    assert RecordTable.read(folder / "t.parquet").fingerprint == table.fingerprint


def rewrite(folder: Path, row: int, **changes: Any) -> None:
    path = folder / f"{row:05d}_body.pkl"
    fields = pickle_fields(path, "an UP-3D body")
    fit = {**{key: fields.value(key) for key in fields.values}, **changes}
    path.write_bytes(pickle.dumps({key: value for key, value in fit.items() if value is not None}, 2))


def test_a_camera_that_does_not_fit_is_null(folder: Path, people: dict[str, Any], body: Any) -> None:
    rewrite(folder, 3, t=people["t"][3] + np.array([1.0, 0, 0]))
    rewrite(folder, 4, f=None)
    table = ingest(folder, body)["test"]
    for column in ("transl", "focal", "principal"):
        assert table.has(column).tolist() == [False, False, True]
    assert table.has("global_orient", "body_pose", "betas").all()


def test_without_pictures_and_renderings(folder: Path, body: Any) -> None:
    for path in folder.glob("*.png"):
        path.unlink()
    table = ingest(folder, body)["test"]
    keypoints, box = table.array("keypoints2d"), table.array("bbox_xyxy")
    np.testing.assert_allclose(box[1, :2], keypoints[1, :14, :2].min(axis=0))
    np.testing.assert_allclose(box[1, 2:], keypoints[1, :14, :2].max(axis=0))
    assert not table.has("image_size").any()
    assert not table.has("principal").any()


def test_sizes_of_pictures(folder: Path) -> None:
    assert png_size(folder / "00000_image.png") == (HEIGHT, WIDTH)
    assert png_size(folder / "none.png") is None


def test_lines_of_lists(tmp_path: Path) -> None:
    path = tmp_path / "test.txt"
    path.write_text("/00001_image.png\r\n00002_image.png\n00003\n\n")
    assert listed(path) == ["00001", "00002", "00003"]
    for text, message in (
        ("/00001_image.png\n../x\n", r"line 2: found '\.\./x', expected"),
        ("00001\n00001", r"line 2: 00001 is"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            listed(path)


BREAKAGES = {
    "no body": (lambda d: (d / "00003_body.pkl").unlink(), r"00003_body\.pkl: cannot be read: No such file"),
    "no joints": (lambda d: (d / "00003_joints.npy").unlink(), r"00003_joints\.npy: cannot be read: No such file"),
    "layout": (
        lambda d: np.save(d / "00003_joints.npy", np.zeros((14, 3))),
        r"the array has shape \(14, 3\), expected",
    ),
    "NaN": (
        lambda d: np.save(d / "00003_joints.npy", np.full((3, 14), np.nan)),
        r"00003_joints\.npy row 0: the array has",
    ),
    "object": (
        lambda d: np.save(d / "00003_joints.npy", np.array([{}], object)),
        r"00003_joints\.npy: cannot be read: Object arrays",
    ),
    "pose": (lambda d: rewrite(d, 3, pose=np.zeros(71)), r"00003_body\.pkl: pose has shape \(71,\), expected \(72\)"),
    "no betas": (lambda d: rewrite(d, 3, betas=None), r"00003_body\.pkl: has no betas"),
    "betas": (lambda d: rewrite(d, 3, betas=np.full(10, 77.0)), r"00003_body\.pkl: betas reaches 77"),
    "unsafe": (lambda d: rewrite(d, 3, x=Path("x")), r"which hmrtk does not load \(expected an UP-3D body\)"),
    "white": (
        lambda d: cv2.imwrite(str(d / "00003_render_light.png"), np.full((9, 9, 3), 255, np.uint8)),
        r"00003_render_light\.png: is all white",
    ),
    "no picture": (lambda d: (d / "00003_render_light.png").write_bytes(b"x"), r"render_light\.png: is not a readable"),
    "no PNG": (
        lambda d: (d / "00003_image.png").write_bytes(b"\xff\xd8jpeg"),
        r"00003_image\.png: is not a PNG picture",
    ),
    "truncated": (lambda d: (d / "00003_body.pkl").write_bytes(b"\x80\x02}q\x00("), r"is not a readable pickle"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_bad_files_are_named(folder: Path, body: Any, breakage: str) -> None:
    change, message = BREAKAGES[breakage]
    change(folder)
    with pytest.raises(InputError, match=message):
        ingest(folder, body)


def test_no_list_and_no_box(folder: Path, body: Any) -> None:
    (folder / "00003_render_light.png").unlink()
    np.save(folder / "00003_joints.npy", np.zeros((3, 14)))
    with pytest.raises(InputError, match=r"no such file, and the visible joints span no box"):
        ingest(folder, body)
    for path in folder.glob("*.txt"):
        path.unlink()
    with pytest.raises(InputError, match=r"has no list of pictures \(train\.txt"):
        ingest(folder, body)

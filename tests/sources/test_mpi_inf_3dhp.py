"""MPI-INF-3DHP's files written from known people and cameras come back as their joints; every trap by name."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.picture_files import PictureFolder
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.annotation import H36M17_SLOTS
from hmrtk.toolkit.sources.calibration import read_calibration
from hmrtk.toolkit.sources.mpi_inf_3dhp import CAMERAS, TEST_JOINTS, TRAIN_JOINTS, MpiInfSource
from hmrtk.toolkit.sources.registry import open_source
from tests.records.test_videos import shown, write_video

from .people import People, left_is_left, random_people

h5py = pytest.importorskip("h5py", reason="needs h5py (the extra raw)")

FRAMES, FOCAL, CENTRE = 7, 1500.0, (1024.7, 1051.4)


def seen_by(body: BodyModel, camera: int, frames: int = FRAMES) -> People:
    return random_people(body, frames, seed=camera, focal=FOCAL, centre=CENTRE)


def calibration_text() -> str:
    lines = ["Skeletool Camera Calibration File V1.0"]
    for camera in range(14):
        lines += [
            f"name          {camera}",
            "  sensor      10 10",
            "  size        2048 2048",
            "  animated    0",
            f"  intrinsic   {FOCAL} 0 {CENTRE[0]} 0 0 {FOCAL} {CENTRE[1]} 0 0 0 1 0 0 0 0 1 ",
            "  extrinsic   1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1 ",
            "  radial      0",
        ]
    return "\n".join(lines) + "\n"


def full_of(values: Any, picks: tuple[int, ...], count: int) -> np.ndarray:
    """(N, 24, C) of ``spin24`` → (N, count, C) with the 17 joints at ``picks`` and rubbish elsewhere."""
    full = np.full((len(values), count, values.shape[-1]), -999.0)
    full[:, list(picks)] = values[:, list(H36M17_SLOTS)]
    return full


def write_sequence(
    root: Path, body: BodyModel, name: str = "S1/Seq1", change: Callable[[dict[str, Any]], None] | None = None
) -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    cells = {key: np.empty((14, 1), object) for key in ("annot2", "annot3", "univ_annot3")}
    for camera in range(14):
        people = seen_by(body, camera)
        cells["annot2"][camera, 0] = full_of(people.pixels, TRAIN_JOINTS, 28).reshape(FRAMES, 56)
        cells["annot3"][camera, 0] = full_of(people.joints * 1000, TRAIN_JOINTS, 28).reshape(FRAMES, 84)
        cells["univ_annot3"][camera, 0] = cells["annot3"][camera, 0] * 1.1
    if change:
        change(cells)
    savemat(folder / "annot.mat", cells)
    (folder / "camera.calibration").write_text(calibration_text())
    return folder


def write_test(root: Path, body: BodyModel, name: str = "TS1", **changes: Any) -> Path:
    folder = root / "mpi_inf_3dhp_test_set" / name
    folder.mkdir(parents=True, exist_ok=True)
    people = seen_by(body, 50)
    values: dict[str, Any] = {
        "annot2": full_of(people.pixels, TEST_JOINTS, 17)[:, None],
        "annot3": full_of(people.joints * 1000, TEST_JOINTS, 17)[:, None],
        "univ_annot3": full_of(people.joints * 1100, TEST_JOINTS, 17)[:, None],
        "valid_frame": np.ones((FRAMES, 1)),
    }
    values["valid_frame"][2] = 0
    with h5py.File(folder / "annot_data.mat", "w") as file:
        for key, value in {**values, **changes}.items():
            if value is not None:
                file[key] = value
    return folder


def test_training_joints(tmp_path: Path, body: BodyModel) -> None:
    write_sequence(tmp_path, body)
    table = MpiInfSource(step=1).ingest(tmp_path, body)["train"]
    assert len(table) == 8 * FRAMES
    slots = list(H36M17_SLOTS)
    keypoints, joints = table.array("keypoints2d"), table.array("joints3d")
    for i, camera in enumerate(CAMERAS):
        rows, people = slice(i * FRAMES, (i + 1) * FRAMES), seen_by(body, camera)
        np.testing.assert_allclose(keypoints[rows, slots, :2], people.pixels[:, slots], atol=1e-3)
        np.testing.assert_allclose(joints[rows, slots, :3], people.joints[:, slots], atol=1e-6)
        assert (np.array(table.table["camera_id"].to_pylist())[rows] == str(camera)).all()
    assert (keypoints[:, slots, 2] == 1).all()
    assert keypoints[..., 2].sum() == joints[..., 3].sum() == 17 * len(table)
    assert left_is_left(table)


def test_joints_project_onto_keypoints_by_the_files_camera(tmp_path: Path, body: BodyModel) -> None:
    write_sequence(tmp_path, body)
    table = MpiInfSource(step=1).ingest(tmp_path, body)["train"]
    joints, keypoints = table.array("joints3d"), table.array("keypoints2d")
    slots = list(H36M17_SLOTS)
    where = (
        table.array("focal")[:, None] * joints[:, slots, :2] / joints[:, slots, 2:3] + table.array("principal")[:, None]
    )
    np.testing.assert_allclose(where, keypoints[:, slots, :2], atol=2e-3)
    assert table.array("image_size")[0].tolist() == [2048, 2048]


def test_ids_and_paths(tmp_path: Path, body: BodyModel) -> None:
    write_sequence(tmp_path, body, "S3/Seq2")
    table = MpiInfSource(step=1).ingest(tmp_path, body)["train"]
    assert table.sample_ids[1] == "mpi_inf_3dhp/train/S3/Seq2/video_0/1"
    assert table.table["image_path"][1].as_py() == "S3/Seq2/imageFrames/video_0/frame_000002.jpg"
    assert table.table["subject"][0].as_py() == "S3"
    assert table.table["sequence"][0].as_py() == "S3/Seq2"
    assert sorted(table.metadata.provenance["inputs"]) == ["S3/Seq2/annot.mat", "S3/Seq2/camera.calibration"]
    assert table.metadata.regressor == "h36m17"


def test_every_tenth_remaining_frame_counted_on(tmp_path: Path, body: BodyModel) -> None:
    def step_out(cells: dict[str, Any]) -> None:
        cells["annot2"][0, 0][1, 2 * TRAIN_JOINTS[3]] = 2048

    write_sequence(tmp_path, body, change=step_out)
    write_sequence(tmp_path, body, "S1/Seq2")
    everyone = MpiInfSource(step=1).ingest(tmp_path, body)["train"]
    assert len(everyone) == 2 * 8 * FRAMES - 1
    assert "mpi_inf_3dhp/train/S1/Seq1/video_0/1" not in everyone.sample_ids
    assert open_source("mpi_inf_3dhp").ingest(tmp_path, body)["train"].sample_ids == everyone.sample_ids[::10]
    assert MpiInfSource().ingest(tmp_path, body, limit=3)["train"].sample_ids == everyone.sample_ids[:30:10]


def test_only_pictures_that_are_there(tmp_path: Path, body: BodyModel) -> None:
    folder = write_sequence(tmp_path, body) / "imageFrames" / "video_0"
    folder.mkdir(parents=True)
    for number in (7, 2, 3, 99):
        (folder / f"frame_{number:06d}.jpg").touch()
    table = MpiInfSource(step=1, cameras=(0,)).ingest(tmp_path, body)["train"]
    assert table.array("frame").tolist() == [1, 2, 6]
    np.testing.assert_allclose(table.array("joints3d")[2, 14, :3], seen_by(body, 0).joints[6, 14], atol=1e-6)


def test_only_pictures_that_are_in_the_archive(tmp_path: Path, body: BodyModel) -> None:
    folder = write_sequence(tmp_path, body) / "imageFrames"
    folder.mkdir()
    with zipfile.ZipFile(folder / "video_0.zip", "w") as file:
        for number in (2, 5):
            file.writestr(f"video_0/frame_{number:06d}.jpg", b"picture")
    table = MpiInfSource(step=1, cameras=(0,)).ingest(tmp_path, body)["train"]
    assert table.array("frame").tolist() == [1, 4]
    for path in table.array("image_path"):
        assert PictureFolder(tmp_path).find(path, "row").read() == b"picture"


def test_frames_of_videos_where_no_pictures_are(tmp_path: Path, body: BodyModel) -> None:
    folder = write_sequence(tmp_path, body) / "imageSequence"
    folder.mkdir()
    write_video(folder / "video_0.avi", FRAMES, "MJPG")
    table = MpiInfSource(step=1, cameras=(0, 1)).ingest(tmp_path, body)["train"]
    paths, frames = table.array("image_path"), table.array("frame")
    assert paths[2] == "S1/Seq1/imageSequence/video_0.avi/000003.jpg"
    assert paths[-1] == f"S1/Seq1/imageFrames/video_1/frame_{FRAMES:06d}.jpg"
    first = (table.array("camera_id") == "0").nonzero()[0]
    for row in first:
        assert shown(np.asarray(PictureFolder(tmp_path).find(paths[row], "row").read())) == frames[row] + 1
    (folder.parent / "imageFrames" / "video_0").mkdir(parents=True)
    (folder.parent / "imageFrames" / "video_0" / "frame_000003.jpg").touch()
    table = MpiInfSource(step=1, cameras=(0,)).ingest(tmp_path, body)["train"]
    assert table.array("image_path").tolist() == ["S1/Seq1/imageFrames/video_0/frame_000003.jpg"]


def test_test_set(tmp_path: Path, body: BodyModel) -> None:
    pixels = full_of(seen_by(body, 50).pixels, TEST_JOINTS, 17)[:, None]
    pixels[4, 0, 3, 1] = -1
    write_test(tmp_path, body, annot2=pixels)
    table = MpiInfSource().ingest(tmp_path, body)["test"]
    rows, slots = [0, 1, 3, 5, 6], list(H36M17_SLOTS)
    assert table.array("frame").tolist() == rows
    assert table.sample_ids[2] == "mpi_inf_3dhp/test/TS1/3"
    assert table.table["image_path"][2].as_py() == "mpi_inf_3dhp_test_set/TS1/imageSequence/img_000004.jpg"
    people = seen_by(body, 50)
    np.testing.assert_allclose(table.array("keypoints2d")[:, slots, :2], people.pixels[rows][:, slots], atol=1e-3)
    assert left_is_left(table)
    assert not table.has("focal").any()


def test_evaluation_is_on_univ_annot3(tmp_path: Path, body: BodyModel) -> None:
    write_test(tmp_path, body)
    joints = MpiInfSource().ingest(tmp_path, body)["test"].array("joints3d")
    expected = seen_by(body, 50).joints[[0, 1, 3, 4, 5, 6]] * 1.1
    np.testing.assert_allclose(joints[:, list(H36M17_SLOTS), :3], expected[:, list(H36M17_SLOTS)], atol=1e-6)


def test_outdoor_pictures_are_smaller(tmp_path: Path, body: BodyModel) -> None:
    pixels = full_of(seen_by(body, 50).pixels * 0.5, TEST_JOINTS, 17)[:, None]
    pixels[0, 0, 0] = 1900, 1100
    write_test(tmp_path, body, "TS5", annot2=pixels)
    table = MpiInfSource().ingest(tmp_path, body)["test"]
    assert table.array("frame").tolist() == [1, 3, 4, 5, 6]
    assert table.array("image_size")[0].tolist() == [1080, 1920]


def test_round_trip(tmp_path: Path, body: BodyModel) -> None:
    write_sequence(tmp_path, body)
    write_test(tmp_path, body)
    for split, table in MpiInfSource(step=5).ingest(tmp_path, body, limit=4).items():
        assert len(table) == 4
        table.write(tmp_path / f"{split}.parquet")
        assert RecordTable.read(tmp_path / f"{split}.parquet").fingerprint == table.fingerprint


def short(cells: dict[str, Any]) -> None:
    cells["annot3"][4, 0] = cells["annot3"][4, 0][:-1]


def narrow(cells: dict[str, Any]) -> None:
    cells["annot2"][4, 0] = cells["annot2"][4, 0][:, :-2]


def hole(cells: dict[str, Any]) -> None:
    cells["annot3"][4, 0][5, 3 * TRAIN_JOINTS[0]] = np.nan


def few(cells: dict[str, Any]) -> None:
    cells["annot2"] = cells["annot2"][:5]


def nobody(cells: dict[str, Any]) -> None:
    for camera in range(14):
        cells["annot2"][camera, 0][:] = -1


def gone(cells: dict[str, Any]) -> None:
    del cells["annot3"]


def plain(cells: dict[str, Any]) -> None:
    cells["annot2"] = np.zeros((7, 56))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (short, r"annot\.mat: annot2 and annot3 of camera 4 have 7 and 6 rows"),
        (narrow, r"annot\.mat: annot2 of camera 4: expected numbers of shape \(N, 56\), got float64 \(7, 54\)"),
        (hole, r"annot\.mat camera 4 frame 5: annot3 has NaN or infinite values"),
        (few, r"annot2: expected a cell per camera, got 5 cells and no camera 5"),
        (plain, r"annot2: expected a cell per camera, got float64 and no camera 0"),
        (nobody, r"annot\.mat: has no frame with all 17 joints inside the picture"),
        (gone, r"annot\.mat: has no variable annot3"),
    ],
)
def test_damaged_annotation_is_named(
    tmp_path: Path, body: BodyModel, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    write_sequence(tmp_path, body, change=change)
    with pytest.raises(InputError, match=message):
        MpiInfSource(step=1).ingest(tmp_path, body)


def test_damaged_files_are_named(tmp_path: Path, body: BodyModel) -> None:
    source = MpiInfSource()
    with pytest.raises(
        InputError, match=r"has no S1/Seq1 … S8/Seq2 or .*TS6 \(see: hmrtk datasets show mpi_inf_3dhp\)"
    ):
        source.ingest(tmp_path, body)
    folder = write_sequence(tmp_path, body)
    (folder / "annot.mat").write_bytes((folder / "annot.mat").read_bytes()[:999])
    with pytest.raises(InputError, match=r"annot\.mat: is not a readable MATLAB 5 file"):
        source.ingest(tmp_path, body)
    write_sequence(tmp_path, body)
    (folder / "camera.calibration").unlink()
    with pytest.raises(InputError, match=r"camera\.calibration: no such file"):
        source.ingest(tmp_path, body)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.split("name          4")[0], r"camera\.calibration: has no camera 4"),
        (lambda text: "", r"camera\.calibration: has no camera \(expected"),
        (
            lambda text: text.replace("1500.0 0 1024.7", "x 0 1024.7", 1),
            r"line 6: intrinsic is 'x 0 .*, expected numbers",
        ),
        (
            lambda text: text.replace("1500.0 0 1024.7", "0 1024.7", 1),
            r"camera 0: has 2 numbers of size and 15 of intr",
        ),
        (lambda text: text.replace("1500.0 0 1024.7", "0 0 1024.7", 1), r"camera 0: has a size or a focal length that"),
    ],
)
def test_damaged_calibration_is_named(
    tmp_path: Path, body: BodyModel, change: Callable[[str], str], message: str
) -> None:
    path = write_sequence(tmp_path, body) / "camera.calibration"
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=message):
        MpiInfSource().ingest(tmp_path, body)


def test_calibration(tmp_path: Path) -> None:
    (tmp_path / "c").write_text(calibration_text())
    cameras = read_calibration(tmp_path / "c")
    assert sorted(cameras) == list(range(14))
    assert cameras[8].focal == (FOCAL, FOCAL)
    assert cameras[8].principal == CENTRE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"univ_annot3": None}, r"annot_data\.mat: has no variable univ_annot3"),
        (
            {"univ_annot3": np.zeros((3, 1, 17, 3))},
            r"univ_annot3: expected numbers of shape \(7, 1, 17, 3\), got float64",
        ),
        ({"annot2": np.zeros((FRAMES, 1, 28, 2))}, r"annot2: expected numbers of shape \(N, 1, 17, 2\), got float64"),
        ({"valid_frame": np.ones((1, FRAMES))}, r"valid_frame: expected numbers of shape \(7, 1\)"),
        ({"valid_frame": np.zeros((FRAMES, 1))}, r"annot_data\.mat: has no frame with all 17 joints inside"),
        ({"univ_annot3": np.full((FRAMES, 1, 17, 3), np.nan)}, r"valid frame 0: univ_annot3 has NaN"),
    ],
)
def test_damaged_test_set_is_named(tmp_path: Path, body: BodyModel, changes: dict[str, Any], message: str) -> None:
    write_test(tmp_path, body, **changes)
    with pytest.raises(InputError, match=message):
        MpiInfSource().ingest(tmp_path, body)


def test_damaged_hdf5_is_named(tmp_path: Path, body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_test(tmp_path, body) / "annot_data.mat"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match=r"annot_data\.mat: is not a readable HDF5 file"):
        MpiInfSource().ingest(tmp_path, body)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(InputError, match=r"is HDF5, and h5py is not installed \(pip install 'hmrtk\[raw\]'\)"):
        MpiInfSource().ingest(tmp_path, body)

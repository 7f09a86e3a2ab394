"""Human3.6M's files written from known people come back as their joints and boxes; every trap by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import bbox_to_square
from hmrtk.toolkit.records.picture_files import PictureFolder
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.annotation import H36M17_SLOTS
from hmrtk.toolkit.sources.h36m import JOINTS, H36mSource
from hmrtk.toolkit.sources.registry import open_source
from tests.records.test_videos import shown, write_video

from .people import People, left_is_left, random_people

h5py = pytest.importorskip("h5py", reason="needs h5py (the extra raw)")
cdfwrite = pytest.importorskip("cdflib.cdfwrite", reason="needs cdflib (the extra raw)")

FRAMES, SIZE = 12, (100, 80)
BOX = (20, 30, 50, 90)


def seen(body: BodyModel, seed: int = 0) -> People:
    return random_people(body, FRAMES, seed, focal=1145.0, centre=(512.5, 515.4), depth=5.0)


def of_32(values: np.ndarray) -> np.ndarray:
    """(F, 24, C) of ``spin24`` → (F, 32 · C) float32 with the 17 joints in place and rubbish elsewhere."""
    full = np.full((len(values), 32, values.shape[-1]), -999.0)
    full[:, list(JOINTS)] = values[:, list(H36M17_SLOTS)]
    return full.reshape(len(values), -1).astype(np.float32)


def write_cdf(path: Path, poses: np.ndarray, name: str = "Pose") -> None:
    """One record of (F, W), as the dataset's own files have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = cdfwrite.CDF(path, {"Majority": "row_major", "Compressed": 6}, delete=True)
    spec = {"Variable": name, "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": list(poses.shape)}
    file.write_var(spec, var_data=poses[None])
    file.close()


def write_masks(path: Path, count: int = FRAMES, empty: int = -1) -> None:
    """``Masks``: references to (width, height) arrays, the box grows by a pixel per frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        masks = file.create_dataset("Masks", (count, 1), h5py.ref_dtype)
        for i in range(count):
            mask = np.zeros(SIZE, np.uint8)
            if i != empty:
                mask[BOX[1] : BOX[3], BOX[0] : BOX[2] + i] = 1
            masks[i, 0] = file.create_dataset(f"#refs#/{i}", data=mask.T, compression="gzip").ref


def write_sequence(root: Path, body: BodyModel, subject: str = "S9", name: str = "Directions 1.54138969") -> Path:
    people, folder = seen(body), root / subject
    write_cdf(folder / f"MyPoseFeatures/D3_Positions_mono/{name}.cdf", of_32(people.joints * 1000))
    write_cdf(folder / f"MyPoseFeatures/D2_Positions/{name}.cdf", of_32(people.pixels))
    write_masks(folder / f"MySegmentsMat/ground_truth_bb/{name}.mat")
    return folder


def test_joints(tmp_path: Path, body: BodyModel) -> None:
    write_sequence(tmp_path, body)
    table = H36mSource(step=1).ingest(tmp_path, body)["test"]
    people, slots = seen(body), list(H36M17_SLOTS)
    keypoints, joints = table.array("keypoints2d"), table.array("joints3d")
    np.testing.assert_allclose(joints[:, slots, :3], people.joints[:, slots], atol=1e-6)
    np.testing.assert_allclose(keypoints[:, slots, :2], people.pixels[:, slots], atol=1e-3)
    assert keypoints[..., 2].sum() == joints[..., 3].sum() == 17 * FRAMES
    assert left_is_left(table)
    again = 1145.0 * joints[:, slots, :2] / joints[:, slots, 2:3] + [512.5, 515.4]
    np.testing.assert_allclose(again, keypoints[:, slots, :2], atol=2e-3)
    assert table.metadata.regressor == "h36m17"
    assert not table.has("global_orient").any()


def test_every_fifth_frame_and_the_names_of_pictures(tmp_path: Path, body: BodyModel) -> None:
    write_sequence(tmp_path, body)
    table = open_source("h36m", "raw").ingest(tmp_path, body)["test"]
    assert table.array("frame").tolist() == [0, 5, 10]
    assert table.sample_ids[1] == "h36m/test/S9_Directions_1.54138969/5"
    assert table.table["image_path"][1].as_py() == "images/S9_Directions_1.54138969_000006.jpg"
    row = {name: table.table[name][0].as_py() for name in ("subject", "action", "camera_id", "sequence")}
    assert list(row.values()) == ["S9", "Directions_1", "54138969", "S9_Directions_1.54138969"]
    np.testing.assert_allclose(table.array("joints3d")[2, 14, :3], seen(body).joints[10, 14], atol=1e-6)


def test_frames_of_videos_where_no_pictures_are(tmp_path: Path, body: BodyModel) -> None:
    (write_sequence(tmp_path, body) / "Videos").mkdir()
    write_video(tmp_path / "S9/Videos/Directions 1.54138969.mp4", FRAMES, "mp4v")
    table = H36mSource().ingest(tmp_path, body)["test"]
    assert table.array("image_path")[1] == "S9/Videos/Directions 1.54138969.mp4/000006.jpg"
    pictures = [PictureFolder(tmp_path).find(path, "row").read() for path in table.array("image_path")]
    assert [shown(np.asarray(picture)) - 1 for picture in pictures] == table.array("frame").tolist() == [0, 5, 10]
    (tmp_path / "images.tar").touch()
    table = H36mSource().ingest(tmp_path, body)["test"]
    assert table.array("image_path")[1] == "images/S9_Directions_1.54138969_000006.jpg"


@pytest.mark.parametrize("factor", [0.9, 1.0])
def test_box_factor(tmp_path: Path, body: BodyModel, factor: float) -> None:
    write_sequence(tmp_path, body)
    table = H36mSource(step=1, box_factor=factor).ingest(tmp_path, body)["test"]
    center, side = bbox_to_square(table.array("bbox_xyxy").astype(float), 1.2)
    np.testing.assert_allclose(center[4], [(20 + 54) / 2, 60], atol=1e-4)
    np.testing.assert_allclose(side, factor * 60, rtol=1e-5)
    assert table.array("image_size")[0].tolist() == list(SIZE)


def test_subjects_cameras_and_all(tmp_path: Path, body: BodyModel) -> None:
    for subject, name in (("S9", "Eating.60457274"), ("S9", "Eating.54138969"), ("S1", "Walking.60457274")):
        write_sequence(tmp_path, body, subject, name)
    write_cdf(tmp_path / "S9/MyPoseFeatures/D3_Positions_mono/_ALL.60457274.cdf", np.zeros((3, 96), np.float32))
    tables = H36mSource().ingest(tmp_path, body)
    assert {split: len(table) for split, table in tables.items()} == {"train": 3, "test": 6}
    assert [name.split("/")[2] for name in tables["test"].sample_ids[::3]] == [
        "S9_Eating.54138969",
        "S9_Eating.60457274",
    ]
    second = H36mSource(cameras=("60457274",)).ingest(tmp_path, body)["test"]
    assert set(second.table["camera_id"].to_pylist()) == {"60457274"}
    tables = H36mSource().ingest(tmp_path, body, limit=2)
    assert {split: len(table) for split, table in tables.items()} == {"train": 2, "test": 2}
    assert len(tables["test"].metadata.provenance["inputs"]) == 3


def test_mat_files_made_of_cdf(tmp_path: Path, body: BodyModel) -> None:
    folder = write_sequence(tmp_path, body) / "MyPoseFeatures"
    expected = H36mSource().ingest(tmp_path, body)["test"]
    people = seen(body)
    for kind, values in (("D3_Positions_mono", people.joints * 1000), ("D2_Positions", people.pixels)):
        path = folder / kind / "Directions 1.54138969.cdf"
        data = np.empty((1, 1), object)
        data[0, 0] = of_32(values)
        savemat(f"{path}.mat", {"data": data})
    assert H36mSource().ingest(tmp_path, body)["test"].fingerprint == expected.fingerprint
    for path in folder.glob("*/*.cdf"):
        path.unlink()
    assert H36mSource().ingest(tmp_path, body)["test"].fingerprint == expected.fingerprint


def test_frames_beyond_the_masks_are_left_out(tmp_path: Path, body: BodyModel) -> None:
    path = write_sequence(tmp_path, body) / "MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat"
    for count, frames in ((10, [0, 5]), (11, [0, 5, 10]), (1, [0])):
        write_masks(path, count)
        assert H36mSource().ingest(tmp_path, body)["test"].array("frame").tolist() == frames


def test_round_trip(tmp_path: Path, body: BodyModel) -> None:
    write_sequence(tmp_path, body)
    table = H36mSource().ingest(tmp_path, body)["test"]
    table.write(tmp_path / "test.parquet")
    assert RecordTable.read(tmp_path / "test.parquet").fingerprint == table.fingerprint


def three(folder: Path) -> Path:
    return folder / "MyPoseFeatures/D3_Positions_mono/Directions 1.54138969.cdf"


def two(folder: Path) -> Path:
    return folder / "MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf"


def box(folder: Path) -> Path:
    return folder / "MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat"


def not_references(folder: Path) -> None:
    with h5py.File(box(folder), "w") as file:
        file["Masks"] = np.zeros((FRAMES, 1))


def no_masks(folder: Path) -> None:
    with h5py.File(box(folder), "w") as file:
        file["Faces"] = np.zeros(3)


NAN = np.full((FRAMES, 96), np.nan, np.float32)
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no 2D": (lambda f: two(f).unlink(), r"D2_Positions/Directions 1\.54138969\.cdf: no such file"),
    "no boxes": (lambda f: box(f).unlink(), r"ground_truth_bb/Directions 1\.54138969\.mat: no such file"),
    "cut": (
        lambda f: three(f).write_bytes(three(f).read_bytes()[:900]),
        r"mono/Dir.*\.cdf: is not a readable CDF file",
    ),
    "not CDF": (lambda f: three(f).write_bytes(b"x" * 99), r"\.cdf: is not a readable CDF file with a variable Pose"),
    "no Pose": (
        lambda f: write_cdf(three(f), NAN, "Posture"),
        r"\.cdf: is not a readable CDF file with a variable Pose",
    ),
    "NaN": (lambda f: write_cdf(three(f), NAN), r"mono/Dir.*\.cdf frame 0: Pose has NaN or infinite values"),
    "width": (
        lambda f: write_cdf(two(f), NAN),
        r"D2_Pos.*Pose: expected numbers of shape \(N, 64\), got float32 \(12, 96",
    ),
    "frames": (lambda f: write_cdf(two(f), np.ones((3, 64), np.float32)), r"D2_Pos.*has 3 frames, but .* 12"),
    "cut boxes": (lambda f: box(f).write_bytes(box(f).read_bytes()[:800]), r"\.mat: is not a readable HDF5 file"),
    "empty mask": (lambda f: write_masks(box(f), empty=5), r"\.mat frame 5: its mask of shape \(80, 100\) is empty"),
    "no refs": (not_references, r"Masks: expected references to masks, got float64 \(12, 1\)"),
    "no Masks": (no_masks, r"\.mat: has no variable Masks"),
    "no masks": (lambda f: write_masks(box(f), 0), r"\.mat: has no mask"),
    "name": (lambda f: three(f).rename(three(f).with_name("Directions.cdf")), r"is not named <action>\.<camera>\.cdf"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(tmp_path: Path, body: BodyModel, damage: str) -> None:
    change, message = DAMAGE[damage]
    change(write_sequence(tmp_path, body))
    with pytest.raises(InputError, match=message) as caught:
        H36mSource().ingest(tmp_path, body)
    assert "\n" not in str(caught.value)


def test_nothing_there(tmp_path: Path, body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"has no S1 … S11/MyPose.*\.cdf \(see: hmrtk datasets show h36m\)"):
        H36mSource().ingest(tmp_path, body)
    write_sequence(tmp_path, body)
    monkeypatch.setitem(__import__("sys").modules, "cdflib", None)
    with pytest.raises(InputError, match=r"is CDF, and cdflib is not installed \(pip install 'hmrtk\[raw\]'\)"):
        H36mSource().ingest(tmp_path, body)

"""Each format: a file of its layout gives back the bodies and cameras it was made from, whatever the order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.evaluation.importers.imported import ImportConfig, Imported, import_predictions
from hmrtk.toolkit.evaluation.importers.registry import FORMATS, result_format

from . import result_files as files
from .crowds import FRAMES, VIDEOS, Crowd, same_bodies

SHUFFLED = np.random.default_rng(0).permutation(16)
Writer = Callable[[Crowd, Path, BodyModel], list[Path]]


def of_video(crowd: Crowd, video: str) -> np.ndarray:
    return np.array([row for row, name in enumerate(crowd.videos) if name == video])


def spin(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    return [files.write_npz(folder / "results.npz", files.spin_columns(crowd, body))]


def spin_by_id(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    columns = {name: value[SHUFFLED] for name, value in files.spin_columns(crowd, body).items()}
    columns["sample_id"] = np.array(crowd.records.sample_ids)[SHUFFLED]
    return [files.write_npz(folder / "results.npz", columns)]


def vibe(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    return [
        files.write_joblib(folder / v / "vibe_output.pkl", files.vibe_people(crowd, of_video(crowd, v), body))
        for v in reversed(VIDEOS)
    ]


def vibe_compressed(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    return [
        files.write_joblib(
            folder / f"{v}.pkl", files.vibe_people(crowd, of_video(crowd, v), body), compress=("zlib", 3)
        )
        for v in VIDEOS
    ]


def pymaf(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    return [
        files.write_joblib(folder / v / "output.pkl", files.vibe_people(crowd, of_video(crowd, v), body, expansion=1.0))
        for v in VIDEOS
    ]


def pymaf_mixed(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    paths = []
    for v in VIDEOS:
        people = files.vibe_people(crowd, of_video(crowd, v), body, expansion=1.0)
        for person in people.values():
            theta = np.concatenate([person["betas"], person["pose"]], axis=1)
            person["pose"], person["betas"] = theta[:, :72], theta[:, 72:]
        paths.append(files.write_joblib(folder / v / "output.pkl", people))
    return paths


def cliff(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    return [files.write_npz(folder / "cliff.npz", files.cliff_columns(crowd, SHUFFLED, body))]


def cliff_video(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    paths = []
    for v in VIDEOS:
        rows = of_video(crowd, v)
        columns = files.cliff_columns(crowd, rows, body)
        columns["imgname"] = [f"/data/{v}/imgs/{frame + 1:06d}.png" for frame in range(FRAMES)]
        columns["detection_all"][:, 0] = crowd.frames[rows]
        paths.append(files.write_npz(folder / f"{v}.npz", columns))
    return paths


def hybrik(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    names = [crowd.images[row] for row in SHUFFLED]
    return [files.write_pickle(folder / "res.pk", files.hybrik_columns(crowd, SHUFFLED, body, names))]


def hybrik_video(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    paths = []
    for v in VIDEOS:
        rows = of_video(crowd, v)
        names = [f"out/raw_images/{v}-{frame + 1:06d}.png" for frame in crowd.frames[rows].tolist()]
        paths.append(files.write_pickle(folder / f"{v}.pk", files.hybrik_columns(crowd, rows, body, names)))
    return paths


def eft(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    names = sorted(set(crowd.images))
    rows = {name: np.flatnonzero([image == name for image in crowd.images])[::-1] for name in names}
    return [
        files.write_pickle(folder / f"{number}.pkl", files.eft_people(crowd, rows[name], f"/videos/{name}"))
        for number, name in enumerate(names)
    ]


def eft_video(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    return [
        files.write_pickle(
            folder / v / f"scene_{f:08d}.pkl",
            files.eft_people(crowd, of_video(crowd, v)[2 * f : 2 * f + 2], f"scene_{f:08d}.pkl"),
        )
        for v in VIDEOS
        for f in range(FRAMES)
    ]


def wham(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    return [
        files.write_joblib(folder / v / "wham_output.pkl", files.wham_people(crowd, of_video(crowd, v)))
        for v in reversed(VIDEOS)
    ]


def humandata(crowd: Crowd, folder: Path, body: BodyModel) -> list[Path]:
    return [files.write_npz(folder / "inference_result.npz", files.humandata_columns(crowd))]


CASES: dict[str, tuple[Writer, str, str]] = {
    "spin": (spin, "spin_npz", "order"),
    "spin by id": (spin_by_id, "spin_npz", "id"),
    "vibe": (vibe, "vibe_pkl", "frame and box"),
    "vibe compressed": (vibe_compressed, "vibe_pkl", "frame and box"),
    "pymaf": (pymaf, "pymaf_pkl", "frame and box"),
    "pymaf mixed up": (pymaf_mixed, "pymaf_pkl_mixed", "frame and box"),
    "cliff": (cliff, "cliff_npz", "image and box"),
    "cliff on videos": (cliff_video, "cliff_npz", "frame and box"),
    "hybrik": (hybrik, "hybrik_pk", "image and box"),
    "hybrik on videos": (hybrik_video, "hybrik_pk", "frame and box"),
    "eft": (eft, "eft_pkl", "image and box"),
    "eft on videos": (eft_video, "eft_pkl", "frame and box"),
    "wham": (wham, "wham_pkl", "frame and box"),
    "humandata": (humandata, "humandata_npz", "image and box"),
}
WITHOUT_CAMERA = ("humandata",)


@pytest.mark.parametrize("case", CASES)
def test_a_file_gives_back_its_bodies(case: str, crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    writer, form, how = CASES[case]
    done = import_predictions(writer(crowd, tmp_path, body), crowd.records, body, ImportConfig(form))
    assert done.report["notes"] == []
    assert done.report["matched_by"] == how
    assert done.report["predictions"] == len(crowd)
    assert done.predictions.sample_ids == crowd.records.sample_ids
    assert done.predictions.metadata.body == body.fingerprint
    assert done.predictions.parameters is not None
    same_bodies(done.predictions.parameters, crowd.parameters, body)
    if case in WITHOUT_CAMERA:
        assert done.predictions.camera is None
    else:
        np.testing.assert_allclose(done.predictions.camera, crowd.record_cameras(), rtol=2e-5, atol=2e-5)


def test_gvhmr_gives_back_its_poses(crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    """One file per person, with the other person in the same pictures."""
    straight = crowd.parameters.body_pose.copy()
    straight[:, 21:] = 0
    paths = [
        files.write_torch(tmp_path / v / str(person) / "hmr4d_results.pt", files.gvhmr_tensors(crowd, mine))
        for v in VIDEOS
        for person in (1, 0)
        if len(mine := of_video(crowd, v)[crowd.persons[of_video(crowd, v)] == person])
    ]
    done = import_predictions(paths, crowd.records, body, ImportConfig("gvhmr_pt"))
    assert done.predictions.parameters is not None
    same_bodies(done.predictions.parameters, crowd.parameters.replaced(body_pose=straight), body, betas=False)
    assert not done.predictions.parameters.betas.any()
    np.testing.assert_allclose(done.predictions.camera, crowd.record_cameras(), rtol=2e-5, atol=2e-5)
    assert done.report["notes"][0].startswith("SMPL-X bodies")


def test_joints_come_with_their_set(crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    def joints(writer: Writer, form: str) -> Imported:
        return import_predictions(writer(crowd, tmp_path / form, body), crowd.records, body, ImportConfig(form))

    still = body.pose(crowd.parameters.replaced(transl=np.zeros((len(crowd), 3))))
    found = joints(spin, "spin_npz").predictions
    assert found.metadata.joint_set == "h36m17"
    np.testing.assert_allclose(found.joints3d, body.regress(still.vertices, "h36m17"), atol=1e-3)
    found = joints(cliff, "cliff_npz").predictions
    assert found.metadata.joint_set == "smpl24"
    np.testing.assert_allclose(found.joints3d, still.joints, atol=1e-3)
    found = joints(vibe, "vibe_pkl").predictions
    assert found.metadata.joint_set == "spin24"
    np.testing.assert_allclose(found.joints3d, body.spin24(still), atol=1e-3)


def test_an_unknown_format_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="unknown format of results 'vibe'; known: vibe_pkl, "):
        result_format("vibe")
    assert set(FORMATS) >= {"spin_npz", "gvhmr_pt"}

"""SPIN's static and final fits: joined to a training npz by their rows, they give the bodies they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.spin_fits import STATIC, SpinFitsSource
from tests.sources.people import People, left_is_left, random_people
from tests.sources.spin_files import PIXEL_OFFSETS, part, same_bodies, same_keypoints, smpl, spin_box, write

COUNT = 6


@pytest.fixture(scope="module")
def people(body: BodyModel) -> People:
    return random_people(body, COUNT, seed=5)


def annotation(folder: Path, people: People, name: str = "mpii_train.npz", **extra: Any) -> Path:
    names = [f"images/{i:09d}.jpg" for i in range(COUNT)]
    offset = PIXEL_OFFSETS["mpii"] if name == "mpii_train.npz" else 0.0
    openpose = np.zeros((COUNT, 25, 3))
    columns = {
        "imgname": names,
        **spin_box(people),
        "part": part(people, range(16), offset=offset),
        "openpose": openpose,
    }
    return write(folder / name, **columns | extra)


def final(path: Path, people: People, **changes: Any) -> Path:
    columns = {"pose": smpl(people)["pose"], "betas": smpl(people)["shape"], "valid_fit": np.ones(COUNT, bool)}
    return write(path, **columns | changes)


def static(path: Path, people: People) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.concatenate([smpl(people)["pose"], smpl(people)["shape"]], axis=1).astype(np.float32))
    return path


def test_final_fits(tmp_path: Path, people: People, body: BodyModel) -> None:
    annotation(tmp_path, people)
    final(tmp_path / "spin_fits" / "mpii.npz", people)
    table = SpinFitsSource("mpii").ingest(tmp_path, body)["train"]
    same_bodies(table, people, body)
    same_keypoints(table, people, range(16))
    assert left_is_left(table)
    assert set(table.array("body_source")) == {"spin_fit"}
    assert set(table.array("gender")) == {"neutral"}
    assert sorted(table.metadata.provenance["inputs"]) == ["mpii_train.npz", "spin_fits/mpii.npz"]


@pytest.mark.parametrize(
    ("dataset", "train", "fits"),
    [
        ("mpii", "mpii_train.npz", "static_fits/mpii_fits.npy"),
        ("lsp", "lsp_dataset_original_train.npz", "static_fits/lsp-orig_fits.npy"),
        ("mpi_inf_3dhp", "mpi_inf_3dhp_train.npz", "mpi-inf-3dhp_fits.npy"),
        ("h36m", "h36m_train.npz", "static_fits/h36m_fits.npy"),
    ],
)
def test_static_fits(tmp_path: Path, people: People, body: BodyModel, dataset: str, train: str, fits: str) -> None:
    annotation(tmp_path, people, train)
    static(tmp_path / fits, people)
    table = SpinFitsSource(dataset, STATIC).ingest(tmp_path, body)["train"]
    same_bodies(table, people, body)
    assert set(table.array("body_source")) == {"spin_static_fit"}
    some = SpinFitsSource(dataset, STATIC).ingest(tmp_path, body, limit=2)["train"]
    assert some.fingerprint == table.head(2).fingerprint


def test_invalid_fits_are_no_bodies(tmp_path: Path, people: People, body: BodyModel) -> None:
    annotation(tmp_path, people)
    final(tmp_path / "mpii.npz", people, valid_fit=np.arange(COUNT) != 2)
    table = SpinFitsSource("mpii").ingest(tmp_path, body)["train"]
    assert table.has("global_orient", "body_pose", "betas").tolist() == [True, True, False, True, True, True]
    assert table.array("body_source")[2] is None
    assert table.array("gender")[2] is None


def test_wild_betas_become_zero_and_the_pose_stays(tmp_path: Path, people: People, body: BodyModel) -> None:
    betas = np.clip(smpl(people)["shape"], -2.9, 2.9)
    betas[1, 4] = -3.5
    annotation(tmp_path, people)
    final(tmp_path / "mpii.npz", people, betas=betas)
    table = SpinFitsSource("mpii").ingest(tmp_path, body)["train"]
    assert not table.array("betas")[1].any()
    np.testing.assert_allclose(np.delete(table.array("betas"), 1, axis=0), np.delete(betas, 1, axis=0), atol=1e-6)
    np.testing.assert_allclose(table.array("body_pose"), people.parameters.body_pose, atol=1e-6)


def test_bodies_of_the_npz_win_over_fits(tmp_path: Path, people: People, body: BodyModel) -> None:
    has = np.array([1, 0, 1, 0, 0, 0])
    annotation(tmp_path, people, "mpi_inf_3dhp_train.npz", **smpl(people), has_smpl=has)
    other = random_people(body, COUNT, seed=6)
    final(tmp_path / "spin_fits" / "mpi_inf_3dhp.npz", other, valid_fit=np.array([1, 1, 0, 1, 1, 0]))
    table = SpinFitsSource("mpi_inf_3dhp").ingest(tmp_path, body)["train"]
    pose = table.array("body_pose")
    np.testing.assert_allclose(pose[[0, 2]], people.parameters.body_pose[[0, 2]], atol=1e-6)
    np.testing.assert_allclose(pose[[1, 3, 4]], other.parameters.body_pose[[1, 3, 4]], atol=1e-6)
    assert table.array("body_source").tolist() == [
        "multiview_fit", "spin_fit", "multiview_fit", "spin_fit", "spin_fit", None,
    ]  # fmt: skip


def test_written_and_read_back(tmp_path: Path, people: People, body: BodyModel) -> None:
    annotation(tmp_path, people)
    final(tmp_path / "mpii.npz", people)
    table = SpinFitsSource("mpii").ingest(tmp_path, body)["train"]
    table.write(tmp_path / "train.parquet")
    same_bodies(RecordTable.read(tmp_path / "train.parquet"), people, body)


def test_what_does_not_fit_is_named(tmp_path: Path, people: People, body: BodyModel) -> None:
    def refused(kind: str, message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            SpinFitsSource("mpii", kind).ingest(tmp_path, body)
        assert "\n" not in str(caught.value)

    refused("spin_fits", r"has no mpii_train\.npz \(see: hmrtk datasets show mpii\)")
    path = annotation(tmp_path, people)
    refused("spin_fits", r"has no spin_fits/mpii\.npz or .*mpii\.npz \(see: hmrtk datasets show mpii\)")
    refused(STATIC, r"has no static_fits/mpii_fits\.npy or mpii_fits\.npy")
    final(tmp_path / "mpii.npz", people, pose=smpl(people)["pose"][:5])
    refused("spin_fits", r"mpii\.npz: has 5 fits, but mpii_train\.npz has 6 rows \(row i of one belongs to row i")
    bad = smpl(people)["pose"]
    bad[3, 7] = np.nan
    final(tmp_path / "mpii.npz", people, pose=bad)
    refused("spin_fits", r"mpii\.npz row 3: pose has NaN or infinite values")
    np.save(tmp_path / "mpii_fits.npy", np.zeros((COUNT, 85)))
    refused(STATIC, r"mpii_fits\.npy: the array has shape \(6, 85\), expected \(6, 82\)")
    np.save(tmp_path / "mpii_fits.npy", np.array(["x"] * COUNT))
    refused(STATIC, r"mpii_fits\.npy: holds <U1 of shape \(6,\), expected rows of numbers")
    static(tmp_path / "mpii_fits.npy", people)
    whole = (tmp_path / "mpii_fits.npy").read_bytes()
    (tmp_path / "mpii_fits.npy").write_bytes(whole[:-100])
    refused(STATIC, r"mpii_fits\.npy: is damaged: it ends too early")
    (tmp_path / "mpii_fits.npy").write_bytes(b"no array")
    refused(STATIC, r"mpii_fits\.npy: is damaged")
    with pytest.raises(InputError, match=r"mpii_train\.npz: is a file, expected the folder of a training npz and its"):
        SpinFitsSource("mpii").ingest(path, body)

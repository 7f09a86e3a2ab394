"""Writers of the npz files of SPIN's family and its fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.body.joints import SPIN24_FROM_SMPL
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.sources.spin_fits import SPIN_NAMES
from tests.sources.layout import COCO, H36M, LSP, MPII, ROWS, SIZE, Layout, layout
from tests.sources.people import People, random_people, seen
from tests.sources.pictures import Known, known_people, write_pictures
from tests.sources.spin_files import PIXEL_OFFSETS, part, rooted, smpl, spin_box, write

SPIN_FILES: dict[str, tuple[str, str, str, tuple[int, ...], bool, bool]] = {
    "h36m": ("h36m_mosh_train.npz", "train", "images/S1_Directions_1.54138969_{:06d}.jpg", H36M, True, True),
    "mpi_inf_3dhp": (
        "mpi_inf_3dhp_train.npz", "train", "S1/Seq2/imageFrames/video_4/frame_{:06d}.jpg", H36M, True, True,
    ),
    "up3d": ("up_3d_test.npz", "test", "{:05d}_image.png", LSP, True, False),
    "lsp": ("lsp_dataset_original_train.npz", "train", "images/im{:04d}.jpg", LSP, False, False),
    "lspet": ("hr-lspet_train.npz", "train", "im{:05d}.png", LSP, False, False),
    "mpii": ("mpii_train.npz", "train", "images/{:09d}.jpg", MPII, False, False),
    "coco": ("coco_2014_train.npz", "train", "train2014/COCO_train2014_{:012d}.jpg", COCO, False, False),
    "densepose_coco": ("dp_coco_2014_train.npz", "train", "train2014/COCO_train2014_{:012d}.jpg", COCO, False, False),
}  # fmt: skip
"""dataset → file, split, names of pictures, rows of ``spin24`` with keypoints, has bodies, has ``S``."""


def spin_people(body: BodyModel) -> People:
    return random_people(body, 5, seed=3)


def spin_file(root: Path, body: BodyModel, dataset: str) -> tuple[list[str], Known]:
    """A training (or test) npz with its pictures; the names of all rows' pictures, and the first people."""
    people = spin_people(body)
    file, _, pattern, slots, bodies, joints = SPIN_FILES[dataset]
    names = [pattern.format(i + 1) for i in range(len(people.pixels))]
    columns: dict[str, Any] = {
        "imgname": names,
        **spin_box(people, 0.9 if dataset == "h36m" else 1.2),
        "part": part(people, slots, offset=PIXEL_OFFSETS.get(dataset, 0)),
        "openpose": np.zeros((5, 25, 3)),
        **(smpl(people) if bodies else {}),
        **({"S": rooted(people, slots)} if joints else {}),
    }
    write(root / file, **columns)
    known = known_people(people, body).take(slice(ROWS))
    write_pictures(root, names[:ROWS], known, SIZE, body)
    return names, known


@layout(*((dataset, "spin_npz") for dataset in SPIN_FILES))
def spin_npz(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    _, known = spin_file(root, body, dataset)
    _, split, _, slots, bodies, joints = SPIN_FILES[dataset]
    return Layout(root, root, known, slots, split, bodies, joints)


@layout(("3dpw", "spin_npz"))
def spin_3dpw(root: Path, body: BodyModel, mocap: Any) -> Layout:
    people = spin_people(body)
    names = [f"imageFiles/downtown_bus_00/image_{i:05d}.jpg" for i in range(5)]
    write(root / "3dpw_test.npz", imgname=names, **spin_box(people), **smpl(people), gender=list("mfmfm"))
    known = known_people(people, body).take(slice(ROWS))
    write_pictures(root, names[:ROWS], known, SIZE, body)
    return Layout(root, root, known, (), "test")


@layout(("surreal", "spin_npz"))
def surreal(root: Path, body: BodyModel, mocap: Any) -> Layout:
    people = spin_people(body)
    joints = body.joints(people.parameters).astype(float)
    ones = np.ones((5, 24, 1))
    columns = {
        "gender": list("mfmff"),
        "videoname": ["run0/01_01/01_01_c0001.mp4"] * 5,
        "framenum": np.arange(5) * 10,
        "part_smpl": np.concatenate([seen(joints, 500.0, (320.0, 240.0)), ones], axis=2),
        "S_smpl": np.concatenate([joints - joints[:, :1], ones], axis=2),
    }
    write(root / "surreal_train.npz", **columns, **spin_box(people), **smpl(people))
    known = known_people(people, body).take(slice(ROWS))
    return Layout(root, None, known, tuple(SPIN24_FROM_SMPL), joints=True)


FITTED = ("coco", "lsp", "lspet", "mpii", "mpi_inf_3dhp")


@layout(*((dataset, "spin_fits") for dataset in FITTED))
def spin_fits(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    _, known = spin_file(root, body, dataset)
    fits = smpl(spin_people(body))
    write(root / f"spin_fits/{dataset}.npz", pose=fits["pose"], betas=fits["shape"], valid_fit=np.ones(5, bool))
    _, split, _, slots, _, joints = SPIN_FILES[dataset]
    return Layout(root, root, known, slots, split, True, joints)


@layout(*((dataset, "spin_static_fits") for dataset in (*FITTED, "h36m")))
def spin_static_fits(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    _, known = spin_file(root, body, dataset)
    fits = smpl(spin_people(body))
    path = root / f"static_fits/{SPIN_NAMES.get(dataset, dataset)}_fits.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.concatenate([fits["pose"], fits["shape"]], axis=1))
    _, split, _, slots, _, joints = SPIN_FILES[dataset]
    return Layout(root, root, known, slots, split, True, joints)

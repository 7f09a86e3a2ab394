"""A small copy of every dataset in every format that has a reader: written by the generators of the readers' tests.

``LAYOUTS`` is the table: which files a copy has that matter, who writes them, and what may stand in their place.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.body.gendered import GenderedBody
from hmrtk.toolkit.body.joints import SMPL_NAMES
from hmrtk.toolkit.body.model import BodyModel, load_body
from hmrtk.toolkit.sources.skeletons import SKELETONS
from tests.sources import conftest as mocap
from tests.sources import (
    spin_files,
    test_aist,
    test_amass,
    test_amc,
    test_bedlam,
    test_cliff,
    test_coco,
    test_deepmimic,
    test_eft,
    test_hmr2_npz,
    test_hmr2_tar,
    test_humandata,
    test_lsp,
    test_mpii,
    test_spin_fits,
    test_spin_npz,
    test_threedoh,
    test_threedpw,
    test_up3d,
    test_upi_s1h,
)
from tests.sources.people import People, random_people

JPEG = b"\xff\xd8\xff\xd9"
"""Begin and end of a picture."""
Writer = Callable[[Path], Any]


@dataclass(frozen=True)
class Layout:
    """One dataset in one format.

    Attributes:
        dataset, format: of the manifest.
        files: paths below the root, each of which is needed.
        write: makes the copy.
        needs: packages that its writer needs.
    """

    dataset: str
    format: str
    files: tuple[str, ...]
    write: Writer
    needs: tuple[str, ...] = ()


@functools.cache
def body() -> BodyModel:
    return load_body()


@functools.cache
def people(count: int = 5) -> People:
    return random_people(body(), count, seed=3)


# -- npz files ---------------------------------------------------------------------------------------------------------


def spin_names(dataset: str, file: str) -> list[str]:
    """Names of pictures as this dataset's are."""
    test = "valid" in file or "test" in file
    return {
        "h36m": test_spin_npz.h36m_names(9 if test else 1),
        "3dpw": [f"imageFiles/downtown_bus_00/image_{i:05d}.jpg" for i in range(5)],
        "mpi_inf_3dhp": [
            f"mpi_inf_3dhp_test_set/TS2/imageSequence/img_{i + 1:06d}.jpg" if test
            else f"S1/Seq2/imageFrames/video_4/frame_{10 * i + 1:06d}.jpg"
            for i in range(5)
        ],
        "up3d": [f"{i:05d}_image.png" for i in range(5)],
        "lsp": [f"images/im{i + 1:04d}.jpg" for i in range(5)],
        "lspet": [f"im{i + 1:05d}.png" for i in range(5)],
        "mpii": [f"images/{i:09d}.jpg" for i in range(5)],
        "coco": [f"train2014/COCO_train2014_{i:012d}.jpg" for i in range(5)],
        "densepose_coco": [f"train2014/COCO_train2014_{i:012d}.jpg" for i in range(5)],
    }[dataset]  # fmt: skip


def spin(dataset: str, *files: str) -> Layout:
    def write(root: Path) -> None:
        for number, file in enumerate(files):
            columns = test_spin_npz.full(people(), imgname=spin_names(dataset, file), number=number)
            if dataset == "3dpw":
                columns["gender"] = list("mfmfm")
            spin_files.write(root / file, **columns)

    return Layout(dataset, "spin_npz", files, write)


def surreal(root: Path) -> None:
    joints = body().joints(people().parameters).astype(float)
    pixels = 500 * joints[..., :2] / joints[..., 2:] + [320, 240]
    known = np.ones((5, 24, 1))
    for name in ("train", "val"):
        spin_files.write(
            root / f"surreal_{name}.npz", gender=list("mfmff"), videoname=["run0/01_01/01_01_c0001.mp4"] * 5,
            framenum=np.arange(5) * (10 if name == "train" else 20), part_smpl=np.concatenate([pixels, known], axis=2),
            S_smpl=np.concatenate([joints - joints[:, :1], known], axis=2), **spin_files.spin_box(people()),
            **spin_files.smpl(people()),
        )  # fmt: skip


def fits(dataset: str, fmt: str, annotation: str, file: str) -> Layout:
    def write(root: Path) -> None:
        six = people(test_spin_fits.COUNT)
        test_spin_fits.annotation(root, six, annotation)
        (test_spin_fits.final if fmt == "spin_fits" else test_spin_fits.static)(root / file, six)

    return Layout(dataset, fmt, (annotation, file), write)


def hmr2(dataset: str, file: str) -> Layout:
    def write(root: Path) -> None:
        names = np.array(spin_names(dataset, file)).astype("S")
        spin_files.write(root / file, **test_hmr2_npz.columns(people(), imgname=names))

    return Layout(dataset, "hmr2_npz", (file,), write)


def cliff(dataset: str, file: str) -> Layout:
    return Layout(
        dataset, "cliff", (file,), lambda root: spin_files.write(root / file, **test_cliff.columns(people(), dataset))
    )


def humandata(dataset: str, *files: str) -> Layout:
    def write(root: Path) -> None:
        for file in files:
            test_humandata.write(root / file, test_humandata.content(test_humandata.made_people(body())))

    return Layout(dataset, "humandata", files, write)


def bedlam(root: Path) -> None:
    seen = test_bedlam.scene_people(body())
    spin_files.write(root / f"{test_bedlam.SCENE}.npz", **test_bedlam.columns(seen, body()))


# -- json, tar, MATLAB, CDF and pickles --------------------------------------------------------------------------------


def eft(dataset: str, pictures: str, *files: str) -> Layout:
    def write(root: Path) -> None:
        for number, file in enumerate(files):
            test_eft.write(root / file, test_eft.items(people(), name=pictures)[number:])

    return Layout(dataset, "eft", files, write)


def shards(dataset: str) -> Layout:
    file = "shards/000000.tar"
    return Layout(
        dataset, "hmr2_tar", (file,),
        lambda root: test_hmr2_tar.write(root / file, [test_hmr2_tar.persons(people())]),
    )  # fmt: skip


def coco(root: Path) -> None:
    for split in ("train", "val"):
        test_coco.write(root, f"person_keypoints_{split}2014.json", test_coco.coco_document(body(), split=split))


def densepose(root: Path) -> None:
    for name in ("train", "valminusminival", "minival"):
        seed, split = len(name), "train" if name == "train" else "val"
        document = test_coco.coco_document(body(), seed, split)
        for person in document["annotations"]:
            person |= {"dp_x": [1.0], "dp_y": [2.0], "dp_I": [1], "dp_U": [0.5], "dp_V": [0.5], "dp_masks": []}
        test_coco.write(root, f"densepose_coco_2014_{name}.json", document)


def lsp(root: Path) -> None:
    test_lsp.write(root, np.tile(test_lsp.lsp_joints(body()), (1, 1, 400)))


def mpii(root: Path) -> None:
    test_mpii.write_mat(root, test_mpii.usual(body()), [1, 1, 1, 0])
    (root / "images").mkdir()
    for name in ("015601864", "2", "3", "4"):
        (root / "images" / f"{name}.jpg").write_bytes(JPEG)


def threedoh(root: Path) -> None:
    entries = test_threedoh.made_content(body())["entries"]
    test_threedoh.write(root, entries)
    test_threedoh.write(root, dict(list(entries.items())[1:]), "testset")


def threedpw(root: Path) -> None:
    sequence = test_threedpw.made_sequence(GenderedBody.load(None))
    for folder in ("train", "validation", "test"):
        test_threedpw.write(root, sequence, folder, f"{folder}_00")


def up3d(root: Path) -> None:
    test_up3d.write_folder(root, test_up3d.made_people(body()))


def upi_s1h(root: Path) -> None:
    test_upi_s1h.write_masks(root / "data", body(), 2, 1001)
    shutil.rmtree(root / "data" / "mpii")  # a copy of LSP's here


def h36m(root: Path) -> None:
    from tests.sources import test_h36m

    for subject in ("S9", "S11"):
        test_h36m.write_sequence(root, body(), subject)
        (root / subject / "Videos").mkdir()
        (root / subject / "Videos" / "Directions 1.54138969.mp4").write_bytes(b"video")


def mpi_inf_3dhp(root: Path) -> None:
    from tests.sources import test_mpi_inf_3dhp

    test_mpi_inf_3dhp.write_sequence(root, body())
    test_mpi_inf_3dhp.write_test(root, body())


# -- motion capture ----------------------------------------------------------------------------------------------------


def bvh(root: Path) -> None:
    names = {joint: n[0] for joint, n in SKELETONS[0].joints.items()}
    root.mkdir(exist_ok=True)
    (root / "walk.bvh").write_text(mocap.bvh_text(mocap.Rig(names), mocap.random_pose(8, 1, 0.3)))


def amc(root: Path) -> None:
    rig = mocap.Rig({joint: joint for joint in SMPL_NAMES if not joint.endswith("hand")}, mocap.spread(20))
    test_amc.write(root, *mocap.asf_amc_text(rig, mocap.random_pose(12, 5)))


def deepmimic(root: Path) -> None:
    from types import SimpleNamespace

    writers = SimpleNamespace(random_pose=mocap.random_pose)
    document = mocap.deepmimic_document(test_deepmimic.humanoid_pose(writers, 8, 1))
    (root / "clip.txt").write_text(json.dumps(document))


def amass(root: Path) -> None:
    test_amass.write(root / "KIT/3/kick_poses.npz", mocap.random_pose(12, 3))


def aist(root: Path) -> None:
    test_aist.write(root / f"motions/{test_aist.NAME}.pkl", mocap.random_pose(test_aist.FRAMES, 5))


UP3D_ROW = ("00003_image.png", "00003_body.pkl", "00003_joints.npy")
H36M_FILES = tuple(
    f"S9/{folder}/Directions 1.54138969.{end}"
    for folder, end in (
        ("MyPoseFeatures/D2_Positions", "cdf"), ("MyPoseFeatures/D3_Positions_mono", "cdf"),
        ("MySegmentsMat/ground_truth_bb", "mat"),
    )
)  # fmt: skip

LAYOUTS: tuple[Layout, ...] = (
    Layout("3doh", "raw", ("trainset/annots.json", "testset/annots.json"), threedoh),
    Layout(
        "3dpw", "raw", tuple(f"sequenceFiles/{s}/{s}_00.pkl" for s in ("train", "validation", "test")),
        threedpw,
    ),
    spin("3dpw", "3dpw_test.npz"),
    humandata("3dpw", "pw3d_test.npz"),
    hmr2("3dpw", "3dpw_test.npz"),
    Layout("aist", "aist", (f"motions/{test_aist.NAME}.pkl",), aist),
    Layout("amass", "amass", ("KIT/3/kick_poses.npz",), amass),
    Layout("amc", "amc", ("07_01.amc", "07.asf"), amc),
    Layout("bedlam", "bedlam", (f"{test_bedlam.SCENE}.npz",), bedlam),
    Layout("bvh", "bvh", ("walk.bvh",), bvh),
    Layout("coco", "raw", tuple(f"annotations/person_keypoints_{s}2014.json" for s in ("train", "val")), coco),
    spin("coco", "coco_2014_train.npz"),
    fits("coco", "spin_fits", "coco_2014_train.npz", "spin_fits/coco.npz"),
    fits("coco", "spin_static_fits", "coco_2014_train.npz", "static_fits/coco_fits.npy"),
    eft("coco", "COCO_train2014_{:012d}.jpg", "COCO2014-Part-ver01.json", "COCO2014-All-ver01.json"),
    cliff("coco", "coco2014part_cliffGT.npz"),
    hmr2("coco", "coco_val.npz"),
    shards("coco"),
    Layout("deepmimic", "deepmimic", ("clip.txt",), deepmimic),
    Layout(
        "densepose_coco", "raw",
        tuple(f"annotations/densepose_coco_2014_{s}.json" for s in ("train", "valminusminival", "minival")), densepose,
    ),
    spin("densepose_coco", "dp_coco_2014_train.npz", "dp_coco_2014_minival.npz"),
    spin("h36m", "h36m_valid_protocol1.npz", "h36m_valid_protocol2.npz"),
    Layout("h36m", "raw", H36M_FILES, h36m, ("h5py", "cdflib")),
    fits("h36m", "spin_static_fits", "h36m_train.npz", "static_fits/h36m_fits.npy"),
    hmr2("h36m", "h36m_val_p2.npz"),
    shards("h36m"),
    humandata("humandata", "pw3d_test.npz"),
    Layout("lsp", "raw", ("joints.mat",), lsp),
    spin("lsp", "lsp_dataset_original_train.npz", "lsp_dataset_test.npz"),
    fits("lsp", "spin_fits", "lsp_dataset_original_train.npz", "spin_fits/lsp.npz"),
    fits("lsp", "spin_static_fits", "lsp_dataset_original_train.npz", "static_fits/lsp-orig_fits.npy"),
    Layout("lspet", "raw", ("joints.mat",), lambda root: test_lsp.write(root, test_lsp.lspet_joints(body()))),
    spin("lspet", "hr-lspet_train.npz"),
    fits("lspet", "spin_fits", "hr-lspet_train.npz", "spin_fits/lspet.npz"),
    fits("lspet", "spin_static_fits", "hr-lspet_train.npz", "static_fits/lspet_fits.npy"),
    eft("lspet", "im{:05d}.png", "LSPet_ver01.json"),
    hmr2("lspet", "hr-lspet_train.npz"),
    Layout(
        "mpi_inf_3dhp", "raw",
        ("S1/Seq1/annot.mat", "S1/Seq1/camera.calibration", "mpi_inf_3dhp_test_set/TS1/annot_data.mat"), mpi_inf_3dhp,
        ("h5py",),
    ),
    spin("mpi_inf_3dhp", "mpi_inf_3dhp_train.npz", "mpi_inf_3dhp_valid.npz"),
    fits("mpi_inf_3dhp", "spin_fits", "mpi_inf_3dhp_train.npz", "spin_fits/mpi_inf_3dhp.npz"),
    fits("mpi_inf_3dhp", "spin_static_fits", "mpi_inf_3dhp_train.npz", "static_fits/mpi-inf-3dhp_fits.npy"),
    hmr2("mpi_inf_3dhp", "mpi_inf_3dhp_train.npz"),
    shards("mpi_inf_3dhp"),
    Layout("mpii", "raw", ("mpii_human_pose_v1_u12_1.mat",), mpii),
    spin("mpii", "mpii_train.npz"),
    fits("mpii", "spin_fits", "mpii_train.npz", "spin_fits/mpii.npz"),
    fits("mpii", "spin_static_fits", "mpii_train.npz", "static_fits/mpii_fits.npy"),
    eft("mpii", "/run/media/x/images/0{:08d}.jpg", "MPII_ver01.json"),
    cliff("mpii", "mpii_cliffGT.npz"),
    hmr2("mpii", "mpii_train.npz"),
    shards("mpii"),
    Layout("surreal", "spin_npz", ("surreal_train.npz", "surreal_val.npz"), surreal),
    Layout("up3d", "raw", (*UP3D_ROW, "test.txt"), up3d),
    spin("up3d", "up_3d_train.npz", "up_3d_test.npz"),
    humandata("up3d", "up3d_train.npz"),
    Layout(
        "upi_s1h", "masks", ("data/lsp/im1001_segmentation.png", "data/lsp/im1001_part_segmentation.png"), upi_s1h
    ),
)  # fmt: skip

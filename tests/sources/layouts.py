"""Every data set in every format that is read: files of the genuine layout, pictures, and what is true of them.

``LAYOUTS`` maps (dataset, format) to a writer. The files are those of the generators beside each reader's tests; here
each gets one person per picture, and the picture itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from hmrtk.toolkit.body.gendered import GenderedBody
from hmrtk.toolkit.body.joints import J24_TO_COCO17, SPIN24_FROM_SMPL
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.sources.annotation import H36M17_SLOTS, MPII16_SLOTS
from hmrtk.toolkit.sources.spin_fits import SPIN_NAMES
from tests.sources import (
    test_aist,
    test_amass,
    test_amc,
    test_bedlam,
    test_bvh,
    test_cliff,
    test_coco,
    test_deepmimic,
    test_eft,
    test_h36m,
    test_hmr2_npz,
    test_hmr2_tar,
    test_humandata,
    test_lsp,
    test_mpi_inf_3dhp,
    test_mpii,
    test_threedoh,
    test_threedpw,
    test_up3d,
    test_upi_s1h,
)
from tests.sources.people import People, random_people, seen
from tests.sources.pictures import Known, drawn, encoded, known_people, write_pictures
from tests.sources.spin_files import PIXEL_OFFSETS, part, rooted, smpl, spin_box, write

ROWS = 3
SIZE = (480, 640)
ALL = tuple(range(24))
COCO = tuple(J24_TO_COCO17)
H36M, MPII, LSP = tuple(H36M17_SLOTS), tuple(MPII16_SLOTS), tuple(range(14))


EXACT, ABOUT = 0.97, 0.85
"""Shares of the person and the IUV map on each other: with the picture's own camera, and with a crop camera."""


@dataclass(frozen=True)
class Layout:
    """What was written, and what the reader of shards must return of it.

    Attributes:
        root: for ``ingest``. images: for ``build-shards``; None where the format has no pictures.
        known: the people of the first rows.
        slots: rows of ``spin24`` that have keypoints.
        split: that they are in.
        bodies: the rows have body parameters. joints: the rows have ``joints3d``.
        tolerance: px of the keypoints (whole pixels in COCO).
        bone: metres by which a joint may be off, relative to the pelvis.
        cover: the least share of the IUV map that lies on the person in the picture, and the other way round.
    """

    root: Path
    images: Path | None
    known: Known
    slots: tuple[int, ...] = ALL
    split: str = "train"
    bodies: bool = True
    joints: bool = False
    tolerance: float = 0.02
    bone: float = 1e-4
    cover: float = ABOUT


Writer = Callable[[Path, BodyModel, SimpleNamespace], Layout]
LAYOUTS: dict[tuple[str, str], Writer] = {}


def layout(*names: tuple[str, str]) -> Callable[[Callable[..., Layout]], Callable[..., Layout]]:
    """Register a writer for (dataset, format) pairs; one that serves several gets the dataset as its last argument."""

    def register(writer: Callable[..., Layout]) -> Callable[..., Layout]:
        for dataset, fmt in names:
            LAYOUTS[dataset, fmt] = _bound(writer, dataset, fmt) if len(names) > 1 else writer
        return writer

    return register


def _bound(writer: Callable[..., Layout], dataset: str, fmt: str) -> Writer:
    return lambda root, body, mocap: writer(root, body, mocap, dataset, fmt)


# -- pictures' own annotation -----------------------------------------------------------------------------------------


@layout(("coco", "raw"), ("densepose_coco", "raw"))
def coco(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    document = test_coco.coco_document(body)
    name = "COCO_train2014_{:012d}.jpg"
    document["images"] = [
        {"id": 9 + i, "file_name": name.format(9 + i), "height": 480, "width": 640} for i in range(test_coco.COUNT)
    ]
    known = known_people(random_people(body, test_coco.COUNT), body)
    for i, person in enumerate(document["annotations"]):
        x, y, width, height = person["bbox"]
        place = 255 * (known.outline[i, ::400] - [x, y]) / [width, height]
        person |= {"image_id": 9 + i, "dp_x": place[:, 0].tolist(), "dp_y": place[:, 1].tolist(), "dp_masks": [[]] * 14}
        person |= {"dp_I": [1.0] * len(place), "dp_U": [0.5] * len(place), "dp_V": [0.5] * len(place)}
    prefix = "person_keypoints_train2014" if dataset == "coco" else "densepose_coco_2014_train"
    test_coco.write(root, f"{prefix}.json", document)
    known = known.take(slice(ROWS))
    write_pictures(root, [f"train2014/{name.format(9 + i)}" for i in range(ROWS)], known, SIZE, body)
    return Layout(root, root, known, COCO, bodies=False, tolerance=0.51)


@layout(("lsp", "raw"), ("lspet", "raw"))
def lsp(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    root.mkdir(parents=True, exist_ok=True)
    test_lsp.write(root, test_lsp.lsp_joints(body) if dataset == "lsp" else test_lsp.lspet_joints(body))
    digits = 4 if dataset == "lsp" else 5
    known = known_people(random_people(body, test_lsp.COUNT), body).take(slice(ROWS))
    write_pictures(root, [f"images/im{i + 1:0{digits}d}.jpg" for i in range(ROWS)], known, SIZE, body)
    return Layout(root, root, known, LSP, bodies=False)


@layout(("upi_s1h", "masks"))
def upi_s1h(root: Path, body: BodyModel, mocap: Any) -> Layout:
    known = test_upi_s1h.write_masks(root / "data", body, ROWS, 1001)
    images = root.parent / f"{root.name}-lsp"  # the pictures are LSP's
    write_pictures(images, [f"images/im{1001 + i}.jpg" for i in range(ROWS)], known, SIZE, body)
    return Layout(root, images, known, (), "test", bodies=False)


@layout(("mpii", "raw"))
def mpii(root: Path, body: BodyModel, mocap: Any) -> Layout:
    people = random_people(body, test_mpii.COUNT)
    points, box = test_mpii.matlab_pixels(body), spin_box(people)
    pictures = []
    for i in range(ROWS):
        place = test_mpii.structs([{"x": box["center"][i][0], "y": box["center"][i][1]}])
        person = test_mpii.person(points[i], objpos=place, scale=box["scale"][i])
        pictures.append(test_mpii.picture(f"{i:09d}.jpg", [person]))
    root.mkdir(parents=True, exist_ok=True)
    test_mpii.write_mat(root, pictures, [1] * ROWS)
    known = known_people(people, body).take(slice(ROWS))
    write_pictures(root, [f"images/{i:09d}.jpg" for i in range(ROWS)], known, SIZE, body)
    return Layout(root, root, known, MPII, bodies=False)


@layout(("h36m", "raw"))
def h36m(root: Path, body: BodyModel, mocap: Any) -> Layout:
    import h5py

    folder, size = test_h36m.write_sequence(root, body), (1002, 1000)
    known = known_people(test_h36m.seen(body), body)
    shots = [drawn(known, i, size, body) for i in range(test_h36m.FRAMES)]
    with h5py.File(folder / "MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat", "w") as file:
        masks = file.create_dataset("Masks", (len(shots), 1), h5py.ref_dtype)
        for i, shot in enumerate(shots):
            mask = (shot != shot[0, 0]).any(axis=2).astype(np.uint8)
            masks[i, 0] = file.create_dataset(f"#refs#/{i}", data=mask.T, compression="gzip").ref
    known = known.take([0, 5, 10])
    names = [f"images/S9_Directions_1.54138969_{frame + 1:06d}.jpg" for frame in (0, 5, 10)]
    write_pictures(root, names, known, size, body)
    return Layout(root, root, known, H36M, "test", bodies=False, joints=True)


@layout(("mpi_inf_3dhp", "raw"))
def mpi_inf_3dhp(root: Path, body: BodyModel, mocap: Any) -> Layout:
    test_mpi_inf_3dhp.write_sequence(root, body)
    shots = [(0, 0), (1, 3), (2, 6)]  # camera and frame of every tenth frame, counted on from video to video
    every = [known_people(test_mpi_inf_3dhp.seen_by(body, camera), body).take([frame]) for camera, frame in shots]
    known = Known(*(np.concatenate([getattr(k, name) for k in every]) for name in Known.__dataclass_fields__))
    video = "S1/Seq1/imageFrames/video_{}/frame_{:06d}.jpg"
    for camera in range(ROWS):  # a frame without a picture would not count
        for frame in range(test_mpi_inf_3dhp.FRAMES):
            path = root / video.format(camera, frame + 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    names = [video.format(camera, frame + 1) for camera, frame in shots]
    write_pictures(root, names, known, (2048, 2048), body)
    return Layout(root, root, known, H36M, bodies=False, joints=True)


# -- raw files with bodies --------------------------------------------------------------------------------------------


@layout(("3dpw", "raw"))
def threedpw(root: Path, body: BodyModel, mocap: Any) -> Layout:
    bodies = GenderedBody.load(None)
    sequence = test_threedpw.made_sequence(bodies)
    test_threedpw.write(root, sequence)
    truth, camera = sequence["truth"][0], sequence["cam_poses"][:ROWS]
    vertices = np.einsum("fij,fvj->fvi", camera[:, :3, :3], truth["vertices"][:ROWS]) + camera[:, None, :3, 3]
    flat = vertices @ test_threedpw.K.T
    known = Known(truth["pixels"][:ROWS], truth["spin24"][:ROWS], flat[..., :2] / flat[..., 2:], vertices[..., 2])
    names = [f"imageFiles/downtown_walking_00/image_{frame:05d}.jpg" for frame in range(ROWS)]
    write_pictures(root, names, known, (1920, 1080), body)
    slots = tuple(test_threedpw.OPENPOSE17_SLOTS)
    return Layout(root, root, known, slots, "test", joints=True, bone=0.08)


@layout(("3doh", "raw"))
def threedoh(root: Path, body: BodyModel, mocap: Any) -> Layout:
    content = test_threedoh.made_content(body)
    test_threedoh.write(root, content["entries"])
    vertices = content["vertices"].astype(float)
    pixels = test_threedoh.pixels(content["spin24"])
    known = Known(pixels, content["spin24"], test_threedoh.pixels(vertices), vertices[..., 2]).take(slice(ROWS))
    write_pictures(root, [f"trainset/images/{i:05d}.jpg" for i in range(ROWS)], known, (720, 1280), body)
    return Layout(root, root, known, LSP, joints=True, cover=EXACT)


@layout(("up3d", "raw"))
def up3d(root: Path, body: BodyModel, mocap: Any) -> Layout:
    people = test_up3d.made_people(body)
    root.mkdir(parents=True, exist_ok=True)
    test_up3d.write_folder(root, people)
    vertices, spin24 = people["vertices"], people["spin24"]
    known = Known(test_up3d.pixels(spin24), spin24, test_up3d.pixels(vertices), vertices[..., 2]).take([3, 4, 5])
    size = (test_up3d.HEIGHT, test_up3d.WIDTH)
    write_pictures(root, [f"{row:05d}_image.png" for row in (3, 4, 5)], known, size, body)
    return Layout(root, root, known, LSP, "test", cover=EXACT)


@layout(("bedlam", "bedlam"))
def bedlam(root: Path, body: BodyModel, mocap: Any) -> Layout:
    people = test_bedlam.scene_people(body)
    names = [f"seq_000000/seq_000000_{5 * i:04d}.png" for i in range(test_bedlam.COUNT)]
    write(root / f"{test_bedlam.SCENE}.npz", **test_bedlam.columns(people, body, imgname=names))
    known = known_people(people, body).take(slice(ROWS))
    write_pictures(root / test_bedlam.SCENE / "png", names[:ROWS], known, (720, 1280), body)
    return Layout(root, root, known, tuple(test_bedlam.SLOTS), cover=EXACT)


@layout(("humandata", "humandata"), ("3dpw", "humandata"), ("up3d", "humandata"))
def humandata(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    people = test_humandata.made_people(body)
    names = [f"imageFiles/a/image_{i:05d}.jpg" for i in range(test_humandata.N)]
    file = {"3dpw": "pw3d_test.npz", "up3d": "up3d_test.npz"}.get(dataset, "mine_test.npz")
    test_humandata.write(root / file, test_humandata.content(people, image_path=names))
    vertices, spin24 = people["vertices"].astype(float), people["spin24"]
    project = test_humandata.pixels
    known = Known(project(spin24), spin24, project(vertices), vertices[..., 2]).take(slice(ROWS))
    write_pictures(root, names[:ROWS], known, SIZE, body)
    return Layout(root, root, known, ALL, "test", joints=True, cover=EXACT)


# -- npz files of SPIN's family ---------------------------------------------------------------------------------------

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


# -- other groups' fits -----------------------------------------------------------------------------------------------


@layout(("coco", "eft"), ("mpii", "eft"), ("lspet", "eft"))
def eft(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    people = random_people(body, test_eft.COUNT, seed=9)
    file, given, path = {
        "coco": ("COCO2014-Part-ver01.json", "COCO_train2014_{:012d}.jpg", "train2014/COCO_train2014_{:012d}.jpg"),
        "mpii": ("MPII_ver01.json", "/run/media/x/images/{:09d}.jpg", "images/{:09d}.jpg"),
        "lspet": ("LSPet_ver01.json", "im{:05d}.png", "im{:05d}.png"),
    }[dataset]
    items = test_eft.items(people, offset=PIXEL_OFFSETS.get(dataset, 0))
    for i, item in enumerate(items):
        item["imageName"] = given.format(i)
    root.mkdir(parents=True, exist_ok=True)
    test_eft.write(root / file, items)
    known = known_people(people, body).take(slice(ROWS))
    write_pictures(root, [path.format(i) for i in range(ROWS)], known, SIZE, body)
    return Layout(root, root, known, LSP, "train_eft")


@layout(("coco", "cliff"), ("mpii", "cliff"))
def cliff(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    people = random_people(body, 5, seed=4, focal=test_cliff.FOCAL, centre=(320.0, 240.0), depth=5.0)
    columns = test_cliff.columns(people, dataset)
    pattern = {"coco": "train2014/COCO_train2014_{:012d}.jpg", "mpii": "images/{:09d}.jpg"}[dataset]
    columns["imgname"] = [pattern.format(i) for i in range(5)]
    write(root / f"cliffGT_v1/{cliff_file(dataset)}", **columns)
    known = known_people(people, body)
    write_pictures(root, columns["imgname"], known, SIZE, body)
    return Layout(root, root, known.take(slice(ROWS)), ALL, "train_cliff", joints=True, cover=EXACT)


def cliff_file(dataset: str) -> str:
    return {"coco": "coco2014part_cliffGT.npz", "mpii": "mpii_cliffGT.npz"}[dataset]


HMR2_FILES = {
    "3dpw": ("3dpw_test.npz", "test", "imageFiles/courtyard_arguing_00/image_{:05d}.jpg"),
    "h36m": ("h36m_val_p2.npz", "test_p2", "S9/Directions_1.54138969/{:06d}.jpg"),
    "mpi_inf_3dhp": ("mpi_inf_3dhp_train.npz", "train", "S1/Seq2/imageFrames/video_4/frame_{:06d}.jpg"),
    "coco": ("coco_val.npz", "val", "val2014/COCO_val2014_{:012d}.jpg"),
    "mpii": ("mpii_train.npz", "train", "images/{:09d}.jpg"),
    "lspet": ("hr-lspet_train.npz", "train", "im{:05d}.png"),
}


def hmr2_people(body: BodyModel) -> People:
    return random_people(body, test_hmr2_npz.COUNT, seed=8)


@layout(*((dataset, "hmr2_npz") for dataset in HMR2_FILES))
def hmr2_npz(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    people = hmr2_people(body)
    file, split, pattern = HMR2_FILES[dataset]
    names = [pattern.format(i) for i in range(test_hmr2_npz.COUNT)]
    columns = test_hmr2_npz.columns(people, imgname=np.array(names).astype("S"))
    for key in ("body_keypoints_2d", "extra_keypoints_2d"):
        columns[key][..., :2] -= PIXEL_OFFSETS.get(dataset, 0)
    write(root / file, **columns)
    known = known_people(people, body).take(slice(ROWS))
    write_pictures(root, names[:ROWS], known, SIZE, body)
    return Layout(root, root, known, ALL, split, joints=True)


@layout(*((dataset, "hmr2_tar") for dataset in ("coco", "h36m", "mpi_inf_3dhp", "mpii")))
def hmr2_tar(root: Path, body: BodyModel, mocap: Any, dataset: str, fmt: str) -> Layout:
    people = hmr2_people(body)
    held = test_hmr2_tar.persons(people, dataset)
    known = known_people(people, body)
    photographs = [encoded(drawn(known, i, SIZE, body)) for i in range(ROWS)]
    test_hmr2_tar.write(root / f"{dataset}-train/000000.tar", [[person] for person in held], photographs)
    return Layout(root, root, known.take(slice(ROWS)), ALL, "train_hmr2", joints=True)  # pictures stay in the tar


# -- motion capture ---------------------------------------------------------------------------------------------------


def before_the_camera(body: BodyModel, pose: Any, betas: Any = None) -> Known:
    """People of a y-up world, as ``mocap`` says it puts them before its virtual camera: 5 m off, level, following."""
    posed = body.pose(BodyParameters.of(pose[:, 0], pose[:, 1:], betas))
    pelvis = posed.joints[:, :1].astype(float)
    vertices, joints = ((x - pelvis) * [1, -1, -1] + [0, 0, 5] for x in (posed.vertices, body.spin24(posed)))
    pixels, outline = (800 * x[..., :2] / x[..., 2:] + [320, 240] for x in (joints, vertices))
    return Known(pixels, joints, outline, vertices[..., 2])


@layout(("amass", "amass"))
def amass(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    pose = mocap.random_pose(30, 3)
    content = test_amass.write(root / "KIT/3/kick_high02_poses.npz", pose)
    known = before_the_camera(body, pose[::12], np.tile(content["betas"][:10], (ROWS, 1)))
    return Layout(root, None, known, joints=True)


@layout(("aist", "aist"))
def aist(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    pose = mocap.random_pose(18, 5)
    trans = np.tile([0.5, 0.9, -1.0], (18, 1)) * test_aist.SCALING
    test_aist.write(root / f"motions/{test_aist.NAME}.pkl", pose, smpl_trans=trans)
    return Layout(root, None, before_the_camera(body, pose[::6]), joints=True)


@layout(("bvh", "bvh"))
def bvh(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    names = test_bvh.names_of("SMPL")
    pose = test_bvh.without(mocap.random_pose(9, 1), names)
    root.mkdir(parents=True, exist_ok=True)
    (root / "walk_01.bvh").write_text(mocap.bvh_text(mocap.Rig(names), pose))
    return Layout(root, None, before_the_camera(body, pose[::3]), joints=True, bone=2e-3, tolerance=1.0)


@layout(("amc", "amc"))
def amc(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    pose = mocap.random_pose(36, 11)
    test_amc.write(root, *mocap.asf_amc_text(test_amc.mapped(mocap), pose))
    return Layout(root, None, before_the_camera(body, pose[::12]), joints=True, bone=2e-3, tolerance=1.0)


@layout(("deepmimic", "deepmimic"))
def deepmimic(root: Path, body: BodyModel, mocap: SimpleNamespace) -> Layout:
    pose = test_deepmimic.humanoid_pose(mocap, 9, 2)
    root.mkdir(parents=True, exist_ok=True)
    # there are no collars: the reader gives them a share of the arm's rise, which moves the shoulder by a centimetre
    (root / "clip.txt").write_text(json.dumps(mocap.deepmimic_document(pose)))
    return Layout(root, None, before_the_camera(body, pose[::3]), joints=True, bone=0.02, tolerance=5.0)

"""Writers of other groups' fitted bodies: EFT, CLIFF, 4D-Humans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from tests.sources import (
    test_cliff,
    test_eft,
    test_hmr2_npz,
    test_hmr2_tar,
)
from tests.sources.layout import ALL, EXACT, LSP, ROWS, SIZE, Layout, layout
from tests.sources.people import People, random_people
from tests.sources.pictures import drawn, encoded, known_people, write_pictures
from tests.sources.spin_files import PIXEL_OFFSETS, write


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

"""Writers of raw data sets with pictures: annotation by hand, and bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.body.gendered import GenderedBody
from hmrtk.toolkit.body.model import BodyModel
from tests.sources import (
    test_bedlam,
    test_coco,
    test_h36m,
    test_humandata,
    test_lsp,
    test_mpi_inf_3dhp,
    test_mpii,
    test_threedoh,
    test_threedpw,
    test_up3d,
    test_upi_s1h,
)
from tests.sources.layout import ALL, COCO, EXACT, H36M, LSP, MPII, ROWS, SIZE, Layout, layout
from tests.sources.people import random_people
from tests.sources.pictures import Known, drawn, known_people, write_pictures
from tests.sources.spin_files import spin_box, write


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

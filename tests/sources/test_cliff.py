"""CLIFF's pseudo ground truth: written from known bodies in the whole picture's camera, which must come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.cliff import CliffSource, jpeg_size
from tests.sources.people import People, left_is_left, random_people
from tests.sources.spin_files import (
    PIXEL_OFFSETS,
    part,
    rooted,
    same_bodies,
    same_keypoints,
    same_rooted_joints,
    smpl,
    spin_box,
    write,
)

COUNT, WIDTH, HEIGHT = 5, 640, 480
FOCAL = float(np.hypot(WIDTH, HEIGHT))


@pytest.fixture(scope="module")
def people(body: BodyModel) -> People:
    return random_people(body, COUNT, seed=4, focal=FOCAL, centre=(WIDTH / 2, HEIGHT / 2), depth=5.0)


def columns(people: People, dataset: str = "coco") -> dict[str, Any]:
    names = {"coco": "train2014/COCO_train2014_{:012d}.jpg", "mpii": "images/{:09d}.jpg"}[dataset]
    ids = {"annot_id": np.arange(COUNT) + 900_100_581_175} if dataset == "coco" else {}
    return {
        "imgname": [names.format(i // 2) for i in range(COUNT)], **spin_box(people),
        "part": part(people, offset=PIXEL_OFFSETS[dataset]), **ids, **smpl(people),
        "has_smpl": np.ones(COUNT), "global_t": people.parameters.transl.astype(float),
        "focal_l": np.full(COUNT, FOCAL), "S": rooted(people),
    }  # fmt: skip


def pictures(folder: Path, names: list[str], size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    for name in set(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((*size, 3), np.uint8))


def reprojected(table: RecordTable, body: BodyModel) -> np.ndarray:
    """(N, 24, 2) px by the table's own body and camera."""
    joints = body.spin24_joints(table.parameters()).astype(float)
    return table.array("focal")[:, None] * joints[..., :2] / joints[..., 2:] + table.array("principal")[:, None]


@pytest.mark.parametrize("dataset", ["coco", "mpii"])
def test_bodies_fall_on_their_keypoints(tmp_path: Path, people: People, body: BodyModel, dataset: str) -> None:
    name = {"coco": "coco2014part_cliffGT.npz", "mpii": "mpii_cliffGT.npz"}[dataset]
    given = columns(people, dataset)
    write(tmp_path / "cliffGT_v1" / name, **given)
    pictures(tmp_path, given["imgname"])
    table = CliffSource(dataset).ingest(tmp_path, body)["train_cliff"]
    same_bodies(table, people, body)
    same_keypoints(table, people)
    same_rooted_joints(table, people)
    np.testing.assert_allclose(reprojected(table, body), people.pixels, atol=0.01)
    assert left_is_left(table)
    assert table.array("image_size").tolist() == [[HEIGHT, WIDTH]] * COUNT
    assert set(table.array("body_source")) == {"cliff"}
    person = "900100581176" if dataset == "coco" else "1"
    assert table.sample_ids[1].endswith(f"/{person}")


def test_without_pictures_there_is_no_principal_point(tmp_path: Path, people: People, body: BodyModel) -> None:
    given = columns(people)
    path = write(tmp_path / "coco2014part_cliffGT.npz", **given)
    pictures(tmp_path, given["imgname"][1:3])  # some are not enough
    table = CliffSource("coco").ingest(path, body)["train_cliff"]
    assert not table.has("principal").any()
    assert not table.has("image_size").any()
    np.testing.assert_allclose(table.array("focal"), FOCAL)
    np.testing.assert_allclose(table.array("transl"), people.parameters.transl, atol=1e-6)


def test_crops_are_4_to_3(tmp_path: Path, people: People, body: BodyModel) -> None:
    path = write(tmp_path / "coco2014part_cliffGT.npz", **columns(people))
    box = CliffSource("coco").ingest(path, body)["train_cliff"].array("bbox_xyxy").astype(float)
    sides = (box[:, 2:] - box[:, :2]) * 1.2
    np.testing.assert_allclose(sides[:, 1], 200 * np.array(spin_box(people)["scale"]), rtol=1e-5)
    np.testing.assert_allclose(sides[:, 0], sides[:, 1] * 192 / 256, rtol=1e-5)
    np.testing.assert_allclose((box[:, :2] + box[:, 2:]) / 2, np.array(spin_box(people)["center"]), atol=1e-3)


def test_limit_and_round_trip(tmp_path: Path, people: People, body: BodyModel) -> None:
    path = write(tmp_path / "mpii_cliffGT.npz", **columns(people, "mpii") | {"has_smpl": [1, 1, 0, 1, 1]})
    whole = CliffSource("mpii").ingest(path, body)["train_cliff"]
    assert CliffSource("mpii").ingest(path, body, limit=2)["train_cliff"].fingerprint == whole.head(2).fingerprint
    assert whole.has("transl").tolist() == whole.has("betas").tolist() == [True, True, False, True, True]
    whole.write(tmp_path / "train.parquet")
    assert RecordTable.read(tmp_path / "train.parquet").fingerprint == whole.fingerprint


def test_damage_is_named(tmp_path: Path, people: People, body: BodyModel) -> None:
    def refused(message: str, **changes: Any) -> None:
        given = {k: v for k, v in (columns(people) | changes).items() if v is not None}
        with pytest.raises(InputError, match=message) as caught:
            CliffSource("coco").ingest(write(tmp_path / "coco2014part_cliffGT.npz", **given), body)
        assert "\n" not in str(caught.value)

    transl = people.parameters.transl.copy()
    transl[3, 1] = np.inf
    refused(r"cliffGT\.npz: has no focal_l", focal_l=None)
    refused(r"cliffGT\.npz row 3: global_t has NaN or infinite values", global_t=transl)
    refused(r"cliffGT\.npz: global_t has shape \(5, 2\), expected \(5, 3\)", global_t=transl[:, :2])
    refused(r"cliffGT\.npz: annot_id is of type <U1, expected numbers", annot_id=["x"] * COUNT)
    pictures(tmp_path, columns(people)["imgname"], (480, 500))
    refused(r"row 0: focal_l is 800\.0, but train2014/.*jpg has 500 × 480 px, a diagonal of 693\.1 \(the picture is of")
    with pytest.raises(InputError, match=r"has no mpii_cliffGT\.npz or cliffGT_v1/mpii_cliffGT\.npz \(see: hmrtk dat"):
        CliffSource("mpii").ingest(tmp_path, body)


def test_sizes_of_jpegs(tmp_path: Path) -> None:
    pictures(tmp_path, ["a.jpg"], (30, 50))
    assert jpeg_size(tmp_path / "a.jpg") == (30, 50)
    data = (tmp_path / "a.jpg").read_bytes()
    profile = b"\xff\xe1" + (65_000).to_bytes(2, "big") + b"\0" * 64_998
    (tmp_path / "b.jpg").write_bytes(data[:2] + 3 * profile + data[2:])
    assert jpeg_size(tmp_path / "b.jpg") == (30, 50)
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"c\.jpg: is not a readable JPEG"):
        jpeg_size(tmp_path / "c.jpg")

"""EFT's JSON: written from known bodies under EFT's own camera, the reader must return bodies and joints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmrtk.toolkit.body.joints import SPIN24_NAMES
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import bbox_to_square
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.eft import OPENPOSE18_SLOTS, EftSource
from tests.sources.people import People, left_is_left, random_people
from tests.sources.spin_files import PIXEL_OFFSETS, part, same_bodies, spin_box

COUNT = 5
OPENPOSE18 = (
    "nose", "neck_lsp", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip


@pytest.fixture(scope="module")
def people(body: BodyModel) -> People:
    return random_people(body, COUNT, seed=9)


def cameras(people: People) -> np.ndarray:
    """(N, 3): weak perspective of a person some way off, as EFT's network gives them."""
    rng = np.random.default_rng(1)
    return np.column_stack([rng.uniform(0.8, 1.0, COUNT), rng.uniform(-0.05, 0.05, (COUNT, 2))])


def weak(people: People) -> np.ndarray:
    """(N, 24, 2) px as ``visEFTFit.py`` draws: 112·(s·X + t) + 112 in a crop of 224, moved to the picture."""
    box = spin_box(people)
    side, center = 200 * np.array(box["scale"]), np.array(box["center"])
    camera = cameras(people)[:, None]
    joints = people.joints - people.parameters.transl[:, None]
    crop = 112 * (camera[..., :1] * joints[..., :2] + camera[..., 1:]) + 112
    return (crop / 224 - 0.5) * side[:, None, None] + center[:, None]


def items(people: People, keypoints: bool = True, offset: float = 0.5, name: str = "COCO_train2014_{:012d}.jpg") -> Any:
    box, matrices = spin_box(people), Rotation.from_rotvec(people.parameters.pose.reshape(-1, 3)).as_matrix()
    matrices = matrices.reshape(COUNT, 24, 3, 3)
    given = np.concatenate([np.full((COUNT, 25, 3), 9.0), part(people, range(14), offset=offset)], axis=1)
    made = []
    for i in range(COUNT):
        made.append(
            {
                "parm_pose": matrices[i].tolist(), "parm_shape": people.parameters.betas[i].tolist(),
                "parm_cam": cameras(people)[i].tolist(), "bbox_scale": float(box["scale"][i]),
                "bbox_center": np.asarray(box["center"][i]).tolist(),
                "joint_validity_openpose18": [1.0] * 14 + [0.0] * 4, "smpltype": "smpl", "annotId": 400 + i,
                "imageName": name.format(7 + i // 2),
            }
        )  # fmt: skip
        if keypoints:
            made[-1]["gt_keypoint_2d"] = given[i].tolist()
    return made


def write(path: Path, data: Any) -> Path:
    path.write_text(json.dumps({"ver": 0.1, "data": data}))
    return path


def test_the_order_of_openpose() -> None:
    assert tuple(SPIN24_NAMES[slot] for slot in OPENPOSE18_SLOTS) == OPENPOSE18


def test_bodies_and_annotated_keypoints(tmp_path: Path, people: People, body: BodyModel) -> None:
    write(tmp_path / "COCO2014-Part-ver01.json", items(people))
    write(tmp_path / "COCO2014-All-ver01.json", items(people))
    tables = EftSource("coco").ingest(tmp_path, body)
    assert sorted(tables) == ["train_eft", "train_full_eft"]
    table = tables["train_eft"]
    same_bodies(table, people, body)
    np.testing.assert_allclose(table.array("keypoints2d")[:, :14, :2], people.pixels[:, :14], atol=1e-3)
    assert not table.array("keypoints2d")[:, 14:].any()
    assert left_is_left(table)
    assert table.sample_ids[1] == "coco/train_eft/train2014/COCO_train2014_000000000007/401"
    assert table.array("image_path")[4] == "train2014/COCO_train2014_000000000009.jpg"
    assert set(table.array("body_source")) == {"eft"}
    assert not table.has("transl").any()
    _, side = bbox_to_square(table.array("bbox_xyxy").astype(float), 1.2)
    np.testing.assert_allclose(side, 200 * np.array(spin_box(people)["scale"]), rtol=1e-5)


@pytest.mark.parametrize(
    ("dataset", "file", "name", "path"),
    [
        ("mpii", "MPII_ver01.json", "/run/media/x/images/0{:08d}.jpg", "images/000000007.jpg"),
        ("lspet", "LSPet_ver01.json", "im{:05d}.png", "im00007.png"),
    ],
)
def test_without_keypoints_the_fit_shows_itself(
    tmp_path: Path, people: People, body: BodyModel, dataset: str, file: str, name: str, path: str
) -> None:
    """Joints fall where EFT's own drawing puts them; the crop camera solved from them shows the fit there."""
    table = EftSource(dataset).ingest(write(tmp_path / file, items(people, False, name=name)), body)["train_eft"]
    same_bodies(table, people, body)
    keypoints = table.array("keypoints2d")
    np.testing.assert_allclose(keypoints[..., :2], weak(people), atol=2e-3)
    valid = sorted(OPENPOSE18_SLOTS[:14])
    assert np.flatnonzero(keypoints[0, :, 2]).tolist() == valid
    assert table.array("image_path")[0] == path
    assert table.sample_ids[1] == f"{dataset}/train_eft/{path.rsplit('.', 1)[0]}/1"
    crops = record_crops(table, body)
    assert crops.valid.all()
    np.testing.assert_allclose(crops.camera[:, 0], cameras(people)[:, 0], atol=2e-3)


@pytest.mark.parametrize(("dataset", "file"), [("mpii", "MPII_ver01.json"), ("lspet", "LSPet_ver01.json")])
def test_annotated_keypoints_are_in_the_pixel_numbers_of_their_set(
    tmp_path: Path, people: People, body: BodyModel, dataset: str, file: str
) -> None:
    path = write(tmp_path / file, items(people, offset=PIXEL_OFFSETS.get(dataset, 0)))
    table = EftSource(dataset).ingest(path, body)["train_eft"]
    np.testing.assert_allclose(table.array("keypoints2d")[:, :14, :2], people.pixels[:, :14], atol=1e-3)


def test_limit_and_round_trip(tmp_path: Path, people: People, body: BodyModel) -> None:
    path = write(tmp_path / "MPII_ver01.json", items(people))
    whole = EftSource("mpii").ingest(path, body)["train_eft"]
    some = EftSource("mpii").ingest(path, body, limit=3)["train_eft"]
    assert some.fingerprint == whole.head(3).fingerprint
    whole.write(tmp_path / "train.parquet")
    again = RecordTable.read(tmp_path / "train.parquet")
    assert again.fingerprint == whole.fingerprint
    same_bodies(again, people, body)


def changed(row: int, **values: Any) -> Any:
    return lambda data: data[row].update(values)


DAMAGES = {
    "no pose": (lambda d: d[2].pop("parm_pose"), r"json row 2: has no parm_pose"),
    "shape": (changed(1, parm_shape=[0.0] * 9), r"json row 1: parm_shape has 9 values, expected at least 10"),
    "absurd": (changed(1, parm_shape=[44.0] * 10), r"json row 1: parm_shape reaches 44\.0, expected at most 20"),
    "no rotation": (changed(3, parm_pose=np.ones((24, 3, 3)).tolist()), r"json row 3: parm_pose is no rotation at j"),
    "mirrored": (
        changed(3, parm_pose=[(-np.eye(3)).tolist()] * 24),
        r"json row 3: parm_pose is no rotation at joint 0",
    ),
    "NaN": (changed(0, parm_cam=[np.nan, 0, 0]), r"json row 0 row 0: parm_cam has NaN or infinite values"),
    "box": (changed(4, bbox_scale=0.0), r"json row 4: bbox_scale is 0\.0, expected a positive number"),
    "smplx": (changed(4, smpltype="smplx"), r"json row 4: smpltype is 'smplx', expected 'smpl'"),
    "name": (changed(4, imageName=".."), r"json row 4: picture 'images/\.\.' is not a path below"),
    "no object": (lambda d: d.__setitem__(1, 5), r"json row 1: is a int, expected an object"),
    "keypoints": (
        changed(2, gt_keypoint_2d=[[1, 2, 1]] * 24),
        r"json row 2: gt_keypoint_2d has shape \(24, 3\), expected",
    ),
    "empty": (lambda d: d.clear(), r"json: data is empty"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(tmp_path: Path, people: People, body: BodyModel, damage: str) -> None:
    change, message = DAMAGES[damage]
    data = items(people)
    change(data)
    with pytest.raises(InputError, match=message) as caught:
        EftSource("mpii").ingest(write(tmp_path / "MPII_ver01.json", data), body)
    assert "\n" not in str(caught.value)


def test_places_that_are_not_there(tmp_path: Path, people: People, body: BodyModel) -> None:
    with pytest.raises(
        InputError, match=r"has no COCO2014-Part\*\.json or COCO2014-All\*\.json \(see: hmrtk datasets s"
    ):
        EftSource("coco").ingest(tmp_path, body)
    write(tmp_path / "MPII_ver01.json", items(people))
    path = write(tmp_path / "MPII_ver02.json", items(people))
    with pytest.raises(InputError, match=r"MPII_ver01\.json and MPII_ver02\.json both hold the split train_eft"):
        EftSource("mpii").ingest(tmp_path, body)
    path.write_text(path.read_text()[:-3000])
    with pytest.raises(InputError, match=r"MPII_ver02\.json: is not valid JSON: .*the file may be truncated"):
        EftSource("mpii").ingest(path, body)
    assert len(EftSource("mpii").ingest(path, body, limit=1)["train_eft"]) == 1

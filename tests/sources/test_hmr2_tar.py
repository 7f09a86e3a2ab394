"""4D-Humans' tar shards: written from known bodies, read without running their pickles."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.picture_files import PictureFolder
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.hmr2_tar import Hmr2TarSource
from tests.sources.people import People, left_is_left, random_people, tight
from tests.sources.spin_files import PIXEL_OFFSETS, same_bodies, same_keypoints, same_rooted_joints, smpl
from tests.sources.test_hmr2_npz import joints_44

COUNT = 5


@pytest.fixture(scope="module")
def people(body: BodyModel) -> People:
    return random_people(body, COUNT, seed=8)


def persons(people: People, dataset: str = "mpii") -> list[dict[str, Any]]:
    box, flat, deep = tight(people.vertices), joints_44(people, 2), joints_44(people, 3)
    for joints in flat.values():
        joints[..., :2] -= PIXEL_OFFSETS.get(dataset, 0)
    return [
        {
            "keypoints_2d": np.concatenate([flat["body_keypoints_2d"][i], flat["extra_keypoints_2d"][i]]).astype("f4"),
            "keypoints_3d": np.concatenate([deep["body_keypoints_3d"][i], deep["extra_keypoints_3d"][i]]).astype("f4"),
            "center": (box[i, :2] + box[i, 2:]) / 2, "scale": 1.2 * (box[i, 2:] - box[i, :2]) / 200,
            "body_pose": smpl(people)["pose"][i].astype("f4"), "has_body_pose": np.float32(1),
            "betas": smpl(people)["shape"][i].astype("f4"), "has_betas": np.array(1.0),
            "extra_info": {"detection_npz_idx": i, "fitting_loss": np.array({"reprojection_loss": 3.0})},
        }
        for i in range(COUNT)
    ]  # fmt: skip


def write(path: Path, pictures: list[list[Any]], photographs: Sequence[bytes] = ()) -> Path:
    """A shard whose pictures hold these people, ``persons`` or anything else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for i, held in enumerate(pictures):
            photograph = photographs[i] if i < len(photographs) else b"\xff\xd8"
            for suffix, data in ((".jpg", photograph), (".data.pyd", pickle.dumps(held)), (".detection.npz", b"PK")):
                member = tarfile.TarInfo(f"000{i}{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def read(root: Path, body: BodyModel, **arguments: Any) -> RecordTable:
    return Hmr2TarSource("mpii").ingest(root, body, **arguments)["train_hmr2"]


def test_bodies_joints_and_boxes(tmp_path: Path, people: People, body: BodyModel) -> None:
    held = persons(people)
    write(tmp_path / "mpii-train" / "000000.tar", [held[:2], [], held[2:3]])
    write(tmp_path / "mpii-train" / "000001.tar", [held[3:]])
    table = read(tmp_path, body)
    same_bodies(table, people, body)
    same_keypoints(table, people)
    same_rooted_joints(table, people)
    assert left_is_left(table)
    np.testing.assert_allclose(table.array("bbox_xyxy"), tight(people.vertices), atol=1e-3)
    assert table.sample_ids == [
        f"mpii/train_hmr2/mpii-train/{name}"
        for name in ("000000/0000/0", "000000/0000/1", "000000/0002/0", "000001/0000/0", "000001/0000/1")
    ]
    assert table.array("image_path")[2] == "mpii-train/000000.tar/0002.jpg"
    table.write(tmp_path / "train.parquet")
    assert RecordTable.read(tmp_path / "train.parquet").fingerprint == table.fingerprint
    some = read(tmp_path, body, limit=2)
    assert some.fingerprint == table.head(2).fingerprint
    assert list(some.metadata.provenance["inputs"]) == ["mpii-train/000000.tar"]


def test_pictures_are_read_from_the_shard(tmp_path: Path, people: People, body: BodyModel) -> None:
    held = persons(people)
    path = write(tmp_path / "mpii-train" / "000000.tar", [held[:2], held[2:]])
    for root, images in ((tmp_path, tmp_path), (path, path.parent), (path, path)):
        for image_path in read(root, body).array("image_path"):
            assert PictureFolder(images).find(image_path, "row").read() == b"\xff\xd8"


def test_fits_without_pose_or_with_wild_betas_are_no_bodies(tmp_path: Path, people: People, body: BodyModel) -> None:
    held = persons(people)
    held[1]["has_body_pose"] = np.float32(0)
    held[2]["betas"] = np.full(10, 3.2)
    held[3]["keypoints_3d"] = np.zeros((44, 4))
    table = read(write(tmp_path / "a.tar", [held]), body)
    assert table.has("betas", "body_pose").tolist() == [True, False, False, True, True]
    assert table.has("joints3d").tolist() == [True, True, True, False, True]


def test_damage_is_named(tmp_path: Path, people: People, body: BodyModel) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    def refused(message: str, held: Any) -> None:
        with pytest.raises(InputError, match=message) as caught:
            read(write(tmp_path / "a.tar", [held]), body)
        assert "\n" not in str(caught.value)

    def one(**changes: Any) -> list[dict[str, Any]]:
        return [persons(people)[0] | changes]

    refused(r"a\.tar 0000: holds a .*, which hmrtk does not load \(expected a list of people\)", one(x=Trap()))
    assert not (tmp_path / "ran").exists()
    refused(r"a\.tar 0000: holds a dict, expected a list of people", {"a": 1})
    refused(r"a\.tar 0000 person 0: is a int, expected a dictionary", [5])
    refused(
        r"a\.tar 0000 person 0: scale is \[0\.0, 1\.0\], expected one or two positive", one(scale=np.array([0.0, 1]))
    )
    refused(r"a\.tar 0000 person 0: scale is not an array of numbers", one(scale="x"))
    refused(r"a\.tar 0000 person 0: betas reaches 40\.0, expected at most 20", one(betas=np.full(10, 40.0)))
    refused(r"a\.tar 0000 person 0: keypoints_2d has shape \(49, 3\)", one(keypoints_2d=np.zeros((49, 3))))
    refused(r"a\.tar: has no person", [])
    path = write(tmp_path / "a.tar", [persons(people)])
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"a\.tar: is not a readable tar \(truncated or corrupt"):
        read(path, body)
    path.write_bytes(b"no tar")
    with pytest.raises(InputError, match=r"a\.tar: is not a readable tar"):
        read(path, body)
    path.unlink()
    with pytest.raises(InputError, match=r"has no \*\.tar \(see: hmrtk datasets show mpii\)"):
        read(tmp_path, body)

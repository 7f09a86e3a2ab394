"""SPIN-style npz files: written from known bodies in every variant, the reader must return those bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.body.joints import SPIN24_FROM_SMPL
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import bbox_to_square
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.sources.spin_npz import SpinNpzSource
from hmrtk.toolkit.sources.spin_variants import VARIANTS
from tests.sources.people import People, left_is_left, random_people, tight
from tests.sources.spin_files import (
    H36M_SLOTS,
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

COUNT = 5


@pytest.fixture(scope="module")
def people(body: BodyModel) -> People:
    return random_people(body, COUNT, seed=3)


def h36m_names(subject: int = 9) -> list[str]:
    return [f"images/S{subject}_Directions_1.54138969_{5 * i + 1:06d}.jpg" for i in range(COUNT)]


def read(path: Path, dataset: str, body: BodyModel, **arguments: Any) -> RecordTable:
    tables = SpinNpzSource(dataset).ingest(path, body, **arguments)
    assert len(tables) == 1
    return next(iter(tables.values()))


def full(people: People, **changes: Any) -> dict[str, Any]:
    """A training file with everything, as MPI-INF-3DHP's."""
    names = [f"S1/Seq2/imageFrames/video_4/frame_{10 * i + 1:06d}.jpg" for i in range(COUNT)]
    columns = {"imgname": names, **spin_box(people), "part": part(people, H36M_SLOTS), **smpl(people)}
    openpose = np.full((COUNT, 25, 3), np.nan)  # never read
    return {**columns, "has_smpl": np.ones(COUNT), "S": rooted(people, H36M_SLOTS), "openpose": openpose} | changes


def test_h36m_protocols(tmp_path: Path, people: People, body: BodyModel) -> None:
    columns = {"imgname": h36m_names(), **spin_box(people, 0.9), "S": rooted(people, H36M_SLOTS)}
    write(tmp_path / "h36m_valid_protocol1.npz", **columns)
    write(tmp_path / "h36m_valid_protocol2.npz", **{k: v[:2] for k, v in columns.items()})
    tables = SpinNpzSource("h36m").ingest(tmp_path, body)
    assert {split: len(table) for split, table in tables.items()} == {"test": COUNT, "test_p2": 2}
    table = tables["test"]
    same_rooted_joints(table, people, H36M_SLOTS)
    assert table.sample_ids[1] == "h36m/test/images/S9_Directions_1.54138969_000006/0"
    row = table.table.slice(1, 1).to_pylist()[0]
    assert (row["subject"], row["sequence"], row["action"]) == ("S9", "S9_Directions_1", "Directions")
    assert (row["camera_id"], row["frame"], row["gender"], row["body_source"]) == ("54138969", 6, None, None)
    assert not table.has("betas").any()
    assert not table.has("keypoints2d").any()


def test_h36m_training_with_mosh(tmp_path: Path, people: People, body: BodyModel) -> None:
    columns = full(people, imgname=h36m_names(1), **spin_box(people, 0.9))
    del columns["has_smpl"]  # then every row has a body
    table = read(write(tmp_path / "h36m_mosh_train.npz", **columns), "h36m", body)
    same_bodies(table, people, body)
    same_keypoints(table, people, H36M_SLOTS)
    same_rooted_joints(table, people, H36M_SLOTS)
    assert left_is_left(table)
    assert set(table.array("body_source")) == {"mosh"}
    assert set(table.array("gender")) == {"neutral"}
    assert table.metadata.body == body.fingerprint


def test_the_box_factor_is_taken_off(tmp_path: Path, people: People, body: BodyModel) -> None:
    """0.9 in SPIN's Human3.6M, 1.2 elsewhere: both leave the tight box."""
    longest = (tight(people.vertices)[:, 2:] - tight(people.vertices)[:, :2]).max(axis=1)
    for dataset, name, factor in (("h36m", "h36m_train.npz", 0.9), ("coco", "coco_2014_train.npz", 1.2)):
        path = write(tmp_path / name, **full(people, **spin_box(people, factor)))
        center, side = bbox_to_square(read(path, dataset, body).array("bbox_xyxy").astype(float), 1.0)
        np.testing.assert_allclose(side, longest, rtol=1e-5)
        np.testing.assert_allclose(center, np.array(spin_box(people)["center"]), atol=1e-3)
    decomr = SpinNpzSource("h36m", expansion=1.0).ingest(tmp_path / "h36m_train.npz", body)["train"]
    _, side = bbox_to_square(decomr.array("bbox_xyxy").astype(float), 1.0)
    np.testing.assert_allclose(side, 0.9 * longest, rtol=1e-5)


def test_3dpw(tmp_path: Path, people: People, body: BodyModel) -> None:
    names = [f"imageFiles/downtown_bus_00/image_{i // 2:05d}.jpg" for i in range(COUNT)]
    columns = {"imgname": names, **spin_box(people), **smpl(people), "gender": list("mfmfm")}
    table = read(write(tmp_path / "3dpw_test.npz", **columns), "3dpw", body)
    same_bodies(table, people, body)
    assert table.array("gender").tolist() == ["male", "female", "male", "female", "male"]
    assert table.sample_ids[:3] == [
        "3dpw/test/imageFiles/downtown_bus_00/image_00000/0",
        "3dpw/test/imageFiles/downtown_bus_00/image_00000/1",
        "3dpw/test/imageFiles/downtown_bus_00/image_00001/0",
    ]
    assert table.array("sequence")[0] == "downtown_bus_00"
    assert table.array("frame").tolist() == [0, 0, 1, 1, 2]
    assert not table.has("keypoints2d").any()


@pytest.mark.parametrize("name", ["mpi_inf_3dhp_valid.npz", "mpi_inf_3dhp_test.npz"])
def test_both_names_of_the_mpi_inf_test_set(tmp_path: Path, people: People, body: BodyModel, name: str) -> None:
    names = [f"mpi_inf_3dhp_test_set/TS2/imageSequence/img_{i + 1:06d}.jpg" for i in range(COUNT)]
    columns = {k: v for k, v in full(people, imgname=names).items() if k in ("imgname", "center", "scale", "part", "S")}
    tables = SpinNpzSource("mpi_inf_3dhp").ingest(write(tmp_path / name, **columns).parent, body)
    assert list(tables) == ["test"]
    same_rooted_joints(tables["test"], people, H36M_SLOTS)
    assert set(tables["test"].array("subject")) == {"TS2"}


def test_mpi_inf_training_where_some_have_no_body(tmp_path: Path, people: People, body: BodyModel) -> None:
    columns = full(people, has_smpl=np.array([1, 0, 1, 1, 0]))
    columns["pose"][1] = np.nan  # what stands in a row without a body is not read
    table = read(write(tmp_path / "mpi_inf_3dhp_train.npz", **columns), "mpi_inf_3dhp", body)
    assert table.has("global_orient", "body_pose", "betas").tolist() == [True, False, True, True, False]
    assert table.array("body_source").tolist() == ["multiview_fit", None, "multiview_fit", "multiview_fit", None]
    assert table.array("gender").tolist() == ["neutral", None, "neutral", "neutral", None]
    row = table.table.slice(0, 1).to_pylist()[0]
    assert (row["subject"], row["sequence"], row["camera_id"], row["frame"]) == ("S1", "S1/Seq2", "4", 1)
    same_keypoints(table, people, H36M_SLOTS)


@pytest.mark.parametrize(
    ("dataset", "name", "picture", "split"),
    [
        ("lsp", "lsp_dataset_test.npz", "images/im1001.jpg", "test"),
        ("lsp", "lsp_dataset_original_train.npz", "images/im0001.jpg", "train"),
        ("lspet", "hr-lspet_train.npz", "im00001.png", "train"),
        ("mpii", "mpii_train.npz", "images/015601864.jpg", "train"),
    ],
)
def test_annotated_pictures(
    tmp_path: Path, people: People, body: BodyModel, dataset: str, name: str, picture: str, split: str
) -> None:
    slots = range(16) if dataset == "mpii" else range(14)
    marked = part(people, slots, offset=PIXEL_OFFSETS.get(dataset, 0))
    extra = {"maskname": ["m.png"] * COUNT, "partname": ["p.png"] * COUNT} if split == "test" else {}
    columns = {"imgname": [picture] * COUNT, **spin_box(people), "part": marked, **extra}
    table = read(write(tmp_path / name, **columns), dataset, body)
    same_keypoints(table, people, slots)
    assert left_is_left(table)
    assert not table.has("betas").any()
    stem = picture.rsplit(".", 1)[0]
    assert table.sample_ids == [f"{dataset}/{split}/{stem}/{i}" for i in range(COUNT)]
    assert set(table.array("image_path")) == {picture}


def test_coco_counts_pixels_from_0(tmp_path: Path, people: People, body: BodyModel) -> None:
    slots = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 19, 20, 21, 22, 23]
    names = [f"train2014/COCO_train2014_{i:012d}.jpg" for i in range(COUNT)]
    columns = {"imgname": names, **spin_box(people), "part": part(people, slots, offset=0.5)}
    same_keypoints(read(write(tmp_path / "coco_2014_train.npz", **columns), "coco", body), people, slots)
    columns["part"][..., 2] *= 2  # COCO's own flag for a visible joint
    value = read(write(tmp_path / "coco_2014_val.npz", **columns), "coco", body)
    assert value.array("keypoints2d")[..., 2].max() == 1


def test_densepose_coco_without_running_its_pickles(tmp_path: Path, people: People, body: BodyModel) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    points = [
        {"bbox": [10, 20, 51, 102], "dp_x": [255.0, 0.0], "dp_y": [127.5, 0], "dp_I": [2, 3], "dp_U": [0.1, 1],
         "dp_V": [0.2, 0], "dp_masks": [[]] * 14}
        for _ in range(COUNT)
    ]  # fmt: skip
    names = [f"train2014/COCO_train2014_{i:012d}.jpg" for i in range(COUNT)]
    columns = {"imgname": names, **spin_box(people), "part": part(people, offset=0.5), "im_id": range(COUNT)}
    path = write(tmp_path / "dp_coco_2014_train.npz", **columns, dp_annot=points, smpl_2dkps=part(people))
    table = read(path, "densepose_coco", body)
    same_keypoints(table, people)
    assert table.dense is not None
    found = table.dense.points(table.sample_ids[3])
    assert found is not None
    assert (found.chart.tolist(), found.pixels.tolist()) == ([2, 3], [[61, 71], [10, 20]])
    write(path, **columns, dp_annot=[{**person, "x": Trap()} for person in points])
    with pytest.raises(InputError, match="which hmrtk does not load"):
        read(path, "densepose_coco", body)
    assert not (tmp_path / "ran").exists()
    write(path, **columns, dp_annot=[*points[:-1], 3])
    with pytest.raises(InputError, match="row 4: dp_annot is a int, expected a dictionary"):
        read(path, "densepose_coco", body)


def test_masks_of_lsp(tmp_path: Path, people: People, body: BodyModel) -> None:
    names = [f"im{1001 + i}" for i in range(COUNT)]
    columns = {
        "imgname": [f"images/{name}.jpg" for name in names], **spin_box(people), "part": part(people, range(14)),
        "maskname": [f"lsp/{name}_segmentation.png" for name in names],
        "partname": [f"lsp/{name}_part_segmentation.png" for name in names],
    }  # fmt: skip
    table = read(write(tmp_path / "lsp_dataset_test.npz", **columns), "lsp", body, limit=3)
    assert table.dense is not None
    assert len(table.dense) == 3
    assert table.dense.value(table.sample_ids[2], "parts_path") == "lsp/im1003_part_segmentation.png"
    assert table.dense.value("lsp/test/other/0", "parts_path") is None
    columns["maskname"][1] = "../x.png"
    with pytest.raises(InputError, match=r"row 1: picture '\.\./x\.png' is not a path below"):
        read(write(tmp_path / "lsp_dataset_test.npz", **columns), "lsp", body)


def test_up3d_and_its_two_test_lists(tmp_path: Path, people: People, body: BodyModel) -> None:
    columns = {"imgname": [f"{i:05d}_image.png" for i in range(COUNT)], **spin_box(people), **smpl(people)}
    columns["part"] = part(people, range(14))
    for name in ("trainval", "train", "val", "test", "lsp_test"):
        write(tmp_path / f"up_3d_{name}.npz", **columns)
    tables = SpinNpzSource("up3d").ingest(tmp_path, body)
    assert sorted(tables) == ["test", "test_lsp", "train", "trainval", "val"]
    same_bodies(tables["test_lsp"], people, body)
    same_keypoints(tables["test"], people, range(14))
    assert set(tables["val"].array("body_source")) == {"smplify"}


def test_surreal(tmp_path: Path, people: People, body: BodyModel) -> None:
    joints = body.joints(people.parameters).astype(float)
    pixels = 500 * joints[..., :2] / joints[..., 2:] + [320, 240]
    columns = {
        "gender": list("mfmff"), "videoname": ["run0/01_01/01_01_c0001.mp4"] * COUNT,
        "framenum": np.arange(COUNT) * 10, **spin_box(people), **smpl(people),
        "part_smpl": np.concatenate([pixels, np.ones((COUNT, 24, 1))], axis=2),
        "S_smpl": np.concatenate([joints - joints[:, :1], np.ones((COUNT, 24, 1))], axis=2),
    }  # fmt: skip
    table = read(write(tmp_path / "surreal_train.npz", **columns), "surreal", body)
    same_bodies(table, people, body)
    same_keypoints(table, people, SPIN24_FROM_SMPL)
    found = table.array("joints3d")[:, list(SPIN24_FROM_SMPL), :3] + joints[:, :1]
    np.testing.assert_allclose(found, people.joints[:, list(SPIN24_FROM_SMPL)], atol=1e-5)
    assert table.sample_ids[2] == "surreal/train/run0/01_01/01_01_c0001/20/0"
    assert table.array("frame").tolist() == [0, 10, 20, 30, 40]
    assert not table.has("image_path").any()


@pytest.mark.parametrize(
    ("dataset", "name", "split"),
    [
        ("coco", "coco_2014_train_eft.npz", "train_eft"),
        ("coco", "coco-full_train_eft.npz", "train_full_eft"),
        ("mpii", "mpii_train_eft.npz", "train_eft"),
        ("lspet", "hr-lspet_train_eft.npz", "train_eft"),
    ],
)
def test_eft_in_npz(tmp_path: Path, people: People, body: BodyModel, dataset: str, name: str, split: str) -> None:
    columns = full(people, imgname=[f"images/{i}.jpg" for i in range(COUNT)])
    tables = SpinNpzSource(dataset).ingest(write(tmp_path / name, **columns), body)
    assert list(tables) == [split]
    same_bodies(tables[split], people, body)
    assert set(tables[split].array("body_source")) == {"eft"}


def test_every_variant_has_its_own_names() -> None:
    for dataset, variants in VARIANTS.items():
        names = [name for variant in variants for name in variant.names]
        assert len(names) == len(set(names)), dataset
        assert len({variant.split for variant in variants}) == len(variants), dataset


def test_limit_keeps_ids_and_order(tmp_path: Path, people: People, body: BodyModel) -> None:
    path = write(tmp_path / "mpi_inf_3dhp_train.npz", **full(people))
    whole, some = read(path, "mpi_inf_3dhp", body), read(path, "mpi_inf_3dhp", body, limit=2)
    assert len(some) == 2
    assert some.sample_ids == whole.sample_ids[:2]
    assert some.fingerprint == whole.head(2).fingerprint
    assert len(set(whole.sample_ids)) == COUNT
    assert list(whole.metadata.provenance["inputs"]) == ["mpi_inf_3dhp_train.npz"]


def test_other_writers(tmp_path: Path, people: People, body: BodyModel) -> None:
    """Compressed, Fortran order, float32, bytes or objects for text, (N, 24, 3) poses, (N, 1) scales, back-slashes."""
    columns = full(people)
    path = write(tmp_path / "mpi_inf_3dhp_train.npz", **columns)
    expected = read(path, "mpi_inf_3dhp", body)
    names = np.array(columns["imgname"])
    for text in (names.astype("S"), names.astype(object), np.char.replace(names, "/", "\\")):
        changed = columns | {
            "imgname": text, "pose": np.asfortranarray(columns["pose"]), "part": columns["part"].astype(np.float32),
            "scale": np.array(columns["scale"])[:, None], "S": columns["S"].astype(">f8"),
        }  # fmt: skip
        np.savez_compressed(path, **changed)
        found = read(path, "mpi_inf_3dhp", body)
        assert found.sample_ids == expected.sample_ids
        np.testing.assert_allclose(found.array("body_pose"), expected.array("body_pose"), atol=1e-6)
    np.savez(path, **columns | {"pose": columns["pose"].reshape(COUNT, 24, 3)})
    assert read(path, "mpi_inf_3dhp", body).fingerprint == expected.fingerprint


def test_written_and_read_back(tmp_path: Path, people: People, body: BodyModel) -> None:
    table = read(write(tmp_path / "mpi_inf_3dhp_train.npz", **full(people)), "mpi_inf_3dhp", body)
    table.write(tmp_path / "train.parquet")
    again = RecordTable.read(tmp_path / "train.parquet")
    assert again.fingerprint == table.fingerprint
    same_bodies(again, people, body)


def with_value(key: str, row: int, value: Any) -> Any:
    def change(columns: dict[str, Any]) -> None:
        array = np.array(columns[key])
        if array.dtype.kind == "U":
            array = array.astype("U60")
        array[row] = value
        columns[key] = array

    return change


DAMAGES = {
    "no scale": (lambda c: c.pop("scale"), r"train\.npz: has no scale \(it has imgname, center, part"),
    "no center": (lambda c: c.pop("center"), r"train\.npz: has no center"),
    "pose of 71": (lambda c: c.update(pose=c["pose"][:, :71]), r"pose has shape \(5, 71\), expected \(5, 24, 3\)"),
    "rows": (lambda c: c.update(part=c["part"][:4]), r"part has shape \(4, 24, 3\), expected 5 rows"),
    "text": (lambda c: c.update(scale=["x"] * 5), r"scale is of type <U1, expected numbers"),
    "numbers": (lambda c: c.update(imgname=[1] * 5), r"imgname is of type int64, expected text"),
    "NaN pose": (with_value("pose", 3, np.nan), r"train\.npz row 3: pose has NaN or infinite values"),
    "NaN joint": (with_value("part", 2, np.nan), r"train\.npz row 2: part has NaN or infinite values"),
    "NaN box": (with_value("center", 1, np.inf), r"train\.npz row 1: center has NaN or infinite values"),
    "absurd": (with_value("shape", 4, 31), r"train\.npz row 4: \|shape\| reaches 31\.0, expected at most 20"),
    "empty box": (with_value("scale", 2, 0), r"train\.npz row 2: scale is 0\.0, expected a positive number"),
    "pixels": (with_value("scale", 1, 350.0), r"row 1: scale is 350, a box of 70000 px \(files in pixels are 4D-H"),
    "millimetres": (with_value("S", 1, 900.0), r"train\.npz row 1: S reaches 900, expected metres"),
    "escape": (with_value("imgname", 2, "../x.jpg"), r"train\.npz row 2: picture '\.\./x\.jpg' is not a path below"),
    "absolute": (with_value("imgname", 0, "C:/x.jpg"), r"train\.npz row 0: picture 'C:/x\.jpg' is not a path below"),
    "gender": (lambda c: c.update(gender=list("mfxff")), r"train\.npz row 2: gender is 'x', expected one of"),
    "empty": (lambda c: c.update({k: np.asarray(v)[:0] for k, v in c.items()}), r"train\.npz: center is empty"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(tmp_path: Path, people: People, body: BodyModel, damage: str) -> None:
    change, message = DAMAGES[damage]
    columns = full(people)
    change(columns)
    path = write(tmp_path / "mpi_inf_3dhp_train.npz", **columns)
    with pytest.raises(InputError, match=message) as caught:
        read(path, "mpi_inf_3dhp", body)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_and_foreign_files(tmp_path: Path, people: People, body: BodyModel) -> None:
    path = write(tmp_path / "mpi_inf_3dhp_train.npz", **full(people))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"train\.npz: is not a readable \.npz \(truncated or corrupt"):
        read(path, "mpi_inf_3dhp", body)
    at = whole.index(b"\x93NUMPY", whole.index(b"pose.npy"))
    path.write_bytes(whole[: at + 60] + b"\0" * 40 + whole[at + 100 :])
    with pytest.raises(InputError, match=r"train\.npz: pose.* is damaged"):
        read(path, "mpi_inf_3dhp", body)


def test_places_that_are_not_there(tmp_path: Path, people: People, body: BodyModel) -> None:
    source = SpinNpzSource("mpi_inf_3dhp")
    with pytest.raises(InputError, match=r"has no mpi_inf_3dhp_train\.npz or .* \(see: hmrtk datasets show mpi_inf"):
        source.ingest(tmp_path, body)
    with pytest.raises(InputError, match="nowhere: no such file or directory"):
        source.ingest(tmp_path / "nowhere", body)
    with pytest.raises(InputError, match="the folder of its files is not given"):
        source.ingest(None, body)
    path = write(tmp_path / "mine.npz", **full(people))
    with pytest.raises(InputError, match=r"mine\.npz: is not a known file of mpi_inf_3dhp \(known: mpi_inf_3dhp_tr"):
        source.ingest(path, body)
    for name in ("mpi_inf_3dhp_valid.npz", "mpi_inf_3dhp_test.npz"):
        write(tmp_path / name, **full(people))
    with pytest.raises(InputError, match=r"valid\.npz and mpi_inf_3dhp_test\.npz both hold the split test \(pass --r"):
        source.ingest(tmp_path, body)

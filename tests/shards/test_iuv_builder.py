"""``render-iuv`` as a library: crops and whole images, alone and in company, begun and gone on with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.atlas import onepiece_atlas, reference_atlas
from hmrtk.toolkit.maps.iuv import chunk_bodies, render_iuv_bodies, render_iuv_projected
from hmrtk.toolkit.maps.projection import Projection
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.records.record import RecordMetadata
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards import iuv_set
from hmrtk.toolkit.shards.iuv_builder import IUVConfig, build_iuv_images, build_iuv_set
from hmrtk.toolkit.shards.iuv_set import IUVSet
from hmrtk.toolkit.sources.projection import derived_columns


@pytest.fixture(scope="module")
def street(body: BodyModel) -> RecordTable:
    """Two people who overlap in one image, and one in another."""
    rng = np.random.default_rng(3)
    orient = np.array([[np.pi, 0, 0]] * 3) + rng.normal(0, 0.1, (3, 3))
    transl = np.array([[-0.1, 0.1, 3.0], [0.05, 0.0, 3.8], [0.0, 0.0, 4.0]])
    people = BodyParameters.of(orient, rng.normal(0, 0.15, (3, 23, 3)), rng.normal(0, 1, (3, 10)), transl)
    focal, principal = np.full((3, 2), 300, np.float32), np.tile(np.float32([160, 120]), (3, 1))
    size = np.tile(np.int32([240, 320]), (3, 1))
    columns = {
        "sample_id": ["near", "far", "other"],
        "dataset": "street",
        "split": "train",
        "image_path": ["a/street.jpg", "a/street.jpg", "yard.jpg"],
        "image_size": size,
        **{name: getattr(people, name) for name in ("global_orient", "body_pose", "betas", "transl")},
        **{"focal": focal, "principal": principal},
        **derived_columns(people, body, focal, principal, size),
    }
    return RecordTable.from_columns(columns, RecordMetadata(body=body.fingerprint), "street.parquet")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photographs")
    (root / "a").mkdir()
    for name, grey in (("a/street.jpg", 90), ("yard.jpg", 160)):
        cv2.imwrite(str(root / name), np.full((240, 320, 3), grey, np.uint8))
    return root


def rows(records: RecordTable, **changed: object) -> RecordTable:
    """The records with some columns replaced."""
    names = ("sample_id", "dataset", "split", "image_path", "image_size", "global_orient", "body_pose", "betas")
    names += ("transl", "focal", "principal", "keypoints2d", "bbox_xyxy")
    columns = {name: records.array(name) for name in names} | changed
    return RecordTable.from_columns(columns, records.metadata, records.place)


def test_crops_are_the_papers_maps(body: BodyModel, records: RecordTable, tmp_path: Path) -> None:
    run = build_iuv_set(records, body, IUVConfig(), tmp_path)
    crops = record_crops(records, body)
    expected = np.concatenate(
        [m for _, m in render_iuv_bodies(records.parameters(), crops.camera, body, reference_atlas())]
    )
    found = IUVSet(tmp_path)
    assert (run.rows, run.left_out, run.made) == (len(records), 0, len(records))
    assert np.abs(found.iuv().astype(int) - expected).max() <= 1  # a level at a rounding edge
    np.testing.assert_array_equal(found.iuv()[:, 0], expected[:, 0])
    np.testing.assert_allclose(found.crop_camera, crops.camera, rtol=1e-6)
    assert cv2.imread(str(run.preview)).shape[1] > 800


def test_the_full_camera_looks_through_the_crop(body: BodyModel, street: RecordTable, tmp_path: Path) -> None:
    build_iuv_set(street, body, IUVConfig(size=80, camera="full", texture="face", preview=0), tmp_path)
    vertices = body.pose(street.parameters()).vertices
    focal, principal = street.array("focal"), street.array("principal")
    window = record_crops(street, body).crop_affine(80)
    camera = Projection.perspective(focal, principal, window)
    expected = render_iuv_projected(vertices, camera, reference_atlas(), 80, "face")
    np.testing.assert_array_equal(IUVSet(tmp_path).iuv(), expected)


def test_others_hide_in_crops_and_images_alike(
    body: BodyModel, street: RecordTable, photographs: Path, tmp_path: Path
) -> None:
    alone, company, images = tmp_path / "alone", tmp_path / "company", tmp_path / "images"
    build_iuv_set(street, body, IUVConfig(camera="full", preview=0), alone)
    build_iuv_set(street, body, IUVConfig(camera="full", others=True, preview=0), company)
    plain, hidden = IUVSet(alone).iuv(), IUVSet(company).iuv()
    np.testing.assert_array_equal(hidden[[0, 2]], plain[[0, 2]])  # the near one and the one on their own
    lost = (plain[1, 0] > 0) & (hidden[1, 0] == 0)
    assert lost.sum() > 100
    assert ((hidden[1] == plain[1]) | lost).all()

    run = build_iuv_images(street, body, IUVConfig(camera="full", preview=4), images, photographs)
    assert [f.relative_to(images).as_posix() for f in run.files] == [
        *("a/street_IUV.png", "a/street_INDS.png", "yard_IUV.png", "yard_INDS.png")
    ]
    iuv, person = cv2.imread(str(images / "a/street_IUV.png")), cv2.imread(str(images / "a/street_INDS.png"), -1)
    assert iuv.shape == (240, 320, 3)
    assert set(np.unique(person)) == {0, 1, 2}
    np.testing.assert_array_equal(iuv[..., 0] > 0, person > 0)
    sheet = cv2.imread(str(run.preview))
    assert (np.abs(sheet.astype(int) - 90).max(axis=2) < 4).mean() > 0.05  # the photograph is under the map


def test_a_killed_run_goes_on(body: BodyModel, street: RecordTable, tmp_path: Path) -> None:
    config = IUVConfig(preview=0)
    whole = build_iuv_images(street, body, config, tmp_path / "whole")
    first = build_iuv_images(street, body, config, tmp_path / "part")
    assert first.made == 3
    (tmp_path / "part" / "yard_IUV.png").unlink()
    (tmp_path / "part" / "images.parquet").unlink()
    again = build_iuv_images(street, body, config, tmp_path / "part")
    assert again.made == 1
    for one, other in zip(whole.files, again.files, strict=True):
        assert Path(str(one)).read_bytes() == Path(str(other)).read_bytes()
    assert build_iuv_images(street, body, IUVConfig(preview=0, texture="face"), tmp_path / "part").made == 3

    assert build_iuv_set(street, body, config, tmp_path / "set").made == 3
    assert build_iuv_set(street, body, config, tmp_path / "set").made == 0
    assert build_iuv_set(street, body, IUVConfig(preview=7, seed=5), tmp_path / "set").made == 0  # the sheet alone
    assert build_iuv_set(street, body, IUVConfig(preview=0, atlas="onepiece"), tmp_path / "set").made == 3


def test_large_maps_are_made_and_written_a_few_at_a_time(
    body: BodyModel, street: RecordTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [chunk_bodies(size) for size in (56, 224, 2048, (4000, 6000))] == [256, 256, 3, 1]
    monkeypatch.setattr(iuv_set, "FILE_BYTES", 2 * 3 * 64 * 64)
    run = build_iuv_set(street, body, IUVConfig(size=64, preview=0), tmp_path)
    assert len(run.files) == 2
    assert len(IUVSet(tmp_path).iuv()) == 3


def test_the_one_piece_atlas(body: BodyModel, street: RecordTable, tmp_path: Path) -> None:
    run = build_iuv_set(street, body, IUVConfig(atlas="onepiece"), tmp_path)
    iuv = IUVSet(tmp_path)
    assert iuv.metadata["atlas"] == onepiece_atlas().fingerprint
    assert set(np.unique(iuv.iuv()[:, 0])) == {0, 1}
    assert run.preview is not None


def test_rows_that_cannot_be_drawn_are_left_out_and_counted(
    body: BodyModel, street: RecordTable, tmp_path: Path
) -> None:
    blind = street.array("keypoints2d").copy()
    blind[1] = np.nan
    run = build_iuv_set(rows(street, keypoints2d=blind), body, IUVConfig(preview=2), tmp_path)
    assert (run.rows, run.left_out) == (2, 1)
    assert IUVSet(tmp_path).sample_ids == ["near", "other"]


def test_refusals(body: BodyModel, street: RecordTable, tmp_path: Path) -> None:
    for kind, config in (("texture", {"texture": "smooth"}), ("camera", {"camera": "wide"})):
        with pytest.raises(UnknownNameError, match=f"unknown {kind}"):
            IUVConfig(**config)
    nothing = np.full((3, 24, 3), np.nan)
    with pytest.raises(InputError, match=r"no row has a crop camera \(keypoints2d and joints3d are missing or too few"):
        build_iuv_set(rows(street, keypoints2d=nothing), body, IUVConfig(), tmp_path)
    with pytest.raises(InputError, match=r"no row has a full camera \(transl, focal or principal are missing"):
        build_iuv_set(rows(street, focal=np.full((3, 2), np.nan)), body, IUVConfig(camera="full"), tmp_path)
    with pytest.raises(InputError, match="no row has body parameters"):
        build_iuv_set(rows(street, body_pose=np.full((3, 23, 3), np.nan)), body, IUVConfig(), tmp_path)
    with pytest.raises(InputError, match="row 0: image_size is missing, or differs"):
        build_iuv_images(rows(street, image_size=np.int32([[9, 9], [8, 8], [9, 9]])), body, IUVConfig(), tmp_path)
    namesakes = rows(street, image_path=["a/street.jpg", "a/street.jpg", "a/street.png"])
    with pytest.raises(InputError, match="row 2: its maps would be called 'a/street', as those of 'near'"):
        build_iuv_images(namesakes, body, IUVConfig(), tmp_path)
    for build in (build_iuv_set, build_iuv_images):
        with pytest.raises(InputError, match=r"nowhere: no such image folder"):
            build(street, body, IUVConfig(), tmp_path, images=tmp_path / "nowhere")
    missing = rows(street, image_path=["nothing.jpg"] * 3)
    with pytest.raises(InputError, match=r"nothing\.jpg"):
        build_iuv_set(missing, body, IUVConfig(), tmp_path, images=tmp_path)

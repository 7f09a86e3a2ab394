"""Segmentation of LSP: confusion by hand, masks of known bodies, uncropping by brute force, SPIN's table, errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.confusion import Confusion
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.evaluation.segmentation import (
    PARTS,
    part_of_faces,
    read_mask,
    segment,
    spin_face_parts,
    uncropped,
)
from hmrtk.toolkit.geometry.crop import apply_affine, square_affine
from hmrtk.toolkit.records.table import RecordTable

from .conftest import of_system

SIZE = (260, 300)  # height, width of the pictures
CAMERA = np.tile(np.float32([0.9, 0.02, 0.2]), (2, 1))


@pytest.fixture
def people(records: RecordTable) -> RecordTable:
    """Two people of LSP, the second one's crop reaching beyond the picture."""
    columns = {
        "sample_id": ["s0", "s1"], "dataset": "lsp", "split": "test",
        "image_path": ["images/im1001.jpg", "images/im1002.jpg"],
        "bbox_xyxy": np.float32([[90, 30, 190, 230], [150, 60, 260, 240]]),
    }  # fmt: skip
    return RecordTable.from_columns(columns, records.metadata)


@pytest.fixture
def upright(body: BodyModel) -> Predictions:
    """Two standing people who face the camera."""
    orient = np.tile([np.pi, 0, 0], (2, 1))
    pose = np.zeros((2, 23, 3))
    pose[1, 15] = [0, 0, -1.0]  # the second one's left arm hangs
    return replace(of_system(BodyParameters.of(orient, pose), body), camera=CAMERA)


def _write(path: Path, labels: np.ndarray) -> None:
    assert cv2.imwrite(str(path), labels.astype(np.uint8))


def _affine(people: RecordTable, row: int) -> np.ndarray:
    x0, y0, x1, y1 = people.array("bbox_xyxy")[row].astype(float)
    return square_affine(np.array([(x0 + x1) / 2, (y0 + y1) / 2]), np.array(1.2 * max(x1 - x0, y1 - y0)), 224)


def _masks(folder: Path, people: RecordTable, upright: Predictions, body: BodyModel) -> list[np.ndarray]:
    """Masks as the bodies themselves make them: every pixel's centre looked up in the drawn crop."""
    from hmrtk.toolkit.maps.projection import Projection, project
    from hmrtk.toolkit.maps.raster import rasterize

    face = rasterize(project(upright.posed(body).vertices, Projection.crop(CAMERA)), body.faces, 224)
    labels, parts = [], part_of_faces(body)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for row in range(2):
        centres = np.stack([columns + 0.5, rows + 0.5], axis=-1).reshape(-1, 2)
        x, y = np.floor(apply_affine(centres, _affine(people, row))).astype(int).T.reshape(2, *SIZE)
        inside = (x >= 0) & (x < 224) & (y >= 0) & (y < 224)
        seen = np.where(inside, face[row, y.clip(0, 223), x.clip(0, 223)], -1)
        picture = np.where(seen >= 0, parts[seen], 0)
        labels.append(picture)
        _write(folder / f"im{1001 + row}_segmentation.png", 255 * (picture > 0))
        _write(folder / f"im{1001 + row}_part_segmentation.png", picture)
    return labels


def test_masks_of_the_bodies_themselves(
    people: RecordTable, upright: Predictions, body: BodyModel, tmp_path: Path
) -> None:
    labels = _masks(tmp_path, people, upright, body)
    found = segment(people, upright, body, tmp_path)
    assert found.summary() == dict.fromkeys(
        ("foreground_accuracy", "foreground_f1", "part_accuracy", "part_f1"), pytest.approx(100)
    )
    assert found.foreground.counts.sum() == 2 * SIZE[0] * SIZE[1]
    present = np.bincount(np.concatenate([p.ravel() for p in labels]), minlength=7)
    np.testing.assert_array_equal(np.diag(found.parts.counts), present)
    assert (present > 100).all()
    by_hand = np.mean([np.argwhere(labels[0] == 1)[:, 1].mean(), np.argwhere(labels[0] == 4)[:, 1].mean()])
    assert by_hand > np.argwhere(labels[0] == 6)[:, 1].mean()  # who faces us has the left arm and leg to the right
    assert np.argwhere(labels[0] == 3)[:, 0].mean() < np.argwhere(labels[0] == 6)[:, 0].mean()  # the head above


def test_scores_against_plain_numpy(people: RecordTable, upright: Predictions, body: BodyModel, tmp_path: Path) -> None:
    predicted = _masks(tmp_path, people, upright, body)
    truths = []
    for row, labels in enumerate(predicted):
        truth = np.roll(labels, 9, axis=1)
        truth[100:110] = 255  # nobody marked these
        truths.append(truth)
        _write(tmp_path / f"im{1001 + row}_segmentation.png", (truth > 0) * np.uint8(7))
        _write(tmp_path / f"im{1001 + row}_part_segmentation.png", truth)
    found = segment(people, upright, body, tmp_path)
    truth, guess = np.stack(truths), np.stack(predicted)
    person, drawn = truth > 0, guess > 0
    assert found.foreground.accuracy == pytest.approx((person == drawn).mean())
    sides = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in ((person, drawn), (~person, ~drawn))]
    assert found.foreground.mean_f1 == pytest.approx(np.mean(sides))
    known, guessed = np.where(truth == 255, 0, truth), np.where(truth == 255, 0, guess)
    assert found.parts.accuracy == pytest.approx((known == guessed).mean())
    f1 = [2 * ((known == c) & (guessed == c)).sum() / ((known == c).sum() + (guessed == c).sum()) for c in range(7)]
    np.testing.assert_allclose(found.parts.f1, f1)
    assert found.parts.mean_f1 == pytest.approx(np.mean(f1))


def test_parts_add_up_and_may_be_missing(
    people: RecordTable, upright: Predictions, body: BodyModel, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "lsp"  # UPi-S1h's own layout
    folder.mkdir(parents=True)
    _masks(folder, people, upright, body)
    whole = segment(people, upright, body, tmp_path)
    each = [segment(people.take([i]), upright.take(np.array([i])), body, tmp_path) for i in range(2)]
    np.testing.assert_array_equal((each[0] + each[1]).parts.counts, whole.parts.counts)
    for row in (1001, 1002):
        (folder / f"im{row}_part_segmentation.png").unlink()
    bare = segment(people, upright, body, tmp_path)
    assert bare.parts is None
    assert set(bare.summary()) == {"foreground_accuracy", "foreground_f1"}
    with pytest.raises(InputError, match="segmentation: only one of the two has parts"):
        bare + whole


def test_confusion_by_hand() -> None:
    truth, guess = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    found = Confusion.of(truth, guess, 4)
    np.testing.assert_array_equal(found.counts[:3, :3], [[1, 1, 0], [0, 2, 0], [1, 0, 0]])
    assert found.accuracy == pytest.approx(3 / 5)
    np.testing.assert_allclose(found.f1, [0.5, 0.8, 0, np.nan])
    assert found.mean_f1 == pytest.approx(1.3 / 3)
    empty = Confusion.nothing(3)
    assert np.isnan([empty.accuracy, empty.mean_f1]).all()
    with pytest.raises(InputError, match=r"labels: expected two equal shapes, got \(5,\) and \(4,\)"):
        Confusion.of(truth, guess[1:], 3)
    with pytest.raises(InputError, match=r"labels: reach 0..2, expected 0..1"):
        Confusion.of(truth, guess, 2)


def test_every_part_has_faces_of_its_own_side(body: BodyModel) -> None:
    parts = part_of_faces(body)
    centre = body.v_template[body.faces].mean(axis=1)
    names = list(PARTS)
    for side, sign in (("left", 1), ("right", -1)):  # SMPL: x towards the person's left
        for limb in ("arm", "leg"):
            chosen = centre[parts == names.index(f"{side} {limb}") + 1]
            assert len(chosen) > 500
            assert (sign * chosen[:, 0] > -0.02).all()
    assert centre[parts == 3][:, 1].min() > centre[parts == 6][:, 1].mean()


def test_uncropping_keeps_the_outside_empty() -> None:
    picture = np.full((4, 4), 9, np.uint8)
    picture[0, 0] = 5
    shifted = uncropped(picture, np.array([[1.0, 0, -2], [0, 1, -1]]), (6, 8))
    expected = np.zeros((6, 8), np.uint8)
    expected[1:5, 2:6] = picture
    np.testing.assert_array_equal(shifted, expected)
    twice = uncropped(picture, np.array([[0.5, 0, 0], [0, 0.5, 0]]), (8, 8))
    np.testing.assert_array_equal(twice, picture.repeat(2, 0).repeat(2, 1))


def test_the_table_of_faces_that_spin_uses(tmp_path: Path) -> None:
    cube = np.ones((10, 8, 6), np.uint8)
    cube[3, 2, 1], cube[0, 0, 5] = 4, 6
    colour = np.array([[0.035, 0.021, 0.0199], [0.001, 0.0, 0.0501], [0.09, 0.07, 0.05]])
    texture = np.broadcast_to(colour[None, :, None, None, None], (1, 3, 2, 2, 2, 3))
    np.save(tmp_path / "cube_parts.npy", cube)
    np.save(tmp_path / "vertex_texture.npy", texture)
    np.testing.assert_array_equal(spin_face_parts(tmp_path), [4, 6, 1])
    np.save(tmp_path / "vertex_texture.npy", texture + 0.1)
    with pytest.raises(InputError, match=r"vertex_texture.npy: has colours outside the cube of \(10, 8, 6\)"):
        spin_face_parts(tmp_path)
    np.save(tmp_path / "vertex_texture.npy", texture)
    np.save(tmp_path / "cube_parts.npy", 0 * cube)
    with pytest.raises(InputError, match=r"cube_parts.npy: names parts other than 1 to 6"):
        spin_face_parts(tmp_path)
    np.save(tmp_path / "cube_parts.npy", cube[0])
    with pytest.raises(InputError, match="expected a texture"):
        spin_face_parts(tmp_path)
    (tmp_path / "cube_parts.npy").unlink()
    with pytest.raises(InputError, match=r"cube_parts.npy: is not a readable .npy file"):
        spin_face_parts(tmp_path)


def test_errors_name_what_is_wrong(
    people: RecordTable, upright: Predictions, body: BodyModel, tmp_path: Path, records: RecordTable
) -> None:
    with pytest.raises(InputError, match=r"im1001_segmentation.png: no such mask"):
        segment(people, upright, body, tmp_path)
    with pytest.raises(InputError, match="records row 0: has no image_path, so its mask cannot be found"):
        segment(records, upright, body, tmp_path)
    mask, part = tmp_path / "im1001_segmentation.png", tmp_path / "im1001_part_segmentation.png"
    mask.write_bytes(b"")
    with pytest.raises(InputError, match=r"im1001_segmentation.png: is not an 8-bit PNG"):
        segment(people, upright, body, tmp_path)
    _write(mask, np.tile([1, 2, 3], (*SIZE, 1)))
    with pytest.raises(InputError, match="has colours, expected labels"):
        read_mask(mask)
    _write(mask, np.ones((*SIZE, 3)))
    assert read_mask(mask).shape == SIZE
    _write(part, np.ones((5, 5)))
    with pytest.raises(InputError, match=r"part_segmentation.png: is of shape \(5, 5\), im1001_segmentation.png of"):
        segment(people, upright, body, tmp_path)
    _write(part, np.full(SIZE, 9))
    with pytest.raises(InputError, match="has label 9, expected 0 to 6 and 255"):
        segment(people, upright, body, tmp_path)
    with pytest.raises(InputError, match="has no cameras"):
        segment(people, replace(upright, camera=None), body, tmp_path)

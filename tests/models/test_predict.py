"""Predictions: every row once with its provenance, and a person in a photograph in the photograph's own camera."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from hmrtk.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hmrtk.models.networks import build_network
from hmrtk.models.predict import BOX_EXPANSION, predict_photo, predict_rows
from hmrtk.models.train import device_named
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import project_crop_camera, project_perspective
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet


@pytest.fixture(scope="module")
def checkpoint(
    stub: ModuleType, body: BodyModel, prototypes: PrototypeSet, tmp_path_factory: pytest.TempPathFactory
) -> Checkpoint:
    folder, config = tmp_path_factory.mktemp("run"), stub.quick_config("pmnet")
    network = build_network(config, prototypes, body)
    save_checkpoint(folder, network, config, prototypes, body, memory=True, inputs={"shards.stub": "ab"})
    return load_checkpoint(folder, body)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """(180, 240, 3) noise."""
    return np.random.default_rng(0).integers(0, 256, (180, 240, 3), np.uint8)


# -- rows -------------------------------------------------------------------------------------------------------------


def test_every_row_once(checkpoint: Checkpoint, stub: ModuleType, body: BodyModel, tmp_path: Path) -> None:
    rows = stub.StubRows(stub.columns_of(stub.random_bodies(7), body))
    told: list[tuple[int, int]] = []
    predictions, found = predict_rows(
        checkpoint, rows, "ours", progress=lambda _, done, total, note="": told.append((done, total))
    )
    predictions.validate()
    assert predictions.sample_ids == [f"row/{i}" for i in range(7)]
    assert told[-1] == (7, 7)
    assert predictions.metadata.system == "ours"
    assert predictions.metadata.body == body.fingerprint
    provenance = predictions.metadata.provenance
    assert provenance["checkpoint"] == checkpoint.fingerprint
    assert provenance["prototypes"] == checkpoint.prototypes.fingerprint
    assert provenance["shards.stub"] == "ab"
    with torch.no_grad():
        output = checkpoint.network(rows.take(range(7)))
    np.testing.assert_allclose(predictions.parameters.betas, output.final.betas, atol=1e-5)
    np.testing.assert_allclose(predictions.camera, output.crop_camera, atol=1e-5)
    np.testing.assert_array_equal(found.prototype, output.logits.argmax(1))
    joints = body.spin24_joints(predictions.parameters)
    np.testing.assert_allclose(joints, output.final.joints, atol=1e-4)


# -- a photograph -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bbox", "focal"), [(None, None), ((40, 20, 100, 170), None), ((150, 60, 260, 200), 800.0)])
def test_the_body_stands_where_the_crop_shows_it(
    checkpoint: Checkpoint, photo: np.ndarray, body: BodyModel, bbox: tuple[float, ...] | None, focal: float | None
) -> None:
    """Of the root, whose depth is the camera's: projected by the crop's camera and by the photograph's, one pixel."""
    found = predict_photo(checkpoint, photo, bbox, focal)
    assert found.crop.shape == (32, 32, 3)
    assert found.focal.tolist() == [focal or 300.0] * 2  # √(180² + 240²)
    assert found.principal.tolist() == [120, 90]
    x, y, side = found.square
    box = bbox or (0, 0, 240, 180)
    longer = max(box[2] - box[0], box[3] - box[1])
    assert (x, y) == ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    assert side == pytest.approx(longer * (BOX_EXPANSION if bbox else 1))
    origin = np.zeros((1, 3))
    seen = project_crop_camera(origin, found.crop_camera.astype(float)) / 224  # of the crop's side
    there = project_perspective(found.parameters.transl.astype(float), found.focal, found.principal)
    np.testing.assert_allclose(there[0], [x, y] + (seen[0] - 0.5) * side, atol=0.02)
    assert found.prototype in range(4)


def test_the_crop_is_what_the_box_shows(checkpoint: Checkpoint) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[16:48, 16:48] = (10, 200, 90)
    inside = predict_photo(checkpoint, picture, (20, 20, 44, 44)).crop  # 1.2 times as large: still inside
    assert (inside == (10, 200, 90)).all()
    assert (predict_photo(checkpoint, picture).crop[0] == 0).all()


@pytest.mark.parametrize(
    ("bbox", "problem"),
    [
        ((10, 10, 10, 50), "bbox: 10, 10, 10, 50 is empty (expected x0,y0,x1,y1 in px)"),
        ((50, 10, 10, 90), "bbox: 50, 10, 10, 90 is empty (expected x0,y0,x1,y1 in px)"),
        ((0, 0, np.nan, 5), "bbox: 0, 0, nan, 5 is empty (expected x0,y0,x1,y1 in px)"),
        ((300, 10, 350, 50), "bbox: lies outside the picture of 240 × 180 px"),
        ((-50, 10, 0, 50), "bbox: lies outside the picture of 240 × 180 px"),
    ],
)
def test_boxes_that_show_nobody(
    checkpoint: Checkpoint, photo: np.ndarray, bbox: tuple[float, float, float, float], problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        predict_photo(checkpoint, photo, bbox)
    assert str(caught.value) == problem


@pytest.mark.parametrize("focal", [0.0, -3.0, np.nan, np.inf])
def test_focal_lengths_that_are_none(checkpoint: Checkpoint, photo: np.ndarray, focal: float) -> None:
    with pytest.raises(InputError, match=rf"^focal length: expected a positive number of px, got {focal}$"):
        predict_photo(checkpoint, photo, focal=focal)


# -- devices ----------------------------------------------------------------------------------------------------------


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (device_named("auto"), device_named("cpu")) == ("cpu", "cpu")
    with pytest.raises(InputError, match=r"^device: torch finds no GPU .pass --device cpu; hmrtk doctor says why.$"):
        device_named("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (device_named("auto"), device_named("cuda")) == ("cuda", "cuda")

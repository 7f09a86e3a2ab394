"""Galleries of samples with predictions: which samples, what is drawn, and where photographs come from."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hmrtk.reports.measured import Measurement
from hmrtk.reports.photographs import PHOTO_PX, OriginalPhotographs, ShardPhotographs
from hmrtk.reports.showcase import Showcase, file_names, system_colour
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.plan import ShardConfig

from .conftest import COUNT, Tiny, measurement, tiny_records


class _Green:
    """A photograph of the first sample, and of no other."""

    def crop(self, records: RecordTable, row: int) -> NDArray[np.uint8] | None:
        return np.full((PHOTO_PX, PHOTO_PX, 3), (0, 200, 0), np.uint8) if row == 0 else None


@pytest.fixture(scope="module")
def measured(tiny: Tiny) -> Measurement:
    return measurement(tiny, {"a": tiny.predictions("a", 0.1), "b/c": tiny.predictions("b/c", 0.3)})


def test_best_and_worst_are_those(measured: Measurement, body: BodyModel) -> None:
    pve = measured.errors["a"].pve
    show = Showcase(measured, body, shown=2)
    best, worst = show.best("a"), show.worst("a")
    assert [card.data["row"] for card in best.cards] == np.argsort(pve)[:2].tolist()
    assert [card.data["row"] for card in worst.cards] == np.argsort(-pve)[:2].tolist()
    assert worst.cards[0].data["pve"] == pytest.approx(pve.max())
    assert [label for label, _ in worst.cards[0].pictures] == ["truth", "a", "truth, side", "a, side"]
    assert show.best("b/c").name == "best_b_c"  # a file name


def test_names_of_files_are_plain_and_differ() -> None:
    assert file_names(["a/b", "a_b", "PM-Net", "é"]) == {"a/b": "a_b", "a_b": "a_b_1", "PM-Net": "PM-Net", "é": "é"}


def test_the_rarest_show_every_system_and_a_photograph_where_there_is_one(
    measured: Measurement, body: BodyModel
) -> None:
    gallery = Showcase(measured, body, _Green()).rarest([19, 0])
    labels = [[label for label, _ in card.pictures] for card in gallery.cards]
    assert labels == [["truth", "a", "b/c"], ["photo", "truth", "a", "b/c"]]
    assert gallery.cards[0].data["pve"] == pytest.approx({n: e.pve[19] for n, e in measured.errors.items()})
    photo = np.asarray(Image.open(io.BytesIO(gallery.cards[1].pictures[0][1])))
    assert gallery.cards[1].pictures[0][1].startswith(b"\xff\xd8")
    assert np.abs(photo.astype(int) - (0, 200, 0)).max() < 8
    assert cv2.imdecode(np.frombuffer(gallery.sheet, np.uint8), cv2.IMREAD_COLOR) is not None


def test_a_perfect_prediction_looks_like_the_truth_in_another_colour(tiny: Tiny, body: BodyModel) -> None:
    perfect = measurement(tiny, {"a": tiny.predictions("a", 0.0)})
    card = Showcase(perfect, body).rarest([19]).cards[0]
    truth, same = (np.asarray(Image.open(io.BytesIO(png))).astype(int) for _, png in card.pictures)
    assert np.abs(truth[..., 3] - same[..., 3]).max() <= 2
    solid = truth[..., 3] == 255
    assert np.abs(truth[solid] - same[solid]).mean() > 10
    assert system_colour(0) != system_colour(1)


def test_photographs_are_cut_at_the_box(tmp_path: Path, body: BodyModel) -> None:
    """A red square in a blue picture, and a box that is the square: red fills 1 / 1.2 of the crop's side."""
    photo = np.zeros((300, 400, 3), np.uint8)
    photo[..., 2] = 255
    photo[100:200, 150:250] = (255, 0, 0)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    boxes = np.tile([150.0, 100, 250, 200], (COUNT, 1))
    records = tiny_records(body, image_path=["photo.png", None, "gone.png"] + [None] * 17, bbox_xyxy=boxes)
    source = OriginalPhotographs(tmp_path)
    crop = source.crop(records, 0)
    assert crop is not None
    red = (crop[..., 0] > 200) & (crop[..., 2] < 50)
    assert crop.shape == (PHOTO_PX, PHOTO_PX, 3)
    assert red[PHOTO_PX // 2].mean() == pytest.approx(1 / 1.2, abs=0.02)
    assert red.mean() == pytest.approx(1 / 1.44, abs=0.02)
    assert source.crop(records, 1) is None
    assert source.crop(tiny_records(body), 0) is None
    with pytest.raises(InputError, match=r"row 2: photograph .*gone\.png"):
        source.crop(records, 2)
    with pytest.raises(InputError, match="no such image folder"):
        OriginalPhotographs(tmp_path / "nowhere")


def test_shards_show_what_the_photographs_show(tmp_path: Path, body: BodyModel) -> None:
    rng = np.random.default_rng(0)
    photo = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (400, 300), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    boxes, keypoints = np.tile([120.0, 60, 250, 240], (COUNT, 1)), np.full((COUNT, 24, 3), 150.0)
    columns = {"bbox_xyxy": boxes, "image_path": "photo.png", "image_size": np.tile([400, 300], (COUNT, 1))}
    records = tiny_records(body, **columns, keypoints2d=keypoints)
    build_shards(records.head(3), body, tmp_path / "shards", ShardConfig(maps=(), images=tmp_path), workers=1)
    stored = ShardPhotographs(tmp_path / "shards")
    ours, theirs = stored.crop(records, 1), OriginalPhotographs(tmp_path).crop(records, 1)
    assert ours is not None
    assert theirs is not None
    assert ours.shape == theirs.shape == (PHOTO_PX, PHOTO_PX, 3)
    assert np.abs(ours.astype(int) - theirs).mean() < 3
    assert stored.crop(records, 5) is None  # not among the shards' rows

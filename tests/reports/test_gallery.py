"""Galleries' pictures: PNG encoding keeps colours and transparency; sheets lay cards out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hmrtk.reports import gallery
from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import OutputError


@pytest.mark.parametrize("channels", [3, 4])
def test_png_keeps_every_value(channels: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    back = cv2.imdecode(np.frombuffer(gallery.encode_png(picture), np.uint8), cv2.IMREAD_UNCHANGED)
    order = [2, 1, 0, 3][:channels]  # OpenCV stores blue first
    np.testing.assert_array_equal(back[..., order], picture)


def test_a_picture_that_cannot_be_encoded_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery.cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(OutputError, match="could not be encoded as PNG"):
        gallery.encode_png(np.zeros((2, 2, 3), np.uint8))


def test_bodies_share_one_scale_and_ignore_translation() -> None:
    folded = np.zeros((2, 23, 3), np.float32)
    folded[1, 0:2, 0] = -2.0  # thighs forward: the second figure is shorter
    parameters = BodyParameters.of([[np.pi, 0, 0]] * 2, folded, transl=[[0, 0, 0], [5, 5, 5]])
    pictures = gallery.draw_bodies(parameters, load_body(), gallery.SAMPLE_COLOUR, "draw")
    heights = [np.ptp(np.flatnonzero((p[..., 3] > 128).any(axis=1))) for p in pictures]
    assert heights[0] > gallery.FIGURE_PX * 0.7
    assert heights[1] < heights[0] - 10


def test_sheet_holds_all_cards() -> None:
    clear = np.zeros((20, 10, 4), np.uint8)
    red = np.full((20, 10, 4), (255, 0, 0, 255), np.uint8)
    sheet = cv2.imdecode(
        np.frombuffer(gallery.sheet_of([[clear, red]] * 3, ["a", "b", "c"], 2), np.uint8), cv2.IMREAD_COLOR
    )
    red_pixels = (sheet == (0, 0, 255)).all(axis=-1).sum()
    assert red_pixels == 3 * 20 * 10

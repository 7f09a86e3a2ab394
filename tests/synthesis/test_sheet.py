"""Contact sheets: layout, captions and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.synthesis.figure import contact_sheet


def _plain(value: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_pictures_lie_row_by_row() -> None:
    sheet = contact_sheet([_plain(10), _plain(20), _plain(30)], columns=2, gap=4)
    assert sheet.shape == (2 * 24 + 4, 2 * 34 + 4, 3)
    assert (sheet[4:24, 4:34] == 10).all()
    assert (sheet[4:24, 38:68] == 20).all()
    assert (sheet[28:48, 4:34] == 30).all()
    assert (sheet[28:48, 38:68] == 255).all()


def test_smaller_pictures_are_centred_and_columns_never_exceed_pictures() -> None:
    sheet = contact_sheet([_plain(0, 20, 30), _plain(0, 10, 10)], columns=5, gap=0)
    assert sheet.shape == (20, 60, 3)
    assert (sheet[5:15, 40:50] == 0).all()
    assert (sheet[:5, 30:] == 255).all()


def test_captions_put_ink_under_each_picture_and_stay_inside_their_cell() -> None:
    sheet = contact_sheet([_plain(255, 40, 60)] * 2, 2, captions=["walk", "a far too long caption for its cell"], gap=6)
    ink = sheet[46:].min(axis=-1) < 128
    assert ink[:, 6:66].sum() > 10
    assert ink[:, 72:132].sum() > 10
    assert not ink[:, 66:72].any()
    two_lines = contact_sheet([_plain(255, 40, 60)], 1, captions=["walk\nn = 12"], gap=6)
    assert two_lines.shape[0] > sheet.shape[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 2), "no pictures to show"),
        (([_plain(0)], 0), "expected at least one column, got 0"),
        (([_plain(0), np.zeros((4, 4), np.uint8)], 2), r"picture 1: expected \(H, W, 3\) uint8, got \(4, 4\) uint8"),
        (([_plain(0)], 1, ["a", "b"]), "1 pictures but 2 captions"),
    ],
)
def test_refusals(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        contact_sheet(*arguments)

"""PNG files: an independent reader sees the same pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.synthesis.picture import write_png


@pytest.mark.parametrize("channels", [3, 4])
def test_pillow_reads_the_same_pixels(tmp_path: Path, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 5, channels), dtype=np.uint8)
    write_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), image)


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected uint8 .* got float64 \(4, 4, 3\)"):
        write_png(tmp_path / "a.png", np.zeros((4, 4, 3)))

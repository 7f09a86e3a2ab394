"""Photographs become regions, with errors that name the row; synthesised pictures depend on seed and sample only."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import square_affine
from hmrtk.toolkit.shards.codec import decode_image
from hmrtk.toolkit.shards.pictures import PhotoReader, row_generator

PLACE = "train.parquet row 7"


@pytest.fixture
def root(tmp_path):
    """A folder with a smooth picture of 120 × 80 px as PNG and JPEG."""
    y, x = np.mgrid[0:80, 0:120]
    picture = np.stack([x * 2, y * 3, 255 - x - y], axis=-1).astype(np.uint8)
    (tmp_path / "sub").mkdir()
    cv2.imwrite(str(tmp_path / "sub/photo.png"), picture[:, :, ::-1])
    cv2.imwrite(str(tmp_path / "sub/photo.jpg"), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    return tmp_path


@pytest.mark.parametrize("name", ["sub/photo.png", "sub/photo.jpg"])
def test_a_region_shows_the_right_place_at_the_right_scale(root, name):
    affine = square_affine(np.array([60.0, 40.0]), np.array(40.0), 100)  # 2.5 px per px around the centre
    region = decode_image(PhotoReader(root).region(name, affine, 100, PLACE), "region").astype(float)
    px = (np.arange(100) + 0.5) / 2.5 + np.array([[40], [20]])  # full-image x and y of the region's pixel centres
    x, y = np.meshgrid(px[0] - 0.5, px[1] - 0.5)
    expected = np.stack([x * 2, y * 3, 255 - x - y], axis=-1)
    assert np.abs(region - expected).mean() < 2
    assert np.abs(region - expected)[5:-5, 5:-5].max() < 12  # JPEG


def test_outside_the_photograph_is_black(root):
    affine = square_affine(np.array([0.0, 0.0]), np.array(40.0), 40)
    region = decode_image(PhotoReader(root).region("sub/photo.png", affine, 40, PLACE), "region")
    assert region[:15, :15].max() < 8
    assert region[25:, 25:].max() > 150


def test_a_photograph_of_several_people_is_opened_once(root, monkeypatch):
    reader, opened = PhotoReader(root), []
    read = reader._read
    monkeypatch.setattr(reader, "_read", lambda *a: opened.append(a[0]) or read(*a))
    for x in (20.0, 60.0, 90.0):
        affine = square_affine(np.array([x, 40.0]), np.array(40.0), 40)
        reader.region("sub/photo.png", affine, 40, PLACE)
    assert opened == ["sub/photo.png"]


def test_a_missing_photograph_names_row_file_and_remedy(root):
    with pytest.raises(InputError) as caught:
        PhotoReader(root).region("sub/none.jpg", np.eye(3)[:2], 40, PLACE)
    expected = f"{PLACE}: photograph {root}/sub/none.jpg: no such file (check --images, or ask for --synthesise)"
    assert str(caught.value) == expected


def test_truncated_empty_and_foreign_photographs_name_the_row(root):
    data = (root / "sub/photo.jpg").read_bytes()
    for name, content, text in (
        ("cut.jpg", data[: len(data) // 2], "is a damaged JPEG"),
        ("empty.jpg", b"", "is not a picture"),
        ("text.jpg", b"hello", "is not a picture"),
    ):
        (root / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"^{PLACE}: photograph .*{name}: {text}"):
            PhotoReader(root).region(name, np.eye(3)[:2], 40, PLACE)


@pytest.mark.parametrize("path", ["../secret.jpg", "/etc/hostname", "a/../../b.jpg", "..\\b.jpg"])
def test_paths_cannot_leave_the_root(root, path):
    with pytest.raises(InputError, match="leaves the image root"):
        PhotoReader(root).region(path, np.eye(3)[:2], 40, PLACE)


def test_row_generators_differ_by_seed_and_sample_and_repeat():
    def draw(seed, name):
        return row_generator(seed, name).integers(1 << 40)

    assert draw(0, "a") == draw(0, "a")
    assert len({draw(0, "a"), draw(1, "a"), draw(0, "b")}) == 3

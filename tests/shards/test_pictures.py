"""Photographs become regions, with errors that name the row; synthesised pictures depend on seed and sample only."""

from __future__ import annotations

import re
import tarfile
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import square_affine
from hmrtk.toolkit.records.crops import EXPANSION, REGION_FACTOR
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.builder import build_shards
from hmrtk.toolkit.shards.codec import decode_image
from hmrtk.toolkit.shards.pictures import PhotoReader, require_image_folder, row_generator
from tests.records.test_videos import shown, write_video

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


@pytest.fixture
def packed(root):
    """The photographs once more: in a zip and a tar, and a video of six frames."""
    with zipfile.ZipFile(root / "photos.zip", "w") as file:
        file.write(root / "sub/photo.png", "photos/photo.png")
        file.writestr("cut.jpg", (root / "sub/photo.jpg").read_bytes()[:900])
    with tarfile.open(root / "shard.tar", "w") as file:
        file.add(root / "sub/photo.png", "key.png")
    write_video(root / "clip.avi", 6, "MJPG")
    return root


@pytest.mark.parametrize("name", ["photos/photo.png", "photos.zip/photo.png", "shard.tar/key.png"])
def test_photographs_in_archives(packed, name):
    expected = PhotoReader(packed).photograph("sub/photo.png", PLACE)
    assert PhotoReader(packed).path(name, PLACE).exists()
    assert np.array_equal(PhotoReader(packed).photograph(name, PLACE), expected)


def test_frames_of_a_video(packed):
    reader = PhotoReader(packed)
    for number in (2, 2, 5):
        assert shown(reader.photograph(f"clip.avi/{number:06d}.jpg", PLACE)) == number
    region = decode_image(PhotoReader(packed / "clip.avi").region("000003", np.eye(2, 3), 96, PLACE), "region")
    assert region.shape == (96, 96, 3)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("photos.zip/none.jpg", "has no such file among its 2: none.jpg (check --images, or ask for --synthesise)"),
        ("photos.zip/cut.jpg", "is a damaged JPEG: .* (truncated or corrupt file)"),
        ("no.zip/none.jpg", "no such file (check --images, or ask for --synthesise)"),
        ("bad.zip/a.jpg", "is not a readable archive: .* (truncated or corrupt: copy or download it again)"),
        ("clip.avi/000009.jpg", "has 6 frames, so there is no frame 9 (check --images, or ask for --synthesise)"),
        ("bad.mp4/000001.jpg", "cannot be opened as a video (truncated, or a codec that OpenCV lacks: extract its f"),
    ],
)
def test_what_is_wrong_with_an_archive_or_video_names_the_row(packed, name, problem):
    for bad in ("bad.zip", "bad.mp4"):
        (packed / bad).write_bytes(b"hello")
    with pytest.raises(InputError, match=rf"^{PLACE}: photograph {packed}/{name}: " + expression(problem)):
        PhotoReader(packed).photograph(name, PLACE)


def expression(text):
    return re.escape(text).replace(r"\.\*", ".*")


def test_the_image_root_is_a_folder_an_archive_or_a_video(packed):
    for root in (None, packed, packed / "photos.zip", packed / "clip.avi"):
        require_image_folder(root)
    for root in (packed / "none", packed / "none.zip", packed / "sub/photo.jpg"):
        with pytest.raises(InputError, match=rf"^{root}: no such image folder"):
            require_image_folder(root)


def test_shards_of_archives_and_videos_whatever_the_workers(packed, records, body, small, tmp_path):
    write_video(packed / "long.avi", 90, "MJPG")
    names = [f"long.avi/{4 * i + 1:06d}.jpg" for i in range(21)] + ["photos/photo.png", "shard.tar/key.png"]
    columns = {"sample_id": names, "dataset": "x", "split": "train", "image_path": names}
    rows = RecordTable.from_columns({**columns, "bbox_xyxy": np.array([4.0, 8, 76, 80])}, records.metadata)
    pictures = []
    for workers in (1, 3):
        out = tmp_path / str(workers)
        build_shards(rows, body, out, replace(small, images=packed, synthesise=False), workers=workers)
        shards = sorted(out.glob("train/*.parquet"))
        pictures.append([row["bytes"] for path in shards for row in pq.read_table(path)["image"].to_pylist()])
    assert pictures[0] == pictures[1]
    affine = square_affine(np.array([40.0, 44]), np.float64(72 * EXPANSION * REGION_FACTOR), small.region_px)
    reader = PhotoReader(packed)
    for name, picture in zip(names, pictures[0], strict=True):
        expected = decode_image(reader.region(name, affine, small.region_px, PLACE), name).astype(int)
        assert np.abs(decode_image(picture, name) - expected).max() <= 4
    assert len(set(pictures[0])) == 22  # the two photographs are the same


def test_row_generators_differ_by_seed_and_sample_and_repeat():
    def draw(seed, name):
        return row_generator(seed, name).integers(1 << 40)

    assert draw(0, "a") == draw(0, "a")
    assert len({draw(0, "a"), draw(1, "a"), draw(0, "b")}) == 3

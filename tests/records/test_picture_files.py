"""An archive or a video stands for the folder it would unpack to; paths never leave the root."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.picture_files import PictureFile, PictureFolder
from hmrtk.toolkit.records.remote import located

from .test_videos import shown, write_video

PLACE = "train.parquet row 7"


def write_zip(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, f"{path.name}:{name}")
    return path


def write_tar(path: Path, *names: str, mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as file:
        for name in names:
            data = f"{path.name}:{name}".encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def read(root: Path, image_path: str) -> str:
    picture = PictureFolder(root).find(image_path, PLACE)
    assert picture.exists()
    data = picture.read()
    assert isinstance(data, bytes)
    return data.decode()


def test_files_in_folders(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c.jpg").write_text("here")
    (tmp_path / "d.jpg").write_text("there")
    assert read(tmp_path, "a/b/c.jpg") == "here"
    assert read(tmp_path, "a\\b\\c.jpg") == "here"
    assert read(tmp_path, "d.jpg") == "there"
    assert PictureFolder(tmp_path).find("a/b/c.jpg", PLACE) == PictureFile(tmp_path / "a/b/c.jpg")


@pytest.mark.parametrize("name", ["coco-train-0.tar", "coco-train-0.tar.gz", "coco-train-0.tgz"])
def test_a_part_that_is_an_archive(tmp_path: Path, name: str) -> None:
    write_tar(tmp_path / "shards" / name, "key.jpg", "sub/key.jpg", mode="w" if name.endswith("tar") else "w:gz")
    assert read(tmp_path, f"shards/{name}/key.jpg") == f"{name}:key.jpg"
    assert read(tmp_path, f"shards/{name}/sub/key.jpg") == f"{name}:sub/key.jpg"
    picture = PictureFolder(tmp_path).find(f"shards/{name}/sub/key.jpg", PLACE)
    assert str(picture) == str(tmp_path / "shards" / name / "sub/key.jpg")


def test_a_folder_called_like_an_archive_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.tar").mkdir()
    (tmp_path / "a.tar/key.jpg").write_text("unpacked")
    assert read(tmp_path, "a.tar/key.jpg") == "unpacked"


@pytest.mark.parametrize("names", [("train2014/x.jpg",), ("x.jpg",)])
def test_a_missing_folder_is_its_archive(tmp_path: Path, names: tuple[str, ...]) -> None:
    write_zip(tmp_path / "train2014.zip", *names)
    write_zip(tmp_path / "deep/er/val2014.zip", "x.jpg")
    for image_path in ("train2014/x.jpg", "train2014.zip/x.jpg", "train2014.zip/train2014/x.jpg"):
        assert read(tmp_path, image_path) == f"train2014.zip:{names[0]}"
    assert read(tmp_path, "deep/er/val2014/x.jpg") == "val2014.zip:x.jpg"
    for image_path in ("train2014/x.jpg", "x.jpg"):
        assert read(tmp_path / "train2014.zip", image_path) == f"train2014.zip:{names[0]}"


def test_a_folder_goes_before_its_archive(tmp_path: Path) -> None:
    write_zip(tmp_path / "train2014.zip", "x.jpg")
    (tmp_path / "train2014").mkdir()
    assert not PictureFolder(tmp_path).find("train2014/x.jpg", PLACE).exists()


def test_the_root_is_the_shard_itself(tmp_path: Path) -> None:
    assert read(write_tar(tmp_path / "a.tar", "key.jpg"), "a.tar/key.jpg") == "a.tar:key.jpg"


def test_frames_of_videos(tmp_path: Path) -> None:
    (tmp_path / "S9/Videos").mkdir(parents=True)
    video = write_video(tmp_path / "S9/Videos/Directions 1.54138969.mp4", 9, "mp4v")
    for root, image_path in (
        (tmp_path, "S9/Videos/Directions 1.54138969.mp4/000007.jpg"),
        (tmp_path, "S9/Videos/Directions 1.54138969.mp4/frame_7"),
        (video, "7"),
        (video, "S9/Videos/Directions 1.54138969.mp4/000007.jpg"),
    ):
        picture = PictureFolder(root).find(image_path, PLACE)
        frame = picture.read()
        assert picture.exists()
        assert isinstance(frame, np.ndarray)
        assert shown(frame) == 7
    for image_path in ("first.jpg", "S9/Videos/Eating.54138969.mp4/000007.jpg", "000000.jpg"):
        picture = PictureFolder(video).find(image_path, PLACE)
        assert not picture.exists()
        with pytest.raises(
            InputError, match=rf"\.mp4: '{image_path}' is not the number of a frame, from 1 \(check --im"
        ):
            picture.read()


def test_what_is_not_there_does_not_exist(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", "x.jpg")
    for image_path in ("none.jpg", "none/none.jpg", "a.zip/none.jpg", "a.zip/x.jpg/none.jpg", "a/none.jpg", "b.zip/x"):
        assert not PictureFolder(tmp_path).find(image_path, PLACE).exists()
    with pytest.raises(InputError, match=r"a\.zip: has no such file among its 1: none\.jpg \(check --images\)"):
        PictureFolder(tmp_path).find("a.zip/none.jpg", PLACE).read()
    with pytest.raises(InputError, match=r"b\.zip/x: no such file"):
        PictureFolder(tmp_path).find("b.zip/x", PLACE).read()


def test_a_damaged_archive_is_not_taken_for_a_missing_picture(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"a\.zip: is not a readable archive"):
        PictureFolder(tmp_path).find("a.zip/x.jpg", PLACE).exists()


@pytest.mark.parametrize("path", ["../a.jpg", "/etc/hostname", "a/../../b.jpg", "..\\b.jpg", "a.zip/../../b", "a\0b"])
def test_paths_cannot_leave_the_root(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match=rf"^{PLACE}: image_path .* leaves the image root$"):
        PictureFolder(tmp_path).find(path, PLACE)


def test_archives_in_object_stores(tmp_path: Path) -> None:
    root, store = located(f"memory://pictures/{tmp_path.name}"), fsspec.filesystem("memory")
    store.pipe_file(f"{root}/train2014.zip", write_zip(tmp_path / "train2014.zip", "train2014/x.jpg").read_bytes())
    store.pipe_file(f"{root}/val2014/x.jpg", b"file")
    folder = PictureFolder(root)
    assert folder.find("train2014/x.jpg", PLACE).read() == b"train2014.zip:train2014/x.jpg"
    assert folder.find("val2014/x.jpg", PLACE).read() == b"file"
    assert not folder.find("test2014/x.jpg", PLACE).exists()


def test_it_travels_to_other_processes(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", "x.jpg")
    folder = PictureFolder(tmp_path)
    before = folder.find("a/x.jpg", PLACE)
    assert pickle.loads(pickle.dumps(folder)).find("a/x.jpg", PLACE) == before  # noqa: S301 - our own

"""Whole files of each format, and the same cut off anywhere."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from hmrtk.toolkit.records.file_ends import is_whole

NOISE = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)


def picture(suffix: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(cv2.imencode(suffix, NOISE)[1].tobytes())


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as file:
        for name in "ab":
            member = tarfile.TarInfo(name)
            member.size = 5000
            file.addfile(member, io.BytesIO(b"x" * 5000))


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a", b"x" * 5000)


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.png": picture(".png"),
    "a.jpg": picture(".jpg"),
    "a.JPEG": picture(".jpg"),
    "a.json": lambda path: path.write_text(json.dumps({"a": ["x" * 50] * 50}) + "\n"),
    "list.json": lambda path: path.write_text(json.dumps(["x" * 50] * 50)),
    "a.pkl": lambda path: path.write_bytes(pickle.dumps({"a": b"x" * 5000}, 2)),
    "a.npz": lambda path: np.savez(path, a=NOISE),
    "a.zip": zipped,
    "a.tar": tar,
    "a.mat": lambda path: savemat(path, {"a": NOISE.astype(float), "b": "text"}),
    "packed.mat": lambda path: savemat(path, {"a": NOISE, "b": "text"}, do_compression=True),
}


@pytest.mark.parametrize("name", WRITERS)
def test_whole_and_cut_off(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    assert is_whole(path)
    data = path.read_bytes().rstrip(b"\n" if name == "a.json" else b"")
    for count in (1, len(data) // 4, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:count])
        assert not is_whole(path), count


def test_a_tar_cut_between_members(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    tar(path)
    path.write_bytes(path.read_bytes()[: 512 + 5120])
    with tarfile.open(path) as file:
        assert file.getnames() == ["a"]  # Python's own reader does not mind
    assert not is_whole(path)


def test_bytes_behind_a_picture_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture(".jpg")(path)
    path.write_bytes(path.read_bytes() + bytes(1000))
    assert is_whole(path)


def test_other_formats_need_a_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_bytes(b"")
    assert not is_whole(path)
    path.write_bytes(b"x")
    assert is_whole(path)
    (tmp_path / "hdf5.mat").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    assert is_whole(tmp_path / "hdf5.mat")

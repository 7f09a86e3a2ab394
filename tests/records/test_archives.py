"""Archives give the bytes that were packed, from threads and forked processes, and say in one line what is wrong."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records import archives, gzip_ranges
from hmrtk.toolkit.records.archives import Archive, archive, archive_stem, is_archive_name
from hmrtk.toolkit.records.remote import located

FILES = {f"train/{i:03d}.jpg": np.random.default_rng(i).bytes(1000 + 977 * i) for i in range(40)}
FILES["train/long/" + "n" * 180 + ".jpg"] = b"name beyond tar's 100 characters"
FILES["empty"] = b""


def write_tar(path: Path, mode: str = "w", prefix: str = "") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in FILES.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        file.mkdir("train")
        for name, data in FILES.items():
            file.writestr(name, data)
    return path


WRITERS = {
    "a.zip": write_zip,
    "deflated.zip": lambda path: write_zip(path, zipfile.ZIP_DEFLATED),
    "a.tar": write_tar,
    "dotted.tar": lambda path: write_tar(path, prefix="./"),
    "a.tar.gz": lambda path: write_tar(path, "w:gz"),
    "a.tgz": lambda path: write_tar(path, "w:gz"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_file_comes_back_in_any_order(tmp_path: Path, name: str) -> None:
    held = Archive(WRITERS[name](tmp_path / name))
    assert held.names() == list(FILES)
    assert len(held) == len(FILES)
    assert "train/007.jpg" in held
    for key in np.random.default_rng(0).permutation(list(FILES)).tolist():
        assert held.read(key) == FILES[key]


def test_gzip_is_read_from_the_nearest_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip_ranges, "CLOSEST", 1 << 16)
    monkeypatch.setattr(gzip_ranges, "_BLOCK", 1 << 12)
    held = Archive(write_tar(tmp_path / "a.tar.gz", "w:gz"))
    assert held._gzip is not None
    assert len(held._gzip._states) >= 5
    for key in reversed(FILES):
        assert held.read(key) == FILES[key]


def test_gzip_in_several_parts(tmp_path: Path) -> None:
    plain = write_tar(tmp_path / "a.tar").read_bytes()
    parts = [gzip.compress(plain[i : i + 100_000]) for i in range(0, len(plain), 100_000)]
    (tmp_path / "a.tgz").write_bytes(b"".join(parts) + bytes(512))
    held = Archive(tmp_path / "a.tgz")
    assert all(held.read(key) == data for key, data in FILES.items())


def test_the_last_of_two_and_hard_links(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for data in (b"old", b"new"):
            info = tarfile.TarInfo("x")
            info.size = 3
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("y")
        link.type, link.linkname = tarfile.LNKTYPE, "x"
        tar.addfile(link)
        symbolic = tarfile.TarInfo("z")
        symbolic.type, symbolic.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(symbolic)
    held = Archive(tmp_path / "a.tar")
    assert held.names() == ["x", "y"]
    assert held.read("x") == held.read("y") == b"new"


def test_extra_fields_longer_than_expected(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.extra = b"\xfe\xca\x00\x10" + bytes(4096)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, b"content")
    assert Archive(tmp_path / "a.zip").read("x") == b"content"


def test_an_index_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip")
    first = archive(path)
    assert archive(path) is first
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("other", b"x")
    assert archive(path).names() == ["other"]


def test_a_damaged_archive_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cut(write_tar(tmp_path / "a.tar"), 0.6)
    for _ in range(2):
        with pytest.raises(InputError, match=r"a\.tar: is not a readable archive: .* \(truncated or corrupt"):
            archive(path)
        monkeypatch.setattr(archives, "_opened", None)
    monkeypatch.undo()
    write_tar(path)
    assert archive(path).read("empty") == b""


def test_indexes_kept_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_NAMES", 2 * len(FILES))
    indexes = archives._Indexes()
    first, *others = [indexes.get(write_tar(tmp_path / f"{i}.tar")) for i in range(3)]
    assert list(indexes._kept.values()) == others
    assert indexes.get(first.place) is not first


def test_threads_and_forked_processes_read_side_by_side(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip")
    names = list(FILES) * 5
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda n: archive(path).read(n), names)) == [FILES[n] for n in names]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_read, [(path, n) for n in names]) == [FILES[n] for n in names]


def _read(item: tuple[Path, str]) -> bytes:
    return archive(item[0]).read(item[1])


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_object_stores(tmp_path: Path, name: str) -> None:
    import fsspec

    place = located(f"memory://archives/{tmp_path.name}/{name}")
    fsspec.filesystem("memory").pipe_file(str(place), WRITERS[name](tmp_path / name).read_bytes())
    held = archive(place)
    assert all(held.read(key) == data for key, data in FILES.items())
    fsspec.filesystem("memory").rm(str(place))
    with pytest.raises(InputError, match=rf"{name}: no such file"):
        held.read("train/007.jpg")


def cut(path: Path, keep: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_a_truncated_archive(tmp_path: Path, name: str) -> None:
    path = cut(WRITERS[name](tmp_path / name), 0.6)
    expected = rf"^{path}: is not a readable archive: .* \(truncated or corrupt: copy or download it again\)$"
    with pytest.raises(InputError, match=expected):
        Archive(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_missing_and_foreign_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(InputError, match=rf"^{path}: no such file$"):
        archive(path)
    for content in (b"hello", b"", b"\x1f\x8bhello"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"^{path}: is not a readable archive: "):
            archive(path)


def test_other_compressions_of_tars_are_named(tmp_path: Path) -> None:
    for mode in ("w:bz2", "w:xz"):
        path = write_tar(tmp_path / "a.tar", mode)
        with pytest.raises(InputError, match=r"is compressed as a whole by (bzip2|xz) \(unpack it to a plain \.tar"):
            Archive(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.zip: has no such file among its 42: b\.jpg \(check --images\)"):
        Archive(write_zip(tmp_path / "a.zip")).read("b.jpg")


def test_a_damaged_file_in_a_zip(tmp_path: Path) -> None:
    for name, problem in (("a.zip", "its checksum differs"), ("deflated.zip", "0 of 7839 bytes are there")):
        path = WRITERS[name](tmp_path / name)
        held, data = Archive(path), bytearray(path.read_bytes())
        start = held._table[held._rows["train/007.jpg"], 0]
        data[start + 43 : start + 53] = b"\xff" * 10  # its first bytes, behind header and name
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"train/007\.jpg is damaged: {problem} \(truncated or corrupt"):
            held.read("train/007.jpg")
        data[start : start + 4] = b"none"
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"train/007\.jpg is not where the directory of the zip says"):
            held.read("train/007.jpg")
        assert held.read("train/008.jpg") == FILES["train/008.jpg"]


def test_a_tar_cut_short_after_it_was_indexed(tmp_path: Path) -> None:
    held = Archive(write_tar(tmp_path / "a.tar"))
    cut(held.place, 0.2)
    with pytest.raises(InputError, match=r"train/030\.jpg is damaged: 0 of 30310 bytes are there"):
        held.read("train/030.jpg")
    held = Archive(write_tar(tmp_path / "a.tgz", "w:gz"))
    cut(held.place, 0.2)
    with pytest.raises(InputError, match=r"a\.tgz: is no longer readable: it ends .* \(was it written anew\?\)"):
        held.read("train/030.jpg")


def test_a_file_larger_than_its_directory_says_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x", bytes(10_000_000))
    held = Archive(tmp_path / "a.zip")
    held._table[0, 2] = 1000
    with pytest.raises(InputError, match="x is damaged: 1001 of 1000 bytes are there"):
        held.read("x")


def test_encrypted_and_rare_zips(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", zipfile.ZIP_LZMA)
    with pytest.raises(InputError, match=r"train/001\.jpg is compressed by zip method 14 \(unpack it, or zip it anew"):
        Archive(path).read("train/001.jpg")
    data = bytearray(write_zip(path).read_bytes())
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)  # the first file's entry in the directory
    data[at + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"train/000\.jpg is encrypted \(unpack it with its password"):
        Archive(path).read("train/000.jpg")


def test_names() -> None:
    assert [n for n in ("a.ZIP", "a.tar", "a.tar.gz", "a.tgz", "zip", "a.gz", "a.jpg") if is_archive_name(n)] == [
        "a.ZIP",
        "a.tar",
        "a.tar.gz",
        "a.tgz",
    ]
    assert [archive_stem(n) for n in ("train2014.zip", "a.b.tar.gz", "x.TAR", "y.jpg")] == [
        "train2014",
        "a.b",
        "x",
        "y.jpg",
    ]

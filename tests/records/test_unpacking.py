"""Zips and tars of a dataset: unpacked whole, gone on with, and never outside their folder."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.records import unpacking
from hmrtk.toolkit.records.unpacking import counted_below, unpack

FILES = {
    "top/a.txt": b"one",
    "top/images/1.jpg": np.random.default_rng(0).bytes(70_000),
    "top/images/2.jpg": b"",
    "b.txt": b"two",
}
KINDS = ("zip", "tar", "tar.gz")


def archive(folder: Path, kind: str, files: dict[str, bytes] | None = None) -> Path:
    path = folder / f"x.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.mkdir("top")
            for name, data in (files or FILES).items():
                file.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if kind.endswith("gz") else "w") as tar:
        for name, data in (files or FILES).items():
            tar.addfile(tar_info(name, len(data)), io.BytesIO(data))
    return path


def tar_info(name: str, size: int = 0, **changes: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def there(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_and_their_number_per_folder(tmp_path: Path, out: Path, kind: str) -> None:
    told: list[tuple[int, int]] = []
    counts = unpack(archive(tmp_path, kind), out, "", lambda stage, done, total, note="": told.append((done, total)))
    assert counts == {"top": 1, "top/images": 2, ".": 1}
    assert there(out) == FILES
    assert counted_below(out, counts) == counts
    assert told[-1] == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_at_the_head_is_left_out(tmp_path: Path, out: Path, kind: str) -> None:
    assert unpack(archive(tmp_path, kind), out, "top") == {".": 2, "images": 2}
    assert set(there(out)) == {"a.txt", "images/1.jpg", "images/2.jpg", "b.txt"}


@pytest.mark.parametrize("kind", KINDS)
def test_unpacking_goes_on_and_mends(tmp_path: Path, out: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path, kind)
    unpack(path, out)
    (out / "b.txt").unlink()
    (out / "top/images/1.jpg").write_bytes(b"cut")
    (out / "top/images/1.jpg.part").write_bytes(b"left by a killed process")
    kept = (out / "top/a.txt").stat().st_mtime_ns
    unpack(path, out)
    assert there(out) == FILES
    assert (out / "top/a.txt").stat().st_mtime_ns == kept
    if kind == "zip":  # has checksums
        (out / "top/a.txt").write_bytes(b"eno")
        unpack(path, out)
        assert there(out) == FILES


def test_what_macos_adds_is_left_out(tmp_path: Path, out: Path) -> None:
    path = archive(tmp_path, "zip", {"a.txt": b"x", "__MACOSX/._a.txt": b"y"})
    assert unpack(path, out) == {".": 1}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../a.txt", "/a.txt", "top/../../a.txt", "..\\a.txt", "C:\\a.txt"])
def test_names_that_lead_out_are_refused(tmp_path: Path, out: Path, kind: str, name: str) -> None:
    path = archive(tmp_path, kind, {"b.txt": b"x", name: b"x"})
    with pytest.raises(InputError, match=r"leads out of the folder \(an archive of this dataset has no such member"):
        unpack(path, out)
    assert set(there(tmp_path)) - {path.name} <= {"out/b.txt"}
    assert (kind == "zip") == (not there(out))  # a zip is looked through before its first file is written


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_of_a_tar_are_refused(tmp_path: Path, out: Path, kind: bytes) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as file:
        file.addfile(tar_info("a", type=kind, linkname="/etc/passwd"))
    with pytest.raises(InputError, match=r"x\.tar a: is a link or a device, expected a plain file"):
        unpack(path, out)
    assert not list(out.iterdir())


def test_links_of_a_zip_are_refused(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        info = zipfile.ZipInfo("a")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match=r"x\.zip a: is a link or a device"):
        unpack(path, out)


def test_links_that_were_there_lead_nothing_out(tmp_path: Path, out: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (out / "top").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"top: is a link that leads out of the folder \(remove it, or pass another"):
        unpack(archive(tmp_path, "zip"), out)
    assert not there(tmp_path / "elsewhere")
    victim = tmp_path / "victim"
    victim.write_bytes(b"old")
    (out / "b.txt").symlink_to(victim)
    unpack(archive(tmp_path, "zip", {"b.txt": b"new"}), out)
    assert victim.read_bytes() == b"old"
    assert (out / "b.txt").read_bytes() == b"new"


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_archive_is_named(tmp_path: Path, out: Path, kind: str) -> None:
    path = archive(tmp_path, kind)
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(InputError, match=rf"x\.{kind}: is .*damaged.* \(remove it and download it again\)"):
        unpack(path, out)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_flipped_bit_is_named(tmp_path: Path, out: Path, kind: str) -> None:
    path = archive(tmp_path, kind)
    data = bytearray(path.read_bytes())
    data[30_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"x\.{kind}: is damaged"):
        unpack(path, out)
    assert not (out / "top/images/1.jpg").exists() or kind == "tar.gz"


def test_no_archive_at_all(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_text("<html>moved</html>")
    with pytest.raises(InputError, match=r"x\.zip: is damaged: "):
        unpack(path, out)


def test_a_full_disk(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path, "zip")

    class Usage:
        free = 100

    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda folder: Usage)
    with pytest.raises(OutputError, match=r"out: unpacking needs 70\.0 kB, 100 bytes are free \(free some space\)"):
        unpack(path, out)
    assert not list(out.iterdir())
    monkeypatch.undo()

    def full(source: Any, target: Any, size: int) -> None:
        target.write(source.read(10))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(unpacking.shutil, "copyfileobj", full)
    with pytest.raises(OutputError, match=r"a\.txt: cannot be written: No space left on device \(what was unpacked is"):
        unpack(path, out)
    monkeypatch.undo()
    unpack(path, out)
    assert there(out) == FILES

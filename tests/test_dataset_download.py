"""A data set from a server on this machine: files, archives, parts, interruptions, and what is refused beforehand."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hmrtk.toolkit import dataset_download
from hmrtk.toolkit.dataset_download import chosen, download_dataset, lines, summary
from hmrtk.toolkit.errors import InputError, OutputError, UnknownNameError
from hmrtk.toolkit.records.folder_lock import held
from hmrtk.toolkit.records.http_transfer import Patience
from hmrtk.toolkit.records.manifest import Download, Manifest, load_manifest, manifest_names
from hmrtk.toolkit.records.receipt import part_path, read_receipt
from tests.records.file_server import Served, serving

HASTY = Patience(attempts=2, first_wait=0.01, longest_wait=0.02, timeout=5)
PICTURES = {f"set/images/{i}.jpg": bytes([i]) * 5000 for i in range(20)}


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return stream.getvalue()


@pytest.fixture
def server() -> Iterator[Served]:
    files = {"/pictures.zip": zipped(PICTURES), "/annotation.json": b'{"a": 1}', "/more.zip": zipped({"b.txt": b"b"})}
    with serving(Served(files, {name: f'"{i}"' for i, name in enumerate(files)})) as served:
        yield served


def manifest(server: Served, **first: Any) -> Manifest:
    downloads = (
        Download(
            url=f"{server.url}/pictures.zip", file="pictures.zip", meaning="pictures", part="pictures", unpack=".",
            strip="set", **first,
        ),
        Download(url=f"{server.url}/annotation.json", file="sub/a.json", meaning="annotation", part="annotation"),
        Download(
            url=f"{server.url}/more.zip", file="more.zip", meaning="more", part="more", unpack="more", optional=True
        ),
    )  # fmt: skip
    return load_manifest("lsp").model_copy(update={"downloads": downloads})


def got(server: Served, folder: Path, *parts: str, first: dict[str, Any] | None = None, **options: Any) -> Any:
    downloads = chosen(manifest(server, **(first or {})), parts)
    return download_dataset(downloads, folder, patience=HASTY, **options)


def states(obtained: Any) -> dict[str, str]:
    return {each.file: each.state for each in obtained}


def test_files_and_archives_come_to_their_places(server: Served, tmp_path: Path) -> None:
    obtained = got(server, tmp_path)
    assert states(obtained) == {"pictures.zip": "downloaded", "sub/a.json": "downloaded"}
    assert {p.name: p.read_bytes() for p in (tmp_path / "images").iterdir()} == {
        Path(name).name: data for name, data in PICTURES.items()
    }
    assert (tmp_path / "sub/a.json").read_bytes() == server.files["/annotation.json"]
    assert [each.files for each in obtained] == [20, None]
    assert obtained[0].sha256 == hashlib.sha256(server.files["/pictures.zip"]).hexdigest()
    assert not obtained[0].published
    assert "pictures.zip: downloaded" in obtained[0].line()
    assert "20 files unpacked" in obtained[0].line()


def test_run_again_does_nothing(server: Served, tmp_path: Path) -> None:
    got(server, tmp_path)
    asked = len(server.asked)
    assert states(got(server, tmp_path)) == {"pictures.zip": "there", "sub/a.json": "there"}
    assert len(server.asked) == asked


def test_parts(server: Served, tmp_path: Path) -> None:
    assert states(got(server, tmp_path, "more")) == {"more.zip": "downloaded"}
    assert (tmp_path / "more/b.txt").read_bytes() == b"b"
    with pytest.raises(UnknownNameError, match="unknown part of lsp 'picture'; known: pictures"):
        got(server, tmp_path, "picture")


def test_archives_can_stay_packed_or_go(server: Served, tmp_path: Path) -> None:
    (pictures, _) = got(server, tmp_path, unpacked=False)
    assert pictures.files is None
    assert not (tmp_path / "images").exists()
    (pictures, _) = got(server, tmp_path, keep=False)
    assert pictures.files == 20
    assert not (tmp_path / "pictures.zip").exists()
    asked = len(server.asked)
    assert states(got(server, tmp_path))["pictures.zip"] == "unpacked before"
    assert len(server.asked) == asked
    (tmp_path / "images/3.jpg").unlink()  # then the archive is needed once more
    assert states(got(server, tmp_path))["pictures.zip"] == "downloaded"
    assert (tmp_path / "images/3.jpg").read_bytes() == PICTURES["set/images/3.jpg"]


def test_unpacking_that_was_interrupted_goes_on(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hmrtk.toolkit.records import unpacking

    real, written = unpacking._write, [0]

    def killed(*arguments: Any) -> None:
        if written[0] == 7:
            raise KeyboardInterrupt
        written[0] += 1
        real(*arguments)

    monkeypatch.setattr(unpacking, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        got(server, tmp_path)
    monkeypatch.undo()
    assert len(list((tmp_path / "images").iterdir())) == 7
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "images").iterdir()}
    assert got(server, tmp_path)[0].files == 20
    assert all(p.stat().st_mtime_ns == time for p, time in times.items())


def test_a_wrong_checksum_unpacks_nothing(server: Served, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pictures\.zip: sha256 is .*, the manifest says 0000"):
        got(server, tmp_path, first={"sha256": "0" * 64})
    assert not (tmp_path / "images").exists()
    assert (tmp_path / "pictures.zip.bad").exists()


def test_an_archive_that_arrived_damaged_is_named(server: Served, tmp_path: Path) -> None:
    server.files["/pictures.zip"] = server.files["/pictures.zip"][:3000]
    with pytest.raises(InputError, match=r"pictures\.zip: is a damaged or truncated zip file \(remove it and download"):
        got(server, tmp_path)


def test_space_is_asked_for_before_the_first_byte(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 2_000_000

    monkeypatch.setattr(dataset_download.shutil, "disk_usage", lambda folder: Usage)
    with pytest.raises(
        OutputError, match=r"about 3\.0 MB are needed, 2\.0 MB are free \(free some space, pass another"
    ):
        got(server, tmp_path, first={"bytes": 1_000_000, "unpacked": 2_000_000})
    assert not server.asked


def test_space_already_used_is_not_asked_for_again(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got(server, tmp_path)

    class Usage:
        free = 10

    monkeypatch.setattr(dataset_download.shutil, "disk_usage", lambda folder: Usage)
    assert states(got(server, tmp_path)) == {"pictures.zip": "there", "sub/a.json": "there"}


def _hold(folder: str, ready: Any, done: Any) -> None:
    with held(Path(folder), dataset_download.DOING, dataset_download.LOCK):
        ready.set()
        done.wait(60)


def test_two_processes_do_not_write_one_file(server: Served, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path), ready, done))
    other.start()
    assert ready.wait(60)
    with pytest.raises(OutputError, match=r"another process is downloading into it \(wait for it, or stop it\)"):
        got(server, tmp_path)
    done.set()
    other.join()
    assert states(got(server, tmp_path))["pictures.zip"] == "downloaded"


def test_a_folder_that_cannot_be_made(server: Served, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/x: cannot be written: "):
        got(server, tmp_path / "file" / "x")


def test_what_arrived_stays_when_the_server_goes(server: Served, tmp_path: Path) -> None:
    server.cut, server.statuses = [20_000], []
    whole = server.files["/pictures.zip"]

    def vanish(*_: Any, **__: Any) -> None:
        server.files.pop("/pictures.zip", None)

    with pytest.raises(InputError, match="404"):
        download_dataset(
            chosen(manifest(server), ["pictures"]), tmp_path, patience=Patience(2, 0, 0, 5), progress=vanish
        )
    part = part_path(tmp_path / "pictures.zip")
    assert part.stat().st_size == 20_000
    server.files["/pictures.zip"] = whole
    assert got(server, tmp_path, "pictures")[0].files == 20
    assert server.asked[-1][1] == "bytes=20000-"
    assert read_receipt(tmp_path / "pictures.zip").bytes == len(whole)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", manifest_names())
def test_every_dataset_says_how_it_is_had(name: str, tmp_path: Path) -> None:
    dataset = load_manifest(name)
    text = "\n".join(lines(dataset, tmp_path, []))
    if dataset.downloads:
        assert summary(dataset, tmp_path, [])["out"] == str(tmp_path)
        assert all(chosen(dataset, [part]) for part in dataset.parts)
        assert any(not download.optional for download in dataset.downloads)
        return
    assert summary(dataset, tmp_path, [])["obtain"] == list(dataset.obtain)
    assert dataset.packaged or all(step in text for step in (dataset.homepage, dataset.licence, *dataset.obtain))

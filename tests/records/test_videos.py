"""Frames carry their number as a pattern, so every frame that comes back is known to be the right one."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records import videos
from hmrtk.toolkit.records.remote import located
from hmrtk.toolkit.records.video_entries import PTS, Entries, video_entries
from hmrtk.toolkit.records.videos import frame_number, is_video_name, read_frame

COUNT, DIGITS = 130, 12
CODECS = {"a.mp4": "mp4v", "a.avi": "XVID", "motion.avi": "MJPG", "a.mkv": "mp4v", "a.webm": "VP80", "a.mpg": "PIM1"}
RED = (230, 40, 30)


def write_video(path: Path, count: int = COUNT, codec: str = "") -> Path:
    """Frames 1 … count of 160 × 96 px: their number in binary as white and black fields, over red."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*(codec or CODECS[path.name])), 50, (160, 96))
    assert writer.isOpened()
    for number in range(1, count + 1):
        frame = np.full((96, 160, 3), RED[::-1], np.uint8)
        for digit in range(DIGITS):
            frame[16:56, 12 * digit + 8 : 12 * digit + 20] = 255 * (number >> digit & 1)
        writer.write(frame)
    writer.release()
    return path


def shown(frame: np.ndarray) -> int:
    """The number that a frame shows."""
    assert np.abs(frame[70:90].mean((0, 1)) - RED).max() < 12  # RGB, and not BGR
    return sum(int(frame[36, 12 * digit + 14].mean() > 128) << digit for digit in range(DIGITS))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "a.mp4")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files for which a decoder is made; none is left over from before."""
    made: list[Path] = []
    original = videos.Decoder.__init__
    monkeypatch.setattr(videos, "_decoders", videos._Decoders())
    monkeypatch.setattr(videos.Decoder, "__init__", lambda self, path: made.append(path) or original(self, path))
    return made


@pytest.mark.parametrize("name", CODECS)
def test_every_frame_is_the_right_one(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name)
    assert [shown(read_frame(path, number)) for number in range(1, COUNT + 1)] == list(range(1, COUNT + 1))
    order = [100, 3, 101, 99, 130, 1, 64]
    assert [shown(read_frame(path, number)) for number in order] == order


def test_ascending_frames_cost_one_pass(video: Path, opened: list[Path]) -> None:
    numbers = [1, 6, 11, 11, 16, 100]  # 11 twice: two people in one frame
    assert [shown(read_frame(video, number)) for number in numbers] == numbers
    assert opened == [video]
    read_frame(video, 99)
    assert opened == [video, video]
    read_frame(video, 100)  # by the first, which still shows it
    assert [decoder.position for decoder in videos._decoders._idle] == [99, 100]


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch, opened: list[Path]) -> list[int]:
    """The frames that decoders pass."""
    numbers: list[int] = []
    original = videos.Decoder._next
    monkeypatch.setattr(videos.Decoder, "_next", lambda self: original(self) and not numbers.append(self.position))
    return numbers


def test_far_frames_are_jumped_to(video: Path, passed: list[int]) -> None:
    if PTS < 0:
        pytest.skip("this OpenCV does not tell time stamps")
    entries = video_entries(video)
    assert entries is not None
    assert (entries.first, entries.keys.tolist()) == (0, list(range(1, COUNT, 12)))
    assert [entries.before(number) for number in (1, 12, 13, 24, 25, 130)] == [1, 1, 1, 1, 13, 109]
    assert [shown(read_frame(video, number)) for number in (100, 101, 130)] == [100, 101, 130]
    assert passed == [1, *range(86, 131)]


def test_without_time_stamps_nothing_is_jumped_over(
    video: Path, passed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    videos._entries.cache_clear()
    monkeypatch.setattr("hmrtk.toolkit.records.video_entries.PTS", -1)
    assert shown(read_frame(video, 100)) == 100
    assert passed == list(range(1, 101))
    videos._entries.cache_clear()


@pytest.mark.parametrize("wrong_from", [1, 85, 90])
def test_a_wrong_time_stamp_ends_all_jumps(
    video: Path, passed: list[int], monkeypatch: pytest.MonkeyPatch, wrong_from: int
) -> None:
    original = videos.Decoder._shown

    def lie(self: videos.Decoder, entries: Entries) -> int:
        number = original(self, entries)
        return number + 1 if number >= wrong_from else number

    monkeypatch.setattr(videos.Decoder, "_shown", lie)
    assert [shown(read_frame(video, number)) for number in (100, 130)] == [100, 130]
    assert passed[-130:] == list(range(1, 131))


def test_time_stamps_that_do_not_count_frames(tmp_path: Path) -> None:
    assert video_entries(tmp_path / "none.mp4") is None
    path = write_video(tmp_path / "a.mpg")
    order = [100, 3, 101, 130]
    assert [shown(read_frame(path, number)) for number in order] == order


def test_the_end_is_found_once(video: Path, passed: list[int]) -> None:
    for number in (131, 140, 131):
        with pytest.raises(InputError, match="has 130 frames"):
            read_frame(video, number)
    assert passed[-1] == 130
    assert passed.count(130) == 1
    assert shown(read_frame(video, 130)) == 130
    assert passed.count(130) == 2  # by another decoder: one past its end shows nothing


def test_two_readers_of_one_video_keep_their_places(video: Path, opened: list[Path]) -> None:
    for number in range(1, 60):
        assert shown(read_frame(video, number)) == number
        assert shown(read_frame(video, 60 + number)) == 60 + number
    assert len(opened) == 2


def test_a_video_that_is_not_used_gives_way(tmp_path: Path, opened: list[Path]) -> None:
    paths = [write_video(tmp_path / f"{i}.avi", 3, "MJPG") for i in range(12)]
    for path in paths:
        read_frame(path, 1)
    kept = [decoder.path for decoder in videos._decoders._idle]
    assert kept == paths[-len(kept) :]
    assert len(kept) == max(videos.MIN_IDLE, videos.processors())


def test_a_video_written_anew_is_opened_anew(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 3)
    assert shown(read_frame(path, 2)) == 2
    write_video(path, 9)
    assert shown(read_frame(path, 9)) == 9


def test_threads_and_forked_processes(video: Path) -> None:
    numbers = list(range(1, COUNT, 2))
    read_frame(video, 5)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda n: shown(read_frame(video, n)), numbers)) == numbers
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_shown, [(video, n) for n in numbers]) == numbers


def _shown(item: tuple[Path, int]) -> int:
    return shown(read_frame(*item))


def test_beyond_the_end(video: Path) -> None:
    with pytest.raises(InputError, match=rf"^{video}: has 130 frames, so there is no frame 131 \(check --images\)$"):
        read_frame(video, 131)


def test_missing_foreign_and_remote_videos(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(InputError, match=rf"^{path}: no such file$"):
        read_frame(path, 1)
    for content in (b"hello", b"", write_video(tmp_path / "a.avi").read_bytes()[:100]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"^{path}: cannot be opened as a video \(truncated, or a codec that"):
            read_frame(path, 1)
    import fsspec

    fsspec.filesystem("memory").pipe_file("memory://v/a.mp4", b"x")
    with pytest.raises(InputError, match=r"a\.mp4: is a video in an object store \(copy it to this machine, or"):
        read_frame(located("memory://v/a.mp4"), 1)


def test_truncated_videos(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")  # its directory is at its end
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(InputError, match=r"a\.mp4: cannot be opened as a video"):
        read_frame(path, 1)
    path = write_video(tmp_path / "motion.avi")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert shown(read_frame(path, 10)) == 10
    with pytest.raises(InputError, match=r"motion\.avi: ends after frame \d\d of 130 \(truncated or corrupt: copy"):
        read_frame(path, 120)


def test_nothing_but_our_message_is_printed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    code = "import pathlib, sys; from hmrtk.toolkit.records.videos import Decoder; Decoder(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.mp4"], capture_output=True, text=True, check=False)
    assert "InputError" in done.stderr
    assert "WARN" not in done.stderr
    assert "[mov," not in done.stderr


def test_names() -> None:
    names = ("000123", "000123.jpg", "frame_000123.jpg", "7.png", "0", "x.jpg", "", "img_000.jpg", "a12b")
    assert [frame_number(name) for name in names] == [123, 123, 123, 7, None, None, None, None, None]
    assert [name for name in ("a.MP4", "b.avi", "mp4", "c.jpg") if is_video_name(name)] == ["a.MP4", "b.avi"]

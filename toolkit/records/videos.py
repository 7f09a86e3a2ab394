"""Frames of video files, exactly, by number. Used by ``picture_files``.

In: a local video and a number from 1. Out: the frame. Frame k is the k-th picture that comes out when the file is
decoded from its beginning, which is what ``ffmpeg -i FILE %06d.jpg`` calls k. A decoder goes forward and stays open
where it stopped, so that frames asked for in ascending order cost one pass; for an earlier one another is opened. Far
ahead it jumps, but only in files whose key frames and time stamps allow it (``video_entries``), and each frame from
there on has to have the time stamp of its number. Threads and processes have decoders of their own.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.engine.worker import processors
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.video_entries import PTS, Entries, video_entries

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".webm")
MIN_IDLE = 4
"""Decoders a process keeps open between two frames, or as many as it has processors: each holds some decoded frames."""

JUMP = 64
"""Frames that a jump has to save."""

_ERRORS = 2
"""OpenCV's log level that leaves out its warnings."""
_FRAME = re.compile(r"(?:.*\D)?(\d{1,9})", re.DOTALL)


def is_video_name(name: str) -> bool:
    """Whether a file is called as videos are."""
    return name.lower().endswith(SUFFIXES)


def frame_number(name: str) -> int | None:
    """The number at the end of a frame's name without its suffix: ``000123``, ``frame_000123.jpg`` → 123."""
    match = _FRAME.fullmatch(PurePosixPath(name).stem)
    return int(match[1]) if match and int(match[1]) else None


def read_frame(video: Place, number: int) -> NDArray[np.uint8]:
    """One frame (H, W, 3) uint8 RGB, as it is stored but turned as the file says.

    Args:
        number: from 1.

    Raises:
        InputError: missing, no video that can be decoded, or it ends before that frame.
    """
    with open_input(video):  # says what is wrong
        pass
    if not isinstance(video, Path):
        raise InputError(video, "is a video in an object store", "copy it to this machine, or extract its frames")
    decoder = _decoders.take(video, number)
    try:
        return decoder.frame(number)
    finally:
        _decoders.give(decoder)


class Decoder:
    """An open video, decoded forward.

    Attributes:
        key: the file, and what changes when it is written anew.
        position: the number of the frame it shows; 0 before the first.
        ended: there is no frame after it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.key = path, _key(path)
        self._trusted = True  # until a time stamp is wrong
        self._open()

    def _open(self) -> None:
        with _quiet():
            self._capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not self._capture.isOpened():
            remedy = "truncated, or a codec that OpenCV lacks: extract its frames"
            raise InputError(self.path, "cannot be opened as a video", remedy)
        self.position, self.ended = 0, False
        self._entries: Entries | None = None  # once it has jumped

    def frame(self, number: int) -> NDArray[np.uint8]:
        """The frame of a number not before ``position``; (H, W, 3) uint8 RGB.

        Raises:
            InputError: the video ends before it, or it cannot be decoded.
        """
        if number - self.position > JUMP and self._trusted and not self.ended:
            self._jump(number)
        while self.position < number:
            if not self._next():
                raise InputError(self.path, *self._end(number))
            if self._entries is not None and self._shown(self._entries) != self.position:
                self._start_over()
        good, picture = self._capture.retrieve()
        if not good or picture is None or picture.ndim != 3:
            raise InputError(self.path, f"frame {number} cannot be decoded", "extract its frames with another program")
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    def _next(self) -> bool:
        self.ended = self.ended or not self._capture.grab()
        self.position += not self.ended
        return not self.ended

    def _jump(self, number: int) -> None:
        """Go on from a key frame nearer to a frame, if there is one and time stamps turn out to be right."""
        entries = _entries(self.key)
        start = entries.before(number) if entries is not None else 0
        if entries is None or start - self.position < max(JUMP, number - start):
            return
        if not (self.position or self._next()) or self._shown(entries) != self.position:
            self._trusted = False
            return
        self._entries = entries
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, start - 1)
        if not self._capture.grab() or self._shown(entries) != start:
            self._start_over()
        else:
            self.position = start

    def _shown(self, entries: Entries) -> int:
        """The number of the frame by its time stamp."""
        return round(self._capture.get(PTS)) - entries.first + 1

    def _start_over(self) -> None:
        """From the beginning, and without jumps."""
        self._trusted = False
        self._open()

    def _end(self, number: int) -> tuple[str, str]:
        """What to say when there is no further frame."""
        said = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if said >= number:
            return f"ends after frame {self.position} of {said}", "truncated or corrupt: copy or download it again"
        return f"has {self.position} frames, so there is no frame {number}", "check --images"


class _Decoders:
    """The decoders that nobody uses at the moment."""

    def __init__(self) -> None:
        self._process, self._lock = os.getpid(), threading.Lock()
        self._idle: list[Decoder] = []  # the one used last is last

    def take(self, path: Path, number: int) -> Decoder:
        """The decoder of this file that has least to go, or a new one."""
        if self._process != os.getpid():
            self.__init__()  # type: ignore[misc]  # forked: an open file is shared with the parent, the lock as well
        key = _key(path)
        with self._lock:
            fit = [d for d in self._idle if d.key == key and d.position <= number - d.ended]
            if fit:
                best = max(fit, key=lambda d: d.position)
                self._idle.remove(best)
                return best
        return Decoder(path)

    def give(self, decoder: Decoder) -> None:
        """Keep a decoder for the next frame, also one at the end, which knows it; the one unused for longest goes."""
        with self._lock:
            self._idle.append(decoder)
            del self._idle[: -max(MIN_IDLE, processors())]


_decoders = _Decoders()


@functools.lru_cache(256)
def _entries(key: tuple[str, int, int]) -> Entries | None:
    return video_entries(Path(key[0]))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what FFmpeg (unless it has been used before) and OpenCV print: our message says the same in one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # before OpenCV 5, and since
    level = set_level(_ERRORS)
    try:
        yield
    finally:
        set_level(level)


def _key(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return str(path), found.st_mtime_ns, found.st_size

"""``Entries``: where a video can be entered other than at its beginning, and still give the right frames.

In: a local video. Out: the numbers of its key frames, where time stamps can be trusted to tell frames apart. Used by
``videos``, whose workers otherwise each decode a whole video to share it.

The packets are read without decoding them. They qualify if their time stamps, in frames, are consecutive. Frames after
a key frame may still lack something of before it (open groups of pictures, intra refresh), so the key frame **before**
the last one is entered at: what lies between two key frames heals the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

PTS: int = getattr(cv2, "CAP_PROP_PTS", -1)
"""OpenCV tells time stamps since its version 4.11; before, videos are decoded from their beginning."""


@dataclass(frozen=True)
class Entries:
    """Key frames of a video.

    Attributes:
        first: time stamp of frame 1, in frames.
        keys: (K,) int64 numbers of the key frames, ascending, from 1.
    """

    first: int
    keys: NDArray[np.int64]

    def before(self, number: int) -> int:
        """The key frame before the last one that is not behind a frame; 1 where there is none."""
        passed = int(np.searchsorted(self.keys, number, side="right"))
        return int(self.keys[passed - 2]) if passed >= 2 else 1


def video_entries(path: Path) -> Entries | None:
    """The key frames of a video; None where its time stamps do not count its frames."""
    if PTS < 0:
        return None
    packets = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    stamps, keys = [], []
    while packets.grab():
        stamps.append(packets.get(PTS))
        keys.append(packets.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME) > 0)
    if not stamps:
        return None
    shown = np.rint(np.array(stamps)).astype(np.int64)
    first = int(shown.min())
    if not np.array_equal(np.sort(shown), np.arange(first, first + len(shown))):
        return None
    return Entries(first, np.sort(shown[np.array(keys)]) - first + 1)

"""Which picture of the records a result is of: by the picture's name, or by video and number of the frame.

``matching`` calls this and then tells the people in a picture apart.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.wording import counted

Key = str | tuple[str, int]
Parts = tuple[str, ...]

_VIDEO_FRAME = re.compile(r"(?:(?P<above>[^/]+)/imgs/|(?P<before>[^/]+)-)(?P<number>\d{6})\.\w+$")


def name_keys(names: Sequence[str], paths: Sequence[str | None], place: str) -> tuple[list[Key | None], list[str]]:
    """The record's ``image_path`` that each name means.

    Names are compared without folders and extension: ``/tmp/a/imgs/im_7.png`` is ``imageFiles/a/im_7.jpg``. Where
    pictures in several folders have the same name, the folder next to one has to occur above the other, too.

    Args:
        names: (N) of a result. paths: of the records.
        place: the result's file, for error messages.

    Returns:
        (N) paths, None where no record has such a picture; and notes: folders that differ though the names agree.

    Raises:
        InputError: a name that fits several pictures equally well.
    """
    known: defaultdict[str, dict[str, Parts]] = defaultdict(dict)
    for known_path in dict.fromkeys(path for path in paths if path is not None):
        known[_parts(known_path)[0]][known_path] = _parts(known_path)
    distinct = list(dict.fromkeys(names))
    telling = len({_parts(name)[0] for name in distinct}) == len(distinct) and all(len(k) == 1 for k in known.values())
    found: dict[str, Key | None] = {}
    differing: list[str] = []
    for name in distinct:
        parts = _parts(name)
        path = _best(name, parts, known.get(parts[0], {}), place)
        if path is not None and not _agree(parts, _parts(path)):
            differing.append(f"{name} is taken for {path}")
            path = path if telling else None
        found[name] = path
    keys = [found[name] for name in names]
    if not (telling and differing):
        return keys, []
    return keys, [f"{counted(len(differing), 'picture')} matched by bare name, the folders differ: {differing[0]}"]


def video_frames(names: Sequence[str]) -> tuple[NDArray[np.int64] | None, list[str | None] | None]:
    """Frames (N,) from 0 and names of videos, when all pictures are called as demos call those of a video.

    ``ffmpeg`` counts from 1: ``<video>-000001.png`` (HybrIK) or ``<video>/imgs/000001.png`` (CLIFF).
    """
    found = [_VIDEO_FRAME.search(name.replace("\\", "/")) for name in names]
    matches = [match for match in found if match]
    if len(matches) < len(names):
        return None, None
    frames = np.array([int(match["number"]) - 1 for match in matches], np.int64)
    return (frames, [match["above"] or match["before"] for match in matches]) if (frames >= 0).all() else (None, None)


def frame_keys(
    frames: NDArray[np.int64], videos: Sequence[str | None], records: RecordTable, place: str, first_frame: int = 0
) -> list[Key]:
    """(video, frame) of each result; ``record_frames`` gives those of the records.

    Args:
        frames: (N,) from 0. videos: (N) names; None where a file does not say.
        records: if they are of one video, that is meant by None.
        place: the result's file.
        first_frame: number that the records give to the video's first frame.

    Raises:
        InputError: a video that is none of the records', or none is named and the records are of several.
    """
    known = sorted({key[0] for key in record_frames(records) if key is not None})
    meant: dict[str | None, str] = {}
    for video in dict.fromkeys(videos):
        fits = [name for name in known if video in (None, name, PurePosixPath(name).name)]
        if len(fits) != 1:
            shown = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
            what = f"is of video {video!r}" if video is not None else "does not say which video it is of"
            raise InputError(place, f"{what}; the records are of {shown or 'none'}", "pass --sequence NAME")
        meant[video] = fits[0]
    return [(meant[video], int(frame) + first_frame) for video, frame in zip(videos, frames, strict=True)]


def record_frames(records: RecordTable) -> list[tuple[str, int] | None]:
    """(video, frame) of each record, None where it has no sequence or frame; a video is a sequence seen by a camera."""
    columns = (records.table[name].to_pylist() for name in ("sequence", "camera_id", "frame"))
    return [
        None if sequence is None or frame is None else (video_name(sequence, camera), int(frame))
        for sequence, camera, frame in zip(*columns, strict=True)
    ]


def video_name(sequence: str, camera: str | None) -> str:
    """``sequence.camera``, or the sequence alone where no camera is named, or its name has the camera in it."""
    return sequence if camera is None or camera in sequence.split(".") else f"{sequence}.{camera}"


def _parts(name: str) -> Parts:
    """The parts of a path from its end, the last one without extension."""
    path = PurePosixPath(name.replace("\\", "/"))
    return (path.stem, *reversed(path.parent.parts))


def _agree(a: Parts, b: Parts) -> bool:
    """Whether the folder next to one name occurs above the other; a name without folders agrees with all."""
    return len(a) == 1 or len(b) == 1 or a[1] in b[1:] or b[1] in a[1:]


def _likeness(a: Parts, b: Parts) -> tuple[bool, int, int]:
    """How well two paths of one name agree: larger is better."""
    along = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return _agree(a, b), along, len(set(a[1:]) & set(b[1:]))


def _best(name: str, parts: Parts, candidates: dict[str, Parts], place: str) -> str | None:
    if len(candidates) < 2:
        return next(iter(candidates), None)
    scores = {path: _likeness(parts, other) for path, other in candidates.items()}
    best = max(scores.values())
    winners = [path for path, score in scores.items() if score == best]
    if len(winners) > 1:
        raise InputError(
            place,
            f"picture {name!r} could be any of {len(winners)} pictures of the records, "
            f"such as {winners[0]} and {winners[1]}",
            "name pictures with their folders, or pass --match order",
        )
    return winners[0]

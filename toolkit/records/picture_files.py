"""``PictureFolder``: where the photographs of a data set are; in folders, in archives or in videos.

In: a root and the ``image_path`` of a row. Out: a ``PictureFile`` that can be read. Used by sources that look for
pictures, and by ``shards.pictures``.

``image_path`` is relative to the root, has forward slashes, and does not leave the root. **An archive or a video stands
for a folder.** Walking down the path from the root:

- a part that is a file and an archive (``.zip``, ``.tar``, ``.tar.gz``, ``.tgz``) is opened, and the rest names a file
  in it: ``coco-train-0.tar/key.jpg``. Unpacked into a folder of that name, the same path holds.
- where a folder is missing and an archive of its name lies there, that is opened: ``train2014/a.jpg`` is found in
  ``train2014.zip``, whether the zip holds ``train2014/a.jpg`` or ``a.jpg``.
- a part that is a file and a video (``.mp4``, ``.avi`` …) is decoded, and the rest ends in the frame's number, **from
  1**: ``S9/Videos/Directions.54138969.mp4/000123.jpg`` is the 123rd frame. ``ffmpeg -i Directions.54138969.mp4
  %06d.jpg`` gives it that name, so in a folder with these pictures the same path holds.

The root itself may be an archive or a video, too. Videos have to be local.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records import archives, videos
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.remote import Place, files_in

MAX_FOLDERS = 4096
"""Folders of pictures that are remembered, so that each is looked for once."""
CHECK_ROOT = "check --images"


@dataclass(frozen=True)
class PictureFile:
    """One photograph.

    Attributes:
        place: the file, or the archive or video it is in.
        member: its path inside, as asked for; empty for a file of its own.
    """

    place: Place
    member: str = ""

    def __str__(self) -> str:
        return f"{self.place}/{self.member}" if self.member else str(self.place)

    def exists(self) -> bool:
        """Whether there is such a file; for a frame, whether it names one (only decoding tells where a video ends).

        Raises:
            InputError: the archive is damaged.
        """
        if not self.member:
            return self.place.is_file()
        if videos.is_video_name(self.place.name):
            return self._number() is not None
        return self._name() is not None

    def read(self) -> bytes | NDArray[np.uint8]:
        """The picture's file as bytes; a frame of a video as (H, W, 3) uint8 RGB.

        Raises:
            InputError: missing or damaged; the place is the file, archive or video.
        """
        if not self.member:
            with open_input(self.place) as stream:
                return bytes(stream.read())
        if not videos.is_video_name(self.place.name):
            return archives.archive(self.place).read(self._name() or self.member)
        number = self._number()
        if number is None:
            raise InputError(self.place, f"{self.member!r} is not the number of a frame, from 1", CHECK_ROOT)
        return videos.read_frame(self.place, number)

    def _number(self) -> int | None:
        """Which frame of the video; one of another video is none of it."""
        folders, name = PurePosixPath(self.member).parts[:-1], PurePosixPath(self.member).name
        return videos.frame_number(name) if not folders or folders[-1] == self.place.name else None

    def _name(self) -> str | None:
        """What the archive calls it: a packed folder may be part of the names or not, and of the path as well."""
        held, name = archives.archive(self.place), self.place.name
        stem = archives.archive_stem(name)
        inner = [self.member.removeprefix(f"{folder}/") for folder in (name, stem)]
        return next((n for n in (self.member, f"{stem}/{self.member}", *inner) if n in held), None)


class PictureFolder:
    """Finds photographs below a root; picklable.

    Args:
        root: folder that image paths are relative to, or an archive or video that stands for one.
    """

    def __init__(self, root: Place) -> None:
        self.root = root
        self._container = functools.lru_cache(MAX_FOLDERS)(functools.partial(_container, root))

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"])  # type: ignore[misc]

    def find(self, image_path: str, place: str) -> PictureFile:
        """Where a photograph is, or would be.

        Args:
            place: the row, for messages.

        Raises:
            InputError: the path leaves the root.
        """
        path = PurePosixPath(image_path.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\0" in image_path:
            raise InputError(place, f"image_path {image_path!r} leaves the image root")
        found = self._container(path.parts[:-1])
        if found is None:
            return PictureFile(self.root / str(path))
        holder, depth = found
        return PictureFile(holder, "/".join(path.parts[depth:]))


def has_pictures(folder: Place) -> bool:
    """Whether a folder of pictures is there, or an archive of its name."""
    return folder.is_dir() or _archive_of(folder) is not None


def picture_names(folder: Place) -> list[str] | None:
    """Names of the files in a folder, or in an archive of its name; None where neither is there.

    Raises:
        InputError: the archive is damaged.
    """
    if folder.is_dir():
        return [file.name for file in files_in(folder, "*")]
    file = _archive_of(folder)
    return None if file is None else [PurePosixPath(name).name for name in archives.archive(file).names()]


def stands_for_a_folder(name: str) -> bool:
    """Whether a file is called as archives or videos are."""
    return archives.is_archive_name(name) or videos.is_video_name(name)


def _container(root: Place, folders: tuple[str, ...]) -> tuple[Place, int] | None:
    """The first archive or video on the way, and how many folders lead to it; None where there is none."""
    if folders and (root / "/".join(folders)).is_dir():
        return None
    place = root
    for depth in range(len(folders) + 1):
        if depth:
            place = place / folders[depth - 1]
        if place.is_dir():
            continue
        if stands_for_a_folder(place.name) and place.is_file():
            return place, depth
        packed = _archive_of(place) if depth else None
        return None if packed is None else (packed, depth)
    return None


def _archive_of(folder: Place) -> Place | None:
    """The archive that stands for a folder that is not there."""
    beside = (folder.parent / (folder.name + suffix) for suffix in archives.SUFFIXES)
    return next((file for file in beside if file.is_file()), None)

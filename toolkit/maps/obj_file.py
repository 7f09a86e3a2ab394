"""Wavefront OBJ files as modelling programs write them, as far as an atlas needs them.

In: a path. Out: ``ObjMesh``: positions, texture coordinates, polygons with their line, group and material. Called by
``obj_atlas`` and ``onepiece``. Understood: faces of any number of corners, indices that count from 1 or back from the
latest (negative), ``v/vt``, ``v/vt/vn``, vertex colours after the position, a third texture coordinate, ``\\`` at the
end of a line, CR LF, ``g``, ``o`` and ``usemtl``. Normals, lines, points, curves and material files are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input

UNNAMED = "default"
"""Group and material of faces that come before any ``g`` or ``usemtl``."""

_NO_UV = "export the mesh with its UV coordinates"


@dataclass(frozen=True)
class ObjMesh:
    """P polygons with K corners in all.

    Attributes:
        place: the file, for messages.
        vertices: (N, 3) float64, in the file's unit.
        coordinates: (T, 2) float64 U and V as they stand in the file (V upwards by OBJ's rule).
        corners: (K, 2) int64 vertex and texture coordinate of every corner, from 0.
        starts: (P + 1,) int64; polygon p has the corners starts[p] to starts[p + 1].
        lines: (P,) int64 line of the file, from 1.
        names: ``groups`` (``g``, or ``o`` where the file has no ``g``) and ``materials`` → names in order of first use.
        labels: the same keys → (P,) int64 index into the names.
    """

    place: str
    vertices: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    corners: NDArray[np.int64]
    starts: NDArray[np.int64]
    lines: NDArray[np.int64]
    names: dict[str, tuple[str, ...]]
    labels: dict[str, NDArray[np.int64]]

    @property
    def used_vertices(self) -> NDArray[np.int64]:
        """Sorted vertices that some polygon names."""
        return np.unique(self.corners[:, 0])


@dataclass
class _Reading:
    """What has been read so far."""

    place: str
    vertices: list[list[float]] = field(default_factory=list)
    coordinates: list[list[float]] = field(default_factory=list)
    corners: list[tuple[int, int]] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    lines: list[int] = field(default_factory=list)
    current: dict[str, str] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=lambda: {"g": [], "o": [], "usemtl": []})

    def take(self, number: int, words: list[str]) -> None:
        """One statement of the file."""
        key = words[0]
        try:
            if key == "v":
                self.vertices.append([float(word) for word in words[1:4]])
            elif key == "vt":
                self.coordinates.append([float(words[1]), float(words[2]) if len(words) > 2 else 0.0])
            elif key == "f":
                self._face(number, words)
            elif key in self.labels:
                self.current[key] = " ".join(words[1:]) or UNNAMED
        except (ValueError, IndexError):
            raise InputError(f"{self.place} line {number}", f"cannot be read: {_shown(words)}") from None
        if key == "v" and len(self.vertices[-1]) != 3:
            raise InputError(f"{self.place} line {number}", f"expected v x y z, got {_shown(words)}")
        latest = self.vertices if key == "v" else self.coordinates if key == "vt" else ()
        if latest and not np.isfinite(latest[-1]).all():
            raise InputError(f"{self.place} line {number}", f"has a value that is not finite: {_shown(words)}")

    def _face(self, number: int, words: list[str]) -> None:
        if len(words) < 4:
            raise InputError(
                f"{self.place} line {number}", f"expected a face of three or more corners, got {_shown(words)}"
            )
        for word in words[1:]:
            parts = word.split("/")
            if len(parts) < 2 or not parts[1]:
                raise InputError(
                    f"{self.place} line {number}", f"corner {word!r} has no texture coordinate, expected v/vt", _NO_UV
                )
            vertex = self._index(number, "vertex", int(parts[0]), len(self.vertices))
            self.corners.append(
                (vertex, self._index(number, "texture coordinate", int(parts[1]), len(self.coordinates)))
            )
        self.starts.append(len(self.corners))
        self.lines.append(number)
        for key, names in self.labels.items():
            names.append(self.current.get(key, UNNAMED))

    def _index(self, number: int, what: str, index: int, count: int) -> int:
        """From the file's count (1, 2, … or −1 = the latest) to one from 0."""
        if index == 0 or index < -count:
            raise InputError(
                f"{self.place} line {number}", f"names {what} {index}, expected 1 or more, or -1 to -{count} backwards"
            )
        return index - 1 if index > 0 else count + index


def read_obj(path: Path) -> ObjMesh:
    """Read a file.

    Raises:
        InputError: missing or no text; a statement that cannot be read; a corner without texture coordinate; an index
            out of range; a value that is not finite; no faces. The message names the line.
    """
    reading = _Reading(str(path))
    for number, words in _statements(path):
        reading.take(number, words)
    if not reading.corners:
        raise InputError(path, "has no faces", "expected a Wavefront OBJ of the body with lines v, vt and f")
    groups = "g" if any(name != UNNAMED for name in reading.labels["g"]) else "o"
    sorts = {key: _numbered(reading.labels[of]) for key, of in (("groups", groups), ("materials", "usemtl"))}
    mesh = ObjMesh(
        place=str(path),
        vertices=np.array(reading.vertices, np.float64).reshape(-1, 3),
        coordinates=np.array(reading.coordinates, np.float64).reshape(-1, 2),
        corners=np.array(reading.corners, np.int64),
        starts=np.array(reading.starts, np.int64),
        lines=np.array(reading.lines, np.int64),
        names={key: names for key, (names, _) in sorts.items()},
        labels={key: labels for key, (_, labels) in sorts.items()},
    )
    _check_indices(mesh)
    return mesh


def _statements(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and words of every statement; continued lines joined, comments and empty lines left out."""
    with open_input(path) as stream:
        data = stream.read()
    if b"\0" in data:
        raise InputError(path, "is not text", "expected a Wavefront OBJ file")
    # Names may be in any encoding; numbers and keywords are ASCII.
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    joined, start = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        start = start or number
        # A comment may end in a backslash (a Windows path does) without going on.
        if line.rstrip(" \t").endswith("\\") and not (joined + line).lstrip().startswith("#"):
            joined += line.rstrip(" \t")[:-1] + " "
            continue
        words = list(takewhile(lambda word: not word.startswith("#"), (joined + line).split()))
        if words:
            yield start, words
        joined, start = "", 0
    if joined.split():
        yield start, joined.split()


def _numbered(labels: list[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The distinct labels in order of first use, and the index of each label among them."""
    names = tuple(dict.fromkeys(labels))
    place = {name: index for index, name in enumerate(names)}
    return names, np.array([place[label] for label in labels], np.int64)


def _check_indices(mesh: ObjMesh) -> None:
    """A face may name what comes later in the file, so ranges are known at the end only."""
    for column, what, count in ((0, "vertex", len(mesh.vertices)), (1, "texture coordinate", len(mesh.coordinates))):
        beyond = mesh.corners[:, column] >= count
        if beyond.any():
            corner = int(beyond.argmax())
            polygon = int(np.searchsorted(mesh.starts, corner, side="right")) - 1
            raise InputError(
                f"{mesh.place} line {mesh.lines[polygon]}",
                f"names {what} {mesh.corners[corner, column] + 1}, the file has {count}",
            )


def _shown(words: list[str]) -> str:
    """A statement for a message: at most 80 characters of it."""
    text = " ".join(words)
    return repr(text if len(text) <= 80 else text[:79] + "…")

"""BVH: a text file with a joint hierarchy (offsets, channels in any order) and one line of numbers per frame.

In: one ``.bvh`` file; out: ``SourceMotion`` (any skeleton) or ``Motion`` (a known one, on SMPL's joints). Rotations are
degrees and multiply in the order of the channels, R = R_1·R_2·R_3. Positions move joints, not bones' directions: they
are read and left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources.retarget import Floats, Motion, SourceMotion, euler_to_rotmat, retarget
from hmrtk.toolkit.sources.text import Words, finite_numbers, read_words, text_lines

CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")


@dataclass
class _Hierarchy:
    """What stands before MOTION. ``channels`` holds every joint's channel names, in file order."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[Floats] = field(default_factory=list)
    channels: list[list[str]] = field(default_factory=list)
    end_of: dict[int, Floats] = field(default_factory=dict)


def read_bvh(path: Path) -> SourceMotion:
    """Read a BVH file.

    Raises:
        InputError: missing or empty file; not BVH; unknown word or channel; a line with a wrong count of numbers; NaN;
            fewer or more frames than announced. Names the line.
    """
    lines = text_lines(path)
    words = read_words(path, [line.replace("Frames:", "Frames: ").replace("Time:", "Time: ") for line in lines])
    words.expect("HIERARCHY")
    words.expect("ROOT")
    tree = _Hierarchy()
    _read_joint(words, tree, -1)
    words.expect("MOTION")
    words.expect("Frames:")
    count = int(words.number())
    words.expect("Frame")
    words.expect("Time:")
    seconds = words.number()
    if seconds <= 0:
        raise InputError(words.here, f"frame time is {seconds}, expected seconds above 0")
    values = _read_frames(path, lines, words.line, count, sum(map(len, tree.channels)))
    rest = _rest_positions(tree)
    ends = _ends(tree, rest)
    return SourceMotion(
        tuple(tree.names), tuple(tree.parents), rest, ends, _world_rotations(tree, values), 1 / seconds, str(path)
    )


def read(path: Path) -> Motion:
    """SMPL poses of a BVH file on a known skeleton; errors of ``read_bvh`` and ``retarget``."""
    return retarget(read_bvh(path))


def _read_joint(words: Words, tree: _Hierarchy, parent: int) -> None:
    """One ROOT or JOINT after its keyword, with everything below it."""
    joint = len(tree.names)
    tree.names.append(words.name_until("{"))
    tree.parents.append(parent)
    words.expect("OFFSET")
    tree.offsets.append(np.array([words.number() for _ in range(3)]))
    tree.channels.append([])
    while (word := words.next()) != "}":
        if word == "CHANNELS":
            tree.channels[joint] = _read_channels(words)
        elif word == "JOINT":
            _read_joint(words, tree, joint)
        elif word == "End":
            _read_end(words, tree, joint)
        else:
            raise InputError(words.here, f"found {word!r}, expected CHANNELS, JOINT, End Site or }}")


def _read_channels(words: Words) -> list[str]:
    count = words.number()
    channels: list[str] = []
    while count > len(channels):
        word = words.next().capitalize()
        if word not in CHANNELS:
            raise InputError(words.here, f"found {word!r}, expected {count:g} channels of {', '.join(CHANNELS)}")
        channels.append(word)
    return channels


def _read_end(words: Words, tree: _Hierarchy, joint: int) -> None:
    words.name_until("{")
    words.expect("OFFSET")
    tree.end_of[joint] = np.array([words.number() for _ in range(3)])
    words.expect("}")


def _read_frames(path: Path, lines: list[str], start: int, count: int, width: int) -> Floats:
    """(T, width) numbers of the lines after ``start`` (1-based, the line of the frame time)."""
    rows = []
    for number, line in enumerate(lines[start:], start + 1):
        if line.strip():
            rows.append(finite_numbers(line.split(), width, f"{path} line {number}"))
    if len(rows) != count or not rows:
        raise InputError(path, f"has {len(rows)} frames, its header says {count}", "the file may be truncated")
    return np.array(rows)


def _world_rotations(tree: _Hierarchy, values: Floats) -> Floats:
    """(T, J, 3, 3) from the frames' numbers (T, C)."""
    world = np.empty((len(values), len(tree.names), 3, 3))
    column = 0
    for joint, channels in enumerate(tree.channels):
        turns = [i for i, channel in enumerate(channels) if channel.endswith("rotation")]
        angles = np.radians(values[:, [column + i for i in turns]])
        local = euler_to_rotmat(angles, "".join(channels[i][0] for i in turns))
        parent = tree.parents[joint]
        world[:, joint] = local if parent < 0 else world[:, parent] @ local
        column += len(channels)
    return world


def _rest_positions(tree: _Hierarchy) -> Floats:
    """(J, 3); the root's own offset is left out."""
    rest = np.zeros((len(tree.names), 3))
    for joint, parent in enumerate(tree.parents):
        if parent >= 0:
            rest[joint] = rest[parent] + tree.offsets[joint]
    return rest


def _ends(tree: _Hierarchy, rest: Floats) -> Floats:
    """(J, 3): the first child, or the End Site."""
    ends = rest.copy()
    for joint, offset in tree.end_of.items():
        ends[joint] = rest[joint] + offset
    for joint in reversed(range(1, len(rest))):
        ends[tree.parents[joint]] = rest[joint]
    return ends

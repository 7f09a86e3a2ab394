"""ASF/AMC (Acclaim): a skeleton file and, beside it, files with one block of joint angles per frame.

In: one ``.amc`` file; its ``.asf`` is found beside it; out: ``SourceMotion`` or ``Motion``. A bone's rotation relative
to its parent is C·R·C⁻¹ with C the bone's ``axis`` and R its Euler angles, both about fixed axes in the order written;
with all angles zero the bones lie along their ``direction``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.sources.retarget import Floats, Motion, SourceMotion, euler_to_rotmat, retarget
from hmrtk.toolkit.sources.text import finite_numbers, text_lines

CMU_FPS = 120.0
"""AMC says nothing about time; the CMU database records at 120 Hz."""

FREEDOMS = ("rx", "ry", "rz", "tx", "ty", "tz", "l")
ROOT = "root"

Line = tuple[list[str], int]
"""Words of a line and its 1-based number."""


@dataclass(frozen=True)
class Bone:
    """One bone: its vector in the rest pose (source unit), its axis C (3, 3), and its freedoms in the file's order."""

    vector: Floats
    axis: Floats
    freedoms: tuple[str, ...]


@dataclass(frozen=True)
class Skeleton:
    """A skeleton file: bones by name and each one's parent; ``root`` is the first of both and its own parent."""

    bones: dict[str, Bone]
    parents: dict[str, str]
    place: str


def read(path: Path) -> Motion:
    """SMPL poses of an AMC file on a known skeleton; errors of ``read_amc`` and ``retarget``."""
    return retarget(read_amc(path))


def read_amc(path: Path, asf: Path | None = None, fps: float = CMU_FPS) -> SourceMotion:
    """Read an AMC file with its skeleton.

    Args:
        path: the motion.
        asf: the skeleton; None looks for it beside the motion (``find_asf``).
        fps: frames per second of the recording.

    Raises:
        InputError: missing, empty or damaged file; no skeleton; unknown bone; wrong count of numbers; NaN; a frame
            without all bones. Names the line.
    """
    skeleton = read_asf(asf or find_asf(path))
    values = _read_frames(path, skeleton)
    names = tuple(skeleton.bones)
    index = {name: i for i, name in enumerate(names)}
    parents = (-1, *(index[skeleton.parents[name]] for name in names[1:]))
    frames = len(values[ROOT])
    rest, ends, world = np.zeros((len(names), 3)), np.zeros((len(names), 3)), np.empty((frames, len(names), 3, 3))
    for i, (name, bone) in enumerate(skeleton.bones.items()):
        local = bone.axis @ _turns(values.get(name), bone.freedoms, frames) @ bone.axis.T
        world[:, i] = local if i == 0 else world[:, parents[i]] @ local
        rest[i] = ends[parents[i]] if i else 0.0
        ends[i] = rest[i] + bone.vector
    return SourceMotion(names, parents, rest, ends, world, fps, str(path))


def find_asf(path: Path) -> Path:
    """The skeleton of a motion: same name, the part before the first ``_`` (CMU: ``07_01.amc`` → ``07.asf``), or the
    only one in the folder.

    Raises:
        InputError: none of these is there.
    """
    named = [path.with_name(f"{stem}.asf") for stem in (path.stem, path.stem.split("_")[0])]
    for candidate in named:
        if candidate.is_file():
            return candidate
    others = sorted(path.parent.glob("*.asf"))
    if len(others) == 1:
        return others[0]
    looked = " or ".join(dict.fromkeys(candidate.name for candidate in named))
    raise InputError(path, f"has no skeleton: expected {looked} in the same folder", "put the .asf beside the .amc")


def read_asf(path: Path) -> Skeleton:
    """Read a skeleton.

    Raises:
        InputError: missing or empty file; a bone without name, direction, length or axis; wrong counts of numbers; NaN;
            a bone without a place in the hierarchy. Names the line.
    """
    sections = _sections(path)
    degrees = all(words[:2] != ["angle", "rad"] for words, _ in sections.get("units", []))
    bones = {ROOT: _root(path, sections.get("root", []), degrees)}
    parents = _parents(path, sections.get("hierarchy", []))
    found = _bones(path, sections.get("bonedata", []), degrees)
    for name in parents:
        if name not in found:
            raise InputError(path, f"bone {name!r} is in the hierarchy and not in the bone data")
        bones[name] = found[name]
    lost = sorted(set(found) - set(parents))
    if lost:
        raise InputError(path, f"bones {', '.join(lost)} have no place in the hierarchy", "the file may be truncated")
    return Skeleton(bones, parents, str(path))


def _sections(path: Path) -> dict[str, list[Line]]:
    """Lines by section, comments and blank lines left out."""
    sections: dict[str, list[Line]] = {}
    lines: list[Line] = []
    for number, text in enumerate(text_lines(path), 1):
        words = text.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            lines = sections.setdefault(words[0][1:].lower(), [])
        else:
            lines.append((words, number))
    if not {"root", "bonedata", "hierarchy"} <= sections.keys():
        raise InputError(path, "is not a complete ASF skeleton: expected sections :root, :bonedata and :hierarchy")
    return sections


def _root(path: Path, lines: list[Line], degrees: bool) -> Bone:
    entries = {words[0].lower(): (words[1:], f"{path} line {number}") for words, number in lines}
    order, place = entries.get("order", (["TX", "TY", "TZ", "RX", "RY", "RZ"], f"{path}"))
    freedoms = _freedoms(order, place)
    turn, place = entries.get("orientation", (["0", "0", "0"], f"{path}"))
    axis = _fixed_axes(_angles(finite_numbers(turn, 3, place), degrees), "xyz")
    return Bone(np.zeros(3), axis, freedoms)


def _bones(path: Path, lines: list[Line], degrees: bool) -> dict[str, Bone]:
    bones: dict[str, Bone] = {}
    entries: dict[str, tuple[list[str], str]] = {}
    for words, number in lines:
        place = f"{path} line {number}"
        if words[0] == "begin":
            entries = {}
        elif words[0] == "end":
            name, bone = _bone(entries, place, degrees)
            bones[name] = bone
        else:
            entries[words[0].lower()] = (words[1:], place)
    return bones


def _bone(entries: dict[str, tuple[list[str], str]], end: str, degrees: bool) -> tuple[str, Bone]:
    for key in ("name", "direction", "length", "axis"):
        if not entries.get(key, ([], ""))[0]:
            raise InputError(end, f"ends a bone that has no {key}")
    name = entries["name"][0][0]
    direction = finite_numbers(entries["direction"][0], 3, entries["direction"][1])
    length = finite_numbers(entries["length"][0], 1, entries["length"][1])[0]
    words, place = entries["axis"]
    letters = words[3].lower() if len(words) > 3 else "xyz"
    if sorted(letters) != ["x", "y", "z"]:
        raise InputError(place, f"axis order is {letters!r}, expected the letters X, Y and Z")
    axis = _fixed_axes(_angles(finite_numbers(words[:3], 3, place), degrees), letters)
    return name, Bone(direction * length, axis, _freedoms(*entries.get("dof", ([], end))))


def _freedoms(words: list[str], place: str) -> tuple[str, ...]:
    freedoms = tuple(word.lower() for word in words)
    unknown = [word for word in freedoms if word not in FREEDOMS]
    if unknown:
        raise InputError(place, f"found freedom {unknown[0]!r}, expected some of {', '.join(FREEDOMS)}")
    return freedoms


def _parents(path: Path, lines: list[Line]) -> dict[str, str]:
    """Bone → parent, parents first."""
    children: dict[str, list[str]] = {}
    for words, number in lines:
        if words[0] in ("begin", "end"):
            continue
        twice = set(words[1:]) & {child for known in children.values() for child in known}
        if twice:
            raise InputError(f"{path} line {number}", f"bone {twice.pop()!r} has two parents")
        children.setdefault(words[0], []).extend(words[1:])
    parents, queue = {}, [ROOT]
    while queue:
        bone = queue.pop(0)
        for child in children.get(bone, []):
            parents[child] = bone
            queue.append(child)
    return parents


def _read_frames(path: Path, skeleton: Skeleton) -> dict[str, Floats]:
    """Bone → (T, freedoms) angles in radians (translations as they are)."""
    moving = [name for name, bone in skeleton.bones.items() if bone.freedoms]
    frames: list[dict[str, Floats]] = []
    degrees = True
    for number, text in enumerate(text_lines(path), 1):
        words, place = text.split(), f"{path} line {number}"
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            degrees = degrees and words[0].upper() != ":RADIANS"
        elif len(words) == 1 and words[0].isdigit():
            _check_complete(path, frames, moving)
            frames.append({})
        elif not frames:
            raise InputError(place, f"found {words[0]!r}, expected a frame number", "is this an AMC file?")
        else:
            frames[-1][words[0]] = _bone_values(words, skeleton, place)
    if not frames:
        raise InputError(path, "has no frames")
    _check_complete(path, frames, moving)
    columns = {name: np.array([frame[name] for frame in frames]) for name in moving}
    return {name: _scaled(values, skeleton.bones[name].freedoms, degrees) for name, values in columns.items()}


def _bone_values(words: list[str], skeleton: Skeleton, place: str) -> Floats:
    bone = skeleton.bones.get(words[0])
    if bone is None:
        raise InputError(place, f"bone {words[0]!r} is not in {skeleton.place}", "is this the right skeleton?")
    return finite_numbers(words[1:], len(bone.freedoms), place)


def _check_complete(path: Path, frames: list[dict[str, Floats]], moving: list[str]) -> None:
    lost = [name for name in moving if frames and name not in frames[-1]]
    if lost:
        raise InputError(f"{path} frame {len(frames)}", f"has no {', '.join(lost)}", "the file may be truncated")


def _scaled(values: Floats, freedoms: tuple[str, ...], degrees: bool) -> Floats:
    turning = np.array([freedom.startswith("r") for freedom in freedoms])
    return np.where(turning, _angles(values, degrees), values)


def _turns(values: Floats | None, freedoms: tuple[str, ...], frames: int) -> Floats:
    """(T, 3, 3) of a bone's angles (T, freedoms); the identity where it has none."""
    columns = [i for i, freedom in enumerate(freedoms) if freedom.startswith("r")]
    if values is None or not columns:
        return np.broadcast_to(np.eye(3), (frames, 3, 3))
    return _fixed_axes(values[:, columns], "".join(freedoms[i][1] for i in columns))


def _fixed_axes(angles: Floats, letters: str) -> Floats:
    """(..., n) radians about the fixed axes ``letters``, the first one first → (..., 3, 3)."""
    return euler_to_rotmat(angles[..., ::-1], letters[::-1])


def _angles(values: Floats, degrees: bool) -> Floats:
    return np.radians(values) if degrees else values

"""``Fields``: the named values of one untrusted file, checked when they are asked for.

In: a pickle, an ``.npz`` (members with pickled objects included) or a ``.json`` object; out: arrays of an expected
shape, texts and lists, or one ``InputError`` that names file and key. Nothing in a file is run: pickles go through
``body.unpickler``. Readers of datasets with bodies and importers of other systems' results call this.
"""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import GENDERS
from hmrtk.toolkit.body.parameters import BETA_COUNT, MAX_ABS_BETA
from hmrtk.toolkit.body.unpickler import plain_value, read_object, read_pickle
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.rotation import rotmat_to_axis_angle

Floats = NDArray[np.float64]
Shape = tuple[int | None, ...]

ORTHONORMAL = 1e-3
"""How far R·Rᵀ of a rotation matrix may be from the identity."""


@dataclass(frozen=True)
class Fields:
    """Values by name.

    Attributes:
        values: key → value as the file has it; unconverted for a pickle.
        place: the file (and row), for error messages.
        convert: makes NumPy arrays, lists, dictionaries and text of one value: (value, key, place) → value.
    """

    values: Mapping[str, Any]
    place: str
    convert: Callable[[Any, str, str], Any] = lambda value, key, place: value

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def value(self, key: str) -> Any:
        """A value, converted.

        Raises:
            InputError: no such key (those that are there are listed), or a value that cannot be read.
        """
        if key not in self.values:
            there = ", ".join(list(self.values)[:20]) or "none"
            raise InputError(self.place, f"has no {key}", f"its keys: {there}")
        return self.convert(self.values[key], key, self.place)

    def array(
        self, key: str, *shape: int | None, rows: NDArray[np.integer] | None = None, finite: bool = True
    ) -> Floats:
        """A value as float64 numbers of a shape; arguments and errors as in ``numbers``."""
        return numbers(self.value(key), key, shape, self.place, rows, finite)

    def betas(self, key: str) -> Floats:
        """The first 10 of a person's shape coefficients, however many there are.

        Raises:
            InputError: as ``array``; fewer than 10, or a value that no person has.
        """
        return first_betas(self.value(key), key, self.place)

    def number(self, key: str) -> float:
        """A single number, with or without dimensions around it."""
        return single_number(self.value(key), key, self.place)

    def text(self, key: str) -> str:
        """A text, also where NumPy wrapped it, and where it is bytes."""
        return as_text(self.value(key), key, self.place)

    def items(self, key: str) -> list[Any]:
        """A list (or an array's rows)."""
        value = self.value(key)
        if isinstance(value, np.ndarray) and value.ndim:
            return list(value)
        if not isinstance(value, list | tuple):
            raise InputError(self.place, f"{key} is a {type(value).__name__}, expected a list")
        return list(value)

    def inner(self, key: str) -> Fields:
        """A dictionary in this file."""
        value = self.value(key)
        if not isinstance(value, dict):
            raise InputError(self.place, f"{key} is a {type(value).__name__}, expected a dictionary")
        return Fields(value, f"{self.place} {key}")


def numbers(
    value: Any,
    key: str,
    shape: Shape,
    place: str,
    rows: NDArray[np.integer] | None = None,
    finite: bool = True,
) -> Floats:
    """``value`` as float64 numbers of a shape.

    Args:
        value: anything array-like.
        key: its name. place: the file, for error messages.
        shape: None stands for any length.
        rows: only these; the others need not be finite.
        finite: refuse NaN and infinity.

    Raises:
        InputError: no numbers, another shape, NaN or infinity; key, shape and first bad row are named.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise ValueError
        array = array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        raise InputError(place, f"{key} is not an array of numbers") from None
    if array.ndim != len(shape) or any(n not in (None, got) for n, got in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise InputError(place, f"{key} has shape {array.shape}, expected ({wanted})")
    if rows is not None:
        array = array[rows]
    if finite and not np.isfinite(array).all():
        first = int((~np.isfinite(array.reshape(len(array), -1)).all(axis=1)).argmax()) if array.ndim else 0
        row = first if rows is None else int(rows[first])
        raise InputError(f"{place} row {row}", f"{key} has NaN or infinite values")
    return array


def single_number(value: Any, key: str, place: str) -> float:
    """One finite number, e.g. of shape () or (1,)."""
    array = np.asarray(value)
    if array.size != 1:
        raise InputError(place, f"{key} has shape {array.shape}, expected a single number")
    return float(numbers(array.reshape(1), key, (1,), place)[0])


def first_betas(value: Any, key: str, place: str) -> Floats:
    """(10,) of (≥ 10,) shape coefficients; ones that are no body are refused."""
    given = numbers(np.ravel(np.asarray(value)), key, (None,), place)
    if len(given) < BETA_COUNT:
        raise InputError(place, f"{key} has {len(given)} values, expected at least {BETA_COUNT}")
    largest = float(np.abs(given[:BETA_COUNT]).max())
    if largest > MAX_ABS_BETA:
        raise InputError(place, f"{key} reaches {largest:.1f}, expected at most {MAX_ABS_BETA:.0f}")
    return given[:BETA_COUNT]


def rotation_vectors(matrices: Floats, key: str, place: str) -> Floats:
    """Rotation matrices (N, J, 3, 3) → axis-angle (N, J, 3), radians.

    Raises:
        InputError: a matrix is no rotation; row and joint are named.
    """
    error = np.abs(matrices @ np.swapaxes(matrices, -1, -2) - np.eye(3)).max(axis=(-1, -2))  # (N, J)
    bad = (error > ORTHONORMAL) | (np.linalg.det(matrices) < 0)
    if bad.any():
        row, joint = np.argwhere(bad)[0].tolist()
        raise InputError(f"{place} row {row}", f"{key} is no rotation at joint {joint}")
    return np.asarray(rotmat_to_axis_angle(matrices))


def as_gender(value: Any, key: str, place: str) -> str:
    """``neutral``, ``male`` or ``female`` of a text that may say m, M, Male, b'male' …"""
    text = as_text(value, key, place).strip().lower()
    found = next((name for name in GENDERS if text in (name, name[0])), None)
    if found is None:
        raise InputError(place, f"{key} is {text[:40]!r}, expected one of {', '.join(GENDERS)}")
    return found


def as_text(value: Any, key: str, place: str) -> str:
    """A str of a str, bytes or an array with one of them.

    A text ``b'male'``, which Python 3 makes of Python 2's bytes, loses its ``b''``.
    """
    while isinstance(value, list | np.ndarray) and np.size(value) == 1:
        value = np.asarray(value).ravel()[0]
    if isinstance(value, bytes):
        value = value.decode("latin1")
    if not isinstance(value, str):
        raise InputError(place, f"{key} is a {type(value).__name__}, expected text")
    text = str(value)
    return text[2:-1] if text[:2] in ("b'", 'b"') and text[-1:] == text[1:2] else text


def pickle_fields(path: Path, expected: str) -> Fields:
    """The dictionary of a pickle. ``expected`` says in an error what it should be, e.g. ``a 3DPW sequence``."""
    try:
        with open(path, "rb") as stream:
            return Fields(read_pickle(stream, str(path), expected), str(path), plain_value)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None


def json_fields(path: Path, compact: bool = False) -> Fields:
    """The object of a JSON file.

    Args:
        path: the file.
        compact: lists of numbers in inner objects become arrays while reading, in a tenth of the memory.
    """
    try:
        content = json.loads(path.read_bytes(), object_hook=_compact if compact else None)
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"is not valid JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise InputError(path, f"holds a {type(content).__name__}, expected an object")
    return Fields(content, str(path))


def _compact(content: dict[str, Any]) -> dict[str, Any]:
    for key, value in content.items():
        if isinstance(value, list):
            with contextlib.suppress(ValueError, TypeError, OverflowError):  # ragged, or no numbers: stays as it is
                array = np.asarray(value)
                content[key] = array if array.dtype.kind in "fiub" else value
    return content


def npz_fields(path: Path, wanted: Collection[str]) -> Fields:
    """Those of the wanted members that an ``.npz`` has; Python objects in them are rebuilt, nothing of them runs."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
            return Fields({key: _member(archive, key, path) for key in wanted if key in names}, str(path))
    except InputError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(path, f"is not a readable .npz: {reason}") from None


def _member(archive: zipfile.ZipFile, key: str, path: Path) -> Any:
    stream = io.BytesIO(archive.read(f"{key}.npy"))
    version = npy.read_magic(stream)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    _, _, dtype = read_header(stream)
    if dtype.hasobject:
        place = str(path)
        return plain_value(read_object(stream, place, f"plain values in {key}"), key, place)
    stream.seek(0)
    return npy.read_array(stream, allow_pickle=False)

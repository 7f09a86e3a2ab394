"""Reads a body in any of the forms in which SMPL is distributed: ``.pkl`` v1.0.0 and v1.1.0, ``.npz``, smplx's folders.

In goes a path that a user gave (untrusted); out come checked arrays, or a one-line error. ``load_body`` is the caller.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from hmrtk.toolkit.body.arrays import GENDERS, SMPLArrays, check_arrays, check_gender
from hmrtk.toolkit.body.unpickler import array_value, read_pickle
from hmrtk.toolkit.errors import InputError

KEYS = ("v_template", "shapedirs", "posedirs", "weights", "J_regressor", "f", "kintree_table")
FOLDERS = ("", "smpl", "models/smpl")
"""Where smplx's layout keeps the files, relative to the folder that is given."""

_OFFICIAL = {"neutral": "neutral", "male": "m", "female": "f"}


def read_smpl_file(path: Path | str, gender: str = "neutral") -> SMPLArrays:
    """Read a body.

    Args:
        path: a ``.pkl`` or ``.npz`` file, or a folder with ``SMPL_NEUTRAL.pkl`` (or ``.npz``, or the official
            ``basicModel_neutral_lbs_10_207_0_v1.0.0.pkl``) in itself, in ``smpl/`` or in ``models/smpl/``.
        gender: picks the file in a folder; for a file, ``male`` and ``female`` pick the file of that gender beside it
            unless the file is of that gender itself, and ``neutral`` means the file as it is.

    Raises:
        InputError: missing, damaged or unsafe file, or one that is no SMPL body: the message names file and key.
        UnknownNameError: unknown gender.
    """
    check_gender(gender)
    file = _choose(Path(path), gender)
    given = _read_npz(file) if file.suffix == ".npz" else _read_pkl(file)
    return check_arrays(given, _gender_of(file) or gender, str(file))


def _choose(path: Path, gender: str) -> Path:
    if path.is_dir():
        found = next((f for folder in FOLDERS if (f := _in_folder(path / folder, gender))), None)
        if found is None:
            name = f"SMPL_{gender.upper()}.pkl"
            raise InputError(path, f"has no {gender} SMPL body", f"put {name} (or .npz) there or into {path}/smpl")
        return found
    if not path.is_file():
        raise InputError(path, "no such file or folder", "expected an SMPL .pkl or .npz file, or a folder with them")
    if path.suffix not in (".pkl", ".npz"):
        raise InputError(path, f"has the suffix {path.suffix!r}, expected .pkl or .npz")
    if gender == "neutral" or _gender_of(path) == gender:
        return path
    beside = _in_folder(path.parent, gender)
    if beside is None:
        raise InputError(path, f"is not a {gender} body", f"put SMPL_{gender.upper()}.pkl beside it")
    return beside


def _in_folder(folder: Path, gender: str) -> Path | None:
    plain = [folder / f"SMPL_{gender.upper()}{suffix}" for suffix in (".pkl", ".npz")]
    official = re.compile(rf"basicmodel_{_OFFICIAL[gender]}_lbs_10_207_0_v.*\.pkl", re.IGNORECASE)
    listed = sorted(folder.iterdir()) if folder.is_dir() else []
    candidates = [*plain, *(f for f in listed if official.fullmatch(f.name))]
    return next((f for f in candidates if f.is_file()), None)


def _gender_of(file: Path) -> str | None:
    """The gender that a file's name states, by smplx's or the official naming."""
    name = file.stem.lower()
    match = re.match(r"basicmodel_(neutral|m|f)_lbs", name)
    if match:
        return next(g for g, short in _OFFICIAL.items() if short == match[1])
    return next((g for g in GENDERS if name == f"smpl_{g}"), None)


def _read_pkl(file: Path) -> dict[str, Any]:
    place = str(file)
    try:
        with open(file, "rb") as stream:
            content = read_pickle(stream, place)
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror}") from None
    return {key: array_value(content[key], key, place) for key in KEYS if key in content}


def _read_npz(file: Path) -> dict[str, Any]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in KEYS if key in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(file, f"is not a readable .npz of plain arrays: {reason}") from None

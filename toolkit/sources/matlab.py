"""MATLAB 7.3 files, which are HDF5, by h5py, and checks of what MATLAB files hold. Older ones: ``records.mat_file``.

Called by the readers of datasets that come as ``.mat``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input


@contextlib.contextmanager
def open_hdf5(path: Path, names: Sequence[str]) -> Iterator[Any]:
    """A MATLAB 7.3 file, open for reading parts of its variables; axes are reversed against MATLAB's.

    Raises:
        InputError: missing, truncated, or another kind of file; without one of the variables; or h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise InputError(path, "is HDF5, and h5py is not installed", "pip install 'hmrtk[raw]'") from None
    with open_input(path):
        pass
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(path, f"is not a readable HDF5 file: {_first_line(error)}") from None
    with file:
        missing = [name for name in names if name not in file]
        if missing:
            raise InputError(path, f"has no variable {', '.join(missing)}")
        try:
            yield file
        except (OSError, KeyError, RuntimeError) as error:
            raise InputError(path, f"is damaged: {_first_line(error)}") from None


def numbers(value: Any, shape: Sequence[int | None], name: str, place: object) -> NDArray[np.float64]:
    """An array of numbers of a given shape.

    Args:
        value: an array. shape: its extents, None for any.
        name: of the variable. place: of the error.

    Raises:
        InputError: another shape, or no numbers.
    """
    array = np.asarray(value)
    fits = array.ndim == len(shape) and all(w in (None, n) for n, w in zip(array.shape, shape, strict=False))
    if not fits or array.dtype.kind not in "fiub":
        wanted = ", ".join("N" if extent is None else str(extent) for extent in shape)
        raise InputError(place, f"{name}: expected numbers of shape ({wanted}), got {array.dtype} {array.shape}")
    return array.astype(np.float64, copy=False)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]

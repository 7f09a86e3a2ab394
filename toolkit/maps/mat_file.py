"""DensePose's MATLAB files. Called by ``atlas`` and ``mirror``, which check what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError


def read_mat(path: Path, names: Sequence[str], file: str) -> dict[str, NDArray[Any]]:
    """Some variables of a MATLAB 5 file.

    Args:
        path: of the file.
        names: the variables.
        file: what it is called in DensePose's ``densepose_uv_data.tar.gz``, for the remedy.

    Raises:
        InputError: no such file, not readable, or without one of the variables.
    """
    from scipy.io import loadmat

    remedy = f"expected {file} of densepose_uv_data.tar.gz"
    if not Path(path).is_file():
        raise InputError(path, "no such file", remedy)
    try:
        raw = loadmat(path, variable_names=names)
    except Exception as error:  # scipy raises ValueError, TypeError, zlib.error … on damaged files
        raise InputError(path, f"is not a readable MATLAB 5 file: {error}", remedy) from error
    missing = [name for name in names if name not in raw]
    if missing:
        raise InputError(path, f"has no variable {', '.join(missing)}", remedy)
    return {name: raw[name] for name in names}

"""Human3.6M's pose files: NASA's CDF by cdflib, or the ``.cdf.mat`` that people make of them with MATLAB.

In: a path; out: an array of numbers, nothing in the file is run. Called by ``h36m``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import open_input
from hmrtk.toolkit.records.mat_file import read_variables
from hmrtk.toolkit.sources.matlab import numbers


def read_poses(path: Path, width: int) -> NDArray[np.float64]:
    """(F, width) of the variable ``Pose`` of a ``.cdf``, or of the first cell of ``data`` in a ``.cdf.mat``.

    Raises:
        InputError: missing, truncated, another kind of file, another width, NaN, or cdflib is not installed.
    """
    value = _mat_poses(path) if path.suffix == ".mat" else _cdf_poses(path)
    if value.ndim == 3 and len(value) == 1:  # one record of (F, width)
        value = value[0]
    poses = numbers(value, (None, width), "Pose", path)
    bad = ~np.isfinite(poses).all(axis=1)
    if bad.any():
        raise InputError(f"{path} frame {int(bad.argmax())}", "Pose has NaN or infinite values")
    return poses


def _cdf_poses(path: Path) -> NDArray[Any]:
    try:
        import cdflib
    except ImportError:
        raise InputError(path, "is CDF, and cdflib is not installed", "pip install 'hmrtk[raw]'") from None
    with open_input(path):
        pass
    try:
        return np.asarray(cdflib.CDF(path).varget("Pose"))
    except Exception as error:  # cdflib raises OSError, ValueError, struct.error … on damaged files
        text = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise InputError(path, f"is not a readable CDF file with a variable Pose: {text}") from None


def _mat_poses(path: Path) -> NDArray[Any]:
    data = read_variables(path, ["data"])["data"]
    return np.asarray(data.ravel()[0]) if data.dtype == object and data.size else data

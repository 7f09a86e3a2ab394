"""Joint regressors for a body: the reference ones where the topology is the same, else files beside the body."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import VERTEX_COUNT, canonical_csr
from hmrtk.toolkit.body.reference import reference_faces, reference_regressor
from hmrtk.toolkit.errors import InputError, UnknownNameError

GRAPHCMR_FACE_ROWS = 5
"""GraphCMR's ``J_regressor_extra.npy`` has 14 rows: five single face vertices, then SPIN's nine."""

_FILES = {"extra9": ("J_regressor_extra.npy", 9), "h36m17": ("J_regressor_h36m.npy", 17)}


def regressor_for(name: str, faces: NDArray[np.int32], place: str) -> sp.csr_matrix:
    """``extra9`` or ``h36m17`` for a body.

    Args:
        name: the regressor.
        faces: (13776, 3) the body's triangles; the reference body's own regressors apply when they are the same.
        place: the body's file, beside which ``J_regressor_extra.npy`` and ``J_regressor_h36m.npy`` are looked for.

    Returns:
        (J, 6890) float32 CSR, ``h36m17`` in SPIN's row order (left leg at rows 1-3).

    Raises:
        InputError: no such file beside the body, or it is damaged.
        UnknownNameError: any other name.
    """
    if name not in _FILES:
        raise UnknownNameError("regressor", name, _FILES)
    if np.array_equal(faces, reference_faces()):
        return reference_regressor(name)
    return _read_regressor(name, place)


@functools.cache
def _read_regressor(name: str, place: str) -> sp.csr_matrix:
    file_name, rows = _FILES[name]
    path = Path(place).parent / file_name
    if not path.is_file():
        raise InputError(
            place,
            f"its faces are not the reference body's and {file_name} is not beside it",
            f"put SPIN's file at {path}",
        )
    matrix = _load_matrix(path)
    if name == "extra9" and matrix.shape == (GRAPHCMR_FACE_ROWS + rows, VERTEX_COUNT):
        matrix = matrix[GRAPHCMR_FACE_ROWS:]
    if matrix.shape != (rows, VERTEX_COUNT):
        raise InputError(path, f"has shape {matrix.shape}, expected {(rows, VERTEX_COUNT)}")
    return canonical_csr(matrix, str(path), file_name)


def _load_matrix(path: Path) -> NDArray[Any]:
    try:
        matrix = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(path, f"is not a readable .npy file: {str(error).splitlines()[0]}") from None
    if not isinstance(matrix, np.ndarray) or matrix.dtype.kind not in "fiu":
        raise InputError(path, "is not a .npy array of numbers")
    return matrix

"""``SMPLArrays``: what a body file holds, checked once. Readers of body files make it, ``BodyModel`` takes it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import PARENTS
from hmrtk.toolkit.body.parameters import BETA_COUNT, JOINT_COUNT
from hmrtk.toolkit.errors import InputError, UnknownNameError

VERTEX_COUNT = 6890
FACE_COUNT = 13776
POSE_FEATURE_COUNT = 9 * (JOINT_COUNT - 1)
GENDERS = ("neutral", "male", "female")


@dataclass(frozen=True, eq=False)
class SMPLArrays:
    """A body in SMPL's format (meaning of every array as in ``smplx``).

    Attributes:
        v_template: (6890, 3) float32 metres, T-pose, y up, x to the person's left.
        shapedirs: (6890, 3, 10) float32 metres per unit of beta.
        posedirs: (6890, 3, 207) float32 metres per unit of (R - I) of joints 1-23, row-major.
        weights: (6890, 24) float32 skinning weights, rows sum to 1.
        joint_regressor: (24, 6890) float32 CSR, sorted indices.
        faces: (13776, 3) int32.
        parents: (24,) int32, -1 for the root.
        gender: neutral, male or female.
        place: the file it came from, or "reference body".
    """

    v_template: NDArray[np.float32]
    shapedirs: NDArray[np.float32]
    posedirs: NDArray[np.float32]
    weights: NDArray[np.float32]
    joint_regressor: sp.csr_matrix
    faces: NDArray[np.int32]
    parents: NDArray[np.int32]
    gender: str
    place: str

    def fingerprint(self) -> str:
        """First 16 hex digits of sha256 over everything that decides the vertices, and the faces."""
        digest = hashlib.sha256()
        regressor = self.joint_regressor
        parts = [self.v_template, self.shapedirs, self.posedirs, self.weights]
        parts += [regressor.indptr.astype(np.int32), regressor.indices.astype(np.int32), regressor.data]
        for array in [*parts, self.faces]:
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()[:16]


def check_gender(gender: str) -> str:
    """``gender`` if it is one of neutral, male, female.

    Raises:
        UnknownNameError: any other name.
    """
    if gender not in GENDERS:
        raise UnknownNameError("gender", gender, GENDERS)
    return gender


def canonical_csr(matrix: Any, place: str, name: str) -> sp.csr_matrix:
    """A regressor (dense or any sparse form) as float32 CSR with sorted indices, no duplicates and no stored zeros.

    Raises:
        InputError: it holds NaN or infinite values.
    """
    csr = sp.csr_matrix(matrix, dtype=np.float64, copy=True)
    if not np.isfinite(csr.data).all():
        raise InputError(place, f"{name} has NaN or infinite values")
    csr.sum_duplicates()
    csr = csr.astype(np.float32)
    csr.eliminate_zeros()
    csr.sort_indices()
    return csr


def check_arrays(given: dict[str, Any], gender: str, place: str) -> SMPLArrays:
    """Check and convert the arrays of a body.

    Args:
        given: v_template, shapedirs (at least 10 columns: the first 10 are used), posedirs, weights, J_regressor
            (dense or sparse), f, kintree_table (2, 24).

    Raises:
        InputError: naming the file, the key, the expected and the found shape or the bad value.
    """
    parents = _parents(_array(given, "kintree_table", (2, JOINT_COUNT), np.int64, place)[0], place)
    return SMPLArrays(
        v_template=_array(given, "v_template", (VERTEX_COUNT, 3), np.float32, place),
        shapedirs=_shape_basis(given, place),
        posedirs=_array(given, "posedirs", (VERTEX_COUNT, 3, POSE_FEATURE_COUNT), np.float32, place),
        weights=_weights(given, place),
        joint_regressor=_regressor(given, place),
        faces=_faces(given, place),
        parents=parents,
        gender=check_gender(gender),
        place=place,
    )


def _value(given: dict[str, Any], key: str, place: str) -> Any:
    if key not in given:
        raise InputError(place, f"has no {key}; found {', '.join(sorted(given)) or 'nothing'}", "expected an SMPL file")
    return given[key]


def _array(given: dict[str, Any], key: str, shape: tuple[int, ...], dtype: Any, place: str) -> NDArray[Any]:
    array = _numeric(_value(given, key, place), key, place)
    if array.shape != shape:
        raise InputError(place, f"{key} has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise InputError(place, f"{key} has NaN or infinite values")
    result = np.array(array, dtype, order="C")
    result.setflags(write=False)
    return result


def _numeric(value: Any, key: str, place: str) -> NDArray[Any]:
    array = value.toarray() if sp.issparse(value) else np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(place, f"{key} has type {array.dtype}, expected numbers")
    return array


def _shape_basis(given: dict[str, Any], place: str) -> NDArray[np.float32]:
    basis = _numeric(_value(given, "shapedirs", place), "shapedirs", place)
    if basis.ndim != 3 or basis.shape[2] < BETA_COUNT:
        raise InputError(
            place, f"shapedirs has shape {basis.shape}, expected ({VERTEX_COUNT}, 3, {BETA_COUNT} or more)"
        )
    return _array(
        {"shapedirs": basis[:, :, :BETA_COUNT]}, "shapedirs", (VERTEX_COUNT, 3, BETA_COUNT), np.float32, place
    )


def _weights(given: dict[str, Any], place: str) -> NDArray[np.float32]:
    weights = _array(given, "weights", (VERTEX_COUNT, JOINT_COUNT), np.float32, place)
    total = weights.sum(axis=1)
    if np.abs(total - 1).max() > 1e-3:
        row = int(np.abs(total - 1).argmax())
        raise InputError(f"{place} row {row}", f"weights sum to {total[row]:.4f}, expected 1")
    return weights


def _regressor(given: dict[str, Any], place: str) -> sp.csr_matrix:
    value = _value(given, "J_regressor", place)
    if not sp.issparse(value):
        value = _numeric(value, "J_regressor", place)
    if value.shape != (JOINT_COUNT, VERTEX_COUNT):
        raise InputError(place, f"J_regressor has shape {value.shape}, expected {(JOINT_COUNT, VERTEX_COUNT)}")
    return canonical_csr(value, place, "J_regressor")


def _faces(given: dict[str, Any], place: str) -> NDArray[np.int32]:
    faces = _array(given, "f", (FACE_COUNT, 3), np.int64, place)
    if faces.min() < 0 or faces.max() >= VERTEX_COUNT:
        raise InputError(place, f"f names vertices {faces.min()}..{faces.max()}, expected 0..{VERTEX_COUNT - 1}")
    result = faces.astype(np.int32)
    result.setflags(write=False)
    return result


def _parents(row: NDArray[np.int64], place: str) -> NDArray[np.int32]:
    parents = np.array([-1, *row[1:]], np.int32)  # the files store 2**32 - 1 for the root
    if tuple(parents) != PARENTS:
        raise InputError(place, f"kintree_table's parents are {parents.tolist()}, expected SMPL's {list(PARENTS)}")
    parents.setflags(write=False)
    return parents

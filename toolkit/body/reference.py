"""The embedded reference body: a free body in SMPL's format, its regressors, mirror table and two texture atlases.

Out come read-only arrays from the package data (``data/reference_body.npz``, ``data/onepiece_uv.npz``; origin and
licence in NOTICE). ``load_body`` uses them when no other body is given.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import VERTEX_COUNT, SMPLArrays, check_arrays, check_gender
from hmrtk.toolkit.errors import UnknownNameError

REFERENCE_PLACE = "reference body"

_REGRESSOR_ROWS = {"smpl24": slice(0, 24), "extra9": slice(24, 33), "h36m17": slice(33, 50)}


@functools.cache
def _load(name: str) -> dict[str, NDArray[Any]]:
    resource = importlib.resources.files("hmrtk.toolkit.body") / "data" / name
    with resource.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


def _frozen(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    result = np.array(array, dtype)
    result.setflags(write=False)
    return result


@functools.cache
def reference_regressor(name: str) -> sp.csr_matrix:
    """A joint regressor of the reference body's topology.

    Args:
        name: ``"smpl24"``, ``"extra9"`` (SPIN's nine extra joints) or ``"h36m17"`` (SPIN's row order).

    Returns:
        (J, 6890) float32 CSR; rows sum to 1. Shared: do not write into it.

    Raises:
        UnknownNameError: any other name.
    """
    if name not in _REGRESSOR_ROWS:
        raise UnknownNameError("regressor", name, _REGRESSOR_ROWS)
    data = _load("reference_body.npz")
    indptr, indices = data["jreg_indptr"].astype(np.int32), data["jreg_indices"].astype(np.int32)
    matrix = sp.csr_matrix((data["jreg_data"], indices, indptr), shape=(len(indptr) - 1, VERTEX_COUNT))
    rows = matrix[_REGRESSOR_ROWS[name]]
    rows.sort_indices()
    return rows


@functools.cache
def reference_arrays(gender: str = "neutral") -> SMPLArrays:
    """The reference body.

    Args:
        gender: neutral, male or female.

    Raises:
        UnknownNameError: any other gender.
    """
    check_gender(gender)
    data = _load("reference_body.npz")
    given = {
        "v_template": data[f"v_template_{gender}"],
        "shapedirs": data[f"shapedirs_{gender}"],
        "posedirs": data["posedirs"],
        "weights": data["weights"],
        "J_regressor": reference_regressor("smpl24"),
        "f": data["faces"],
        "kintree_table": np.stack([data["parents"], np.arange(24)]),
    }
    return check_arrays(given, gender, REFERENCE_PLACE)


@functools.cache
def reference_faces() -> NDArray[np.int32]:
    """(13776, 3) int32 triangles of the reference body, counter-clockwise seen from outside."""
    return _frozen(_load("reference_body.npz")["faces"], np.int32)


@functools.cache
def reference_atlas_arrays() -> dict[str, NDArray[Any]]:
    """The 24-chart atlas, in DensePose's numbering.

    Returns:
        ``dp_vertices`` (7907,) int32 body vertex of each corner; ``dp_uv`` (7907, 2) float32 in [0, 1];
        ``dp_faces`` (13776, 3) int32 into corners; ``part`` (13776,) uint8 chart 1..24 of each face.
    """
    data = _load("reference_body.npz")
    kinds = {"dp_vertices": np.int32, "dp_uv": np.float32, "dp_faces": np.int32, "part": np.uint8}
    return {key: _frozen(data[key], kind) for key, kind in kinds.items()}


@functools.cache
def makehuman_uv_arrays() -> dict[str, NDArray[Any]]:
    """The many-island layout of MakeHuman: ``vt`` (7587, 2) float32 in [0, 1], ``ft`` (13776, 3) int32 into ``vt``."""
    data = _load("reference_body.npz")
    return {"vt": _frozen(data["vt"], np.float32), "ft": _frozen(data["ft"], np.int32)}


@functools.cache
def onepiece_uv_arrays() -> dict[str, NDArray[Any]]:
    """The continuous one-piece atlas.

    Returns:
        ``vt`` (T, 2) float32 in [0, 1]; ``ft`` (13776, 3) int32 into ``vt``; ``vt2v`` (T,) int32 body vertex of each.
    """
    data = _load("onepiece_uv.npz")
    kinds = {"vt": np.float32, "ft": np.int32, "vt2v": np.int32}
    return {key: _frozen(data[key], kind) for key, kind in kinds.items()}


@functools.cache
def mirror_vertices() -> NDArray[np.int32]:
    """(6890,) int32: the left-right partner of each vertex of the reference body; an involution.

    A user's body numbers its vertices otherwise: the table holds for it only if its faces are the reference body's.
    """
    return _frozen(_load("reference_body.npz")["mirror"], np.int32)

"""``BodyModel``: the SMPL function for any number of bodies, and ``load_body``, the one way to get one.

In: ``BodyParameters``; out: ``Body`` (vertices and joints, metres). Everything that poses bodies in bulk calls this
(readers, prototypes, maps, evaluation); networks use the differentiable twin in ``layer``.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import VERTEX_COUNT, SMPLArrays
from hmrtk.toolkit.body.joints import FROM_H36M17, FROM_SPIN24, SPIN24_FROM_EXTRA9, SPIN24_FROM_SMPL, SPIN24_FROM_VERTEX
from hmrtk.toolkit.body.parameters import JOINT_COUNT, BodyParameters
from hmrtk.toolkit.body.reference import reference_arrays
from hmrtk.toolkit.body.regressors import regressor_for
from hmrtk.toolkit.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from hmrtk.toolkit.body.posing import Poser

BODY_VARIABLE = "HMRTK_BODY"
"""Environment variable that names the body file or folder when none is given."""


@dataclass(frozen=True, eq=False)
class Body:
    """N posed bodies.

    Attributes:
        vertices: (N, 6890, 3) float32 metres, ``transl`` added.
        joints: (N, 24, 3) float32 metres, SMPL's joints, ``transl`` added.
    """

    vertices: NDArray[np.float32]
    joints: NDArray[np.float32]


class BodyModel:
    """The SMPL function of one body. Attributes as in ``SMPLArrays``, plus ``fingerprint`` (16 hex digits).

    Args:
        arrays: the body.
        threads: how many to pose with; the processors this process may use by default. Does not change any result.
    """

    def __init__(self, arrays: SMPLArrays, threads: int | None = None) -> None:
        self.arrays, self.threads = arrays, threads
        self.v_template, self.shapedirs, self.posedirs = arrays.v_template, arrays.shapedirs, arrays.posedirs
        self.weights, self.joint_regressor = arrays.weights, arrays.joint_regressor
        self.faces, self.parents = arrays.faces, arrays.parents
        self.gender, self.place = arrays.gender, arrays.place

    @functools.cached_property
    def fingerprint(self) -> str:
        """Changes when any array that decides the vertices (or the faces) changes; written into every artefact."""
        return self.arrays.fingerprint()

    @functools.cached_property
    def _poser(self) -> Poser:
        from hmrtk.toolkit.body.posing import Poser

        return Poser(self.arrays, threads=self.threads)

    def pose(self, parameters: BodyParameters, chunk: int = 256) -> Body:
        """Pose all bodies. 83 kB per body: use ``stream`` for many.

        Args:
            parameters: N bodies.
            chunk: bodies per step; does not change the result, to the bit.
        """
        n = len(parameters)
        body = Body(np.empty((n, VERTEX_COUNT, 3), np.float32), np.empty((n, JOINT_COUNT, 3), np.float32))
        for rows in _slices(n, chunk):
            self._poser.pose_into(parameters[rows], body.vertices[rows], body.joints[rows])
        return body

    def stream(self, parameters: BodyParameters, chunk: int = 256) -> Iterator[tuple[slice, Body]]:
        """Pose in chunks with bounded memory: yields the rows and their bodies, in order.

        The buffers are used again for the next chunk: copy what you keep.
        """
        size = min(chunk, len(parameters))
        vertices = np.empty((size, VERTEX_COUNT, 3), np.float32)
        joints = np.empty((size, JOINT_COUNT, 3), np.float32)
        for rows in _slices(len(parameters), chunk):
            count = rows.stop - rows.start
            self._poser.pose_into(parameters[rows], vertices[:count], joints[:count])
            yield rows, Body(vertices[:count], joints[:count])

    def joints(self, parameters: BodyParameters) -> NDArray[np.float32]:
        """(N, 24, 3) SMPL's joints in metres, without computing vertices."""
        return self._poser.joints(parameters)

    def regressor(self, name: str) -> sp.csr_matrix:
        """A (J, 6890) float32 regressor for this body: ``smpl24``, ``extra9`` or ``h36m17``.

        Raises:
            InputError: a body of another topology has no such file beside it.
            UnknownNameError: any other name.
        """
        return self.joint_regressor if name == "smpl24" else regressor_for(name, self.faces, self.place)

    def regress(self, vertices: NDArray[np.float32], regressor: str) -> NDArray[np.float32]:
        """Joints of posed vertices by a linear regressor.

        Args:
            vertices: (..., 6890, 3) metres.
            regressor: ``smpl24``, ``extra9``, ``h36m17``, or ``j14`` / ``j17`` (selections of ``h36m17``). The set
                ``spin24`` also needs posed SMPL joints: use ``spin24``.

        Returns:
            (..., J, 3) float32 metres.

        Raises:
            InputError: wrong shape, ``spin24``, or no regressor for this body.
            UnknownNameError: unknown regressor.
        """
        if vertices.shape[-2:] != (VERTEX_COUNT, 3):
            raise InputError("vertices", f"expected shape (..., {VERTEX_COUNT}, 3), got {vertices.shape}")
        if regressor in FROM_SPIN24 and regressor not in FROM_H36M17:
            raise InputError("regressor", f"{regressor} also needs posed SMPL joints", "use BodyModel.spin24(body)")
        if regressor not in ("smpl24", "extra9", *FROM_H36M17):
            raise UnknownNameError("regressor", regressor, ("smpl24", "extra9", *FROM_H36M17))
        matrix = self.regressor("h36m17" if regressor in FROM_H36M17 else regressor)
        joints = _apply(matrix, vertices)
        return joints[..., list(FROM_H36M17[regressor]), :] if regressor in FROM_H36M17 else joints

    def spin24(self, body: Body) -> NDArray[np.float32]:
        """(N, 24, 3) joints of SPIN's J24 in metres: posed SMPL joints, extra regressed joints and single vertices."""
        picks = body.vertices[:, list(SPIN24_FROM_VERTEX.values())]
        return _spin24(body.joints, _apply(self.regressor("extra9"), body.vertices), picks)

    def spin24_joints(self, parameters: BodyParameters, chunk: int = 1024) -> NDArray[np.float32]:
        """``spin24(pose(parameters))`` without posing the other 95 % of the vertices: for many bodies.

        Args:
            parameters: N bodies.
            chunk: bodies per step; does not change the result.

        Returns:
            (N, 24, 3) metres, equal to the bit to ``spin24`` of the posed bodies.
        """
        poser, regressor, picks = self._spin24_poser
        result = np.empty((len(parameters), 24, 3), np.float32)
        for rows in _slices(len(parameters), chunk):
            count = rows.stop - rows.start
            vertices = np.empty((count, regressor.shape[1], 3), np.float32)
            joints = np.empty((count, JOINT_COUNT, 3), np.float32)
            poser.pose_into(parameters[rows], vertices, joints)
            result[rows] = _spin24(joints, _apply(regressor, vertices), vertices[:, picks])
        return result

    @functools.cached_property
    def _spin24_poser(self) -> tuple[Poser, sp.csr_matrix, NDArray[np.int64]]:
        """A poser of the vertices that ``spin24`` uses, the extra regressor on them, and where the picks are."""
        from hmrtk.toolkit.body.posing import Poser

        extra, picks = self.regressor("extra9"), list(SPIN24_FROM_VERTEX.values())
        used = np.union1d(extra.indices, picks)
        return Poser(self.arrays, used, self.threads), extra[:, used], np.searchsorted(used, picks)


def load_body(path: Path | str | None = None, gender: str = "neutral") -> BodyModel:
    """Load a body.

    Args:
        path: an SMPL file or folder; None means the environment variable ``HMRTK_BODY``, else the reference body.
        gender: neutral, male or female (picks the file inside a folder, and the reference body's shape).

    Raises:
        InputError: the file is missing or not an SMPL body.
        UnknownNameError: unknown gender.
    """
    path = path or os.environ.get(BODY_VARIABLE) or None
    if path is None:
        return _reference_body(gender)
    from hmrtk.toolkit.body.smpl_file import read_smpl_file

    return BodyModel(read_smpl_file(Path(path), gender))


@functools.cache
def _reference_body(gender: str) -> BodyModel:
    return BodyModel(reference_arrays(gender))


def _slices(n: int, chunk: int) -> Iterator[slice]:
    if chunk < 1:
        raise InputError("chunk", f"expected at least 1, got {chunk}")
    for start in range(0, n, chunk):
        yield slice(start, min(start + chunk, n))


def _apply(matrix: sp.csr_matrix, vertices: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., V, 3) → (..., J, 3), touching only the vertices that the regressor uses."""
    from hmrtk.toolkit.body.kernels import regress_joints

    flat = np.ascontiguousarray(vertices, np.float32).reshape(-1, *vertices.shape[-2:])
    joints = np.empty((len(flat), matrix.shape[0], 3), np.float32)
    regress_joints(matrix.indptr, matrix.indices, matrix.data, flat, joints)
    return joints.reshape(*vertices.shape[:-2], matrix.shape[0], 3)


def _spin24(joints: NDArray[np.float32], extra: NDArray[np.float32], picks: NDArray[np.float32]) -> NDArray[np.float32]:
    result = np.empty((len(joints), 24, 3), np.float32)
    result[:, list(SPIN24_FROM_SMPL)] = joints[:, list(SPIN24_FROM_SMPL.values())]
    result[:, list(SPIN24_FROM_EXTRA9)] = extra[:, list(SPIN24_FROM_EXTRA9.values())]
    result[:, list(SPIN24_FROM_VERTEX)] = picks
    return result

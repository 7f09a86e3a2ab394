"""``BodyParameters``: a batch of SMPL parameters as plain arrays, what readers make and posing takes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError

JOINT_COUNT = 24
BETA_COUNT = 10
MAX_ABS_BETA = 20.0
"""A |β| beyond this (20 standard deviations) is a corrupt value, not a body."""

MEND = "mend the row or leave it out, as build-prototypes --on-error skip does"
"""The remedy for rows that hold no body."""

_SHAPES = {"global_orient": (3,), "body_pose": (JOINT_COUNT - 1, 3), "betas": (BETA_COUNT,), "transl": (3,)}


@dataclass(frozen=True)
class BodyParameters:
    """N bodies in SMPL's parameters (names and meaning as in ``smplx``).

    Attributes:
        global_orient: (N, 3) float32 axis-angle, radians; rotation of the root.
        body_pose: (N, 23, 3) float32 axis-angle, radians; each joint relative to its parent.
        betas: (N, 10) float32 shape coefficients, in standard deviations.
        transl: (N, 3) float32 metres, added to the posed vertices; zeros when absent.
    """

    global_orient: NDArray[np.float32]
    body_pose: NDArray[np.float32]
    betas: NDArray[np.float32]
    transl: NDArray[np.float32]

    @classmethod
    def of(cls, global_orient: Any, body_pose: Any, betas: Any = None, transl: Any = None) -> BodyParameters:
        """Build from anything array-like; ``betas`` and ``transl`` default to zeros.

        Raises:
            InputError: when a shape does not fit, with the expected and the found shape.
        """
        orient = np.ascontiguousarray(global_orient, np.float32).reshape(-1, 3)
        n = len(orient)
        given = {
            "global_orient": orient,
            "body_pose": np.zeros((n, 23, 3), np.float32) if body_pose is None else body_pose,
            "betas": np.zeros((n, BETA_COUNT), np.float32) if betas is None else betas,
            "transl": np.zeros((n, 3), np.float32) if transl is None else transl,
        }
        arrays = {}
        for name, value in given.items():
            array = np.ascontiguousarray(value, np.float32)
            expected = (n, *_SHAPES[name])
            if array.shape == (n, int(np.prod(_SHAPES[name]))):
                array = array.reshape(expected)
            if array.shape != expected:
                raise InputError(f"body parameters: {name}", f"expected shape {expected}, got {array.shape}")
            arrays[name] = array
        return cls(**arrays)

    @classmethod
    def zeros(cls, n: int) -> BodyParameters:
        """N bodies in the T-pose with the mean shape."""
        return cls.of(np.zeros((n, 3)), None)

    @classmethod
    def concatenate(cls, parts: list[BodyParameters]) -> BodyParameters:
        """All bodies of ``parts`` in order."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.global_orient)

    def __getitem__(self, index: slice | NDArray[Any] | list[int]) -> BodyParameters:
        """A batch of the rows that ``index`` (slice, integer array or boolean mask) selects."""
        return BodyParameters(self.global_orient[index], self.body_pose[index], self.betas[index], self.transl[index])

    @property
    def pose(self) -> NDArray[np.float32]:
        """(N, 24, 3) axis-angle of all joints, the root first."""
        return np.concatenate([self.global_orient[:, None], self.body_pose], axis=1)

    def replaced(self, **changes: Any) -> BodyParameters:
        """A copy with some of the four arrays exchanged."""
        return replace(self, **{k: np.ascontiguousarray(v, np.float32) for k, v in changes.items()})

    def check(self, place: str) -> None:
        """Refuse NaN, infinity and absurd shapes, naming the first bad row.

        Raises:
            InputError: ``<place> row <i>: …``.
        """
        for field in fields(self):
            array = getattr(self, field.name)
            bad = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
            if bad.any():
                raise InputError(f"{place} row {int(bad.argmax())}", f"{field.name} has NaN or infinite values", MEND)
        absurd = np.abs(self.betas).max(axis=1, initial=0) > MAX_ABS_BETA
        if absurd.any():
            row = int(absurd.argmax())
            value = float(np.abs(self.betas[row]).max())
            raise InputError(
                f"{place} row {row}", f"|betas| reaches {value:.1f}, expected at most {MAX_ABS_BETA:.0f}", MEND
            )

"""``GenderedBody``: male, female and neutral bodies in one call, a gender per row.

In: ``BodyParameters`` and as many genders; out: what ``BodyModel`` returns, in the order of the rows. Evaluation
against gendered ground truth and readers of gendered datasets call it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import VERTEX_COUNT, check_gender
from hmrtk.toolkit.body.model import Body, BodyModel, load_body
from hmrtk.toolkit.body.parameters import JOINT_COUNT, BodyParameters
from hmrtk.toolkit.errors import InputError

NEUTRAL = "neutral"
CHUNK = 256

Genders = Sequence[str | None] | NDArray[Any]


class GenderedBody:
    """The SMPL functions of several genders.

    Args:
        models: gender → body. A row without a gender (None or "") is ``neutral``.

    Raises:
        UnknownNameError: a key that is no gender.
    """

    def __init__(self, models: Mapping[str, BodyModel]) -> None:
        self.models = {check_gender(gender): model for gender, model in models.items()}

    @classmethod
    def load(cls, path: Any = None, genders: Iterable[str] = ("neutral", "male", "female")) -> GenderedBody:
        """These genders of one body file folder or of the reference body; arguments and errors as in ``load_body``."""
        return cls({gender: load_body(path, gender) for gender in genders})

    def groups(self, gender: Genders, chunk: int | None = None) -> Iterator[tuple[NDArray[np.intp], BodyModel]]:
        """Rows of one gender at a time, at most ``chunk`` of them, and their body; all rows exactly once.

        Raises:
            InputError: a row's gender has no body here, named by row.
        """
        names = self._names(gender)
        for name in sorted(set(names)):
            rows = np.flatnonzero(names == name)
            for start in range(0, len(rows), chunk or max(len(rows), 1)):
                yield rows[start : start + chunk if chunk else None], self.models[name]

    def pose(self, parameters: BodyParameters, gender: Genders, chunk: int = CHUNK) -> Body:
        """Pose N bodies. 83 kB per body: use ``stream`` for many.

        Args:
            parameters: N bodies.
            gender: (N,) ``neutral``, ``male``, ``female`` or None, for which ``neutral`` is taken.
            chunk: bodies per step; does not change the result, to the bit.

        Raises:
            InputError: as many genders as bodies are needed, or a row's gender has no body here, named by row.
        """
        n = len(parameters)
        body = Body(np.empty((n, VERTEX_COUNT, 3), np.float32), np.empty((n, JOINT_COUNT, 3), np.float32))
        for rows, part in self.stream(parameters, gender, chunk):
            body.vertices[rows], body.joints[rows] = part.vertices, part.joints
        return body

    def stream(self, parameters: BodyParameters, gender: Genders, chunk: int = CHUNK) -> Iterator[tuple[slice, Body]]:
        """Pose in chunks with bounded memory: yields the rows and their bodies, in order; arguments as in ``pose``.

        The buffers may be used again for the next chunk: copy what you keep.
        """
        names = self._checked(parameters, gender)
        if chunk < 1:
            raise InputError("chunk", f"expected at least 1, got {chunk}")
        for start in range(0, len(names), chunk):
            rows = slice(start, min(start + chunk, len(names)))
            yield rows, self._posed(parameters[rows], names[rows])

    def joints(self, parameters: BodyParameters, gender: Genders) -> NDArray[np.float32]:
        """(N, 24, 3) SMPL's joints in metres, without vertices; arguments as in ``pose``."""
        names = self._checked(parameters, gender)
        result = np.empty((len(names), JOINT_COUNT, 3), np.float32)
        for rows, model in self.groups(names):
            result[rows] = model.joints(parameters[rows])
        return result

    def spin24_joints(self, parameters: BodyParameters, gender: Genders) -> NDArray[np.float32]:
        """(N, 24, 3) joints of SPIN's J24 in metres, as ``BodyModel.spin24_joints``; arguments as in ``pose``."""
        names = self._checked(parameters, gender)
        result = np.empty((len(names), JOINT_COUNT, 3), np.float32)
        for rows, model in self.groups(names):
            result[rows] = model.spin24_joints(parameters[rows])
        return result

    def _posed(self, parameters: BodyParameters, names: NDArray[np.object_]) -> Body:
        parts = [(rows, model.pose(parameters[rows])) for rows, model in self.groups(names)]
        if len(parts) == 1:
            return parts[0][1]
        n = len(names)
        body = Body(np.empty((n, VERTEX_COUNT, 3), np.float32), np.empty((n, JOINT_COUNT, 3), np.float32))
        for rows, part in parts:
            body.vertices[rows], body.joints[rows] = part.vertices, part.joints
        return body

    def _checked(self, parameters: BodyParameters, gender: Genders) -> NDArray[np.object_]:
        names = self._names(gender)
        if len(names) != len(parameters):
            raise InputError("gender", f"expected one per body, {len(parameters)}, got {len(names)}")
        return names

    def _names(self, gender: Genders) -> NDArray[np.object_]:
        if isinstance(gender, str):
            raise InputError("gender", f"expected one per body, got the single name {gender!r}", "repeat it per row")
        names = np.array([NEUTRAL if name is None or name == "" else str(name) for name in gender], object)
        for name in sorted(set(names) - set(self.models)):
            row, known = int(np.flatnonzero(names == name)[0]), ", ".join(sorted(self.models)) or "none"
            raise InputError(f"gender row {row}", f"there is no body for {name!r}; there are: {known}")
        return names

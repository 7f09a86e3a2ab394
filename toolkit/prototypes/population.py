"""N bodies that can be assigned to centres and summed up: what the loop in ``lloyd`` runs on.

``LocalPopulation`` holds them in this process; a remote engine offers the same three members.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.prototypes.certificate import Assignment
from hmrtk.toolkit.prototypes.features import Threads, blocks
from hmrtk.toolkit.prototypes.statistics import Statistics, block_statistics, merge, quaternion_planes


class Assigner(Protocol):
    """Finds the nearest of K centres for each of its N bodies (``certificate.ExactAssigner`` and its like)."""

    @property
    def device(self) -> str: ...

    def assign(self, centres: BodyParameters) -> Assignment: ...


class Population(Protocol):
    """N bodies, wherever they are; ``device`` says what searches: ``cpu`` or ``cuda``."""

    device: str

    def __len__(self) -> int: ...

    def step(self, centres: BodyParameters, fresh: bool = False) -> Statistics:
        """Assign every body to its nearest centre; statistics of all, ``changed`` against the step before.

        Args:
            fresh: the first step of a start: every label counts as changed.
        """
        ...

    def labels(self, centres: BodyParameters) -> NDArray[np.int32]:
        """(N,) int32 index of the nearest centre, for the end of a run; not a step."""
        ...


class LocalPopulation:
    """Bodies held in this process.

    Args:
        assigner: finds their nearest centres.
        parameters: the same N bodies.
    """

    def __init__(self, assigner: Assigner, parameters: BodyParameters) -> None:
        self.assigner, self.parameters, self.device = assigner, parameters, assigner.device
        self.planes = np.empty((len(parameters), 4, 24), np.float32)
        self._last: tuple[BodyParameters, NDArray[np.int32]] | None = None

        def turn(rows: slice) -> None:
            self.planes[rows] = quaternion_planes(parameters[rows])

        with Threads() as threads:
            for _ in threads.ordered(turn, blocks(len(parameters))):
                continue

    def __len__(self) -> int:
        return len(self.parameters)

    def step(self, centres: BodyParameters, fresh: bool = False) -> Statistics:
        """Assign and sum up; see ``Population``."""
        assignment = self.assigner.assign(centres)
        before = self._last[1] if self._last and not fresh else None
        self._last = (centres, assignment.label)
        with Threads() as threads:
            return merge(
                threads.ordered(
                    lambda rows: block_statistics(self.parameters, self.planes, assignment, rows, before),
                    blocks(len(self)),
                )
            )

    def labels(self, centres: BodyParameters) -> NDArray[np.int32]:
        """(N,) nearest centres; nothing is computed when they are those of the last step."""
        if self._last and self._last[0] is centres:
            return self._last[1]
        return self.assigner.assign(centres).label

"""MakeHuman's skeleton: forward kinematics and linear blend skinning with a world rotation per bone.

World rotations are relative to the rest pose: identity everywhere is the rest pose itself. Used by ``tpose`` (to find
the T-pose) and by ``topology`` and ``model`` (to put every sampled body into it).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .anny_source import SourceBody
from .mesh import Floats


class Rig:
    """Bones with parents, children and dense skinning weights (n, B)."""

    def __init__(self, source: SourceBody) -> None:
        self.names = [str(name) for name in source.bone_names]
        self.parents = source.bone_parents
        self.index = {name: bone for bone, name in enumerate(self.names)}
        self.weights = np.zeros((len(source.skin_bones), len(self.names)))
        np.add.at(self.weights, (np.arange(len(source.skin_bones))[:, None], source.skin_bones), source.skin_weights)
        self.order = self._parents_first()
        self.subtree = self._subtrees()

    def _parents_first(self) -> list[int]:
        order: list[int] = []
        while len(order) < len(self.names):
            order += [b for b, p in enumerate(self.parents) if b not in order and (p < 0 or p in order)]
        return order

    def _subtrees(self) -> dict[int, list[int]]:
        subtree = {bone: [bone] for bone in range(len(self.names))}
        for bone in reversed(self.order):
            if self.parents[bone] >= 0:
                subtree[self.parents[bone]] += subtree[bone]
        return subtree

    def posed_heads(self, rotations: Floats, heads: Floats) -> Floats:
        """Forward kinematics: (B, 3) bone heads after world rotations (B, 3, 3)."""
        posed = heads.copy()
        for bone in self.order:
            parent = self.parents[bone]
            if parent >= 0:
                posed[bone] = rotations[parent] @ (heads[bone] - heads[parent]) + posed[parent]
        return posed

    def skin(self, vertices: NDArray[np.floating], rotations: Floats, heads: Floats) -> Floats:
        """Linear blend skinning of (n, 3) vertices."""
        offsets = self.posed_heads(rotations, heads) - np.einsum("bij,bj->bi", rotations, heads)
        blended = (self.weights @ rotations.reshape(len(rotations), 9)).reshape(-1, 3, 3)
        return np.einsum("nij,nj->ni", blended, vertices) + self.weights @ offsets

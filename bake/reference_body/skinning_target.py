"""What good skinning would look like: the target that the pose blend shapes are fitted to.

Half linear blend skinning, half dual quaternions (Kavan et al., "Geometric Skinning with Approximate Dual Quaternion
Blending", TOG 2008): the first loses volume at a twist, the second bulges at a bend. On top, delta mush (Mancewicz et
al., DigiPro 2014): smooth the posed surface, then put the rest pose's detail back in local frames. The result minus
linear skinning, taken back into the rest pose, is the corrective offset. Called by ``pose_correctives``.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .mesh import Floats, Ints, neighbour_average, vertex_normals
from .model import BodyArrays
from .smpl_format import JOINT_COUNT, PARENTS, VERTEX_COUNT

SMOOTHING = 0.6  # share of the ring's mean per round
SMOOTHING_ROUNDS = 4
DUAL_QUATERNION_SHARE = 0.5
MUSH_SHARE = 0.5  # of the way to the delta-mush surface: all of it rounds off elbows
LONGEST_OFFSET = 0.04  # metres; longer ones come from self-intersection, not from skinning
INVERSE_DAMPING = 0.02  # a blended matrix can be nearly singular at a 140° bend
MATRIX_SHIFT = 1e-3

# Correctives fade out where the mesh carries fine detail and joints hardly bend.
REGION_STRENGTH = {"body": 1.0, "hand": 0.5, "foot": 0.7}
FADE_ROUNDS = 12  # of smoothing of that strength


def smoothing_operator(faces: Ints) -> sp.csr_matrix:
    """(V, V) one round of smoothing."""
    average = neighbour_average(faces, VERTEX_COUNT)
    return sp.csr_matrix((1 - SMOOTHING) * sp.eye(VERTEX_COUNT) + SMOOTHING * average)


def longest_spoke(points: Floats, faces: Ints) -> Ints:
    """(V,) each vertex' farthest neighbour: a stable direction for a tangent."""
    graph = neighbour_average(faces, VERTEX_COUNT)
    spokes = []
    for vertex in range(VERTEX_COUNT):
        ring = graph.indices[graph.indptr[vertex] : graph.indptr[vertex + 1]]
        spokes.append(ring[np.argmax(np.linalg.norm(points[ring] - points[vertex], axis=1))])
    return np.array(spokes)


def quaternion_product(a: Floats, b: Floats) -> Floats:
    """Hamilton product of (..., 4) quaternions, scalar last."""
    av, aw, bv, bw = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    vector = aw * bv + bw * av + np.cross(av, bv)
    return np.concatenate([vector, aw * bw - (av * bv).sum(-1, keepdims=True)], -1)


class SkinningTarget:
    """The neutral body with everything that does not depend on the pose."""

    def __init__(self, body: BodyArrays) -> None:
        self.faces, self.weights = body.faces, body.weights
        self.vertices, self.joints = body.template_neutral, body.joints
        self.operator = smoothing_operator(body.faces)
        self.spoke = longest_spoke(self.vertices, body.faces)
        smooth = self._smooth(self.vertices, SMOOTHING_ROUNDS)
        self.detail = np.einsum("nji,nj->ni", self._frames(smooth), self.vertices - smooth)
        strength = np.array([REGION_STRENGTH.get(name, 0.0) for name in body.region.tolist()])
        self.strength = self._smooth(strength, FADE_ROUNDS)

    def _smooth(self, values: Floats, rounds: int) -> Floats:
        for _ in range(rounds):
            values = self.operator @ values
        return values

    def _frames(self, points: Floats) -> Floats:
        """(V, 3, 3) orthonormal frames: tangent, normal, binormal as columns."""
        normal = vertex_normals(points, self.faces)
        tangent = points[self.spoke] - points
        tangent -= normal * (tangent * normal).sum(1, keepdims=True)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        return np.stack([tangent, normal, np.cross(tangent, normal)], 2)

    def _world(self, rotations: Floats) -> tuple[Floats, Floats]:
        """World rotations (24, 3, 3) and the translations (24, 3) that go with them, from local rotations."""
        world, place = np.empty((JOINT_COUNT, 3, 3)), np.zeros((JOINT_COUNT, 3))
        for joint, parent in enumerate(PARENTS):
            if parent < 0:
                world[joint], place[joint] = rotations[joint], self.joints[joint]
            else:
                world[joint] = world[parent] @ rotations[joint]
                place[joint] = world[parent] @ (self.joints[joint] - self.joints[parent]) + place[parent]
        return world, place - np.einsum("bij,bj->bi", world, self.joints)

    def _dual_quaternion_skin(self, world: Floats, offset: Floats) -> Floats:
        quaternions: Floats = Rotation.from_matrix(world).as_quat()
        for joint in range(1, JOINT_COUNT):  # q and -q are one rotation: blend only those of one hemisphere
            if quaternions[joint] @ quaternions[PARENTS[joint]] < 0:
                quaternions[joint] *= -1
        dual = 0.5 * quaternion_product(np.c_[offset, np.zeros(JOINT_COUNT)], quaternions)
        real, dual = self.weights @ quaternions, self.weights @ dual
        length = np.linalg.norm(real, axis=1, keepdims=True)
        real, dual = real / length, dual / length
        translation = 2 * quaternion_product(dual, real * [-1, -1, -1, 1])[:, :3]
        axis, scalar = real[:, :3], real[:, 3:]
        turned = self.vertices + 2 * np.cross(axis, np.cross(axis, self.vertices) + scalar * self.vertices)
        return turned + translation

    def corrective(self, rotations: NDArray[np.float64]) -> Floats:
        """(V, 3) rest-pose offsets in metres that make linear skinning reach the target at local (24, 3, 3)."""
        world, offset = self._world(rotations)
        blended = (self.weights @ world.reshape(JOINT_COUNT, 9)).reshape(-1, 3, 3)
        linear = np.einsum("nij,nj->ni", blended, self.vertices) + self.weights @ offset
        mixed = (1 - DUAL_QUATERNION_SHARE) * linear
        mixed += DUAL_QUATERNION_SHARE * self._dual_quaternion_skin(world, offset)
        smooth = self._smooth(mixed, SMOOTHING_ROUNDS)
        mush = smooth + np.einsum("nij,nj->ni", self._frames(smooth), self.detail)
        wanted = mixed + (mush - mixed) * MUSH_SHARE - linear
        length = np.linalg.norm(wanted, axis=1, keepdims=True)
        wanted = wanted * np.minimum(1, LONGEST_OFFSET / (length + 1e-9))
        blended = blended + MATRIX_SHIFT * np.eye(3)
        transposed = blended.transpose(0, 2, 1)
        inverse = np.linalg.solve(transposed @ blended + INVERSE_DAMPING * np.eye(3), transposed)
        return np.einsum("nij,nj->ni", inverse, wanted) * self.strength[:, None]

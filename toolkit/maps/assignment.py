"""Which joint each texel of UV space belongs to, and the joint and displacement maps made with it.

In: a ``UVSpace``, joints and location maps. Out: A_uv, UV_j and UV_d of Best of Both (§3.1), and joints averaged back
from a (predicted) joint map (§3.2). Called by ``shards`` and the networks of that paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import FROM_SPIN24, joint_set
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.maps.location import UVSpace
from hmrtk.toolkit.maps.slices import over_slices

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import Body, BodyModel

OUTSIDE = 255
"""The label of texels that hold no surface."""

ASSIGNMENT_SETS = ("lsp14", "smpl24")
"""``lsp14`` is the paper's; ``smpl24`` its ablation (Table 4, DMP-24)."""


def assigned_joints(body: BodyModel, posed: Body, name: str = "lsp14") -> NDArray[np.float32]:
    """(N, J, 3) metres, the joints that a part assignment of this name speaks of, in the frame of ``posed``.

    Raises:
        UnknownNameError: not one of ``ASSIGNMENT_SETS``.
    """
    if name not in ASSIGNMENT_SETS:
        raise UnknownNameError("joint set of a part assignment", name, ASSIGNMENT_SETS)
    if name == "smpl24":
        return posed.joints
    return np.ascontiguousarray(body.spin24(posed)[:, list(FROM_SPIN24[name])])


def part_assignment(body: BodyModel, space: UVSpace, name: str = "lsp14") -> NDArray[np.uint8]:
    """A_uv: every texel's joint.

    Each vertex of the mean body in the T-pose belongs to its nearest joint; those one-hot scores are interpolated over
    the faces, made symmetric (the mean of a texel's score and of its mirror texel's score for the mirrored joint), and
    the best joint wins, ties going to the lower number in the half u < 0.5, which the other half mirrors.

    Args:
        body: fits the atlas of ``space``.
        space: with a symmetric one-piece atlas.
        name: ``lsp14`` or ``smpl24``.

    Returns:
        (S, S) uint8 joint number in ``joint_set(name)``, 255 outside ``space.filled``.

    Raises:
        InputError: an atlas that is not symmetric. UnknownNameError: another joint set.
    """
    if not space.atlas.symmetric:
        raise InputError(f"atlas {space.atlas.name!r}", "is not left-right symmetric, a part assignment must be")
    posed = body.pose(BodyParameters.zeros(1))
    joints = assigned_joints(body, posed, name)[0]
    flip = np.array(joint_set(name).flip)
    space.atlas.check_body(len(posed.vertices[0]))
    distance = np.linalg.norm(posed.vertices[0][:, None] - joints, axis=-1)  # (V, J)
    nearest = np.eye(len(joints))[distance.argmin(axis=1)]  # (V, J)
    scores = (space.weights[..., None] * nearest[space.vertices_of_texel]).sum(axis=2)  # (S, S, J)
    scores = scores + scores[:, ::-1][..., flip]
    label = scores.argmax(axis=-1).astype(np.uint8)
    half = space.size // 2
    label[:, space.size - half :] = flip[label[:, :half]][:, ::-1]
    return np.where(space.filled, label, OUTSIDE).astype(np.uint8)


def joint_map(
    joints: NDArray[np.floating[Any]], root: NDArray[np.floating[Any]], assignment: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """UV_j: the position of its joint in every texel.

    Args:
        joints: (N, J, 3) metres (``assigned_joints``).
        root: (N, 3) metres, subtracted; the pelvis, the same as for the location map.
        assignment: (S, S) uint8 (``part_assignment``).

    Returns:
        (N, 3, S, S) float32 metres relative to the root; zeros outside.

    Raises:
        InputError: wrong shapes, or an assignment to joints that are not there.
    """
    count = _checked_assignment(assignment)
    if joints.ndim != 3 or joints.shape[2] != 3 or root.shape != (len(joints), 3) or joints.shape[1] < count:
        raise InputError(
            "joint map", f"expected joints (N, >= {count}, 3) and root (N, 3), got {joints.shape} and {root.shape}"
        )
    table = np.zeros((len(joints), 3, OUTSIDE + 1), np.float32)
    relative = np.asarray(joints, np.float32) - np.asarray(root, np.float32)[:, None]
    table[:, :, : joints.shape[1]] = relative.transpose(0, 2, 1)
    return np.take(table, assignment, axis=2)


def displacement_map(
    location: NDArray[np.float32], joint: NDArray[np.float32], assignment: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """UV_d = UV_l − UV_j: from each texel's joint to its surface point, (N, 3, S, S) metres; zeros outside.

    Raises:
        InputError: shapes that differ.
    """
    if location.shape != joint.shape or location.shape[-2:] != assignment.shape:
        raise InputError(
            "displacement map", f"expected maps of {assignment.shape}, got {location.shape} and {joint.shape}"
        )
    return np.where(assignment == OUTSIDE, np.float32(0), location - joint)


def joints_from_map(
    joint: NDArray[np.floating[Any]], assignment: NDArray[np.uint8], count: int, valid: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Average a (predicted) joint map over the texels of each joint (Best of Both §3.2, "Inference").

    Args:
        joint: (N, 3, S, S) metres.
        assignment: (S, S) uint8.
        count: J, joints in the set of ``assignment``.
        valid: (N, S, S) bool, texels to trust, e.g. those seen in the image; default: all.

    Returns:
        joints (N, J, 3) float64, NaN where a joint has no valid texel; texels (N, J), how many each was averaged from.

    Raises:
        InputError: wrong shapes, or an assignment to more than ``count`` joints.
    """
    found = _checked_assignment(assignment)
    if joint.ndim != 4 or joint.shape[1] != 3 or joint.shape[2:] != assignment.shape or found > count:
        raise InputError("joint map", f"expected (N, 3, {assignment.shape}) and <= {count} joints, got {joint.shape}")
    if valid is not None and valid.shape != (len(joint), *assignment.shape):
        raise InputError("valid", f"expected {(len(joint), *assignment.shape)}, got {valid.shape}")
    label = assignment.ravel()
    maps = np.ascontiguousarray(joint, np.float64).reshape(len(joint), 3, -1)
    trusted = np.ones((1, label.size), np.bool_) if valid is None else valid.reshape(len(joint), -1)
    sums, texels = np.zeros((len(joint), count, 3)), np.zeros((len(joint), count), np.int64)
    over_slices(lambda a, b: _average(maps, label, trusted, sums, texels, a, b), len(joint))
    with np.errstate(invalid="ignore"):
        return sums / texels[..., None], texels


@njit(cache=True, nogil=True)
def _average(maps, label, trusted, sums, texels, first, last):  # type: ignore[no-untyped-def]
    for n in range(first, last):
        row = n if trusted.shape[0] > 1 else 0
        for t in range(label.shape[0]):
            j = label[t]
            if j == OUTSIDE or not trusted[row, t]:
                continue
            texels[n, j] += 1
            for axis in range(3):
                sums[n, j, axis] += maps[n, axis, t]


def _checked_assignment(assignment: NDArray[np.uint8]) -> int:
    """Number of joints an assignment needs; refuses what is no (S, S) uint8."""
    if assignment.ndim != 2 or assignment.dtype != np.uint8:
        raise InputError("part assignment", f"expected uint8 (S, S), got {assignment.dtype} {assignment.shape}")
    inside = assignment[assignment != OUTSIDE]
    return int(inside.max()) + 1 if inside.size else 0

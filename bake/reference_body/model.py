"""Stage 3: the body in SMPL's format, without pose correctives: templates, shapes, weights, regressor, numbering.

In: ``SourceBody``, ``SampledShapes``, ``Topology``. Out: ``BodyArrays``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .anny_source import SampledShapes, SourceBody
from .joint_centres import joint_centres
from .landmarks import find_landmarks, vertex_order
from .mesh import Bools, Floats, Ints, assert_closed_sphere, face_cross
from .regressors import fit_joint_regressor
from .rig import Rig
from .skinning import fold_weights, smooth_and_prune
from .smpl_format import FACE_COUNT, JOINT, JOINT_COUNT, LANDMARK_SLOTS, MIRROR, SHAPE_COUNT, VERTEX_COUNT
from .topology import Topology
from .tpose import tpose_rotations

# Where the pelvis of every T-posed body is put: SMPL's template has its pelvis near here, 23 cm below the origin.
PELVIS = np.array([0.0, -0.23, 0.02])


@dataclass(frozen=True)
class BodyArrays:
    """The body; V = 6890, F = 13776. ``region`` tells head, eye, mouth, body, hand and foot apart."""

    faces: Ints  # (F, 3)
    mirror: Ints  # (V,)
    weights: Floats  # (V, 24)
    regressor: Floats  # (24, V)
    region: NDArray[np.str_]  # (V,)
    uv: Floats  # (T, 2) MakeHuman's texture layout, thinned out
    corners: Ints  # (F, 3) into uv
    template_neutral: Floats  # (V, 3)
    template_male: Floats
    template_female: Floats
    shapes_neutral: Floats  # (V, 3, 10) per standard deviation
    shapes_male: Floats
    shapes_female: Floats

    @property
    def joints(self) -> Floats:
        """(24, 3) rest joints of the neutral body."""
        return self.regressor @ self.template_neutral


def mirror_of_source(source: SourceBody) -> tuple[Ints, dict[int, int]]:
    """MakeHuman's own mirror images: vertex → vertex (n,), and texture corner → texture corner."""
    mirror = cKDTree(source.vertices).query(source.vertices * MIRROR)[1].astype(np.int64)
    by_vertices = {
        frozenset(q): dict(zip(q, c, strict=True))
        for q, c in zip(source.quads.tolist(), source.uv_quads.tolist(), strict=True)
    }
    corner_mirror: dict[int, int] = {}
    for corner_at in by_vertices.values():
        partner = by_vertices.get(frozenset(mirror[list(corner_at)].tolist()))
        if partner is not None:
            corner_mirror |= {corner: partner[int(mirror[vertex])] for vertex, corner in corner_at.items()}
    return mirror, corner_mirror


def both_halves(topology: Topology, mirror: Ints, corner_mirror: dict[int, int]) -> tuple[Ints, Ints]:
    """Faces and texture corners of the whole body: the left half and its mirror image, turned inside out."""
    right_corners = np.vectorize(corner_mirror.__getitem__)(topology.corners)[:, ::-1]
    faces = np.concatenate([topology.faces, mirror[topology.faces][:, ::-1]])
    assert len(faces) == FACE_COUNT
    assert len(np.unique(faces)) == VERTEX_COUNT
    return faces, np.concatenate([topology.corners, right_corners])


def selection_map(source: SourceBody, topology: Topology, used: Ints, mirror: Ints) -> sp.csr_matrix:
    """(6890, n) linear map from MakeHuman's vertices to ours; right rows are the left ones mirrored exactly."""
    caps = topology.cap_map
    mirrored = caps[mirror][:, mirror]
    right = source.vertices[used, 0] < -1e-7
    order = np.argsort(np.r_[np.flatnonzero(~right), np.flatnonzero(right)])
    return sp.vstack([caps[used[~right]], mirrored[used[right]]]).tocsr()[order]


def tposed_population(rig: Rig, shapes: SampledShapes, select: sp.csr_matrix, mirror: Ints) -> tuple[Floats, Floats]:
    """T-posed vertices (N, 6890, 3) and joints (N, 24, 3), symmetric, the pelvis at ``PELVIS``."""
    count = len(shapes.male)
    vertices, joints = np.zeros((count, VERTEX_COUNT, 3)), np.zeros((count, JOINT_COUNT, 3))
    for k in range(count):
        heads = shapes.bone_heads[k]
        rotations = tpose_rotations(rig, heads, shapes.bone_tails[k])
        posed = select @ rig.skin(shapes.vertices[k].astype(np.float64), rotations, heads)
        centres = joint_centres(rig, rig.posed_heads(rotations, heads))
        offset = PELVIS - centres[JOINT["pelvis"]]
        vertices[k] = (posed + posed[mirror] * MIRROR) / 2 + offset
        joints[k] = centres + offset
    return vertices, joints


class MeanSkeleton:
    """The T-posed skeleton of the mean shape: where bones end, in the frame of the baked body."""

    def __init__(self, rig: Rig, shapes: SampledShapes) -> None:
        self.rig = rig
        self.heads, self.tails = shapes.bone_heads.mean(0), shapes.bone_tails.mean(0)
        self.rotations = tpose_rotations(rig, self.heads, self.tails)
        self.posed = rig.posed_heads(self.rotations, self.heads)
        self.offset = PELVIS - joint_centres(rig, self.posed)[JOINT["pelvis"]]

    def tip(self, bone_name: str) -> Floats:
        """(3,) end of a bone."""
        bone = self.rig.index[bone_name]
        return self.posed[bone] + self.rotations[bone] @ (self.tails[bone] - self.heads[bone]) + self.offset


def _sign(number: int, component: Floats, mean: Floats, faces: Ints) -> float:
    """PCA leaves the sign open. Ours: positive makes the body taller for component 0, adds volume for the others."""
    if number == 0:
        crown, heel = LANDMARK_SLOTS["crown"], LANDMARK_SLOTS["left_heel"]
        return float(np.sign(component[crown, 1] - component[heel, 1]))
    volume_change = (face_cross(mean, faces) * component[faces].mean(1)).sum()
    return float(np.sign(volume_change)) or 1.0


def shape_space(vertices: Floats, faces: Ints, mirror: Ints) -> tuple[Floats, Floats, float]:
    """Principal components of (N, 6890, 3): mean (6890, 3), components (6890, 3, 10) per σ, explained variance."""
    flat = vertices.reshape(len(vertices), -1)
    _, singular, directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    deviation = singular / np.sqrt(len(vertices) - 1)
    mean = flat.mean(0).reshape(VERTEX_COUNT, 3)
    mean = (mean + mean[mirror] * MIRROR) / 2
    components = (directions[:SHAPE_COUNT] * deviation[:SHAPE_COUNT, None]).reshape(SHAPE_COUNT, VERTEX_COUNT, 3)
    components = (components + components[:, mirror] * MIRROR) / 2
    for number, component in enumerate(components):
        component *= _sign(number, component, mean, faces)
    explained = float((singular**2)[:SHAPE_COUNT].sum() / (singular**2).sum())
    return mean, components.transpose(1, 2, 0), explained


def build_model(source: SourceBody, shapes: SampledShapes, topology: Topology) -> BodyArrays:
    """Everything but the pose correctives."""
    rig = Rig(source)
    source_mirror, corner_mirror = mirror_of_source(source)
    faces, corners = both_halves(topology, source_mirror, corner_mirror)
    used, faces = np.unique(faces, return_inverse=True)
    faces = faces.reshape(-1, 3)
    mirror = np.searchsorted(used, source_mirror[used])
    select = selection_map(source, topology, used, source_mirror)
    vertices, joints = tposed_population(rig, shapes, select, mirror)
    mean = vertices.mean(0)

    folded = fold_weights(rig, np.asarray(select @ rig.weights), mean[:, 1], joints.mean(0))
    weights = smooth_and_prune(folded, faces, mirror)
    right = source.vertices[used, 0] < -1e-7
    region = np.where(right, topology.region[source_mirror[used]], topology.region[used])

    order = vertex_order(mean, region, find_landmarks(mean, region, mirror, MeanSkeleton(rig, shapes).tip))
    number = np.argsort(order)  # old index → new
    faces, mirror = number[faces], number[mirror[order]]
    vertices, weights, region = vertices[:, order], weights[order], region[order]
    assert_closed_sphere(faces)

    spaces: dict[str, NDArray[Any]] = {}
    selections: dict[str, Bools] = {
        "neutral": np.ones(len(shapes.male), bool),
        "male": shapes.male,
        "female": ~shapes.male,
    }
    for gender, chosen in selections.items():
        template, components, explained = shape_space(vertices[chosen], faces, mirror)
        print(f"  {gender}: {SHAPE_COUNT} components explain {explained:.2%}")
        spaces |= {f"template_{gender}": template, f"shapes_{gender}": components}
    used_corners, corners = np.unique(corners, return_inverse=True)
    return BodyArrays(
        faces=faces,
        mirror=mirror,
        weights=weights,
        regressor=fit_joint_regressor(vertices, joints, mirror),
        region=region,
        uv=source.uv[used_corners],
        corners=corners.reshape(-1, 3),
        **spaces,
    )

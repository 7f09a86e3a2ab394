"""Which of DensePose's 24 surface parts each face belongs to (Güler, Neverova and Kokkinos, CVPR 2018, Fig. 2).

1, 2 torso back and front (by DensePose's numbering); 3, 4 hands; 5, 6 feet; 7-14 legs; 15-22 arms; 23, 24 head; odd
numbers mostly right on the legs and head, left on the arms. Hands, feet and head follow MakeHuman's own texture
islands, the limbs follow skinning and the joints, front and back a side line fitted along each segment.
Called by ``charts``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from .mesh import Bools, Floats, Ints, face_islands, faces_by_edge, mirrored_faces
from .model import BodyArrays
from .smpl_format import JOINT, JOINT_NAMES

CHARTS = range(1, 25)
MIRROR_CHART = np.array(
    [0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23], np.int64
)
# (left, right) chart of whole-island regions, and of (segment, in front of the side line).
ISLAND_CHARTS = {"hand": (4, 3), "foot": (5, 6), "head": (24, 23)}
SEGMENT_CHARTS = {
    ("torso", False): (1, 1),
    ("torso", True): (2, 2),
    ("upper leg", False): (8, 7),
    ("upper leg", True): (10, 9),
    ("lower leg", False): (12, 11),
    ("lower leg", True): (14, 13),
    ("upper arm", True): (15, 16),
    ("upper arm", False): (17, 18),
    ("lower arm", True): (19, 20),
    ("lower arm", False): (21, 22),
}
LEG_JOINTS = [j for j, name in enumerate(JOINT_NAMES) if name.endswith(("hip", "knee", "ankle", "foot"))]
ARM_JOINTS = [j for j, name in enumerate(JOINT_NAMES) if name.endswith(("shoulder", "elbow", "wrist"))]

LIMB_SLICES, TORSO_SLICES = 8, 15  # stations along a segment at which its side line is measured
FLANK = 0.85  # quantile of |x| from which a torso face is on the flank
CLEANING_ROUNDS, MAJORITY_ROUNDS = 3, 6


class FaceGraph:
    """Faces joined across edges."""

    def __init__(self, faces: Ints) -> None:
        self.pairs = np.array([pair for pair in faces_by_edge(faces).values() if len(pair) == 2])
        self.neighbours: list[list[int]] = [[] for _ in range(len(faces))]
        for a, b in self.pairs.tolist():
            self.neighbours[a].append(b)
            self.neighbours[b].append(a)

    def majority(self, labels: NDArray[Any], mask: Bools) -> NDArray[Any]:
        """A face that at most one neighbour agrees with takes the label that two share; only inside ``mask``."""
        for _ in range(MAJORITY_ROUNDS):
            updated = labels.copy()
            for face in np.flatnonzero(mask).tolist():
                around = [labels[other] for other in self.neighbours[face] if mask[other]]
                for label in set(around):
                    if around.count(label) >= 2 and around.count(labels[face]) <= 1:
                        updated[face] = label
            if (updated == labels).all():
                break
            labels = updated
        return labels

    def keep_largest_pieces(self, labels: Ints) -> None:
        """Give every chart's smaller pieces to the neighbour they touch most, in place: a chart is one piece."""
        for chart in CHARTS:
            own = np.flatnonzero(labels == chart)
            local = np.full(len(labels), -1)
            local[own] = np.arange(len(own))
            inside = local[self.pairs[(labels[self.pairs] == chart).all(1)]]
            graph = sp.coo_matrix((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), (len(own), len(own)))
            _, piece = connected_components(graph, directed=False)
            for face in own[piece != np.bincount(piece).argmax()].tolist():
                around = [int(labels[other]) for other in self.neighbours[face] if labels[other] != chart]
                if around:
                    labels[face] = max(sorted(set(around)), key=around.count)


def face_regions(body: BodyArrays, centres: Floats) -> NDArray[np.str_]:
    """(F,) hand, foot, head or body by where MakeHuman's texture islands lie on the neutral body."""
    island = face_islands(body.corners, len(body.uv))
    region = np.empty(len(body.faces), "U5")
    for number in np.unique(island):
        x, y, _ = centres[island == number].mean(0)
        beyond_wrist, below_ankle, above_neck = abs(x) > 0.6, y < -1.0, y > 0.3  # metres; far from every border
        region[island == number] = (
            "hand" if beyond_wrist else "foot" if below_ankle else "head" if above_neck else "body"
        )
    return region


def body_segments(body: BodyArrays, centres: Floats, inside: Bools) -> NDArray[np.str_]:
    """(F,) torso, upper and lower leg and arm: limbs by skinning, their halves cut level with knee and elbow."""
    weights, joints = body.weights[body.faces].mean(1), body.joints
    segment = np.full(len(body.faces), "torso", "U9")
    segment[inside & (weights[:, LEG_JOINTS].sum(1) > 0.5)] = "upper leg"
    segment[inside & (centres[:, 1] < joints[JOINT["left_knee"], 1])] = "lower leg"
    segment[inside & (weights[:, ARM_JOINTS].sum(1) > 0.5)] = "upper arm"
    segment[inside & (np.abs(centres[:, 0]) > joints[JOINT["left_elbow"], 0])] = "lower arm"
    return segment


def _stations(along: Floats, count: int) -> tuple[Floats, Floats]:
    """Edges (count + 1,) and middles (count,) of equal slices."""
    edges = np.linspace(along.min() - 1e-6, along.max() + 1e-6, count + 1)
    return edges, (edges[:-1] + edges[1:]) / 2


def in_front_of_limb(centres: Floats, along: Floats) -> Bools:
    """In front of the line half-way between the frontmost and the rearmost point of each slice of a limb."""
    edges, middles = _stations(along, LIMB_SLICES)
    slices = [centres[(along >= low) & (along < high), 2] for low, high in pairwise(edges)]
    filled = [k for k, z in enumerate(slices) if len(z)]
    line = [(slices[k].min() + slices[k].max()) / 2 for k in filled]
    return centres[:, 2] > np.interp(along, middles[filled], line)


def in_front_of_torso(centres: Floats) -> Bools:
    """In front of the side line through arm pits and hips: the mean z of the flanks, smoothed along the height."""
    height, width = centres[:, 1], np.abs(centres[:, 0])
    edges, middles = _stations(height, TORSO_SLICES)
    line = []
    for low, high in pairwise(edges):
        here = (height >= low) & (height < high)
        flank = here & (width > np.quantile(width[here], FLANK))
        line.append(centres[flank, 2].mean())
    smooth = np.convolve(np.r_[line[0], line, line[-1]], [0.25, 0.5, 0.25], "valid")
    return centres[:, 2] > np.interp(height, middles, smooth)


def label_charts(body: BodyArrays) -> Ints:
    """(F,) chart 1..24 of every face, exactly left-right symmetric, each chart in one piece."""
    centres = body.template_neutral[body.faces].mean(1)
    left = centres[:, 0] > 0
    graph = FaceGraph(body.faces)
    region = face_regions(body, centres)
    inside = region == "body"
    segment = graph.majority(body_segments(body, centres, inside), inside)

    front = np.zeros(len(body.faces), bool)
    for name in ("upper leg", "lower leg", "upper arm", "lower arm"):
        axis = 1 if name.endswith("leg") else 0
        for side in (left, ~left):
            limb = inside & side & (segment == name)
            front[limb] = in_front_of_limb(centres[limb], centres[limb, axis])
    torso = inside & (segment == "torso")
    front[torso] = in_front_of_torso(centres[torso])

    labels = np.zeros(len(body.faces), np.int64)
    for name, charts in ISLAND_CHARTS.items():
        labels = np.where(region == name, np.where(left, *charts), labels)
    for (name, is_front), charts in SEGMENT_CHARTS.items():
        labels = np.where(inside & (segment == name) & (front == is_front), np.where(left, *charts), labels)
    for _ in range(CLEANING_ROUNDS):
        labels = graph.majority(labels, inside)
        graph.keep_largest_pieces(labels)
    partner = mirrored_faces(body.faces, body.mirror)
    labels[partner[left]] = MIRROR_CHART[labels[left]]
    return labels

"""Joint regressors: rows (…, 6890) that sum to 1 and give joints as weighted means of vertices.

``fit_joint_regressor`` learns the 24 joints from the population of T-posed bodies; ``extra_joints`` and
``h36m_joints`` compose SPIN's nine extra joints and Human3.6M's seventeen from them. Definitions are our own: the
points that those names mean anatomically, on this body.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import nnls

from .mesh import Bools, Floats, Ints
from .smpl_format import JOINT, JOINT_COUNT, LANDMARK_SLOTS, MIRROR_JOINTS, VERTEX_COUNT

SEARCH_RADIUS = 0.33  # metres around the joint in which vertices may contribute
NEAREST_PER_DIRECTION = 10  # in each of 26 directions, so that a joint is surrounded and not leaned on from one side
RIGHT_OF_LIMB = 0.005  # a left limb's joint takes no vertex with x below this (metres)
LEFT_LIMBS = ("left_hip", "left_knee", "left_ankle", "left_foot", "left_shoulder", "left_elbow", "left_wrist")
SUM_WEIGHT = 90.0  # of the equation Σw = 1 beside 1200 equations in metres
RIDGE = 0.15  # spreads the weight over more vertices
NEGLIGIBLE = 1e-3  # of the largest weight of the row

# SPIN's row order (J_regressor_h36m.npy): LEFT leg at rows 1-3, LEFT arm at 11-13. Human3.6M's own order has the right
# leg first: a common trap, so a test checks the sides of the packaged file. Rows 8 and 10 are often called neck and
# head top; what Human3.6M's markers mean there are SPIN's joints Thorax and Head.
H36M_ROWS = (
    "pelvis",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_hip",
    "right_knee",
    "right_ankle",
    "spine",
    "thorax",
    "jaw",
    "head",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
)
EXTRA_ROWS = ("right_hip", "left_hip", "neck", "head_top", "pelvis", "thorax", "spine", "jaw", "head")


def _directions() -> Floats:
    """(26, 3) unit vectors to the neighbours in a cube."""
    cube = np.array([d for d in itertools.product((-1, 0, 1), repeat=3) if any(d)], float)
    return cube / np.linalg.norm(cube, axis=1, keepdims=True)


def candidate_vertices(points: Floats, joint: Floats, allowed: Bools) -> Ints:
    """Sorted vertices of (V, 3) that may carry a joint: the nearest ones in each direction around it."""
    offset = points - joint
    distance = np.linalg.norm(offset, axis=1)
    nearest_direction = (offset @ _directions().T).argmax(1)
    allowed = allowed & (distance < SEARCH_RADIUS)
    chosen: set[int] = set()
    for direction in range(26):
        index = np.flatnonzero(allowed & (nearest_direction == direction))
        chosen.update(index[np.argsort(distance[index])[:NEAREST_PER_DIRECTION]].tolist())
    return np.array(sorted(chosen))


def _convex_weights(vertices: Floats, targets: Floats) -> Floats:
    """Non-negative weights (C,) summing to 1 with Σ w·vertices (N, C, 3) ≈ targets (N, 3)."""
    count = vertices.shape[1]
    system = vertices.transpose(0, 2, 1).reshape(-1, count)
    system = np.vstack([system, SUM_WEIGHT * np.ones((1, count)), RIDGE * np.eye(count)])
    weights, _ = nnls(system, np.r_[targets.reshape(-1), SUM_WEIGHT, np.zeros(count)], maxiter=20000)
    weights[weights < NEGLIGIBLE * weights.max()] = 0
    return weights / weights.sum()


def fit_joint_regressor(vertices: Floats, joints: Floats, mirror: Ints) -> Floats:
    """(24, 6890) regressor from T-posed vertices (N, 6890, 3) and joints (N, 24, 3), left-right symmetric."""
    mean_vertices, mean_joints = vertices.mean(0), joints.mean(0)
    limbs = {JOINT[name] for name in LEFT_LIMBS} | {JOINT["left_hand"]}
    regressor = np.zeros((JOINT_COUNT, VERTEX_COUNT))
    for joint in range(JOINT_COUNT):
        other = MIRROR_JOINTS[joint]
        if other < joint:
            continue  # the right side is the left one mirrored
        allowed = mean_vertices[:, 0] > RIGHT_OF_LIMB if joint in limbs else np.ones(VERTEX_COUNT, bool)
        chosen = candidate_vertices(mean_vertices, mean_joints[joint], allowed)
        if other == joint:
            chosen = np.unique(np.r_[chosen, mirror[chosen]])
        regressor[joint, chosen] = _convex_weights(vertices[:, chosen], joints[:, joint])
        if other == joint:
            regressor[joint] = (regressor[joint] + regressor[joint][mirror]) / 2
        else:
            regressor[other] = regressor[joint][mirror]
    return regressor


def _one_hot(vertex: int) -> Floats:
    return np.eye(1, VERTEX_COUNT, vertex)[0]


def composed_joints(regressor: Floats, template: Floats) -> dict[str, Floats]:
    """Every joint that ``EXTRA_ROWS`` and ``H36M_ROWS`` name, from the 24 joints and a few surface points.

    Args:
        regressor: (24, 6890). template: (6890, 3) neutral body, metres.

    Returns:
        Name → row (6890,).
    """
    smpl = {name: regressor[index] for name, index in JOINT.items()}
    nose, crown = LANDMARK_SLOTS["nose"], LANDMARK_SLOTS["crown"]
    x, y, z = template.T
    below_nose = y[nose] - y
    chin_area = (np.abs(x) < 1e-6) & (below_nose > 0.04) & (below_nose < 0.09)  # midline, 4 to 9 cm below the nose
    chin = _one_hot(int(np.argmax(np.where(chin_area, z, -np.inf))))
    hip_level = np.abs(y - (regressor @ template)[JOINT["left_hip"], 1]) < 0.03

    def hip(side: str, sign: float) -> Floats:
        """Annotators mark hips wider than SMPL's joints: a fifth of the way to the side of the body."""
        flank = _one_hot(int(np.argmax(np.where(hip_level, sign * x, -np.inf))))
        return 0.8 * smpl[f"{side}_hip"] + 0.2 * flank

    collars = (smpl["left_collar"] + smpl["right_collar"]) / 2
    limbs = [f"{s}_{j}" for s in ("left", "right") for j in ("knee", "ankle", "shoulder", "elbow", "wrist")]
    return {name: smpl[name] for name in limbs} | {
        "left_hip": hip("left", 1.0),
        "right_hip": hip("right", -1.0),
        "pelvis": 0.5 * smpl["pelvis"] + 0.25 * (smpl["left_hip"] + smpl["right_hip"]),
        "spine": smpl["spine2"],
        "neck": 0.55 * smpl["neck"] + 0.45 * collars,
        "thorax": 0.7 * collars + 0.3 * smpl["neck"],
        "jaw": 0.5 * smpl["head"] + 0.25 * chin + 0.25 * _one_hot(nose),
        "head": 0.5 * smpl["head"] + 0.5 * _one_hot(crown),
        "head_top": _one_hot(crown),
    }


def extra_joints(regressor: Floats, template: Floats) -> Floats:
    """(9, 6890) SPIN's extra joints, in the order of ``EXTRA_ROWS``."""
    rows = composed_joints(regressor, template)
    return np.stack([rows[name] for name in EXTRA_ROWS])


def h36m_joints(regressor: Floats, template: Floats) -> Floats:
    """(17, 6890) Human3.6M's joints, in the order of ``H36M_ROWS``."""
    rows = composed_joints(regressor, template)
    return np.stack([rows[name] for name in H36M_ROWS])

"""Joint sets: names, left-right pairs and the index tables between the orders that public code uses.

Only tables and look-ups; no geometry. Used wherever a column of joints or keypoints has to be named, mirrored or
translated. Sources: SMPL (kinematic tree), SPIN ``constants.py`` (J24, J14, J17, J19, H36M), COCO (17 keypoints).
"""

from __future__ import annotations

from dataclasses import dataclass

from hmrtk.toolkit.errors import UnknownNameError

SMPL_NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand",
    "right_hand",
)  # fmt: skip
"""SMPL's 24 joints."""

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""SMPL's kinematic tree: parent of each joint, -1 for the root."""

SPIN24_NAMES = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck_lsp", "head_top_lsp", "pelvis_mpii",
    "thorax_mpii", "spine_h36m", "jaw_h36m", "head_h36m", "nose", "left_eye", "right_eye", "left_ear", "right_ear",
)  # fmt: skip
"""SPIN's superset "J24" (the last 24 of its 49 joints)."""

EXTRA9_NAMES = (
    "right_hip", "left_hip", "neck_lsp", "head_top_lsp", "pelvis_mpii", "thorax_mpii", "spine_h36m", "jaw_h36m",
    "head_h36m",
)  # fmt: skip
"""Rows of SPIN's ``J_regressor_extra.npy``."""

H36M17_NAMES = (
    "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "spine", "neck",
    "jaw", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
"""Rows of SPIN's ``J_regressor_h36m.npy``: LEFT leg at rows 1-3 (Human3.6M's own order has the right leg there)."""

COCO17_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip

SMPL_FLIP = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)
SPIN24_FLIP = (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 15, 16, 17, 18, 19, 21, 20, 23, 22)

SPIN24_FROM_SMPL = {0: 8, 1: 5, 4: 4, 5: 7, 6: 21, 7: 19, 8: 17, 9: 16, 10: 18, 11: 20}
"""``spin24`` slots that are posed SMPL joints: slot → SMPL joint (ankles, knees, wrists, elbows, shoulders)."""

SPIN24_FROM_EXTRA9 = {2: 0, 3: 1, 12: 2, 13: 3, 14: 4, 15: 5, 16: 6, 17: 7, 18: 8}
"""``spin24`` slots that are regressed from vertices: slot → row of ``J_regressor_extra``."""

SPIN24_FROM_VERTEX = {19: 332, 20: 2800, 21: 6260, 22: 583, 23: 4071}
"""``spin24`` slots that are single vertices (nose, eyes, ears): slot → vertex of the SMPL topology."""

H36M_TO_J17 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9)
H36M_TO_J14 = H36M_TO_J17[:14]
J24_TO_J17 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 18, 14, 16, 17)
J24_TO_J14 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 18)
J24_TO_LSP14 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
J24_TO_J19 = (*J24_TO_J14, 19, 20, 21, 22, 23)
J24_TO_COCO17 = (19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0)
"""Index tables: ``joints_b = joints_a[..., A_TO_B, :]``. J14's last joint is Human3.6M's head, LSP14's the head top."""


@dataclass(frozen=True)
class JointSet:
    """A named, ordered set of joints.

    Attributes:
        name: e.g. ``"spin24"``.
        joints: the joints' names, in order.
        flip: permutation that exchanges left and right: ``mirrored = joints[..., flip, :]`` (then x is negated).
    """

    name: str
    joints: tuple[str, ...]
    flip: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint.

        Raises:
            UnknownNameError: not in this set; the known names are listed.
        """
        if joint not in self.joints:
            raise UnknownNameError(f"joint of {self.name}", joint, self.joints)
        return self.joints.index(joint)


def flip_permutation(joints: tuple[str, ...]) -> tuple[int, ...]:
    """The permutation that exchanges ``left_…`` and ``right_…`` names and keeps the others."""
    swap = {"left_": "right_", "right_": "left_"}
    other = [next((swap[s] + n.removeprefix(s) for s in swap if n.startswith(s)), n) for n in joints]
    return tuple(joints.index(n) for n in other)


def _spin_subset(indices: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(SPIN24_NAMES[i] for i in indices)


_NAMES = {
    "smpl24": SMPL_NAMES,
    "spin24": SPIN24_NAMES,
    "extra9": EXTRA9_NAMES,
    "h36m17": H36M17_NAMES,
    "lsp14": _spin_subset(J24_TO_LSP14),
    "j14": _spin_subset(J24_TO_J14),
    "j17": _spin_subset(J24_TO_J17),
    "j19": _spin_subset(J24_TO_J19),
    "coco17": COCO17_NAMES,
}
_SETS = {name: JointSet(name, joints, flip_permutation(joints)) for name, joints in _NAMES.items()}

FROM_SPIN24 = {
    "spin24": tuple(range(24)),
    "lsp14": J24_TO_LSP14,
    "j14": J24_TO_J14,
    "j17": J24_TO_J17,
    "j19": J24_TO_J19,
    "coco17": J24_TO_COCO17,
}
"""Joint sets that are selections of ``spin24``: name → indices."""

FROM_H36M17 = {"h36m17": tuple(range(17)), "j14": H36M_TO_J14, "j17": H36M_TO_J17}
"""Joint sets that are selections of ``h36m17``: name → indices."""


def joint_set(name: str) -> JointSet:
    """A joint set by name.

    Raises:
        UnknownNameError: the message lists the known sets.
    """
    if name not in _SETS:
        raise UnknownNameError("joint set", name, _SETS)
    return _SETS[name]


def joint_set_names() -> tuple[str, ...]:
    """The known joint sets."""
    return tuple(_SETS)

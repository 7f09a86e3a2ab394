"""Names of known source skeletons: which source joint drives which of SMPL's 24, and where the T-pose is found.

Only tables and the choice between them; ``retarget`` does the geometry. A joint may go by several names; matching
ignores case and a prefix that ends in a colon (``mixamorig:Hips``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hmrtk.toolkit.body.joints import SMPL_NAMES
from hmrtk.toolkit.errors import InputError

REQUIRED = (
    "pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow",
)  # fmt: skip
"""Without these a skeleton cannot drive a body; any other follows its parent, or lies between its neighbours."""


@dataclass(frozen=True)
class SkeletonNames:
    """One naming scheme.

    Attributes:
        name: what we call it.
        joints: SMPL joint → source joint names, any of which may occur. A bone is named by its upper joint.
        first_frame: where the recording starts with a T-pose, that is the reference and not the rest pose.
        is_smpl: the rest pose is SMPL's own, to be taken as it is.
    """

    name: str
    joints: dict[str, tuple[str, ...]]
    first_frame: bool = False
    is_smpl: bool = False


def _sided(middle: dict[str, str], left_right: dict[str, str], left: str, right: str) -> dict[str, tuple[str, ...]]:
    """Expand ``{"hip": "{}UpLeg|{}Thigh"}`` for both sides; alternatives are separated by ``|``."""
    joints = {joint: tuple(names.split("|")) for joint, names in middle.items()}
    for joint, pattern in left_right.items():
        for side, prefix in (("left", left), ("right", right)):
            joints[f"{side}_{joint}"] = tuple(pattern.replace("{}", prefix).split("|"))
    return joints


_BIPED = {
    "hip": "{}UpLeg", "knee": "{}Leg", "ankle": "{}Foot", "foot": "{}ToeBase|{}Toe", "collar": "{}Shoulder",
    "shoulder": "{}Arm", "elbow": "{}ForeArm", "wrist": "{}Hand",
}  # fmt: skip
_CMU = _BIPED | {"wrist": "{}FingerBase|{}Hand"}
"""The CMU recordings' own hand bone, not the wrist before it."""
_SMPL_SIDED = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist", "hand")
_SMPL_MIDDLE = {name: name for name in SMPL_NAMES if "_" not in name}

SKELETONS = (
    SkeletonNames(  # the T-pose in front of each recording lifts the arms by 8° and nods: the rest pose is better
        "CMU (MotionBuilder)",
        _sided(
            {"pelvis": "Hips", "spine1": "LowerBack", "spine2": "Spine", "spine3": "Spine1", "neck": "Neck1|Neck",
             "head": "Head"},
            _CMU, "Left", "Right",
        ),
    ),
    SkeletonNames(
        "Mixamo",
        _sided(
            {"pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck",
             "head": "Head"},
            _BIPED, "Left", "Right",
        ),
    ),
    SkeletonNames(
        "3ds Max",
        _sided(
            {"pelvis": "Hips", "spine1": "LowerBack", "spine2": "Chest", "spine3": "Chest2", "neck": "Neck",
             "head": "Head"},
            {"hip": "{}Hip", "knee": "{}Knee", "ankle": "{}Ankle", "foot": "{}Toe", "collar": "{}Collar",
             "shoulder": "{}Shoulder", "elbow": "{}Elbow", "wrist": "{}Wrist"},
            "Left", "Right",
        ),
    ),
    SkeletonNames(
        "DAZ",
        _sided(
            {"pelvis": "hip", "spine1": "abdomen", "spine3": "chest", "neck": "neck", "head": "head"},
            {"hip": "{}Thigh", "knee": "{}Shin", "ankle": "{}Foot", "collar": "{}Collar", "shoulder": "{}Shldr",
             "elbow": "{}ForeArm", "wrist": "{}Hand"},
            "l", "r",
        ),
        first_frame=True,
    ),
    SkeletonNames(  # the neck is left out: NeckTwist01 is no T-pose-stable bone, it lies between chest and head
        "Character Creator",
        _sided(
            {"pelvis": "CC_Base_Hip", "spine1": "CC_Base_Waist", "spine2": "CC_Base_Spine01",
             "spine3": "CC_Base_Spine02", "head": "CC_Base_Head"},
            {"hip": "CC_Base_{}_Thigh", "knee": "CC_Base_{}_Calf", "ankle": "CC_Base_{}_Foot",
             "foot": "CC_Base_{}_ToeBase", "collar": "CC_Base_{}_Clavicle", "shoulder": "CC_Base_{}_Upperarm",
             "elbow": "CC_Base_{}_Forearm", "wrist": "CC_Base_{}_Hand"},
            "L", "R",
        ),
        first_frame=True,
    ),
    SkeletonNames(
        "ASF (CMU)",
        _sided(
            {"pelvis": "root", "spine1": "lowerback", "spine2": "upperback", "spine3": "thorax",
             "neck": "upperneck|lowerneck", "head": "head"},
            {"hip": "{}femur", "knee": "{}tibia", "ankle": "{}foot", "foot": "{}toes", "collar": "{}clavicle",
             "shoulder": "{}humerus", "elbow": "{}radius", "wrist": "{}hand|{}wrist"},
            "l", "r",
        ),
    ),
    SkeletonNames("SMPL", _sided(_SMPL_MIDDLE, {n: f"{{}}_{n}" for n in _SMPL_SIDED}, "left", "right"), is_smpl=True),
    SkeletonNames("SMPL (L_, R_)", _sided(_SMPL_MIDDLE, {n: f"{{}}_{n}" for n in _SMPL_SIDED}, "L", "R"), is_smpl=True),
)  # fmt: skip


def match_skeleton(found: Sequence[str], place: str) -> tuple[SkeletonNames, dict[str, int]]:
    """The naming scheme that explains most of the joints ``found``, and SMPL joint → index into ``found``.

    Raises:
        InputError: no scheme has all ``REQUIRED`` joints; lists what was found and what the nearest scheme looks for.
    """
    index: dict[str, int] = {}
    for i, name in enumerate(found):
        index.setdefault(name.rsplit(":", 1)[-1].lower(), i)
    matches = []
    for scheme in SKELETONS:
        hits = {}
        for joint, names in scheme.joints.items():
            present = [index[name.lower()] for name in names if name.lower() in index]
            if present:
                hits[joint] = present[0]
        matches.append((sum(joint in hits for joint in REQUIRED), len(hits), scheme, hits))
    required, _, scheme, hits = max(matches, key=lambda match: match[:2])
    if required < len(REQUIRED):
        wanted = ", ".join("|".join(scheme.joints[joint]) for joint in REQUIRED if joint not in hits)
        known = ", ".join(s.name for s in SKELETONS)
        raise InputError(
            place,
            f"unknown skeleton: found joints {', '.join(found) or 'none'}; nearest is {scheme.name}, of which it "
            f"misses {wanted}",
            f"rename the joints to one of: {known}",
        )
    return scheme, hits

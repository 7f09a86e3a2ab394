"""``Protocol``: which joints, root, gender and alignment a number was measured with.

MPJPE and PVE of different repositories are not comparable, because each of these differs; so every number carries its
protocol. Metrics take one, reports print it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import FROM_H36M17, FROM_SPIN24
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.errors import InputError, UnknownNameError

_PELVIS = {"smpl24": (0,), "h36m17": (0,), "spin24": (14,)}
_HIPS = {"smpl24": (1, 2), "h36m17": (1, 4), "spin24": (2, 3)}
_SELECTIONS = {"smpl24": {"smpl24": tuple(range(24))}, "h36m17": FROM_H36M17, "spin24": FROM_SPIN24}


@dataclass(frozen=True)
class Protocol:
    """How bodies are compared.

    Attributes:
        name: shown with every number.
        joint_set: joints that are averaged over.
        regressor: where the joints come from: ``smpl24`` (posed SMPL joints), ``h36m17`` (regressed from the vertices),
            ``spin24`` (SMPL joints and the extra regressor).
        root: point that both bodies are moved to: ``pelvis`` (row 0 of smpl24 and h36m17, MPII's pelvis of spin24),
            ``hips`` (middle of the two hips), or ``none``.
        gender: model of the ground truth: ``neutral``; ``record`` (the record's gender, predictions neutral);
            ``record-both`` (the record's gender for both).
        vertex_alignment: before PVE: ``none`` (the bodies' own origins) or ``root`` (as the joints).
    """

    name: str
    joint_set: str
    regressor: Literal["smpl24", "h36m17", "spin24"]
    root: Literal["pelvis", "hips", "none"]
    gender: Literal["neutral", "record", "record-both"]
    vertex_alignment: Literal["none", "root"]

    def __post_init__(self) -> None:
        if self.regressor not in _SELECTIONS:
            raise UnknownNameError("regressor", self.regressor, _SELECTIONS)
        if self.joint_set not in _SELECTIONS[self.regressor]:
            raise UnknownNameError(f"joint set of {self.regressor}", self.joint_set, _SELECTIONS[self.regressor])
        for field, known in (
            ("root", ("pelvis", "hips", "none")),
            ("gender", ("neutral", "record", "record-both")),
            ("vertex_alignment", ("none", "root")),
        ):
            if getattr(self, field) not in known:
                raise UnknownNameError(field, getattr(self, field), known)

    @property
    def indices(self) -> tuple[int, ...]:
        """Rows of the regressor's joints that make up ``joint_set``."""
        return _SELECTIONS[self.regressor][self.joint_set]

    def joints(self, body: Body, model: BodyModel) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The protocol's joints (N, J, 3) and root (N, 3) of posed bodies, metres."""
        if self.regressor == "smpl24":
            everything = body.joints
        elif self.regressor == "h36m17":
            everything = model.regress(body.vertices, "h36m17")
        else:
            everything = model.spin24(body)
        root = np.zeros((len(everything), 3))
        if self.root != "none":
            rows = (_PELVIS if self.root == "pelvis" else _HIPS)[self.regressor]
            root = everything[:, list(rows)].astype(np.float64).mean(axis=1)
        return everything[:, list(self.indices)], root

    def describe(self) -> str:
        """One sentence for captions."""
        root = {"pelvis": "moved to the pelvis", "hips": "moved to the middle of the hips", "none": "not moved"}[
            self.root
        ]
        vertices = {"none": "not aligned", "root": "moved to the same root"}[self.vertex_alignment]
        gender = {
            "neutral": "neutral ground truth",
            "record": "ground truth of the record's gender, neutral predictions",
            "record-both": "ground truth and predictions of the record's gender",
        }[self.gender]
        source = self.joint_set if self.joint_set == self.regressor else f"{self.joint_set} from {self.regressor}"
        return f"Protocol {self.name}: {len(self.indices)} joints ({source}), {root}; vertices {vertices}; {gender}."

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


DEFAULT = Protocol("hmrtk", "smpl24", "smpl24", "pelvis", "neutral", "root")
"""SMPL's own joints, everything moved to the pelvis: needs no file but the body."""

PROTOCOLS = {
    p.name: p
    for p in (
        DEFAULT,
        Protocol("spin", "j14", "h36m17", "pelvis", "record", "none"),  # SPIN, DaNet, PyMAF eval.py on 3DPW
        Protocol("vibe", "j14", "h36m17", "hips", "neutral", "none"),
        Protocol("decomr", "j14", "spin24", "hips", "record", "root"),
        Protocol("mmhuman3d", "j14", "h36m17", "pelvis", "record-both", "none"),
        Protocol("4dhumans", "j14", "spin24", "pelvis", "record", "root"),  # pelvis = keypoint 39 = 25 + 14
        Protocol("bedlam", "j14", "h36m17", "pelvis", "record", "root"),  # as on 3DPW; Human3.6M uses the hips there
    )
}


def protocol(name: str) -> Protocol:
    """A ready protocol by name.

    Raises:
        UnknownNameError: the message lists the known ones.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def require_gender(protocol: Protocol, genders: set[str], known: set[str]) -> None:
    """Refuse when the ground truth needs a gendered body that was not given.

    Raises:
        InputError: naming the genders that are missing.
    """
    missing = sorted(genders - known)
    if missing:
        raise InputError(
            f"protocol {protocol.name}",
            f"needs the {', '.join(missing)} body of the ground truth",
            "pass a folder with gendered bodies as --body, or choose a protocol with neutral ground truth",
        )

"""``Protocol``: which rows, joints, root, gender and alignment a number was measured with.

MPJPE and PVE of different repositories are not comparable, because each of these differs; so every number carries its
protocol. Metrics take one, reports print it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import FROM_H36M17, FROM_SPIN24, JointSet, joint_set
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.table import RecordTable

FRONTAL_CAMERA = "60457274"
"""The only camera of Human3.6M's "protocol 2"."""

_PELVIS = {"smpl24": (0,), "h36m17": (0,), "spin24": (14,)}
_HIPS = {"smpl24": (1, 2), "h36m17": (1, 4), "spin24": (2, 3)}
_SELECTIONS = {"smpl24": {"smpl24": tuple(range(24))}, "h36m17": FROM_H36M17, "spin24": FROM_SPIN24}
_ROOTS = {"pelvis": "moved to the pelvis", "hips": "moved to the middle of the hips", "none": "not moved"}
_ALIGNMENTS = {"none": "not aligned", "root": "moved to the same root"}
_GENDERS = {
    "neutral": "neutral ground truth",
    "record": "ground truth of the record's gender, neutral predictions",
    "record-both": "ground truth and predictions of the record's gender",
}
_TRUTHS = {"body": "", "annotated": ", against annotated joints"}


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
        truth: true joints are the record's ``body``'s, or the ``annotated`` ones of its ``joints3d``; PVE needs bodies
            either way.
        camera: only rows of this ``camera_id`` count; None: of every camera.
        frame_step: only rows whose ``frame`` is a multiple of this count.
        note: what else one has to know to compare numbers.
    """

    name: str
    joint_set: str
    regressor: Literal["smpl24", "h36m17", "spin24"]
    root: Literal["pelvis", "hips", "none"]
    gender: Literal["neutral", "record", "record-both"]
    vertex_alignment: Literal["none", "root"]
    truth: Literal["body", "annotated"] = "body"
    camera: str | None = None
    frame_step: int = 1
    note: str = ""

    def __post_init__(self) -> None:
        if self.regressor not in _SELECTIONS:
            raise UnknownNameError("regressor", self.regressor, _SELECTIONS)
        if self.joint_set not in _SELECTIONS[self.regressor]:
            raise UnknownNameError(f"joint set of {self.regressor}", self.joint_set, _SELECTIONS[self.regressor])
        if self.truth == "annotated" and self.joint_set not in FROM_SPIN24:
            raise UnknownNameError("joint set of annotated joints", self.joint_set, FROM_SPIN24)
        for field, known in (
            ("root", _ROOTS), ("gender", _GENDERS), ("vertex_alignment", _ALIGNMENTS), ("truth", _TRUTHS),
        ):  # fmt: skip
            if getattr(self, field) not in known:
                raise UnknownNameError(field, getattr(self, field), known)

    @property
    def indices(self) -> tuple[int, ...]:
        """Rows of the regressor's joints that make up ``joint_set``."""
        return _SELECTIONS[self.regressor][self.joint_set]

    @property
    def joint_names(self) -> JointSet:
        """The joints that are averaged over, by name."""
        return joint_set(self.joint_set)

    def joints(self, body: Body, model: BodyModel) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The protocol's joints (N, J, 3) and root (N, 3) of posed bodies, metres."""
        if self.regressor == "smpl24":
            everything = body.joints
        elif self.regressor == "h36m17":
            everything = model.regress(body.vertices, "h36m17")
        else:
            everything = model.spin24(body)
        return everything[:, list(self.indices)], self._root(everything, self.regressor)

    def annotated(self, joints3d: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The protocol's joints (N, J, 3) and root (N, 3), metres, of annotated joints (N, 24, 4) in ``spin24``."""
        everything = joints3d[..., :3]
        return everything[:, list(FROM_SPIN24[self.joint_set])], self._root(everything, "spin24")

    def needed(self) -> tuple[int, ...]:
        """Rows of annotated ``spin24`` joints without which a sample cannot be compared: joints and root."""
        root = () if self.root == "none" else (_PELVIS if self.root == "pelvis" else _HIPS)["spin24"]
        return tuple(sorted({*FROM_SPIN24[self.joint_set], *root}))

    def _root(self, joints: NDArray[np.float32], regressor: str) -> NDArray[np.float64]:
        if self.root == "none":
            return np.zeros((len(joints), 3))
        rows = (_PELVIS if self.root == "pelvis" else _HIPS)[regressor]
        return np.asarray(joints[:, list(rows)].astype(np.float64).mean(axis=1))

    def rows(self, records: RecordTable) -> NDArray[np.int64]:
        """The rows that count: of the camera and frames, and with the ground truth that is compared against.

        Raises:
            InputError: there is none; says which condition left none.
        """
        column = BODY_COLUMNS if self.truth == "body" else ("joints3d",)
        steps = [(records.has(*column), f"no row has {'body parameters' if self.truth == 'body' else 'joints3d'}")]
        if self.camera is not None:
            steps.append((records.array("camera_id") == self.camera, f"no such row is of camera {self.camera}"))
        if self.frame_step > 1:
            frame = np.nan_to_num(records.array("frame").astype(np.float64), nan=0.5)
            steps.append((frame % self.frame_step == 0, f"no such row's frame is a multiple of {self.frame_step}"))
        keep = np.ones(len(records), bool)
        for having, problem in steps:
            keep &= having
            if not keep.any():
                raise InputError(records.place, f"{problem}, which protocol {self.name} needs")
        return np.flatnonzero(keep)

    def describe(self) -> str:
        """One sentence for captions."""
        source = self.joint_set if self.joint_set == self.regressor else f"{self.joint_set} from {self.regressor}"
        joints = f"{len(self.indices)} joints ({source}){_TRUTHS[self.truth]}, {_ROOTS[self.root]}"
        chosen = f"; camera {self.camera} only" if self.camera else ""
        chosen += f"; every {self.frame_step}th frame" if self.frame_step > 1 else ""
        vertices = f"vertices {_ALIGNMENTS[self.vertex_alignment]}"
        note = f" {self.note}." if self.note else ""
        return f"Protocol {self.name}: {joints}; {vertices}; {_GENDERS[self.gender]}{chosen}.{note}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


DEFAULT = Protocol("hmrtk", "smpl24", "smpl24", "pelvis", "neutral", "root")
"""SMPL's own joints, everything moved to the pelvis: needs no file but the body."""

_LIKE_SPIN = "Joints and alignment are SPIN's, whose numbers PM-Net compares with: the paper does not say its own"
_EVERY_64TH = "Needs records of every frame: the readers' every fifth keeps one in 320"
_ONE_SKELETON = (
    "The test set's joints (univ_annot3) are scaled to one skeleton for everybody and predictions are not, so a "
    "person's own size counts as error"
)

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
        Protocol("hybrik", "j14", "h36m17", "pelvis", "neutral", "none"),
        Protocol("wham", "j14", "h36m17", "hips", "record", "root"),  # WHAM, GVHMR
        Protocol("pmnet", "j14", "h36m17", "pelvis", "record", "none", note=_LIKE_SPIN),
        Protocol("spin-h36m-p1", "j14", "h36m17", "pelvis", "neutral", "none", "annotated"),
        Protocol("spin-h36m-p2", "j14", "h36m17", "pelvis", "neutral", "none", "annotated", FRONTAL_CAMERA),
        Protocol(
            "pmnet-h36m-p2", "j14", "h36m17", "pelvis", "neutral", "none", "annotated", FRONTAL_CAMERA, note=_LIKE_SPIN
        ),
        Protocol("vibe-h36m-p2", "j14", "h36m17", "hips", "neutral", "none", "annotated", FRONTAL_CAMERA),
        Protocol("decomr-h36m-p2", "j14", "spin24", "hips", "neutral", "root", "annotated", FRONTAL_CAMERA),
        Protocol(
            "i2l-h36m-p2", "j14", "h36m17", "pelvis", "neutral", "none", "annotated", FRONTAL_CAMERA, 64, _EVERY_64TH
        ),
        # SPIN, DaNet, PyMAF, and mmhuman3d's PCK and AUC: 17 joints. The data set's own tool takes those two over 14.
        Protocol("mpi-inf-3dhp", "j17", "h36m17", "pelvis", "neutral", "none", "annotated", note=_ONE_SKELETON),
        Protocol("mpi-inf-3dhp-14", "j14", "h36m17", "pelvis", "neutral", "none", "annotated", note=_ONE_SKELETON),
        Protocol("decomr-mpi-inf-3dhp", "j17", "spin24", "hips", "neutral", "none", "annotated", note=_ONE_SKELETON),
    )
}
"""Ready protocols. A name without a data set is that of 3DPW, and of every data set whose truth is bodies."""


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

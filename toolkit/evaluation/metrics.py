"""Predictions against records under a protocol: ``evaluate`` → ``Errors``, millimetres, one value per sample.

Bodies are posed in a stream and compared at once, so vertices are never all in memory. Reports and the ``evaluate``
command call this; the formulas are those of ``formulas``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.devices import BulkPoser, poser_for
from hmrtk.toolkit.body.gendered import GenderedBody
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.evaluation.formulas import auc, joint_errors, mpjpe, pa_joint_errors, pa_mpjpe, pck, pve
from hmrtk.toolkit.evaluation.motion import acceleration_of
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.evaluation.protocols import DEFAULT, Protocol, require_gender
from hmrtk.toolkit.evaluation.surface import SurfaceErrors
from hmrtk.toolkit.progress import Progress, silent
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.table import RecordTable

__all__ = [
    "BASIC", "CHUNK", "EXTRA", "BodyOfGender", "Errors", "evaluate",
    "joint_errors", "mpjpe", "pa_joint_errors", "pa_mpjpe", "pve",
]  # fmt: skip

CHUNK = 256
BASIC = ("mpjpe", "pa_mpjpe", "pve")
EXTRA = ("pa_pve", "pve_s", "pve_p", "acceleration", "surface")
"""What ``evaluate`` measures only when asked, since it costs more posing or memory."""

BodyOfGender = Callable[[str], BodyModel]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of N samples under one protocol, millimetres. What was not measured is None, or NaN in a sample's row.

    Attributes:
        protocol: how they were measured.
        mpjpe, pa_mpjpe, pve: (N,) float64. PVE is also called MPVPE; NaN without a true body.
        joints: (N, J) float64, each joint's error before Procrustes alignment; MPJPE is its mean.
        pa_joints: (N, J) float64, the same after alignment; PA-MPJPE is its mean.
        pa_pve: (N,) PVE after Procrustes alignment of the vertices.
        pve_s: (N,) PVE of both shapes in the rest pose, all rotations zero (DaNet §5.2); roots as in the protocol.
        pve_p: (N,) PVE of both poses with zero betas (DaNet §5.2).
        acceleration: (N,) of the joints, mm per squared frame (VIBE §4); NaN where a neighbouring frame is missing.
        surface: mean error of every vertex (DaNet Fig. 14), under the protocol's alignment.
    """

    protocol: Protocol
    mpjpe: NDArray[np.float64]
    pa_mpjpe: NDArray[np.float64]
    pve: NDArray[np.float64]
    joints: NDArray[np.float64]
    pa_joints: NDArray[np.float64]
    pa_pve: NDArray[np.float64] | None = None
    pve_s: NDArray[np.float64] | None = None
    pve_p: NDArray[np.float64] | None = None
    acceleration: NDArray[np.float64] | None = None
    surface: SurfaceErrors | None = None

    def __len__(self) -> int:
        return len(self.mpjpe)

    @property
    def pck(self) -> NDArray[np.float64]:
        """(N,) per cent of the joints nearer than 150 mm (MPI-INF-3DHP)."""
        return 100 * pck(self.joints)

    @property
    def auc(self) -> NDArray[np.float64]:
        """(N,) per cent, area under the PCK curve from 0 to 150 mm (MPI-INF-3DHP)."""
        return 100 * auc(self.joints)

    @property
    def pa_pck(self) -> NDArray[np.float64]:
        """(N,) per cent, PCK after Procrustes alignment (mmhuman3d)."""
        return 100 * pck(self.pa_joints)

    @property
    def pa_auc(self) -> NDArray[np.float64]:
        """(N,) per cent, AUC after Procrustes alignment (mmhuman3d)."""
        return 100 * auc(self.pa_joints)

    def measured(self) -> tuple[str, ...]:
        """The metrics that have a value for some sample, those of joints and vertices first, then PCK and AUC."""
        named = (*BASIC, "pa_pve", "pve_s", "pve_p", "acceleration")
        values = {name: getattr(self, name) for name in named}
        found = [name for name, value in values.items() if value is not None and np.isfinite(value).any()]
        return (*found, "pck", "auc", "pa_pck", "pa_auc")

    def summary(self, rows: Array | None = None, metrics: Sequence[str] = BASIC) -> dict[str, float]:
        """Means over all samples or those of an index, leaving out NaN: ``{"mpjpe": mm, "pa_mpjpe": mm, "pve": mm}``.

        A metric of which the index has no value is NaN.
        """
        return {name: _mean(getattr(self, name)[slice(None) if rows is None else rows]) for name in metrics}

    def per_joint(self, rows: Array | None = None) -> dict[str, tuple[float, float]]:
        """joint → (MPJPE, PA-MPJPE) of it alone, mm, over all samples or those of an index."""
        every = slice(None) if rows is None else rows
        plain, aligned = self.joints[every].mean(axis=0), self.pa_joints[every].mean(axis=0)
        names = self.protocol.joint_names.joints
        return {name: (float(a), float(b)) for name, a, b in zip(names, plain, aligned, strict=True)}

    @classmethod
    def concatenate(cls, parts: Sequence[Errors]) -> Errors:
        """The errors of all samples from those of several workers, in order.

        Raises:
            InputError: parts of different protocols, or not all with the same metrics.
        """
        first = parts[0]
        joined: dict[str, Any] = {}
        for part in parts:
            if part.protocol != first.protocol:
                raise InputError("errors", f"of protocol {part.protocol.name} and {first.protocol.name} do not mix")
        for field in fields(cls)[1:]:
            values = [getattr(part, field.name) for part in parts]
            if len({value is None for value in values}) > 1:
                raise InputError("errors", f"{field.name} was measured in some of {len(parts)} parts only")
            if values[0] is not None:
                joined[field.name] = sum(values[1:], values[0]) if field.name == "surface" else np.concatenate(values)
        return cls(first.protocol, **joined)


def evaluate(
    records: RecordTable,
    predictions: Predictions,
    body: BodyModel,
    protocol: Protocol = DEFAULT,
    body_of_gender: BodyOfGender | None = None,
    progress: Progress = silent,
    extra: Collection[str] = (),
    device: str = "cpu",
) -> Errors:
    """Compare predictions with the records' bodies, both without translation.

    Args:
        records: ground truth, every row with what the protocol compares against (``Protocol.rows``).
        predictions: exactly one for each record, in any order.
        body: the (neutral) body of the predictions.
        protocol: joints, root, gender and alignment.
        body_of_gender: gives the ground truth's body for ``male`` and ``female`` where the protocol asks for it.
        extra: of ``EXTRA``, what to measure beside the rest. PVE-S and PVE-P need predicted parameters, acceleration
            records with sequence and frame: without, they stay None or NaN.
        device: what poses bodies, as in ``body.devices``. On a GPU they differ by 2e-6 m; they are compared by the CPU.

    Raises:
        BodyMismatchError: records or predictions were made with another body.
        InputError: ids do not match, a record has no body or not the annotated joints, or a gendered body is missing.
        UnknownNameError: a name that is not in ``EXTRA``.
    """
    for name in extra:
        if name not in EXTRA:
            raise UnknownNameError("extra metric", name, EXTRA)
    records.require_body(body.fingerprint)
    predictions.require_body(body.fingerprint)
    matched = predictions.take(predictions.match(records))
    truth = _Truth(records, protocol)
    known = {"neutral": body}
    if body_of_gender is not None:
        known |= {g: body_of_gender(g) for g in set(truth.genders) - {"neutral"}}
    require_gender(protocol, set(truth.genders), set(known))
    posers = {model: poser_for(model, device) for model in known.values()}
    comparison = _Comparison(truth, matched, body, protocol, extra, posers)
    done, n = 0, len(records)
    for rows, truth_body in GenderedBody(known).groups(truth.genders, CHUNK):
        comparison.add(rows, truth_body)
        done += len(rows)
        progress(f"evaluate {predictions.metadata.system}", done, n)
    return comparison.errors(records)


class _Truth:
    """The records' side: bodies without translation, which rows have one, genders, and annotated joints."""

    def __init__(self, records: RecordTable, protocol: Protocol) -> None:
        self.has_body = records.has(*BODY_COLUMNS)
        self.joints3d = None
        if protocol.truth == "annotated":
            self.joints3d = _annotated(records, protocol)
            self.parameters = _some_bodies(records, self.has_body)
        else:
            self.parameters = _without_translation(records.parameters())
        named = records.array("gender") if protocol.gender != "neutral" else [None] * len(records)
        self.genders = np.array([g or "neutral" for g in named], object)


class _Comparison:
    """The errors so far: ``add`` fills in some rows."""

    def __init__(
        self,
        truth: _Truth,
        predictions: Predictions,
        body: BodyModel,
        protocol: Protocol,
        extra: Collection[str],
        posers: Mapping[BodyModel, BulkPoser],
    ) -> None:
        self.posers = posers
        n, joints = len(predictions), len(protocol.indices)
        self.truth, self.predictions, self.body, self.protocol = truth, predictions, body, protocol
        self.joints, self.pa_joints = np.empty((n, joints)), np.empty((n, joints))
        self.offsets = np.empty((n, joints, 3)) if "acceleration" in extra else None
        bodies = ("pa_pve", *(("pve_s", "pve_p") if predictions.parameters is not None else ()))
        chosen = ("pve", *(name for name in bodies if name in extra))
        self.vertex_errors: dict[str, Any] = {name: np.full(n, np.nan) for name in chosen}
        self.surface = SurfaceErrors() if "surface" in extra else None

    def add(self, rows: Array, truth_body: BodyModel) -> None:
        """Compare some rows, whose true bodies are of one gender."""
        body = truth_body if self.protocol.gender == "record-both" else self.body
        predictions, parameters = self.predictions.take(rows), self.truth.parameters[rows]
        predicted, truth = predictions.posed(body, self.posers[body]), self.posers[truth_body].pose(parameters)
        if predictions.parameters is None:  # then both sides' SMPL joints come from vertices: posed joints differ by mm
            truth = Body(truth.vertices, truth_body.regress(truth.vertices, "smpl24"))
        joints, root = self.protocol.joints(predicted, body)
        target, target_root = self.protocol.joints(truth, truth_body)
        self._compare_vertices(rows, predicted, truth, self._offset(root, target_root))
        if self.truth.joints3d is not None:
            target, target_root = self.protocol.annotated(self.truth.joints3d[rows])
        moved, goal = joints - root[:, None], target - target_root[:, None]  # float64
        self.joints[rows] = joint_errors(moved, goal)
        self.pa_joints[rows] = pa_joint_errors(moved, goal)
        if self.offsets is not None:
            self.offsets[rows] = moved - goal
        if predictions.parameters is not None:
            sides = (predictions.parameters, body, parameters, truth_body)
            self._compare_parts(rows, *sides)

    def errors(self, records: RecordTable) -> Errors:
        """What was measured; ``records`` say which frames follow each other."""
        acceleration = None if self.offsets is None else acceleration_of(records, self.offsets)
        return Errors(
            self.protocol,
            mpjpe=self.joints.mean(axis=1),
            pa_mpjpe=self.pa_joints.mean(axis=1),
            joints=self.joints,
            pa_joints=self.pa_joints,
            acceleration=acceleration,
            surface=self.surface,
            **self.vertex_errors,
        )

    def _offset(self, root: Array, target_root: Array) -> Array:
        return np.asarray(root - target_root if self.protocol.vertex_alignment == "root" else 0 * root)

    def _compare_vertices(self, rows: Array, predicted: Body, truth: Body, offset: Array) -> None:
        have = self.truth.has_body[rows]
        if not have.any():
            return
        whole = have.all()
        mine, theirs = (b.vertices if whole else b.vertices[have] for b in (predicted, truth))
        self.vertex_errors["pve"][rows[have]] = pve(mine, theirs, offset[have])
        if "pa_pve" in self.vertex_errors:
            self.vertex_errors["pa_pve"][rows[have]] = pa_mpjpe(mine, theirs)
        if self.surface is not None:
            self.surface.add(mine, theirs, offset[have])

    def _compare_parts(
        self, rows: Array, predicted: BodyParameters, body: BodyModel, truth: BodyParameters, truth_body: BodyModel
    ) -> None:
        have = self.truth.has_body[rows]
        for name, part in (("pve_s", _shape_only), ("pve_p", _pose_only)):
            if name in self.vertex_errors and have.any():
                mine = self.posers[body].pose(part(predicted[have]))
                theirs = self.posers[truth_body].pose(part(truth[have]))
                roots = self.protocol.joints(mine, body)[1], self.protocol.joints(theirs, truth_body)[1]
                self.vertex_errors[name][rows[have]] = pve(mine.vertices, theirs.vertices, self._offset(*roots))


def _annotated(records: RecordTable, protocol: Protocol) -> NDArray[np.float32]:
    """(N, 24, 4) ``joints3d`` in which every joint that the protocol needs is known."""
    joints = records.array("joints3d")
    needed = list(protocol.needed())
    known = (joints[:, needed, 3] > 0).all(axis=1)  # NaN, of a row without joints3d, is not
    if not known.all():
        row = int((~known).argmax())
        raise InputError(
            f"{records.place} row {row}",
            f"has no confident joints3d of all joints that protocol {protocol.name} compares",
            "leave the row out, or choose a protocol whose truth is bodies",
        )
    return np.asarray(joints)


def _some_bodies(records: RecordTable, has_body: Array) -> BodyParameters:
    """The bodies of the rows that have one, and the T-pose in the others' places."""
    parts = {name: np.nan_to_num(records.array(name)) for name in BODY_COLUMNS}
    return BodyParameters.of(*(np.where(has_body.reshape(-1, *[1] * (p.ndim - 1)), p, 0) for p in parts.values()))


def _without_translation(parameters: BodyParameters) -> BodyParameters:
    return parameters.replaced(transl=np.zeros_like(parameters.transl))


def _shape_only(parameters: BodyParameters) -> BodyParameters:
    rest = BodyParameters.zeros(len(parameters))
    return rest.replaced(betas=parameters.betas)


def _pose_only(parameters: BodyParameters) -> BodyParameters:
    return _without_translation(parameters.replaced(betas=np.zeros_like(parameters.betas)))


def _mean(values: Array) -> float:
    """Mean of the values that are not NaN; NaN when there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")

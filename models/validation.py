"""Validation while training: the errors of a network on a split, whole and on its tail.

In: a network and the batches of a split, not augmented. Out: millimetres under hmrtk's own protocol, and how well the
classifier chooses. The numbers that papers report come from ``evaluate`` and ``tail-report`` on saved predictions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hmrtk.models.batch import Batch
from hmrtk.models.hmr import HMR
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.metrics import mpjpe, pa_mpjpe, pve
from hmrtk.toolkit.evaluation.tail import tail_subset
from hmrtk.toolkit.geometry.rotation import rotmat_to_axis_angle

TAIL_PERCENT = 10.0
PICTURES = 16
"""Pictures kept of a validation: the first of so many batches."""


@dataclass(frozen=True, eq=False)
class Answers:
    """A network's answers about N rows.

    Attributes:
        names: ``sample_id`` of each.
        parameters: N bodies.
        camera: (N, 3) crop cameras.
        prototype: (N,) likeliest prototype; -1 without a classifier.
        truth: the rows' own bodies.
        has_body: (N,) rows that have one.
        label: (N,) the rows' prototypes, -1 where unknown.
        distance: (N,) metres to the singular prototype, NaN where unknown.
        truth_camera: (N, 3) the rows' crop cameras, zeros where there is none.
        pictured: (P,) a few of the rows, of which the picture is kept.
        pictures: (P, S, S, 3) uint8 what the network saw of them.
    """

    names: list[str]
    parameters: BodyParameters
    camera: NDArray[np.float32]
    prototype: NDArray[np.int64]
    truth: BodyParameters
    has_body: NDArray[np.bool_]
    label: NDArray[np.int64]
    distance: NDArray[np.float32]
    truth_camera: NDArray[np.float32]
    pictured: NDArray[np.int64]
    pictures: NDArray[np.uint8]


@torch.no_grad()
def answers(network: HMR, batches: Iterable[Batch], device: torch.device | str = "cpu") -> Answers:
    """Everything a network says about some batches.

    Args:
        network: in evaluation mode.
        batches: as they are read; moved to ``device`` one by one.

    Raises:
        InputError: there are no rows, or an answer is not finite (training diverged).
    """
    parts: list[dict[str, Any]] = []
    pictures: dict[int, NDArray[np.uint8]] = {}
    count = 0
    for given in batches:
        if len(pictures) < PICTURES:
            pictures[count] = given.image[0].permute(1, 2, 0).cpu().numpy().copy()
        count += len(given)
        batch = given.to(device)
        output = network(batch)
        choice = torch.full((len(batch),), -1) if output.logits is None else output.logits.argmax(dim=1)
        parts.append(
            {"rotmat": output.final.rotmat, "betas": output.final.betas, "camera": output.crop_camera,
             "prototype": choice, "truth": batch.rotmat, "truth_betas": batch.betas, "has_body": batch.has_body,
             "label": batch.label, "distance": batch.distance, "truth_camera": batch.camera, "names": batch.names}
        )  # fmt: skip
    if not parts:
        raise InputError("validation", "there are no rows to predict")
    names = [name for part in parts for name in part["names"]]
    joined = {key: torch.cat([part[key].float().cpu() for part in parts]).numpy() for key in parts[0] if key != "names"}
    numbers = np.concatenate([joined[key].reshape(len(names), -1) for key in ("rotmat", "betas", "camera")], axis=1)
    bad = ~np.isfinite(numbers).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"answer {row} ({names[row]})", "is not finite: training has diverged", "lower the learning rate"
        )
    return Answers(
        names,
        _bodies(joined["rotmat"], joined["betas"]),
        joined["camera"],
        joined["prototype"].astype(np.int64),
        _bodies(joined["truth"], joined["truth_betas"]),
        joined["has_body"] > 0,
        joined["label"].astype(np.int64),
        joined["distance"],
        joined["truth_camera"],
        np.array(list(pictures), np.int64),
        np.stack(list(pictures.values())),
    )


def errors(found: Answers, body: BodyModel) -> dict[str, float]:
    """Means in millimetres under the protocol ``hmrtk`` (SMPL's joints, all moved to the pelvis), whole and tail.

    Returns:
        ``mpjpe``, ``pa_mpjpe``, ``pve``; ``pve_tail`` of the T-10 % where distances are known; ``accuracy`` of the
        classifier where there is one, and ``accuracy_tail``.

    Raises:
        InputError: no row has a body.
    """
    rows = np.flatnonzero(found.has_body)
    if not len(rows):
        raise InputError("validation", "no row has a body to compare with")
    measured = body_errors(found.parameters[rows], found.truth[rows], body)
    values = {name: float(value.mean()) for name, value in measured.items()}
    distance, tail = found.distance[rows], None
    if np.isfinite(distance).all():
        tail = tail_subset(distance, TAIL_PERCENT)
        values["pve_tail"] = float(measured["pve"][tail].mean())
    chosen, label = found.prototype[rows], found.label[rows]
    if (chosen >= 0).all() and (label >= 0).any():
        right = (chosen == label)[label >= 0]
        values["accuracy"] = float(right.mean())
        if tail is not None and (label[tail] >= 0).any():
            values["accuracy_tail"] = float((chosen == label)[tail][label[tail] >= 0].mean())
    return values


def mean_body_errors(found: Answers, singular: BodyParameters, body: BodyModel) -> dict[str, float]:
    """What any training has to beat: the ``errors`` of always the mean body, and of always the most frequent prototype.

    The latter only where the answers have prototypes.
    """
    known = found.label[found.label >= 0]
    frequent = int(np.bincount(known).argmax()) if len(known) and (found.prototype >= 0).all() else -1
    count = len(found.names)
    same = replace(found, parameters=singular[np.zeros(count, np.int64)], prototype=np.full(count, frequent, np.int64))
    return errors(same, body)


def body_errors(found: BodyParameters, truth: BodyParameters, body: BodyModel, chunk: int = 256) -> dict[str, Any]:
    """``mpjpe``, ``pa_mpjpe`` and ``pve`` of N bodies against N others, all moved to the pelvis: (N,) mm each."""
    values = {name: np.empty(len(found)) for name in ("mpjpe", "pa_mpjpe", "pve")}
    for first in range(0, len(found), chunk):
        rows = slice(first, first + chunk)
        ours, theirs = body.pose(found[rows]), body.pose(truth[rows])
        roots = ours.joints[:, :1].astype(np.float64), theirs.joints[:, :1].astype(np.float64)
        joints, target = ours.joints - roots[0], theirs.joints - roots[1]
        values["mpjpe"][rows], values["pa_mpjpe"][rows] = mpjpe(joints, target), pa_mpjpe(joints, target)
        values["pve"][rows] = pve(ours.vertices, theirs.vertices, (roots[0] - roots[1])[:, 0])
    return values


def _bodies(rotmat: NDArray[np.float32], betas: NDArray[np.float32]) -> BodyParameters:
    pose = rotmat_to_axis_angle(rotmat.astype(np.float64))
    return BodyParameters.of(pose[:, 0], pose[:, 1:], betas)

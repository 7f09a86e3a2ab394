"""Losses as functions of (``Output``, ``Batch``): PM-Net's Eq. 2-5, and SPIN's, which differ in how they are reduced.

Every term is computed on the rows that have what it needs and reduced as ``LossConfig.reduction`` says. Training adds
the weighted terms; each is logged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hmrtk.models.batch import Batch
from hmrtk.models.output import Output
from hmrtk.models.rotation import rotmat_to_rot6d

HIPS = (2, 3)
"""``spin24``: right and left hip; their middle is the origin of compared joints (SPIN ``train/trainer.py``)."""

Reduction = Literal["sum", "mean"]
Reduce = Callable[[Tensor, Tensor], Tensor]


class LossConfig(BaseModel):
    """Weights of the terms and how they are reduced. Defaults: PM-Net §III-D.

    Attributes:
        joints3d, keypoints2d, pose, betas, prototype: λ₁ to λ₅ of Eq. 5.
        camera: of SPIN's exp(-10·s)², which keeps the scale positive; not in Eq. 5.
        factor: of the whole but the prototype term (SPIN's code: 60).
        reduction: ``sum`` over the coordinates of a row, as Eq. 2 and 3 print it, then the mean over rows; ``mean``
            over everything, as SPIN's code does. Under ``mean``, λ₅ = 1 lets the classifier outweigh all others.
        rotation: the form in which poses are compared: ``rot6d`` as regressed (θ ∈ R^{6×24}, §III-A) or ``rotmat``
            (SPIN).
        prototype_focus: γ of the focal loss (Lin et al. 2017) on the classifier; 0 is Eq. 4's cross entropy.
        prototype_balance: exponent of inverse class frequency as the classes' weights; 0 weighs all samples alike.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    joints3d: float = Field(5.0, ge=0)
    keypoints2d: float = Field(5.0, ge=0)
    pose: float = Field(1.0, ge=0)
    betas: float = Field(1e-3, ge=0)
    prototype: float = Field(1.0, ge=0)
    camera: float = Field(0.0, ge=0)
    factor: float = Field(1.0, gt=0)
    reduction: Reduction = "sum"
    rotation: Literal["rot6d", "rotmat"] = "rot6d"
    prototype_focus: float = Field(0.0, ge=0)
    prototype_balance: float = Field(0.0, ge=0, le=1)


def training_loss(
    output: Output, batch: Batch, config: LossConfig, frequency: Tensor | None = None
) -> dict[str, Tensor]:
    """Every term, unweighted, and ``total``, the weighted sum of Eq. 5.

    Args:
        output: of the network; all its estimates count alike (HMR and PM-Net give one).
        batch: the ground truth.
        config: weights and reduction.
        frequency: (K,) share of the training rows with each label; needed by ``prototype_balance``.
    """
    terms = {name: torch.zeros((), device=batch.betas.device) for name in ("joints3d", "keypoints2d", "pose", "betas")}
    for estimate in output.estimates:
        terms["joints3d"] = terms["joints3d"] + joints3d_loss(estimate.joints, batch.joints3d, config.reduction)
        terms["keypoints2d"] = terms["keypoints2d"] + keypoints2d_loss(
            estimate.keypoints2d, batch.keypoints2d, config.reduction
        )
        found, wanted = estimate.rotmat, batch.rotmat
        if config.rotation == "rot6d":
            found, wanted = estimate.rot6d, rotmat_to_rot6d(batch.rotmat)
        terms["pose"] = terms["pose"] + parameter_loss(found, wanted, batch.has_body, config.reduction)
        terms["betas"] = terms["betas"] + parameter_loss(estimate.betas, batch.betas, batch.has_body, config.reduction)
    if config.camera:
        terms["camera"] = sum((scale_loss(e.camera[:, 0]) for e in output.estimates), torch.zeros(()))
    total = config.factor * sum(getattr(config, name) * term for name, term in terms.items())
    if output.logits is not None and config.prototype:
        terms["prototype"] = prototype_loss(
            output.logits, batch.label, config.prototype_focus, config.prototype_balance, frequency
        )
        total = total + config.prototype * terms["prototype"]
    return {**terms, "total": total}


def joints3d_loss(joints: Tensor, target: Tensor, reduction: Reduction) -> Tensor:
    """Squared distance of joints from the middle of the hips, weighted by confidence (Eq. 2).

    Args:
        joints: (B, 24, 3) ``spin24``, metres.
        target: (B, 24, 4) metres and confidence. Rows whose hips have no confidence have no origin and do not count.
    """
    confidence = target[..., 3:]
    known = (confidence[:, list(HIPS), 0] > 0).all(1)
    delta = _from_hips(joints) - _from_hips(target[..., :3])
    return _reduced(confidence * delta.square(), known, reduction)


def keypoints2d_loss(keypoints: Tensor, target: Tensor, reduction: Reduction) -> Tensor:
    """Squared distance of keypoints in [-1, 1]², weighted by confidence (Eq. 3; the confidence is its visibility μ).

    Args:
        keypoints: (B, 24, 2). target: (B, 24, 3), with confidence.
    """
    confidence = target[..., 2:]
    every = torch.ones(len(target), dtype=torch.bool, device=target.device)
    return _reduced(confidence * (keypoints - target[..., :2]).square(), every, reduction)


def parameter_loss(found: Tensor, wanted: Tensor, known: Tensor, reduction: Reduction) -> Tensor:
    """Squared difference of pose or shape (Eq. 2) on the rows that have a body; (B, ...) each, ``known`` (B,)."""
    return _reduced((found - wanted).square(), known, reduction)


def scale_loss(scale: Tensor) -> Tensor:
    """SPIN's mean of exp(-10·s)², (B,): large for a camera that looks backwards."""
    return torch.exp(-10 * scale).square().mean()


def prototype_loss(
    logits: Tensor, label: Tensor, focus: float = 0.0, balance: float = 0.0, frequency: Tensor | None = None
) -> Tensor:
    """Cross entropy of the classifier (Eq. 4), mean over the rows with a label.

    Args:
        logits: (B, K). label: (B,), -1 where there is none.
        focus: γ: each row's loss is multiplied by (1 - c_label)^γ.
        balance: each row's loss is multiplied by (1 / (K·frequency_label))^balance.
        frequency: (K,) share of the rows of each label, of sum 1.
    """
    known = label >= 0
    if not known.any():
        return logits.sum() * 0
    label, scores = label[known], logits[known].float().log_softmax(dim=1)
    likelihood = scores.gather(1, label[:, None])[:, 0]
    loss = -likelihood
    if focus:
        # Where the row is certain, a power of 0 has no slope: the smallest number stands in for it.
        loss = loss * (-likelihood.expm1()).clamp_min(torch.finfo(likelihood.dtype).tiny) ** focus
    if balance and frequency is not None:
        weight = (frequency.clamp_min(1e-6) * len(frequency)) ** -balance
        loss = loss * weight[label]
    return loss.mean()


def _from_hips(points: Tensor) -> Tensor:
    return points - points[:, list(HIPS)].mean(dim=1, keepdim=True)


def _reduced(square: Tensor, known: Tensor, reduction: Reduction) -> Tensor:
    """(B, ...) squares → a number, from the rows that are known; zero where none is."""
    rows = square.flatten(1)
    per_row = rows.sum(1) if reduction == "sum" else rows.mean(1)
    return torch.where(known, per_row, 0).sum() / known.sum().clamp_min(1)

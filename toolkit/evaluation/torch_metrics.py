"""The formulas of ``formulas`` on torch tensors, on whatever device they are: the GPU's, and validation's, twin.

In: metres, (..., P, 3) of any floating type; out: millimetres, one value per set, on the same device. float64 comes
out for float64, float32 for everything else (half precision is widened first: a metre in bfloat16 is 4 mm coarse).
``hmrtk.models.metrics`` wraps these for training. They equal the NumPy ones to 1e-6 mm in float64 and 1e-3 mm in
float32. Gradients flow, but for PA-MPJPE: it is a measure, not a loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hmrtk.toolkit.errors import InputError

MM = 1000.0


def joint_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """(..., J, 3) metres each → (..., J) mm, without any alignment.

    Raises:
        InputError: the shapes differ or are no points.
    """
    predicted, target = _checked("joint_errors", predicted, target)
    return MM * torch.linalg.vector_norm(predicted - target, dim=-1)


def mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean per-joint position error: (..., J, 3) metres each → (...) mm. Align the root first."""
    return joint_errors(predicted, target).mean(-1)


def pve(predicted: Tensor, target: Tensor, offset: Tensor | None = None) -> Tensor:
    """Per-vertex error (MPVPE): (..., V, 3) metres each → (...) mm; ``offset`` (..., 3) as in ``formulas.pve``."""
    predicted, target = _checked("pve", predicted, target)
    moved = predicted if offset is None else predicted - offset[..., None, :].to(predicted)
    return joint_errors(moved, target).mean(-1)


def pa_mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """MPJPE after the best similarity of each set: (..., J, 3) metres each → (...) mm, without gradient."""
    with torch.no_grad():
        return mpjpe(procrustes(predicted, target), target)


def procrustes(source: Tensor, target: Tensor) -> Tensor:
    """``source`` moved onto ``target`` by the best scale, rotation and translation, set by set.

    By the singular value decomposition of the 3 x 3 covariance with the sign fixed, so never a reflection (Umeyama
    1991), as ``geometry.align.procrustes``. The covariance is decomposed in float64, where float32 would lose a
    hundredth of a millimetre on nearly flat sets.

    Args:
        source, target: (..., P, 3) metres.

    Returns:
        (..., P, 3); a source without extent goes to the target's centre.

    Raises:
        InputError: the shapes differ or are no points.
    """
    source, target = _checked("procrustes", source, target)
    moving, goal = source - source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    with torch.autocast(source.device.type, enabled=False):
        wide = moving.double()
        covariance = (target - goal).double().transpose(-1, -2) @ wide  # target x source
        finite = torch.isfinite(covariance).all(-1).all(-1)[..., None, None]
        u, singular, vt = torch.linalg.svd(torch.where(finite, covariance, 0.0))
        sign = torch.where(torch.linalg.det(u) * torch.linalg.det(vt) < 0, -1.0, 1.0).to(singular)
        flip = torch.cat([torch.ones_like(singular[..., :2]), sign[..., None]], -1)
        rotation = (u * flip[..., None, :]) @ vt
        energy = (wide * wide).sum((-1, -2))
        flat = energy <= torch.finfo(torch.float64).tiny
        scale = torch.where(flat, 1.0, (singular * flip).sum(-1) / torch.where(flat, 1.0, energy))
        aligned = scale[..., None, None] * (wide @ rotation.transpose(-1, -2))
    aligned = torch.where(finite, aligned, torch.nan)
    return aligned.to(source.dtype) + goal


def _checked(place: str, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32, or float64 where one is."""
    if a.shape != b.shape or a.shape[-1:] != (3,):
        raise InputError(place, f"expected two equal shapes (..., P, 3), got {tuple(a.shape)} and {tuple(b.shape)}")
    kind = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return a.to(kind), b.to(kind)

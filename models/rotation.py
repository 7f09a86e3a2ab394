"""Rotations as torch tensors, with gradients: the twins of ``toolkit.geometry.rotation`` that networks need.

Layouts and names as stated in ``hmrtk.toolkit.geometry``. Leading ``...`` dimensions are free.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rot6d_to_rotmat(rot6d: Tensor) -> Tensor:
    """(..., 6) interleaved columns (SPIN), not necessarily orthonormal → (..., 3, 3) by Gram-Schmidt.

    Where the two vectors are parallel or zero the result is not a rotation, but finite, and so are the gradients.
    """
    pair = rot6d.reshape(*rot6d.shape[:-1], 3, 2)
    first = torch.nn.functional.normalize(pair[..., 0], dim=-1)
    along = (first * pair[..., 1]).sum(-1, keepdim=True)
    second = torch.nn.functional.normalize(pair[..., 1] - along * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def rotmat_to_rot6d(rotmat: Tensor) -> Tensor:
    """(..., 3, 3) → (..., 6): the first two columns, interleaved (SPIN)."""
    return rotmat[..., :2].reshape(*rotmat.shape[:-2], 6)


def axis_angle_to_rotmat(axis_angle: Tensor) -> Tensor:
    """(..., 3) radians → (..., 3, 3) by the matrix exponential of the cross product matrix; smooth at zero."""
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*axis_angle.shape, 3)
    square = (axis_angle * axis_angle).sum(-1)[..., None, None]
    angle = square.clamp_min(torch.finfo(axis_angle.dtype).tiny).sqrt()
    sine = torch.sinc(angle / torch.pi)  # sin(a) / a
    versine = torch.sinc(angle / (2 * torch.pi)).square() / 2  # (1 - cos(a)) / a²
    return torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device) + sine * cross + versine * (cross @ cross)

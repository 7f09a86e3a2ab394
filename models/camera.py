"""Projections of networks as torch tensors: the crop camera of DaNet and PyMAF, and PM-Net's Eq. 3.

Both take joints in the body's own frame (metres) and three camera numbers, and give keypoints in [-1, 1]², the crop's
corners. Conventions in ``hmrtk.toolkit.geometry``; the NumPy twins are in ``toolkit.geometry.camera``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hmrtk.toolkit.errors import UnknownNameError
from hmrtk.toolkit.geometry.camera import CROP_SIZE, FOCAL_LENGTH

_HALF_DEPTH = 2 * FOCAL_LENGTH / CROP_SIZE
"""Depth of the body in metres times the camera's scale s: t_z = 2·5000 / (224·s)."""


def project_crop(points: Tensor, camera: Tensor) -> Tensor:
    """Perspective with focal length 5000 px (SPIN, DaNet, PyMAF): (..., P, 3) metres, (..., 3) → (..., P, 2).

    x = s·(X + t_x) / (1 + s·Z·224 / (2·5000)): no division by s, so that the gradient is finite where s is 0.
    """
    scale = camera[..., None, :1]
    moved = scale * (points[..., :2] + camera[..., None, 1:])
    return moved / (1 + scale * points[..., 2:] / _HALF_DEPTH)


def project_pmnet(points: Tensor, camera: Tensor) -> Tensor:
    """Weak perspective of PM-Net's Eq. 3, x = s·X + t_x: (..., P, 3) metres, (..., 3) → (..., P, 2)."""
    return camera[..., None, :1] * points[..., :2] + camera[..., None, 1:]


def pmnet_to_crop(camera: Tensor) -> Tensor:
    """(s, t) of PM-Net's Eq. 3 → the crop camera (s, t / s) that everything else uses; (..., 3)."""
    return torch.cat([camera[..., :1], camera[..., 1:] / camera[..., :1]], dim=-1)


def crop_to_pmnet(camera: Tensor) -> Tensor:
    """The crop camera (s, t) → (s, s·t) of PM-Net's Eq. 3; (..., 3)."""
    return torch.cat([camera[..., :1], camera[..., 1:] * camera[..., :1]], dim=-1)


class CameraModel:
    """Which three numbers a network's camera is, and what they do.

    Attributes:
        name: ``crop`` or ``pmnet``.
        project: (..., P, 3), (..., 3) → (..., P, 2).
        to_crop, from_crop: between this camera and the crop camera.
    """

    def __init__(
        self,
        name: str,
        project: Callable[[Tensor, Tensor], Tensor],
        to_crop: Callable[[Tensor], Tensor],
        from_crop: Callable[[Tensor], Tensor],
    ) -> None:
        self.name, self.project, self.to_crop, self.from_crop = name, project, to_crop, from_crop


def _same(camera: Tensor) -> Tensor:
    return camera


_MODELS = {
    "crop": CameraModel("crop", project_crop, _same, _same),
    "pmnet": CameraModel("pmnet", project_pmnet, pmnet_to_crop, crop_to_pmnet),
}


def camera_model(name: str) -> CameraModel:
    """A camera model by name.

    Raises:
        UnknownNameError: the message lists the known ones.
    """
    if name not in _MODELS:
        raise UnknownNameError("camera model", name, _MODELS)
    return _MODELS[name]

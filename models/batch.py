"""``Batch``: what a network is given, on its device: pictures and everything that is known about the people in them.

In: the columns of the shard reader. Out: tensors without NaN; what a row does not have is zero, and a mask says so.
Networks, losses and validation read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from hmrtk.models.rotation import axis_angle_to_rotmat
from hmrtk.toolkit.errors import InputError

COLUMNS = (
    "sample_id", "image", "keypoints2d", "joints3d", "global_orient", "body_pose", "betas", "crop_camera", "label",
    "distance_to_singular",
)  # fmt: skip
"""Columns of a shard that a network which regresses parameters is trained from."""


@dataclass
class Batch:
    """B people, one crop each.

    Attributes:
        image: (B, 3, S, S) uint8 RGB.
        keypoints2d: (B, 24, 3) ``spin24``: x, y in [-1, 1] over the crop, and confidence.
        joints3d: (B, 24, 4) ``spin24``: metres in the camera frame, and confidence.
        rotmat: (B, 24, 3, 3) rotations of the body, the root in the camera frame.
        betas: (B, 10).
        has_body: (B,) bool, whether the row has a body.
        camera: (B, 3) crop camera; zeros where there is none.
        has_camera: (B,) bool.
        label: (B,) int64 prototype; -1 where there is none.
        distance: (B,) metres to the singular prototype, of the row as it is stored; NaN where unknown.
        names: the rows' ``sample_id``.
        maps: other columns of the crop, by name (``iuv``, ``location``, …).
    """

    image: Tensor
    keypoints2d: Tensor
    joints3d: Tensor
    rotmat: Tensor
    betas: Tensor
    has_body: Tensor
    camera: Tensor
    has_camera: Tensor
    label: Tensor
    distance: Tensor
    names: tuple[str, ...]
    maps: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def of(cls, columns: Mapping[str, Any], extra: tuple[str, ...] = ()) -> Batch:
        """From the columns of augmented rows.

        Args:
            columns: ``COLUMNS`` of a batch of crops; keypoints in [-1, 1] (``Cropper(normalised=True)``).
            extra: further columns to keep as ``maps``.

        Raises:
            InputError: a column that is needed is missing.
        """
        missing = [name for name in ("image", "keypoints2d", "global_orient", "body_pose", "betas", *extra)
                   if name not in columns]  # fmt: skip
        if missing:
            raise InputError("batch", f"has no column {', '.join(missing)}", "read it, or build shards that have it")
        image, count = columns["image"], len(columns["image"])
        body = torch.cat([columns["global_orient"][:, None], columns["body_pose"]], dim=1)  # (B, 24, 3)
        known = torch.isfinite(body).all((1, 2)) & torch.isfinite(columns["betas"]).all(1)
        camera = columns.get("crop_camera", torch.full((count, 3), torch.nan))
        solved = torch.isfinite(camera).all(1)
        return cls(
            image,
            _seen(columns["keypoints2d"]),
            _seen(columns.get("joints3d", torch.zeros(count, 24, 4))),
            axis_angle_to_rotmat(torch.where(known[:, None, None], body, 0)),
            torch.where(known[:, None], columns["betas"], 0),
            known,
            torch.where(solved[:, None], camera, 0),
            solved,
            columns.get("label", torch.full((count,), -1)),
            columns.get("distance_to_singular", torch.full((count,), torch.nan)),
            tuple(columns.get("sample_id", ("",) * count)),
            {name: columns[name] for name in extra},
        )

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device; copies from page-locked memory are not waited for."""
        moved: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                value = value.to(device, non_blocking=True)
            elif field.name == "maps":
                value = {name: tensor.to(device, non_blocking=True) for name, tensor in value.items()}
            moved[field.name] = value
        return Batch(**moved)


def _seen(points: Tensor) -> Tensor:
    """Points with their confidence last; all zero where that is not positive or a number is not finite."""
    known = (points[..., -1:] > 0) & torch.isfinite(points).all(-1, keepdim=True)
    return torch.where(known, points, 0)

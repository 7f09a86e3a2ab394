"""The body inside a network: joints with gradients.

In: rotations and shape. Out: SMPL's joints and the 24 of ``spin24``, metres in the body's own frame (``transl`` = 0).
Losses on joints need 5 % of the vertices: ``JointLayer`` skins only those. ``body_layer`` gives all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hmrtk.toolkit.body.joints import SPIN24_FROM_EXTRA9, SPIN24_FROM_SMPL, SPIN24_FROM_VERTEX
from hmrtk.toolkit.body.model import BodyModel


@dataclass(frozen=True)
class Joints:
    """Joints of B bodies, metres.

    Attributes:
        smpl24: (B, 24, 3) SMPL's joints.
        spin24: (B, 24, 3) SPIN's J24, the set that annotations are in.
    """

    smpl24: Tensor
    spin24: Tensor


class JointLayer(nn.Module):
    """Joints of the SMPL function, differentiable in rotations and shape.

    Equal to ``body_layer`` and the regressors of ``BodyModel.spin24`` (tested, values and gradients), at a tenth of the
    cost: only vertices that a regressor reads are shaped and skinned. Runs in float32 also under autocast.

    Args:
        model: the body; its arrays are copied into buffers that are not saved with a network's weights.
    """

    def __init__(self, model: BodyModel) -> None:
        super().__init__()
        extra, picks = model.regressor("extra9"), list(SPIN24_FROM_VERTEX.values())
        used = np.union1d(extra.indices, picks)
        rest = model.joint_regressor @ model.v_template.astype(np.float64)
        directions = model.joint_regressor @ model.shapedirs.astype(np.float64).reshape(len(model.v_template), -1)
        for name, array in (
            ("rest", rest),
            ("rest_directions", directions.reshape(24, 3, -1)),
            ("template", model.v_template[used]),
            ("shapedirs", model.shapedirs[used]),
            ("posedirs", model.posedirs[used]),
            ("weights", model.weights[used]),
            ("extra", extra[:, used].toarray()),
        ):
            tensor = torch.tensor(np.asarray(array, np.float32))
            self.register_buffer(name, tensor, persistent=False)
        self.picks = np.searchsorted(used, picks).tolist()
        self.parents = [int(parent) for parent in model.parents]

    def forward(self, rotmat: Tensor, betas: Tensor) -> Joints:
        """Pose B bodies.

        Args:
            rotmat: (B, 24, 3, 3) rotations relative to the parent, the root first.
            betas: (B, 10).
        """
        with torch.autocast(rotmat.device.type, enabled=False):
            rotmat, betas = rotmat.to(self.rest.dtype), betas.to(self.rest.dtype)
            rest = self.rest + torch.einsum("jcb,nb->njc", self.rest_directions, betas)
            world, joints = self._kinematics(rotmat, rest)
            vertices = self._skin(rotmat, betas, world, joints - (world @ rest[..., None])[..., 0])
            return Joints(joints, self._spin24(joints, vertices))

    def _kinematics(self, rotmat: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """World rotations (B, 24, 3, 3) and joints (B, 24, 3), from the root outwards."""
        world, joints = [rotmat[:, 0]], [rest[:, 0]]
        for joint, parent in enumerate(self.parents[1:], 1):
            bone = (rest[:, joint] - rest[:, parent])[..., None]
            joints.append(joints[parent] + (world[parent] @ bone)[..., 0])
            world.append(world[parent] @ rotmat[:, joint])
        return torch.stack(world, 1), torch.stack(joints, 1)

    def _skin(self, rotmat: Tensor, betas: Tensor, world: Tensor, offset: Tensor) -> Tensor:
        """(B, V', 3) vertices that the regressors read; ``offset`` (B, 24, 3) moves each bone's turned rest."""
        turned = rotmat[:, 1:] - torch.eye(3, dtype=rotmat.dtype, device=rotmat.device)
        shaped = self.template + torch.einsum("vcb,nb->nvc", self.shapedirs, betas)
        shaped = shaped + torch.einsum("vcp,np->nvc", self.posedirs, turned.flatten(1))
        blended = torch.einsum("vj,njab->nvab", self.weights, world)
        return (blended @ shaped[..., None])[..., 0] + self.weights @ offset

    def _spin24(self, joints: Tensor, vertices: Tensor) -> Tensor:
        extra = self.extra @ vertices
        slots: dict[int, Tensor] = {slot: joints[:, joint] for slot, joint in SPIN24_FROM_SMPL.items()}
        slots |= {slot: extra[:, row] for slot, row in SPIN24_FROM_EXTRA9.items()}
        slots |= {slot: vertices[:, pick] for slot, pick in zip(SPIN24_FROM_VERTEX, self.picks, strict=True)}
        return torch.stack([slots[slot] for slot in range(24)], dim=1)

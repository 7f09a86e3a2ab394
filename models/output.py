"""``Output``: what a network says about a batch. Losses, validation and ``predict`` read it.

A network that refines its answer step by step gives every step as an ``Estimate``; the last one counts. The classes are
not frozen, because Lightning walks over what a network returns and puts hooks on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Estimate:
    """One answer about B people.

    Attributes:
        rot6d: (B, 24, 6) as regressed, not orthonormal; interleaved columns.
        rotmat: (B, 24, 3, 3) the rotations that they stand for.
        betas: (B, 10).
        camera: (B, 3) numbers of the network's own camera model.
        joints: (B, 24, 3) ``spin24``, metres in the body's own frame.
        keypoints2d: (B, 24, 2) their projection, in [-1, 1] over the crop.
    """

    rot6d: Tensor
    rotmat: Tensor
    betas: Tensor
    camera: Tensor
    joints: Tensor
    keypoints2d: Tensor


@dataclass
class Output:
    """The whole answer.

    Attributes:
        estimates: one per supervised step, the final one last.
        crop_camera: (B, 3) of the final estimate, converted to the crop camera of ``hmrtk.toolkit.geometry``.
        logits: (B, K) scores of a prototype classifier, before softmax; None without one.
        choice: (B, K) weights with which the prototypes were blended; None with a single prototype.
        maps: dense outputs by name, for networks that have them.
    """

    estimates: tuple[Estimate, ...]
    crop_camera: Tensor
    logits: Tensor | None = None
    choice: Tensor | None = None
    maps: dict[str, Tensor] = field(default_factory=dict)

    @property
    def final(self) -> Estimate:
        return self.estimates[-1]

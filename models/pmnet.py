"""PM-Net (§III): HMR whose regression starts from a prototype that a classifier chooses from a memory.

Encoder E, classifier C (one linear layer), memory M (K, 157), estimator G with three rounds: φ̄ = cM, then φ. Trained in
two stages (§III-D): E and G with the singular prototype and without L_C; then all together with the memory and Eq. 5.

Beyond the paper, ``hypotheses`` > 1 regresses from each of the likeliest prototypes. With an evidence head the answer
is kept whose keypoints agree best with those that the head reads directly from the features; without, the answers are
blended by the classifier's scores: the paper blends where the regression starts, this blends where it ends.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from hmrtk.models.backbone import Backbone
from hmrtk.models.batch import Batch
from hmrtk.models.camera import CameraModel
from hmrtk.models.hmr import HMR
from hmrtk.models.memory import Memory
from hmrtk.models.output import Estimate, Output
from hmrtk.models.posing import JointLayer
from hmrtk.models.regressor import IterativeRegressor

EVIDENCE = "evidence"
"""Key in ``Output.maps`` of the keypoints (B, 24, 2) that the head reads from the features."""


class PMNet(HMR):
    """HMR with a prototype memory.

    Args:
        evidence: features → (B, 48): 24 keypoints in [-1, 1]² read directly; None without.
        hypotheses: prototypes from which to regress when not training, if the classifier chooses; 1 regresses from the
            memory's own choice. Of several answers, the evidence's best is kept, or they are blended without it.
        others as for ``HMR``.
    """

    def __init__(
        self,
        backbone: Backbone,
        memory: Memory,
        regressor: IterativeRegressor,
        joints: JointLayer,
        camera: CameraModel,
        evidence: nn.Module | None = None,
        hypotheses: int = 1,
    ) -> None:
        super().__init__(backbone, memory, regressor, joints, camera)
        self.evidence, self.hypotheses = evidence, hypotheses

    def forward(self, batch: Batch) -> Output:
        features = self.backbone(batch.image)
        read = None if self.evidence is None else self.evidence(features).unflatten(1, (24, 2))
        chosen = self.memory.selection not in ("singular", "label")  # stage one starts from the mean body
        if self.hypotheses > 1 and chosen and not self.training:
            return self._blended(features) if read is None else self._best(features, read)
        output = self.regress(features, self.memory(features, batch.label))
        return output if read is None else replace(output, maps={EVIDENCE: read})

    def _several(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Answers φ (B, M, 157) from the likeliest prototypes, and all logits (B, K)."""
        starts, logits = self.memory.hypotheses(features, self.hypotheses)
        several = features.repeat_interleave(starts.shape[1], dim=0)
        return self.regressor(several, starts.flatten(0, 1))[-1].float().unflatten(0, starts.shape[:2]), logits

    def _blended(self, features: Tensor) -> Output:
        """All hypotheses' answers, each as much as its prototype is likely."""
        answers, logits = self._several(features)
        likely = logits.float().topk(answers.shape[1], dim=1).values.softmax(dim=1)
        final = self.posed((likely[..., None] * answers).sum(dim=1))
        return Output((final,), self.camera.to_crop(final.camera), logits)

    def _best(self, features: Tensor, read: Tensor) -> Output:
        """The hypothesis whose keypoints are nearest to those that were read."""
        answers, logits = self._several(features)
        rows, count = answers.shape[:2]
        found = self.posed(answers.flatten(0, 1))
        distance = (found.keypoints2d.unflatten(0, (rows, count)) - read[:, None]).square().sum((2, 3))
        best = distance.argmin(dim=1) + count * torch.arange(rows, device=features.device)
        kept = Estimate(found.rot6d[best], found.rotmat[best], found.betas[best], found.camera[best],
                        found.joints[best], found.keypoints2d[best])  # fmt: skip
        return Output((kept,), self.camera.to_crop(kept.camera), logits, None, {EVIDENCE: read})

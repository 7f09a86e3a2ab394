"""HMR with SPIN's regressor: the baseline of every table (HMR; SPIN §3; PM-Net §III-B without the memory).

A backbone's features f and a start φ₀ go through three rounds of iterative error feedback to φ = (θ, β, camera). With a
``Memory`` of one prototype that is SPIN's network; with K prototypes and a classifier it is PM-Net (``pmnet``).
"""

from __future__ import annotations

from torch import Tensor, nn

from hmrtk.models.backbone import Backbone
from hmrtk.models.batch import Batch
from hmrtk.models.camera import CameraModel
from hmrtk.models.memory import Memory, Start
from hmrtk.models.output import Estimate, Output
from hmrtk.models.posing import JointLayer
from hmrtk.models.regressor import IterativeRegressor, split_parameters
from hmrtk.models.rotation import rot6d_to_rotmat


class HMR(nn.Module):
    """Regresses a body and a crop camera from a picture.

    Args:
        backbone: picture → (B, C).
        memory: features → where to start.
        regressor: features and start → parameters.
        joints: poses what was regressed.
        camera: what the three camera numbers mean.
    """

    def __init__(
        self, backbone: Backbone, memory: Memory, regressor: IterativeRegressor, joints: JointLayer, camera: CameraModel
    ) -> None:
        super().__init__()
        self.backbone, self.memory, self.regressor, self.joints = backbone, memory, regressor, joints
        self.camera = camera

    def forward(self, batch: Batch) -> Output:
        """Estimates of a batch; only the last step is posed and supervised, as in SPIN and PM-Net."""
        features = self.backbone(batch.image)
        return self.regress(features, self.memory(features, batch.label))

    def regress(self, features: Tensor, start: Start) -> Output:
        """From features (B, C) and a start to an answer."""
        final = self.posed(self.regressor(features, start.phi)[-1].float())
        return Output((final,), self.camera.to_crop(final.camera), start.logits, start.choice)

    def posed(self, phi: Tensor) -> Estimate:
        """Parameters (B, 157) with their joints and keypoints."""
        rot6d, betas, camera = split_parameters(phi)
        rotmat = rot6d_to_rotmat(rot6d)
        joints = self.joints(rotmat, betas).spin24
        return Estimate(rot6d, rotmat, betas, camera, joints, self.camera.project(joints, camera))

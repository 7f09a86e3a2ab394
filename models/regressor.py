"""``IterativeRegressor``: iterative error feedback (HMR, SPIN; PM-Net §III-B): features and a start → parameters.

Parameters φ are packed as PM-Net's memory packs them: (B, 157) = rot6d of 24 joints (144), betas (10), camera (3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

POSE, BETAS, CAMERA = 144, 10, 3
WIDTH = POSE + BETAS + CAMERA
"""157 numbers."""

HEAD_GAIN = 0.01
"""Xavier gain of the heads, so that training starts at the start (SPIN ``hmr.py``)."""


def split_parameters(phi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """φ (..., 157) → rot6d (..., 24, 6), betas (..., 10), camera (..., 3)."""
    pose, betas, camera = phi.split((POSE, BETAS, CAMERA), dim=-1)
    return pose.unflatten(-1, (24, 6)), betas, camera


class IterativeRegressor(nn.Module):
    """φ_{t+1} = φ_t + G(f, φ_t), some times.

    G is two linear layers with dropout and three heads, as in SPIN: no activation between the layers. PM-Net calls it
    a three-layer MLP (1024, 1024, 157), which is the same.

    Args:
        features: width of f (2048 for ResNet-50; PM-Net's text says 1024, which no ResNet-50 gives).
        hidden: width of the layers.
        dropout: after each of the two layers.
        iterations: how many times; 3 in all papers.
    """

    def __init__(self, features: int, hidden: int = 1024, dropout: float = 0.5, iterations: int = 3) -> None:
        super().__init__()
        self.iterations = iterations
        self.fc1, self.drop1 = nn.Linear(features + WIDTH, hidden), nn.Dropout(dropout)
        self.fc2, self.drop2 = nn.Linear(hidden, hidden), nn.Dropout(dropout)
        self.decpose = nn.Linear(hidden, POSE)
        self.decshape = nn.Linear(hidden, BETAS)
        self.deccam = nn.Linear(hidden, CAMERA)
        for head in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(head.weight, gain=HEAD_GAIN)

    def forward(self, features: Tensor, start: Tensor) -> list[Tensor]:
        """Every step's parameters.

        Args:
            features: (B, C).
            start: φ₀, (B, 157).

        Returns:
            φ₁ … φ_T, each (B, 157).
        """
        phi, steps = start, []
        of_features, of_start = self.fc1.weight.split((features.shape[1], WIDTH), dim=1)
        read = nn.functional.linear(features, of_features, self.fc1.bias)  # the same in every step: read once
        for _ in range(self.iterations):
            hidden = self.drop1(read + nn.functional.linear(phi, of_start))
            hidden = self.drop2(self.fc2(hidden))
            phi = phi + torch.cat([self.decpose(hidden), self.decshape(hidden), self.deccam(hidden)], dim=1)
            steps.append(phi)
        return steps

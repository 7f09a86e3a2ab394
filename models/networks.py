"""From a config to a network: the one place where parts are put together.

In: ``TrainConfig``, prototypes, body. Out: an ``nn.Module`` of ``Batch`` → ``Output`` with weights drawn from the seed.
Training and checkpoints call ``build_network``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from hmrtk.models.backbone import build_backbone
from hmrtk.models.camera import camera_model
from hmrtk.models.config import TrainConfig
from hmrtk.models.hmr import HMR
from hmrtk.models.memory import Memory, memory_rows
from hmrtk.models.pmnet import PMNet
from hmrtk.models.posing import JointLayer
from hmrtk.models.regressor import IterativeRegressor
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

KEYPOINTS = 24 * 2


@contextmanager
def random_state(*words: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """While entered, torch's random numbers follow from ``words`` alone; afterwards they go on as if nothing was.

    So dropout of a training step depends on the seed and the step, not on what ran before it in this process.
    """
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(_mixed(words))
        yield


def _mixed(words: Sequence[int]) -> int:
    """One seed of several numbers, different for (1, 2) and (2, 1); torch's CPU generator reads its low 32 bits."""
    mixed = 0x9E3779B97F4A7C15
    for word in words:
        mixed = ((mixed ^ (word + 1) ^ (word >> 32)) * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & (1 << 63) - 1
    return mixed


def build_network(config: TrainConfig, prototypes: PrototypeSet, body: BodyModel, weights: bool = True) -> HMR:
    """The network of a config.

    Args:
        config: says which one.
        prototypes: what the memory holds; hmr uses its singular prototype only.
        body: that the joints are posed with.
        weights: False leaves pretrained backbone weights out, for networks whose weights come from a checkpoint.

    Raises:
        BodyMismatchError: the prototypes are of another body.
        InputError, UnknownNameError: see ``build_backbone`` and ``Memory``.
    """
    prototypes.check_body(body)
    camera = camera_model(config.camera)
    with random_state(config.seed):
        pretrained = config.backbone.pretrained if weights else "none"
        grid_px = config.data.size if config.backbone.features == "grid" else None
        backbone = build_backbone(config.backbone.name, pretrained, stride=config.backbone.stride, grid_px=grid_px)
        part = config.regressor
        regressor = IterativeRegressor(backbone.width, part.hidden, part.dropout, part.iterations)
        singular = memory_rows(prototypes.singular_set(), camera)
        if config.network == "hmr":
            return HMR(backbone, Memory(singular, singular[0]), regressor, JointLayer(body), camera)
        memory = Memory(
            memory_rows(prototypes, camera),
            singular[0],
            backbone.width if config.memory.classifier else None,
            temperature=config.memory.temperature,
        )
        judged = config.memory.hypotheses > 1 and config.memory.merge == "best"
        evidence: nn.Module | None = nn.Linear(backbone.width, KEYPOINTS) if judged else None
        return PMNet(backbone, memory, regressor, JointLayer(body), camera, evidence, config.memory.hypotheses)

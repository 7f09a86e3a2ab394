"""``Memory``: where an iterative regressor starts from: PM-Net's prototypical memory M (§III-B), or one prototype.

In: features of pictures. Out: φ̄ = cM, the blend of prototypes by the classifier's score c, and that score. Any network
with an iterative regressor takes one; with K = 1 it is the single mean body of HMR and SPIN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from hmrtk.models.camera import CameraModel
from hmrtk.models.regressor import WIDTH
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet

Selection = Literal["soft", "argmax", "label", "singular", "gated"]
SELECTIONS: tuple[Selection, ...] = ("soft", "argmax", "label", "singular", "gated")
NEED_CLASSIFIER = ("soft", "argmax", "gated")
"""Ways to choose that read the classifier's scores."""


@dataclass(frozen=True)
class Start:
    """Where the regression of B people begins.

    Attributes:
        phi: (B, 157).
        logits: (B, K) scores before softmax; None without a classifier.
        choice: (B, K) weights of the prototypes, rows of sum 1, or of zeros where the mean body stands in for a label
            that is unknown; None where the single prototype is used for all.
    """

    phi: Tensor
    logits: Tensor | None = None
    choice: Tensor | None = None


def memory_rows(prototypes: PrototypeSet, camera: CameraModel) -> Tensor:
    """M: (K, 157) float32, a prototype a row; the same camera in all (§III-B), in the network's camera model."""
    k = len(prototypes)
    given = camera.from_crop(torch.from_numpy(np.array(prototypes.camera, np.float32)))
    pose = torch.from_numpy(prototypes.rot6d.reshape(k, -1))
    return torch.cat([pose, torch.from_numpy(prototypes.betas.copy()), given.expand(k, 3)], dim=1)


class Memory(nn.Module):
    """K prototypes, the singular one beside them, and the classifier that chooses.

    Args:
        rows: (K, 157) prototypes.
        singular: (157,) the mean body.
        features: width of the features that the classifier reads (one linear layer, §III-B); None for none.
        selection: how prototypes are chosen: ``soft`` φ̄ = cM with c the softmax (the paper's); ``argmax`` the likeliest
            alone; ``label`` the true one, an upper bound that no user has; ``singular`` the mean body, whatever the
            classifier says (SPIN's start; with a classifier, the arm that only gains an auxiliary loss); ``gated``
            φ̄ = g·cM + (1 − g)·mean with g = 1 − H(c) / ln K: the less sure the classifier, the nearer to the mean body
            (not in the paper).
        temperature: logits are divided by it before the softmax of ``soft`` and ``gated``.

    Raises:
        InputError: rows of another width, or a selection that needs a classifier without one.
        UnknownNameError: an unknown selection.
    """

    def __init__(
        self,
        rows: Tensor,
        singular: Tensor,
        features: int | None = None,
        selection: Selection = "singular",
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if rows.ndim != 2 or rows.shape[1] != WIDTH or singular.shape != (WIDTH,):
            raise InputError("memory", f"expected rows (K, {WIDTH}) and one ({WIDTH},), got {tuple(rows.shape)} and "
                             f"{tuple(singular.shape)}")  # fmt: skip
        self.register_buffer("rows", rows.clone())
        self.register_buffer("singular", singular.clone())
        self.classifier = None if features is None else nn.Linear(features, len(rows))
        self.temperature = temperature
        self.choose(selection)

    def choose(self, selection: Selection) -> None:
        """Change the way prototypes are chosen; errors as in the class."""
        if selection not in SELECTIONS:
            raise UnknownNameError("selection", selection, SELECTIONS)
        if selection in NEED_CLASSIFIER and self.classifier is None:
            raise InputError("memory", f"{selection} needs a classifier, and this memory has none")
        self.selection = selection

    def forward(self, features: Tensor, label: Tensor | None = None) -> Start:
        """Where to start.

        Args:
            features: (B, C).
            label: (B,) the true prototypes, -1 where unknown (then the singular one); only ``label`` reads it.

        Raises:
            InputError: ``label`` without labels.
        """
        logits = None if self.classifier is None else self.classifier(features)
        if self.selection == "singular":
            return Start(self.singular.expand(len(features), -1), logits)
        if self.selection == "label":
            return self._labelled(label, logits)
        assert logits is not None
        if self.selection == "argmax":
            chosen = logits.argmax(dim=1)
            return Start(self.rows[chosen], logits, self._whole(chosen))
        choice = (logits.float() / self.temperature).softmax(dim=1)
        with torch.autocast(features.device.type, enabled=False):  # bfloat16 turns prototypes by tenths of a degree
            blend = choice @ self.rows
        if self.selection == "gated":
            blend = torch.lerp(self.singular.expand_as(blend), blend, certainty(choice)[:, None])
        return Start(blend, logits, choice)

    def hypotheses(self, features: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The likeliest prototypes: starts (B, M, 157) and logits (B, K), M = ``count`` or all of fewer prototypes."""
        if self.classifier is None:
            raise InputError("memory", "hypotheses need a classifier, and this memory has none")
        logits = self.classifier(features)
        likeliest = logits.topk(min(count, len(self.rows)), dim=1).indices
        return self.rows[likeliest], logits

    def _labelled(self, label: Tensor | None, logits: Tensor | None) -> Start:
        if label is None:
            raise InputError("memory", "selection label needs the true labels", "choose soft or argmax to predict")
        known, chosen = (label >= 0)[:, None], label.clamp_min(0)
        phi = torch.where(known, self.rows[chosen], self.singular)
        return Start(phi, logits, torch.where(known, self._whole(chosen), 0))

    def _whole(self, chosen: Tensor) -> Tensor:
        """(B,) numbers of prototypes → (B, K) weights that give each the whole."""
        return nn.functional.one_hot(chosen, len(self.rows)).to(self.rows.dtype)


def certainty(choice: Tensor) -> Tensor:
    """1 − H(c) / ln K of weights (B, K): 1 when one prototype has all, 0 when all have the same; (B,)."""
    if choice.shape[1] == 1:
        return torch.ones_like(choice[:, 0])
    likely = choice.clamp_min(torch.finfo(choice.dtype).tiny)  # the gradient of 0·ln 0 is no number
    entropy = -(choice * likely.log()).sum(1)
    return 1 - entropy / np.log(choice.shape[1])

"""The arms of the experiment: what is trained after a common first stage, and what each is compared with.

All arms of a seed begin with the weights of the same first stage and see the same rows, augmentation and number of
steps; what differs is written here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

STAGE_ONE = "one"
MEAN_BODY = "mean-body"
"""Not trained: the singular prototype as everybody's answer."""
BASELINE, AUXILIARY = "single", "single+class"
HEADLINE = (("p3dh-10", BASELINE), ("p3dh-10", AUXILIARY), ("p3dh-50", BASELINE))
"""Comparisons fixed beforehand: arm, against."""


@dataclass(frozen=True)
class Arm:
    """One second stage.

    Attributes:
        meaning: for tables.
        prototypes: name of the set (``poses.prototype_configs``).
        settings: changes to the preset ``pmnet`` ``small``.
        memory: whether the regressor starts from the memory.
        weights: of another arm, which this one only answers with in another way; None trains.
        kind: ``paper`` (an arm of the paper), ``bound`` (uses true labels) or ``attempt`` (to make the memory pay; one
            is chosen on validation).
    """

    meaning: str
    prototypes: str
    settings: tuple[str, ...] = ()
    memory: bool = True
    kind: str = "paper"
    weights: str | None = None


ARMS = {
    BASELINE: Arm("single prototype, stage two", "p3dh-k10", ("memory.classifier=false",), memory=False),
    AUXILIARY: Arm("single prototype, classification loss", "p3dh-k10", ("memory.selection=singular",)),
    "p3dh-10": Arm("P3DH, K = 10, soft", "p3dh-k10"),
    "p3dh-50": Arm("P3DH, K = 50, soft", "p3dh-k50"),
    "label-10": Arm("P3DH, K = 10, true label", "p3dh-k10", ("memory.selection=label",), kind="bound"),
    "evidence-10": Arm(
        "P3DH, K = 10, best of 3 by the network's own 2D joints", "p3dh-k10",
        ("memory.selection=label", "memory.test_selection=argmax", "memory.hypotheses=3"), kind="attempt",
    ),
    "gated-10": Arm("P3DH, K = 10, gated by certainty", "p3dh-k10", ("memory.selection=gated",), kind="attempt"),
    "balanced-10": Arm(
        "P3DH, K = 10, soft, focal and balanced", "p3dh-k10", ("loss.prototype_focus=2", "loss.prototype_balance=0.5"),
        kind="attempt",
    ),
    "weak-10": Arm("P3DH, K = 10, soft, λ5 = 0.1", "p3dh-k10", ("loss.prototype=0.1",), kind="attempt"),
    "3dh-10": Arm("3DH, K = 10, soft", "3dh-k10"),
    "random-10": Arm("random, K = 10, soft", "random-k10"),
    "naive-10": Arm("naive, K = 10, soft", "naive-k10"),
    "argmax-10": Arm(
        "P3DH, K = 10, trained with true labels, the likeliest", "p3dh-k10",
        ("memory.selection=label", "memory.test_selection=argmax"), kind="attempt", weights="label-10",
    ),
    "blend-10": Arm(
        "P3DH, K = 10, trained with true labels, ten answers blended", "p3dh-k10",
        ("memory.selection=label", "memory.test_selection=argmax", "memory.hypotheses=10", "memory.merge=blend"),
        kind="attempt", weights="label-10",
    ),
}  # fmt: skip

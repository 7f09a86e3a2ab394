"""Vertex groups of the body for part-aware weights (PM-Net §III-C): torso, head, limbs, hand, foot."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError, UnknownNameError

PART_GROUPS: dict[str, tuple[int, ...]] = {
    "torso": (0, 3, 6, 9, 13, 14),
    "head": (12, 15),
    "limbs": (1, 2, 4, 5, 16, 17, 18, 19),
    "hand": (20, 21, 22, 23),
    "foot": (7, 8, 10, 11),
}
"""Group → SMPL joints whose skinning weights make it up. The paper shows the groups as a picture only (Fig. 3)."""

P3DH_WEIGHTS: dict[str, float] = {"limbs": 5.0, "torso": 1.0, "foot": 0.5, "head": 0.3, "hand": 0.3}
"""PM-Net §III-C, "Distance calculating". They multiply coordinates before squaring."""

UNIFORM_WEIGHTS: dict[str, float] = dict.fromkeys(PART_GROUPS, 1.0)
"""No part-aware weighting ("3DH K-Means")."""


def vertex_groups(model: BodyModel) -> NDArray[np.int64]:
    """(6890,) index into ``list(PART_GROUPS)``: the group whose joints hold most of a vertex's skinning weight."""
    shares = [model.weights[:, list(joints)].sum(axis=1) for joints in PART_GROUPS.values()]
    return np.stack(shares, axis=1).argmax(axis=1)


def vertex_weights(model: BodyModel, weights: Mapping[str, float]) -> NDArray[np.float32]:
    """(6890,) float32 weight of each vertex.

    Raises:
        UnknownNameError: a group that does not exist.
        InputError: a group without a weight.
    """
    for name in weights:
        if name not in PART_GROUPS:
            raise UnknownNameError("part group", name, PART_GROUPS)
    missing = [name for name in PART_GROUPS if name not in weights]
    if missing:
        raise InputError("part weights", f"no weight for {', '.join(missing)}")
    table = np.array([weights[name] for name in PART_GROUPS], np.float32)
    return table[vertex_groups(model)]


def parse_weights(text: str) -> dict[str, float]:
    """Read ``"limbs=5,head=.3"``; groups that are not named keep PM-Net's weight.

    Raises:
        UnknownNameError: a group that does not exist.
        InputError: not ``name=number``, a group given twice, or a weight that is negative or not finite.
    """
    given: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (piece.strip() for piece in item.partition("="))
        if not equals:
            raise InputError("part weights", f"{item!r} is not name=number", "for example limbs=5,head=0.3")
        if name not in PART_GROUPS:
            raise UnknownNameError("part group", name, PART_GROUPS)
        if name in given:
            raise InputError("part weights", f"{name} is given twice")
        given[name] = _weight(name, number)
    if not any(({**P3DH_WEIGHTS, **given}).values()):
        raise InputError("part weights", "all weights are zero")
    return {**P3DH_WEIGHTS, **given}


def _weight(name: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise InputError("part weights", f"{name}={number!r} is not a number") from None
    if not math.isfinite(value) or value < 0:
        raise InputError("part weights", f"{name}={number} is not a finite weight of at least 0")
    return value

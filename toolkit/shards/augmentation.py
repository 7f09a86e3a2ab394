"""What augmentation does to a row while training: how often and how far (``Augmentation``), and one draw (``Change``).

In: a preset's name or an ``Augmentation``, and a random generator. Out: ``Change``: plain numbers that can be written
down and applied again (``augmented_row.apply``). Called by data loading, once per row and epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import cos, hypot, inf, pi, sin
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.errors import InputError, UnknownNameError

DEGREE = pi / 180
DRAWS = 12
"""Random numbers that a change follows from."""


@dataclass(frozen=True)
class Change:
    """One augmentation of one row. The default changes nothing: the network's plain crop.

    Attributes:
        flip: mirror the picture left to right, and the person with it.
        turn: radians by which the crop's content turns about the crop's centre, from x towards y, after the flip.
        scale: side of the crop over the side b of the row's crop box.
        shift: (x, y) by which the crop's centre moves in the full image, in b; before flip and turn.
        gains: (3,) factors of the red, green and blue values, which are clipped at 255.
        occluder_seed: of the things pasted in front (``synthesis.occluder``); None pastes none.
        occluder_count: least and greatest number of things.
        upper_body: the crop is made around the joints above the hips, where the row has them; ``scale`` and ``shift``
            are then in that box.

    Raises:
        InputError: a scale that is not positive, or values that are not finite.
    """

    flip: bool = False
    turn: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    occluder_seed: int | None = None
    occluder_count: tuple[int, int] = (1, 8)
    upper_body: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.scale < inf:
            raise InputError("augmentation scale", f"expected a positive number, got {self.scale}")
        if not np.isfinite([self.turn, *self.shift, *self.gains]).all():
            raise InputError("augmentation", f"expected finite numbers, got {self}")

    @property
    def reach(self) -> float:
        """How far the crop reaches from the box's centre along x or y, in b; a shard's region ends at 0.9.

        Pixels beyond it are black. Not meaningful with ``upper_body``, whose box is inside the person's.
        """
        half = self.scale / 2 * (abs(cos(self.turn)) + abs(sin(self.turn)))
        return half + max(abs(self.shift[0]), abs(self.shift[1]))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, for the record of a training step."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Change:
        """The change that ``to_json`` wrote.

        Raises:
            UnknownNameError: a field that changes do not have.
        """
        known = [field.name for field in fields(cls)]
        for name in value:
            if name not in known:
                raise UnknownNameError("field of a change", name, known)
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        return cls(**given)


class Changes(NamedTuple):
    """One ``Change`` for each of B rows, as arrays.

    Attributes:
        flip, upper_body: (B,) bool. turn, scale: (B,) float64. shift: (B, 2) and gains: (B, 3) float64.
        occluder_seed: of each row, or None. occluder_count: of each row.
    """

    flip: NDArray[np.bool_]
    turn: NDArray[np.float64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    gains: NDArray[np.float64]
    occluder_seed: list[int | None]
    occluder_count: list[tuple[int, int]]
    upper_body: NDArray[np.bool_]

    def row(self, row: int) -> Change:
        """That of one row."""
        return Change(
            bool(self.flip[row]),
            float(self.turn[row]),
            float(self.scale[row]),
            (float(self.shift[row, 0]), float(self.shift[row, 1])),
            (float(self.gains[row, 0]), float(self.gains[row, 1]), float(self.gains[row, 2])),
            self.occluder_seed[row],
            self.occluder_count[row],
            bool(self.upper_body[row]),
        )


@dataclass(frozen=True)
class Augmentation:
    """How often and how far rows are changed.

    Attributes:
        flip: probability of mirroring (SPIN ``base_dataset.py``: 0.5).
        turn: radians, standard deviation of the turn (SPIN: 30 degrees).
        turn_limit: radians, where the turn is clipped (SPIN: twice 30 degrees).
        upright: probability of no turn (SPIN: 0.6).
        scale: standard deviation of the scale around 1 (SPIN: 0.25).
        scale_limit: where its distance from 1 is clipped (SPIN: 0.25).
        shift: box sides; the crop's centre moves evenly up to this far in x and y (SPIN and its successors: 0).
        noise: each channel's factor is drawn evenly from 1 ± this (SPIN: 0.4).
        occlusion: probability of things pasted in front (Best of Both §3.4 does not say how often: 0 unless asked for).
        occluder_count: least and greatest number of things (ours, as ``synthesis.occluder``).
        upper_body: probability of a crop around the upper body alone (BEDLAM's training of CLIFF: 0.2).

    Raises:
        InputError: a probability outside [0, 1], a negative extent, or scales that may reach 0.
    """

    flip: float = 0.5
    turn: float = 30 * DEGREE
    turn_limit: float = 60 * DEGREE
    upright: float = 0.6
    scale: float = 0.25
    scale_limit: float = 0.25
    shift: float = 0.0
    noise: float = 0.4
    occlusion: float = 0.0
    occluder_count: tuple[int, int] = (1, 8)
    upper_body: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "upright", "occlusion", "upper_body"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augmentation {name}", f"expected a probability, got {getattr(self, name)}")
        for name in ("turn", "turn_limit", "scale", "scale_limit", "shift", "noise"):
            if not 0 <= getattr(self, name) < inf:
                raise InputError(f"augmentation {name}", f"expected 0 or more, got {getattr(self, name)}")
        if self.scale_limit >= 1 or self.noise > 1:
            found = f"scale_limit {self.scale_limit} and noise {self.noise}"
            raise InputError("augmentation", f"expected scale_limit below 1 and noise at most 1, got {found}")

    @property
    def reach(self) -> float:
        """The greatest ``Change.reach`` that may be drawn, in box sides b; a shard's region ends at 0.9."""
        steepest = min(self.turn_limit, pi / 4)  # |cos| + |sin| is greatest at 45 degrees
        return (1 + self.scale_limit) / 2 * hypot(1, 1) * cos(pi / 4 - steepest) + self.shift

    def draw(self, rng: np.random.Generator) -> Change:
        """One change. Consumes the same number of random values whatever the settings, so that a seed's later draws do
        not depend on them.
        """
        return self.changes(rng.random((1, DRAWS))).row(0)

    def changes(self, numbers: NDArray[np.float64]) -> Changes:
        """The changes that follow from random numbers, each from its own row.

        Args:
            numbers: (B, ``DRAWS``) evenly in [0, 1).
        """
        flip, upright, occlusion, upper, radius, angle, across, down, *noise, seed = numbers.T
        length, way = np.sqrt(-2 * np.log1p(-radius)), 2 * pi * angle  # two normal numbers, after Box and Muller
        turn = np.clip(length * np.cos(way) * self.turn, -self.turn_limit, self.turn_limit)
        scale = np.clip(length * np.sin(way) * self.scale, -self.scale_limit, self.scale_limit)
        seeds = zip((seed * (1 << 31)).astype(np.int64).tolist(), (occlusion < self.occlusion).tolist(), strict=True)
        return Changes(
            flip=flip < self.flip,
            turn=np.where(upright < self.upright, 0.0, turn),
            scale=1 + scale,
            shift=(2 * np.stack([across, down], axis=-1) - 1) * self.shift,
            gains=1 + (2 * np.stack(noise, axis=-1) - 1) * self.noise,
            occluder_seed=[one if wanted else None for one, wanted in seeds],
            occluder_count=[self.occluder_count] * len(numbers),
            upper_body=upper < self.upper_body,
        )


def random_numbers(words: NDArray[np.integer[Any]], count: int) -> NDArray[np.float64]:
    """(B, count) numbers evenly in [0, 1) that follow from the words (B, W) of each row alone: SplitMix64 (Steele et
    al. 2014), for all rows at once. A NumPy generator per row takes ten times as long.
    """
    state: NDArray[np.uint64] = np.zeros(len(words), np.uint64)
    for column in np.asarray(words, np.int64).astype(np.uint64).T:
        state = _mixed(state + _GOLDEN + column)
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return (_mixed(state[:, None] + steps) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NOTHING = Augmentation(flip=0, turn=0, turn_limit=0, upright=1, scale=0, scale_limit=0, noise=0)

_PRESETS = {
    "none": _NOTHING,
    "spin": Augmentation(),
    "pymaf": Augmentation(),
    "pmnet": Augmentation(),
    "danet": Augmentation(),
    "decomr": Augmentation(),
    "cliff": Augmentation(upper_body=0.2),
    "best_of_both": Augmentation(occlusion=0.5),
}
"""PyMAF, DaNet and DecoMR took SPIN's data loading over with its numbers (DaNet turns only in-the-wild pictures).
PM-Net names none; its baseline is SPIN. CLIFF's own is not published: this is BEDLAM's training of CLIFF without its
colour filters (albumentations). Best of Both (§3.4) scales, turns, flips, multiplies the channels and occludes, without
numbers: SPIN's, and occlusion every other time."""


def augmentation(name: str) -> Augmentation:
    """A preset by name: none, spin, pymaf, pmnet, danet, decomr, cliff or best_of_both.

    Raises:
        UnknownNameError: the message lists the known ones.
    """
    if name not in _PRESETS:
        raise UnknownNameError("augmentation", name, _PRESETS)
    return _PRESETS[name]


def _multi_crops() -> tuple[Change, ...]:
    places = (((0.1, 0.0), 1.5), ((-0.1, 0.0), 1.25), ((0.0, 0.1), 0.8), ((0.0, -0.1), 0.65))
    return (Change(), *(Change(shift=shift, scale=scale) for shift, scale in places))


MULTI_CROPS = _multi_crops()
"""The original crop, then Multi-Crop HMR's four (§3.2): each moved by a tenth of the box and scaled. The largest
reaches 0.85 b of the region's 0.9."""

"""How pictures are synthesised: the numbers that ``scene`` draws its choices by. Also stored with every shard."""

from __future__ import annotations

from dataclasses import dataclass

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.synthesis.panorama import panorama_names

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("view_degrees", 5.0, 140.0),
    ("noise", 0.0, 0.5),
    ("loose_m", 0.0, 0.1),
    ("occluders", 0, 100),
    ("clutter", 0, 100),
    ("jpeg_quality", 1, 100),
)
"""Pairs of ``SceneConfig`` and the least and greatest value they may hold."""
_PROBABILITIES = ("occluder_probability", "blur_probability", "motion_probability")


@dataclass(frozen=True)
class SceneConfig:
    """How pictures are synthesised.

    Attributes:
        supersample: fine pixels per pixel and axis; 2 gives smooth outlines, 1 is faster and jagged.
        occluder_probability: share of the pictures with something in front of the person.
        occluders: least and greatest number of things in front, where there are any.
        clutter: least and greatest number of sharp-edged things that stand behind the person.
        loose_m: least and greatest distance (m) of clothes and hair from the skin; (0, 0) keeps the body's own outline.
        blur_probability: share of the pictures that are slightly out of focus.
        motion_probability: share of the pictures blurred by motion.
        ground: the person darkens the ground and casts a shadow on it.
        view_degrees: least field of view of the background. A narrower true one would show a blurred patch of a
            panorama of this resolution; the person always keeps the true camera.
        noise: standard deviation of the sensor's noise at middle grey, drawn between these (display units, 0..1).
        jpeg_quality: least and greatest quality of the camera's JPEG.
        panoramas: names of the places to choose from; empty: all that are packaged.

    Numbers are kept as the annotations say, so that 0 and 0.0 are written alike: shards are told apart by this text.

    Raises:
        InputError: a value out of range.
        UnknownNameError: a panorama that is not packaged.
    """

    supersample: int = 2
    occluder_probability: float = 0.2
    occluders: tuple[int, int] = (1, 4)
    clutter: tuple[int, int] = (0, 4)
    loose_m: tuple[float, float] = (0.0, 0.02)
    blur_probability: float = 0.15
    motion_probability: float = 0.1
    ground: bool = True
    view_degrees: tuple[float, float] = (52.0, 82.0)
    noise: tuple[float, float] = (0.001, 0.016)
    jpeg_quality: tuple[int, int] = (45, 97)
    panoramas: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            object.__setattr__(self, name, float(getattr(self, name)))
        for name, low, _ in _RANGES:
            first, last = getattr(self, name)
            object.__setattr__(self, name, (type(low)(first), type(low)(last)))
        if not 1 <= self.supersample <= 8:
            raise InputError("scene config", f"supersample is {self.supersample}, expected 1..8")
        for name in _PROBABILITIES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError("scene config", f"{name} is {getattr(self, name)}, expected 0..1")
        for name, low, high in _RANGES:
            first, last = getattr(self, name)
            if not low <= first <= last <= high:
                raise InputError(
                    "scene config", f"{name} is {(first, last)}, expected {low} <= first <= last <= {high}"
                )
        for panorama in self.panoramas:
            if panorama not in panorama_names():
                raise UnknownNameError("panorama", panorama, panorama_names())


SCENES = {
    "varied": SceneConfig(),
    "clear": SceneConfig(
        occluder_probability=0.0, clutter=(0, 0), blur_probability=0.0, motion_probability=0.0, noise=(0.001, 0.006),
        jpeg_quality=(85, 97),
    ),
}  # fmt: skip
"""Ready ones. ``clear``: the whole person, sharp, in front of a panorama; small networks learn it from few pictures."""


def scene_named(name: str) -> SceneConfig:
    """A ready one by name.

    Raises:
        UnknownNameError: the message lists the known ones.
    """
    if name not in SCENES:
        raise UnknownNameError("scene", name, SCENES)
    return SCENES[name]

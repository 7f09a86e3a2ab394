"""A picture for a body that has no photograph: a lit, dressed person in a place.

In: the posed body in the camera frame, the camera, a random generator. Out: ``Scene``: the picture and every choice
that made it. Called by ``shards`` for records whose photograph is missing and by previews of ``cli``.

Order of work: place (panorama crop) → light → person (look, folds, shading) → ground shadow → occluder → camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.geometry.camera import project_perspective
from hmrtk.toolkit.synthesis.backdrop import camera_to_panorama, darken_ground, perspective_crop
from hmrtk.toolkit.synthesis.figure import picture_size
from hmrtk.toolkit.synthesis.light import Light, ambient_at, scene_light
from hmrtk.toolkit.synthesis.look import draw_look, pack_look
from hmrtk.toolkit.synthesis.occluder import occlude
from hmrtk.toolkit.synthesis.panorama import (
    FLOOR_DEGREES,
    OPEN_FLOOR_DEGREES,
    Panorama,
    load_panorama,
    panorama_names,
    radiance_to_display,
)
from hmrtk.toolkit.synthesis.person import (
    OPENNESS_DIRECTIONS,
    Window,
    draw_person,
    person_window,
    vertex_attributes,
    wrinkled_normals,
)
from hmrtk.toolkit.synthesis.photograph import draw_camera, photographed
from hmrtk.toolkit.synthesis.restpose import rest_marks, rest_vertices
from hmrtk.toolkit.synthesis.surface import vertex_normals, vertex_openness

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class SceneConfig:
    """How pictures are synthesised.

    Attributes:
        supersample: fine pixels per pixel and axis; 2 gives smooth outlines, 1 is faster and jagged.
        occluder_probability: share of the pictures with something in front of the person.
        blur_probability: share of the pictures that are slightly out of focus.
        ground: the person darkens the ground and casts a shadow on it.
        view_degrees: least field of view of the background. A narrower true one would show a blurred patch of a
            panorama of this resolution; the person always keeps the true camera.
        noise: standard deviation of the sensor's noise, drawn between these (display units, 0..1).
        panoramas: names of the places to choose from; empty: all that are packaged.

    Raises:
        InputError: a value out of range.
        UnknownNameError: a panorama that is not packaged.
    """

    supersample: int = 2
    occluder_probability: float = 0.2
    blur_probability: float = 0.15
    ground: bool = True
    view_degrees: tuple[float, float] = (52.0, 82.0)
    noise: tuple[float, float] = (0.002, 0.018)
    panoramas: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.supersample <= 8:
            raise InputError("scene config", f"supersample is {self.supersample}, expected 1..8")
        for name in ("occluder_probability", "blur_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError("scene config", f"{name} is {getattr(self, name)}, expected 0..1")
        for name, low, high in (("view_degrees", 5.0, 140.0), ("noise", 0.0, 0.5)):
            first, last = getattr(self, name)
            if not low <= first <= last <= high:
                raise InputError(
                    "scene config", f"{name} is {(first, last)}, expected {low} <= first <= last <= {high}"
                )
        for panorama in self.panoramas:
            if panorama not in panorama_names():
                raise UnknownNameError("panorama", panorama, panorama_names())


@dataclass(frozen=True)
class Scene:
    """A synthesised picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        coverage: (H, W) uint8: how much of each pixel the visible person covers, 0..255 (before blur).
        appearance: every seeded choice, JSON-able.
    """

    image: NDArray[np.uint8]
    coverage: NDArray[np.uint8]
    appearance: dict[str, Any]


def synthesise(
    vertices_cam: ArrayLike,
    focal: ArrayLike,
    principal: ArrayLike,
    size: int | tuple[int, int],
    body: BodyModel,
    rng: np.random.Generator,
    config: SceneConfig | None = None,
) -> Scene:
    """Make a picture of one person.

    The same generator state gives the same bytes, whatever runs beside it; safe to call from several threads.

    Args:
        vertices_cam: (6890, 3) metres, camera frame (x right, y down, z forward), in front of the camera.
        focal, principal: (2,) px of the picture's camera. For a region of a larger photograph: those of the region.
        size: side or (height, width), px.
        body: the model the vertices belong to.
        rng: consumed; every choice comes from it.
        config: defaults to ``SceneConfig()``.

    Raises:
        InputError: wrong shapes, values that are not finite, a focal length that is not positive, no vertex in front
            of the camera, or a size below 8 px.
    """
    config = config or SceneConfig()
    vertices = _checked_vertices(vertices_cam, body)
    focal_px, principal_px = _checked_pair("focal", focal), _checked_pair("principal", principal)
    if focal_px.min() <= 0:
        raise InputError("scene", f"focal length is {focal_px.tolist()} px, expected positive values")
    shape = picture_size(size)
    points = _projected(vertices, focal_px, principal_px)

    place = _draw_place(rng, config, shape, focal_px, principal_px, points)
    panorama = load_panorama(place["panorama"])
    seen = camera_to_panorama(place["yaw"], place["elevation"])
    picture = perspective_crop(panorama, seen, place["focal_px"], shape, place["blur_px"])
    turn = camera_to_panorama(place["yaw"], place["pitch"])
    light = scene_light(panorama, turn, place["key_gain"], vertices, body.faces)

    window = person_window(points, shape)
    behind = picture[window.top :, window.left :][: window.height, : window.width]
    look = draw_look(rng, radiance_to_display(behind.mean(axis=(0, 1))) / 255 if behind.size else None)
    has_ground = config.ground and _darken(picture, vertices, focal_px, principal_px, light, panorama, place)
    coverage = np.zeros(shape, np.float32)
    if window.height and window.width:
        person = _person(
            points, vertices, body, panorama, turn, light, look, config.supersample, window, place["person_exposure"]
        )
        _lay_over(picture, coverage, person, window)

    occluder = None
    if rng.random() < config.occluder_probability:
        occluder = occlude(rng, picture, coverage, points, config.panoramas or panorama_names())
    camera = draw_camera(rng, config.blur_probability, config.noise)
    appearance = {"place": place, "ground": has_ground, "look": look, "occluder": occluder, "camera": camera}
    return Scene(photographed(picture, camera), (coverage * 255 + 0.5).astype(np.uint8), appearance)


def _checked_vertices(vertices_cam: ArrayLike, body: BodyModel) -> NDArray[np.float32]:
    vertices = np.ascontiguousarray(vertices_cam, np.float32)
    expected = (len(body.v_template), 3)
    if vertices.shape != expected:
        raise InputError("scene vertices", f"expected shape {expected}, got {vertices.shape}")
    if not np.isfinite(vertices).all():
        raise InputError("scene vertices", "NaN or infinite values")
    if vertices[:, 2].max() <= 0:
        raise InputError("scene vertices", "the whole body is behind the camera", "add transl (z > 0) to the vertices")
    return vertices


def _checked_pair(name: str, value: ArrayLike) -> NDArray[np.float64]:
    pair = np.array(value, np.float64)
    if pair.shape != (2,) or not np.isfinite(pair).all():
        raise InputError("scene", f"{name} is {value!r}, expected two finite values in px")
    return pair


def _projected(
    vertices: NDArray[np.float32], focal: NDArray[np.float64], principal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(V, 3) x px, y px, depth m."""
    points = vertices.astype(np.float64)
    safe = np.where(points[:, 2:] > 1e-6, points, np.array([0.0, 0.0, 1.0]))
    points[:, :2] = project_perspective(safe, focal, principal)
    return points


def _draw_place(
    rng: np.random.Generator,
    config: SceneConfig,
    shape: tuple[int, int],
    focal: NDArray[np.float64],
    principal: NDArray[np.float64],
    points: NDArray[np.float64],
) -> dict[str, Any]:
    """Which panorama, seen from where.

    The horizon lies where a level camera has it, or higher: the person's lowest point must fall on this place's floor.
    ``elevation`` turns the background's (wider) view there, ``pitch`` the true camera.
    """
    names = config.panoramas or panorama_names()
    name = names[int(rng.integers(len(names)))]
    view = np.radians(rng.uniform(*config.view_degrees))
    widest = max(shape) / 2 / np.tan(view / 2)
    focal_px = float(min(focal.mean(), widest))
    level = np.arctan((principal[1] + rng.normal(0, 0.02) * shape[0] - shape[0] / 2) / focal_px)
    standing = np.arctan((min(float(points[:, 1].max()), shape[0]) - shape[0] / 2) / focal_px)
    floor = np.radians(FLOOR_DEGREES.get(name, OPEN_FLOOR_DEGREES) + rng.uniform(0, 8))
    elevation = float(np.clip(min(level, standing - floor), np.radians(-42), np.radians(22)))
    horizon = shape[0] / 2 + focal_px * np.tan(elevation)
    pitch = float(np.arctan((horizon - principal[1]) / focal[1]))
    return {
        "panorama": name,
        "yaw": round(float(rng.uniform(0, 2 * np.pi)), 4),
        "elevation": round(elevation, 4),
        "pitch": round(pitch, 4),
        "focal_px": round(focal_px, 2),
        "blur_px": round(float(rng.uniform(0.8, 2.8)) * max(shape) / 400, 3),
        "key_gain": round(float(rng.uniform(0.25, 1.0)), 4),
        "person_exposure": round(float(rng.uniform(0.95, 1.4)), 4),
        "grain": [round(float(rng.uniform(0.02, 0.16)), 4), round(float(rng.uniform(0.02, 0.07)), 4)],
        "grain_seed": int(rng.integers(1 << 16)),
    }


def _darken(
    picture: NDArray[np.float32],
    vertices: NDArray[np.float32],
    focal: NDArray[np.float64],
    principal: NDArray[np.float64],
    light: Light,
    panorama: Panorama,
    place: dict[str, Any],
) -> bool:
    upward = ambient_at(np.array([[0.0, -1.0, 0.0]], np.float32), panorama, np.eye(3))[0]
    grain = (*place["grain"], place["grain_seed"])
    return darken_ground(picture, vertices, focal, principal, light, place["pitch"], float(upward @ _LUMINANCE), grain)


def _person(
    points: NDArray[np.float64],
    vertices: NDArray[np.float32],
    body: BodyModel,
    panorama: Panorama,
    turn: NDArray[np.float64],
    light: Light,
    look: dict[str, Any],
    supersample: int,
    window: Window,
    exposure: float,
) -> NDArray[np.float32]:
    """(window height, window width, 4) premultiplied linear RGB and coverage."""
    marks, rest = rest_marks(body), rest_vertices(body)
    packed = pack_look(look, marks)
    smooth = vertex_normals(vertices, body.faces)
    openness = vertex_openness(vertices, smooth, body.faces, OPENNESS_DIRECTIONS)
    normals = wrinkled_normals(vertices, smooth, body.faces, rest, marks, packed, look["wrinkle_m"])
    ambient = ambient_at(normals, panorama, turn) * ((0.12 + 0.88 * openness[:, None]) * np.float32(exposure))
    attributes = vertex_attributes(rest, vertices, normals, ambient)
    return draw_person(points, body.faces, attributes, window, supersample, marks, packed, light)


def _lay_over(
    picture: NDArray[np.float32], coverage: NDArray[np.float32], person: NDArray[np.float32], window: Window
) -> None:
    """Put the person's window onto the picture, in place."""
    rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
    picture[rows, columns] = picture[rows, columns] * (1 - person[..., 3:]) + person[..., :3]
    coverage[rows, columns] = person[..., 3]

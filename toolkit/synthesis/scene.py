"""A picture for a body that has no photograph: a lit, dressed person in a place.

In: the posed body in the camera frame, the camera, a random generator. Out: ``Scene``: the picture, what of the person
it shows, and every choice that made it. Called by ``shards`` for records whose photograph is missing.

Order of work: place (panorama crop) → light and ground shadow → clutter behind → person (look, folds, shading) →
occluders → camera. All choices are rounded, recorded and then used, so ``redrawn`` gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.normals import vertex_normals
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.camera import project_perspective
from hmrtk.toolkit.synthesis.backdrop import camera_to_panorama, darken_ground, perspective_crop, sharpened
from hmrtk.toolkit.synthesis.cutout import cut_out
from hmrtk.toolkit.synthesis.figure import picture_size
from hmrtk.toolkit.synthesis.light import Light, ambient_at, scene_light
from hmrtk.toolkit.synthesis.look import draw_look, pack_look
from hmrtk.toolkit.synthesis.occluder import add_occluders, lay_over
from hmrtk.toolkit.synthesis.panorama import Panorama, load_panorama, panorama_names
from hmrtk.toolkit.synthesis.person import (
    OPENNESS_DIRECTIONS,
    Window,
    draw_person,
    dressed_vertices,
    person_window,
    vertex_attributes,
)
from hmrtk.toolkit.synthesis.photograph import draw_camera, photographed
from hmrtk.toolkit.synthesis.place import colour_behind, draw_clutter, draw_place
from hmrtk.toolkit.synthesis.restpose import rest_marks, rest_vertices
from hmrtk.toolkit.synthesis.scene_config import SceneConfig
from hmrtk.toolkit.synthesis.surface import vertex_openness

__all__ = ["Scene", "SceneConfig", "redrawn", "synthesise"]

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class Scene:
    """A synthesised picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        coverage: (H, W) uint8: how much of each pixel the visible person covers, 0..255 (before blur). Loose clothes
            and hair reach beyond the body's own outline.
        occlusion: (H, W) uint8: how much of each pixel things in front cover, 0..255, person or not: what to blank in
            a map of the whole body, such as an IUV map, to leave what the picture shows.
        appearance: every seeded choice, JSON-able: what ``redrawn`` needs.
    """

    image: NDArray[np.uint8]
    coverage: NDArray[np.uint8]
    occlusion: NDArray[np.uint8]
    appearance: dict[str, Any]


@dataclass(frozen=True)
class _View:
    """One body before one camera: (V, 3) metres and px, (2,) px, (height, width) px."""

    vertices: NDArray[np.float32]
    points: NDArray[np.float64]
    focal: NDArray[np.float64]
    principal: NDArray[np.float64]
    shape: tuple[int, int]
    body: BodyModel


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
    view = _checked_view(vertices_cam, focal, principal, size, body)
    names = config.panoramas or panorama_names()
    place = draw_place(rng, names, config.view_degrees, view.shape, view.focal, view.principal, view.points)
    appearance: dict[str, Any] = {
        "place": place,
        "ground": config.ground,
        "clutter": draw_clutter(rng, config.clutter, place, view.shape, view.points, names),
        "look": draw_look(rng, colour_behind(place, view.points, view.shape), config.loose_m),
        "supersample": config.supersample,
    }
    picture, coverage, appearance["ground"] = _person_in_place(view, appearance)
    occlusion, appearance["occluders"] = np.zeros(view.shape, np.float32), []
    if rng.random() < config.occluder_probability:
        count = int(rng.integers(config.occluders[0], config.occluders[1] + 1))
        box = np.concatenate([view.points[:, :2].min(axis=0), view.points[:, :2].max(axis=0)])
        appearance["occluders"] = add_occluders(
            rng, picture, coverage, occlusion, box, view.points, count, panoramas=names
        )
    brightness = float((picture[::4, ::4].mean(axis=(0, 1), dtype=np.float64) * _LUMINANCE).sum())
    appearance["camera"] = draw_camera(
        rng,
        max(view.shape),
        brightness,
        config.blur_probability,
        config.motion_probability,
        config.noise,
        config.jpeg_quality,
    )
    return _taken(picture, coverage, occlusion, appearance)


def redrawn(
    appearance: dict[str, Any],
    vertices_cam: ArrayLike,
    focal: ArrayLike,
    principal: ArrayLike,
    size: int | tuple[int, int],
    body: BodyModel,
) -> Scene:
    """Make a picture again from its recorded choices: with the same body and camera, the same bytes.

    Args:
        appearance: of ``Scene``, perhaps by way of JSON; change a choice to change that alone.
        vertices_cam, focal, principal, size, body: as in ``synthesise``, which also states the errors.
    """
    view = _checked_view(vertices_cam, focal, principal, size, body)
    picture, coverage, _ = _person_in_place(view, appearance)
    occlusion = np.zeros(view.shape, np.float32)
    for choice in appearance["occluders"]:
        lay_over(picture, occlusion, cut_out(choice, view.shape))
    return _taken(picture, coverage, occlusion, appearance)


def _person_in_place(view: _View, appearance: dict[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32], bool]:
    """Linear picture without occluders, the person's coverage 0..1, and whether there is a ground."""
    place = appearance["place"]
    panorama = load_panorama(place["panorama"])
    seen = camera_to_panorama(place["yaw"], place["elevation"])
    picture = perspective_crop(panorama, seen, place["focal_px"], view.shape, 0.0)
    texel = place["focal_px"] * 2 * np.pi / panorama.image.shape[1]
    picture = sharpened(picture, place["structure"], texel)
    if place["blur_px"] > 0:
        picture = cv2.GaussianBlur(picture, (0, 0), place["blur_px"], borderType=cv2.BORDER_REPLICATE)
    turn = camera_to_panorama(place["yaw"], place["pitch"])
    light = scene_light(panorama, turn, place["key_gain"], view.vertices, view.body.faces)
    has_ground = bool(appearance["ground"]) and _darken(picture, view, light, panorama, place)
    behind, coverage = np.zeros(view.shape, np.float32), np.zeros(view.shape, np.float32)
    for choice in appearance["clutter"]:
        lay_over(picture, behind, cut_out(choice, view.shape))
    person, window = _person(view, panorama, turn, light, appearance)
    if person.size:
        rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
        picture[rows, columns] = picture[rows, columns] * (1 - person[..., 3:]) + person[..., :3]
        coverage[rows, columns] = person[..., 3]
    return picture, coverage, has_ground


def _taken(
    picture: NDArray[np.float32],
    coverage: NDArray[np.float32],
    occlusion: NDArray[np.float32],
    appearance: dict[str, Any],
) -> Scene:
    visible = (coverage * (1 - occlusion) * 255 + 0.5).astype(np.uint8)
    covered = (occlusion * 255 + 0.5).astype(np.uint8)
    return Scene(photographed(picture, appearance["camera"]), visible, covered, appearance)


def _checked_view(
    vertices_cam: ArrayLike, focal: ArrayLike, principal: ArrayLike, size: int | tuple[int, int], body: BodyModel
) -> _View:
    vertices = _checked_vertices(vertices_cam, body)
    focal_px, principal_px = _checked_pair("focal", focal), _checked_pair("principal", principal)
    if focal_px.min() <= 0:
        raise InputError("scene", f"focal length is {focal_px.tolist()} px, expected positive values")
    shape = picture_size(size)
    return _View(vertices, _projected(vertices, focal_px, principal_px), focal_px, principal_px, shape, body)


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


def _darken(picture: NDArray[np.float32], view: _View, light: Light, panorama: Panorama, place: dict[str, Any]) -> bool:
    upward = ambient_at(np.array([[0.0, -1.0, 0.0]], np.float32), panorama, np.eye(3))[0]
    brightness = float((upward * _LUMINANCE).sum())
    return darken_ground(
        picture, view.vertices, view.focal, view.principal, light, place["pitch"], brightness, place["floor"]
    )


def _person(
    view: _View, panorama: Panorama, turn: NDArray[np.float64], light: Light, appearance: dict[str, Any]
) -> tuple[NDArray[np.float32], Window]:
    """(height, width, 4) premultiplied linear RGB and coverage of the person's window, and the window."""
    look, faces = appearance["look"], view.body.faces
    marks, rest = rest_marks(view.body), rest_vertices(view.body)
    packed = pack_look(look, marks)
    smooth = vertex_normals(view.vertices, faces)
    openness = vertex_openness(view.vertices, smooth, faces, OPENNESS_DIRECTIONS)
    dressed, folded = dressed_vertices(view.vertices, smooth, rest, marks, packed)
    points = _projected(dressed, view.focal, view.principal)
    window = person_window(points, view.shape)
    if not (window.height and window.width):
        return np.zeros((0, 0, 4), np.float32), window
    normals = vertex_normals(folded, faces)
    shade = (0.12 + 0.88 * openness[:, None]) * np.float32(appearance["place"]["person_exposure"])
    attributes = vertex_attributes(rest, dressed, normals, ambient_at(normals, panorama, turn) * shade)
    return draw_person(points, faces, attributes, window, appearance["supersample"], marks, packed, light), window

"""The key light's shadow map, and the ground it falls on."""

from __future__ import annotations

import numpy as np

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.synthesis.backdrop import camera_to_panorama
from hmrtk.toolkit.synthesis.light import ambient_at, lit_share, scene_light
from hmrtk.toolkit.synthesis.panorama import load_panorama, sh_basis
from hmrtk.toolkit.synthesis.surface import sphere_directions


def test_ambient_is_the_basis_times_the_irradiance() -> None:
    normals = sphere_directions(50)
    turn, place = camera_to_panorama(0.7, -0.2), load_panorama("bpy_courtyard")
    expected = sh_basis(normals @ turn.T) @ place.irradiance
    lit = expected > 0.06 * expected.mean()
    assert np.abs(ambient_at(normals, place, turn) - expected)[lit].max() < 1e-5


def test_what_faces_the_sky_gets_more_light_than_what_faces_the_floor() -> None:
    up, down = np.array([[0, -1, 0], [0, 1, 0]], np.float32)[:, None]
    skies = [load_panorama(name) for name in ("pm_sky", "pm_park", "bpy_city", "pm_apartment")]
    assert all(ambient_at(up, sky, np.eye(3)).mean() > ambient_at(down, sky, np.eye(3)).mean() for sky in skies)


def test_points_behind_the_body_are_in_its_shadow(standing: np.ndarray, body: BodyModel) -> None:
    light = scene_light(load_panorama("bpy_city"), np.eye(3), 1.0, standing, body.faces)
    chest = standing[(standing[:, 1] < 0) & (standing[:, 1] > -0.2)].mean(axis=0).astype(np.float64)
    step = 0.8 * np.array(light.direction)
    towards, behind = chest + step, chest - step
    assert lit_share(*towards, light) == 1
    assert lit_share(*behind, light) == 0
    assert lit_share(behind[0] + 5.0, behind[1], behind[2], light) == 1


def test_shadow_agrees_with_ray_casting(standing: np.ndarray, body: BodyModel) -> None:
    """Points on a plane behind the body: lit exactly where a ray towards the light misses every face."""
    light = scene_light(load_panorama("pm_park"), np.eye(3), 1.0, standing, body.faces)
    rng = np.random.default_rng(0)
    centre = standing.mean(axis=0).astype(np.float64)
    direction = np.array(light.direction)
    points = centre - 1.5 * direction + rng.uniform(-0.6, 0.6, (150, 2)) @ np.array([light.right, light.down])
    shares = np.array([lit_share(*point, light) for point in points])
    corners = standing[body.faces].astype(np.float64)
    blocked = np.array([_hits(point, direction, corners) for point in points])
    decided = (shares == 0) | (shares == 1)
    assert decided.mean() > 0.75
    assert (blocked == (shares < 0.5))[decided].mean() > 0.98
    assert 0.1 < blocked.mean() < 0.95


def _hits(origin: np.ndarray, direction: np.ndarray, corners: np.ndarray) -> bool:
    """Möller-Trumbore against every face, float64."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(direction, second)
    determinant = (first * across).sum(axis=1)
    offset = origin - corners[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (offset * across).sum(axis=1) / determinant
        other = np.cross(offset, first)
        v = (direction * other).sum(axis=1) / determinant
        t = (second * other).sum(axis=1) / determinant
    return bool(((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)).any())
